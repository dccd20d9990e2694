"""Bytes of memory that each pixel takes, per kind: `python -m bench.memory`. `formats` predicts with these figures.

Peak memory of a fresh process that renders one picture, for two sizes; the difference over the pixels between them, and
the same of the predictions. The exit code is 1 where a prediction is too low.
"""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from PIL import Image

from image_pipeline.imaging.engine import render
from image_pipeline.imaging.formats.admission import admit
from image_pipeline.imaging.formats.limits import RUNTIME_BYTES, Limits
from image_pipeline.imaging.reader import Reader
from image_pipeline.imaging.recipes import Recipe
from tests.corpus import gifs, pngs, webps
from tests.corpus.jpeg import separate_scans

Size = tuple[int, int]

RECIPE = Recipe("640x480", 640, 480)
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
    "TIFF CMYK": ("TIFF", "CMYK", {}),
    "TIFF float": ("TIFF", "F", {}),
    "BMP": ("BMP", "RGB", {}),
}

HEIF_KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "HEIF": ("HEIF", "RGB", {}),
    "HEIF 4:4:4": ("HEIF", "RGB", {"chroma": 444}),
    "HEIF alpha": ("HEIF", "RGBA", {}),
    "HEIF alpha, 4:4:4": ("HEIF", "RGBA", {"chroma": 444}),
}
"""With `heif` as argument, which needs pillow-heif."""


def _blank_png(bits: int, colour_type: int, *extra: bytes, interlaced: bool = False, size: Size) -> bytes:
    raw = pngs.blank(size, bits, colour_type, interlaced)
    return pngs.png(pngs.header(size, bits, colour_type, interlaced), *extra, pngs.data(raw))


def _small_gif_frame(size: Size) -> bytes:
    return gifs.gif(size, [gifs.frame((0, 0, 8, 8))])


def _webp_frame(size: Size, *, inset: int = 2, **options: Any) -> bytes:
    chunks = webps.coded(Image.linear_gradient("L").resize(size).convert("RGB"), **options)
    canvas = size[0] + inset, size[1] + inset
    return webps.webp(webps.vp8x(canvas, webps.ANIMATION), webps.anim(), webps.anmf((inset, inset, *size), *chunks))


MADE: dict[str, Callable[..., bytes]] = {
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
}
"""Kinds that Pillow does not write."""


def picture(kind: str, size: Size) -> bytes:
    """A gradient, so that files are small and memory is all pixels."""
    if kind in MADE:
        return MADE[kind](size=size)
    if kind in HEIF_KINDS:
        import pillow_heif  # type: ignore[import-not-found,unused-ignore]

        pillow_heif.register_heif_opener()
    image_format, mode, options = {**KINDS, **HEIF_KINDS}[kind]
    image = Image.linear_gradient("L").resize(size)
    converted = image.convert("I").convert("I;16") if mode == "I;16" else image.convert("RGB").convert(mode)
    if kind.startswith("AVIF alpha"):
        converted.putalpha(image)  # the encoder leaves out alpha that is opaque
    out = io.BytesIO()
    converted.save(out, image_format, **options)
    return out.getvalue()


def peak(data: bytes) -> int:
    """Peak memory in bytes of a fresh process that renders this file, less the file itself."""
    run = [sys.executable, "-m", "bench.memory", "render"]
    done = subprocess.run(run, input=data, capture_output=True, check=True)  # noqa: S603  the command is ours
    return int(done.stdout) - len(data)


def _render_standard_input() -> None:
    from bench.worker import peak_memory

    data = sys.stdin.buffer.read()
    limits = Limits(memory_bytes=1 << 40, max_bytes=1 << 40)
    render(data, [RECIPE], limits)
    print(peak_memory())


def predicted(data: bytes) -> int:
    """What admission expects decoding to take, in bytes."""
    return admit(Reader.of(data), Limits(memory_bytes=1 << 40, max_bytes=1 << 40)).predicted_memory(RECIPE.width)


def main() -> int:
    """Print the table."""
    wrong = 0
    for kind in [*KINDS, *MADE, *HEIF_KINDS] if "heif" in sys.argv else [*KINDS, *MADE]:
        files = picture(kind, SMALL), picture(kind, LARGE)
        small, large = map(peak, files)
        expected_small, expected_large = map(predicted, files)
        pixels = LARGE[0] * LARGE[1] - SMALL[0] * SMALL[1]
        too_low = large > expected_large + RUNTIME_BYTES
        wrong += too_low
        print(
            f"{kind:40} {(large - small) / pixels:5.1f} bytes a pixel, predicted "
            f"{(expected_large - expected_small) / pixels:5.1f}; {large / 1e6:5.0f} MB at 24 megapixels"
            + (", MORE THAN PREDICTED" if too_low else ""),
            flush=True,
        )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(_render_standard_input() if "render" in sys.argv else main())
