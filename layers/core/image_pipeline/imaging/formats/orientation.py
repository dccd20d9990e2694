"""Read the parts of EXIF that admission needs, from any container."""

from __future__ import annotations

from image_pipeline.imaging.containers.exif import find_exif
from image_pipeline.imaging.containers.tiff import Tiff
from image_pipeline.imaging.reader import BrokenContainerError, Reader

_MAKE, _ORIENTATION = 0x010F, 0x0112


def orientation_and_camera(reader: Reader) -> tuple[int, bool]:
    """Return the EXIF orientation, 1 to 8, and whether EXIF names a camera maker; (1, False) without EXIF."""
    return read_orientation(find_exif(reader))


def read_orientation(block: Reader) -> tuple[int, bool]:
    """Return the same as `orientation_and_camera`, from the EXIF block itself."""
    try:
        tiff = Tiff(block)
        tags = tiff.directory(tiff.first)
    except BrokenContainerError:
        return 1, False
    orientation = tags.integer(_ORIENTATION, 1)
    return orientation if 1 <= orientation <= 8 else 1, _MAKE in tags
