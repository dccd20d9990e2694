"""image_pipeline.api.presign"""

import base64
import hashlib
import itertools
import json
import shlex
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest

from image_pipeline import aws
from image_pipeline.api import presign
from image_pipeline.errors import InvalidKeyError, InvalidRequestError, UploadTooLargeError
from image_pipeline.imaging.formats.header import CONTENT_TYPES

MAX_BYTES = 1000
DIGEST = base64.b64encode(hashlib.sha256(b"x").digest()).decode()
NAME = 'a b/it\'s [1] {2} ü "q".jpg'


def parse(**fields):
    return presign.parse({"name": NAME, "contentType": "image/jpeg", **fields}, MAX_BYTES)


def sign_request(request):
    now = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
    return presign.sign(aws.client, "bucket", request, max_bytes=MAX_BYTES, seconds=900, now=now)


def sign(**fields):
    return sign_request(parse(**fields))


def conditions(post):
    return json.loads(base64.b64decode(post["fields"]["policy"]))["conditions"]


def signed_headers(put):
    return parse_qs(urlsplit(put["url"]).query)["X-Amz-SignedHeaders"][0].split(";")


def test_a_form_is_bound_to_key_type_and_size():
    """The form uses signature version 4 and the bucket's own host."""
    post = sign()["post"]
    assert post["url"] == "https://bucket.s3.eu-west-1.amazonaws.com/"
    signed_conditions = conditions(post)
    for condition in ({"key": f"uploads/{NAME}"}, {"Content-Type": "image/jpeg"}, {"bucket": "bucket"}):
        assert condition in signed_conditions
    assert ["content-length-range", 1, MAX_BYTES] in signed_conditions
    assert post["fields"]["x-amz-algorithm"] == "AWS4-HMAC-SHA256"
    assert not [name for name in post["fields"] if "checksum" in name]


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("IMG_0001.HEIC", "image/heic"),
        ("a.b.jpeg", "image/jpeg"),
        ("scan.TIF", "image/tiff"),
        ("x.avif", "image/avif"),
        ("photo", "application/octet-stream"),
        ("heic", "application/octet-stream"),
        ("x.heic/y", "application/octet-stream"),
        ("notes.txt", "application/octet-stream"),
    ],
)
@pytest.mark.parametrize("fields", [{}, {"contentType": ""}])
def test_a_missing_type_follows_from_the_name(name, content_type, fields):
    """The suffix determines a missing content type, because browsers on Windows have none for HEIC."""
    signed = sign_request(presign.parse({"name": name, **fields}, MAX_BYTES))
    assert signed["post"]["fields"]["Content-Type"] == signed["put"]["headers"]["content-type"] == content_type


def test_every_format_has_a_suffix():
    """Every accepted format has a suffix with its content type."""
    assert set(presign._TYPES.values()) >= set(CONTENT_TYPES.values())


def test_a_known_size_and_checksum_are_signed():
    """The form and the URL both sign the size and the checksum."""
    signed = sign(sizeBytes=7, checksumSha256=DIGEST)
    assert ["content-length-range", 7, 7] in conditions(signed["post"])
    assert {presign.CHECKSUM: DIGEST} in conditions(signed["post"])
    assert signed["post"]["fields"][presign.CHECKSUM] == DIGEST
    assert {"content-length", "content-type", presign.CHECKSUM} <= set(signed_headers(signed["put"]))
    assert signed["put"]["headers"] == {
        "content-type": "image/jpeg",
        "content-length": "7",
        presign.CHECKSUM: DIGEST,
    }


def test_a_focus_is_signed():
    """The form and the URL both require the metadata, and `curl` sends it."""
    signed = sign(focus={"x": 0.3, "y": 1})
    assert {presign.FOCUS: "0.3,1"} in conditions(signed["post"])
    assert signed["post"]["fields"][presign.FOCUS] == signed["put"]["headers"][presign.FOCUS] == "0.3,1"
    assert presign.FOCUS in signed_headers(signed["put"])
    assert f"{presign.FOCUS}=0.3,1" in shlex.split(signed["post"]["curl"])
    assert f"{presign.FOCUS}: 0.3,1" in shlex.split(signed["put"]["curl"])
    assert presign.FOCUS not in sign(focus=None)["put"]["headers"]


@pytest.mark.parametrize("focus", ["0.3,0.4", {}, {"x": 2, "y": 0}, {"x": 0.3}, [0.3, 0.4]])
def test_an_invalid_focus_is_not_signed(focus):
    """The error contains the rule for a point."""
    with pytest.raises(InvalidRequestError, match="focus"):
        parse(focus=focus)


def test_a_url_requires_only_the_known_headers():
    """A URL requires only the known headers."""
    put = sign()["put"]
    assert put["headers"] == {"content-type": "image/jpeg"}
    assert signed_headers(put) == ["content-type", "host"]
    assert parse_qs(urlsplit(put["url"]).query)["X-Amz-Expires"] == ["900"]


def test_an_upload_that_must_not_replace_another_is_a_conditional_put():
    """S3 supports no condition in a form, so only a URL is returned."""
    signed = sign(overwrite=False)
    assert signed["put"]["headers"]["if-none-match"] == "*"
    assert "if-none-match" in signed_headers(signed["put"])
    assert "post" not in signed
    with pytest.raises(InvalidRequestError):
        parse(overwrite=False, method="POST")


def test_a_name_with_a_placeholder_of_s3_has_no_form():
    """S3 replaces `${filename}` in the key of a form, but not in a URL."""
    assert parse(name="${filename}").methods == ("PUT",)


@pytest.mark.parametrize(("method", "ways"), [(None, {"post", "put"}), ("POST", {"post"}), ("PUT", {"put"})])
def test_a_caller_may_choose_the_method(method, ways):
    """Without a method, both are returned."""
    assert sign(method=method).keys() == {"expiresAt"} | ways
    assert sign(method=method)["expiresAt"] == "2026-11-21T12:15:00Z"


def test_the_commands_are_quoted_for_the_shell():
    """No character of a name has a special meaning for the shell or for curl."""
    signed = sign(sizeBytes=7, overwrite=True)
    words = shlex.split(signed["post"]["curl"])
    assert words[:2] == ["curl", "--fail-with-body"]
    fields = dict(text.split("=", 1) for option, text in itertools.pairwise(words) if option == "--form-string")
    assert fields == signed["post"]["fields"]
    assert words[-3:] == ["--form", r'file=@"./it' + r"""'s [1] {2} ü \"q\".jpg""" + '"', signed["post"]["url"]]
    words = shlex.split(signed["put"]["curl"])
    assert "--globoff" in words
    assert words[-3:] == ["--upload-file", './it\'s [1] {2} ü "q".jpg', signed["put"]["url"]]


@pytest.mark.parametrize(
    "fields",
    [
        {"name": None}, {"name": 1}, {"contentType": None}, {"contentType": "text/html"}, {"contentType": "image/"},
        {"contentType": "image/jpeg\r\nx: y"}, {"contentType": "image/jpeg; x=y"},
        {"sizeBytes": 0}, {"sizeBytes": -1}, {"sizeBytes": 1.5}, {"sizeBytes": "7"}, {"sizeBytes": True},
        {"checksumSha256": "abc"}, {"checksumSha256": 7}, {"checksumSha256": DIGEST[:-4]}, {"checksumSha256": "ü"},
        {"overwrite": "no"}, {"overwrite": None}, {"method": "GET"}, {"method": ["PUT"]}, {"size": 7},
    ],
)  # fmt: skip
def test_an_unknown_condition_is_refused(fields):
    """A misspelt field must not be ignored."""
    with pytest.raises(InvalidRequestError):
        parse(**fields)


def test_a_long_unknown_field_is_shortened():
    """The answer repeats the message, so a field of some megabytes would exceed what Lambda returns."""
    with pytest.raises(InvalidRequestError) as refusal:
        parse(**{"x" * 1_000_000: 7})
    assert len(refusal.value.message) < 200


def test_an_invalid_name_is_refused():
    """The rules for names apply."""
    with pytest.raises(InvalidKeyError):
        parse(name="../x.jpg")


def test_an_upload_above_the_limit_is_not_signed():
    """A file of exactly the limit is accepted."""
    assert parse(sizeBytes=MAX_BYTES).size_bytes == MAX_BYTES
    assert parse(sizeBytes=7.0).size_bytes == 7
    with pytest.raises(UploadTooLargeError):
        parse(sizeBytes=MAX_BYTES + 1)
