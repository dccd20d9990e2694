"""Writes the HEIC files of the corpus: `pip install pillow-heif`, then `python -m tests.corpus.make_heif`.

They are committed because the encoder is not among the test packages. The pictures are our own.
"""

from __future__ import annotations

from PIL import Image

from tests.corpus import HERE, UPSIDE_DOWN, exif, holed, noisy, quarters


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


if __name__ == "__main__":
    main()
