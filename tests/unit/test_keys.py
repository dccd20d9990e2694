"""image_pipeline.keys"""

import json
import posixpath
import re
import unicodedata
from urllib.parse import unquote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from image_pipeline import keys
from image_pipeline.errors import InvalidKeyError, WrongPathError
from local.emulator.moto_seams.jsonata import evaluate
from tests.asl import MACHINES

# Any key that S3 accepts: UTF-8 text of at most 1024 bytes, mostly of characters with a meaning in paths or URLs.
pieces = st.sampled_from(
    ["/", "//", ".", "..", "?", "#", "%", "%2", "%2F", "%252E", "%3F", "+", " ", "a", "~", "\0", "é"]
)
names = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=400), st.lists(pieces, max_size=12).map("".join)
).filter(lambda name: len(name.encode()) <= keys.MAX_KEY_BYTES - len(keys.UPLOADS_PREFIX))
upload_keys = names.map(lambda name: keys.UPLOADS_PREFIX + name)


def arrived(path: str) -> str:
    """Return the path as the function receives it: browsers resolve dots, API Gateway decodes once and cuts at `?`."""
    folders = []
    for folder in path.split("/"):
        if unquote(folder) == "..":
            folders.pop()
        elif unquote(folder) != ".":
            folders.append(folder)
    return unquote("/".join(folders)).partition("?")[0]


@given(upload_keys, st.sampled_from(["web", "web.webp", "status.jpg", "640x480", "a_b-C"]))
@example("uploads/", "web")
@example("uploads/a/renditions/b", "web")
@example("uploads/renditions/web", "web")
@example("uploads/a/renditions/", "web")
@example("uploads/what?", "web")
@example("uploads/status", "web")
def test_a_rendition_path_identifies_its_key_and_name(key, name):
    """For any key, the path of a rendition is not that of another rendition or of a status."""
    path = arrived(keys.rendition_path(key, name))
    assert (keys.image_keys(path)[0], keys.rendition_name(path)) == (key, name)
    assert keys.rendition_name(arrived(keys.status_path(key))) is None


@pytest.mark.parametrize(
    "name", ["status", "", "a/b", "-a", ".webp", "a.b.c", "a" * 65, "web\n", "web ", "wéb", "web.", "%41"]
)
def test_an_impossible_rendition_path_is_none(name):
    """Such a path is not a rendition path."""
    assert keys.rendition_name(f"/images/uploads/a.jpg/renditions/{name}") is None


@given(upload_keys)
@example("uploads/")
@example("uploads/a b+c%25(1).jpg")
@example("uploads/ü/ü/🏝️.jpg")
@example("uploads/what?.jpg")
@example("uploads/what%3F.jpg")
@example("uploads/what%253F.jpg")
@example("uploads/../../x.jpg")
@example("uploads/%2E%2E%2Fx%2Ejpg")
@example("uploads/nul\0.jpg")
@example("uploads/100%.jpg")
@example("uploads/status")
@example("uploads//status/")
def test_a_status_path_identifies_its_key(key):
    """For any name, the first key of its status path is this upload."""
    assert keys.image_keys(arrived(keys.status_path(key)))[0] == key


@given(upload_keys)
def test_status_path_is_plain_ascii_without_spaces(key):
    """The path is safe in curl, in mails and in an HTTP request line, and no proxy changes it."""
    path = keys.status_path(key)
    assert re.fullmatch(r"[A-Za-z0-9/_.~!'()*%-]+", path)
    assert key == "uploads/" or posixpath.normpath(path) == path
    assert not re.search("%(0|1|7F|3F)", path)


@given(names)
@example("a%2Bb")
@example("what%3F")
def test_a_path_that_a_user_encodes_once_identifies_its_name(name):
    """A user that encodes a name once needs no wrapping, because a wrapped name has no dot."""
    assume(len(f"uploads/{name}.jpg".encode()) <= keys.MAX_KEY_BYTES)
    assert keys.image_keys(f"/images/uploads/{name}.jpg/status")[0] == f"uploads/{name}.jpg"


each_notifying_machine = pytest.mark.parametrize(
    "machine", [machine for machine in MACHINES if "NotifyFailure" in machine.states], ids=lambda machine: machine.name
)


READERS = {"process_image": "ReadFailure", "settle_image": "ReadExecution"}
"""The state of each workflow that reads the key and the cause."""


def assigned(machine, key, name, cause=""):
    """Evaluate a variable of the workflow for a failed upload, before any function has run."""
    variables = {
        "upload": {"key": key},
        "failure": {"error": "Oops", "cause": cause, "step": "ClaimUpload"},
        "states": {"input": {"detail": {"input": json.dumps({"detail": {"object": {"key": key}}}), "cause": cause}}},
    }
    path = {READERS[machine.name]: ["texts"], "PrepareTexts": ["printable", "is_odd_name"], "DescribeFailure": [name]}
    for state, names in path.items():
        assignments = machine.states[state]["Assign"]
        variables |= {
            variable: evaluate(assignments[variable][2:-2], variables) for variable in names if variable in assignments
        }
    return variables[name]


@each_notifying_machine
@given(upload_keys)
@example("uploads/")
@example("uploads/../a//b?(1)'!*.jpg")
@example("uploads/%2E%2E")
@example("uploads/\x7f")
def test_the_workflow_computes_the_same_url_and_printable_name(machine, key):
    """The URL in a notification is the one that the API accepts, and the name is that of `keys.printable`."""
    assert assigned(machine, key, "status_url") == "${ImageStatusApiUrl}" + keys.status_path(key)
    assert assigned(machine, key, "shown_key") == keys.printable(key)


@each_notifying_machine
def test_the_workflow_replaces_the_same_characters(machine):
    """One expression makes the name and the cause, which may contain names, printable."""
    text = json.dumps(machine.definition).replace("\\\\", "\\")
    assert text.count("/[\\x00-\\x1f\\x7f-") == text.count(f"/{keys.UNPRINTABLE}/") == 1
    assert assigned(machine, "uploads/a", "printable", cause="b\x1b\u202ec") == ["uploads/a", "b??c"]


@given(st.text())
@example("\ud800 half a character")
@example("\u202e\x1b]0;t\x07\x9b31m\u2028\ufeff\uffff")
def test_printable_text_is_one_line_without_controls(text):
    """Control, direction and invisible characters are replaced; all others are unchanged."""
    line = keys.printable(text)
    assert len(line) == len(text)
    assert len(line.splitlines()) <= 1
    line.encode()
    for before, after in zip(text, line, strict=True):
        assert after in (before, "?")
        if unicodedata.category(after) in ("Cc", "Zl", "Zp", "Cs"):
            pytest.fail(f"{after!r} is shown")
        if unicodedata.bidirectional(after) in ("LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"):
            pytest.fail(f"{after!r} is shown")


@pytest.mark.parametrize("text", ["fox 🦊👩‍🚀", "Grün Åse", "می‌خواهم", "עברית", "日本語　だ", "<b>&amp;</b>"])
def test_ordinary_text_is_printed_unchanged(text):
    """Emoji, accents in both normal forms and right-to-left scripts are printable."""
    for form in ("NFC", "NFD"):
        spelled = unicodedata.normalize(form, text)
        assert keys.printable(spelled) == spelled


def impostor(key):
    """The upload whose name equals the rendition folder of another upload."""
    return keys.UPLOADS_PREFIX + keys.rendition_prefix(key).removeprefix(keys.THUMBNAILS_PREFIX).removesuffix("/")


@given(upload_keys, upload_keys)
@example("uploads/a/./x.jpg", impostor("uploads/a/./x.jpg"))
@example("uploads/" + "x" * 1016, impostor("uploads/" + "x" * 1016))
@example("uploads/a_b.jpg", "uploads/a\x1bb.jpg")
@example("uploads/a", "uploads/a/0123456789abcdef")
def test_two_uploads_never_share_a_rendition(first, second):
    """No two uploads share a rendition key, even if their names were sanitised or truncated."""
    assume(first != second)
    assert keys.rendition_key(first, "0123456789abcdef", "100x100.jpg") != keys.rendition_key(
        second, "0123456789abcdef", "100x100.jpg"
    )


@given(upload_keys)
@example("uploads/")
@example("uploads/../../x.jpg")
@example("uploads//x.jpg/")
def test_rendition_keys_are_safe_everywhere(key):
    """No browser, tool or file system changes the key, and XML can contain it."""
    rendition_key = keys.rendition_key(key, "0123456789abcdef", "100x100.jpg")
    assert rendition_key.startswith("thumbnails/")
    assert posixpath.normpath(rendition_key) == rendition_key
    assert keys.printable(rendition_key) == rendition_key


@given(names, st.integers(0, 40))
def test_rendition_keys_fit_into_s3(name, padding):
    """The rendition keys of the longest upload key are within S3's limit."""
    longest = (name * 1024).encode()[: keys.MAX_KEY_BYTES - len(keys.UPLOADS_PREFIX) - padding].decode(errors="ignore")
    key = keys.rendition_key(keys.UPLOADS_PREFIX + longest, "0" * 32, "n" * 64 + ".webp")
    assert key.startswith(keys.THUMBNAILS_PREFIX)
    assert len(key.encode()) <= keys.MAX_KEY_BYTES


def test_long_keys_with_different_ends_have_different_renditions():
    """The truncated part still makes a difference."""
    stem = "uploads/" + "ä" * 500
    assert keys.rendition_prefix(stem + "1") != keys.rendition_prefix(stem + "2")


def test_a_short_rendition_key_is_readable():
    """An operator finds the renditions of an upload by its name."""
    assert (
        keys.rendition_key("uploads/2026/beach day.jpg", "0123456789abcdef", "640x480.webp")
        == "thumbnails/2026/beach day.jpg/0123456789abcdef/640x480.webp"
    )


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("uploads/a.jpg", ("uploads/a.jpg",)),
        ("uploads/a+b.jpg", ("uploads/a+b.jpg", "uploads/a b.jpg")),
        ("uploads/a%2Bb.jpg", ("uploads/a%2Bb.jpg", "uploads/a+b.jpg")),
        ("uploads/100%.jpg", ("uploads/100%.jpg",)),
        ("uploads/%FF.jpg", ("uploads/%FF.jpg",)),
    ],
)
def test_the_raw_spelling_comes_first_and_the_decoded_one_second(key, expected):
    """A name may contain a literal `+` or `%2B`, so the raw spelling comes first."""
    assert keys.spellings(key) == expected


@pytest.mark.parametrize(
    "path",
    [
        "/images/uploads/",
        "/images/uploads/status",
        "/images/uploads/a.jpg",
        "/images/uploads/renditions/web",
        "/images/uploads/a.jpg/renditions/",
        "/images/uploads/a.jpg/renditions/a/b",
        "/images/a.jpg/status",
        "/status",
        "",
    ],
)
def test_another_path_has_its_own_error(path):
    """Another path, which other methods may accept, is a WrongPathError."""
    with pytest.raises(WrongPathError):
        keys.image_keys(path)


@pytest.mark.parametrize(
    "path",
    [
        "/images/uploads/\ud800.jpg/status",
        "/images/uploads/" + "x" * 1017 + "/status",
        "/images/uploads/" + "é" * 509 + "/status",
    ],
)
def test_impossible_paths_are_refused(path):
    """An impossible key is an InvalidKeyError."""
    with pytest.raises(InvalidKeyError):
        keys.image_keys(path)


def test_a_base_path_is_accepted():
    """A custom domain may add a base path."""
    assert keys.image_keys("/v1/images/uploads/a.jpg/status") == ("uploads/a.jpg",)


@given(upload_keys)
@example("uploads/what?.jpg")
@example("uploads/what%3F.jpg")
@example("uploads/../../x.jpg")
@example("uploads/%2E%2E%2Fx%2Ejpg")
@example("uploads/a//b")
def test_the_path_of_a_change_identifies_one_upload(key):
    """The path of a change means exactly the upload with the same status path."""
    assume(key != keys.UPLOADS_PREFIX)
    path = keys.status_path(key).removesuffix(keys.STATUS_SUFFIX)
    assert keys.upload_key(arrived(path)) == key
    assert keys.upload_key(arrived(path + keys.REPROCESS_SUFFIX), keys.REPROCESS_SUFFIX) == key


@pytest.mark.parametrize(
    ("path", "suffix"),
    [
        ("/images/uploads/../secret.jpg", ""),
        ("/images/uploads/a/../../thumbnails/x", ""),
        ("/images/uploads/./a.jpg", ""),
        ("/images/uploads/..", ""),
        ("/images/uploads//a.jpg", ""),
        ("/images/uploads/a\0.jpg", ""),
        ("/images/uploads/", ""),
        ("/images/uploads//reprocess", "/reprocess"),
        ("/images/uploads/../reprocess", "/reprocess"),
        ("/images/uploads/" + "x" * 1017, ""),
        ("/images/uploads/\ud800.jpg", ""),
    ],
)
def test_ambiguous_paths_change_nothing(path, suffix):
    """A proxy may have resolved the dots."""
    with pytest.raises(InvalidKeyError):
        keys.upload_key(path, suffix)


@pytest.mark.parametrize(
    ("path", "suffix"),
    [
        ("/images/thumbnails/a.jpg", ""),
        ("/images/uploads/a.jpg", "/reprocess"),
        ("/images/uploads/a.jpg/status", "/reprocess"),
        ("/images/uploads/reprocess", "/reprocess"),
    ],
)
def test_a_path_for_another_change_changes_nothing(path, suffix):
    """Such a path is a WrongPathError, not an InvalidKeyError."""
    with pytest.raises(WrongPathError):
        keys.upload_key(path, suffix)


def test_a_key_of_a_notification_is_decoded():
    """S3 form-encodes keys in its notifications, once."""
    assert keys.notified_key("uploads/a+b%2Bc%2520%C3%A9.jpg") == "uploads/a b+c%20é.jpg"


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("uploads/a.jpg", True),
        ("uploads/", True),
        ("uploads", False),
        ("Uploads/a", False),
        ("uploads/" + "é" * 509, False),
    ],
)
def test_only_objects_under_the_prefix_are_uploads(key, expected):
    """The length of a key is limited by S3."""
    assert keys.is_upload(key) is expected


@given(upload_keys)
def test_a_name_becomes_a_key_that_ends_with_it_or_is_refused(key):
    """A name is used unchanged or refused."""
    name = key.removeprefix(keys.UPLOADS_PREFIX)
    try:
        assert keys.key_for_name(name) == key
    except InvalidKeyError:
        parts = name.split("/")
        odd = any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in name)
        assert odd or not {"", ".", ".."}.isdisjoint(parts)
