"""Small images, valid and invalid, that tests create."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image


def gradient(width: int = 800, height: int = 600, mode: str = "RGB") -> Image.Image:
    """An image in which every place has its own colour, so that a wrong crop or rotation is visible."""
    red = Image.linear_gradient("L").resize((width, height))
    green = Image.linear_gradient("L").rotate(90).resize((width, height))
    blue = Image.radial_gradient("L").resize((width, height))
    return Image.merge("RGB", (red, green, blue)).convert(mode)


def encoded(image: Image.Image, image_format: str = "JPEG", **options: Any) -> bytes:
    """The bytes of an image file."""
    out = io.BytesIO()
    image.save(out, image_format, **options)
    return out.getvalue()


def photo(width: int = 800, height: int = 600, **options: Any) -> bytes:
    """A JPEG."""
    return encoded(gradient(width, height), "JPEG", **options)


def opened(data: bytes) -> Image.Image:
    """The decoded image of a file."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return image
