"""Draw the frames of an animation on its canvas, one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from PIL import Image

from image_pipeline.imaging.animation.frames import Disposal, Frame


def drawn_images(size: tuple[int, int], frames: Iterable[Frame]) -> Iterator[tuple[Image.Image, int]]:
    """Yield the canvas as it is seen during each frame, mode RGBA, and its milliseconds.

    The next image is drawn into the same canvas. An exception of a decoder ends the iteration.
    """
    canvas = Image.new("RGBA", size)
    for frame in frames:
        left, top, right, bottom = frame.box
        is_visible = left < right and top < bottom
        before = canvas.crop(frame.box) if is_visible and frame.disposal is Disposal.RESTORE else None
        if is_visible:
            _draw(canvas, frame)
        yield canvas, frame.milliseconds
        if before:
            canvas.paste(before, frame.box)
        elif is_visible and frame.disposal is Disposal.CLEAR:
            canvas.paste((0, 0, 0, 0), frame.box)


def _draw(canvas: Image.Image, frame: Frame) -> None:
    image = frame.decode()
    if frame.blends and image.mode == "RGBA":
        canvas.alpha_composite(image, frame.box[:2])
    else:
        canvas.paste(image, frame.box)
