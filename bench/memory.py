"""Bytes of memory that each pixel takes, per format: `python -m bench.memory`. `formats` predicts with these figures.

Peak memory of a fresh process that renders one picture, for two sizes; the difference over the pixels between them.
"""

from __future__ import annotations

import io
import subprocess
import sys
from typing import Any

from PIL import Image

from image_pipeline.imaging.engine import render
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.recipes import Recipe
from tests.corpus.jpeg import separate_scans

SMALL, LARGE = (3000, 2000), (6000, 4000)
KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "JPEG": ("JPEG", "RGB", {}),
    "JPEG progressive": ("JPEG", "RGB", {"progressive": True}),
    "JPEG CMYK": ("JPEG", "CMYK", {}),
    "JPEG progressive CMYK": ("JPEG", "CMYK", {"progressive": True}),
    "JPEG in separate scans": ("", "RGB", {}),
    "PNG RGB": ("PNG", "RGB", {"compress_level": 1}),
    "PNG RGBA": ("PNG", "RGBA", {"compress_level": 1}),
    "PNG palette": ("PNG", "P", {"compress_level": 1}),
    "PNG 16 bits": ("PNG", "I;16", {"compress_level": 1}),
    "PNG palette, transparent": ("PNG", "P", {"compress_level": 1, "transparency": 0}),
    "WebP lossy": ("WEBP", "RGB", {"method": 0}),
    "WebP lossless": ("WEBP", "RGB", {"lossless": True, "method": 0}),
    "WebP alpha": ("WEBP", "RGBA", {"method": 0}),
    "GIF": ("GIF", "P", {}),
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


def picture(kind: str, size: tuple[int, int]) -> bytes:
    """A gradient, so that files are small and memory is all pixels."""
    if kind in HEIF_KINDS:
        import pillow_heif  # type: ignore[import-not-found,unused-ignore]

        pillow_heif.register_heif_opener()
    if kind == "JPEG in separate scans":
        return separate_scans(Image.linear_gradient("L").resize(size).convert("RGB"))
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
    render(data, [Recipe("640x480", 640, 480)], limits)
    print(peak_memory())


def main() -> None:
    """Print the table."""
    kinds = [*KINDS, *HEIF_KINDS] if "heif" in sys.argv else list(KINDS)
    for kind in kinds:
        small, large = peak(picture(kind, SMALL)), peak(picture(kind, LARGE))
        pixels = LARGE[0] * LARGE[1] - SMALL[0] * SMALL[1]
        print(
            f"{kind:26} {(large - small) / pixels:5.1f} bytes a pixel, {large / 1e6:5.0f} MB at 24 megapixels",
            flush=True,
        )


if __name__ == "__main__":
    _render_standard_input() if "render" in sys.argv else main()
