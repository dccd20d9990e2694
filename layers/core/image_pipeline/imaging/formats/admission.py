"""What is admitted: decided by the content, from the structure of the file, before any decoder is started.

No file name is looked at and Pillow is not imported: a hostile header meets bounded Python and nothing else. The rules,
the formats and the memory figures are documented in `docs/images.md`.
"""

from __future__ import annotations

from collections.abc import Callable

from image_pipeline.errors import CorruptImageError, EmptyUploadError, ImageTooLargeError, UploadTooLargeError
from image_pipeline.imaging.formats import bmp, gif, heif, jpeg, png, tiff, webp
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.formats.recognise import recognise
from image_pipeline.imaging.reader import FIRST_BYTES, BrokenContainerError, CutOffError, Reader

_PARSERS: dict[str, Callable[[Reader, Limits], Header]] = {
    "JPEG": jpeg.read_header,
    "PNG": png.read_header,
    "WEBP": webp.read_header,
    "GIF": gif.read_header,
    "BMP": bmp.read_header,
    "TIFF": tiff.read_header,
    "AVIF": heif.read_header,
    "HEIF": heif.read_header,
}


def admit(reader: Reader, limits: Limits) -> Header:
    """Decide whether a file may be decoded.

    Args:
        reader: the file. Where it is in memory as a whole, checks that need all bytes are made, too.
        limits: what is allowed.

    Raises:
        EmptyUploadError: no bytes.
        UploadTooLargeError: more bytes than allowed.
        UnsupportedFormatError: the content is something else; the message names it.
        CorruptImageError: the header is cut off, contradicts itself, or claims what the bytes cannot hold.
        ImageTooLargeError: more pixels, frames, scans or predicted memory than allowed.
    """
    if reader.size <= 0:
        raise EmptyUploadError("The upload is empty (0 bytes).", "Upload the file again.")
    if reader.size > limits.max_bytes:
        raise UploadTooLargeError(
            f"The upload has {_megabytes(reader.size)}; {_megabytes(limits.max_bytes)} are allowed.",
            "Upload a smaller file, or raise the limit of the deployment.",
        )
    name = recognise(reader.up_to(0, FIRST_BYTES), limits.formats)
    try:
        header = _PARSERS[name](reader, limits)
    except CutOffError as error:
        raise CorruptImageError(
            f"The {name} is cut off: its data ends before the picture does.",
            "It was probably not transferred completely: upload it again from the original.",
        ) from error
    except BrokenContainerError as error:
        raise _corrupt(name, str(error)) from error
    _check_size(header, reader.size, limits)
    return header


def _check_size(header: Header, size_bytes: int, limits: Limits) -> None:
    pixels = header.width * header.height
    what = f"{header.width} × {header.height} pixels"
    if pixels == 0:
        raise _corrupt(header.format, f"it claims {what}")
    if pixels > limits.max_pixels:
        raise ImageTooLargeError(
            f"The picture has {what}, {_millions(pixels)} in all; {_millions(limits.max_pixels)} are allowed.",
            "Upload a smaller version of the picture.",
        )
    if size_bytes < header.least_bytes:  # it would cost a decoder memory for nothing
        raise _corrupt(header.format, f"{size_bytes} bytes cannot hold {what}")
    if header.frames > limits.max_frames:
        raise ImageTooLargeError(
            f"The picture has more than {limits.max_frames} frames or pages.", "Upload its first frame alone."
        )
    memory = header.predicted_memory(limits.rendition_side) + size_bytes
    if memory > limits.memory_bytes:
        raise ImageTooLargeError(
            f"Holding and decoding {what} of {header.format} takes about {_megabytes(memory)}; "
            f"{_megabytes(limits.memory_bytes)} are there.",
            "Upload a smaller version of the picture, or give the function more memory.",
        )


def _corrupt(name: str, why: str) -> CorruptImageError:
    return CorruptImageError(f"The {name} header cannot be read: {why}.", "Export the picture again and upload it.")


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


def _millions(count: int) -> str:
    return f"{count / 1e6:,.1f} megapixels"
