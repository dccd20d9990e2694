"""Write the HEIC files and the deep AVIF files of the corpus."""

from __future__ import annotations

import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from tests.corpus import HERE, UPSIDE_DOWN, exif, holed, noisy, quarters
from tests.corpus.heif import HEVC_PARTS, PARTS, TILE


def main() -> None:
    """Write all files."""
    import io

    import pillow_heif

    pillow_heif.register_heif_opener()
    for orientation, turn in UPSIDE_DOWN.items():
        image = quarters() if turn is None else quarters().transpose(turn)
        image.info["exif"] = exif(t0x0112=orientation).tobytes()
        image.save(HERE / f"turned-{orientation}.heic", "HEIF", quality=90, chroma=444)
    holed().save(HERE / "alpha.heic", "HEIF", quality=90, chroma=444)
    Image.open(io.BytesIO(noisy("PNG"))).resize((96, 64)).save(HERE / "noisy.heic", "HEIF", quality=60)
    deep = b"".join(bytes((value, value)) for value in quarters().tobytes())
    heif = pillow_heif.from_bytes(mode="RGB;16", size=quarters().size, data=deep)
    heif.save(HERE / "deep.heic", quality=90, chroma=444)
    for name, (colour, options) in HEVC_PARTS.items():
        mode = "L" if isinstance(colour, int) else "RGB"
        Image.new(mode, TILE, colour).save(PARTS / f"{name}.heic", "HEIF", quality=90, **options)
    for bits, name, image in ((10, "deep-10", quarters()), (12, "deep-12", quarters()), (10, "deep-alpha", holed())):
        deep_avif(image, bits, HERE / f"{name}.avif")
    for sampling in ("420", "422"):
        sampled_avif(quarters(), sampling, HERE / f"deep-12-{sampling}.avif")


def deep_avif(image: Image.Image, bits: int, path: Path) -> None:
    """Write an AVIF of more than 8 bits."""
    import pyvips

    pixels = pyvips.Image.new_from_memory(image.tobytes(), *image.size, len(image.getbands()), "uchar")
    deep = (pixels.cast("ushort") * 257).cast("ushort").copy(interpretation="rgb16")
    deep.heifsave(str(path), compression="av1", bitdepth=bits, Q=90, subsample_mode="off", keep="none")


def sampled_avif(image: Image.Image, sampling: str, path: Path) -> None:
    """Write an AVIF of 12 bits with this chroma sampling; needs `avifenc` of libavif."""
    with TemporaryDirectory() as folder:
        source = Path(folder, "image.png")
        image.save(source)
        options = ["--depth", "12", "--yuv", sampling, "--speed", "6", "--max", "10", "--cicp", "1/13/6"]
        subprocess.run(["avifenc", *options, source, path], check=True)


if __name__ == "__main__":
    main()
