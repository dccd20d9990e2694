"""What `bench.load` uploads, and how each must end: photographs, transparent drawings, bad files, some keys twice."""

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
    """A file to upload, and what its record must say if no later upload has its key.

    Attributes:
        number: Its place in the order of uploads.
        key: Where it goes; a key may come again, and then the later upload counts.
        kind: What it is: `photo`, `drawing`, `text`, `empty` or `truncated`.
        body: The file's bytes.
        size: (width, height) of a good picture.
        error: The error of a bad file.
        delivered_twice: Whether its event comes a second time.
    """

    number: int
    key: str
    kind: str
    body: bytes
    size: tuple[int, int] | None = None
    error: str | None = None
    delivered_twice: bool = False


# One cycle: the kind, and how many uploads ago its key came first; 0 for a key of its own. Each overwrite is another
# case: of a picture by a picture, of a bad file by a picture, and of a picture by a bad file.
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
_DELIVERED_TWICE = {2, 4, 6, 12}  # of a cycle; 2 is an upload that is overwritten

_ERRORS = {"text": "UnsupportedFormatError", "empty": "EmptyUploadError", "truncated": "CorruptImageError"}


def uploads(count: int) -> list[Upload]:
    """Make so many uploads, the same ones every time."""
    return [_upload(number) for number in range(count)]


def _upload(number: int) -> Upload:
    place = number % len(_CYCLE)
    kind, back = _CYCLE[place]
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
        key=f"uploads/load/{number - back:05}.jpg",
        kind=kind,
        body=body,
        size=None if error else size,
        error=error,
        delivered_twice=place in _DELIVERED_TWICE,
    )


def _photo(number: int, size: tuple[int, int]) -> bytes:
    """One of the samples at this size, with its number in a comment, so that no two files are alike."""
    image = _sample(PHOTOGRAPHS[number % len(PHOTOGRAPHS)]).resize(size)
    return _encoded(image, "JPEG", comment=f"upload {number}".encode())


@cache
def _sample(name: str) -> Image.Image:
    return Image.open(Path(local.__file__).with_name("samples") / f"{name}.jpg").convert("RGB")


@cache
def _drawing(size: tuple[int, int]) -> bytes:
    """A disc that fades out."""
    image = Image.new("RGBA", size, (200, 90, 20, 0))
    image.putalpha(Image.radial_gradient("L").resize(size).point(lambda value: max(0, 255 - value * 2)))
    return _encoded(image, "PNG")


def _encoded(image: Image.Image, image_format: str, **options: bytes) -> bytes:
    out = io.BytesIO()
    image.save(out, image_format, **options)
    return out.getvalue()
