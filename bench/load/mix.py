"""The uploads of `bench.load` and their expected outcomes: photographs, drawings, invalid files, some keys twice."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image

import local

PHOTOGRAPHS = ("astronaut", "cat", "coffee", "rocket")


@dataclass(frozen=True)
class Upload:
    """A file to upload and the expected record, unless a later upload has the same key.

    Attributes:
        number: Its position in the order of uploads.
        key: Its key; if a later upload has the same key, that one counts.
        kind: Its kind: `photo`, `drawing`, `text`, `empty` or `truncated`.
        body: The file's bytes.
        size: (width, height) of a valid image.
        error: The error of an invalid file.
        delivered_twice: Whether its event is delivered twice.
    """

    number: int
    key: str
    kind: str
    body: bytes
    size: tuple[int, int] | None = None
    error: str | None = None
    delivered_twice: bool = False


# One cycle: the kind, and the distance to an earlier upload of the same key; 0 for a new key. The overwrites differ:
# an image by an image, an invalid file by an image, and an image by an invalid file.
_CYCLE = (
    ("photo", 0),
    ("drawing", 0),
    ("photo", 0),
    ("photo", 1),
    ("text", 0),
    ("photo", 0),
    ("drawing", 0),
    ("photo", 0),
    ("empty", 0),
    ("photo", 0),
    ("truncated", 0),
    ("photo", 1),
    ("photo", 0),
    ("drawing", 0),
    ("photo", 0),
    ("truncated", 1),
    ("photo", 0),
    ("drawing", 0),
    ("photo", 0),
    ("photo", 0),
)
_DELIVERED_TWICE = {2, 4, 6, 12}  # positions in a cycle; 2 is an overwritten upload

_ERRORS = {"text": "UnsupportedFormatError", "empty": "EmptyUploadError", "truncated": "CorruptImageError"}


def uploads(count: int) -> list[Upload]:
    """Return this number of uploads, which are the same in every run."""
    return [_upload(number) for number in range(count)]


def _upload(number: int) -> Upload:
    position = number % len(_CYCLE)
    kind, distance = _CYCLE[position]
    size = (320 + 8 * (number % 41), 240 + 8 * (number % 31))
    if kind == "text":
        body = f"Upload {number} is a text, whatever its name says.\n".encode()
    elif kind == "empty":
        body = b""
    else:
        body = _drawing(size) if kind == "drawing" else _photo(number, size)
        if kind == "truncated":
            body = body[: len(body) // 2]
    error = _ERRORS.get(kind)
    return Upload(
        number=number,
        key=f"uploads/load/{number - distance:05}.jpg",
        kind=kind,
        body=body,
        size=None if error else size,
        error=error,
        delivered_twice=position in _DELIVERED_TWICE,
    )


def _photo(number: int, size: tuple[int, int]) -> bytes:
    """Return a sample at this size, with its number in a comment to make it unique."""
    image = _sample(PHOTOGRAPHS[number % len(PHOTOGRAPHS)]).resize(size)
    return _encode(image, "JPEG", comment=f"upload {number}".encode())


@cache
def _sample(name: str) -> Image.Image:
    return Image.open(Path(local.__file__).with_name("samples") / f"{name}.jpg").convert("RGB")


@cache
def _drawing(size: tuple[int, int]) -> bytes:
    """Return a disc with a transparent edge."""
    image = Image.new("RGBA", size, (200, 90, 20, 0))
    image.putalpha(Image.radial_gradient("L").resize(size).point(lambda value: max(0, 255 - value * 2)))
    return _encode(image, "PNG")


def _encode(image: Image.Image, image_format: str, **options: bytes) -> bytes:
    out = io.BytesIO()
    image.save(out, image_format, **options)
    return out.getvalue()
