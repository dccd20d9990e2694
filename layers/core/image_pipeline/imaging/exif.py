"""Camera facts from EXIF, with lens and date from XMP where EXIF has none.

Facts that tell a place, a person or a device are kept apart from the rest.

Reads the block itself (Exif 3.0, CIPA DC-008) within the budget of the file, without Pillow. Broken EXIF is common,
and a picture without facts is better than none, so nothing here raises.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from image_pipeline.imaging import xmp
from image_pipeline.imaging.containers.exif import find_exif
from image_pipeline.imaging.containers.tiff import Directory, Tiff
from image_pipeline.imaging.reader import BrokenContainerError, Reader

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


def read(reader: Reader) -> CameraFacts:
    """Facts about a file of any admitted format; empty where nothing readable is said."""
    main, camera, gps = _directories(reader)
    lens, taken_at = _text(camera, 0xA434), _taken_at(camera)
    if lens is None or taken_at is None:
        more = xmp.read_properties(reader)
        lens = lens or _printable(_first(more, xmp.LENS))
        taken_at = taken_at or _xmp_time(_first(more, xmp.TAKEN_AT))
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
        private=PrivateFacts(
            latitude=_degrees(gps, 2, 1, b"S", 90),
            longitude=_degrees(gps, 4, 3, b"W", 180),
            altitude=_altitude(gps),
            camera_serial=_text(camera, 0xA431),
            lens_serial=_text(camera, 0xA435),
            owner=_text(camera, 0xA430),
        ),
    )


def says_adobe_rgb(reader: Reader) -> bool:
    """Whether EXIF marks the pixels as Adobe RGB: interoperability index R03 (DCF 2.0, "DCF optional file")."""
    try:
        tiff = Tiff(find_exif(reader))
        camera = tiff.directory(tiff.directory(tiff.first).integer(_EXIF_IFD))
        index = tiff.directory(camera.integer(_INTEROP_IFD)).text(1)
    except BrokenContainerError:
        return False
    return index is not None and index.startswith(b"R03")


def rights_block(facts: CameraFacts) -> bytes:
    """A new EXIF block with artist and copyright and nothing else; empty where neither is known.

    Starts with `Exif\\0\\0`, as Pillow's `exif=` wants it.
    """
    texts = [
        (tag, text.encode() + b"\0") for tag, text in ((_ARTIST, facts.artist), (_COPYRIGHT, facts.copyright)) if text
    ]
    if not texts:
        return b""
    entries, values = b"", b""
    after = 8 + 2 + 12 * len(texts) + 4
    for tag, raw in texts:
        inline = raw.ljust(4, b"\0") if len(raw) <= 4 else (after + len(values)).to_bytes(4, "big")
        entries += tag.to_bytes(2, "big") + b"\x00\x02" + len(raw).to_bytes(4, "big") + inline
        values += raw if len(raw) > 4 else b""
    return b"Exif\0\0MM\0*\0\0\0\x08" + len(texts).to_bytes(2, "big") + entries + b"\0\0\0\0" + values


def _directories(reader: Reader) -> tuple[Directory, Directory, Directory]:
    """The main, the EXIF and the GPS directory; each is empty where it is missing or broken."""
    nothing = Directory(reader, False, {}, 0)
    try:
        tiff = Tiff(find_exif(reader))
        main = tiff.directory(tiff.first)
    except BrokenContainerError:
        return nothing, nothing, nothing
    others = []
    for pointer in (_EXIF_IFD, _GPS_IFD):
        try:
            others.append(tiff.directory(main.integer(pointer)) if pointer in main else nothing)
        except BrokenContainerError:
            others.append(nothing)
    return main, others[0], others[1]


def _text(tags: Directory, tag: int) -> str | None:
    value = tags.text(tag)
    return None if value is None else _decoded(value.split(b"\0", 1)[0])


def _decoded(raw: bytes) -> str | None:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return _printable(text)


def _printable(text: str) -> str | None:
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())[:_MAX_TEXT] or None


def _copyright(tags: Directory) -> str | None:
    """Photographer and editor have a text each; a blank stands for a missing one (Exif 3.0, 4.6.5)."""
    texts = [_decoded(raw) for raw in (tags.text(_COPYRIGHT) or b"").split(b"\0")[:2]]
    return "; ".join(text for text in texts if text) or None


_ISO_LIMIT = 65535
"""The largest value of a 16-bit tag, which stands for every larger one (Exif 3.0, 4.6.6, PhotographicSensitivity)."""


def _iso(tags: Directory) -> int | None:
    value = tags.integer(0x8827)
    if value == _ISO_LIMIT:
        exact = (
            tags.integer(tag) for tag in (0x8833, 0x8832, 0x8831)
        )  # ISO speed, recommended index, output sensitivity
        value = next((number for number in exact if number > _ISO_LIMIT), value)
    return value if value > 0 else None


def _first(properties: dict[str, str], names: tuple[str, ...]) -> str:
    return next((properties[name] for name in names if properties.get(name)), "")


def _ratios(tags: Directory, tag: int) -> list[float]:
    pairs = tags.rationals(tag)
    return [top / bottom for top, bottom in pairs] if all(bottom for _, bottom in pairs) else []


def _ratio(tags: Directory, tag: int) -> float | None:
    """First rational of a tag, to six significant digits; None where it is not a positive number."""
    values = _ratios(tags, tag)
    return float(f"{values[0]:.6g}") if values and values[0] > 0 else None


_TIME = re.compile(r"(\d{4})[:-](\d\d)[:-](\d\d)[ T](\d\d):(\d\d):(\d\d)", re.ASCII)
_XMP_TIME = re.compile(_TIME.pattern + r"(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)?", re.ASCII)
_OFFSET = re.compile(r"Z|[+-](\d\d):(\d\d)", re.ASCII)
_MOST_OFFSET_HOURS = 14
"""Kiribati; no place on Earth is further from UTC."""


def _taken_at(tags: Directory) -> str | None:
    """DateTimeOriginal, else DateTimeDigitized, with their own offset and fraction of a second."""
    for when, offset, fraction in ((0x9003, 0x9011, 0x9291), (0x9004, 0x9012, 0x9292)):
        found = _TIME.fullmatch(_text(tags, when) or "")
        moment = _moment(found.groups(), _text(tags, fraction) or "", _text(tags, offset) or "") if found else None
        if moment:
            return moment
    return None


def _xmp_time(text: str) -> str | None:
    found = _XMP_TIME.fullmatch(text.strip())
    return _moment(found.groups()[:6], found[7] or "", found[8] or "") if found else None


def _moment(parts: tuple[str, ...], fraction: str, offset: str) -> str | None:
    """ISO 8601, or None for a moment that no calendar has; an impossible fraction or offset is left out."""
    try:
        datetime(*map(int, parts))  # type: ignore[arg-type]  # noqa: DTZ001  only the calendar is asked
    except ValueError:
        return None
    year, month, day, hour, minute, second = parts
    found = _OFFSET.fullmatch(offset)
    possible = found is not None and (offset == "Z" or (int(found[1]) <= _MOST_OFFSET_HOURS and int(found[2]) < 60))
    return (
        f"{year}-{month}-{day}T{hour}:{minute}:{second}"
        + (f".{fraction}" if fraction.isdecimal() and fraction.isascii() else "")
        + (offset if possible else "")
    )


def _degrees(tags: Directory, tag: int, reference: int, negative: bytes, limit: float) -> float | None:
    parts = _ratios(tags, tag)
    if len(parts) != 3:
        return None
    value = parts[0] + parts[1] / 60 + parts[2] / 3600
    if not math.isfinite(value) or not 0 <= value <= limit:
        return None
    side = tags.text(reference) or b""
    return round(-value if side.startswith(negative) else value, 7)


def _altitude(tags: Directory) -> float | None:
    parts = _ratios(tags, 6)
    if not parts:
        return None
    return round(-parts[0] if tags.integer(5) == 1 else parts[0], 2)
