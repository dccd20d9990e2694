"""Bytes of one picture → its renditions and its visual summary, from a single decode. Pure: no AWS, no files."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from PIL import Image, ImageOps

from image_pipeline.errors import CorruptImageError
from image_pipeline.formats import Header, Limits, admit
from image_pipeline.recipes import Recipe

VERSION = 1
"""Part of every content id: raise it when the same bytes and recipes give other pixels."""

CONTENT_TYPES = {"jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp", "avif": "image/avif"}
EXTENSIONS = {"jpeg": "jpg", "png": "png", "webp": "webp", "avif": "avif"}


@dataclass(frozen=True)
class Rendition:
    """One finished file."""

    name: str
    """The recipe's name."""
    format: str
    """jpeg, png, webp or avif."""
    extension: str
    """Without a dot."""
    content_type: str
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    data: bytes

    @property
    def file_name(self) -> str:
        """`<name>.<extension>`."""
        return f"{self.name}.{self.extension}"

    def to_dict(self) -> dict[str, Any]:
        """CamelCase JSON, the bytes as their number."""
        return {
            "name": self.name,
            "format": self.format.upper(),
            "width": self.width,
            "height": self.height,
            "sizeBytes": len(self.data),
        }


@dataclass(frozen=True)
class Summary:
    """What can be shown or compared before a rendition has loaded."""

    thumbhash: str
    """Base64 ThumbHash: a placeholder of about 25 bytes."""
    colours: tuple[str, ...]
    """Dominant colours as #rrggbb, the most frequent first."""
    phash: str
    """64-bit perceptual hash, 16 hexadecimal digits."""

    def to_dict(self) -> dict[str, Any]:
        """CamelCase JSON."""
        return {"thumbhash": self.thumbhash, "colours": list(self.colours), "phash": self.phash}


@dataclass(frozen=True)
class Rendered:
    """Everything that one decode gives."""

    renditions: tuple[Rendition, ...]
    summary: Summary
    sha256: str
    """Of the upload's bytes, hexadecimal."""
    content_id: str
    """Names bytes + recipes + engine version; renditions under it never change."""
    warnings: tuple[str, ...]
    header: Header
    """As admitted from all bytes: frames and orientation are exact here."""


def render(data: bytes, recipes: Sequence[Recipe], limits: Limits) -> Rendered:
    """Make all renditions of one picture.

    Raises:
        RejectedError: as `formats.admit`, and CorruptImageError when the pixels cannot be decoded.
    """
    header = admit(lambda n: data[:n], len(data), limits)
    image = _decode(data)
    renditions = tuple(_rendition(image, recipe, each) for recipe in recipes for each in recipe.formats)
    sha256 = hashlib.sha256(data).hexdigest()
    return Rendered(renditions, Summary("", (), ""), sha256, _content_id(sha256, recipes), (), header)


def reduced_jpeg(data: bytes, max_side: int = 1600, min_side: int = 80, max_bytes: int = 5_000_000) -> bytes:
    """A JPEG copy of any admitted picture that fits Rekognition's limits."""
    image = _decode(data).convert("RGB")
    image.thumbnail((max_side, max_side))
    width, height = (max(side, min_side) for side in image.size)
    if (width, height) != image.size:
        image = ImageOps.pad(image, (width, height))
    for quality in (85, 60, 30):
        out = _encode(image, "jpeg", quality)
        if len(out) <= max_bytes:
            break
    return out


def _decode(data: bytes) -> Image.Image:
    try:
        with Image.open(io.BytesIO(data)) as opened:
            opened.load()
            return ImageOps.exif_transpose(opened)
    except (OSError, SyntaxError, ValueError) as error:
        raise CorruptImageError(f"The pixels cannot be decoded: {error}.", "Export the file again.") from error


def _rendition(image: Image.Image, recipe: Recipe, output_format: str) -> Rendition:
    small = image.convert("RGB")
    small.thumbnail((recipe.width, recipe.height), Image.Resampling.LANCZOS)
    data = _encode(small, output_format, recipe.quality_for(output_format))
    return Rendition(
        recipe.name, output_format, EXTENSIONS[output_format], CONTENT_TYPES[output_format], *small.size, data
    )


def _encode(image: Image.Image, output_format: str, quality: int) -> bytes:
    out = io.BytesIO()
    image.save(out, output_format, quality=quality)
    return out.getvalue()


def _content_id(sha256: str, recipes: Sequence[Recipe]) -> str:
    words = json.dumps([VERSION, sha256, [asdict(recipe) for recipe in recipes]], default=str, sort_keys=True)
    return hashlib.sha256(words.encode()).hexdigest()[:16]
