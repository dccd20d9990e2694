"""Compare a rendition with the picture that it was made from, by size and by pixels."""

import io

from PIL import Image

from image_pipeline.imaging.recipes import Recipe
from image_pipeline_cli.verify.pictures import SIZE, Colour, Picture

_TOLERANCE = 40  # of 255 in a channel: lossy encoders, and CMYK without a profile
_OPAQUE_FORMATS = ("jpeg",)


def complaint(data: bytes, recipe: Recipe, output_format: str, picture: Picture) -> str:
    """Say what is wrong with a rendition; empty if nothing is."""
    with Image.open(io.BytesIO(data)) as image:
        actual_format, size = image.format, image.size
        pixels = image.convert("RGBA")
    if actual_format != output_format.upper():
        return f"it is {actual_format} instead of {output_format.upper()}"
    if size != (expected := _size(recipe)):
        return f"it has {size[0]} x {size[1]} pixels instead of {expected[0]} x {expected[1]}"
    if recipe.watermark or recipe.focus == "smart":
        return ""  # it may cover any of the points, or crop them
    for index, (place, point) in enumerate(_points(size)):
        found = _pixel(pixels, point)
        if index == picture.transparent and output_format not in _OPAQUE_FORMATS and recipe.fit != "pad":
            if found[3] > _TOLERANCE:
                return f"the transparent quarter at the {place} is opaque"
            continue
        colour = _background(recipe) if index == picture.transparent else picture.quarters[index]
        if not _similar(found, colour):
            return f"the quarter at the {place} is {_hex(found)} instead of {_hex(colour)}"
    return ""


def _size(recipe: Recipe) -> tuple[int, int]:
    """Return (width, height) of a rendition, as docs/images.md defines it."""
    ratios = recipe.width / SIZE[0], recipe.height / SIZE[1]
    scale = min(1.0, max(ratios) if recipe.fit == "cover" else min(ratios))
    width, height = round(SIZE[0] * scale), round(SIZE[1] * scale)
    if recipe.fit == "cover":
        return min(width, recipe.width), min(height, recipe.height)
    return (recipe.width, recipe.height) if recipe.fit == "pad" else (width, height)


def _points(size: tuple[int, int]) -> list[tuple[str, tuple[int, int]]]:
    """Return a point in each quarter, near the centre: there it is in the picture, however that was fitted."""
    distance = min(size) // 8
    left, right = size[0] // 2 - distance, size[0] // 2 + distance
    top, bottom = size[1] // 2 - distance, size[1] // 2 + distance
    return [
        ("top left", (left, top)),
        ("top right", (right, top)),
        ("bottom left", (left, bottom)),
        ("bottom right", (right, bottom)),
    ]


def _pixel(image: Image.Image, point: tuple[int, int]) -> tuple[int, ...]:
    value = image.getpixel(point)
    return value if isinstance(value, tuple) else (0, 0, 0, 0)


def _background(recipe: Recipe) -> Colour:
    red, green, blue = bytes.fromhex(recipe.background.removeprefix("#"))
    return red, green, blue


def _similar(found: tuple[int, ...], colour: Colour) -> bool:
    return all(abs(a - b) <= _TOLERANCE for a, b in zip(found, (*colour, 255), strict=True))


def _hex(colour: tuple[int, ...]) -> str:
    return "#" + bytes(colour).hex()
