"""emulator/presigned.py accepts requests that botocore signs, and rejects changed requests like S3."""

from __future__ import annotations

import base64
import hashlib
import io
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

import boto3
import pytest
from botocore.config import Config
from urllib3.filepost import encode_multipart_formdata

from local.emulator import actions, presigned
from local.emulator.clients import DUMMY_KEY

KEY = "uploads/ä b~!'()*?+&=%41.jpg"
DATA = b"a picture"
DIGEST = base64.b64encode(hashlib.sha256(DATA).digest()).decode()
ALL = {"ContentType": "image/jpeg", "ContentLength": len(DATA), "ChecksumSHA256": DIGEST, "IfNoneMatch": "*"}
SENT = {
    "CONTENT_TYPE": "image/jpeg",
    "CONTENT_LENGTH": str(len(DATA)),
    "HTTP_X_AMZ_CHECKSUM_SHA256": DIGEST,
    "HTTP_IF_NONE_MATCH": "*",
}


def s3(version: str = "s3v4") -> Any:
    return boto3.client(
        "s3",
        endpoint_url="http://127.0.0.1:4566",
        aws_access_key_id="ASIAROLE",
        aws_secret_access_key=DUMMY_KEY,
        config=Config(signature_version=version),
    )


def url(version: str = "s3v4", **parameters: Any) -> str:
    signed: str = s3(version).generate_presigned_url(
        "put_object", Params={"Bucket": "bucket", "Key": KEY, **parameters}, ExpiresIn=60
    )
    return signed


def request(address: str, data: bytes = DATA, method: str = "PUT", **headers: str) -> dict[str, Any]:
    parts = urlsplit(address)
    return {
        "REQUEST_METHOD": method,
        "RAW_URI": f"{parts.path}?{parts.query}",
        "PATH_INFO": unquote(parts.path).encode().decode("latin-1"),
        "QUERY_STRING": parts.query,
        "HTTP_HOST": parts.netloc,
        "CONTENT_LENGTH": str(len(data)),
        "wsgi.input": io.BytesIO(data),
        **headers,
    }


def refusal(environ: dict[str, Any], later: float = 0) -> tuple[int, str] | None:
    try:
        presigned.judge(environ, datetime.now(UTC) + timedelta(seconds=later))
    except presigned.S3RefusalError as refused:
        return refused.status, refused.code
    return None


MISMATCH, DENIED = (403, "SignatureDoesNotMatch"), (403, "AccessDenied")


def test_a_url_is_accepted_as_signed() -> None:
    """Unsigned headers without meaning for S3 are allowed; the body can still be read."""
    assert refusal(request(url())) is None
    environ = request(url(**ALL), **SENT, HTTP_USER_AGENT="x")
    assert refusal(environ) is None
    assert environ["wsgi.input"].read() == DATA
    assert (
        refusal(request(s3().generate_presigned_url("get_object", {"Bucket": "b", "Key": KEY}), method="GET")) is None
    )


def test_an_equivalent_spelling_of_the_path_is_accepted() -> None:
    """Clients encode more or fewer characters than the signer."""
    address = url().replace("~", "%7E").replace("%21", "!")
    assert refusal(request(address)) is None


@pytest.mark.parametrize(
    "change",
    [
        {"CONTENT_TYPE": "text/html"}, {"CONTENT_TYPE": ""}, {"CONTENT_LENGTH": "8"}, {"HTTP_IF_NONE_MATCH": ""},
        {"HTTP_X_AMZ_CHECKSUM_SHA256": "x"}, {"HTTP_HOST": "elsewhere"}, {"REQUEST_METHOD": "DELETE"},
    ],
)  # fmt: skip
def test_a_change_of_a_signed_value_is_rejected(change: dict[str, str]) -> None:
    """Method, host, type, size, checksum and condition are signed."""
    assert refusal(request(url(**ALL), **SENT) | change) == MISMATCH


def test_a_url_is_for_one_key_and_has_one_signature() -> None:
    """Another key, time or secret is rejected."""
    address = url()
    for other in (
        address.replace(".jpg", ".png"),
        address.replace("X-Amz-Expires=60", "X-Amz-Expires=600"),
        address[:-1] + ("0" if address[-1] != "0" else "1"),
        address + "&versionId=1",
    ):
        assert refusal(request(other)) == MISMATCH
    assert refusal(request(address.replace("X-Amz-Expires=60", "X-Amz-Expires=604801")))[0] == 400  # type: ignore[index]
    assert refusal(request(address.replace("X-Amz-Date", "X-Amz-Data")))[0] == 400  # type: ignore[index]


def test_headers_for_s3_must_be_signed() -> None:
    """A client cannot add metadata or tags."""
    assert refusal(request(url(), HTTP_X_AMZ_TAGGING="a=b")) == DENIED


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_a_url_expires(version: str) -> None:
    """URLs of both signature versions expire."""
    assert refusal(request(url(version)), later=55) is None
    assert refusal(request(url(version)), later=65) == DENIED


def test_bytes_with_another_checksum_are_rejected() -> None:
    """S3 computes the checksum itself."""
    assert refusal(request(url(**ALL), b"a pictURE", **SENT)) == (400, "BadDigest")


def form(
    data: bytes = DATA, version: str = "s3v4", more: dict[str, str] | None = None, **change: str
) -> dict[str, Any]:
    signed = s3(version).generate_presigned_post(
        "bucket",
        KEY,
        Fields={"Content-Type": "image/jpeg", "x-amz-checksum-sha256": DIGEST, "x-amz-meta-who": "me"},
        Conditions=[
            ["starts-with", "$content-type", "image/"],
            {"x-amz-checksum-sha256": DIGEST},
            ["eq", "$x-amz-meta-who", "me"],
            ["content-length-range", 5, 10],
        ],
        ExpiresIn=60,
    )
    fields = {**signed["fields"], **(more or {})}
    fields |= {name.replace("_", "-"): value for name, value in change.items()}
    body, content_type = encode_multipart_formdata([*fields.items(), ("file", ("x.jpg", data))])
    return request(signed["url"], body, "POST", CONTENT_TYPE=content_type)


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_a_form_is_accepted_as_signed(version: str) -> None:
    """Its signer and key are stored for the permission check; the body can still be read."""
    environ = form(version=version, x_ignore_submit="Send")
    body = environ["wsgi.input"].getvalue()
    assert refusal(environ) is None
    assert actions.access_key_of(environ) == "ASIAROLE"
    assert actions.identify(environ) == ("s3", "PostObject")
    (need,) = actions.needs(environ)
    assert (need.action, need.resource) == ("s3:PutObject", f"arn:aws:s3:::bucket/{KEY}")
    assert environ["wsgi.input"].read() == body


@pytest.mark.parametrize(
    "change",
    [
        {"key": "uploads/other.jpg"}, {"Content_Type": "text/html"}, {"x_amz_meta_who": "you"},
        {"x_amz_meta_more": "x"}, {"acl": "public-read"}, {"x_amz_checksum_sha256": "x"},
        {"x_amz_date": "20260101T000000Z"},
    ],
)  # fmt: skip
def test_a_form_must_meet_its_policy(change: dict[str, str]) -> None:
    """Every condition must be met, and every field needs one."""
    assert refusal(form(**change)) == DENIED


def test_a_form_is_for_one_bucket() -> None:
    """The policy names the bucket."""
    environ = form()
    assert refusal(environ | {"RAW_URI": "/other", "PATH_INFO": "/other"}) == DENIED


def test_a_changed_policy_of_a_form_is_rejected() -> None:
    """A missing policy or signature is rejected, too."""
    policy = base64.b64encode(b'{"expiration": "2999-01-01T00:00:00Z", "conditions": []}').decode()
    assert refusal(form(policy=policy)) == MISMATCH
    assert refusal(form(x_amz_signature="0" * 64)) == MISMATCH
    body, content_type = encode_multipart_formdata([("key", KEY), ("file", ("x.jpg", DATA))])
    assert refusal(request("http://127.0.0.1/bucket", body, "POST", CONTENT_TYPE=content_type)) == DENIED


@pytest.mark.parametrize("text", ["", "x", "e30=", base64.b64encode(b'{"expiration": "soon"}').decode()])
def test_an_invalid_policy_is_refused(text: str) -> None:
    """A valid signature does not make an invalid policy acceptable."""
    with pytest.raises(presigned.S3RefusalError, match="InvalidPolicyDocument"):
        presigned._policy(text)


def test_a_form_limits_the_size() -> None:
    """The limit is for the file, not for the request."""
    assert refusal(form(b"x" * 11)) == (400, "EntityTooLarge")
    assert refusal(form(b"x" * 4)) == (400, "EntityTooSmall")
    assert refusal(form(b"x" * 10)) == (400, "BadDigest")


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_a_form_expires(version: str) -> None:
    """Forms of both signature versions expire."""
    assert refusal(form(version=version), later=55) is None
    assert refusal(form(version=version), later=65) == DENIED


def test_an_unsupported_placeholder_is_rejected() -> None:
    """S3 replaces ${filename}; the emulator rejects it instead of ignoring it."""
    assert refusal(form(key="uploads/${filename}")) == (501, "NotImplemented")


def test_requests_that_are_not_presigned_pass() -> None:
    """Signed headers, batch deletions and calls of other services pass."""
    for environ in (
        request("http://127.0.0.1/bucket?delete", b"<Delete/>", "POST"),
        request("http://127.0.0.1/bucket/key", b"x", "PUT"),
        request("http://127.0.0.1/", b"Action=Publish", "POST", CONTENT_TYPE="application/x-www-form-urlencoded"),
        request("http://127.0.0.1/bucket/key", b"x", "POST", CONTENT_TYPE="multipart/form-data; boundary=x"),
    ):
        assert refusal(environ) is None
