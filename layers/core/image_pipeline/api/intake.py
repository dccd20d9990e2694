"""What a request brings that uploads a picture: its bytes, its name, and whether it may replace another.

The bytes come as they are, or as the one file of a form. A form is split by hand: its delimiter cannot occur in the
file (RFC 2046, section 5.1.1), and the standard library's `email` would follow parts within parts as deep as a caller
likes. Events are those of API Gateway, payload format 2.0.
"""

import base64
import binascii
import json
import re
import uuid
from collections import Counter
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from image_pipeline import keys
from image_pipeline.api import queries
from image_pipeline.errors import (
    EmptyUploadError,
    InvalidKeyError,
    InvalidRequestError,
    UnsupportedFormatError,
    UploadTooLargeError,
)
from image_pipeline.imaging.formats.header import CONTENT_TYPES
from image_pipeline.imaging.formats.recognise import recognise
from image_pipeline.imaging.reader import FIRST_BYTES

MOST_BYTES = 4_500_000
"""Of a request, in bytes: in base64 and with its headers it must stay below what Lambda takes, 6,291,456 bytes."""

_MOST_HEADER_BYTES = 8192  # of a part of a form
_SUFFIXES = {"JPEG": "jpg", "HEIF": "heic"}  # where it is not the format's name

_PARAMETER = re.compile(r';\s*([^\s=;]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)', re.DOTALL)
_QUOTED = re.compile(r'\\(["\\])')
_EXTENDED = re.compile(r"(utf-8|iso-8859-1)'[^']*'([^']*)", re.IGNORECASE)  # RFC 8187; other charsets need not be known


@dataclass(frozen=True)
class Picture:
    """A picture that shall be stored."""

    image_key: str
    data: bytes
    content_type: str
    """By its content, whatever the request calls it."""
    overwrite: bool


@dataclass(frozen=True)
class _Content:
    """What a request brings, before anyone has looked at it."""

    disposition: str
    """Content-Disposition of the picture."""
    data: bytes
    name: str | None = None
    """What the form's field says."""


def receive(event: dict[str, Any], admitted: frozenset[str]) -> Picture:
    """The picture of a request.

    The parameter `name` names it, or the field `name` of the form, else the file name in Content-Disposition, else the
    picture gets a name of its own.

    Args:
        event: of the request.
        admitted: names of formats.

    Raises:
        UploadTooLargeError: the request is too large for this way.
        InvalidRequestError: it is a form without exactly one file, has two names, or its condition is not understood.
        EmptyUploadError: there are no bytes.
        UnsupportedFormatError: they are no picture of those formats.
        InvalidKeyError: the name cannot be one.
    """
    overwrite = _may_overwrite(event["headers"])
    parameter = queries.read(event).get("name")
    content = _content(event)
    if not content.data:
        raise EmptyUploadError("The upload is empty (0 bytes).", "Send the picture as the body of the request.")
    kind = _kind(event, content.data, admitted)
    name = _chosen_name(parameter, content.name)
    if name is None:
        name = _file_name(content.disposition) or f"{uuid.uuid4()}.{_SUFFIXES.get(kind, kind.lower())}"
    return Picture(keys.named(name), content.data, CONTENT_TYPES[kind], overwrite)


def body(event: dict[str, Any]) -> bytes:
    """The body of a request.

    Raises:
        InvalidRequestError: it is not what the event says of it.
    """
    text = event.get("body") or ""
    try:
        return base64.b64decode(text) if event.get("isBase64Encoded") else text.encode()
    except (binascii.Error, UnicodeEncodeError) as error:
        raise InvalidRequestError("The body of the request cannot be read.", "Send it again.") from error


def json_body(event: dict[str, Any]) -> dict[str, Any]:
    """The JSON object that a request brings.

    Raises:
        InvalidRequestError: it brings something else, or a field of it twice.
    """
    try:
        given = json.loads(body(event), object_pairs_hook=_without_repetition)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise InvalidRequestError("The body of the request is no JSON object.", 'Send one, as {"name": "beach.jpg"}.')
    return given


def _may_overwrite(headers: dict[str, str]) -> bool:
    condition = headers.get("if-none-match")
    if "if-match" in headers or condition not in (None, "*"):
        raise InvalidRequestError(
            "An upload takes no other condition than If-None-Match: *.",
            "Send that one to replace nothing, or none to replace what is there.",
        )
    return condition is None


def _without_repetition(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; json would keep the last of several fields of the same name, others keep the first."""
    counts = Counter(name for name, _ in fields)
    if repeated := [name for name, count in counts.items() if count > 1]:
        raise InvalidRequestError(f"The body has the field {repeated[0][:80]!a} more than once.", "Send it once.")
    return dict(fields)


def _chosen_name(parameter: str | None, field: str | None) -> str | None:
    """The name that the request gives to the upload; None when it gives none."""
    if parameter is not None and field is not None and parameter != field:
        raise InvalidRequestError(
            f"The parameter `name` is {parameter[:80]!a}, and the field `name` of the form is {field[:80]!a}.",
            "Send one of them, or the same name in both.",
        )
    name = field if parameter is None else parameter
    if name is not None and "\N{REPLACEMENT CHARACTER}" in name:
        # Stands for bytes that were no text: several names would become one, and one upload cover another.
        raise InvalidKeyError("The upload's `name` is not UTF-8.", "Encode it as UTF-8, and in a URL then as a URL.")
    return name


def _content(event: dict[str, Any]) -> _Content:
    """What the body of a request brings."""
    data = body(event)
    if len(data) > MOST_BYTES:
        raise UploadTooLargeError(
            f"The request has {len(data):,} bytes; {MOST_BYTES:,} are taken this way.",
            "Ask POST /images/presigned for a form or a URL that takes larger pictures, and upload the picture there.",
        )
    media_type, parameters = _header(event["headers"].get("content-type", ""))
    if media_type.lower() == "multipart/form-data":
        return _form(data, parameters.get("boundary", ""))
    return _Content(_text(event["headers"].get("content-disposition", "")), data)


def _kind(event: dict[str, Any], data: bytes, admitted: frozenset[str]) -> str:
    try:
        return recognise(data[:FIRST_BYTES], admitted)
    except UnsupportedFormatError as error:
        if event.get("isBase64Encoded"):
            raise
        media_type, _ = _header(event["headers"].get("content-type", ""))
        hint = f"API Gateway takes bytes for text when they are called {media_type}: call them image/jpeg, or alike."
        raise UnsupportedFormatError(error.message, hint) from error


def _form(data: bytes, boundary: str) -> _Content:
    """The form's one file and its field `name`; what has no file name is not a file.

    For an input that nobody has touched, a browser sends a file without name and bytes, and an empty text.
    https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#constructing-form-data-set
    """
    delimiter = b"\r\n--" + boundary.encode()
    files, names = [], set[str]()
    # The first delimiter has no line before it that could end; what follows the last one starts with two hyphens.
    _, *parts = (b"\r\n" + data).split(delimiter)
    if not boundary or not parts or not parts[-1].startswith(b"--"):
        raise InvalidRequestError(
            "The form ends too soon, or is none.", "Send it again, as curl -F file=@beach.jpg does."
        )
    for part in parts[:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        lines = head[:_MOST_HEADER_BYTES].split(b"\r\n")
        fields = [line.partition(b":")[2] for line in lines if line.lower().startswith(b"content-disposition:")]
        disposition = fields[0].decode("utf-8", "replace").strip() if fields else ""
        file_name = _file_name(disposition)
        if file_name is None and _header(disposition)[1].get("name") == "name" and content:
            names.add(content.decode("utf-8", "replace"))
        if file_name or (file_name is not None and content):
            files.append((disposition, content))
    if len(files) != 1:
        raise InvalidRequestError(
            f"The form has {len(files)} files.", "Send one file a request, as curl -F file=@beach.jpg does."
        )
    if len(names) > 1:
        raise InvalidRequestError(f"The form has {len(names)} different fields `name`.", "Send one.")
    return _Content(*files[0], name=next(iter(names), None))


def _file_name(disposition: str) -> str | None:
    """The file name in Content-Disposition (RFC 6266) without the folders of whoever sends it; None without one."""
    _, parameters = _header(disposition)
    name = parameters.get("filename")
    if extended := _EXTENDED.fullmatch(parameters.get("filename*", "")):
        name = unquote_to_bytes(extended[2]).decode(extended[1], "replace")
    return None if name is None else re.split(r"[/\\]", name)[-1]


def _header(value: str) -> tuple[str, dict[str, str]]:
    """The value of a header and its parameters, their names in lower case; of two alike, the first counts."""
    main, separator, rest = value.partition(";")
    parameters: dict[str, str] = {}
    for name, text in _PARAMETER.findall(separator + rest):
        plain = _QUOTED.sub(r"\1", text[1:-1]) if text.startswith('"') and text.endswith('"') else text.strip()
        parameters.setdefault(name.lower(), plain)
    return main.strip(), parameters


def _text(value: str) -> str:
    """A header's text: bytes that are UTF-8 may come as if they were ISO 8859-1."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value
