"""Recognise the format of a file by its first bytes, never by its name."""

from __future__ import annotations

import re

from image_pipeline.errors import UnsupportedFormatError
from image_pipeline.imaging.formats.limits import format_names

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
    (b"II\x1a\x00\x00\x00HEAPCCDR", "camera raw (CRW)"),
    (b"\x00MRM", "camera raw (MRW)"),
    (b"FOVb", "camera raw (X3F)"),
    (b"II\xbc\x01", "JPEG XR"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"8BPS", "PSD"),
    (b"\x8aMNG\r\n\x1a\n", "MNG animation"),
    (b"\x8bJNG\r\n\x1a\n", "JNG image"),
    (b"BPG\xfb", "BPG"),
    (b"FLIF", "FLIF"),
    (b"AT&TFORM", "DjVu"),
    (b"\x01\xda\x00", "SGI image"),
    (b"\x01\xda\x01", "SGI image"),
    (b"\x59\xa6\x6a\x95", "Sun raster image"),
    (b"\xd7\xcd\xc6\x9a", "Windows metafile (WMF)"),
    (b"\x00\x05\x16\x07", "AppleDouble: the resource fork of a file, not the file"),
    (b"\x00\x05\x16\x00", "AppleSingle archive"),
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
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media (WMV or WMA)"),
    (b"FLV\x01", "Flash video"),
    (b"OggS", "Ogg"),
    (b"fLaC", "FLAC audio"),
    (b"ID3", "MP3 audio"),
    (b"\x00\x00\x01\x00", "icon (ICO)"),
    (b"icns", "icon (ICNS)"),
    (b"DDS ", "DDS texture"),
    (b"qoif", "QOI"),
    (b"v/1\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"SIMPLE  =", "FITS"),
    (b"gimp xcf", "GIMP image (XCF)"),
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
    b"mif1": "HEIF", b"msf1": "HEIF", b"mif2": "HEIF", b"mif3": "HEIF",
    b"qt  ": "QuickTime video", b"crx ": "camera raw (CR3)", b"jxl ": "JPEG XL", b"jp2 ": "JPEG 2000",
    b"M4A ": "MPEG-4 audio", b"M4V ": "MP4 video", b"3gp4": "3GP video", b"3gp5": "3GP video",
}  # fmt: skip

_MOVIE_ATOMS = frozenset({b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
"""First atoms of old QuickTime files, which have no `ftyp` (QuickTime File Format Specification)."""

_RIFF = {b"WEBP": "WEBP", b"AVI ": "AVI video", b"WAVE": "WAV audio", b"ACON": "animated cursor (ANI)"}

_BMP_HEADERS = frozenset({12, 16, 40, 52, 56, 64, 108, 124})


def sniff(head: bytes) -> str:
    """Name the content: one of `FORMATS`, else a name for the user; "unknown data" if nothing matches."""
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12], "RIFF file")
    if head[4:8] == b"ftyp":
        return _brand(head)
    if head[:2] == b"BM" and (len(head) < 18 or int.from_bytes(head[14:18], "little") in _BMP_HEADERS):
        return "BMP"
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head[4:8] in _MOVIE_ATOMS:
        return "QuickTime video"
    if head[:4] == b"\x00\x00\x02\x00" and head[4:6] != b"\x00\x00":  # the number of images of a cursor
        return "cursor (CUR)"
    if _is_pcx(head):
        return "PCX"
    if _is_tga(head):
        return "TGA"
    if re.match(rb"P[1-7][ \t\r\n#]", head):
        return "PNM (PBM, PGM, PPM or PAM)"
    if head[40:44] == b" EMF" and head[:4] == b"\x01\x00\x00\x00":
        return "Windows metafile (EMF)"
    if head[128:132] == b"DICM":
        return "DICOM"
    if head[257:262] == b"ustar":
        return "tar archive"
    return _text_kind(head[:4096])


def _is_pcx(head: bytes) -> bool:
    """Check manufacturer 10, a known version, run-length coding, 1 to 8 bits (ZSoft PCX Technical Reference)."""
    return (
        len(head) >= 128 and head[0] == 10 and head[1] in (0, 2, 3, 4, 5) and head[2] == 1 and head[3] in (1, 2, 4, 8)
    )


def _is_tga(head: bytes) -> bool:
    """Check that every header field has a valid value: TGA has no magic bytes (Truevision TGA 2.0)."""
    if len(head) < 18 or head[1] > 1 or head[2] not in (1, 2, 3, 9, 10, 11):
        return False
    has_palette = head[2] in (1, 9)
    depths = (8, 16) if has_palette or head[2] in (3, 11) else (15, 16, 24, 32)
    is_palette_valid = head[7] in (15, 16, 24, 32) if head[1] else not any(head[3:8])
    width = int.from_bytes(head[12:14], "little")
    height = int.from_bytes(head[14:16], "little")
    return (
        is_palette_valid
        and head[1] >= has_palette
        and head[16] in depths
        and head[17] & 0xC0 == 0
        and width > 0
        and height > 0
    )


def _brand(head: bytes) -> str:
    length = min(int.from_bytes(head[:4], "big"), 256)
    minor = 12 if head[8:12] == b"mif3" else 16  # its "minor version" is a brand
    brands = [head[8:12], *(head[at : at + 4] for at in range(minor, length, 4))]
    if b"avif" in brands or b"avis" in brands:
        return "AVIF"
    return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), "MP4 video")


_PROLOGUE = re.compile(
    r"<\?.*?\?>|<!--.*?-->|<!doctype\s+(?:svg|\w+:svg)[^\[>]*(?:\[.*?\]\s*)?>", re.IGNORECASE | re.DOTALL
)


def _without_prologue(text: str) -> str:
    """Remove declarations, comments and an SVG document type before the first element of a document."""
    while True:
        text = text.lstrip("\ufeff \t\r\n")
        match = _PROLOGUE.match(text)
        if not match:
            return text
        text = text[match.end() :]


def _text_kind(start: bytes) -> str:
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = start.decode("utf-16", "replace")
    else:
        # The text may end inside a character, whose first bytes are then ignored.
        text = start.decode("utf-8-sig", "ignore")
        if len(text.encode()) < len(start) - 7 or re.search(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]", text):
            return "unknown data"
    element = _without_prologue(text).lower()
    if element.startswith("<svg") or re.match(r"<\w+:svg\b", element):
        return "SVG"
    if element.startswith(("<!doctype html", "<html", "<head", "<body", "<script", "<title")):
        return "HTML"
    beginning = text.lstrip("\ufeff \t\r\n").lower()
    if beginning.startswith(("/* xpm */", "! xpm2")) or re.match(r"#define \w+_width \d+", beginning):
        return "X bitmap or pixmap (XBM, XPM)"
    if beginning.startswith("{\\rtf"):
        return "RTF document"
    if beginning.startswith("<?xml"):
        return "XML"
    if beginning.startswith(("{", "[")):
        return "JSON or text"
    return "text"


def recognise(head: bytes, admitted: frozenset[str]) -> str:
    """Return the format of a file.

    Args:
        head: the first bytes of the file, up to 64 KiB.
        admitted: names from `FORMATS`.

    Raises:
        UnsupportedFormatError: the format is not admitted; the message names the content.
    """
    name = sniff(head)
    if name not in admitted:
        raise UnsupportedFormatError(
            f"The file is not an image in a supported format: its content is {name}.",
            f"Convert it to one of {format_names(admitted)} and upload it again.",
        )
    return name
