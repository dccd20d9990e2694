"""The properties of an image that the header of its file declares, and the predicted memory for decoding it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from image_pipeline.imaging.formats.limits import FORMATS

CONTENT_TYPES = {name: f"image/{name.lower()}" for name in FORMATS}
"""Media types, by format."""

ROW_BYTES = 24
"""Memory for each row of an image and its copies, in addition to the pixels; relevant for many short rows."""


@dataclass(frozen=True)
class Header:
    """The properties of an image that the header of its file declares."""

    format: str
    """One of `FORMATS`."""
    width: int
    """Displayed pixels: orientation applied."""
    height: int
    """Displayed pixels: orientation applied."""
    mode: str
    """Pillow's name for the kind of pixels: 1, L, LA, P, RGB, RGBA, CMYK, I;16 …"""
    frames: int = 1
    """Frames or pages, as far as the file was read."""
    orientation: int = 1
    """EXIF orientation, 1 to 8, from EXIF or from the container's own transformation; 1 if the file has none."""
    bits: int = 8
    """Per channel."""
    several_scans: bool = False
    """JPEG: the decoder has to keep all coefficients, because no scan contains complete pixels."""
    camera: bool = False
    """Whether EXIF names a camera maker: a photograph, not a drawing saved as JPEG."""
    sampling: float = 3.0
    """JPEG: coefficients per pixel, 1 for grey, 1.5 for 4:2:0, 3 for 4:4:4."""
    bytes_per_pixel: float = 0
    """Peak memory of decoding and the first reduction for this kind of file, in bytes per coded pixel, as
    `bench/engine/memory.py` measures it. JPEG, which is decoded at a fraction, computes its own."""
    reduced_bytes_per_pixel: float = 0
    """Memory in addition, in bytes per pixel of the largest rendition, if the decoder reduces and copies its result."""
    coded_pixels: int = 0
    """Pixels that the decoder keeps in memory, if more than the displayed ones; else 0."""
    least_bytes: int = 0
    """The smallest possible file, in bytes, that contains all pixels."""
    other_bytes: int = 0
    """Memory that does not depend on the pixels: a copy of the file for the decoder, or tables of the decoder."""

    @property
    def content_type(self) -> str:
        """Media type of the upload: image/jpeg …"""
        return CONTENT_TYPES[self.format]

    @property
    def stored_size(self) -> tuple[int, int]:
        """(width, height) in pixels as stored, before the orientation is applied."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)

    @classmethod
    def stored(cls, image_format: str, width: int, height: int, mode: str, **properties: Any) -> Header:
        """Build a header from the stored size, which `orientation` converts to the displayed size."""
        header = cls(image_format, width, height, mode, **properties)
        return replace(header, width=height, height=width) if header.orientation >= 5 else header

    def to_dict(self) -> dict[str, Any]:
        """Return camelCase JSON for the record."""
        return {
            "format": self.format,
            "width": self.width,
            "height": self.height,
            "mode": self.mode,
            "frames": self.frames,
            "orientation": self.orientation,
            "contentType": self.content_type,
        }

    @property
    def may_have_alpha(self) -> bool:
        """Whether the pixels, or the colours of the palette, may be transparent."""
        return self.mode in ("LA", "RGBA", "P", "PA")

    def predicted_memory(self, rendition_side: int) -> int:
        """Return the peak memory of decoding and of the first reduction, in bytes.

        Args:
            rendition_side: longest side of the largest rendition in pixels.
        """
        pixels: float = max(self.coded_pixels, self.width * self.height)
        share = min(1.0, rendition_side / max(1, self.width, self.height))
        if self.format == "JPEG":
            scale = draft_scale(1 / share, self.camera)
            coefficients = pixels * self.sampling * 2 if self.several_scans else 0
            pixels /= scale**2
            share = min(1.0, share * scale)
            decoding = coefficients + _COMPARED_BYTES * pixels
        else:
            decoding = pixels * (self.bytes_per_pixel + share**2 * self.reduced_bytes_per_pixel)
        pixel_bytes = 1 if self.mode in _GREY_MODES else 4
        # The resizer reduces the width first. An image that keeps its size is not reduced.
        reducing = pixel_bytes * pixels * (1 + share if share < 1 else 1)
        # The conversion to sRGB and the turn copy the reduction.
        reductions = 2 * pixel_bytes * pixels * share**2
        return int(max(decoding, reducing) + reductions) + self.other_bytes


_COMPARED_BYTES = 8
"""Bytes of a pixel of a JPEG that is decoded twice and compared, or decoded by libvips and copied."""
_GREY_MODES = frozenset({"1", "L", "I", "I;16", "F"})

_MARGIN = 1.5
"""Reduction that is left to the Lanczos filter after JPEG's own reduction."""
_HALF_MARGIN = 1.25
"""The same for photographs at half the size. Lenses blur single pixels, so this costs them 0.002 SSIM at 1600 pixels;
it would cost screenshots 3 dB. At a quarter of the size, it would cost photographs 0.006."""


def draft_scale(reduction: float, photograph: bool) -> int:
    """Return the factor by which a JPEG may be reduced while it is decoded: 1, 2, 4 or 8.

    Args:
        reduction: size of the original divided by that of the rendition, at least 1.
        photograph: whether the image is a photograph.
    """
    half = 2 * (_HALF_MARGIN if photograph else _MARGIN)
    return next((scale for scale in (8, 4) if scale * _MARGIN <= reduction), 2 if half <= reduction else 1)
