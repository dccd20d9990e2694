"""Bytes of one picture → its renditions and its visual summary, from a single decode. Pure: no AWS, no files.

    data ─ admit ─ decode (JPEG at a fraction) ─ reduce ─ sRGB ─ upright ┬─ each recipe ─ encode
                                                                       └─ summary

Everything expensive happens after the first reduction. Each size comes from the smallest picture already made that is
large enough, else from the decoded pixels: a plain cascade loses 1.3 dB on screenshots.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from functools import partial
from typing import TYPE_CHECKING, Any

import PIL
from PIL import Image

from image_pipeline.errors import ImageTooLargeError
from image_pipeline.imaging import exif, resize
from image_pipeline.imaging.decode import decode
from image_pipeline.imaging.encode import CONTENT_TYPES, EXTENSIONS, WITH_ALPHA, encode
from image_pipeline.imaging.exif import CameraFacts, rights_block
from image_pipeline.imaging.formats.admission import admit
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.pixels import Pixels
from image_pipeline.imaging.reader import Reader
from image_pipeline.imaging.recipes import DEFAULT_QUALITY, Recipe, Watermark
from image_pipeline.imaging.summary import Summary, summarise

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

VERSION = 2
"""Part of every content id: raise it when the same bytes and recipes give other pixels."""

REDUCED_NAME = "_reduced"
"""As no recipe can be called: `recipes` wants a letter or a digit first."""

_CAMERA_CASCADE, _CASCADE = 1.5, 2.0
"""How much larger than a rendition the reduced picture must be that it is made from. On photographs 1.5 costs 0.02 dB,
on screenshots 0.4 dB (`docs/performance.md`)."""
_SUMMARY_SIDE = 128
"""Longest side in pixels of what the summary is made from."""
_SLOW_FORMATS = frozenset({"webp", "avif"})
"""Encoders that take long and let Python go on meanwhile."""
_LEAST_QUALITY = 40

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture with this EXIF orientation upright."""


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
    data: bytes = field(repr=False)

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
class Rendered:
    """Everything that one decode gives."""

    renditions: tuple[Rendition, ...]
    """In the order of the recipes and of their formats."""
    summary: Summary
    sha256: str
    """Of the upload's bytes, hexadecimal."""
    content_id: str
    """Names bytes + recipes + engine: files under it never change, so they may be cached for ever."""
    warnings: tuple[str, ...]
    """For a person: what was wrong with the file and what was done about it."""
    header: Header
    """As admitted from all bytes: frames and orientation are exact here."""
    exif: CameraFacts


def render(data: bytes, recipes: Sequence[Recipe], limits: Limits) -> Rendered:
    """Make all renditions of one picture.

    Raises:
        RejectedError: as `admission.admit`, and CorruptImageError where the pixels cannot be decoded.
    """
    reader = Reader.of(data)
    header = admit(reader, limits)
    facts = exif.read(reader)
    picture = _open(reader, header, max((_scale(each, header) for each in recipes), default=0.0), limits)
    rights = rights_block(facts)
    results: dict[str, list[Callable[[], Rendition]]] = {}
    with _helpers(recipes) as threads:
        for recipe in sorted(recipes, key=partial(_scale, header=header), reverse=True):
            whole = picture.whole(_whole_size(recipe, header))
            make = partial(_rendition, _Finisher(recipe, whole), rights=rights, upload_bytes=len(data))
            results[recipe.name] = [_start(threads, make, each) for each in recipe.formats]
        summary = summarise(picture.whole(_inside(header, _SUMMARY_SIDE)), resize.reduce)
        sha256 = hashlib.sha256(data).hexdigest()
        renditions = tuple(result() for recipe in recipes for result in results[recipe.name])
    return Rendered(renditions, summary, sha256, _content_id(sha256, recipes), tuple(picture.warnings), header, facts)


def reduced(data: bytes, limits: Limits, max_side: int, min_side: int) -> Rendition:
    """A JPEG of all of the picture, for a service that takes no other: upright, sRGB, transparency on white.

    Args:
        data: the whole upload.
        limits: what is admitted.
        max_side: longest side of the copy in pixels.
        min_side: sides shorter than this are padded with white, in pixels.

    Raises:
        RejectedError: as `render`.
    """
    reader = Reader.of(data)
    header = admit(reader, limits)
    picture = _open(reader, header, min(1.0, max_side / max(header.width, header.height)), limits)
    image = _flat(picture.whole(_inside(header, max_side)), "#ffffff")
    image = _padded(image, (max(image.width, min_side), max(image.height, min_side)), "#ffffff")
    out = encode(image, "jpeg", DEFAULT_QUALITY["jpeg"], b"")
    return Rendition(REDUCED_NAME, "jpeg", EXTENSIONS["jpeg"], CONTENT_TYPES["jpeg"], *image.size, out)


# Sizes ----------------------------------------------------------------------------------------------------------------


def _scale(recipe: Recipe, header: Header) -> float:
    """Rendition over original, at most 1: nothing is enlarged."""
    ratios = recipe.width / header.width, recipe.height / header.height
    return min(1.0, max(ratios) if recipe.fit == "cover" else min(ratios))


def _whole_size(recipe: Recipe, header: Header) -> tuple[int, int]:
    """(width, height) of the whole picture at the recipe's scale, before anything is cut off or added."""
    scale = _scale(recipe, header)
    return max(1, round(header.width * scale)), max(1, round(header.height * scale))


def _inside(header: Header, side: int) -> tuple[int, int]:
    scale = min(1.0, side / max(header.width, header.height))
    return max(1, round(header.width * scale)), max(1, round(header.height * scale))


# The picture in many sizes --------------------------------------------------------------------------------------------


def _open(reader: Reader, header: Header, scale: float, limits: Limits) -> _Picture:
    longest = max(header.width, header.height)
    scale = max(scale, min(1.0, _SUMMARY_SIDE / longest))
    memory = header.predicted_memory(max(1, round(longest * scale))) + reader.size
    if memory > limits.memory_bytes:
        raise ImageTooLargeError(
            f"Renditions of this size need about {memory / 1e6:.0f} MB for a picture of {header.width} × "
            f"{header.height} pixels; {limits.memory_bytes / 1e6:.0f} MB are there.",
            "Ask for smaller renditions, or give the function more memory.",
        )
    pixels = decode(reader, header, 1 / scale)
    return _Picture(pixels, _CAMERA_CASCADE if header.camera else _CASCADE)


class _Picture:
    """One picture, decoded once, reduced on demand; reductions are upright sRGB in mode L, RGB or RGBA."""

    def __init__(self, pixels: Pixels, cascade: float) -> None:
        self._pixels = pixels
        self._cascade = cascade
        self._made: list[Image.Image] = []
        self.warnings = list(pixels.warnings)

    def whole(self, size: tuple[int, int]) -> Image.Image:
        """The whole picture at `size` (width, height), not to be changed by the caller."""
        width, height = size
        least = (self._cascade * width, self._cascade * height)
        enough = [
            each for each in self._made
            if each.size == size or (each.width >= least[0] and each.height >= least[1])
        ]  # fmt: skip
        if enough:
            image = resize.reduce(min(enough, key=lambda each: each.width * each.height), size)
        else:
            stored = (height, width) if self._pixels.orientation >= 5 else size
            image = self._finished(resize.reduce(self._pixels.image, stored, self._pixels.box))
        self._made.append(image)
        return image

    def _finished(self, image: Image.Image) -> Image.Image:
        image = self._in_srgb(image)
        if image.mode == "RGBA" and image.getchannel("A").getextrema() == (255, 255):
            image = image.convert("RGB")
        turn = _TURNS.get(self._pixels.orientation)
        return image.transpose(turn) if turn is not None else image

    def _in_srgb(self, image: Image.Image) -> Image.Image:
        if self._pixels.profile:
            from image_pipeline.imaging import colour  # most pictures are sRGB already and need none of it

            try:
                image = colour.to_srgb(image, self._pixels.profile)
            except colour.BrokenProfileError as error:
                self.warnings.append(f"Colours are shown as they are: {error}.")
                self._pixels.profile = b""
        return image.convert("RGB") if image.mode == "CMYK" else image


# One rendition --------------------------------------------------------------------------------------------------------


class _Finisher:
    """Cuts, pads, sharpens, marks and flattens for one recipe; shared by the recipe's formats."""

    def __init__(self, recipe: Recipe, whole: Image.Image) -> None:
        self.recipe = recipe
        self._image = self._shaped(whole)

    def _shaped(self, image: Image.Image) -> Image.Image:
        recipe = self.recipe
        if recipe.fit == "cover":
            image = _centre(image, (recipe.width, recipe.height))
        if recipe.sharpen:
            from PIL.ImageFilter import UnsharpMask

            image = image.filter(UnsharpMask(radius=1, percent=round(100 * recipe.sharpen), threshold=1))
        if recipe.fit == "pad":
            image = _padded(_flat(image, recipe.background), (recipe.width, recipe.height), recipe.background)
        if recipe.watermark is not None:
            from image_pipeline.imaging.watermark import lay

            image = lay(image, recipe.watermark)
        return image

    def image(self, output_format: str) -> Image.Image:
        """Finished pixels for a format."""
        return self._image if output_format in WITH_ALPHA else _flat(self._image, self.recipe.background)


def _rendition(finisher: _Finisher, output_format: str, *, rights: bytes, upload_bytes: int) -> Rendition:
    recipe = finisher.recipe
    image = finisher.image(output_format)
    quality = recipe.quality_for(output_format)
    out = encode(image, output_format, quality, rights)
    while not recipe.allow_larger and len(out) > upload_bytes and output_format != "png" and quality > _LEAST_QUALITY:
        quality = max(_LEAST_QUALITY, quality - 10)
        out = encode(image, output_format, quality, rights)
    return Rendition(
        recipe.name, output_format, EXTENSIONS[output_format], CONTENT_TYPES[output_format], *image.size, out
    )


@contextmanager
def _helpers(recipes: Sequence[Recipe]) -> Iterator[ThreadPoolExecutor | None]:
    """Two threads for the slow encoders; none where no recipe asks for one."""
    if not any(_SLOW_FORMATS & set(recipe.formats) for recipe in recipes):
        yield None
        return
    from concurrent.futures import ThreadPoolExecutor  # brings logging along, which costs 9 ms

    with ThreadPoolExecutor(max_workers=2) as threads:
        yield threads


def _start(
    threads: ThreadPoolExecutor | None, make: Callable[[str], Rendition], output_format: str
) -> Callable[[], Rendition]:
    """Begin one file; what is given back waits for it."""
    if threads is not None and output_format in _SLOW_FORMATS:
        return threads.submit(make, output_format).result
    done = make(output_format)
    return lambda: done


def _centre(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    width, height = min(size[0], image.width), min(size[1], image.height)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def _flat(image: Image.Image, background: str) -> Image.Image:
    if image.mode != "RGBA":
        return image
    canvas = Image.new("RGBA", image.size, background)
    return Image.alpha_composite(canvas, image).convert("RGB")


def _padded(image: Image.Image, size: tuple[int, int], background: str) -> Image.Image:
    if image.size == size:
        return image
    canvas = Image.new("RGB", size, background)
    canvas.paste(image, ((size[0] - image.width) // 2, (size[1] - image.height) // 2))
    return canvas


def recipe_id(recipes: Sequence[Recipe]) -> str:
    """Names recipes and this engine, whatever machine it runs on; kept in a record, it tells what to make anew."""
    words = [VERSION, *map(_described, recipes)]
    return hashlib.sha256(repr(words).encode()).hexdigest()[:16]


def content_id(data: bytes, recipes: Sequence[Recipe]) -> str:
    """Name what `render` would make of these bytes, without making it."""
    return _content_id(hashlib.sha256(data).hexdigest(), recipes)


def _content_id(sha256: str, recipes: Sequence[Recipe]) -> str:
    words = [VERSION, PIL.__version__, resize.name(), sha256, *map(_described, recipes)]
    return hashlib.sha256(repr(words).encode()).hexdigest()[:16]


def _described(options: Recipe | Watermark) -> list[Any]:
    """All options by name; a watermark's picture by its bytes, wherever it lies."""
    pairs = []
    for each in fields(options):
        value = getattr(options, each.name)
        if isinstance(value, Watermark):
            value = _described(value)
        elif each.name == "image" and value is not None:
            value = hashlib.sha256(value.read_bytes()).hexdigest()
        pairs.append((each.name, value))
    return pairs
