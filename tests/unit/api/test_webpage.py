"""image_pipeline.api.webpage"""

import base64
import gzip
import re
import subprocess
import sys

import pytest

from image_pipeline.api import webpage
from tests.conftest import ROOT

HEADERS = webpage.security_headers(uploads_url="https://uploads.example", renditions_url="https://renditions.example")
POLICY = {
    name: set(sources.split())
    for name, _, sources in (part.partition(" ") for part in HEADERS["content-security-policy"].split("; "))
}
TEXT = "export const text = 'ü';\n" * 50


@pytest.fixture
def folder(tmp_path):
    """A folder with a page of three files, and with other files."""
    (tmp_path / "styles").mkdir()
    (tmp_path / "index.html").write_text('<p title="{{stack}}">{{authorization}}</p><script src="{{page}}app.js">')
    (tmp_path / "app.js").write_text(TEXT)
    (tmp_path / "styles" / "page.css").write_text("p { color: red }")
    (tmp_path / "dot.png").write_bytes(b"\x89PNG")
    (tmp_path / "notes.txt").write_text("not served")
    (tmp_path / "app.js~").write_text("not served")
    return tmp_path


def load(folder, stack="my-stack", headers=HEADERS):
    return webpage.WebPage(folder, {"stack": stack, "authorization": "key"}, headers)


def body(answer):
    """The bytes of an answer, unpacked."""
    data = base64.b64decode(answer["body"])
    return gzip.decompress(data) if answer["headers"].get("content-encoding") == "gzip" else data


def test_the_index_names_the_stack_and_the_files(folder):
    """Addresses of files are relative, so that the page works below the base path of a custom domain."""
    page = load(folder)
    expected = f'<p title="my-stack">key</p><script src="page/{page.digest}/app.js">'
    answer = page.index.answer({})
    assert (answer["statusCode"], body(answer).decode()) == (200, expected)
    assert answer["headers"]["content-type"] == "text/html; charset=utf-8"
    assert answer["headers"]["cache-control"] == "no-cache"


def test_a_name_cannot_add_markup(folder):
    """The values of placeholders are escaped."""
    index = body(load(folder, stack='"><b>{{page}}').index.answer({})).decode()
    assert index.startswith('<p title="&quot;&gt;&lt;b&gt;{{page}}">')


def test_an_unknown_placeholder_is_an_error(folder):
    """A page with a gap is never served."""
    (folder / "index.html").write_text("{{other}}")
    with pytest.raises(KeyError, match="other"):
        load(folder)


@pytest.mark.parametrize(
    ("name", "content_type", "content"),
    [
        ("app.js", "text/javascript; charset=utf-8", TEXT.encode()),
        ("styles/page.css", "text/css; charset=utf-8", b"p { color: red }"),
        ("dot.png", "image/png", b"\x89PNG"),
    ],
)
def test_a_file_is_cached_for_a_year(folder, name, content_type, content):
    """Its address contains the digest, so its content never changes."""
    page = load(folder)
    answer = page.find(page.digest, name).answer({})
    assert (answer["statusCode"], body(answer)) == (200, content)
    assert answer["headers"]["content-type"] == content_type
    assert answer["headers"]["cache-control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize(
    "name", ["index.html", "notes.txt", "app.js~", "../app.js", "styles", "", "/etc/passwd", "APP.JS"]
)
def test_only_files_of_the_page_are_served(folder, name):
    """The page consists of files of known types; the index is served only at its own address, with its values."""
    page = load(folder)
    assert page.find(page.digest, name) is None


def test_a_file_has_no_other_digest(folder):
    """Under the digest of another version, a browser would cache the wrong file for a year."""
    page = load(folder)
    assert page.find("0" * len(page.digest), "app.js") is None


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "app.js").write_text("other"),
        lambda folder: (folder / "app.js").rename(folder / "main.js"),
        lambda folder: (folder / "new.js").write_text(""),
        lambda folder: (folder / "dot.png").unlink(),
    ],
)
def test_any_change_changes_the_digest(folder, change):
    """The same files have the same digest."""
    digest = load(folder).digest
    assert load(folder).digest == digest
    change(folder)
    assert load(folder).digest != digest


@pytest.mark.parametrize(
    ("accepted", "compressed"),
    [
        ("gzip, br", True),
        ("gzip;q=0", False),
    ],
)
def test_a_client_that_accepts_gzip_gets_it(folder, accepted, compressed):
    """Every client gets the same content, and caches keep the representations apart."""
    page = load(folder)
    file = page.find(page.digest, "app.js")
    answer = file.answer({"accept-encoding": accepted})
    assert body(answer) == TEXT.encode()
    assert (answer["headers"].get("content-encoding") == "gzip") == compressed
    assert answer["headers"]["vary"] == "accept-encoding"
    assert compressed == (answer["headers"]["etag"] != file.answer({})["headers"]["etag"])


def test_an_image_is_not_compressed_again(folder):
    """PNG is compressed already."""
    page = load(folder)
    headers = page.find(page.digest, "dot.png").answer({"accept-encoding": "gzip"})["headers"]
    assert not {"content-encoding", "vary"} & headers.keys()


@pytest.mark.parametrize("accepted", ["gzip", ""])
def test_a_browser_that_has_the_file_gets_no_body(folder, accepted):
    """The answer has all headers of the file, because they replace the stored ones."""
    index = load(folder).index
    request = {"accept-encoding": accepted}
    full = index.answer(request)
    answer = index.answer({**request, "if-none-match": f'"x", {full["headers"]["etag"]}'})
    assert (answer["statusCode"], "body" in answer) == (304, False)
    assert answer["headers"].items() <= full["headers"].items()
    assert full["headers"].keys() - answer["headers"].keys() <= {"content-type", "content-encoding"}
    assert index.answer({**request, "if-none-match": '"x"'})["statusCode"] == 200


def test_another_policy_changes_the_etag(folder):
    """After a change of the headers, no browser keeps the index with the old ones."""
    headers = webpage.security_headers(uploads_url="https://other.example", renditions_url="https://r.example")
    tags = {load(folder, headers=variant).index.answer({})["headers"]["etag"] for variant in (HEADERS, headers)}
    assert len(tags) == 2


def test_every_answer_has_the_security_headers(folder):
    """A document has all of them, and other files those that concern them, with and without a body."""
    (folder / "icon.svg").write_text("<svg/>")
    page = load(folder)
    names = {"icon.svg": HEADERS, "app.js": webpage.ASSET_HEADERS, "dot.png": webpage.ASSET_HEADERS}
    files = [(page.index, HEADERS), *((page.find(page.digest, name), headers) for name, headers in names.items())]
    for file, expected in files:
        for request in ({}, {"if-none-match": "*"}):
            headers = file.answer(request)["headers"]
            assert {name: headers.get(name) for name in HEADERS} == {name: expected.get(name) for name in HEADERS}


@pytest.mark.parametrize(
    ("source", "served"),
    [
        ("/** One.\n * two\n */\nexport const a = 1;\n", "\n\n\nexport const a = 1;\n"),
        ("  // why\n  a(); // kept\n", "\na(); // kept\n"),
        ("a {\n\tb: 'c  d';\n\n  }\n", "a {\nb: 'c  d';\n\n}\n"),
        ("a = 'http://x'; /* kept */\n", "a = 'http://x'; /* kept */\n"),
        ("/* one */ a();\n/* two */\n", "/* one */ a();\n\n"),
        ("/* one */\na();\n/* two */\n", "\na();\n\n"),
    ],
)
def test_comments_and_indentation_are_not_sent(source, served):
    """Only whole lines of comments are removed, so line numbers in errors stay correct."""
    assert webpage.condensed(source) == served


def test_the_policy_allows_only_the_sources_of_the_page():
    """Scripts and styles come from the origin of the page, images and uploads from the buckets; nothing is inline."""
    assert POLICY.pop("img-src") == {"'self'", "blob:", "https://renditions.example"}
    assert POLICY.pop("connect-src") == {"'self'", "https://uploads.example"}
    assert {name for name, sources in POLICY.items() if sources == {"'self'"}} == {"script-src", "style-src"}
    assert POLICY["require-trusted-types-for"] == {"'script'"}
    nothing = {name for name, sources in POLICY.items() if sources == {"'none'"}}
    assert nothing == {"default-src", "form-action", "base-uri", "frame-ancestors", "trusted-types"}


def test_the_policy_contains_origins():
    """In a local run, the buckets are paths of one origin, and forms go to the path without a slash."""
    headers = webpage.security_headers(uploads_url="http://127.0.0.1:1/a", renditions_url="http://127.0.0.1:2/b")
    assert "connect-src 'self' http://127.0.0.1:1;" in headers["content-security-policy"]
    assert "blob: http://127.0.0.1:2;" in headers["content-security-policy"]


def test_the_first_visitor_does_not_wait_for_boto3():
    """The module imports neither boto3 nor the logger, which would take most of a cold start."""
    code = "import sys, image_pipeline.settings, image_pipeline.api.webpage; print(*sys.modules)"
    path = {"PYTHONPATH": str(ROOT / "layers" / "core")}
    modules = subprocess.run([sys.executable, "-c", code], env=path, capture_output=True, text=True, check=True).stdout
    assert not set(modules.split()) & {"boto3", "botocore", "image_pipeline.jsonlog", "image_pipeline.aws"}


def test_every_file_of_the_page_is_served():
    """A file with an unknown suffix would be missing only on AWS."""
    files = {path.relative_to(ROOT / "web").as_posix() for path in (ROOT / "web").rglob("*") if path.is_file()}
    page = load(ROOT / "web")
    assert {name for name in files if not page.find(page.digest, name)} == {"index.html"}
    assert not re.findall(r"\{\{|\}\}", body(page.index.answer({})).decode())
