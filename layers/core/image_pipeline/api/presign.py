"""Uploads that are signed here and made there: a form (POST) and a URL (PUT) that S3 itself takes a picture by.

Each is for one key, one content type and a short time. A form bounds the size of the file. A URL cannot, unless the
size is known: then its Content-Length is signed.
"""

import base64
import binascii
import re
import shlex
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from image_pipeline import aws, keys
from image_pipeline.errors import InvalidRequestError, UploadTooLargeError

METHODS = ("POST", "PUT")
SHA256_BYTES = 32
CHECKSUM = "x-amz-checksum-sha256"

_KNOWN = {"name", "contentType", "sizeBytes", "checksumSha256", "overwrite", "method"}
_CONTENT_TYPE = re.compile(r"image/[A-Za-z0-9][A-Za-z0-9.+-]{0,99}")

# Browsers do not know every type: Windows has none for HEIC. The pipeline looks at the bytes, so a guess does no harm.
_UNKNOWN_TYPE = "application/octet-stream"
_TYPES = {
    **dict.fromkeys(("jpg", "jpeg", "jpe", "jfif"), "image/jpeg"),
    **dict.fromkeys(("tif", "tiff"), "image/tiff"),
    **dict.fromkeys(("heif", "hif"), "image/heif"),
    **{suffix: f"image/{suffix}" for suffix in ("png", "webp", "gif", "avif", "heic", "bmp")},
}


@dataclass(frozen=True)
class Wish:
    """The upload that somebody wants to make."""

    image_key: str
    content_type: str
    size_bytes: int | None
    checksum: str | None
    """SHA-256 of the file, in base64."""
    overwrite: bool
    methods: tuple[str, ...]


def read(asked: dict[str, Any], max_bytes: int) -> Wish:
    """The upload that a request asks for.

    Args:
        asked: `name`, and perhaps `contentType`, `sizeBytes`, `checksumSha256`, `overwrite` and `method`. Without a
            content type, or with an empty one, the suffix of the name decides.
        max_bytes: the largest upload that is processed.

    Raises:
        InvalidRequestError: a field is missing, unknown, or not what it must be.
        InvalidKeyError: the name cannot be one.
        UploadTooLargeError: the file is larger than any that is processed.
    """
    if unknown := asked.keys() - _KNOWN:
        raise _wrong(f"{min(unknown)!a} is no field of the request", f"Send no others than {', '.join(sorted(_KNOWN))}")
    name, content_type, size = asked.get("name"), asked.get("contentType", ""), _whole(asked.get("sizeBytes"))
    overwrite, method = asked.get("overwrite", True), asked.get("method")
    if not isinstance(name, str):
        raise _wrong("name is missing or no text", "Send the file's name")
    if not isinstance(content_type, str) or (content_type and not _CONTENT_TYPE.fullmatch(content_type)):
        raise _wrong("contentType is no type of an image", "Send one like image/jpeg, or leave it out")
    if size is not None and (type(size) is not int or size < 1):
        raise _wrong("sizeBytes is no whole number above 0", "Send the size of the file in bytes, or leave it out")
    if size is not None and size > max_bytes:
        raise UploadTooLargeError(
            f"A picture of {size:,} bytes is not processed; {max_bytes:,} are allowed.", "Upload a smaller file."
        )
    if not isinstance(overwrite, bool):
        raise _wrong("overwrite is neither true nor false", "Send false to replace nothing")
    if method is not None and method not in METHODS:
        raise _wrong("method is neither POST nor PUT", "Leave it out for both")
    checksum = _checked(asked.get("checksumSha256"))
    wanted = METHODS if method is None else (method,)
    image_key = keys.named(name)
    methods = tuple(each for each in wanted if each == "PUT" or (overwrite and "${filename}" not in image_key))
    if not methods:
        raise _wrong(
            "S3 takes no condition in a form, and replaces ${filename} in its key",
            "Use the method PUT, or leave it out",
        )
    return Wish(image_key, content_type or _type_by_name(image_key), size, checksum, overwrite, methods)


def sign(client: aws.Client, bucket: str, wish: Wish, max_bytes: int, seconds: int, now: datetime) -> dict[str, Any]:
    """Sign the upload, each way that was asked for. Makes no call.

    Args:
        client: gives clients that sign.
        bucket: of the uploads.
        wish: what `read` gave.
        max_bytes: what a form takes at most where the size is not known.
        seconds: how long it may be used; no longer than the credentials that sign it live.
        now: the time.

    Returns:
        `expiresAt`, `post` and `put`, as the API tells them.
    """
    ways = {
        "POST": lambda: _post(client, bucket, wish, max_bytes, seconds),
        "PUT": lambda: _put(client, bucket, wish, seconds),
    }
    expires = (now + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"expiresAt": expires} | {method.lower(): ways[method]() for method in wish.methods}


def _post(client: aws.Client, bucket: str, wish: Wish, max_bytes: int, seconds: int) -> dict[str, Any]:
    bound = {"Content-Type": wish.content_type} | ({CHECKSUM: wish.checksum} if wish.checksum else {})
    sizes = ["content-length-range", wish.size_bytes or 1, wish.size_bytes or max_bytes]
    form = client("s3").generate_presigned_post(
        bucket,
        wish.image_key,
        Fields=dict(bound),
        Conditions=[*({name: value} for name, value in bound.items()), sizes],
        ExpiresIn=seconds,
    )
    # Not -F for the fields: it would read a value that starts with @ from a file.
    fields = [word for name, value in form["fields"].items() for word in ("--form-string", f"{name}={value}")]
    path = _path(wish).replace("\\", "\\\\").replace('"', '\\"')
    return {**form, "curl": _curl(*fields, "--form", f'file=@"{path}"', form["url"])}


def _put(client: aws.Client, bucket: str, wish: Wish, seconds: int) -> dict[str, Any]:
    parameters: dict[str, Any] = {"Bucket": bucket, "Key": wish.image_key, "ContentType": wish.content_type}
    headers = {"content-type": wish.content_type}
    if wish.size_bytes:
        parameters["ContentLength"] = wish.size_bytes
    if wish.checksum:
        parameters["ChecksumSHA256"] = headers[CHECKSUM] = wish.checksum
    if not wish.overwrite:
        parameters["IfNoneMatch"] = headers["if-none-match"] = "*"
    url = client("s3").generate_presigned_url("put_object", Params=parameters, ExpiresIn=seconds)
    given = [word for name, value in headers.items() for word in ("--header", f"{name}: {value}")]
    if wish.size_bytes:
        headers["content-length"] = str(wish.size_bytes)  # a client sends it by itself
    # Brackets and braces in a file's name would be patterns.
    return {"url": url, "headers": headers, "curl": _curl("--globoff", *given, "--upload-file", _path(wish), url)}


def _type_by_name(image_key: str) -> str:
    return _TYPES.get(image_key.rpartition(".")[2].lower(), _UNKNOWN_TYPE)


def _path(wish: Wish) -> str:
    """The file in the current folder; with its folder, so that `-` is not standard input."""
    return "./" + wish.image_key.rpartition("/")[2]


def _curl(*words: str) -> str:
    return shlex.join(["curl", "--fail-with-body", *words])


def _whole(number: Any) -> Any:
    """651.0 is a whole number, too, as JSON Schema has it."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _checked(checksum: Any) -> str | None:
    if checksum is None:
        return None
    try:
        plain = base64.b64decode(checksum, validate=True)
    except (TypeError, ValueError, binascii.Error):
        plain = b""
    if len(plain) != SHA256_BYTES:
        raise _wrong("checksumSha256 is no SHA-256 in base64", "Send the 32 bytes in base64, 44 characters")
    return base64.b64encode(plain).decode()


def _wrong(what: str, hint: str) -> InvalidRequestError:
    return InvalidRequestError(f"{what}.", f"{hint}.")
