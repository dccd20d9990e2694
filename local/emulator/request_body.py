"""Read the complete body of an HTTP/1.1 request.

A truncated body must not look like a shorter one, and an ambiguous end of a body would allow a second request to hide
in it: https://www.rfc-editor.org/rfc/rfc9112.html#section-6.3.
"""

import io
import re
from email import errors
from email.message import Message
from typing import Protocol

_PIECE_BYTES = 1 << 20  # read in pieces, so that a false length costs no memory
_MAX_LINE_BYTES = 8192
_MAX_TRAILER_LINES = 100
_DECIMAL = re.compile(r"[0-9]{1,19}")
_HEXADECIMAL = re.compile(rb"[0-9A-Fa-f]{1,16}")
_HEADER_DEFECTS = (
    errors.FirstHeaderLineIsContinuationDefect,
    errors.MissingHeaderBodySeparatorDefect,
)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class _Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...

    def readline(self, size: int, /) -> bytes: ...


class BodyError(Exception):
    """The body is truncated, or its end is ambiguous; the message says which."""


def read_body(headers: Message, stream: _Stream) -> bytes:
    """Read the body that follows the headers of a request.

    Args:
        headers: All headers of the request.
        stream: The bytes after the headers.

    Returns:
        The body without chunk framing; empty if the headers declare none.

    Raises:
        BodyError: The connection ended before the body did, or the headers are ambiguous.
    """
    if _is_malformed(headers):
        raise BodyError("A header line is malformed: each must be a name, a colon and a value.")
    lengths = [value.strip() for value in headers.get_all("Content-Length", [])]
    codings = [value.strip().lower() for value in headers.get_all("Transfer-Encoding", [])]
    if codings and lengths:
        raise BodyError("A request must not have both Content-Length and Transfer-Encoding.")
    if codings:
        if codings != ["chunked"]:
            raise BodyError(f"Transfer-Encoding must be chunked, not {', '.join(codings)!a}.")
        return read_chunks(stream)
    if not lengths:
        return b""
    if len(lengths) > 1 or not _DECIMAL.fullmatch(lengths[0]):
        raise BodyError(f"Content-Length must be one decimal number, not {', '.join(lengths)!a}.")
    return _read_exactly(stream, int(lengths[0]))


def _is_malformed(headers: Message) -> bool:
    """Return whether a line is not a header, or continues the previous line, which is obsolete."""
    return (
        any(isinstance(defect, _HEADER_DEFECTS) for defect in headers.defects)
        or not all(map(_TOKEN.fullmatch, headers.keys()))
        or any("\n" in value for value in headers.values())
    )


def _read_exactly(stream: _Stream, size: int) -> bytes:
    body = io.BytesIO()
    while (remaining := size - body.tell()) > 0:
        piece = stream.read(min(remaining, _PIECE_BYTES))
        if not piece:
            raise BodyError(f"The connection ended after {body.tell():,} of {size:,} bytes of the body.")
        body.write(piece)
    return body.getvalue()


def read_chunks(stream: _Stream) -> bytes:
    """Read chunks up to the end of their trailers. AWS SDKs use the same framing for bodies of S3 requests.

    Raises:
        BodyError: The chunks are malformed or truncated.
    """
    body = io.BytesIO()
    while size := _chunk_size(_read_line(stream)):
        body.write(_read_exactly(stream, size))
        if _read_line(stream):
            raise BodyError("A chunk is longer than its declared size.")
    for _ in range(_MAX_TRAILER_LINES):
        if not _read_line(stream):
            return body.getvalue()
    raise BodyError(f"More than {_MAX_TRAILER_LINES} trailer fields follow the last chunk.")


def _chunk_size(line: bytes) -> int:
    size = line.partition(b";")[0].rstrip(b" \t")  # extensions follow a semicolon and may be ignored
    if not _HEXADECIMAL.fullmatch(size):
        raise BodyError(f"The size of a chunk must be a hexadecimal number, not {line[:40]!a}.")
    return int(size, 16)


def _read_line(stream: _Stream) -> bytes:
    line = stream.readline(_MAX_LINE_BYTES)
    if not line.endswith(b"\r\n"):
        raise BodyError("The connection ended before the last chunk, or a line of the chunks does not end with CR LF.")
    return line[:-2]
