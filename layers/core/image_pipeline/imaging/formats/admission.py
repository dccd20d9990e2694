"""Decide whether a file may be decoded, from its content and structure, before any decoder runs.

The file name is ignored, and Pillow is not imported: only bounded Python code reads a hostile header. `docs/images.md`
documents the rules, the formats and the memory figures.
"""

from __future__ import annotations

from importlib import import_module

from image_pipeline.errors import CorruptImageError, EmptyUploadError, ImageTooLargeError, UploadTooLargeError
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.formats.recognise import recognise
from image_pipeline.imaging.reader import FIRST_BYTES, BrokenContainerError, CutOffError, Reader

_MODULES = {"AVIF": "heif"}
"""Names of the modules that are not named after the format."""


def admit(reader: Reader, limits: Limits) -> Header:
    """Decide whether a file may be decoded.

    Args:
        reader: the file. If it is completely in memory, checks that need all bytes are also made.
        limits: the limits of the deployment.

    Raises:
        EmptyUploadError: the file has no bytes.
        UploadTooLargeError: the file has too many bytes.
        UnsupportedFormatError: the format is not admitted; the message names the content.
        CorruptImageError: the header is cut off or invalid, or declares more pixels than the bytes can contain.
        ImageTooLargeError: the image has too many pixels, frames or scans, or needs too much memory.
    """
    if reader.size <= 0:
        raise EmptyUploadError(
            "The upload is empty (0 bytes).", "Check that your file has content, then upload it again."
        )
    if reader.size > limits.max_bytes:
        raise UploadTooLargeError(
            f"The upload has {_megabytes(reader.size)}; at most {_megabytes(limits.max_bytes)} are allowed.",
            "Upload a smaller file, or raise the limit of the deployment.",
        )
    name = recognise(reader.up_to(0, FIRST_BYTES), limits.formats)
    try:
        header = _read_header(name, reader, limits)
    except CutOffError as error:
        raise _cut_off(name, "its data ends before the image is complete") from error
    except BrokenContainerError as error:
        raise _corrupt(name, str(error)) from error
    _check_size(header, reader.size, limits)
    return header


def _read_header(name: str, reader: Reader, limits: Limits) -> Header:
    # Importing the modules of all formats takes 25 ms.
    parser = import_module(f"{__package__}.{_MODULES.get(name, name.lower())}")
    header: Header = parser.read_header(reader, limits)
    return header


def _check_size(header: Header, size_bytes: int, limits: Limits) -> None:
    pixels = header.width * header.height
    size = f"{header.width} × {header.height} pixels"
    if pixels == 0:
        raise _corrupt(header.format, f"it declares {size}")
    if pixels > limits.max_pixels:
        raise ImageTooLargeError(
            f"The image has {size} ({_megapixels(pixels)}); at most {_megapixels(limits.max_pixels)} are allowed.",
            "Upload a smaller version of the image.",
        )
    if size_bytes < header.least_bytes:  # a decoder would allocate memory for missing pixels
        raise _cut_off(header.format, f"{size_bytes:,} bytes cannot contain {size}")
    if header.frames > limits.max_frames:
        raise ImageTooLargeError(
            f"The image has more than {limits.max_frames} frames or pages.", "Upload only its first frame."
        )
    memory = header.predicted_memory(limits.rendition_side) + size_bytes
    if memory > limits.memory_bytes:
        raise ImageTooLargeError(
            f"Decoding {size} of {header.format} needs about {_megabytes(memory)} of memory; "
            f"{_megabytes(limits.memory_bytes)} are available.",
            "Upload a smaller version of the image, or give the function more memory.",
        )


def _cut_off(name: str, reason: str) -> CorruptImageError:
    return CorruptImageError(
        f"The {name} is cut off: {reason}.", "The transfer was probably interrupted: upload the original file again."
    )


def _corrupt(name: str, reason: str) -> CorruptImageError:
    return CorruptImageError(f"The {name} header is invalid: {reason}.", "Export the image again and upload it.")


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


def _megapixels(count: int) -> str:
    return f"{count / 1e6:,.1f} megapixels"
