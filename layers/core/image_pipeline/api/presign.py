"""Sign uploads that a client sends directly to S3: with a form (POST) or a URL (PUT).

Each is valid for one key, one content type and a short time. A form limits the size of the file. A URL limits it only
if the size is known, because then its Content-Length is signed.
"""

import base64
import binascii
import re
import shlex
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from image_pipeline import aws, keys, times
from image_pipeline.errors import InvalidRequestError, UploadTooLargeError
from image_pipeline.imaging.focus import METADATA, Point

METHODS = ("POST", "PUT")
SHA256_BYTES = 32
CHECKSUM = "x-amz-checksum-sha256"
FOCUS = f"x-amz-meta-{METADATA}"

_FIELDS = {"name", "contentType", "sizeBytes", "checksumSha256", "overwrite", "method", "focus"}
_CONTENT_TYPE = re.compile(r"image/[A-Za-z0-9][A-Za-z0-9.+-]{0,99}")

# Browsers do not know every type: on Windows they have none for HEIC. The pipeline reads the bytes, so a wrong guess is
# harmless.
_UNKNOWN_TYPE = "application/octet-stream"
_TYPES = {
    **dict.fromkeys(("jpg", "jpeg", "jpe", "jfif"), "image/jpeg"),
    **dict.fromkeys(("tif", "tiff"), "image/tiff"),
    **dict.fromkeys(("heif", "hif"), "image/heif"),
    **{suffix: f"image/{suffix}" for suffix in ("png", "webp", "gif", "avif", "heic", "bmp")},
}


@dataclass(frozen=True)
class UploadRequest:
    """A request to sign an upload."""

    image_key: str
    content_type: str
    size_bytes: int | None
    checksum: str | None
    """The SHA-256 of the file, in base64."""
    overwrite: bool
    methods: tuple[str, ...]
    focus: Point | None
    """The point that the crops must show; None if the request names none."""


def parse(fields: dict[str, Any], max_bytes: int) -> UploadRequest:
    """Parse a request to sign an upload.

    Args:
        fields: `name` and, optionally, `contentType`, `sizeBytes`, `checksumSha256`, `overwrite`, `method` and
            `focus`. If the content type is missing or empty, the suffix of the name determines it.
        max_bytes: the size limit of uploads.

    Raises:
        InvalidRequestError: a field is missing, unknown, or invalid.
        InvalidKeyError: the name is not a valid file name.
        UploadTooLargeError: the file is larger than the limit.
    """
    if unknown := fields.keys() - _FIELDS:
        raise _invalid(f"The field {min(unknown)[:80]!a} is unknown", f"Send only {', '.join(sorted(_FIELDS))}")
    name = fields.get("name")
    content_type = fields.get("contentType", "")
    size = _as_integer(fields.get("sizeBytes"))
    overwrite = fields.get("overwrite", True)
    method = fields.get("method")
    if not isinstance(name, str):
        raise _invalid("name is missing or not a string", "Send the name of the file")
    if not isinstance(content_type, str) or (content_type and not _CONTENT_TYPE.fullmatch(content_type)):
        raise _invalid("contentType is not the type of an image", "Send a type such as image/jpeg, or omit the field")
    if size is not None and (type(size) is not int or size < 1):
        raise _invalid("sizeBytes is not a positive integer", "Send the size of the file in bytes, or omit the field")
    if size is not None and size > max_bytes:
        raise UploadTooLargeError(
            f"The file has {size:,} bytes; the limit is {max_bytes:,} bytes.", "Upload a smaller file."
        )
    if not isinstance(overwrite, bool):
        raise _invalid("overwrite is neither true nor false", "Send false to keep an existing upload")
    if method is not None and method not in METHODS:
        raise _invalid("method is neither POST nor PUT", "Omit the field to get both")
    checksum = _checksum(fields.get("checksumSha256"))
    image_key = keys.key_for_name(name)
    # S3 supports no condition in a form, and replaces ${filename} in the key of a form.
    possible = METHODS if overwrite and "${filename}" not in image_key else ("PUT",)
    methods = tuple(choice for choice in possible if method in (None, choice))
    if not methods:
        raise _invalid(
            "A form cannot keep an existing upload, and its name cannot contain ${filename}",
            "Use the method PUT, or omit the field",
        )
    return UploadRequest(
        image_key=image_key,
        content_type=content_type or _type_by_name(image_key),
        size_bytes=size,
        checksum=checksum,
        overwrite=overwrite,
        methods=methods,
        focus=None if fields.get("focus") is None else Point.from_json(fields["focus"]),
    )


def sign(
    client: aws.Client, bucket: str, request: UploadRequest, *, max_bytes: int, seconds: int, now: datetime
) -> dict[str, Any]:
    """Sign the upload for each requested method. This makes no AWS request.

    Args:
        client: returns the client of a service.
        bucket: the bucket of the uploads.
        request: the parsed request.
        max_bytes: the size limit of a form when the size of the file is unknown.
        seconds: the lifetime of the signature. It also ends when the signing credentials expire.
        now: the current time.

    Returns:
        `expiresAt`, `post` and `put`, as in the response of the API.
    """
    signed: dict[str, Any] = {"expiresAt": times.iso(now + timedelta(seconds=seconds), "seconds")}
    if "POST" in request.methods:
        signed["post"] = _post(client, bucket, request, max_bytes, seconds)
    if "PUT" in request.methods:
        signed["put"] = _put(client, bucket, request, seconds)
    return signed


def _post(client: aws.Client, bucket: str, request: UploadRequest, max_bytes: int, seconds: int) -> dict[str, Any]:
    required = {"Content-Type": request.content_type} | ({CHECKSUM: request.checksum} if request.checksum else {})
    required |= {FOCUS: str(request.focus)} if request.focus else {}
    size_range = ["content-length-range", request.size_bytes or 1, request.size_bytes or max_bytes]
    form = client("s3").generate_presigned_post(
        bucket,
        request.image_key,
        Fields=dict(required),
        Conditions=[*({name: value} for name, value in required.items()), size_range],
        ExpiresIn=seconds,
    )
    # --form-string, because --form would read a value that starts with @ from a file.
    fields = [word for name, value in form["fields"].items() for word in ("--form-string", f"{name}={value}")]
    path = _path(request).replace("\\", "\\\\").replace('"', '\\"')
    return {**form, "curl": _curl(*fields, "--form", f'file=@"{path}"', form["url"])}


def _put(client: aws.Client, bucket: str, request: UploadRequest, seconds: int) -> dict[str, Any]:
    parameters: dict[str, Any] = {"Bucket": bucket, "Key": request.image_key, "ContentType": request.content_type}
    headers = {"content-type": request.content_type}
    if request.size_bytes:
        parameters["ContentLength"] = request.size_bytes
    if request.checksum:
        parameters["ChecksumSHA256"] = headers[CHECKSUM] = request.checksum
    if request.focus:
        headers[FOCUS] = str(request.focus)
        parameters["Metadata"] = {METADATA: headers[FOCUS]}
    if not request.overwrite:
        parameters["IfNoneMatch"] = headers["if-none-match"] = "*"
    url = client("s3").generate_presigned_url("put_object", Params=parameters, ExpiresIn=seconds)
    header_words = [word for name, value in headers.items() for word in ("--header", f"{name}: {value}")]
    if request.size_bytes:
        headers["content-length"] = str(request.size_bytes)  # curl sends this header itself
    # --globoff, because curl would interpret brackets and braces in a file name as patterns.
    return {
        "url": url,
        "headers": headers,
        "curl": _curl("--globoff", *header_words, "--upload-file", _path(request), url),
    }


def _type_by_name(image_key: str) -> str:
    return _TYPES.get(image_key.rpartition(".")[2].lower(), _UNKNOWN_TYPE)


def _path(request: UploadRequest) -> str:
    """Return the path of the file in the current folder. It starts with `./`, because `-` means standard input."""
    return "./" + request.image_key.rpartition("/")[2]


def _curl(*words: str) -> str:
    return shlex.join(["curl", "--fail-with-body", *words])


def _as_integer(number: Any) -> Any:
    """Convert 651.0 to 651, because JSON Schema treats it as an integer."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _checksum(checksum: Any) -> str | None:
    if checksum is None:
        return None
    try:
        plain = base64.b64decode(checksum, validate=True)
    except (TypeError, ValueError, binascii.Error):
        plain = b""
    if len(plain) != SHA256_BYTES:
        raise _invalid("checksumSha256 is not a SHA-256 in base64", "Send the 32 bytes as 44 base64 characters")
    return base64.b64encode(plain).decode()


def _invalid(message: str, hint: str) -> InvalidRequestError:
    return InvalidRequestError(f"{message}.", f"{hint}.")
