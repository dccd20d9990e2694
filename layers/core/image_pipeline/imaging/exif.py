"""Camera facts from EXIF; whatever tells where somebody was or which device it is, is kept apart.

Reads the block itself (Exif 3.0, CIPA DC-008) with the bounded reader of `containers`, without Pillow: broken EXIF is
common, and a picture without facts is better than none, so nothing here raises.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

from image_pipeline.imaging.containers import BrokenContainerError, NeedMoreBytesError, Tiff, Value, find_exif, whole

_MAX_TEXT = 500

_ARTIST, _COPYRIGHT = 0x013B, 0x8298
_EXIF_IFD, _GPS_IFD, _INTEROP_IFD = 0x8769, 0x8825, 0xA005


@dataclass(frozen=True)
class PrivateFacts:
    """What identifies a place, a person or a device; never part of a record unless somebody asks for it."""

    latitude: float | None = None
    """Degrees, north positive, WGS 84."""
    longitude: float | None = None
    """Degrees, east positive, WGS 84."""
    altitude: float | None = None
    """Metres above sea level."""
    camera_serial: str | None = None
    lens_serial: str | None = None
    owner: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """CamelCase JSON without what is not known."""
        return _known(
            latitude=self.latitude,
            longitude=self.longitude,
            altitude=self.altitude,
            cameraSerial=self.camera_serial,
            lensSerial=self.lens_serial,
            owner=self.owner,
        )


@dataclass(frozen=True)
class CameraFacts:
    """How a picture was taken, as far as its EXIF says."""

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
    """ISO 8601: 2026-05-04T10:11:12.25+02:00, with an offset only where the camera wrote one."""
    artist: str | None = None
    copyright: str | None = None
    private: PrivateFacts = field(default_factory=PrivateFacts, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """CamelCase JSON without what is not known, and without `private`."""
        return _known(
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


def _known(**pairs: Any) -> dict[str, Any]:
    return {name: value for name, value in pairs.items() if value is not None}


def read(head: bytes) -> CameraFacts:
    """Facts from the first bytes of a file of any admitted format; empty where there is no readable EXIF.

    The head that `formats.admit` reads holds the EXIF of JPEG, PNG, AVIF and HEIF files as cameras write them. WebP
    keeps it behind the pixels: give the whole file.
    """
    tags = _directories(head)
    return CameraFacts(
        make=_text(tags, 0x010F),
        model=_text(tags, 0x0110),
        lens=_text(tags, 0xA434),
        exposure_time=_ratio(tags, 0x829A),
        f_number=_ratio(tags, 0x829D),
        iso=whole(tags, 0x8827) or None,
        focal_length=_ratio(tags, 0x920A),
        taken_at=_taken_at(tags),
        artist=_text(tags, _ARTIST),
        copyright=_text(tags, _COPYRIGHT),
        private=PrivateFacts(
            latitude=_degrees(tags, 0x10002, 0x10001, b"S", 90),
            longitude=_degrees(tags, 0x10004, 0x10003, b"W", 180),
            altitude=_altitude(tags),
            camera_serial=_text(tags, 0xA431),
            lens_serial=_text(tags, 0xA435),
            owner=_text(tags, 0xA430),
        ),
    )


def says_adobe_rgb(block: bytes) -> bool:
    """Whether an EXIF block marks the pixels as Adobe RGB: interoperability index R03 (DCF 2.0, "DCF optional file").

    Args:
        block: the TIFF structure that `containers.find_exif` gives.
    """
    try:
        tiff = Tiff(block)
        first, _ = tiff.directory(tiff.first)
        second, _ = tiff.directory(whole(first, _EXIF_IFD))
        index = tiff.directory(whole(second, _INTEROP_IFD))[0].get(1)
    except (NeedMoreBytesError, BrokenContainerError):
        return False
    return isinstance(index, bytes) and index.startswith(b"R03")


def rights_block(head: bytes) -> bytes:
    """A new EXIF block with artist and copyright of `head` and nothing else; empty where it names neither.

    Starts with `Exif\\0\\0`, as Pillow's `exif=` wants it.
    """
    tags = _directories(head)
    texts = [(tag, text.encode() + b"\0") for tag in (_ARTIST, _COPYRIGHT) if (text := _text(tags, tag))]
    if not texts:
        return b""
    entries, values = b"", b""
    after = 8 + 2 + 12 * len(texts) + 4
    for tag, raw in texts:
        inline = raw.ljust(4, b"\0") if len(raw) <= 4 else (after + len(values)).to_bytes(4, "big")
        entries += tag.to_bytes(2, "big") + b"\x00\x02" + len(raw).to_bytes(4, "big") + inline
        values += raw if len(raw) > 4 else b""
    return b"Exif\0\0MM\0*\0\0\0\x08" + len(texts).to_bytes(2, "big") + entries + b"\0\0\0\0" + values


def _directories(head: bytes) -> dict[int, Value]:
    """Tags of the first, the EXIF and the GPS directory; those of GPS start at 0x10000, as their numbers overlap."""
    block = find_exif(head)
    tags: dict[int, Value] = {}
    try:
        tiff = Tiff(block)
        tags, _ = tiff.directory(tiff.first)
        for pointer, shift in ((_EXIF_IFD, 0), (_GPS_IFD, 0x10000)):
            if pointer in tags:
                more, _ = tiff.directory(whole(tags, pointer))
                tags = tags | {tag + shift: value for tag, value in more.items()}
    except (NeedMoreBytesError, BrokenContainerError):
        pass  # what was read so far is still right
    return tags


def _text(tags: dict[int, Value], tag: int) -> str | None:
    value = tags.get(tag)
    if not isinstance(value, bytes):
        return None
    raw = value.split(b"\0", 1)[0]
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())[:_MAX_TEXT] or None


def _ratios(tags: dict[int, Value], tag: int) -> list[float]:
    value = tags.get(tag)
    if not isinstance(value, tuple):
        return []
    pairs = [each for each in value if isinstance(each, tuple)]
    return [top / bottom for top, bottom in pairs] if all(bottom for _, bottom in pairs) else []


def _ratio(tags: dict[int, Value], tag: int) -> float | None:
    """First rational of a tag, to six significant digits; None where it is not a positive number."""
    values = _ratios(tags, tag)
    return float(f"{values[0]:.6g}") if values and values[0] > 0 else None


_TIME = re.compile(r"(\d{4})[:-](\d\d)[:-](\d\d)[ T](\d\d):(\d\d):(\d\d)")
_OFFSET = re.compile(r"[+-]\d\d:\d\d|Z")


def _taken_at(tags: dict[int, Value]) -> str | None:
    """DateTimeOriginal, else DateTimeDigitized, with their own offset and fraction of a second."""
    for when, offset, fraction in ((0x9003, 0x9011, 0x9291), (0x9004, 0x9012, 0x9292)):
        found = _TIME.fullmatch(_text(tags, when) or "")
        if found is None or not _possible(*map(int, found.groups())):
            continue
        year, month, day, hour, minute, second = found.groups()
        digits = _text(tags, fraction) or ""
        zone = _text(tags, offset) or ""
        return (
            f"{year}-{month}-{day}T{hour}:{minute}:{second}"
            + (f".{digits}" if digits.isdecimal() and digits.isascii() else "")
            + (zone if _OFFSET.fullmatch(zone) else "")
        )
    return None


def _possible(year: int, month: int, day: int, hour: int, minute: int, second: int) -> bool:
    return year > 0 and 1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second <= 60


def _degrees(tags: dict[int, Value], tag: int, reference: int, negative: bytes, limit: float) -> float | None:
    parts = _ratios(tags, tag)
    if len(parts) != 3:
        return None
    value = parts[0] + parts[1] / 60 + parts[2] / 3600
    if not math.isfinite(value) or not 0 <= value <= limit:
        return None
    side = tags.get(reference)
    return round(-value if isinstance(side, bytes) and side.startswith(negative) else value, 7)


def _altitude(tags: dict[int, Value]) -> float | None:
    parts = _ratios(tags, 0x10006)
    if not parts:
        return None
    return round(-parts[0] if whole(tags, 0x10005) == 1 else parts[0], 2)
