"""Camera facts from EXIF; whatever tells where somebody was or which device it is, is kept apart."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any

from PIL import Image


@dataclass(frozen=True)
class PrivateFacts:
    """What identifies a place or a device; never part of a record unless somebody asks for it."""

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
        pairs = {
            "latitude": self.latitude,
            "longitude": self.longitude,
            "altitude": self.altitude,
            "cameraSerial": self.camera_serial,
            "lensSerial": self.lens_serial,
            "owner": self.owner,
        }
        return {name: value for name, value in pairs.items() if value is not None}


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
    """ISO 8601; with an offset only where the camera wrote one."""
    artist: str | None = None
    copyright: str | None = None
    private: PrivateFacts = field(default_factory=PrivateFacts, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """CamelCase JSON without what is not known, and without `private`."""
        pairs = {
            "make": self.make,
            "model": self.model,
            "lens": self.lens,
            "exposureTime": self.exposure_time,
            "fNumber": self.f_number,
            "iso": self.iso,
            "focalLength": self.focal_length,
            "takenAt": self.taken_at,
            "artist": self.artist,
            "copyright": self.copyright,
        }
        return {name: value for name, value in pairs.items() if value is not None}


def read(head: bytes) -> CameraFacts:
    """Facts from the first bytes of a file of any admitted format; empty facts where there is no readable EXIF."""
    try:
        with Image.open(io.BytesIO(head)) as image:
            tags = image.getexif()
    except Exception:  # a picture without facts is better than none
        return CameraFacts()
    return CameraFacts(make=tags.get(0x010F), model=tags.get(0x0110))
