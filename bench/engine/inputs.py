"""The files that the contestants get: photographs, screenshots and drawings in each format.

The photographs were taken with real cameras and are free. Debian distributes them, and its `copyright` file states
author and licence of each. They are cropped or placed side by side at their own resolution, and never enlarged. They
were compressed before, which removes the noise of the sensor. So the noise is synthetic: that of a sensor with a
colour filter array at a mid-grey signal-to-noise ratio of 26 dB.
"""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont, ImageOps

from bench.packages import unpack_debian
from image_pipeline.imaging.colour import DISPLAY_P3, matrix_profile

CACHE = Path(__file__).parent.parent.parent / ".bench"
PHOTOGRAPHS = {
    "Dragonfly_by_Bolly.jpg": "Bolly, CC BY-SA 4.0",
    "life_by_Aitzol_Berasategi.jpg": "Aitzol Berasategi, CC BY 4.0",
    "Kleiber_by_Lukas_Baubkus.jpg": "Lukas Baubkus, CC BY-SA 3.0",
    "picosdeeuropa_by_Aitzol_Berasategi.jpg": "Aitzol Berasategi, CC BY 4.0",
    "seeding_by_Clements_Engelhardt.jpg": "Clemens Engelhardt, CC0 1.0",
}
"""Author and licence of each photograph."""
PACKAGES = ("lomiri-wallpapers-16.04", "lomiri-wallpapers-20.04")
"""Debian's packages with the photographs."""

SHOT_NOISE, READ_NOISE = 0.0004, 0.001
"""Variance for each unit of light, and standard deviation in the dark; 1 is white."""


@dataclass(frozen=True)
class Picture:
    """An input file, and what a job must do because of it."""

    name: str
    path: Path
    format: str
    """As Pillow names it."""
    width: int
    height: int
    profile: bool
    """Its colours must be converted."""
    alpha: bool
    """Transparency must be put on white for JPEG."""
    orientation: int
    """By EXIF; 1 is upright."""


@cache
def photographs() -> dict[str, Path]:
    """Return the files of the photographs by name; fetch Debian's packages if they are not there."""
    folders = [CACHE / "packages" / package for package in PACKAGES]
    for package, folder in zip(PACKAGES, folders, strict=True):
        if not folder.exists():
            unpack_debian(package, folder)
    files = {path.name: path for folder in folders for path in folder.glob("usr/share/backgrounds/*.jpg")}
    return {name: files[name] for name in PHOTOGRAPHS}


def _with_noise(image: Image.Image, seed: int) -> Image.Image:
    """Add shot noise and read noise in linear light, interpolated from a Bayer pattern as in a camera."""
    import numpy
    from scipy.ndimage import convolve

    chance = numpy.random.default_rng(seed)
    linear = (numpy.asarray(image, dtype=numpy.float32) / 255) ** 2.2
    cross = numpy.array([[0, 1, 0], [1, 4, 1], [0, 1, 0]], dtype=numpy.float32) / 4
    square = numpy.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]], dtype=numpy.float32) / 4
    for channel, kernel in enumerate((square, cross, square)):
        light = linear[..., channel]
        noise = chance.standard_normal(light.shape, dtype=numpy.float32) * numpy.sqrt(light * SHOT_NOISE)
        noise += READ_NOISE * chance.standard_normal(light.shape, dtype=numpy.float32)
        rows, columns = numpy.indices(light.shape, dtype=numpy.uint8, sparse=True)
        site = (rows + columns) % 2 == 0 if channel == 1 else (rows % 2 == channel // 2) & (columns % 2 != channel // 2)
        linear[..., channel] += convolve(noise * site, kernel)
    return Image.fromarray((numpy.clip(linear, 0, 1) ** (1 / 2.2) * 255 + 0.5).astype(numpy.uint8))


@cache
def photograph(width: int, height: int, columns: int = 1, rows: int = 1) -> Image.Image:
    """Return crops of the photographs side by side at their own resolution, with the noise of a sensor."""
    out = Image.new("RGB", (width, height))
    tile_width, tile_height = width // columns, height // rows
    names = list(PHOTOGRAPHS)
    for index in range(columns * rows):
        with Image.open(photographs()[names[index % len(names)]]) as opened:
            whole = opened.convert("RGB")
        if index >= len(names):
            whole = ImageOps.mirror(whole)
        left, top = (whole.width - tile_width) // 2, (whole.height - tile_height) // 2
        if min(left, top) < 0:
            raise ValueError(f"{names[index % len(names)]} is smaller than {tile_width} × {tile_height}")
        tile = _with_noise(whole.crop((left, top, left + tile_width, top + tile_height)), index)
        out.paste(tile, (index % columns * tile_width, index // columns * tile_height))
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
    shape = Image.effect_mandelbrot((width, height), (-2.2, -1.2, 0.8, 1.2), 100)
    ramp = Image.linear_gradient("L").resize((width, height))
    out = Image.merge("RGBA", (shape, ramp, ImageOps.invert(ramp), Image.new("L", (width, height), 255)))
    out.paste((0, 0, 0, 0), (0, 0, width // 10, height))
    return out


def _small(width: int, height: int) -> Image.Image:
    """Return a photograph that was reduced, as pictures on the web are."""
    return photograph(4000, 3000).resize((width, height), Image.Resampling.LANCZOS)


def _camera(orientation: int = 1) -> Image.Exif:
    block = Image.Exif()
    block[0x010F], block[0x0110], block[0x0112] = "Bench", "Camera", orientation
    return block


def _bytes(image: Image.Image, image_format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, image_format, **options)
    return out.getvalue()


def _heic() -> bytes:
    import pillow_heif  # type: ignore[import-not-found,unused-ignore]

    pillow_heif.register_heif_opener()
    return _bytes(photograph(4000, 3000), "HEIF", quality=60, exif=_camera())


def _p3_turned() -> bytes:
    profile = matrix_profile(DISPLAY_P3, None)
    return _bytes(photograph(4000, 3000), "JPEG", quality=90, exif=_camera(6), icc_profile=profile)


_TWELVE = partial(photograph, 4000, 3000)
INPUTS: dict[str, Callable[[], bytes]] = {
    "jpeg-12mp": lambda: _bytes(_TWELVE(), "JPEG", quality=90, exif=_camera()),
    "jpeg-12mp-no-exif": lambda: _bytes(_TWELVE(), "JPEG", quality=90),
    "jpeg-12mp-p3-turned": _p3_turned,
    "jpeg-24mp": lambda: _bytes(photograph(6000, 4000, 2, 2), "JPEG", quality=90, exif=_camera()),
    "jpeg-48mp": lambda: _bytes(photograph(8000, 6000, 4, 3), "JPEG", quality=90, exif=_camera()),
    "jpeg-12mp-progressive": lambda: _bytes(_TWELVE(), "JPEG", quality=90, progressive=True, exif=_camera()),
    "jpeg-1920px-web": lambda: _bytes(_small(1920, 1440), "JPEG", quality=80, optimize=True),
    "jpeg-512px": lambda: _bytes(_small(512, 512), "JPEG", quality=85),
    "png-12mp-photo": lambda: _bytes(_TWELVE(), "PNG"),
    "png-20mp-screen": lambda: _bytes(screen(5120, 3840), "PNG"),
    "png-15mp-alpha": lambda: _bytes(drawing(4480, 3360), "PNG"),
    "webp-12mp": lambda: _bytes(_TWELVE(), "WEBP", quality=85, exif=_camera()),
    "webp-3mp-lossless": lambda: _bytes(_small(2000, 1500), "WEBP", lossless=True),
    "avif-12mp": lambda: _bytes(_TWELVE(), "AVIF", quality=70, speed=8),
    "heic-12mp": _heic,
    "tiff-12mp-lzw": lambda: _bytes(_TWELVE(), "TIFF", compression="tiff_lzw"),
    "tiff-12mp-raw": lambda: _bytes(_TWELVE(), "TIFF"),
}


def picture(name: str) -> Picture:
    """Write an input if its file is missing, and describe it."""
    path = CACHE / "inputs" / f"{name}.{name.partition('-')[0]}"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(INPUTS[name]())
    if name.startswith("heic"):
        import pi_heif

        pi_heif.register_heif_opener()
    with Image.open(path) as opened:
        return Picture(
            name,
            path,
            str(opened.format),
            *opened.size,
            profile="icc_profile" in opened.info,
            alpha=opened.has_transparency_data,
            orientation=opened.getexif().get(0x0112, 1),
        )
