"""Compare a rendition with the sample that it was made from, by size and by pixels."""

import io

from PIL import Image

from image_pipeline.imaging.focus import CENTRE
from image_pipeline.imaging.recipes import Recipe
from image_pipeline_cli.verify.samples import Colour, SampleImage

_TOLERANCE = 40  # per channel, of 255, for lossy encoders and for CMYK without a profile
_OPAQUE_FORMATS = ("jpeg",)


def complaint(data: bytes, recipe: Recipe, output_format: str, sample: SampleImage) -> str:
    """Say what is wrong with a rendition; empty if nothing is."""
    with Image.open(io.BytesIO(data)) as image:
        actual_format, size = image.format, image.size
        pixels = image.convert("RGBA")
    if actual_format != output_format.upper():
        return f"it is {actual_format} instead of {output_format.upper()}"
    if size != (expected := _size(recipe, sample)):
        return f"it has {size[0]} x {size[1]} pixels instead of {expected[0]} x {expected[1]}"
    if recipe.watermark or (recipe.focus == "smart" and not sample.point):
        return ""  # it may cover any of the places, or crop them
    for name, place in _places(size):
        quarter = _quarter(recipe, sample, size, place)
        if quarter is None:
            continue
        pixel = _pixel(pixels, place)
        if quarter == sample.transparent and output_format not in _OPAQUE_FORMATS and recipe.fit != "pad":
            if pixel[3] > _TOLERANCE:
                return f"the transparent quarter at the {name} is opaque"
            continue
        colour = _background(recipe) if quarter == sample.transparent else sample.quarters[quarter]
        if not similar(pixel[:3], colour) or pixel[3] < 255 - _TOLERANCE:
            return f"the quarter at the {name} is {_hex(pixel)} instead of {_hex(colour)}"
    return ""


def similar(actual: tuple[int, ...], colour: Colour) -> bool:
    """Return whether a colour is the expected one, as far as encoders keep it."""
    return all(abs(a - b) <= _TOLERANCE for a, b in zip(actual, colour, strict=True))


def _size(recipe: Recipe, sample: SampleImage) -> tuple[int, int]:
    """Return (width, height) of a rendition, as docs/images.md defines it."""
    width, height = _uncropped_size(recipe, sample)
    if recipe.fit == "cover":
        return min(width, recipe.width), min(height, recipe.height)
    return (recipe.width, recipe.height) if recipe.fit == "pad" else (width, height)


def _uncropped_size(recipe: Recipe, sample: SampleImage) -> tuple[int, int]:
    width, height = sample.size
    scale = recipe.scale(width, height)
    return round(width * scale), round(height * scale)


def _distance(size: tuple[int, int]) -> int:
    """Return how far the places are from the centre: near it, they are in the image for every `fit`."""
    return min(size) // 8


def _places(size: tuple[int, int]) -> list[tuple[str, tuple[int, int]]]:
    """Return a place in each quarter of a rendition."""
    distance = _distance(size)
    left, right = size[0] // 2 - distance, size[0] // 2 + distance
    top, bottom = size[1] // 2 - distance, size[1] // 2 + distance
    return [
        ("top left", (left, top)),
        ("top right", (right, top)),
        ("bottom left", (left, bottom)),
        ("bottom right", (right, bottom)),
    ]


def _quarter(recipe: Recipe, sample: SampleImage, size: tuple[int, int], place: tuple[int, int]) -> int | None:
    """Return the quarter of the image that is at a place of a rendition; None if it is too near to another one."""
    whole = _uncropped_size(recipe, sample)
    if recipe.fit == "cover":
        left, top = (sample.point or CENTRE).place(whole, size)
    else:  # the whole image, perhaps with equal margins
        left, top = (whole[0] - size[0]) // 2, (whole[1] - size[1]) // 2
    across, down = left + place[0] - whole[0] / 2, top + place[1] - whole[1] / 2
    if min(abs(across), abs(down)) < _distance(size) / 2:
        return None
    return (across > 0) + 2 * (down > 0)


def _pixel(image: Image.Image, place: tuple[int, int]) -> tuple[int, ...]:
    value = image.getpixel(place)
    return value if isinstance(value, tuple) else (0, 0, 0, 0)


def _background(recipe: Recipe) -> Colour:
    red, green, blue = bytes.fromhex(recipe.background.removeprefix("#"))
    return red, green, blue


def _hex(colour: tuple[int, ...]) -> str:
    return "#" + bytes(colour).hex()
