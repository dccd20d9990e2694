"""What a file is, by its first bytes and never by its name."""

from __future__ import annotations

import re

from image_pipeline.errors import UnsupportedFormatError

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


def recognise(head: bytes, admitted: frozenset[str]) -> str:
    """The format of a file that begins like this.

    Args:
        head: its first bytes, as many as there are up to 64 KiB.
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
