"""Render one file by two recipe files and measure the results, in a process of its own."""

import io
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from image_pipeline.errors import ImageTooLargeError, RejectedError
from image_pipeline.imaging import engine, memory, recipes
from image_pipeline.imaging.formats.admission import admit
from image_pipeline.imaging.formats.limits import RUNTIME_BYTES, Limits
from image_pipeline.imaging.reader import Reader
from image_pipeline.settings import MEBIBYTE
from image_pipeline_cli.files import LocalFile
from image_pipeline_cli.trial.similarity import ssim

LIMITS = Limits(max_bytes=150_000_000, memory_bytes=1769 * MEBIBYTE - RUNTIME_BYTES)
"""Those of a stack with the default parameters."""
_IDEAL_LIMITS = Limits(max_bytes=LIMITS.max_bytes, memory_bytes=3072 * MEBIBYTE)
"""The comparison decodes every pixel, which needs more memory."""
_PROCESS_BYTES = 4096 * MEBIBYTE
_WARM_UP = (recipes.Recipe("warm-up", 64, 64, formats=("jpeg", "webp")),)

Ideals = dict[tuple[recipes.Recipe, str], Image.Image]


@dataclass(frozen=True)
class TrialRendition:
    """A rendition that was made."""

    file_name: str
    format: str
    width: int
    height: int
    size_bytes: int
    ssim: float | None
    """Similarity to the reduction of all pixels; None if that would need too much memory."""


@dataclass(frozen=True)
class Measured:
    """What a recipe file makes of an image."""

    seconds: float
    """CPU time of the engine."""
    renditions: tuple[TrialRendition, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Rejected:
    """Why the pipeline would reject a file."""

    code: str
    message: str
    hint: str


def start_process() -> None:
    """Prepare a process: it has bounded memory, ends silently at Ctrl-C, and has a warm engine."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    memory.limit(_PROCESS_BYTES)
    out = io.BytesIO()
    Image.new("RGB", (256, 256)).save(out, "JPEG")
    engine.render(out.getvalue(), _WARM_UP, LIMITS)


def render(file: LocalFile, folders: Mapping[Path, Path]) -> dict[Path, Measured] | Rejected:
    """Render a file by each recipe file, and write the renditions.

    Args:
        file: The file, and the key that decides which recipes apply.
        folders: New folders for the renditions, by recipe file.

    Returns:
        The results by recipe file.

    Raises:
        OSError: The file cannot be read, or a rendition cannot be written.
    """
    try:
        data = _read(file.path)
        ideals: Ideals | None = {}
        results = {}
        for source, folder in folders.items():
            book = _recipes(source).for_key(file.key)
            start = time.process_time()
            rendered = engine.render(data, book, LIMITS)
            seconds = time.process_time() - start
            ideals = _with_ideals(ideals, data, book)
            results[source] = Measured(
                seconds,
                tuple(_measure(rendition, book, ideals) for rendition in rendered.renditions),
                rendered.warnings,
            )
            folder.mkdir(parents=True)
            for rendition in rendered.renditions:
                (folder / rendition.file_name).write_bytes(rendition.data)
    except RejectedError as error:
        return Rejected(type(error).__name__, error.message, error.hint)
    return results


def _read(path: Path) -> bytes:
    """Read a file that the pipeline accepts. As in the pipeline, the header decides before the whole file is read."""
    with path.open("rb") as file:
        admit(Reader.fetched(lambda start, length: _part(file, start, length), path.stat().st_size), LIMITS)
        return _part(file, 0, -1)


def _part(file: BinaryIO, start: int, length: int) -> bytes:
    file.seek(start)
    return file.read(length)


@cache
def _recipes(source: Path) -> recipes.RecipeBook:
    return recipes.load(source)


def _with_ideals(ideals: Ideals | None, data: bytes, book: tuple[recipes.Recipe, ...]) -> Ideals | None:
    """Return the ideals with those of further recipes; None if one of them needs too much memory."""
    if ideals is None:
        return None
    finished = {recipe for recipe, _ in ideals}
    try:
        further = engine.ideals(data, [recipe for recipe in book if recipe not in finished], _IDEAL_LIMITS)
        return ideals | {(recipe, output_format): image for recipe, output_format, image in further}
    except ImageTooLargeError:
        return None


def _measure(rendition: engine.Rendition, book: tuple[recipes.Recipe, ...], ideals: Ideals | None) -> TrialRendition:
    recipe = next(recipe for recipe in book if recipe.name == rendition.name)
    similarity = None
    if ideals is not None:
        with Image.open(io.BytesIO(rendition.data)) as image:
            similarity = ssim(_opaque(image, recipe), _opaque(ideals[recipe, rendition.format], recipe))
    return TrialRendition(
        rendition.file_name, rendition.format, rendition.width, rendition.height, len(rendition.data), similarity
    )


def _opaque(image: Image.Image, recipe: recipes.Recipe) -> Image.Image:
    """Return an image on the background of its recipe: what is transparent has no colour to compare."""
    if not image.has_transparency_data:
        return image
    return engine.flatten(image.convert("RGBA"), recipe.background)
