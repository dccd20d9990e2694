"""The web page over real HTTP: addresses, headers, caching, and paths outside of it."""

from __future__ import annotations

import gzip
import http.client
import json
import re
import shutil
from urllib.parse import urlsplit

import pytest

from image_pipeline.api import apikeys, webpage
from local.pipeline import ROOT
from tests.conftest import aws_client


def ask(pipeline, path, method="GET", **headers):
    """Send a request with an unchanged path, which client libraries would change; return status, headers, body."""
    connection = http.client.HTTPConnection(urlsplit(pipeline.api_url).netloc, timeout=60)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def prefix(shared_pipeline):
    """Return the path of the files of the page, as in the index."""
    index = ask(shared_pipeline, "/")[2].decode()
    return "/" + re.search(r"page/[0-9a-f]+/", index)[0]


def test_the_page_is_at_the_address_of_the_api(shared_pipeline, prefix):
    """The index and every file that it and its modules name are served without a key."""
    assert shared_pipeline.outputs["WebPageUrl"] == shared_pipeline.api_url + "/"
    status, headers, body = ask(shared_pipeline, "/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b'content="image-pipeline"' in body
    files = [path for path in (ROOT / "web").rglob("*") if path.is_file() and path.name != "index.html"]
    for path in files:
        status, headers, body = ask(shared_pipeline, prefix + path.relative_to(ROOT / "web").as_posix())
        assert (status, headers["content-type"]) == (200, webpage.CONTENT_TYPES[path.suffix]), path
        assert "immutable" in headers["cache-control"]


def test_the_policy_names_the_addresses_of_presigned_urls(shared_pipeline):
    """Signed forms and URLs lead only to the origins that the page may use."""
    headers = ask(shared_pipeline, "/")[1]
    policy = headers["content-security-policy"]
    origins = set(re.findall(r"https?://[^\s;]+", policy))
    key = apikeys.create(shared_pipeline.client, table=shared_pipeline.outputs["ApiKeyTableName"], name="page")
    connection = http.client.HTTPConnection(urlsplit(shared_pipeline.api_url).netloc, timeout=60)
    connection.request("POST", "/images/presigned", '{"name": "a.jpg"}', {"x-api-key": key.text})
    signed = json.loads(connection.getresponse().read())
    connection.close()
    assert {"://".join(urlsplit(signed[name]["url"])[:2]) for name in ("post", "put")} == origins
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("encoding", ["gzip, br", "identity"])
@pytest.mark.parametrize("file", [None, "app.js"])
def test_a_browser_downloads_a_file_once(shared_pipeline, prefix, method, encoding, file):
    """HEAD has the headers of GET; the same etag gets 304 without a body, another one gets the file."""
    path = prefix + file if file else "/"
    status, headers, body = ask(shared_pipeline, path, accept_encoding=encoding)
    assert status == 200
    assert headers.get("content-encoding") == ("gzip" if "gzip" in encoding else None)
    plain = gzip.decompress(body) if "gzip" in encoding else body
    assert plain == ask(shared_pipeline, path)[2]
    head_status, head_headers, head_body = ask(shared_pipeline, path, "HEAD", accept_encoding=encoding)
    compared = {"etag", "content-type", "content-encoding", "content-length", "cache-control", "vary"}
    assert (head_status, head_body) == (200, b"")
    assert {name: headers.get(name) for name in compared} == {name: head_headers.get(name) for name in compared}
    known = ask(shared_pipeline, path, method, accept_encoding=encoding, if_none_match=headers["etag"])
    assert (known[0], known[2], known[1]["etag"]) == (304, b"", headers["etag"])
    assert ask(shared_pipeline, path, method, accept_encoding=encoding, if_none_match='"other"')[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "app.js/",
        "index.html",
        "none.js",
        "../app.js",
        "../../app.py",
        "..%2f..%2fapp.py",
        "%2e%2e/app.py",
        "%252e%252e/app.py",
        "..\\app.py",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "app.js%00",
        "app.js%c3%a9",
        ".",
        "styles",
        "APP.JS",
    ],
)
def test_a_path_reaches_no_other_file(shared_pipeline, prefix, path):
    """Dots, slashes and encodings do not lead out of the folder of the page."""
    connection_path = prefix + path
    status, headers, body = ask(shared_pipeline, connection_path)
    assert status == 404
    assert headers["cache-control"] == "no-store"
    assert b"root:" not in body
    assert b"import" not in body


def test_an_unknown_digest_is_404(shared_pipeline):
    """The digest of an earlier deployment is unknown."""
    assert ask(shared_pipeline, "/page/00000000000000000000/app.js")[0] == 404


@pytest.mark.parametrize("path", ["/", "/page/0/app.js"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_the_page_accepts_only_get_and_head(shared_pipeline, method, path):
    """The paths of the page are not paths of the API."""
    assert ask(shared_pipeline, path, method)[0] == 404


def test_a_page_of_another_site_cannot_read_the_page(shared_pipeline, prefix):
    """A script of a foreign origin and a name that resolves to loopback are refused."""
    for path in ("/", prefix + "app.js"):
        assert ask(shared_pipeline, path, Origin="https://evil.example")[0] == 403
        assert ask(shared_pipeline, path, Host="evil.example")[0] == 403


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, {"scopes": ["read", "upload", "delete"], "folder": None}),
        ({"scopes": frozenset({"read"}), "folder": "uploads/shop/"}, {"scopes": ["read"], "folder": "shop/"}),
    ],
)
def test_access_lists_the_permissions_of_the_key(shared_pipeline, limits, expected):
    """A request without a key gets 401, and one with an invented key 403."""
    from image_pipeline.api.scopes import Access

    table = shared_pipeline.outputs["ApiKeyTableName"]
    key = apikeys.create(shared_pipeline.client, table=table, name="page", access=Access(**limits))
    status, _, body = ask(shared_pipeline, "/access", x_api_key=key.text)
    assert status == 200
    assert expected.items() <= json.loads(body).items()
    assert ask(shared_pipeline, "/access")[0] == 401
    assert ask(shared_pipeline, "/access", x_api_key=f"ip_{'0' * 12}_{'0' * 43}")[0] == 403


@pytest.fixture
def application(tmp_path):
    """A copy of the application whose page can be edited."""
    shutil.copy(ROOT / "template.yml", tmp_path)
    for folder in ("statemachine", "functions", "layers", "monitoring", "web"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"), symlinks=True)
    return tmp_path


def test_an_edit_is_served_at_the_next_reload(pipeline, reconfigure, application):
    """The server follows the link in the folder of the function, and the digest changes with the file."""
    reconfigure(application / "template.yml")
    before = ask(pipeline, "/")[2]
    with (application / "web" / "app.js").open("a") as script:
        script.write("\nexport const edited = 1;\n")
    after = ask(pipeline, "/")[2].decode()
    assert after.encode() != before
    path = "/" + re.search(r"page/[0-9a-f]+/", after)[0] + "app.js"
    assert ask(pipeline, path)[2].endswith(b"export const edited = 1;\n")


def test_paths_of_a_disabled_page_are_unknown(pipeline, reconfigure):
    """`WebPage=OFF` answers as for any other unknown path, and the API works."""
    reconfigure(WebPage="OFF")
    unknown = ask(pipeline, "/unknown")
    assert unknown[0] == 404
    for path in ("/", "/page/0/app.js"):
        for method in ("GET", "HEAD"):
            answer = ask(pipeline, path, method)
            assert (answer[0], answer[2]) == (404, unknown[2] if method == "GET" else b"")
    assert ask(pipeline, "/access")[0] == 401
    assert "WebPageUrl" not in pipeline.outputs
    with pytest.raises(aws_client("s3").exceptions.ClientError):
        pipeline.client("s3").get_bucket_cors(Bucket=pipeline.uploads_bucket)
