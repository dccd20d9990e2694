"""Uploads over HTTP: in a request, by presigned form, and by presigned URL."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit
from urllib.request import urlopen

import boto3
import pytest
from botocore.config import Config
from urllib3.filepost import encode_multipart_formdata

from image_pipeline.api import apikeys, presign
from image_pipeline.api.intake import MAX_BYTES
from image_pipeline.keys import status_path
from local.emulator.clients import DUMMY_KEY
from local.pipeline import Pipeline
from tests.conftest import HEAVY, ROOT
from tests.pictures import photo
from tests.workflow.conftest import silent_bucket

PHOTO = photo(200, 150)
CURL = shutil.which("curl")
DOCUMENT = (ROOT / "docs" / "uploading.md").read_text()


class Answer(NamedTuple):
    """The response of the API."""

    status: int
    headers: Any
    text: str

    @property
    def body(self) -> Any:
        """Parse a JSON body."""
        return json.loads(self.text)

    @property
    def code(self) -> str:
        """Return the code of an S3 error."""
        match = re.search("<Code>(.*)</Code>", self.text)
        return match[1] if match else ""


def send(method: str, url: str, data: bytes | None, headers: dict[str, str]) -> Answer:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc)
    try:
        connection.request(method, url.removeprefix(f"http://{parts.netloc}"), data, headers)
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read().decode())
    finally:
        connection.close()


@pytest.fixture
def key(pipeline: Pipeline) -> str:
    return apikeys.create(pipeline.client, table=pipeline.outputs["ApiKeyTableName"], name="a test").text


@pytest.fixture
def unprocessed(pipeline: Pipeline) -> Iterator[None]:
    """Do not process the uploads of a test that only looks at what is stored."""
    with silent_bucket(pipeline):
        yield


Post = Callable[..., Answer]


@pytest.fixture
def post(pipeline: Pipeline, key: str) -> Post:
    """Send a request to the API with a key."""

    def post(path: str, data: bytes = PHOTO, **headers: str) -> Answer:
        request_headers = {"x-api-key": key} | {name.replace("_", "-"): value for name, value in headers.items()}
        return send("POST", pipeline.api_url + path, data, request_headers)

    return post


@pytest.fixture
def signed(post: Post, folder: str) -> Callable[..., Any]:
    """Request a presigned upload in the folder of this test."""

    def sign(name: str, **fields: Any) -> Any:
        fields = {"name": f"{folder.removeprefix('uploads/')}/{name}", "contentType": "image/jpeg"} | fields
        answer = post("/images/presigned", json.dumps(fields).encode(), content_type="application/json")
        assert answer.status == 200, answer.text
        return answer.body

    return sign


def by_form(form: Any, data: bytes = PHOTO, **change: str) -> Answer:
    fields = form["fields"] | {name.replace("_", "-"): value for name, value in change.items()}
    body, content_type = encode_multipart_formdata([*fields.items(), ("file", ("any.jpg", data))])
    return send("POST", form["url"], body, {"content-type": content_type})


def by_url(put: Any, data: bytes = PHOTO, **change: str) -> Answer:
    headers = put["headers"] | {name.replace("_", "-"): value for name, value in change.items()}
    return send("PUT", put["url"], data, headers)


def stored(pipeline: Pipeline, key: str) -> tuple[bytes, str] | None:
    s3 = pipeline.client("s3")
    try:
        answer = s3.get_object(Bucket=pipeline.uploads_bucket, Key=key)
    except s3.exceptions.NoSuchKey:
        return None
    return answer["Body"].read(), answer["ContentType"]


def status(pipeline: Pipeline, url: str) -> str:
    """Return the status after the upload is processed."""
    latest: list[Any] = [None]

    def settled() -> bool:
        latest[0] = send("GET", url, None, {}).body.get("status")
        return latest[0] not in (None, 404, "PROCESSING")

    pipeline.wait_until(settled, url)
    return str(latest[0])


FOCUS = {"x": 0.25, "y": 0.75}  # equal to its decimals


@pytest.mark.parametrize("name", ["a, b & ü+%41?.jpg", pytest.param("beach.jpg", marks=HEAVY)])
def test_an_image_in_a_request_is_processed(pipeline, folder, post, name):
    """The answer is 202 with the status URL; the focus is stored."""
    image_key = f"{folder}/{name}"
    path = "/images?name=" + quote(image_key.removeprefix("uploads/"), safe="") + "&focus=0.25,0.75"
    answer = post(path, content_type="application/x-www-form-urlencoded")  # as curl calls any data
    assert answer.status == 202
    assert answer.body["imageKey"] == image_key
    assert answer.body["statusUrl"] == pipeline.api_url + answer.headers["location"]
    assert (answer.body["status"], answer.body["sizeBytes"]) == ("PROCESSING", len(PHOTO))
    assert status(pipeline, answer.body["statusUrl"]) == "COMPLETED"
    record = pipeline.record(image_key)
    assert (record["upload"]["versionId"], record["focus"]) == (answer.body["versionId"], FOCUS)
    assert stored(pipeline, image_key) == (PHOTO, "image/jpeg")


def test_an_image_without_a_name_gets_a_generated_name(pipeline, post):
    """The answer contains the generated name."""
    first = post("/images", content_type="image/png")
    with silent_bucket(pipeline):
        second = post("/images")
    assert first.body["imageKey"] != second.body["imageKey"]
    assert first.body["contentType"] == "image/jpeg"
    assert status(pipeline, first.body["statusUrl"]) == "COMPLETED"


def test_a_header_or_a_form_sets_the_name(unprocessed, pipeline, post):
    """The name is UTF-8 or encoded by RFC 6266; folders of the sender are removed."""
    header = post("/images", content_disposition="attachment; filename*=UTF-8''..%2Fheader%20%C3%BC.jpg")
    assert header.body["imageKey"] == "uploads/header ü.jpg"
    body, content_type = encode_multipart_formdata([("note", "x"), ("file", ("form ü.jpg", PHOTO, "text/plain"))])
    form = post("/images", body, content_type=content_type)
    assert (form.status, form.body["imageKey"]) == (202, "uploads/form ü.jpg")
    assert stored(pipeline, "uploads/form ü.jpg") == (PHOTO, "image/jpeg")


def counted(pipeline: Pipeline) -> list[int]:
    """Count the versions with these names, as S3 encodes them."""
    address = f"{pipeline.aws_url}/{pipeline.uploads_bucket}?versions&prefix="
    listings = []
    for prefix in ("uploads/x", "uploads/a/", "x", "uploads//"):
        with urlopen(address + prefix) as answer:
            listings.append(answer.read())
    return [listing.count(b"<Version>") for listing in listings]


@pytest.mark.parametrize(
    ("name", "data", "headers", "expected"),
    [
        ("x.jpg", b"", {}, 400),
        ("..%2Fx.jpg", PHOTO, {}, 400),
        ("%2Fx.jpg", PHOTO, {}, 400),
        ("a%2F..%2F..%2Fx.jpg", PHOTO, {}, 400),
        ("x%00.jpg", PHOTO, {}, 400),
        ("x%0A.jpg", PHOTO, {}, 400),
        ("", PHOTO, {}, 400),
        ("x" * 1017, PHOTO, {}, 400),
        ("x.jpg", PHOTO, {"content_type": "multipart/form-data; boundary=x"}, 400),
        ("x.jpg", PHOTO, {"if_match": '"x"'}, 400),
        ("x.jpg", b"%PDF-1.7", {"content_type": "image/jpeg"}, 415),
        ("x.jpg", PHOTO, {"content_type": "text/plain"}, 415),
        ("x.jpg", PHOTO + b"\0" * MAX_BYTES, {}, 413),
    ],
)
def test_an_invalid_upload_is_reported_and_not_stored(pipeline, post, name, data, headers, expected):
    """The function answers with a problem, API Gateway with its own error."""
    before = counted(pipeline)
    answer = post(f"/images?name={name}", data, **headers)
    assert (answer.status, answer.body["message"] != "") == (expected, True)
    assert counted(pipeline) == before


def test_an_oversized_request_gets_the_alternative(post):
    """The problem names the alternative."""
    answer = post("/images?name=x.jpg", PHOTO.ljust(MAX_BYTES + 1, b"\0"))
    assert answer.status == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert "POST /images/presigned" in answer.body["detail"]
    assert post("/images?name=x.jpg", PHOTO.ljust(5_000_000, b"\0")).text == '{"message":"Request Entity Too Large"}'


def test_the_largest_allowed_image_in_a_request_is_accepted(unprocessed, pipeline, folder, post):
    """The limit is exact."""
    data = PHOTO.ljust(MAX_BYTES, b"\0")
    assert post(f"/images?name={folder.removeprefix('uploads/')}/l.jpg", data).status == 202
    assert stored(pipeline, f"{folder}/l.jpg") == (data, "image/jpeg")


def test_if_none_match_prevents_a_replacement(unprocessed, pipeline, folder, post):
    """The second upload gets 412 and is not stored."""
    path = f"/images?name={folder.removeprefix('uploads/')}/once.jpg"
    assert post(path, if_none_match="*").status == 202
    answer = post(path, photo(20, 20), if_none_match="*")
    assert (answer.status, answer.headers["content-type"]) == (412, "application/problem+json")
    assert stored(pipeline, f"{folder}/once.jpg") == (PHOTO, "image/jpeg")
    assert post(path, photo(20, 20)).status == 202


@pytest.mark.parametrize("path", ["/images?name=x.jpg", "/images/presigned"])
def test_an_upload_without_a_valid_key_is_refused(pipeline, path):
    """A missing key gets 401, a revoked or wrong one 403."""
    table = pipeline.outputs["ApiKeyTableName"]
    revoked = apikeys.create(pipeline.client, table=table, name="a test")
    apikeys.revoke(pipeline.client, table=table, key_id=revoked.key_id)
    for headers, expected in (({}, 401), ({"x-api-key": "x"}, 403), ({"x-api-key": revoked.text}, 403)):
        assert send("POST", pipeline.api_url + path, PHOTO, headers).status == expected


def test_an_unavailable_s3_is_reported(pipeline, folder, post):
    """The answer is 503, also for a concurrent write; the request may be repeated."""
    for code, status in (("SlowDown", 503), ("ConditionalRequestConflict", 409)):
        pipeline.fault("s3", "PutObject", code, 2, containing="fault.jpg", status=status)
        assert post(f"/images?name={folder.removeprefix('uploads/')}/fault.jpg", if_none_match="*").status == 503
        pipeline.clear()


# ---- Presigned


def reason(pipeline: Pipeline, image_key: str) -> str:
    """Return the reason in the event of an upload that was processed once."""
    (execution,) = [execution for execution in pipeline.executions() if execution.key == image_key]
    return str(execution.event["detail"]["reason"])


def test_a_form_accepts_30_megabytes(pipeline, signed, folder):
    """The form bypasses API Gateway and Lambda, and the image is processed with its focus."""
    data = PHOTO.ljust(30_000_000, b"\0")
    presigned = signed("large.jpg", sizeBytes=len(data), focus=FOCUS)
    assert by_form(presigned["post"], data).status == 204
    assert status(pipeline, presigned["statusUrl"]) == "COMPLETED"
    record = pipeline.record(f"{folder}/large.jpg")
    assert (record["image"]["sizeBytes"], record["focus"]) == (len(data), FOCUS)
    assert reason(pipeline, f"{folder}/large.jpg") == "POST Object"


def test_a_url_accepts_an_image(pipeline, signed, folder, key):
    """The name has all kinds of characters; the URL works only with its focus, and a request replaces that later."""
    presigned, image_key = signed("put ü+%41 '\"?.jpg", focus=FOCUS), f"{folder}/put ü+%41 '\"?.jpg"
    without = {name: value for name, value in presigned["put"]["headers"].items() if "meta" not in name}
    assert by_url({**presigned["put"], "headers": without}).code == "SignatureDoesNotMatch"
    assert by_url(presigned["put"]).status == 200
    assert status(pipeline, presigned["statusUrl"]) == "COMPLETED"
    assert pipeline.record(image_key)["focus"] == FOCUS
    assert stored(pipeline, image_key) == (PHOTO, "image/jpeg")
    assert reason(pipeline, image_key) == "PutObject"
    path = pipeline.api_url + status_path(image_key).removesuffix("/status") + "/focus"
    changed = send("PUT", path, b'{"x": 0.5, "y": 0}', {"x-api-key": key, "content-type": "application/json"})
    assert changed.status == 202, changed.text
    pipeline.wait_until(lambda: pipeline.record(image_key)["focus"] == {"x": 0.5, "y": 0}, "the new point")


def test_a_checksum_is_checked_by_s3(unprocessed, pipeline, signed, folder):
    """A damaged upload by form or URL is not stored."""
    digest = base64.b64encode(hashlib.sha256(PHOTO).digest()).decode()
    presigned = signed("sum.jpg", checksumSha256=digest, sizeBytes=len(PHOTO))
    damaged = PHOTO[:-1] + b"\0"
    for answer in (by_form(presigned["post"], damaged), by_url(presigned["put"], damaged)):
        assert (answer.status, answer.code) == (400, "BadDigest")
    assert stored(pipeline, f"{folder}/sum.jpg") is None
    assert (by_form(presigned["post"]).status, by_url(presigned["put"]).status) == (204, 200)


def test_a_presigned_request_accepts_only_signed_values(pipeline, signed, folder):
    """S3 rejects another key, type or size."""
    presigned = signed("bound.jpg", sizeBytes=len(PHOTO))
    refused = [
        (by_form(presigned["post"], key=f"{folder}/other.jpg"), 403, "AccessDenied"),
        (by_form(presigned["post"], Content_Type="text/html"), 403, "AccessDenied"),
        (by_form(presigned["post"], acl="public-read"), 403, "AccessDenied"),
        (by_form(presigned["post"], PHOTO + b"\0"), 400, "EntityTooLarge"),
        (by_form(presigned["post"], PHOTO[:-1]), 400, "EntityTooSmall"),
        (
            by_url(presigned["put"] | {"url": presigned["put"]["url"].replace("bound", "other")}),
            403,
            "SignatureDoesNotMatch",
        ),
        (by_url(presigned["put"], content_type="text/html"), 403, "SignatureDoesNotMatch"),
        (by_url(presigned["put"], PHOTO + b"\0", content_length=str(len(PHOTO) + 1)), 403, "SignatureDoesNotMatch"),
        (by_url(presigned["put"], x_amz_tagging="a=b"), 403, "AccessDenied"),
    ]
    for answer, expected, code in refused:
        assert (answer.status, answer.code) == (expected, code), answer.text
    listed = pipeline.client("s3").list_objects_v2(Bucket=pipeline.uploads_bucket, Prefix=folder)
    assert listed["KeyCount"] == 0


def test_a_form_limits_the_size_to_that_of_the_deployment(pipeline, signed):
    """Without a declared size, the limit of the deployment applies."""
    policy = json.loads(base64.b64decode(signed("any.jpg")["post"]["fields"]["policy"]))
    assert ["content-length-range", 1, 150_000_000] in policy["conditions"]


@pytest.fixture
def sign_as_the_function(pipeline: Pipeline) -> Callable[..., Any]:
    """Sign any request with the credentials of the function."""

    def sign(image_key: str, seconds: int = 60) -> Any:
        client = boto3.client(
            "s3",
            endpoint_url=pipeline.aws_url,
            aws_access_key_id=pipeline.environments["PresignUploadFunction"]["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=DUMMY_KEY,
            config=Config(signature_version="s3v4"),
        )
        request = presign.UploadRequest(
            image_key, "image/jpeg", None, None, overwrite=True, methods=presign.METHODS, focus=None
        )
        now = datetime.now(UTC)
        return presign.sign(
            lambda _: client, pipeline.uploads_bucket, request, max_bytes=1_000_000, seconds=seconds, now=now
        )

    return sign


def test_an_expired_url_is_refused(pipeline, folder, sign_as_the_function):
    """S3 rejects expired forms and URLs."""
    late = sign_as_the_function(f"{folder}/late.jpg", seconds=0)
    form, url = by_form(late["post"]), by_url(late["put"])
    assert (form.status, form.code) == (url.status, url.code) == (403, "AccessDenied")
    assert "Policy expired" in form.text
    assert "Request has expired" in url.text
    assert stored(pipeline, f"{folder}/late.jpg") is None


def test_a_signed_request_has_only_the_permissions_of_its_role(pipeline, sign_as_the_function):
    """Signed requests outside of uploads are denied."""
    for image_key in ("other/x.jpg", "x.jpg", "uploads"):
        signed = sign_as_the_function(image_key)
        for answer in (by_form(signed["post"]), by_url(signed["put"])):
            assert (answer.status, answer.code) == (403, "AccessDenied")
        assert stored(pipeline, image_key) is None


def test_an_upload_without_overwrite_is_stored_once(unprocessed, pipeline, signed, folder):
    """The condition is signed; without it the signature is invalid."""
    presigned = signed("once.jpg", overwrite=False)
    assert "post" not in presigned
    without = {name: value for name, value in presigned["put"]["headers"].items() if name != "if-none-match"}
    assert by_url(presigned["put"] | {"headers": without}).code == "SignatureDoesNotMatch"
    assert by_url(presigned["put"]).status == 200
    again = by_url(presigned["put"], photo(20, 20))
    assert (again.status, again.code) == (412, "PreconditionFailed")
    assert stored(pipeline, f"{folder}/once.jpg") == (PHOTO, "image/jpeg")


@pytest.mark.skipif(CURL is None, reason="curl is not installed")
@pytest.mark.parametrize("name", ["beach.jpg", 'it\'s [1] {2}, "ü"; $x `y` @z.jpg', "-", "@x", "a\\b.jpg"])
def test_the_commands_upload_the_file(unprocessed, pipeline, signed, folder, tmp_path, name):
    """The curl commands work in a shell for every file name."""
    (tmp_path / name).write_bytes(PHOTO)
    digest = base64.b64encode(hashlib.sha256(PHOTO).digest()).decode()
    for more in ({}, {"sizeBytes": len(PHOTO), "checksumSha256": digest}):
        presigned = signed(name, **more)
        for way in ("post", "put"):
            subprocess.run(["sh", "-c", presigned[way]["curl"]], cwd=tmp_path, check=True, capture_output=True)
            assert stored(pipeline, f"{folder}/{name}") == (PHOTO, "image/jpeg")
            pipeline.client("s3").delete_object(Bucket=pipeline.uploads_bucket, Key=f"{folder}/{name}")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"{}", 400),
        (b'{"name": "../x.jpg", "contentType": "image/jpeg"}', 400),
        (b'{"name": "x.jpg", "contentType": "text/html"}', 400),
        (b'{"name": "x.jpg", "contentType": "image/jpeg", "size": 7}', 400),
        (b'{"name": "x.jpg", "contentType": "image/jpeg", "sizeBytes": 1000000000}', 413),
    ],
)
def test_an_invalid_request_is_reported(post, data, expected):
    """The problem is returned before the upload, even if curl declares a form."""
    answer = post("/images/presigned", data, content_type="application/x-www-form-urlencoded")
    assert (answer.status, answer.headers["content-type"]) == (expected, "application/problem+json")


@pytest.mark.skipif(CURL is None, reason="curl is not installed")
def test_every_command_of_the_document_works(pipeline, key, tmp_path):
    """docs/uploading.md runs from start to end in one shell without an HTTP error."""
    (tmp_path / "beach.jpg").write_bytes(PHOTO)
    (tmp_path / ".curlrc").write_text("fail-with-body\n")
    variables, *commands = re.findall(r"^```sh\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert re.findall(r"^(\w+)=<", variables, re.MULTILINE) == ["API", "KEY"]
    environment = {"PATH": os.environ["PATH"], "CURL_HOME": str(tmp_path), "API": pipeline.api_url, "KEY": key}
    run = subprocess.run(
        ["sh", "-eux", "-c", "".join(commands)], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr + run.stdout
    for name in ("summer/beach.jpg", "café.jpg", "beach.jpg", "summer/first.jpg"):
        assert stored(pipeline, f"uploads/{name}") == (PHOTO, "image/jpeg")


def test_the_document_states_the_limits():
    """The document has the limits of the code."""
    assert f"more than {MAX_BYTES:,} bytes in the request" in DOCUMENT
    assert set(
        re.findall(r"^\| `(\w+)` \|", DOCUMENT.partition("| field |")[2].partition("\n\n")[0], re.MULTILINE)
    ) == {
        "name",
        "contentType",
        "sizeBytes",
        "checksumSha256",
        "overwrite",
        "method",
        "focus",
    }
