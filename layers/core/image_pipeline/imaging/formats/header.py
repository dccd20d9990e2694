"""What the head of a file says about the picture, and what decoding it will take."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from image_pipeline.imaging.formats.limits import FORMATS

CONTENT_TYPES = {name: f"image/{name.lower()}" for name in FORMATS}
"""Media types, by format."""

ROW_BYTES = 24
"""What a picture and its copies take for each row, beyond its pixels: counts where rows are short and many."""


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
    several_scans: bool = False
    """JPEG: the decoder has to hold all coefficients, as no scan has all of a pixel."""
    camera: bool = False
    """EXIF names the maker of a camera: a photograph, not a drawing saved as JPEG."""
    sampling: float = 3.0
    """JPEG: coefficients per pixel, 1 for grey, 1.5 for 4:2:0, 3 for 4:4:4."""
    bytes_per_pixel: float = 0
    """Peak memory of decoding and the first reduction for this kind of file, in bytes per coded pixel, as
    `bench/engine/memory.py` measures it. JPEG, which is decoded at a fraction, computes its own."""
    coded_pixels: int = 0
    """Pixels that the decoder holds where these are more than the displayed ones; 0: as many."""
    least_bytes: int = 0
    """The least that the file can have if it holds all of its pixels, in bytes."""
    copied_bytes: int = 0
    """Bytes of the file that are copied for the decoder, because it must not see the rest."""

    @property
    def content_type(self) -> str:
        """Media type of the upload: image/jpeg …"""
        return CONTENT_TYPES[self.format]

    @property
    def stored_size(self) -> tuple[int, int]:
        """(width, height) of the stored pixels, before the orientation is applied."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)

    @classmethod
    def stored(cls, image_format: str, width: int, height: int, mode: str, **more: Any) -> Header:
        """A header from the size of the stored pixels: `orientation` turns it into the displayed one."""
        header = cls(image_format, width, height, mode, **more)
        return replace(header, width=height, height=width) if header.orientation >= 5 else header

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
        pixels = max(self.coded_pixels, self.width * self.height)
        if self.format != "JPEG":
            return int(pixels * self.bytes_per_pixel) + self.copied_bytes
        scale = draft_scale(max(self.width, self.height) / rendition_side, self.camera)
        coefficients = int(pixels * self.sampling * 2) if self.several_scans else 0
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
