"""Lays a text or a picture over a rendition."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from PIL import Image

from image_pipeline.imaging.recipes import Watermark
from image_pipeline.imaging.resize import reduce

_MARGIN = 0.02
"""Distance from the edges as a share of the shorter side."""
_FONT_SIDE = 200
"""Texts are drawn once at this size in pixels and reduced: fonts look the same on every rendition."""


def lay(image: Image.Image, mark: Watermark) -> Image.Image:
    """A copy of `image` with the mark on it.

    Args:
        image: mode L, RGB or RGBA.
        mark: what, where, how large, how strong.
    """
    stamp = _stamp(mark.text, mark.image)
    width = max(1, round(image.width * mark.size))
    height = max(1, round(stamp.height * width / stamp.width))
    if height > image.height:
        width, height = max(1, width * image.height // height), image.height
    stamp = reduce(stamp, (width, height)) if (width, height) != stamp.size else stamp
    alpha = stamp.getchannel("A").point(lambda value: round(value * mark.opacity))
    stamp = stamp.copy()
    stamp.putalpha(alpha)
    canvas = image.convert("RGBA")
    canvas.alpha_composite(stamp, _corner(image.size, stamp.size, mark.place))
    return canvas if image.mode == "RGBA" else canvas.convert("RGB")


def _corner(outer: tuple[int, int], inner: tuple[int, int], place: str) -> tuple[int, int]:
    margin = round(min(outer) * _MARGIN)
    spare = [max(0, big - small) for big, small in zip(outer, inner, strict=True)]
    across = 0.0 if "left" in place else 1.0 if "right" in place else 0.5
    down = 0.0 if "top" in place else 1.0 if "bottom" in place else 0.5
    left, top = (
        min(max(round(room * share), min(margin, room // 2)), room - min(margin, room // 2))
        for room, share in zip(spare, (across, down), strict=True)
    )
    return left, top


@lru_cache(maxsize=8)
def _stamp(text: str, picture: Path | None) -> Image.Image:
    """The mark at its full size, mode RGBA."""
    if picture is not None:
        with Image.open(picture) as opened:
            return opened.convert("RGBA")
    from PIL import ImageDraw, ImageFont

    font = ImageFont.load_default(_FONT_SIDE)
    left, top, right, bottom = font.getbbox(text, stroke_width=4)
    stamp = Image.new("RGBA", (max(1, round(right - left)), max(1, round(bottom - top))), (0, 0, 0, 0))
    # White with a dark outline can be read on any picture.
    ImageDraw.Draw(stamp).text(
        (-left, -top), text, (255, 255, 255, 255), font, stroke_width=4, stroke_fill=(0, 0, 0, 160)
    )
    return stamp
