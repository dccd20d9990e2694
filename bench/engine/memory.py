"""`python -m bench.engine.memory`: measure the memory of each kind of image and of recipe.

The predictions in `formats` and `engine` use these figures. It measures by how much a fresh process grows that renders
one image, after a small one for which it loads all libraries. Images have two sizes, and the difference is divided by
the number of pixels between them. The exit code is 1 if a prediction is too low.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops

from image_pipeline.imaging.animation.render import predicted_memory as animation_memory
from image_pipeline.imaging.engine import predicted_memory, render
from image_pipeline.imaging.formats.admission import admit
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.reader import Reader
from image_pipeline.imaging.recipes import Recipe, Watermark, without_repeats
from tests.corpus import bmps, gifs, pngs, tiffs, webps
from tests.corpus.jpeg import separate_scans

Size = tuple[int, int]

RECIPE = Recipe("640x480", 640, 480)
ANIMATED = Recipe("1600x1600", 1600, 1600, formats=("webp",), animated=True)
SMALL, LARGE = (3000, 2000), (6000, 4000)
KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "JPEG": ("JPEG", "RGB", {}),
    "JPEG progressive": ("JPEG", "RGB", {"progressive": True}),
    "JPEG CMYK": ("JPEG", "CMYK", {}),
    "JPEG progressive CMYK": ("JPEG", "CMYK", {"progressive": True}),
    "PNG RGB": ("PNG", "RGB", {"compress_level": 1}),
    "PNG RGBA": ("PNG", "RGBA", {"compress_level": 1}),
    "PNG palette": ("PNG", "P", {"compress_level": 1}),
    "PNG palette, transparent": ("PNG", "P", {"compress_level": 1, "transparency": 0}),
    "PNG RGB, transparent": ("PNG", "RGB", {"compress_level": 1, "transparency": (0, 0, 0)}),
    "PNG grey": ("PNG", "L", {"compress_level": 1}),
    "PNG grey, transparent": ("PNG", "L", {"compress_level": 1, "transparency": 0}),
    "PNG grey, 1 bit": ("PNG", "1", {"compress_level": 1}),
    "PNG grey, 16 bits": ("PNG", "I;16", {"compress_level": 1}),
    "PNG grey and alpha": ("PNG", "LA", {"compress_level": 1}),
    "WebP lossy": ("WEBP", "RGB", {"method": 0}),
    "WebP lossless": ("WEBP", "RGB", {"lossless": True, "method": 0}),
    "WebP alpha": ("WEBP", "RGBA", {"method": 0}),
    "GIF": ("GIF", "P", {}),
    "GIF transparent": ("GIF", "P", {"transparency": 0}),
    "AVIF": ("AVIF", "RGB", {"speed": 10}),
    "AVIF 4:4:4": ("AVIF", "RGB", {"speed": 10, "subsampling": "4:4:4"}),
    "AVIF grey": ("AVIF", "L", {"speed": 10, "subsampling": "4:0:0"}),
    "AVIF film grain": ("AVIF", "RGB", {"speed": 10, "advanced": {"film-grain-test": "3"}}),
    "AVIF alpha": ("AVIF", "RGBA", {"speed": 10}),
    "AVIF alpha, 4:4:4": ("AVIF", "RGBA", {"speed": 10, "subsampling": "4:4:4"}),
    "TIFF": ("TIFF", "RGB", {}),
    "TIFF LZW": ("TIFF", "RGB", {"compression": "tiff_lzw"}),
    "TIFF in JPEG": ("TIFF", "RGB", {"compression": "jpeg"}),
    "TIFF fax, group 4": ("TIFF", "1", {"compression": "group4"}),
    "BMP": ("BMP", "RGB", {}),
}

HEIF_KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "HEIF": ("HEIF", "RGB", {}),
    "HEIF 4:4:4": ("HEIF", "RGB", {"chroma": 444}),
    "HEIF alpha": ("HEIF", "RGBA", {}),
    "HEIF alpha, 4:4:4": ("HEIF", "RGBA", {"chroma": 444}),
}
"""Measured only with the argument `heif`; needs pillow-heif."""


def _blank_png(bits: int, colour_type: int, *extra: bytes, interlaced: bool = False, size: Size) -> bytes:
    raw = pngs.blank(size, bits, colour_type, interlaced)
    return pngs.png(pngs.header(size, bits, colour_type, interlaced), *extra, pngs.data(raw))


def _small_gif_frame(size: Size) -> bytes:
    return gifs.gif(size, [gifs.frame((0, 0, 8, 8))])


def _webp_frame(size: Size, *, inset: int = 2, **options: Any) -> bytes:
    chunks = webps.coded(Image.linear_gradient("L").resize(size).convert("RGB"), **options)
    canvas = size[0] + inset, size[1] + inset
    return webps.webp(webps.vp8x(canvas, webps.ANIMATION), webps.anim(), webps.anmf((inset, inset, *size), *chunks))


_ONE_TILE = (8192, 8192)
TIFFS = {
    "TIFF RGB, strips": tiffs.rgb(rows_per_strip=16),
    "TIFF RGB, deflate": tiffs.rgb(compression=tiffs.DEFLATE),
    "TIFF RGB, stored by Zstandard": tiffs.rgb(compression=tiffs.ZSTD),
    "TIFF RGB, planes": tiffs.rgb(planar=True),
    "TIFF RGB, tiles": tiffs.rgb(compression=tiffs.DEFLATE, tile=(256, 256)),
    "TIFF RGB, one large tile": tiffs.rgb(compression=tiffs.DEFLATE, tile=_ONE_TILE),
    "TIFF RGBA": tiffs.rgb(int, 9, compression=tiffs.DEFLATE, extra_samples=(2,)),
    "TIFF RGB, premultiplied": tiffs.rgb(int, 9, compression=tiffs.DEFLATE, extra_samples=(1,)),
    "TIFF RGB, 16 bits": tiffs.rgb(bits=16, compression=tiffs.DEFLATE),
    "TIFF RGB, 16 bits, planes": tiffs.rgb(bits=16, compression=tiffs.DEFLATE, planar=True),
    "TIFF RGB of 10 channels": tiffs.rgb(int, *range(7), compression=tiffs.DEFLATE, extra_samples=(0,) * 7),
    "TIFF RGB, floats": tiffs.rgb(float, bits=32, number="float", compression=tiffs.DEFLATE, predictor=3),
    "TIFF grey": tiffs.grey(),
    "TIFF grey, 12 bits": tiffs.grey(bits=12, compression=tiffs.DEFLATE),
    "TIFF grey, 16 bits": tiffs.grey(bits=16, compression=tiffs.DEFLATE, predictor=2),
    "TIFF grey and alpha": tiffs.Tiff([(9, 9)] * 4, 1, extra_samples=(2,)),
    "TIFF grey, floats": tiffs.grey(float, bits=32, number="float", compression=tiffs.DEFLATE),
    "TIFF grey, doubles": tiffs.grey(float, bits=64, number="float", compression=tiffs.DEFLATE),
    "TIFF grey, halves": tiffs.grey(float, bits=16, number="float"),
    "TIFF palette": tiffs.palette(8, 1),
    "TIFF palette and alpha": tiffs.palette(8, 1, 9, extra_samples=(2,)),
    "TIFF CMYK": tiffs.cmyk(rows_per_strip=16),
    "TIFF CMYK and alpha": tiffs.cmyk(int, 9, compression=tiffs.DEFLATE, extra_samples=(2,)),
    "TIFF YCbCr": tiffs.ycbcr(compression=tiffs.DEFLATE),
    "TIFF CIELab": tiffs.lab(1, 1, True, 8, photometric=8),
}
BMPS = {
    "BMP palette": bmps.Bmp(8),
    "BMP 16 bits": bmps.Bmp(16),
    "BMP 30 bits": bmps.Bmp(32, compression=bmps.BITFIELDS, masks=(0x3FF00000, 0xFFC00, 0x3FF)),
    "BMP alpha": bmps.Bmp(32, 56, bmps.BITFIELDS, masks=(0xFF0000, 0xFF00, 0xFF, 0xFF000000)),
}


def _of_size(size: Size, *, file: tiffs.Tiff | bmps.Bmp) -> bytes:
    return replace(file, size=size).data()


def _bmp_runs(size: Size, *, skips: bool = False) -> bytes:
    line = b"\xff\1" * (size[0] // 255) + bytes((size[0] % 255, 2)) + b"\0\0"
    body = line * (size[1] - skips) + b"\0\1"
    return bmps.Bmp(8, compression=bmps.RLE8, size=size, body=body).data()


GENERATED: dict[str, Callable[..., bytes]] = {
    "JPEG in separate scans": lambda size: separate_scans(Image.linear_gradient("L").resize(size).convert("RGB")),
    "PNG RGB, 16 bits": partial(_blank_png, 16, pngs.RGB),
    "PNG RGB, 16 bits, transparent": partial(_blank_png, 16, pngs.RGB, pngs.key(0, 0, 0)),
    "PNG RGB, interlaced": partial(_blank_png, 8, pngs.RGB, interlaced=True),
    "PNG RGBA, 16 bits": partial(_blank_png, 16, pngs.RGBA),
    "PNG grey, 4 bits, transparent": partial(_blank_png, 4, pngs.GREY, pngs.key(0)),
    "PNG grey, 16 bits, transparent": partial(_blank_png, 16, pngs.GREY, pngs.key(0)),
    "GIF with a small first frame": _small_gif_frame,
    "WebP animated, lossy": partial(_webp_frame, inset=0, lossless=False),
    "WebP animated, lossy, with a canvas": partial(_webp_frame, lossless=False),
    "WebP animated, lossless, with a canvas": _webp_frame,
    **{kind: partial(_of_size, file=file) for kind, file in TIFFS.items()},
    **{kind: partial(_of_size, file=file) for kind, file in BMPS.items()},
    "BMP runs": _bmp_runs,
    "BMP runs with a gap": partial(_bmp_runs, skips=True),
}
"""Kinds that Pillow cannot write."""

ANIMATIONS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "GIF, all frames": ("GIF", "P", {}),
    "WebP lossy, all frames": ("WEBP", "RGB", {"method": 0}),
    "WebP alpha, all frames": ("WEBP", "RGBA", {"method": 0}),
    "PNG RGB, all frames": ("PNG", "RGB", {"compress_level": 1}),
    "PNG RGBA, all frames": ("PNG", "RGBA", {"compress_level": 1}),
}
"""Rendered as animations, by a recipe of their own."""


def picture(kind: str, size: Size) -> bytes:
    """Return a gradient, whose file is small, so that pixels dominate the memory."""
    if kind in GENERATED:
        return GENERATED[kind](size=size)
    if kind in HEIF_KINDS:
        import pillow_heif  # type: ignore[import-not-found,unused-ignore]

        pillow_heif.register_heif_opener()
    image_format, mode, options = {**KINDS, **HEIF_KINDS, **ANIMATIONS}[kind]
    image = Image.linear_gradient("L").resize(size)
    converted = image.convert("I").convert("I;16") if mode == "I;16" else image.convert("RGB").convert(mode)
    if kind.startswith("AVIF alpha"):
        converted.putalpha(image)  # the encoder omits opaque alpha
    if kind in ANIMATIONS:
        if mode == "RGBA":
            converted.putalpha(image)
        turned = [converted.rotate(90 * quarter) for quarter in (1, 2)]
        options = {**options, "save_all": True, "append_images": turned, "duration": 100}
    out = io.BytesIO()
    converted.save(out, image_format, **options)
    return out.getvalue()


RECIPES: dict[str, list[dict[str, Any]]] = {
    "one JPEG": [{}],
    "PNG": [{"formats": ("png",)}],
    "WebP": [{"formats": ("webp",)}],
    "AVIF": [{"formats": ("avif",)}],
    "WebP and AVIF": [{"formats": ("webp", "avif")}],
    "three AVIF": [{"formats": ("avif",), "quality": quality} for quality in (40, 50, 60)],
    "cover": [{"fit": "cover", "height": 1000}],
    "pad": [{"fit": "pad", "height": 1600}],
    "sharpen": [{"sharpen": 0.5}],
    "watermark": [{"watermark": Watermark(text="©")}],
    "a set": [{"width": 1600 - step, "height": 1600 - step, "formats": ("jpeg", "webp")} for step in range(5)],
}
"""What is made of a noisy image of 1600 × 1200 pixels, and of one of twice its size."""


def noise(mode: str, size: Size) -> bytes:
    """Return a PNG of noise, also in its alpha, which takes an encoder the most memory."""
    ramp = Image.linear_gradient("L").resize(size)
    channels = [ImageChops.blend(ramp, Image.effect_noise(size, 40), 0.5) for _ in mode]
    out = io.BytesIO()
    Image.merge(mode, channels).save(out, "PNG", compress_level=1)
    return out.getvalue()


def small(image_format: str) -> bytes:
    """Return a small image in a format, or a JPEG if Pillow cannot write it."""
    out = io.BytesIO()
    Image.new("RGB", (64, 64)).save(out, "JPEG" if image_format == "HEIF" else image_format)
    return out.getvalue()


# In a process of its own ----------------------------------------------------------------------------------------------


def growth(data: bytes, recipes: Sequence[Recipe], first: bytes) -> int:
    """Return by how many bytes a process grows that renders a file, after a small one; without the file itself."""
    run = [sys.executable, "-m", "bench.engine.memory", "render", str(len(first)), json.dumps([*map(asdict, recipes)])]
    process = subprocess.run(run, input=first + data, capture_output=True, check=True)  # noqa: S603  our own command
    return int(process.stdout)


def _render_standard_input(first_bytes: int, recipes: Sequence[Recipe]) -> int:
    data = sys.stdin.buffer.read()
    first, data = data[:first_bytes], data[first_bytes:]
    for small_file in (small("PNG"), first):
        render(small_file, recipes, _LIMITS)
    Path("/proc/self/clear_refs").write_text("5")  # the peak is now the present size (proc(5))
    before = _memory("VmRSS")
    render(data, recipes, _LIMITS)
    return _memory("VmHWM") - before


def _memory(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def _recipe(values: dict[str, Any]) -> Recipe:
    watermark = values["watermark"]
    options = {"formats": tuple(values["formats"]), "watermark": Watermark(**watermark) if watermark else None}
    return Recipe(**{**values, **options})


_LIMITS = Limits(memory_bytes=1 << 40, max_bytes=1 << 40)


# Compare --------------------------------------------------------------------------------------------------------------


def predicted(data: bytes, recipes: Sequence[Recipe]) -> int:
    """Return the predicted memory of rendering in bytes, without the file."""
    header = admit(Reader.of(data), _LIMITS)
    needed = without_repeats(recipes, header.width, header.height)
    scale = max(recipe.scale(header.width, header.height) for recipe in needed)
    memory = predicted_memory(header, 0, scale, needed)
    animated = [recipe for recipe in recipes if recipe.animated]
    if not animated:
        return memory
    frames = import_module(f"image_pipeline.imaging.animation.{header.format.lower()}").read(Reader.of(data))
    sizes = [(round(header.width * scale), round(header.height * scale)) for _ in animated]
    return memory + animation_memory(frames, header, sizes)


def compare(name: str, files: Sequence[bytes], recipes: Sequence[Recipe], pixels: int) -> bool:
    """Print one line about two images that differ by so many pixels; return whether the prediction is high enough."""
    grown = [growth(file, recipes, files[0]) for file in files[1:]]
    expected = [predicted(file, recipes) for file in files[1:]]
    enough = all(real <= prediction for real, prediction in zip(grown, expected, strict=True))
    print(
        f"{name:40} {(grown[1] - grown[0]) / pixels:5.1f} bytes a pixel, predicted "
        f"{(expected[1] - expected[0]) / pixels:5.1f}; {grown[1] / 1e6:5.0f} MB, predicted {expected[1] / 1e6:5.0f}"
        + ("" if enough else ", MORE THAN PREDICTED"),
        flush=True,
    )
    return enough


def main() -> int:
    """Print the table and compare it with the predictions."""
    enough = True
    for mode in ("RGB", "RGBA"):
        files = [noise(mode, size) for size in ((64, 48), (1600, 1200), (3200, 2400))]
        for name, options in RECIPES.items():
            recipes = [
                Recipe(**{"name": str(place), "width": 1600, "height": 1600, "formats": ("jpeg",), **changes})
                for place, changes in enumerate(options)
            ]
            enough &= compare(f"{mode}: {name}", files, recipes, 3 * 1600 * 1200)
    for kind in [*KINDS, *GENERATED, *ANIMATIONS, *(HEIF_KINDS if "heif" in sys.argv else ())]:
        recipe = ANIMATED if kind in ANIMATIONS else RECIPE
        files = [picture(kind, size) for size in ((64, 48), SMALL, LARGE)]
        enough &= compare(kind, files, [recipe], LARGE[0] * LARGE[1] - SMALL[0] * SMALL[1])
    return 0 if enough else 1


if __name__ == "__main__":
    if "render" in sys.argv:
        print(_render_standard_input(int(sys.argv[2]), [_recipe(values) for values in json.loads(sys.argv[3])]))
    else:
        sys.exit(main())
