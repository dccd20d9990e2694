"""What is admitted: decided by the content, from the head of the file, before any decoder is started.

No file name is looked at and Pillow is not imported: a hostile header meets bounded Python and nothing else. The rules,
the formats and the memory figures are documented in `docs/images.md`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from image_pipeline.errors import (
    CorruptImageError,
    EmptyUploadError,
    ImageTooLargeError,
    SettingsError,
    UnsupportedFormatError,
    UploadTooLargeError,
)
from image_pipeline.imaging.containers import (
    BrokenContainerError,
    Chunk,
    HeifItems,
    NeedMoreBytesError,
    Tiff,
    Value,
    find_exif,
    heif_items,
    jpeg_scans,
    jpeg_segments,
    png_chunks,
    riff_chunks,
    take,
    whole,
)
from image_pipeline.settings import MEBIBYTE, Settings

RUNTIME_BYTES = 192 * MEBIBYTE
"""Python, boto3 and the libraries, in bytes: a warm function that has not decoded anything yet."""

FORMATS = frozenset({"JPEG", "PNG", "WEBP", "GIF", "AVIF", "HEIF", "TIFF", "BMP"})

HEAD_BYTES = 64 * 1024
"""How much of a file is read first: holds the header of nearly every camera file, thumbnail included."""

MAX_HEAD_BYTES = 4 * MEBIBYTE
"""How long a header may be. TIFF is excepted: writers put its directory behind the pixels."""

_MOST_GIF_BLOCKS = 100_000
"""Of up to 255 bytes each: more than a header of `MAX_HEAD_BYTES` has, unless they are made small on purpose."""

MAX_SCANS = 100
"""Scans of one JPEG. Encoders write about 10; a thousand keep the decoder busy for half a minute."""

_MAKE, _ORIENTATION = 0x010F, 0x0112

CONTENT_TYPES = {name: f"image/{name.lower()}" for name in FORMATS}
"""Media types, by format."""

_BYTES_PER_PIXEL = {"PNG": 9, "WEBP": 17, "GIF": 9, "AVIF": 10, "HEIF": 10, "TIFF": 13, "BMP": 9}
"""Peak memory of decoding and the first reduction, bytes per pixel, of each format's most demanding kind as
`bench/memory.py` measures it, rounded up."""

_MOST_PIXELS_PER_BYTE = {"GIF": 2731, "PNG1": 8256}
"""What a compressed byte can stand for at best. GIF: an LZW code of 12 bits stands for at most 4096 pixels. PNG:
deflate reaches 1032 : 1, at one bit per pixel."""


@dataclass(frozen=True)
class Limits:
    """What one upload may cost."""

    max_bytes: int = 100_000_000
    """Size of the file in bytes."""
    max_pixels: int = 250_000_000
    """Width × height: more than the 200 megapixels of today's largest telephone camera."""
    max_frames: int = 10_000
    """Frames of an animation or pages of a document. Only the first is ever decoded."""
    memory_bytes: int = 1024 * MEBIBYTE
    """What the file and its decoding may take together, beyond the interpreter."""
    formats: frozenset[str] = field(default=FORMATS)
    """Names from `FORMATS`."""
    rendition_side: int = 2048
    """Longest side in pixels that a recipe asks for: JPEG is decoded no larger than it needs."""

    @classmethod
    def from_settings(cls, settings: Settings) -> Limits:
        """What the deployment allows; decoding gets what the function's memory leaves.

        Raises:
            SettingsError: a format is asked for that there is not.
        """
        if unknown := settings.image_formats - FORMATS:
            raise SettingsError(
                f"IMAGE_FORMATS names {', '.join(sorted(unknown))}, which cannot be admitted.",
                f"Choose from {', '.join(sorted(FORMATS))} in the parameter ImageFormats and deploy again.",
            )
        return cls(
            max_bytes=settings.max_upload_bytes,
            max_pixels=settings.max_pixels,
            memory_bytes=settings.render_memory_bytes - RUNTIME_BYTES,
            formats=settings.image_formats,
        )


@dataclass(frozen=True)
class Header:
    """What the head of a file says about the picture."""

    format: str
    """One of `FORMATS`."""
    width: int
    """Pixels, as displayed: orientation applied."""
    height: int
    """Pixels, as displayed: orientation applied."""
    mode: str
    """Pillow's word for the pixels: 1, L, LA, P, RGB, RGBA, CMYK, I;16 …"""
    frames: int = 1
    """Frames or pages that the bytes read so far show."""
    orientation: int = 1
    """EXIF value, 1 to 8, from EXIF or from the container's own transformation; 1 where the file has none."""
    bits: int = 8
    """Per channel."""
    progressive: bool = False
    """JPEG: the decoder has to hold all coefficients."""
    camera: bool = False
    """EXIF names the maker of a camera: a photograph, not a drawing saved as JPEG."""
    sampling: float = 3.0
    """JPEG: coefficients per pixel, 1 for grey, 1.5 for 4:2:0, 3 for 4:4:4."""

    @property
    def content_type(self) -> str:
        """Media type of the upload: image/jpeg …"""
        return CONTENT_TYPES[self.format]

    @property
    def stored_size(self) -> tuple[int, int]:
        """(width, height) of the stored pixels, before the orientation is applied."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)

    def to_dict(self) -> dict[str, Any]:
        """CamelCase JSON for the record."""
        return {
            "format": self.format,
            "width": self.width,
            "height": self.height,
            "mode": self.mode,
            "frames": self.frames,
            "orientation": self.orientation,
            "contentType": self.content_type,
        }

    def predicted_memory(self, rendition_side: int) -> int:
        """Bytes that decoding takes at its peak when renditions have at most this side in pixels."""
        pixels = self.width * self.height
        if self.format != "JPEG":
            wide = 2 if self.bits > 8 and self.format in ("AVIF", "HEIF") else 1  # their planes are 16 bits then
            return pixels * _BYTES_PER_PIXEL[self.format] * wide
        scale = draft_scale(max(self.width, self.height) / rendition_side, self.camera)
        coefficients = int(pixels * self.sampling * 2) if self.progressive else 0
        return coefficients + 8 * pixels // scale**2


_CAMERA_MARGIN, _MARGIN = 1.25, 1.5
"""The part of a reduction that is left to Lanczos after JPEG's own. A lens leaves no detail of single pixels, so that
the smaller margin costs photographs less than 0.2 dB; screenshots would lose 3 dB (`docs/performance.md`)."""


def draft_scale(reduction: float, camera: bool) -> int:
    """By how much a JPEG may be reduced while it is decoded: 1, 2, 4 or 8.

    Args:
        reduction: original over rendition, at least 1.
        camera: whether the picture is a photograph.
    """
    margin = _CAMERA_MARGIN if camera else _MARGIN
    return next((scale for scale in (8, 4, 2) if scale * margin <= reduction), 1)


def admit(read: Callable[[int], bytes], size_bytes: int, limits: Limits) -> Header:
    """Decide whether a file may be decoded.

    Args:
        read: gives the first n bytes of the file; called again with a larger n where a header is longer.
        size_bytes: length of the whole file in bytes.
        limits: what is allowed.

    Raises:
        EmptyUploadError: no bytes.
        UploadTooLargeError: more bytes than allowed.
        UnsupportedFormatError: the content is something else; the message names it.
        CorruptImageError: the header is cut off, contradicts itself, or claims what the bytes cannot hold.
        ImageTooLargeError: more pixels, frames, scans or predicted memory than allowed.
    """
    if size_bytes <= 0:
        raise EmptyUploadError("The upload is empty (0 bytes).", "Upload the file again.")
    if size_bytes > limits.max_bytes:
        raise UploadTooLargeError(
            f"The upload has {_megabytes(size_bytes)}; {_megabytes(limits.max_bytes)} are allowed.",
            "Upload a smaller file, or raise the limit of the deployment.",
        )
    header = _read_header(read, size_bytes, limits)
    _check_size(header, size_bytes, limits)
    return header


def recognise(head: bytes, admitted: frozenset[str]) -> str:
    """The format of a file that begins like this.

    Args:
        head: its first bytes, as many as there are up to `HEAD_BYTES`.
        admitted: names from `FORMATS`.

    Raises:
        UnsupportedFormatError: it is none of those; the message says what it is.
    """
    name = sniff(head)
    if name not in admitted:
        raise UnsupportedFormatError(
            f"The file is not a picture that can be processed: its content is {name}.",
            f"Convert it to one of {', '.join(sorted(admitted))} and upload it again.",
        )
    return name


def _read_header(read: Callable[[int], bytes], size_bytes: int, limits: Limits) -> Header:
    want = min(HEAD_BYTES, size_bytes)
    while True:
        head = read(want)
        name = recognise(head, limits.formats)
        try:
            return _PARSERS[name](head, size_bytes, limits)
        except NeedMoreBytesError as error:
            longest = size_bytes if name == "TIFF" else min(size_bytes, MAX_HEAD_BYTES)
            if error.needed > size_bytes or want >= size_bytes:
                raise _corrupt(name, "the header is cut off") from error
            if want >= longest:
                raise CorruptImageError(
                    f"The {name} header is longer than {_megabytes(MAX_HEAD_BYTES)}, which no camera or editor writes.",
                    "Save the picture without its embedded metadata and upload it again.",
                ) from error
            want = min(longest, max(error.needed + 1024, want * 4))
        except BrokenContainerError as error:
            raise _corrupt(name, str(error)) from error


def _check_size(header: Header, size_bytes: int, limits: Limits) -> None:
    pixels = header.width * header.height
    what = f"{header.width} × {header.height} pixels"
    if pixels == 0:
        raise _corrupt(header.format, f"it claims {what}")
    if pixels > limits.max_pixels:
        raise ImageTooLargeError(
            f"The picture has {what}, {_millions(pixels)} in all; {_millions(limits.max_pixels)} are allowed.",
            "Upload a smaller version of the picture.",
        )
    _check_plausible(header, pixels, size_bytes)
    if header.frames > limits.max_frames:
        raise ImageTooLargeError(
            f"The picture has more than {limits.max_frames} frames or pages.", "Upload its first frame alone."
        )
    memory = header.predicted_memory(limits.rendition_side) + size_bytes
    if memory > limits.memory_bytes:
        raise ImageTooLargeError(
            f"Holding and decoding {what} of {header.format} takes about {_megabytes(memory)}; "
            f"{_megabytes(limits.memory_bytes)} are there.",
            "Upload a smaller version of the picture, or give the function more memory.",
        )


def _check_plausible(header: Header, pixels: int, size_bytes: int) -> None:
    """Reject headers that claim more pixels than the bytes can hold: they cost a decoder memory for nothing."""
    most = {"GIF": _MOST_PIXELS_PER_BYTE["GIF"], "PNG": _MOST_PIXELS_PER_BYTE["PNG1"] // max(1, header.bits)}
    if header.format in most and pixels > size_bytes * most[header.format]:
        raise _corrupt(header.format, f"{size_bytes} bytes cannot hold {header.width} × {header.height} pixels")


# What is it? ----------------------------------------------------------------------------------------------------------

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\x00\x10\x00\x00\x00CR", "camera raw (CR2)"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
    (b"IIRO", "camera raw (ORF)"),
    (b"IIRS", "camera raw (ORF)"),
    (b"IIU\x00", "camera raw (RW2)"),
    (b"FUJIFILMCCD-RAW", "camera raw (RAF)"),
    (b"II\xbc\x01", "JPEG XR"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"8BPS", "PSD"),
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"PK\x03\x04", "ZIP"),
    (b"PK\x05\x06", "ZIP"),
    (b"Rar!\x1a\x07", "RAR"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "Zstandard"),
    (b"\x1aE\xdf\xa3", "Matroska or WebM video"),
    (b"\x00\x00\x01\xba", "MPEG video"),
    (b"\x00\x00\x01\xb3", "MPEG video"),
    (b"FLV\x01", "Flash video"),
    (b"OggS", "Ogg"),
    (b"fLaC", "FLAC audio"),
    (b"ID3", "MP3 audio"),
    (b"\x00\x00\x01\x00", "icon (ICO)"),
    (b"\x00\x00\x02\x00", "cursor (CUR)"),
    (b"icns", "icon (ICNS)"),
    (b"DDS ", "DDS texture"),
    (b"qoif", "QOI"),
    (b"v/1\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"SIMPLE  =", "FITS"),
    (b"gimp xcf", "GIMP picture (XCF)"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old Microsoft Office document"),
    (b"SQLite format 3\x00", "SQLite database"),
    (b"\x7fELF", "program (ELF)"),
    (b"MZ", "program (Windows)"),
    (b"\xca\xfe\xba\xbe", "program (Java or macOS)"),
    (b"\xcf\xfa\xed\xfe", "program (macOS)"),
)

_BRANDS = {
    b"avif": "AVIF", b"avis": "AVIF",
    b"heic": "HEIF", b"heix": "HEIF", b"heim": "HEIF", b"heis": "HEIF", b"hevc": "HEIF", b"hevx": "HEIF",
    b"mif1": "HEIF", b"msf1": "HEIF", b"mif2": "HEIF",
    b"qt  ": "QuickTime video", b"crx ": "camera raw (CR3)", b"jxl ": "JPEG XL", b"jp2 ": "JPEG 2000",
    b"M4A ": "MPEG-4 audio", b"M4V ": "MP4 video", b"3gp4": "3GP video", b"3gp5": "3GP video",
}  # fmt: skip

_RIFF = {b"WEBP": "WEBP", b"AVI ": "AVI video", b"WAVE": "WAV audio"}

_BMP_HEADERS = frozenset({12, 16, 40, 52, 56, 64, 108, 124})


def sniff(head: bytes) -> str:
    """Name what the content is: one of `FORMATS`, else words for a person, 'unknown data' at last."""
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12], "RIFF file")
    if head[4:8] == b"ftyp":
        return _brand(head)
    if head[:2] == b"BM" and (len(head) < 18 or int.from_bytes(head[14:18], "little") in _BMP_HEADERS):
        return "BMP"
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head[128:132] == b"DICM":
        return "DICOM"
    if head[257:262] == b"ustar":
        return "tar archive"
    return _text_kind(head[:4096])


def _brand(head: bytes) -> str:
    length = min(int.from_bytes(head[:4], "big"), 256)
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, length, 4))]
    if b"avif" in brands or b"avis" in brands:
        return "AVIF"
    return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), "MP4 video")


def _text_kind(start: bytes) -> str:
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = start.decode("utf-16", "replace")
    else:
        # The cut may fall inside a character: its first bytes are dropped.
        text = start.decode("utf-8-sig", "ignore")
        if len(text.encode()) < len(start) - 7 or re.search(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]", text):
            return "unknown data"
    words = text.lstrip().lower()
    if "<svg" in words:
        return "SVG"
    if words.startswith(("<!doctype html", "<html")):
        return "HTML"
    if words.startswith("<?xml"):
        return "XML"
    if words.startswith(("{", "[")):
        return "JSON or text"
    return "text"


# One parser for each format -------------------------------------------------------------------------------------------

_JPEG_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})
_JPEG_OTHER_FRAMES = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF})
_JPEG_MODES = {1: "L", 3: "RGB", 4: "CMYK"}


def _jpeg(head: bytes, size_bytes: int, _limits: Limits) -> Header:
    for segment in jpeg_segments(head):
        if segment.marker in _JPEG_OTHER_FRAMES:
            raise UnsupportedFormatError(
                "The content is a lossless or hierarchical JPEG.", "Save it as an ordinary JPEG and upload it again."
            )
        if segment.marker in _JPEG_FRAMES:
            break
    else:
        raise BrokenContainerError("pixels come before their size")
    frame = take(head, segment.start, 6)
    bits, parts = frame[0], frame[5]
    if bits != 8:
        raise UnsupportedFormatError(
            f"The content is a JPEG with {bits} bits per channel.", "Save it with 8 bits and upload it again."
        )
    if parts not in _JPEG_MODES:
        raise BrokenContainerError(f"{parts} colour channels")
    factors = [(each >> 4, each & 15) for each in take(head, segment.start + 6, 3 * parts)[1::3]]
    largest = max(h for h, _ in factors) * max(v for _, v in factors)
    if not all(1 <= h <= 4 and 1 <= v <= 4 for h, v in factors):
        raise BrokenContainerError("sampling factors out of range")
    if len(head) >= size_bytes and jpeg_scans(head, MAX_SCANS) > MAX_SCANS:
        raise ImageTooLargeError(
            f"The picture has more than {MAX_SCANS} scans.", "Save it as an ordinary JPEG and upload it again."
        )
    return _displayed(
        Header(
            "JPEG",
            width=int.from_bytes(frame[3:5], "big"),
            height=int.from_bytes(frame[1:3], "big"),
            mode=_JPEG_MODES[parts],
            orientation=_exif_orientation(head),
            camera=_MAKE in _exif_tags(head),
            progressive=segment.marker in (0xC2, 0xCA),
            sampling=sum(h * v for h, v in factors) / largest,
        )
    )


_PNG_MODES = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}
_PNG_BITS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}


def _png(head: bytes, size_bytes: int, _limits: Limits) -> Header:
    first = take(head, 8, 25)
    if first[:8] != b"\x00\x00\x00\x0dIHDR":
        raise BrokenContainerError("IHDR is not its first chunk")
    bits, kind = first[16], first[17]
    if bits not in _PNG_BITS.get(kind, ()):
        raise BrokenContainerError(f"colour type {kind} with {bits} bits")
    frames = 1
    for chunk in png_chunks(head):
        if chunk.kind == b"acTL":
            frames = int.from_bytes(take(head, chunk.start, 4), "big")
        if chunk.kind == b"IDAT":
            break
        if chunk.end > size_bytes:
            raise BrokenContainerError(f"chunk {chunk.kind!r} ends after the file")
    else:
        raise NeedMoreBytesError(len(head) + 1)
    mode = "I;16" if (kind, bits) == (0, 16) else "1" if (kind, bits) == (0, 1) else _PNG_MODES[kind]
    width, height = int.from_bytes(first[8:12], "big"), int.from_bytes(first[12:16], "big")
    return _displayed(Header("PNG", width, height, mode, max(1, frames), _exif_orientation(head), bits))


def _webp(head: bytes, _size_bytes: int, limits: Limits) -> Header:
    chunks = list(riff_chunks(head))
    if not chunks:
        raise NeedMoreBytesError(64)
    width, height, mode = _webp_size(head, chunks[0])
    frames = sum(chunk.kind == b"ANMF" for chunk in chunks[: limits.max_frames + 8])
    camera = _MAKE in _exif_tags(head)
    return _displayed(Header("WEBP", width, height, mode, max(1, frames), _exif_orientation(head), camera=camera))


def _webp_size(head: bytes, first: Chunk) -> tuple[int, int, str]:
    start = take(head, first.start, 10) if first.kind != b"VP8L" else take(head, first.start, 5)
    if first.kind == b"VP8X":
        width, height = int.from_bytes(start[4:7], "little") + 1, int.from_bytes(start[7:10], "little") + 1
        return width, height, "RGBA" if start[0] & 0x10 else "RGB"
    if first.kind == b"VP8 " and start[3:6] == b"\x9d\x01\x2a":
        sides = int.from_bytes(start[6:8], "little") & 0x3FFF, int.from_bytes(start[8:10], "little") & 0x3FFF
        return *sides, "RGB"
    if first.kind == b"VP8L" and start[0] == 0x2F:
        packed = int.from_bytes(start[1:5], "little")
        return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1, "RGBA" if packed >> 28 & 1 else "RGB"
    raise BrokenContainerError(f"first chunk is {first.kind!r}")


def _gif(head: bytes, _size_bytes: int, limits: Limits) -> Header:
    screen = take(head, 6, 7)
    width, height = int.from_bytes(screen[:2], "little"), int.from_bytes(screen[2:4], "little")
    at = 13 + (3 << (screen[4] & 7) + 1 if screen[4] & 0x80 else 0)
    frames = 0
    for left, top, wide, high in _gif_frames(head, at):
        if frames == 0:  # viewers enlarge the screen to hold the first frame
            width, height = max(width, left + wide), max(height, top + high)
        frames += 1
        if frames > limits.max_frames:
            break
    return Header("GIF", width, height, "P", frames)


def _gif_frames(head: bytes, at: int) -> Iterator[tuple[int, int, int, int]]:
    """(left, top, width, height) of the frames; ends quietly where the data does, but never before the first."""
    found, blocks = False, 0
    try:
        while True:
            kind = take(head, at, 1)[0]
            if kind == 0x3B:
                if not found:
                    raise BrokenContainerError("no frame")
                return
            if kind == 0x2C:
                box = take(head, at + 1, 9)
                yield tuple(int.from_bytes(box[i : i + 2], "little") for i in (0, 2, 4, 6))  # type: ignore[misc]
                found = True
                at += 11 + (3 << (box[8] & 7) + 1 if box[8] & 0x80 else 0)
            elif kind == 0x21:
                at += 2
            else:
                if found:
                    return
                raise BrokenContainerError(f"block {kind:#04x} at byte {at}")
            while (length := take(head, at, 1)[0]) != 0:
                at += 1 + length
                blocks += 1
                if blocks > _MOST_GIF_BLOCKS:
                    raise BrokenContainerError(f"more than {_MOST_GIF_BLOCKS:,} blocks in its header")
            at += 1
    except NeedMoreBytesError:
        if not found:
            raise


def _bmp(head: bytes, size_bytes: int, _limits: Limits) -> Header:
    length = int.from_bytes(take(head, 14, 4), "little")
    if length == 12:
        sides = take(head, 18, 8)
        width, height = int.from_bytes(sides[:2], "little"), int.from_bytes(sides[2:4], "little")
        bits, compression = int.from_bytes(sides[6:8], "little"), 0
    else:
        sides = take(head, 18, 16)
        width = int.from_bytes(sides[:4], "little", signed=True)
        height = abs(int.from_bytes(sides[4:8], "little", signed=True))
        bits, compression = int.from_bytes(sides[10:12], "little"), int.from_bytes(sides[12:16], "little")
    if bits not in (1, 2, 4, 8, 16, 24, 32) or width < 0:
        raise BrokenContainerError(f"{bits} bits per pixel, width {width}")
    if compression in (0, 3) and (width * bits + 31) // 32 * 4 * height > size_bytes:
        raise BrokenContainerError(f"{size_bytes} bytes cannot hold {width} × {height} pixels")
    return Header("BMP", width, height, {1: "1", 2: "P", 4: "P", 8: "P", 32: "RGBA"}.get(bits, "RGB"))


_TIFF_MODES = {0: "L", 1: "L", 2: "RGB", 3: "P", 5: "CMYK", 6: "RGB", 8: "LAB"}
_MAX_TIFF_LINKS = 100_000


def _tiff(head: bytes, _size_bytes: int, limits: Limits) -> Header:
    tiff = Tiff(head)
    tags, link = tiff.directory(tiff.first)
    if 0xC612 in tags or (whole(tags, 254) & 1 and 330 in tags):
        raise UnsupportedFormatError(
            "The content is camera raw (DNG, NEF, ARW …).", "Develop it to JPEG, HEIC or TIFF and upload it again."
        )
    if 256 not in tags or 257 not in tags:
        raise BrokenContainerError("no width or height")
    orientation = whole(tags, 274, 1)
    return _displayed(
        Header(
            "TIFF",
            width=whole(tags, 256),
            height=whole(tags, 257),
            mode=_tiff_mode(tags),
            frames=1 + _further_pages(tiff, link, limits.max_frames),
            orientation=orientation if 1 <= orientation <= 8 else 1,
            bits=whole(tags, 258, 1),
        )
    )


def _tiff_mode(tags: dict[int, Value]) -> str:
    mode = _TIFF_MODES.get(whole(tags, 262), "RGB")
    bits = whole(tags, 258, 1)
    if mode == "L" and whole(tags, 339, 1) == 3:
        return "F"
    if mode == "L" and bits > 8:
        return "I;16"
    if mode == "L" and bits == 1:
        return "1"
    return mode + "A" if mode in ("L", "RGB") and 338 in tags else mode


def _further_pages(tiff: Tiff, link: int, limit: int) -> int:
    seen: set[int] = set()
    while link and link not in seen and len(seen) <= limit:
        seen.add(link)
        try:
            _, link = tiff.directory(link)
        except (NeedMoreBytesError, BrokenContainerError):  # only the first page is needed
            break
    return len(seen)


def _boxed(name: str) -> Callable[[bytes, int, Limits], Header]:
    def parse(head: bytes, size_bytes: int, limits: Limits) -> Header:
        items = heif_items(head, size_bytes)
        size = items.properties.get(b"ispe", b"")
        if len(size) < 12:
            raise BrokenContainerError("the primary picture has no size")
        # A HEIF brand may hold AV1 and the other way round: the item decides who can decode it.
        this = "AVIF" if b"av01" in items.types else "HEIF" if b"hvc1" in items.types else name
        if this not in limits.formats:
            raise UnsupportedFormatError(f"The content is {this}.", f"Upload {', '.join(sorted(limits.formats))}.")
        width, height = int.from_bytes(size[4:8], "big"), int.from_bytes(size[8:12], "big")
        pixels = items.properties.get(b"pixi", b"")
        mode = "RGBA" if items.alpha else "RGB"
        bits = pixels[5] if len(pixels) > 5 else 8
        return _displayed(Header(this, width, height, mode, 1, _box_orientation(items), bits))

    return parse


# (quarter turns anticlockwise by `irot`, mirrored after them by `imir`: None, top-bottom 0, left-right 1) → EXIF
_TURNS = {
    (0, None): 1, (1, None): 8, (2, None): 3, (3, None): 6,
    (0, 0): 4, (0, 1): 2, (1, 0): 5, (1, 1): 7, (2, 0): 2, (2, 1): 4, (3, 0): 7, (3, 1): 5,
}  # fmt: skip


def _box_orientation(items: HeifItems) -> int:
    """EXIF orientation that stands for the `irot` and `imir` properties (ISO/IEC 23008-12, 6.5.10 and 6.5.12)."""
    turn = items.properties.get(b"irot", b"\x00")[0] & 3
    mirror = items.properties[b"imir"][0] & 1 if items.properties.get(b"imir") else None
    if mirror is not None and b"irot" in items.order and items.order.index(b"imir") < items.order.index(b"irot"):
        # mirroring before a quarter turn is mirroring in the other axis after it
        mirror = mirror ^ (turn & 1)
    return _TURNS[turn, mirror]


def _exif_orientation(head: bytes) -> int:
    value = whole(_exif_tags(head), _ORIENTATION, 1)
    return value if 1 <= value <= 8 else 1


def _exif_tags(head: bytes) -> dict[int, Value]:
    try:
        tiff = Tiff(find_exif(head))
        return tiff.directory(tiff.first)[0]
    except (NeedMoreBytesError, BrokenContainerError):
        return {}


def _displayed(header: Header) -> Header:
    """Turn stored sides into displayed ones."""
    if header.orientation < 5:
        return header
    return replace(header, width=header.height, height=header.width)


_PARSERS: dict[str, Callable[[bytes, int, Limits], Header]] = {
    "JPEG": _jpeg, "PNG": _png, "WEBP": _webp, "GIF": _gif, "BMP": _bmp, "TIFF": _tiff,
    "AVIF": _boxed("AVIF"), "HEIF": _boxed("HEIF"),
}  # fmt: skip


# Words ----------------------------------------------------------------------------------------------------------------


def _corrupt(name: str, why: str) -> CorruptImageError:
    return CorruptImageError(f"The {name} header cannot be read: {why}.", "Export the picture again and upload it.")


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


def _millions(count: int) -> str:
    return f"{count / 1e6:,.1f} megapixels"
