"""Valid and invalid files with their expected outcomes. Most files are generated.

All of them contain the same image: a red, a green, a blue and a white quarter, so that a wrong orientation, a wrong
colour or lost transparency is visible. `make_heif.py` wrote `tests/corpus/*.heic`, because the test packages contain
no encoder for HEIC.
"""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image, ImageCms

from image_pipeline import errors

HERE = Path(__file__).parent
SIZE = (240, 160)
QUARTERS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255))
GREYS = tuple((luma, luma, luma) for luma in (76, 150, 29, 255))
HOLE = (255, 0, 255)
"""The colour that the tests put behind transparency."""

UPSIDE_DOWN = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""The transposition of the upright image that a camera stores with each EXIF orientation."""


def quarters(mode: str = "RGB", size: tuple[int, int] = SIZE) -> Image.Image:
    """The image."""
    width, height = size[0] // 2, size[1] // 2
    image = Image.new("RGB", size)
    for index, colour in enumerate(QUARTERS):
        left, top = index % 2 * width, index // 2 * height
        image.paste(colour, (left, top, size[0] if index % 2 else width, size[1] if index // 2 else height))
    return image.convert(mode)


def holed(mode: str = "RGBA") -> Image.Image:
    """The image with its last quarter transparent."""
    image = quarters("RGBA")
    image.paste((0, 0, 0, 0), (SIZE[0] // 2, SIZE[1] // 2, *SIZE))
    return image if mode == "RGBA" else image.convert(mode)


def saved(image: Image.Image, image_format: str, **options: Any) -> bytes:
    """The bytes of a file."""
    out = io.BytesIO()
    image.save(out, image_format, **options)
    return out.getvalue()


def exif(**tags: Any) -> Image.Exif:
    """EXIF with tags by their number, such as exif(t0x0112=6)."""
    block = Image.Exif()
    for name, value in tags.items():
        block[int(name[1:], 16)] = value
    return block


def turned(image_format: str, orientation: int) -> bytes:
    """The image as a camera stores it with this orientation."""
    turn = UPSIDE_DOWN[orientation]
    image = quarters() if turn is None else quarters().transpose(turn)
    if image_format == "HEIF":
        return (HERE / f"turned-{orientation}.heic").read_bytes()
    if image_format == "TIFF":
        return saved(image, "TIFF", tiffinfo={0x0112: orientation})
    lossless = {"JPEG": {"quality": 95, "subsampling": 0}}.get(image_format, {})
    return saved(image, image_format, exif=exif(t0x0112=orientation), **lossless)


# PNG by hand: Pillow writes neither interlaced files nor colours of 16 bits -------------------------------------------


def png_chunk(kind: bytes, payload: bytes) -> bytes:
    """One chunk with its checksum."""
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


def png(size: tuple[int, int], bits: int, kind: int, rows: bytes, interlaced: bool = False, *extra: bytes) -> bytes:
    """A PNG of raw rows, each with its filter byte."""
    head = struct.pack(">IIBBBBB", *size, bits, kind, 0, 0, interlaced)
    parts = png_chunk(b"IHDR", head), *extra, png_chunk(b"IDAT", zlib.compress(rows)), png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def deep_png(kind: int, alpha: bool = False) -> bytes:
    """16 bits per channel: colour type 2 or 6."""
    image = holed() if alpha else quarters()
    rows = b""
    for y in (0, SIZE[1] // 2):  # two different rows
        row = image.crop((0, y, SIZE[0], y + 1)).tobytes()
        rows += (b"\0" + b"".join(bytes((value, 255 - value)) for value in row)) * (SIZE[1] // 2)
    return png(SIZE, 16, kind, rows)


def interlaced_png() -> bytes:
    """A PNG with Adam7 interlacing."""
    image = quarters()
    rows = b""
    for left, top, across, down in (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ):
        for y in range(top, SIZE[1], down):
            rows += b"\0" + b"".join(bytes(image.getpixel((x, y))) for x in range(left, SIZE[0], across))  # type: ignore[arg-type]
    return png(SIZE, 8, 2, rows, True)


# JPEG with changed segments -------------------------------------------------------------------------------------------


def without_segment(data: bytes, marker: int) -> bytes:
    """A JPEG without one of its marker segments."""
    at = data.index(bytes((0xFF, marker)))
    return data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") :]


def padded_jpeg(count: int) -> bytes:
    """A JPEG with `count` comments of 64 KiB before its size."""
    data = saved(quarters(), "JPEG", quality=95)
    return data[:2] + (b"\xff\xfe\xff\xff" + b" " * 65533) * count + data[2:]


def many_scans(count: int) -> bytes:
    """A progressive JPEG with `count` additional scans."""
    data = saved(quarters(size=(64, 64)), "JPEG", progressive=True)
    first = data.index(b"\xff\xda")
    scan = data[first : data.index(b"\xff", first + 14)]
    return data[:first] + scan * count + data[first:]


def changed(data: bytes, at: int, value: bytes) -> bytes:
    """The data with some bytes replaced."""
    return data[:at] + value + data[at + len(value) :]


def _frame(data: bytes) -> int:
    return data.index(b"\xff\xc0") + 4


# The cases ------------------------------------------------------------------------------------------------------------


class _Case:
    """A file of the corpus, which is made only once: many tests use it."""

    make: Callable[[], bytes]

    def __post_init__(self) -> None:
        object.__setattr__(self, "make", cache(self.make))


@dataclass(frozen=True)
class Good(_Case):
    """A file that must become renditions."""

    name: str
    make: Callable[[], bytes]
    format: str
    colours: tuple[tuple[int, int, int], ...] = QUARTERS
    """Displayed colours of the four quarters; HOLE means transparent."""
    tolerance: int = 8
    """Largest difference of a channel, of 255."""
    frames: int = 1

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Bad(_Case):
    """A file that must be rejected."""

    name: str
    make: Callable[[], bytes]
    error: type[errors.RejectedError]
    words: str = ""
    """A fact that the message must contain."""
    in_header: bool = True
    """Whether admission can detect the problem from the first bytes."""

    def __str__(self) -> str:
        return self.name


def _cmyk() -> Image.Image:
    return quarters("CMYK")


def _ycck() -> bytes:
    """CMYK as Photoshop writes it: the first three channels are stored like those of a colour JPEG."""
    *colours, black = _cmyk().split()
    planes = [_inverted(plane) for plane in Image.merge("RGB", colours).convert("YCbCr").split()]
    data = saved(Image.merge("CMYK", (*planes, black)), "JPEG", quality=95)
    return changed(data, data.index(b"\xff\xee") + 15, b"\2")


def _inverted(image: Image.Image) -> Image.Image:
    return image.point(lambda value: 255 - value)


def _animation(image_format: str, **options: Any) -> bytes:
    more = [Image.new("RGB", SIZE, "black"), Image.new("RGB", SIZE, "grey")]
    return saved(quarters(), image_format, save_all=True, append_images=more, **options)


def _lab() -> Image.Image:
    return ImageCms.profileToProfile(
        quarters(), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )  # type: ignore[return-value]


_HOLED = (*QUARTERS[:3], HOLE)
_STRETCHED = tuple((luma, luma, luma) for luma in (53, 137, 0, 255))
_BROKEN_EXIF = b"Exif\0\0MM\0*\0\1\0\1\xff"

_GOOD: tuple[Good, ...] = (
    Good("JPEG baseline", lambda: saved(quarters(), "JPEG", quality=95), "JPEG"),
    Good("JPEG progressive", lambda: saved(quarters(), "JPEG", quality=95, progressive=True), "JPEG"),
    Good("JPEG 4:4:4", lambda: saved(quarters(), "JPEG", quality=95, subsampling=0), "JPEG"),
    Good("JPEG 4:1:1", lambda: saved(quarters(), "JPEG", quality=95, subsampling="4:1:1"), "JPEG", tolerance=16),
    Good("JPEG in RGB", lambda: saved(quarters(), "JPEG", quality=95, keep_rgb=True), "JPEG"),
    Good("JPEG grey", lambda: saved(quarters("L"), "JPEG", quality=95), "JPEG", GREYS),
    Good("JPEG CMYK, Adobe's inverted way", lambda: saved(_cmyk(), "JPEG", quality=95), "JPEG"),
    Good(
        "JPEG CMYK without Adobe's marker",
        lambda: without_segment(saved(_cmyk(), "JPEG", quality=95), 0xEE),
        "JPEG",
    ),
    Good("JPEG YCCK", _ycck, "JPEG"),
    Good("JPEG with restart markers", lambda: saved(quarters(), "JPEG", quality=95, restart_marker_rows=1), "JPEG"),
    Good("JPEG with 5 comments before its size", lambda: padded_jpeg(5), "JPEG"),
    Good("JPEG with a second one behind it", lambda: saved(quarters(), "JPEG", quality=95) + many_scans(2), "JPEG"),
    Good("JPEG without end marker", lambda: saved(quarters(), "JPEG", quality=95)[:-2], "JPEG"),
    Good("JPEG with broken EXIF", lambda: saved(quarters(), "JPEG", quality=95, exif=_BROKEN_EXIF), "JPEG"),
    Good("JPEG with broken ICC", lambda: saved(quarters(), "JPEG", quality=95, icc_profile=b"no profile" * 30), "JPEG"),
    Good("PNG 1 bit", lambda: saved(quarters("1"), "PNG"), "PNG", GREYS, 255),
    Good("PNG grey", lambda: saved(quarters("L"), "PNG"), "PNG", GREYS),
    Good("PNG grey, 16 bits", lambda: saved(_deep_grey(), "PNG"), "PNG", GREYS),
    Good("PNG grey and alpha", lambda: saved(holed("LA"), "PNG"), "PNG", (*GREYS[:3], HOLE)),
    Good("PNG palette", lambda: saved(quarters("P"), "PNG"), "PNG"),
    Good("PNG palette, 2 bits", lambda: saved(quarters().quantize(4), "PNG", bits=2), "PNG"),
    Good("PNG palette with tRNS", lambda: _keyed("PNG"), "PNG", _HOLED),
    Good("PNG RGB", lambda: saved(quarters(), "PNG"), "PNG"),
    Good("PNG RGB with tRNS", lambda: saved(quarters(), "PNG", transparency=(255, 255, 255)), "PNG", _HOLED),
    Good("PNG grey with tRNS", lambda: saved(quarters("L"), "PNG", transparency=255), "PNG", (*GREYS[:3], HOLE)),
    Good("PNG RGBA", lambda: saved(holed(), "PNG"), "PNG", _HOLED),
    Good("PNG RGB, 16 bits", lambda: deep_png(2), "PNG"),
    Good("PNG RGBA, 16 bits", lambda: deep_png(6, alpha=True), "PNG", _HOLED),
    Good("PNG interlaced", interlaced_png, "PNG"),
    Good("PNG animated", lambda: _animation("PNG"), "PNG", frames=3),
    Good("PNG with bytes behind its end", lambda: saved(quarters(), "PNG") + b"left over", "PNG"),
    Good("WebP", lambda: saved(quarters(), "WEBP", quality=95), "WEBP", tolerance=16),
    Good("WebP lossless", lambda: saved(quarters(), "WEBP", lossless=True), "WEBP"),
    Good("WebP with alpha", lambda: saved(holed(), "WEBP", lossless=True), "WEBP", _HOLED),
    Good("WebP lossy with alpha", lambda: saved(holed(), "WEBP", quality=95), "WEBP", _HOLED, 16),
    Good("WebP animated", lambda: _animation("WEBP", lossless=True), "WEBP", frames=3),
    Good("GIF", lambda: saved(quarters("P"), "GIF"), "GIF"),
    Good("GIF with transparency", lambda: _keyed("GIF"), "GIF", _HOLED),
    Good("GIF animated", lambda: _animation("GIF"), "GIF", frames=3),
    Good("AVIF", lambda: saved(quarters(), "AVIF", quality=95), "AVIF"),
    Good("AVIF with alpha", lambda: saved(holed(), "AVIF", quality=95), "AVIF", _HOLED),
    Good("HEIC", lambda: (HERE / "turned-1.heic").read_bytes(), "HEIF"),
    Good("HEIC with alpha", lambda: (HERE / "alpha.heic").read_bytes(), "HEIF", _HOLED),
    Good("HEIC, 10 bits", lambda: (HERE / "deep.heic").read_bytes(), "HEIF"),
    Good("TIFF", lambda: saved(quarters(), "TIFF"), "TIFF"),
    Good("TIFF LZW", lambda: saved(quarters(), "TIFF", compression="tiff_lzw"), "TIFF"),
    Good("TIFF deflate", lambda: saved(quarters(), "TIFF", compression="tiff_adobe_deflate"), "TIFF"),
    Good("TIFF JPEG", lambda: saved(quarters(), "TIFF", compression="jpeg", quality=95), "TIFF"),
    Good("TIFF grey", lambda: saved(quarters("L"), "TIFF"), "TIFF", GREYS),
    Good("TIFF fax", lambda: saved(quarters("1"), "TIFF", compression="group4"), "TIFF", GREYS, 255),
    Good("TIFF grey, 16 bits", lambda: saved(_deep_grey(), "TIFF"), "TIFF", GREYS),
    Good("TIFF floats", lambda: saved(quarters("L").convert("F"), "TIFF"), "TIFF", _STRETCHED),
    Good("TIFF CMYK", lambda: saved(_cmyk(), "TIFF"), "TIFF"),
    Good("TIFF LAB", lambda: saved(_lab(), "TIFF"), "TIFF", tolerance=24),
    Good("TIFF palette", lambda: saved(quarters("P"), "TIFF"), "TIFF"),
    Good("TIFF RGBA", lambda: saved(holed(), "TIFF"), "TIFF", _HOLED),
    Good("TIFF of three pages", lambda: _animation("TIFF"), "TIFF", frames=3),
    Good("BigTIFF", lambda: saved(quarters(), "TIFF", big_tiff=True), "TIFF"),
    Good("BMP", lambda: saved(quarters(), "BMP"), "BMP"),
    Good("BMP palette", lambda: saved(quarters("P"), "BMP"), "BMP"),
    Good("BMP grey", lambda: saved(quarters("L"), "BMP"), "BMP", GREYS),
)  # fmt: skip


def _deep_grey() -> Image.Image:
    raw = b"".join(bytes((255 - value, value)) for value in quarters("L").tobytes())  # little-endian
    return Image.frombytes("I;16", SIZE, raw)


def _keyed(image_format: str) -> bytes:
    """A palette in which white is transparent."""
    image = quarters().quantize(4)
    return saved(image, image_format, transparency=image.getpixel((SIZE[0] - 1, SIZE[1] - 1)))


def _cut(case: str, share: float) -> Callable[[], bytes]:
    def make() -> bytes:
        whole = noisy(case)
        return whole[: int(len(whole) * share)]

    return make


def noisy(image_format: str) -> bytes:
    """An image that compresses badly, so that a cut is in its pixels."""
    image = Image.frombytes("RGB", (60, 40), random.Random(3).randbytes(7200)).resize(SIZE)
    if image_format == "HEIF":
        return (HERE / "noisy.heic").read_bytes()
    return saved(image.convert("P") if image_format == "GIF" else image, image_format)


_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "HEIF", "TIFF", "BMP")


def _bad() -> Iterable[Bad]:
    from image_pipeline.errors import CorruptImageError, EmptyUploadError, ImageTooLargeError, UnsupportedFormatError

    yield Bad("nothing", lambda: b"", EmptyUploadError, "0 bytes")
    for words, data in {
        "text": b"I am not a picture, whatever my name says.\n",
        "SVG": b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>',
        "HTML": b"<!DOCTYPE html><title>404</title>",
        "XML": b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
        "JSON": b'{"key": "value"}',
        "PDF": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3",
        "PSD": b"8BPS\x00\x01" + bytes(20),
        "MP4": b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp41",
        "QuickTime": b"\x00\x00\x00\x14ftypqt  \x00\x00\x02\x00qt  ",
        "CR3": b"\x00\x00\x00\x18ftypcrx \x00\x00\x00\x01crx isom",
        "JPEG XL": b"\xff\x0a" + bytes(20),
        "JPEG 2000": b"\x00\x00\x00\x0cjP  \r\n\x87\n" + bytes(20),
        "ZIP": b"PK\x03\x04" + bytes(26),
        "gzip": b"\x1f\x8b\x08" + bytes(10),
        "WebM": b"\x1aE\xdf\xa3" + bytes(20),
        "WAV": b"RIFF\x24\x00\x00\x00WAVEfmt ",
        "ICO": b"\x00\x00\x01\x00\x01\x00" + bytes(16),
        "program": b"\x7fELF" + bytes(40),
        "unknown data": bytes(range(0, 200, 3)) * 3,
    }.items():
        yield Bad(f"{words} named .jpg", lambda data=data: data, UnsupportedFormatError, words)  # type: ignore[misc]
    yield Bad("text in UTF-16", lambda: "\ufeffnot a picture".encode("utf-16-le"), UnsupportedFormatError, "text")
    for name in _FORMATS:
        yield Bad(f"{name} after 14 bytes", lambda name=name: noisy(name)[:14], CorruptImageError, name)  # type: ignore[misc]
        is_in_header = name in ("BMP", "TIFF", "WEBP", "AVIF", "HEIF")  # their headers say where their data ends
        yield Bad(f"half a {name}", _cut(name, 0.5), CorruptImageError, name, in_header=is_in_header)
        yield Bad(f"nine tenths of a {name}", _cut(name, 0.9), CorruptImageError, name, in_header=is_in_header)
    jpeg, whole_png = saved(quarters(), "JPEG"), saved(quarters(), "PNG")
    yield Bad("JPEG of no height", lambda: changed(jpeg, _frame(jpeg) + 1, b"\0\0"), CorruptImageError, "240 × 0")
    yield Bad("JPEG of two channels", lambda: changed(jpeg, _frame(jpeg) + 5, b"\2"), CorruptImageError, "2 colour")
    yield Bad("JPEG of 12 bits", lambda: changed(jpeg, _frame(jpeg), b"\x0c"), UnsupportedFormatError, "12 bits")
    yield Bad("JPEG lossless", lambda: jpeg.replace(b"\xff\xc0", b"\xff\xc3", 1), UnsupportedFormatError, "lossless")
    yield Bad("JPEG of 1,000 scans", lambda: many_scans(1000), ImageTooLargeError, "100 scans")
    yield Bad("JPEG that is all markers", lambda: b"\xff\xd8" + b"\xff" * 200_000, CorruptImageError, "cut off")
    yield Bad("JPEG of endless comments", lambda: padded_jpeg(80)[: 80 * 65537], CorruptImageError, "cut off")
    yield Bad("JPEG of random pixels", lambda: jpeg[:640] + bytes(range(256)) * 4, CorruptImageError, "", False)
    yield Bad("PNG with a bad checksum", lambda: changed(whole_png, 29, b"\0\0\0\0"), CorruptImageError, "checksum")
    yield Bad(
        "PNG that claims 30,000 × 30,000",
        lambda: png((30_000, 30_000), 8, 2, b"\0" * 99),
        ImageTooLargeError,
        "900.0 megapixels",
    )
    yield Bad(
        "PNG that claims 5,000 × 5,000", lambda: png((5000, 5000), 8, 2, b"\0" * 99), CorruptImageError, "5000 × 5000"
    )
    yield Bad("PNG that claims no width", lambda: png((0, 9), 8, 2, b"\0" * 99), CorruptImageError, "0 × 9")
    yield Bad("PNG of 3 bits", lambda: png(SIZE, 3, 2, b"\0" * 99), CorruptImageError, "3 bits")
    yield Bad("PNG without pixels", lambda: whole_png[:33] + png_chunk(b"IEND", b""), CorruptImageError, "PNG")
    yield Bad(
        "PNG with an endless chunk", lambda: whole_png[:33] + b"\x7f\xff\xff\xffteXt", CorruptImageError, "cut off"
    )
    yield Bad("WebP of 34 bytes and 12,000 × 12,000", webp_bomb, ImageTooLargeError, "12000 × 12000")
    yield Bad(
        "WebP that starts with nothing known", lambda: b"RIFF\x20\0\0\0WEBPXXXX" + bytes(24), CorruptImageError, "XXXX"
    )
    yield Bad(
        "GIF that claims 60,000 × 60,000",
        lambda: b"GIF89a\x60\xea\x60\xea" + saved(quarters("P"), "GIF")[10:],
        ImageTooLargeError,
        "60000",
    )
    yield Bad("GIF without a frame", lambda: b"GIF89a\x10\0\x10\0\0\0\0;", CorruptImageError, "no frame")
    yield Bad("TIFF without a directory", lambda: b"II*\0\xff\xff\xff\x7f" + bytes(50), CorruptImageError, "cut off")
    yield Bad("TIFF of 60,000 tags", lambda: b"II*\0\x08\0\0\0\x60\xea" + bytes(50), CorruptImageError, "60000 entries")
    yield Bad("TIFF without a size", lambda: b"II*\0\x08\0\0\0\0\0" + bytes(50), CorruptImageError, "0 × 0")
    yield Bad(
        "raw camera file (DNG)",
        lambda: saved(quarters(), "TIFF", tiffinfo={50706: b"\1\4\0\0"}),
        UnsupportedFormatError,
        "camera raw",
    )
    yield Bad(
        "BMP that claims 20,000 × 10,000",
        lambda: changed(saved(quarters(), "BMP"), 18, struct.pack("<ii", 20_000, 10_000)),
        CorruptImageError,
        "cut off",
    )
    yield Bad("BMP of 7 bits", lambda: changed(saved(quarters(), "BMP"), 28, b"\7"), CorruptImageError, "7 bits")
    yield Bad(
        "HEIC without meta box",
        lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0\0\0\x08free",
        CorruptImageError,
        "meta",
    )
    yield Bad(
        "HEIC with a box of 4 bytes",
        lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0\0\0\x04meta",
        CorruptImageError,
        "4 bytes",
    )
    yield Bad(
        "AVIF with an empty meta box",
        lambda: b"\0\0\0\x18ftypavif\0\0\0\0mif1avif" + b"\0\0\0\x0cmeta\0\0\0\0",
        CorruptImageError,
        "primary",
    )


def webp_bomb(side: int = 12_000) -> bytes:
    """A lossless WebP in which one code of no bits stands for every pixel."""
    bits = 0x2F | (side - 1) << 8 | (side - 1) << 22
    payload = bits.to_bytes(5, "little") + b"\x88\x88\x08" + bytes(6)
    return b"RIFF" + struct.pack("<I", 12 + len(payload)) + b"WEBPVP8L" + struct.pack("<I", len(payload)) + payload


_BAD: tuple[Bad, ...] = tuple(_bad())

from tests.corpus import bmps, gifs, heif, pngs, tiffs, webps  # noqa: E402  they need the definitions above

GOOD: tuple[Good, ...] = (*_GOOD, *pngs.GOOD, *gifs.GOOD, *webps.GOOD, *tiffs.GOOD, *bmps.GOOD, *heif.GOOD)
BAD: tuple[Bad, ...] = (*_BAD, *pngs.BAD, *gifs.BAD, *webps.BAD, *tiffs.BAD, *bmps.BAD, *heif.BAD)
