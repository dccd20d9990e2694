"""emulator/cors.py: CORS as S3 and API Gateway implement it."""

from __future__ import annotations

import http.client
import itertools
import json
import socket
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import boto3
import pytest
import requests
from botocore.config import Config

from image_pipeline.api import apikeys
from local.emulator.clients import DUMMY_KEY
from local.emulator.cors import BucketCors, Rule, matches, with_api_headers
from local.emulator.http_api import HttpApi, Route
from local.emulator.workers import InvocationResult
from local.pipeline import Pipeline
from tests.local.conftest import OTHER_PAGE, PAGE
from tests.pictures import encoded, gradient

PICTURE = encoded(gradient(24, 16))
FETCHED = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
UPLOADS = Rule((PAGE, "https://*.shop.example"), ("PUT", "POST"), ("content-type", "x-amz-*"), ("etag",), 3600)
READS = Rule(("*",), ("GET",))


class Answer(NamedTuple):
    """The answer that a browser receives."""

    status: int
    headers: Any
    body: bytes


def ask(url: str, method: str = "GET", headers: dict[str, str] | None = None, body: bytes | None = None) -> Answer:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target or "/", body, headers or {})
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


def call(rules: list[Rule], method: str, headers: dict[str, str], inner: Any = ()) -> tuple[str, dict[str, str]]:
    """Send a request to a bucket with these rules; the application behind answers with the headers `inner`."""
    environ = {"REQUEST_METHOD": method, "PATH_INFO": "/bucket/a", "HTTP_HOST": "127.0.0.1:1"}
    environ |= {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
    started: list[Any] = []

    def bucket(_: Any, start_response: Any) -> Any:
        start_response("200 OK", list(inner))
        return [b"content"]

    list(
        BucketCors(bucket, lambda name: rules if name == "bucket" else [])(
            environ, lambda *fetch_headers: started.extend(fetch_headers)
        )
    )
    return started[0], dict(started[1])


@pytest.mark.parametrize(
    ("pattern", "text", "matching"),
    [
        ("https://a.b", "https://a.b", True),
        ("https://a.b", "https://a-b", False),
        ("https://a.b", "https://a.b.c", False),
        ("https://*.b", "https://a.b", True),
        ("https://*.b", "https://.b", True),
        ("https://*.b", "http://a.b", False),
        ("https://*.b", "https://a.b.c", False),
        ("*", "null", True),
        ("*", "", True),
        ("", "https://a", False),
    ],
)
def test_a_star_matches_any_characters(pattern, text, matching):
    """No other character is a wildcard."""
    assert matches(pattern, text) is matching


def test_a_bucket_answers_a_preflight_by_its_first_matching_rule():
    """The answer has the requested headers and the maximum age."""
    request_headers = {
        "Origin": "https://de.shop.example",
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "Content-Type, X-Amz-Meta-A",
    }
    status, headers = call([READS, UPLOADS], "OPTIONS", request_headers)
    assert status == "200 OK"
    assert headers["Access-Control-Allow-Origin"] == "https://de.shop.example"
    assert headers["Access-Control-Allow-Credentials"] == "true"
    assert headers["Access-Control-Allow-Methods"] == "PUT, POST"
    assert headers["Access-Control-Allow-Headers"] == "content-type, x-amz-meta-a"
    assert headers["Access-Control-Max-Age"] == "3600"
    assert headers["Vary"] == "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"


@pytest.mark.parametrize(
    ("origin", "method", "names"),
    [("https://evil.example", "PUT", ""), (PAGE, "DELETE", ""), (PAGE, "PUT", "content-type, authorization")],
)
def test_a_bucket_refuses_a_preflight_that_matches_no_rule(origin, method, names):
    """One rule must allow the origin, the method and every header."""
    request_headers = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": names,
    }
    status, headers = call([READS, UPLOADS], "OPTIONS", request_headers)
    assert status == "403 Forbidden"
    assert not [name for name in headers if name.startswith("Access-Control")]


@pytest.mark.parametrize("missing", ["Origin", "Access-Control-Request-Method"])
def test_a_preflight_without_its_headers_is_a_bad_request(missing):
    """The error of S3 names the missing header."""
    request_headers = {"Origin": PAGE, "Access-Control-Request-Method": "PUT"}
    del request_headers[missing]
    assert call([UPLOADS], "OPTIONS", request_headers)[0] == "400 Bad Request"


def test_answers_of_a_bucket_have_only_the_headers_of_its_rule():
    """CORS headers of the application behind are removed."""
    inner = [("ETag", "e"), ("Access-Control-Allow-Origin", "https://evil.example")]
    _, allowed = call([UPLOADS], "PUT", {"Origin": PAGE}, inner)
    assert (allowed["Access-Control-Allow-Origin"], allowed["Access-Control-Expose-Headers"]) == (PAGE, "etag")
    assert allowed["ETag"] == "e"
    for rules, method in (([UPLOADS], "GET"), ([], "PUT")):
        _, refused = call(rules, method, {"Origin": PAGE}, inner)
        assert not [name for name in refused if name.startswith("Access-Control")]
    _, public = call([READS], "GET", {"Origin": "null"}, inner)
    assert public["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in public


def test_the_api_replaces_the_headers_of_a_function():
    """API Gateway ignores CORS headers of an integration."""
    rule = Rule((PAGE,), ("GET", "POST"), ("x-api-key",), ("etag", "location"), 60)
    for origin, allowed in ((PAGE, PAGE), ("https://evil.example", None), (None, None)):
        environ = {"REQUEST_METHOD": "GET"} | ({"HTTP_ORIGIN": origin} if origin else {})
        started: list[Any] = []
        start = with_api_headers(rule, environ, lambda *arguments, to=started: to.extend(arguments))
        start("200 OK", [("access-control-allow-origin", "*"), ("x", "y")])
        headers = dict(started[1])
        assert headers.get("access-control-allow-origin") == allowed
        assert headers.get("access-control-expose-headers") == (allowed and "etag,location")
        assert headers["x"] == "y"


def test_the_api_answers_preflights_without_a_route():
    """API Gateway answers preflights for every path; if a route matches, it invokes the function."""
    request_headers: list[str] = []

    def invoke(function: str, _: bytes) -> InvocationResult:
        request_headers.append(function)
        return InvocationResult(json.dumps({"statusCode": 204}))

    rule = Rule((PAGE,), ("GET", "POST"), ("x-api-key",), (), 60)
    api = HttpApi([Route("OPTIONS", "/taken", "function")], invoke, cors_rule=rule)
    for path, called in (("/free", []), ("/taken", ["function"])):
        started: list[Any] = []
        environ = {"REQUEST_METHOD": "OPTIONS", "PATH_INFO": path, "HTTP_ORIGIN": PAGE}
        environ["HTTP_ACCESS_CONTROL_REQUEST_METHOD"] = "POST"
        list(api(environ, lambda *arguments, to=started: to.extend(arguments)))
        headers = dict(started[1])
        assert started[0] == "204 No Content"
        assert headers["access-control-allow-methods"] == "GET,POST"
        assert headers["access-control-allow-headers"] == "x-api-key"
        assert headers["access-control-max-age"] == "60"
        assert request_headers == called
    plain = HttpApi([], invoke)
    environ = {"REQUEST_METHOD": "OPTIONS", "PATH_INFO": "/free", "HTTP_ORIGIN": PAGE}
    list(
        plain(
            environ | {"HTTP_ACCESS_CONTROL_REQUEST_METHOD": "POST"},
            lambda *fetch_headers: started.extend(fetch_headers),
        )
    )
    assert started[-2] == "404 Not Found"


@pytest.fixture(scope="module")
def key(open_to_pages: Pipeline) -> str:
    return apikeys.create(open_to_pages.client, table=open_to_pages.outputs["ApiKeyTableName"], name="pages").text


@pytest.mark.parametrize("origin", [PAGE, OTHER_PAGE])
def test_a_page_of_an_allowed_origin_uploads_and_follows(open_to_pages, key, origin):
    """All requests of a browser succeed: preflights, the signed form, and the status."""
    page, api = {"Origin": origin, **FETCHED}, open_to_pages.api_url
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,x-api-key"}
    allowed = ask(f"{api}/images/presigned", "OPTIONS", page | preflight)
    assert (allowed.status, allowed.headers["access-control-allow-origin"]) == (204, origin)
    assert "POST" in allowed.headers["access-control-allow-methods"]
    assert {"content-type", "x-api-key"} <= set(allowed.headers["access-control-allow-headers"].split(","))
    name = f"from-{urlsplit(origin).hostname}.jpg"
    wish = json.dumps({"name": name, "contentType": "image/jpeg", "sizeBytes": len(PICTURE), "method": "POST"}).encode()
    signed = ask(f"{api}/images/presigned", "POST", page | {"x-api-key": key, "Content-Type": "application/json"}, wish)
    assert (signed.status, signed.headers["access-control-allow-origin"]) == (200, origin)
    post = json.loads(signed.body)["post"]
    form = requests.Request("POST", post["url"], data=post["fields"], files={"file": ("a", PICTURE)}).prepare()
    stored = ask(post["url"], "POST", page | dict(form.headers), form.body)
    assert (stored.status // 100, stored.headers["access-control-allow-origin"]) == (2, origin)
    status = f"{api}/images/uploads/{name}/status?wait=10"
    open_to_pages.wait_for(f"uploads/{name}")
    response = ask(status, "GET", page)
    assert (json.loads(response.body)["status"], response.headers["access-control-allow-origin"]) == (
        "COMPLETED",
        origin,
    )


def test_a_page_of_an_allowed_origin_puts_to_a_signed_url(open_to_pages, key):
    """S3 answers the preflight, and the page can read the version id."""
    page, api = {"Origin": PAGE, **FETCHED}, open_to_pages.api_url
    wish = {"name": "put.jpg", "contentType": "image/jpeg", "sizeBytes": len(PICTURE), "method": "PUT"}
    headers = page | {"x-api-key": key, "Content-Type": "application/json"}
    signed = json.loads(ask(f"{api}/images/presigned", "POST", headers, json.dumps(wish).encode()).body)["put"]
    names = ",".join({name.lower() for name in signed["headers"]} - {"content-length"})  # a browser sets that itself
    preflight = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": names}
    allowed = ask(signed["url"], "OPTIONS", page | preflight)
    assert (allowed.status, allowed.headers["access-control-allow-origin"]) == (200, PAGE)
    stored = ask(signed["url"], "PUT", page | signed["headers"], PICTURE)
    assert (stored.status, stored.headers["access-control-allow-origin"]) == (200, PAGE)
    assert "x-amz-version-id" in stored.headers["access-control-expose-headers"]


def test_a_page_reads_errors_too(open_to_pages):
    """A page can show the error to its user."""
    for method, path, status in (("GET", "/nothing", 404), ("POST", "/images", 401), ("PUT", "/images", 405)):
        answer = ask(f"{open_to_pages.api_url}{path}", method, {"Origin": PAGE, **FETCHED})
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (status, PAGE)
    url = f"{open_to_pages.aws_url}/{open_to_pages.uploads_bucket}/uploads/x?X-Amz-Signature=0"
    answer = ask(url, "PUT", {"Origin": PAGE, **FETCHED})
    assert answer.status == 400
    assert answer.headers["access-control-allow-origin"] == PAGE


def test_the_page_of_the_api_may_use_both_ports(open_to_pages):
    """A page that the local API serves may use both ports, by any name of loopback."""
    port = urlsplit(open_to_pages.api_url).port
    for name, site in itertools.product(
        ("127.0.0.1", "localhost", "[::1]"), ("same-site", "cross-site", "same-origin")
    ):
        page = {"Origin": f"http://{name}:{port}", "Sec-Fetch-Site": site}
        assert ask(f"{open_to_pages.api_url}/images/uploads/x.jpg/status", "GET", page).status == 404
        assert ask(open_to_pages.aws_url, "GET", page).status == 200


@pytest.mark.parametrize("referer", [PAGE + "/", PAGE + "/a/b?c", OTHER_PAGE + "/"])
@pytest.mark.parametrize("target", ["image", "document"])
def test_pictures_and_links_of_an_allowed_page_are_answered(open_to_pages, referer, target):
    """Requests of images and links have no Origin; the Referer names the page."""
    mode = {"image": "no-cors", "document": "navigate"}[target]
    fetch_headers = {
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": mode,
        "Sec-Fetch-Dest": target,
        "Referer": referer,
    }
    open_to_pages.upload("elsewhere/picture.jpg", PICTURE)
    url = open_to_pages.client("s3").generate_presigned_url(
        "get_object", Params={"Bucket": open_to_pages.uploads_bucket, "Key": "elsewhere/picture.jpg"}
    )
    assert ask(url, "GET", fetch_headers).body == PICTURE


@pytest.mark.parametrize("fetch_headers", [{}, {"Sec-Fetch-Site": "none"}, {"Sec-Fetch-Site": "same-origin"}], ids=str)
def test_addresses_that_a_user_types_are_answered(open_to_pages, fetch_headers):
    """Requests without any header about pages are answered."""
    assert ask(f"{open_to_pages.api_url}/images/uploads/x.jpg/status", "GET", fetch_headers).status == 404
    assert ask(open_to_pages.aws_url, "GET", fetch_headers).status == 200


@pytest.mark.parametrize("style", ["path", "virtual"])
def test_the_sdk_finds_buckets_in_path_and_host(open_to_pages, style, monkeypatch):
    """If the host contains the bucket, that bucket is checked."""
    resolve = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _, *rest, **more: resolve("127.0.0.1", *rest, **more))
    s3 = boto3.client(
        "s3",
        endpoint_url=f"http://localhost:{urlsplit(open_to_pages.aws_url).port}",
        region_name=open_to_pages.region,
        aws_access_key_id=DUMMY_KEY,
        aws_secret_access_key=DUMMY_KEY,
        config=Config(s3={"addressing_style": style}, signature_version="s3v4"),
    )
    bucket, key = open_to_pages.uploads_bucket, f"elsewhere/in the {style}"
    s3.put_object(Bucket=bucket, Key=key, Body=b"content")
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"content"
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key})
    assert (f"{bucket}.localhost" in url) is (style == "virtual")
    assert requests.get(url, timeout=60).content == b"content"
    assert requests.get(url.replace("Signature=", "Signature=0"), timeout=60).status_code == 403


def test_the_buckets_accept_pages_of_the_origin_of_the_api(open_to_pages, key):
    """With WebPage=ON, a page of the API uploads and reads renditions; pages of other origins do not."""
    own, other = open_to_pages.api_url, "https://evil.example"
    s3, thumbnails = open_to_pages.client("s3"), open_to_pages.outputs["ThumbnailsBucketName"]
    s3.put_object(Bucket=thumbnails, Key="thumbnails/cors/web.png", Body=PICTURE)
    for method, operation in (("GET", "get_object"), ("HEAD", "head_object")):
        url = s3.generate_presigned_url(operation, {"Bucket": thumbnails, "Key": "thumbnails/cors/web.png"})
        for origin in (own, PAGE):
            read = ask(url, method, {"Origin": origin, **FETCHED})
            assert (read.status, read.headers["access-control-allow-origin"]) == (200, origin)
        refused = ask(url, method, {"Origin": other, **FETCHED})
        assert (refused.status, refused.headers["access-control-allow-origin"]) == (403, None)
    preflight = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "content-type", **FETCHED}
    upload = f"{open_to_pages.aws_url}/{open_to_pages.uploads_bucket}/uploads/x"
    assert [ask(upload, "OPTIONS", {"Origin": origin, **preflight}).status for origin in (own, PAGE)] == [200, 200]
    stored = f"{open_to_pages.aws_url}/{thumbnails}/thumbnails/x"
    assert ask(stored, "OPTIONS", {"Origin": own, **preflight}).status == 403
