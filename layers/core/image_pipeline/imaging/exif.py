"""Read camera facts from EXIF, and lens and date from XMP if EXIF lacks them.

It does not read facts that identify a place, an owner or a single device.

This module parses the EXIF block itself (Exif 3.0, CIPA DC-008) within the budget of the file, without Pillow. Broken
EXIF is common, and an image without facts is better than a rejected one, so nothing here raises an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from image_pipeline.imaging.containers.exif import find_exif
from image_pipeline.imaging.containers.tiff import Directory, Tiff
from image_pipeline.imaging.reader import BrokenContainerError, Reader

_MAX_TEXT = 500

_ARTIST, _COPYRIGHT = 0x013B, 0x8298
_EXIF_IFD, _INTEROP_IFD = 0x8769, 0xA005


@dataclass(frozen=True)
class CameraFacts:
    """How an image was taken, according to its EXIF."""

    make: str | None = None
    model: str | None = None
    lens: str | None = None
    exposure_time: float | None = None
    """Seconds."""
    f_number: float | None = None
    iso: int | None = None
    focal_length: float | None = None
    """Millimetres."""
    taken_at: str | None = None
    """ISO 8601: 2026-05-04T10:11:12.25+02:00; with an offset only if the camera wrote one."""
    artist: str | None = None
    copyright: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return camelCase JSON without unknown facts."""
        return _omit_none(
            make=self.make,
            model=self.model,
            lens=self.lens,
            exposureTime=self.exposure_time,
            fNumber=self.f_number,
            iso=self.iso,
            focalLength=self.focal_length,
            takenAt=self.taken_at,
            artist=self.artist,
            copyright=self.copyright,
        )


def _omit_none(**pairs: Any) -> dict[str, Any]:
    return {name: value for name, value in pairs.items() if value is not None}


def read(reader: Reader) -> CameraFacts:
    """Read the facts of a file of any admitted format; empty if it contains none that are readable."""
    main, camera = _directories(reader)
    lens = _text(camera, 0xA434)
    taken_at = _taken_at(camera)
    if lens is None or taken_at is None:
        from image_pipeline.imaging import xmp  # cameras write both into EXIF

        properties = xmp.read_properties(reader)
        lens = lens or _first(_printable, properties, xmp.LENS)
        taken_at = taken_at or _first(_xmp_time, properties, xmp.TAKEN_AT)
    return CameraFacts(
        make=_text(main, 0x010F),
        model=_text(main, 0x0110),
        lens=lens,
        exposure_time=_ratio(camera, 0x829A),
        f_number=_ratio(camera, 0x829D),
        iso=_iso(camera),
        focal_length=_ratio(camera, 0x920A),
        taken_at=taken_at,
        artist=_text(main, _ARTIST),
        copyright=_copyright(main),
    )


def is_adobe_rgb(reader: Reader) -> bool:
    """Return whether EXIF marks the pixels as Adobe RGB: interoperability index R03 (DCF 2.0, "DCF optional file")."""
    try:
        tiff = Tiff(find_exif(reader))
        camera = tiff.directory(tiff.directory(tiff.first).integer(_EXIF_IFD))
        index = tiff.directory(camera.integer(_INTEROP_IFD)).text(1)
    except BrokenContainerError:
        return False
    return index is not None and index.startswith(b"R03")


def rights_block(facts: CameraFacts) -> bytes:
    """Build an EXIF block with artist and copyright only; empty if neither is known.

    It starts with `Exif\\0\\0`, as Pillow's `exif=` requires.
    """
    texts = [
        (tag, text.encode() + b"\0") for tag, text in ((_ARTIST, facts.artist), (_COPYRIGHT, facts.copyright)) if text
    ]
    if not texts:
        return b""
    entries = b""
    values = b""
    values_start = 8 + 2 + 12 * len(texts) + 4
    for tag, raw in texts:
        if len(raw) <= 4:
            field = raw.ljust(4, b"\0")
        else:
            field = (values_start + len(values)).to_bytes(4, "big")
            values += raw
        entries += tag.to_bytes(2, "big") + b"\x00\x02" + len(raw).to_bytes(4, "big") + field
    return b"Exif\0\0MM\0*\0\0\0\x08" + len(texts).to_bytes(2, "big") + entries + b"\0\0\0\0" + values


def _directories(reader: Reader) -> tuple[Directory, Directory]:
    """Return the main and the EXIF directory; a missing or broken one is empty."""
    empty = Directory(reader, False, {}, 0)
    try:
        tiff = Tiff(find_exif(reader))
        main = tiff.directory(tiff.first)
    except BrokenContainerError:
        return empty, empty
    try:
        return main, tiff.directory(main.integer(_EXIF_IFD)) if _EXIF_IFD in main else empty
    except BrokenContainerError:
        return main, empty


def _text(tags: Directory, tag: int) -> str | None:
    value = tags.text(tag)
    return None if value is None else _decode(value.split(b"\0", 1)[0])


def _decode(raw: bytes) -> str | None:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return _printable(text)


def _printable(text: str) -> str | None:
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:_MAX_TEXT] or None


def _copyright(tags: Directory) -> str | None:
    """Join the texts of photographer and editor; a blank means that one is missing (Exif 3.0, 4.6.5)."""
    texts = [_decode(raw) for raw in (tags.text(_COPYRIGHT) or b"").split(b"\0")[:2]]
    return "; ".join(text for text in texts if text) or None


_ISO_LIMIT = 65535
"""The largest value of the 16-bit tag, which also means "larger" (Exif 3.0, 4.6.6, PhotographicSensitivity)."""
_EXACT_ISO_TAGS = (0x8833, 0x8832, 0x8831)
"""ISO speed, recommended exposure index, standard output sensitivity."""


def _iso(tags: Directory) -> int | None:
    value = tags.integer(0x8827)
    if value == _ISO_LIMIT:
        exact_values = (tags.integer(tag) for tag in _EXACT_ISO_TAGS)
        value = next((exact for exact in exact_values if exact > _ISO_LIMIT), value)
    return value if value > 0 else None


def _first(parse: Callable[[str], str | None], properties: dict[str, str], names: tuple[str, ...]) -> str | None:
    """Return the first valid one of several properties: editors write some of them as a date without a time."""
    values = (parse(properties[name]) for name in names if name in properties)
    return next((value for value in values if value), None)


def _ratio(tags: Directory, tag: int) -> float | None:
    """Return the first rational of a tag with six significant digits; None if it is not a positive number."""
    pairs = tags.rationals(tag)
    if not pairs or not all(denominator for _, denominator in pairs):
        return None
    numerator, denominator = pairs[0]
    value = numerator / denominator
    return float(f"{value:.6g}") if value > 0 else None


_TIME = re.compile(r"(\d{4})[:-](\d\d)[:-](\d\d)[ T](\d\d):(\d\d):(\d\d)", re.ASCII)
_XMP_TIME = re.compile(_TIME.pattern + r"(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)?", re.ASCII)
_OFFSET = re.compile(r"Z|[+-](\d\d):(\d\d)", re.ASCII)
_MOST_OFFSET_HOURS = 14
"""Kiribati has the largest offset from UTC."""


def _taken_at(tags: Directory) -> str | None:
    """Return DateTimeOriginal, else DateTimeDigitized, each with its own offset and fraction of a second."""
    for time_tag, offset_tag, fraction_tag in ((0x9003, 0x9011, 0x9291), (0x9004, 0x9012, 0x9292)):
        match = _TIME.fullmatch(_text(tags, time_tag) or "")
        if match is None:
            continue
        time = _iso_time(match.groups(), _text(tags, fraction_tag) or "", _text(tags, offset_tag) or "")
        if time:
            return time
    return None


def _xmp_time(text: str) -> str | None:
    match = _XMP_TIME.fullmatch(text.strip())
    return _iso_time(match.groups()[:6], match[7] or "", match[8] or "") if match else None


def _iso_time(parts: tuple[str, ...], fraction: str, offset: str) -> str | None:
    """Format a time in ISO 8601; None for an impossible date or time. An invalid fraction or offset is omitted."""
    from datetime import datetime  # only photographs of cameras need it

    try:
        datetime(*map(int, parts))  # type: ignore[arg-type]  # noqa: DTZ001  only validates the parts
    except ValueError:
        return None
    year, month, day, hour, minute, second = parts
    return (
        f"{year}-{month}-{day}T{hour}:{minute}:{second}"
        + (f".{fraction}" if fraction.isdecimal() and fraction.isascii() else "")
        + (offset if _is_offset(offset) else "")
    )


def _is_offset(text: str) -> bool:
    match = _OFFSET.fullmatch(text)
    if match is None:
        return False
    return text == "Z" or (int(match[1]) <= _MOST_OFFSET_HOURS and int(match[2]) < 60)
