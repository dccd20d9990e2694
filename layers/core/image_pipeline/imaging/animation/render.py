"""Make animated WebP renditions, if the animation is within the limits; otherwise its first frame is shown."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module

from PIL import Image

from image_pipeline.imaging.animation.canvas import drawn_images
from image_pipeline.imaging.animation.frames import MOST_FRAMES, Animation
from image_pipeline.imaging.animation.result import Animated, AnimatedFile, Size
from image_pipeline.imaging.animation.writer import Writer
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.pixels import Pixels
from image_pipeline.imaging.reader import BrokenContainerError, Budget, Reader

MOST_PIXELS = 1_000_000_000
"""Most pixels that are decoded, drawn and coded, weighted by their time: about 10 ns each (`docs/images.md`)."""
_RENDITION_WEIGHT = 4
"""Reducing and coding a pixel of a rendition takes four times as long as decoding or drawing one."""
MOST_SECONDS = 40.0
"""Most time for the animation: less than half of the function's timeout, so that the first frame can still be made."""
MOST_BYTES = 30_000_000
"""Most bytes of the coded frames of all renditions."""

_READS = 100_000
"""Reads for the structure: twice what the longest admitted animation of the largest admitted file takes."""
_CANVAS_BYTES, _LARGEST_BYTES, _EACH_BYTES = 12, 28, 12
"""Memory for each pixel, in addition to decoding a frame: of the canvas, of the largest rendition while it is coded,
and of each rendition; measured by `bench/engine/memory.py` and rounded up."""
_COPIES = 3
"""Copies of the coded frames while a file is put together."""

Finish = Callable[[Pixels], Sequence[Image.Image]]
"""Applies the recipes to one image and returns the finished pixels for WebP, in the order of the recipes."""


class _TooMuchError(Exception):
    """The animation exceeds a limit, which the message names."""


class _TooLateError(_TooMuchError):
    """The animation takes too long."""


@dataclass(frozen=True)
class Job:
    """What to make of an animation."""

    header: Header
    sizes: Mapping[str, Size]
    """(width, height) of each rendition before it is cropped and after it is padded, by the name of the recipe."""
    qualities: Sequence[int]
    """In the same order."""
    finish: Finish
    rights: bytes
    """EXIF block with artist and copyright; empty if neither is known."""
    memory_bytes: int
    """Memory that the animation may take."""


def animate(data: bytes, job: Job) -> Animated:
    """Make the animated renditions, all or none of them. Nothing is raised for a damaged or hostile animation.

    Args:
        data: the whole upload, whose first frame could be decoded.
        job: the renditions to make.
    """
    animation = _read(data, job.header.format)
    count = len(animation.frames)
    if count < 2:
        return Animated({}, _damage(count) if animation.is_damaged else ())
    try:
        _check(animation, job)
        return _render(animation, job)
    except MemoryError:
        return Animated({}, (_stopped("needs more memory than is available"),), is_short=True)
    except _TooMuchError as error:
        return Animated({}, (_stopped(str(error)),), is_short=isinstance(error, _TooLateError))


def _read(data: bytes, image_format: str) -> Animation:
    """Read the structure with a budget of its own, because a long animation takes more than a first frame."""
    module = import_module(f"{__package__}.{image_format.lower()}")
    try:
        animation: Animation = module.read(Reader.of(data, Budget(reads=_READS)))
    except BrokenContainerError:
        return Animation((), 1, is_damaged=True)
    return animation


def _check(animation: Animation, job: Job) -> None:
    """Compare the frames with the limits, before any of them is decoded.

    Raises:
        _TooMuchError: the animation exceeds one.
    """
    count = len(animation.frames)
    if count > MOST_FRAMES:
        raise _TooMuchError(f"has more than {MOST_FRAMES:,} frames")
    canvas = job.header.width * job.header.height
    renditions = [width * height for width, height in job.sizes.values()]
    coded = [frame.coded_pixels for frame in animation.frames]
    pixels = sum(coded) + count * (canvas + _RENDITION_WEIGHT * sum(renditions))
    if pixels > MOST_PIXELS:
        raise _TooMuchError(
            f"has {count:,} frames of {job.header.width} × {job.header.height} pixels, which count as "
            f"{pixels / 1e6:,.0f} megapixels with the renditions; at most {MOST_PIXELS / 1e6:,.0f} are allowed"
        )
    memory = predicted_memory(animation, job.header, job.sizes.values())
    if memory > job.memory_bytes:
        raise _TooMuchError(
            f"needs about {memory / 1e6:,.0f} MB of memory; {max(0, job.memory_bytes) / 1e6:,.0f} MB are available"
        )


def predicted_memory(animation: Animation, header: Header, sizes: Collection[Size]) -> int:
    """Return the peak memory of the animation in bytes, in addition to that of the first frame.

    Args:
        animation: all frames.
        header: the result of admission.
        sizes: (width, height) of the animated renditions, as in `Job`.
    """
    coded = max(frame.coded_pixels for frame in animation.frames)
    renditions = [width * height for width, height in sizes]
    memory = _CANVAS_BYTES * header.width * header.height + int(header.bytes_per_pixel * coded)
    memory += _LARGEST_BYTES * max(renditions) + _EACH_BYTES * sum(renditions)
    return memory + _COPIES * min(MOST_BYTES, len(animation.frames) * sum(renditions))


def _render(animation: Animation, job: Job) -> Animated:
    """Decode, draw, finish and code one frame after the other.

    Raises:
        _TooMuchError: it takes too long or becomes too large.
    """
    deadline = time.monotonic() + MOST_SECONDS
    writers = [Writer(quality) for quality in job.qualities]
    count = 0
    sizes: list[Size] = []
    for image, milliseconds in _intact(drawn_images(job.header.stored_size, animation.frames)):
        pixels = Pixels(image, (0, 0, *image.size), job.header.orientation, animation.profile)
        finished = job.finish(pixels)
        sizes = [image.size for image in finished]
        for writer, image in zip(writers, finished, strict=True):
            writer.add(image, milliseconds)
        count += 1
        if time.monotonic() > deadline:
            raise _TooLateError(f"takes more than {MOST_SECONDS:.0f} seconds")
        if sum(writer.size_bytes for writer in writers) > MOST_BYTES:
            raise _TooMuchError(f"needs more than {MOST_BYTES / 1e6:.0f} MB for its renditions")
    is_damaged = animation.is_damaged or count < len(animation.frames)
    messages = _damage(count) if is_damaged else ()
    if count < 2:
        return Animated({}, messages)
    files = {
        name: AnimatedFile(size, writer.frames, writer.file(size, animation.plays, job.rights))
        for name, size, writer in zip(job.sizes, sizes, writers, strict=True)
    }
    return Animated(files, messages)


def _intact(moving: Iterator[tuple[Image.Image, int]]) -> Iterator[tuple[Image.Image, int]]:
    """Yield the images up to the first damaged frame."""
    while True:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Pillow warns about metadata, which changes no pixel
                drawn_image = next(moving, None)
        except MemoryError:
            raise
        except Exception:  # on a hostile file, decoders raise exceptions of any type
            return
        if drawn_image is None:
            return
        yield drawn_image


def _stopped(reason: str) -> str:
    return f"The animation {reason}. Its first frame is shown."


def _damage(count: int) -> tuple[str, ...]:
    if count < 2:
        return ("The animation is damaged: only its first frame is shown.",)
    return (f"The animation is damaged: only its first {count:,} frames are shown.",)
