"""Parse requests that upload an image: its bytes, name and focus, and whether it may replace another one.

The body is either the bytes of the image or a form with one file. This module splits forms itself: the delimiter cannot
occur in the file (RFC 2046, section 5.1.1), and the standard library's `email` would parse nested parts to any depth.
Events are those of API Gateway, in payload format 2.0.
"""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

from image_pipeline import keys
from image_pipeline.api import bodies, queries
from image_pipeline.errors import (
    EmptyUploadError,
    InvalidKeyError,
    InvalidRequestError,
    UnsupportedFormatError,
    UploadTooLargeError,
)
from image_pipeline.imaging.focus import METADATA, Point
from image_pipeline.imaging.formats.header import CONTENT_TYPES
from image_pipeline.imaging.formats.recognise import recognise
from image_pipeline.imaging.reader import FIRST_BYTES

MAX_BYTES = 4_500_000
"""The limit of a request body in bytes. In base64 and with its headers, a request must stay below Lambda's limit of
6,291,456 bytes."""

_FORM_FIELDS = ("name", "focus")
_MAX_HEADER_BYTES = 8192  # per part of a form
_SUFFIXES = {"JPEG": "jpg", "HEIF": "heic"}  # formats whose usual suffix differs from their name

_PARAMETER = re.compile(r';\s*([^\s=;]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)', re.DOTALL)
_QUOTED = re.compile(r'\\(["\\])')
_EXTENDED = re.compile(r"(utf-8|iso-8859-1)'[^']*'([^']*)", re.IGNORECASE)  # RFC 8187 requires no other charsets


@dataclass(frozen=True)
class ReceivedUpload:
    """An upload to store."""

    image_key: str
    data: bytes
    content_type: str
    """Determined from the bytes, not from the request."""
    overwrite: bool
    focus: Point | None = None
    """The point that the crops must show; None if the request names none."""

    @property
    def metadata(self) -> dict[str, str]:
        """The user-defined metadata to store with the upload."""
        return {METADATA: str(self.focus)} if self.focus else {}


@dataclass(frozen=True)
class _Content:
    """The content of a request, not checked yet."""

    disposition: str
    """The Content-Disposition of the image."""
    data: bytes
    fields: Mapping[str, str] = field(default_factory=dict)
    """The values of the form's fields `name` and `focus`."""


def receive(event: dict[str, Any], accepted_formats: frozenset[str]) -> ReceivedUpload:
    """Parse a request that uploads an image.

    The name is the query parameter `name` or the form field `name`, otherwise the file name in Content-Disposition,
    otherwise a random name. The focus is the query parameter or form field `focus`.

    Args:
        event: the request.
        accepted_formats: the names of the accepted formats.

    Raises:
        UploadTooLargeError: the body is too large for this endpoint.
        InvalidRequestError: the form does not contain exactly one file, a parameter differs from the field of the same
            name, the focus is invalid, or the condition is unsupported.
        EmptyUploadError: the image has no bytes.
        UnsupportedFormatError: the bytes are not an image in an accepted format.
        InvalidKeyError: the name is not a valid file name.
    """
    overwrite = _may_overwrite(event["headers"])
    parameters = queries.read(event)
    content = _content(event)
    if not content.data:
        raise EmptyUploadError("The upload is empty (0 bytes).", "Send the image as the body of the request.")
    image_format = _recognise(event, content.data, accepted_formats)
    name, focus = (_chosen(choice, parameters.get(choice), content.fields.get(choice)) for choice in _FORM_FIELDS)
    if name is None:
        suffix = _SUFFIXES.get(image_format, image_format.lower())
        name = _file_name(content.disposition) or f"{uuid.uuid4()}.{suffix}"
    return ReceivedUpload(
        image_key=keys.key_for_name(name),
        data=content.data,
        content_type=CONTENT_TYPES[image_format],
        overwrite=overwrite,
        focus=None if focus is None else Point.parse(focus),
    )


def _may_overwrite(headers: dict[str, str]) -> bool:
    condition = headers.get("if-none-match")
    if "if-match" in headers or condition not in (None, "*"):
        raise InvalidRequestError(
            "The only supported condition is If-None-Match: *.",
            "Send it to keep an existing upload, or omit it to replace one.",
        )
    return condition is None


def _chosen(name: str, parameter: str | None, field: str | None) -> str | None:
    """Return the value that the request chooses, by its query or its form; None when it chooses none."""
    if parameter is not None and field is not None and parameter != field:
        raise InvalidRequestError(
            f"The query parameter `{name}` is {parameter[:80]!a}, but the form field `{name}` is {field[:80]!a}.",
            f"Send only one of them, or the same {name} in both.",
        )
    value = field if parameter is None else parameter
    if value is not None and "\N{REPLACEMENT CHARACTER}" in value:
        # It replaces bytes that are not UTF-8. Different names would become equal, and one upload would overwrite
        # another.
        raise InvalidKeyError(f"`{name}` is not UTF-8.", "Encode it as UTF-8; in a URL, percent-encode the result.")
    return value


def _content(event: dict[str, Any]) -> _Content:
    """Return the content of a request."""
    data = bodies.read(event)
    if len(data) > MAX_BYTES:
        raise UploadTooLargeError(
            f"The body of the request has {len(data):,} bytes; the limit is {MAX_BYTES:,} bytes.",
            "For a larger image, request a form or a URL with POST /images/presigned, and upload the image there.",
        )
    media_type, parameters = _header(event["headers"].get("content-type", ""))
    if media_type.lower() == "multipart/form-data":
        return _form(data, parameters.get("boundary", ""))
    return _Content(_text(event["headers"].get("content-disposition", "")), data)


def _recognise(event: dict[str, Any], data: bytes, accepted_formats: frozenset[str]) -> str:
    try:
        return recognise(data[:FIRST_BYTES], accepted_formats)
    except UnsupportedFormatError as error:
        if event.get("isBase64Encoded"):
            raise
        media_type, _ = _header(event["headers"].get("content-type", ""))
        hint = f"API Gateway treats a body of type {media_type} as text. Send a Content-Type such as image/jpeg."
        raise UnsupportedFormatError(error.message, hint) from error


def _form(data: bytes, boundary: str) -> _Content:
    """Return the one file of a form and its other fields. A part without a file name is not a file.

    For an input that the user left empty, a browser sends a file without name and bytes, or an empty text.
    https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#constructing-form-data-set
    """
    delimiter = b"\r\n--" + boundary.encode()
    files: list[tuple[str, bytes]] = []
    values: dict[str, set[str]] = {name: set() for name in _FORM_FIELDS}
    # The first delimiter follows no line break. The text after the last delimiter starts with two hyphens.
    _, *parts = (b"\r\n" + data).split(delimiter)
    if not boundary or not parts or not parts[-1].startswith(b"--"):
        raise InvalidRequestError(
            "The multipart body is truncated or malformed.", "Send it again, for example with curl -F file=@beach.jpg."
        )
    for part in parts[:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        lines = head[:_MAX_HEADER_BYTES].split(b"\r\n")
        fields = [line.partition(b":")[2] for line in lines if line.lower().startswith(b"content-disposition:")]
        disposition = fields[0].decode("utf-8", "replace").strip() if fields else ""
        file_name = _file_name(disposition)
        field_name = _header(disposition)[1].get("name")
        if file_name is None and field_name in values and content:
            values[field_name].add(content.decode("utf-8", "replace"))
        if file_name or (file_name is not None and content):
            files.append((disposition, content))
    if len(files) != 1:
        raise InvalidRequestError(
            f"The form contains {len(files)} files, not one.",
            "Send one file per request, for example with curl -F file=@beach.jpg.",
        )
    for name, different in values.items():
        if len(different) > 1:
            raise InvalidRequestError(f"The form contains {len(different)} different fields `{name}`.", "Send one.")
    return _Content(*files[0], {name: different.pop() for name, different in values.items() if different})


def _file_name(disposition: str) -> str | None:
    """Return the file name in Content-Disposition (RFC 6266) without the sender's folders; None without a name."""
    _, parameters = _header(disposition)
    name = parameters.get("filename")
    if extended := _EXTENDED.fullmatch(parameters.get("filename*", "")):
        name = unquote_to_bytes(extended[2]).decode(extended[1], "replace")
    return None if name is None else re.split(r"[/\\]", name)[-1]


def _header(value: str) -> tuple[str, dict[str, str]]:
    """Return the value of a header and its parameters. Parameter names are in lower case, and the first of two wins."""
    main, separator, rest = value.partition(";")
    parameters: dict[str, str] = {}
    for name, text in _PARAMETER.findall(separator + rest):
        plain = _QUOTED.sub(r"\1", text[1:-1]) if text.startswith('"') and text.endswith('"') else text.strip()
        parameters.setdefault(name.lower(), plain)
    return main.strip(), parameters


def _text(value: str) -> str:
    """Return the text of a header; UTF-8 bytes may have been decoded as ISO 8859-1."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value
