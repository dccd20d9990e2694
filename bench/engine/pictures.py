"""The measured pictures: mosaics of photographs at camera sizes, and generated screenshots and drawings.

The photographs are part of scikit-image and free: astronaut (NASA, public domain), chelsea, coffee (CC0), rocket
(SpaceX, CC0) and the Hubble deep field (NASA, public domain). They are small, so a mosaic of many is enlarged
twice, which gives it the softness of a lens and a colour filter array.
"""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont, ImageOps

from image_pipeline.imaging.colour import DISPLAY_P3, matrix_profile

PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "hubble_deep_field.jpg")
TILE = (1024, 768)


def mosaic(width: int, height: int) -> Image.Image:
    """Return a mosaic of photographs of this size."""
    import skimage.data

    folder = Path(skimage.data.__file__).parent
    tiles = [ImageOps.fit(Image.open(folder / name).convert("RGB"), TILE) for name in PHOTOGRAPHS]
    out = Image.new("RGB", (width, height))
    chance = random.Random(1)  # noqa: S311  not a secret
    for top in range(0, height, TILE[1]):
        for left in range(0, width, TILE[0]):
            tile = chance.choice(tiles)
            out.paste(ImageOps.mirror(tile) if chance.random() < 0.5 else tile, (left, top))
    return out


def screen(width: int, height: int) -> Image.Image:
    """Return a screenshot with text of one-pixel strokes, lines and boxes."""
    out = Image.new("RGB", (width, height), "white")
    chance = random.Random(2)  # noqa: S311  not a secret
    draw, font = ImageDraw.Draw(out), ImageFont.load_default(20)
    letters = "abcdefghij klmnop qrstuvwxyz ABCDEF 0123456789.,;:-"
    for top in range(0, height, 26):
        line = "".join(chance.choice(letters) for _ in range(width // 10))
        draw.text((8, top), line, tuple(chance.randrange(120) for _ in range(3)), font)
    for _ in range(80):
        left, top = chance.randrange(width), chance.randrange(height)
        draw.rectangle((left, top, left + 260, top + 120), outline=(200, 0, 0))
    return out


def drawing(width: int, height: int) -> Image.Image:
    """Return a drawing with smooth areas, edges and a transparent border."""
    shape = Image.effect_mandelbrot((width // 4, height // 4), (-2.2, -1.2, 0.8, 1.2), 100).resize((width, height))
    ramp = Image.linear_gradient("L").resize((width, height))
    out = Image.merge("RGBA", (shape, ramp, ImageOps.invert(ramp), Image.new("L", (width, height), 255)))
    out.paste((0, 0, 0, 0), (0, 0, width // 10, height))
    return out


def _camera(orientation: int = 1) -> Image.Exif:
    block = Image.Exif()
    block[0x010F], block[0x0110], block[0x0112] = "Bench", "Mosaic", orientation
    return block


def _bytes(image: Image.Image, image_format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, image_format, **options)
    return out.getvalue()


def _p3() -> bytes:
    profile = matrix_profile(DISPLAY_P3, None)
    return _bytes(mosaic(4000, 3000), "JPEG", quality=90, exif=_camera(6), icc_profile=profile)


PICTURES: dict[str, Callable[[], bytes]] = {
    "jpeg-12mp": lambda: _bytes(mosaic(4000, 3000), "JPEG", quality=90, exif=_camera()),
    "jpeg-12mp-p3-rotated": _p3,
    "jpeg-12mp-no-exif": lambda: _bytes(mosaic(4000, 3000), "JPEG", quality=90),
    "jpeg-24mp": lambda: _bytes(mosaic(6000, 4000), "JPEG", quality=90, exif=_camera()),
    "jpeg-48mp": lambda: _bytes(mosaic(8000, 6000), "JPEG", quality=90, exif=_camera()),
    "png-12mp-photo": lambda: _bytes(mosaic(4000, 3000), "PNG"),
    "png-15mp-drawing": lambda: _bytes(drawing(4480, 3360), "PNG"),
    "png-20mp-screen": lambda: _bytes(screen(5120, 3840), "PNG"),
    "webp-12mp": lambda: _bytes(mosaic(4000, 3000), "WEBP", quality=85, method=2, exif=_camera()),
    "avif-12mp": lambda: _bytes(mosaic(4000, 3000), "AVIF", quality=70, speed=9),
}


def write_files(folder: Path) -> dict[str, Path]:
    """Write missing pictures as files and return the paths of all."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"{name}.{name.split('-')[0]}" for name in PICTURES}
    for name, path in paths.items():
        if not path.exists():
            path.write_bytes(PICTURES[name]())
    return paths
