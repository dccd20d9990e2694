"""Make the renditions and the visual summary of one image from a single decode. Pure: no AWS, no files.

    data ─ admit ─ decode (JPEG, PNG and lossy WebP at a reduced size) ─ reduce ─ sRGB ─ upright ┬─ each recipe ─ encode
                                                                                                 └─ summary

All expensive steps follow the first reduction. Each size is reduced from the smallest existing reduction that is large
enough, else from the decoded pixels: reducing each size from the previous one would cost screenshots 1.3 dB.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from PIL import Image

from image_pipeline.errors import ImageTooLargeError
from image_pipeline.imaging import exif, packages, resize
from image_pipeline.imaging.animation.result import ANIMATED_FORMATS, Animated, AnimatedFile
from image_pipeline.imaging.decode import decode
from image_pipeline.imaging.encode import CONTENT_TYPES, EXTENSIONS, WITH_ALPHA, Encoder, encode
from image_pipeline.imaging.exif import CameraFacts, rights_block
from image_pipeline.imaging.focus import CENTRE, Point
from image_pipeline.imaging.formats.admission import admit
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.photograph import is_photograph
from image_pipeline.imaging.pixels import Pixels
from image_pipeline.imaging.reader import Reader
from image_pipeline.imaging.recipes import DEFAULT_QUALITY, Recipe, Watermark, without_repeats
from image_pipeline.imaging.summary import Summary, summarise

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from image_pipeline.imaging.interest import Interest

VERSION = 3
"""Part of every content id. Increase it when the same bytes and recipes give other pixels."""

REDUCED_NAME = "_reduced"
"""Cannot be the name of a recipe, which must start with a letter or a digit."""

_PHOTOGRAPH_CASCADE = 1.5
_CASCADE = 2.0
"""How many times larger than a rendition a reduction must be to serve as its source; a lower factor for photographs.
1.5 costs 0.02 dB on photographs and 0.4 dB on screenshots (`docs/performance.md`)."""
_SUMMARY_SIDE = 128
"""Longest side, in pixels, of the reduction from which the summary is computed."""
_KEPT_BYTES = 4
"""Memory of a reduction, or of a copy of it, for each of its pixels."""
_ENCODER_BYTES = {"jpeg": (1, 1), "png": (1, 1), "webp": (8, 36), "avif": (26, 28)}
"""Memory of an encoder for each pixel without and with alpha, as measured by `bench/engine/memory.py`."""
_OTHER_BYTES = 4_000_000
"""Memory that does not depend on the size of the image: small copies, and buffers of libraries."""
_ENCODERS = 2
"""Slow encoders that run at the same time."""
_SLOW_FORMATS = frozenset({"webp", "avif"})
"""Formats with slow encoders, which release Python's global lock."""
_LEAST_QUALITY = 40
"""Lowest quality to which `allow_larger = false` goes."""

Place = Callable[[tuple[int, int], tuple[int, int]], tuple[int, int]]
"""Returns (left, top) of a crop, given (width, height) of the image and of the crop."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The transposition that makes an image upright, by EXIF orientation."""


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
    frames: int = 1
    """Frames of an animation; 1 for a still."""

    @property
    def file_name(self) -> str:
        """`<name>.<extension>`."""
        return f"{self.name}.{self.extension}"

    def to_dict(self) -> dict[str, Any]:
        """Return camelCase JSON, with the size instead of the bytes."""
        return {
            "name": self.name,
            "format": self.format.upper(),
            "width": self.width,
            "height": self.height,
            "sizeBytes": len(self.data),
            **({"frames": self.frames} if self.frames > 1 else {}),
        }


@dataclass(frozen=True)
class Rendered:
    """The result of one decode."""

    renditions: tuple[Rendition, ...]
    """In the order of the recipes and of their formats."""
    summary: Summary
    sha256: str
    """SHA-256 of the upload, in hexadecimal."""
    content_id: str
    """Identifies bytes, recipes and engine: files with this id never change, so they may be cached forever."""
    warnings: tuple[str, ...]
    """Messages for the user: what was wrong with the file and how it was handled."""
    header: Header
    """Read from all bytes, so that frames and orientation are exact."""
    exif: CameraFacts


@contextmanager
def _memory_errors_as_rejections() -> Iterator[None]:
    """Reject an image that needs more memory than predicted, as `decode` does: the process itself is sound."""
    try:
        yield
    except MemoryError as error:
        raise ImageTooLargeError(
            "Rendering the image needs more memory than is available.",
            "Upload a smaller version of the image, or give the function more memory.",
        ) from error


@_memory_errors_as_rejections()
def render(data: bytes, recipes: Sequence[Recipe], limits: Limits, point: Point | None = None) -> Rendered:
    """Make all renditions of one image.

    Args:
        data: the whole upload.
        recipes: the recipes of the upload.
        limits: limits of the deployment.
        point: the point that every crop must show; None to let each recipe decide.

    Raises:
        RejectedError: as `admission.admit`; CorruptImageError if the pixels cannot be decoded; ImageTooLargeError if
            there is not enough memory.
    """
    reader = Reader.of(data)
    header = admit(reader, limits)
    facts = exif.read(reader)
    needed = without_repeats(recipes, header.width, header.height)
    largest_scale = max((_scale(recipe, header) for recipe in needed), default=0.0)
    reductions = _open(reader, header, largest_scale, limits, recipes=needed)
    rights = rights_block(facts)
    encoder = Encoder(rights)
    small = partial(reductions.at, _size_within(header, _SUMMARY_SIDE))
    places = _CropPlaces(point, small)
    animated = _animate(data, header, needed, places, limits.memory_bytes - reductions.memory, rights)
    results: dict[str, list[Callable[[], Rendition]]] = {}
    with _encoder_threads(needed) as threads:
        for recipe in sorted(needed, key=partial(_scale, header=header), reverse=True):
            uncropped = reductions.at(_uncropped_size(recipe, header))
            finisher = _Finisher(recipe, uncropped, places.of(recipe))
            make = partial(_make_rendition, finisher, encoder=encoder, upload_bytes=len(data))
            moving = animated.files.get(recipe.name)
            results[recipe.name] = [
                partial(_animated_rendition, recipe.name, moving)
                if moving and output_format == "webp"
                else _start(threads, make, output_format)
                for output_format in recipe.formats
            ]
        summary = summarise(small(), resize.reduce)
        sha256 = _sha256(data)
        renditions = tuple(result() for recipe in needed for result in results[recipe.name])
    content_id = _content_id(sha256, recipes, point, is_short=animated.is_short)
    warnings = (*reductions.warnings, *animated.warnings)
    return Rendered(renditions, summary, sha256, content_id, warnings, header, facts)


@_memory_errors_as_rejections()
def reduced(data: bytes, limits: Limits, max_side: int, min_side: int) -> Rendition:
    """Make a JPEG of the whole image, for a service that accepts few formats: upright, sRGB, transparency on white.

    Args:
        data: the whole upload.
        limits: limits of admission.
        max_side: longest side of the copy, in pixels.
        min_side: shorter sides are padded with white to this length, in pixels.

    Raises:
        RejectedError: as `render`.
    """
    reader = Reader.of(data)
    header = admit(reader, limits)
    reductions = _open(reader, header, min(1.0, max_side / max(header.width, header.height)), limits)
    image = flatten(reductions.at(_size_within(header, max_side)), "#ffffff")
    image = _pad(image, (max(image.width, min_side), max(image.height, min_side)), "#ffffff")
    out = encode(image, "jpeg", DEFAULT_QUALITY["jpeg"], b"")
    return Rendition(REDUCED_NAME, "jpeg", EXTENSIONS["jpeg"], CONTENT_TYPES["jpeg"], *image.size, out)


def ideals(data: bytes, recipes: Sequence[Recipe], limits: Limits) -> Iterator[tuple[Recipe, str, Image.Image]]:
    """Yield (recipe, format, pixels) of each rendition without its shortcuts: reduced from all pixels, not encoded.

    Raises:
        RejectedError: as `render`.
    """
    reader = Reader.of(data)
    header = admit(reader, limits)
    reductions = _open(reader, header, 1.0, limits, cascade=math.inf)
    places = _CropPlaces(None, partial(reductions.at, _size_within(header, _SUMMARY_SIDE)))
    for recipe in recipes:
        finisher = _Finisher(recipe, reductions.at(_uncropped_size(recipe, header)), places.of(recipe))
        yield from ((recipe, output_format, finisher.image(output_format)) for output_format in recipe.formats)


# Sizes ----------------------------------------------------------------------------------------------------------------


def _scale(recipe: Recipe, header: Header) -> float:
    return recipe.scale(header.width, header.height)


def _uncropped_size(recipe: Recipe, header: Header) -> tuple[int, int]:
    """Return (width, height) of the image at the recipe's scale, before cropping or padding."""
    scale = _scale(recipe, header)
    return max(1, round(header.width * scale)), max(1, round(header.height * scale))


def _size_within(header: Header, side: int) -> tuple[int, int]:
    scale = min(1.0, side / max(header.width, header.height))
    return max(1, round(header.width * scale)), max(1, round(header.height * scale))


# The image in many sizes ----------------------------------------------------------------------------------------------


def _open(
    reader: Reader,
    header: Header,
    scale: float,
    limits: Limits,
    *,
    recipes: Collection[Recipe] = (),
    cascade: float | None = None,
) -> _Reductions:
    """Decode the image, if its predicted memory is within the limit.

    Args:
        reader: the file, in memory.
        header: the result of admission.
        scale: size of the largest rendition divided by that of the original.
        limits: limits of the deployment.
        recipes: what will be made of the image.
        cascade: how many times larger than a rendition a reduction must be to serve as its source; None for the usual.
    """
    scale = max(scale, min(1.0, _SUMMARY_SIDE / max(header.width, header.height)))
    memory = predicted_memory(header, reader.size, scale, recipes)
    if memory > limits.memory_bytes:
        raise ImageTooLargeError(
            f"The recipes need about {memory / 1e6:.0f} MB of memory for an image of {header.width} × {header.height} "
            f"pixels; {limits.memory_bytes / 1e6:.0f} MB are available.",
            "Use recipes with smaller sizes, or give the function more memory.",
        )
    pixels = decode(reader, header, 1 / scale)
    if cascade is None:
        cascade = _PHOTOGRAPH_CASCADE if header.camera or is_photograph(pixels.image) else _CASCADE
    if _side(header, scale) < max(header.width, header.height):  # otherwise the pixels themselves are a rendition
        resize.premultiply(pixels.image)
    return _Reductions(pixels, cascade, memory)


def _side(header: Header, scale: float) -> int:
    return max(1, round(max(header.width, header.height) * scale))


def predicted_memory(header: Header, file_bytes: int, scale: float, recipes: Collection[Recipe]) -> int:
    """Return the peak memory of rendering in bytes, with the file.

    Args:
        header: the result of admission.
        file_bytes: size of the upload.
        scale: size of the largest rendition divided by that of the original.
        recipes: the recipes, without those that repeat another one.
    """
    decoding = header.predicted_memory(_side(header, scale))
    return decoding + file_bytes + _finishing_memory(recipes, header) + _OTHER_BYTES


def _finishing_memory(recipes: Collection[Recipe], header: Header) -> int:
    """Return the memory for all reductions except the largest, for copies of them, and for encoders, in bytes."""
    sizes = {_uncropped_size(recipe, header) for recipe in recipes}
    memory = _KEPT_BYTES * sum(sorted(width * height for width, height in sizes)[:-1])
    encoders = []
    for recipe in recipes:
        width, height = _uncropped_size(recipe, header) if recipe.fit == "fit" else (recipe.width, recipe.height)
        copies = header.may_have_alpha + (recipe.fit != "fit") + bool(recipe.sharpen)
        copies += 2 * (recipe.watermark is not None) + ("png" in recipe.formats)
        memory += _KEPT_BYTES * copies * width * height
        encoders += [_ENCODER_BYTES[name][header.may_have_alpha] * width * height for name in recipe.formats]
    return memory + sum(sorted(encoders)[-_ENCODERS:])


class _Reductions:
    """Reductions of one decoded image, made on demand: upright sRGB in mode L, RGB or RGBA."""

    def __init__(self, pixels: Pixels, cascade: float, memory: int = 0) -> None:
        self.memory = memory
        """Predicted memory of the pixels and all reductions, in bytes."""
        self._pixels = pixels
        self._cascade = cascade
        self._images: list[Image.Image] = []
        self.warnings = list(pixels.warnings)

    def at(self, size: tuple[int, int]) -> Image.Image:
        """Return the whole image at `size` (width, height). The caller must not change it."""
        width, height = size
        sources = [
            image for image in self._images
            if image.size == size or (image.width >= self._cascade * width and image.height >= self._cascade * height)
        ]  # fmt: skip
        if sources:
            smallest = min(sources, key=lambda image: image.width * image.height)
            reduction = resize.reduce(smallest, size)
        else:
            stored_size = (height, width) if self._pixels.orientation >= 5 else size
            reduction = self._upright_srgb(resize.reduce(self._pixels.image, stored_size, self._pixels.box))
        self._images.append(reduction)
        return reduction

    def _upright_srgb(self, image: Image.Image) -> Image.Image:
        image = self._to_srgb(image)
        if image.mode == "RGBA" and image.getchannel("A").getextrema() == (255, 255):
            image = image.convert("RGB")
        turn = _TURNS.get(self._pixels.orientation)
        return image.transpose(turn) if turn is not None else image

    def _to_srgb(self, image: Image.Image) -> Image.Image:
        if self._pixels.profile:
            from image_pipeline.imaging import colour  # most images are sRGB and do not need it

            try:
                image = colour.to_srgb(image, self._pixels.profile)
            except colour.BrokenProfileError as error:
                self.warnings.append(f"The colour profile was ignored: {error}.")
                self._pixels.profile = b""
        return image.convert("RGB") if image.mode == "CMYK" else image


# One rendition --------------------------------------------------------------------------------------------------------


class _Finisher:
    """Crops, sharpens, pads, watermarks and flattens for one recipe; shared by the recipe's formats."""

    def __init__(self, recipe: Recipe, uncropped: Image.Image, place: Place) -> None:
        self.recipe = recipe
        self._place = place
        self._image = self._apply_options(uncropped)

    def _apply_options(self, image: Image.Image) -> Image.Image:
        recipe = self.recipe
        if recipe.fit == "cover":
            image = _crop(image, (recipe.width, recipe.height), self._place)
        if recipe.sharpen:
            from PIL.ImageFilter import UnsharpMask

            image = image.filter(UnsharpMask(radius=1, percent=round(100 * recipe.sharpen), threshold=1))
        if recipe.fit == "pad":
            image = _pad(flatten(image, recipe.background), (recipe.width, recipe.height), recipe.background)
        if recipe.watermark is not None:
            from image_pipeline.imaging.watermark import apply_watermark

            image = apply_watermark(image, recipe.watermark)
        return image

    def image(self, output_format: str) -> Image.Image:
        """Return the finished pixels for a format."""
        return self._image if output_format in WITH_ALPHA else flatten(self._image, self.recipe.background)


def _make_rendition(finisher: _Finisher, output_format: str, *, encoder: Encoder, upload_bytes: int) -> Rendition:
    recipe = finisher.recipe
    image = finisher.image(output_format)
    quality = recipe.quality_for(output_format)
    out = encoder.encode(image, output_format, quality)
    while not recipe.allow_larger and len(out) > upload_bytes and output_format != "png" and quality > _LEAST_QUALITY:
        quality = max(_LEAST_QUALITY, quality - 10)
        out = encoder.encode(image, output_format, quality)
    return Rendition(
        recipe.name, output_format, EXTENSIONS[output_format], CONTENT_TYPES[output_format], *image.size, out
    )


def _animate(
    data: bytes, header: Header, recipes: Sequence[Recipe], places: _CropPlaces, memory: int, rights: bytes
) -> Animated:
    """Make the animated renditions, if the image and a recipe are animated.

    Args:
        data: the whole upload.
        header: the result of admission.
        recipes: all recipes.
        places: places the crops, of all frames alike.
        memory: what is left for the animation, in bytes.
        rights: EXIF block with artist and copyright.
    """
    moving = [recipe for recipe in recipes if recipe.animated]
    if not moving or header.frames < 2 or header.format not in ANIMATED_FORMATS:
        return Animated()
    from image_pipeline.imaging.animation.render import Job, animate  # few images need it

    def finish(pixels: Pixels) -> list[Image.Image]:
        reductions = _Reductions(pixels, _CASCADE)
        finishers = [
            _Finisher(recipe, reductions.at(_uncropped_size(recipe, header)), places.of(recipe)) for recipe in moving
        ]
        return [finisher.image("webp") for finisher in finishers]

    sizes = {
        recipe.name: (recipe.width, recipe.height) if recipe.fit == "pad" else _uncropped_size(recipe, header)
        for recipe in moving
    }
    qualities = [recipe.quality_for("webp") for recipe in moving]
    return animate(data, Job(header, sizes, qualities, finish, rights, memory))


def _animated_rendition(name: str, file: AnimatedFile) -> Rendition:
    return Rendition(name, "webp", EXTENSIONS["webp"], CONTENT_TYPES["webp"], *file.size, file.data, file.frames)


@contextmanager
def _encoder_threads(recipes: Sequence[Recipe]) -> Iterator[ThreadPoolExecutor | None]:
    """Provide threads for slow encoders; None if no recipe uses one."""
    if not any(_SLOW_FORMATS & set(recipe.formats) for recipe in recipes):
        yield None
        return
    from concurrent.futures import ThreadPoolExecutor  # imports logging, which takes 9 ms

    with ThreadPoolExecutor(max_workers=_ENCODERS) as threads:
        yield threads


def _start(
    threads: ThreadPoolExecutor | None, make: Callable[[str], Rendition], output_format: str
) -> Callable[[], Rendition]:
    """Start to make one file; the returned function waits for the result."""
    if threads is not None and output_format in _SLOW_FORMATS:
        return threads.submit(make, output_format).result
    rendition = make(output_format)
    return lambda: rendition


class _CropPlaces:
    """Chooses how the crop of each recipe is placed: around the point of the upload, else as the recipe says."""

    def __init__(self, point: Point | None, small: Callable[[], Image.Image]) -> None:
        self._point = point
        self._small = small
        """Returns the reduction in which `smart` looks for the most interesting part."""

    def of(self, recipe: Recipe) -> Place:
        if self._point is None and (recipe.fit, recipe.focus) == ("cover", "smart"):
            return self._interest.place
        return (self._point or CENTRE).place

    @cached_property
    def _interest(self) -> Interest:
        from image_pipeline.imaging.interest import Interest  # few recipes need it

        return Interest.of(self._small())


def _crop(image: Image.Image, size: tuple[int, int], place: Place) -> Image.Image:
    width = min(size[0], image.width)
    height = min(size[1], image.height)
    left, top = place(image.size, (width, height))
    return image.crop((left, top, left + width, top + height))


def flatten(image: Image.Image, background: str) -> Image.Image:
    """Return an image without transparency; an image of another mode than RGBA has none."""
    if image.mode != "RGBA":
        return image
    canvas = Image.new("RGBA", image.size, background)
    return Image.alpha_composite(canvas, image).convert("RGB")


def _pad(image: Image.Image, size: tuple[int, int], background: str) -> Image.Image:
    if image.size == size:
        return image
    canvas = Image.new("RGB", size, background)
    canvas.paste(image, ((size[0] - image.width) // 2, (size[1] - image.height) // 2))
    return canvas


def recipe_id(recipes: Sequence[Recipe]) -> str:
    """Identify recipes and engine, independently of the machine; the id in a record shows whether it is out of date."""
    parts = [VERSION, *map(_option_pairs, recipes)]
    return _sha256(repr(parts).encode())[:16]


def content_id(data: bytes, recipes: Sequence[Recipe], point: Point | None = None) -> str:
    """Return the content id that `render` would give these bytes, without rendering."""
    return _content_id(_sha256(data), recipes, point)


def _content_id(sha256: str, recipes: Sequence[Recipe], point: Point | None, *, is_short: bool = False) -> str:
    """Return the content id, which differs if time or memory did not suffice for the animation."""
    parts = [
        VERSION,
        packages.versions(),
        resize.name(),
        sha256,
        point,
        *map(_option_pairs, recipes),
        *["late"] * is_short,
    ]
    return _sha256(repr(parts).encode())[:16]


def _option_pairs(options: Recipe | Watermark) -> list[Any]:
    """Return (name, value) of all options; a watermark image is represented by the hash of its bytes, not its path."""
    pairs = []
    for option in fields(options):
        value = getattr(options, option.name)
        if isinstance(value, Watermark):
            value = _option_pairs(value)
        elif option.name == "image" and value is not None:
            value = _sha256(value.read_bytes())
        pairs.append((option.name, value))
    return pairs


def _sha256(data: bytes) -> str:
    from hashlib import sha256  # loads OpenSSL, which takes an eighth of the engine's import time

    return sha256(data).hexdigest()
