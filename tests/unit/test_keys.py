"""image_pipeline.keys"""

from urllib.parse import unquote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from image_pipeline import keys
from image_pipeline.errors import InvalidKeyError

# Anything that S3 takes: UTF-8 text of at most 1024 bytes. Null is left out: no HTTP server takes it in a path.
names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=400).filter(
    lambda name: len(name.encode()) <= keys.MAX_KEY_BYTES - len(keys.UPLOADS_PREFIX)
)
upload_keys = names.map(lambda name: keys.UPLOADS_PREFIX + name)


def decoded_by_api_gateway(path: str) -> str:
    """An HTTP API decodes the path once and cuts it at a question mark that appears."""
    return unquote(path).partition("?")[0]


@given(upload_keys)
@example("uploads/a b+c%25(1).jpg")
@example("uploads/ü/ü/🏝️.jpg")
@example("uploads/what?.jpg")
@example("uploads/100%.jpg")
@example("uploads/status")
@example("uploads//status/")
def test_status_path_leads_back_to_its_key(key):
    """Whatever the name: the status URL that we print asks for that very upload."""
    assert key in keys.image_keys(decoded_by_api_gateway(keys.status_path(key)))


@given(upload_keys)
def test_status_path_is_plain_ascii_without_spaces(key):
    """It can be pasted into curl, a mail and an HTTP request line."""
    path = keys.status_path(key)
    assert path.isascii()
    assert not set(path) & set(' "<>\\^`{|}?#\n\r')


@given(upload_keys, upload_keys)
def test_two_uploads_never_share_a_rendition(one, other):
    """Full path in the name: `a/x.jpg`, `b/x.jpg` and `x.jpeg` do not collide, however long they are."""
    assume(one != other)
    assert keys.rendition_key(one, "0123456789abcdef", "100x100.jpg") != keys.rendition_key(
        other, "0123456789abcdef", "100x100.jpg"
    )


@given(names, st.integers(0, 40))
def test_rendition_keys_fit_into_s3(name, padding):
    """A key at S3's limit still has renditions, below S3's limit."""
    longest = (name * 1024).encode()[: keys.MAX_KEY_BYTES - len(keys.UPLOADS_PREFIX) - padding].decode(errors="ignore")
    key = keys.rendition_key(keys.UPLOADS_PREFIX + longest, "0" * 32, "n" * 64 + ".webp")
    assert key.startswith(keys.THUMBNAILS_PREFIX)
    assert len(key.encode()) <= keys.MAX_KEY_BYTES


def test_long_keys_that_differ_at_the_end_stay_apart():
    """The part that is cut off still decides."""
    stem = "uploads/" + "ä" * 500
    assert keys.rendition_prefix(stem + "1") != keys.rendition_prefix(stem + "2")


def test_short_rendition_key_is_readable():
    """Somebody who looks into the bucket finds the renditions of a picture by its name."""
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
    """A name may truly hold `+` or `%2B`, and some senders encode: raw wins, and decoding happens once."""
    assert keys.spellings(key) == expected


@pytest.mark.parametrize(
    "path",
    [
        "/images/uploads//status",
        "/images/uploads/",
        "/images/uploads/status",
        "/images/uploads/a.jpg",
        "/images/a.jpg/status",
        "/status",
        "",
        "/images/uploads/a\0.jpg/status",
        "/images/uploads/\ud800.jpg/status",
        "/images/uploads/" + "x" * 1017 + "/status",
        "/images/uploads/" + "é" * 509 + "/status",
    ],
)
def test_paths_that_cannot_be_keys_are_refused(path):
    """The API answers 400 instead of asking the table for what cannot be in it."""
    with pytest.raises(InvalidKeyError):
        keys.image_keys(path)


def test_a_path_behind_a_custom_domain_is_understood():
    """A base path mapping puts its own prefix before the path."""
    assert keys.image_keys("/v1/images/uploads/a.jpg/status") == ("uploads/a.jpg",)
