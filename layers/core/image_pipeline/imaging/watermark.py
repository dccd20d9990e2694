"""Draw a text or an image over a rendition."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from PIL import Image

from image_pipeline.imaging.recipes import Watermark
from image_pipeline.imaging.resize import reduce

_MARGIN = 0.02
"""Distance from the edges as a fraction of the shorter side."""
_FONT_SIDE = 200
"""Font size in pixels. A text is drawn once and then reduced, so that it looks the same on every rendition."""


def apply_watermark(image: Image.Image, watermark: Watermark) -> Image.Image:
    """Return a copy of `image` with the watermark on it.

    Args:
        image: mode L, RGB or RGBA.
        watermark: the text or image, its place, size and opacity.
    """
    stamp = _stamp(watermark.text, watermark.image)
    width = max(1, round(image.width * watermark.size))
    height = max(1, round(stamp.height * width / stamp.width))
    if height > image.height:
        width = max(1, width * image.height // height)
        height = image.height
    stamp = reduce(stamp, (width, height)) if (width, height) != stamp.size else stamp
    alpha = stamp.getchannel("A").point(lambda value: round(value * watermark.opacity))
    stamp = stamp.copy()
    stamp.putalpha(alpha)
    canvas = image.convert("RGBA")
    canvas.alpha_composite(stamp, _position(image.size, stamp.size, watermark.place))
    return canvas if image.mode == "RGBA" else canvas.convert("RGB")


def _position(image_size: tuple[int, int], stamp_size: tuple[int, int], place: str) -> tuple[int, int]:
    """Return (left, top) of the stamp."""
    margin = round(min(image_size) * _MARGIN)
    left = _offset(image_size[0] - stamp_size[0], margin, is_first="left" in place, is_last="right" in place)
    top = _offset(image_size[1] - stamp_size[1], margin, is_first="top" in place, is_last="bottom" in place)
    return left, top


def _offset(free: int, margin: int, *, is_first: bool, is_last: bool) -> int:
    """Return the distance from the first edge: a margin from one of the edges, or the centre."""
    margin = min(margin, free // 2)
    if is_first:
        return margin
    return free - margin if is_last else round(free / 2)


@lru_cache(maxsize=8)
def _stamp(text: str, image_file: Path | None) -> Image.Image:
    """Return the watermark at its full size, mode RGBA."""
    if image_file is not None:
        with Image.open(image_file) as image:
            return image.convert("RGBA")
    from PIL import ImageDraw, ImageFont

    font = ImageFont.load_default(_FONT_SIDE)
    left, top, right, bottom = font.getbbox(text, stroke_width=4)
    stamp = Image.new("RGBA", (max(1, round(right - left)), max(1, round(bottom - top))), (0, 0, 0, 0))
    # White with a dark outline is readable on any image.
    ImageDraw.Draw(stamp).text(
        (-left, -top), text, (255, 255, 255, 255), font, stroke_width=4, stroke_fill=(0, 0, 0, 160)
    )
    return stamp
