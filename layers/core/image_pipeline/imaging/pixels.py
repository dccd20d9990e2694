"""Bytes → pixels in a mode that can be reduced: the only module that starts a decoder.

Every format is opened by its own plugin, chosen by what the content is: Pillow's guessing would load all of its
plugins, and would take a JPEG with a second picture behind it for something else.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from PIL import Image

from image_pipeline.errors import CorruptImageError, ImageTooLargeError
from image_pipeline.imaging.containers import find_exif, riff_chunks
from image_pipeline.imaging.exif import says_adobe_rgb
from image_pipeline.imaging.formats import Header, draft_scale
from image_pipeline.imaging.resize import Box

if TYPE_CHECKING:
    from PIL import ImageFile

_UPRIGHT = frozenset({"TIFF", "HEIF"})
"""Formats whose decoder turns the picture itself."""

_WEBP_CAMERA_MARGIN, _WEBP_MARGIN = 1.5, 2.0
"""Reduction that is left to Lanczos: libwebp averages areas, which is softer than JPEG's own reduction."""

_END_OF_JPEG = b"\xff\xd9"
_HINT = "Export the picture again and upload it."


@dataclass
class Pixels:
    """Decoded pixels, not yet reduced, turned or in sRGB."""

    image: Image.Image
    """Mode L, RGB, RGBA or CMYK."""
    box: Box
    """The part of `image` that is the picture; JPEG decoded at a fraction may end inside its last pixel."""
    orientation: int
    """What is left to apply: EXIF value, 1 to 8."""
    profile: bytes
    """ICC profile for `image`; empty where it is sRGB already or nothing is said."""
    warnings: tuple[str, ...] = ()


def decode(data: bytes, header: Header, reduction: float = 1.0) -> Pixels:
    """Decode the first frame.

    Args:
        data: the whole file.
        header: what `formats.admit` found in it.
        reduction: original over the largest size that is wanted, at least 1. JPEG and lossy WebP are decoded smaller,
            with a margin that is left to Lanczos; other formats ignore it.

    Raises:
        CorruptImageError: the pixels are cut off or cannot be decoded.
        ImageTooLargeError: the memory did not suffice after all.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on metadata change no pixel
            return _decode(data, header, reduction)
    except MemoryError as error:
        raise ImageTooLargeError(
            f"Decoding {header.width} × {header.height} pixels of {header.format} took more memory than there is.",
            "Upload a smaller version of the picture.",
        ) from error
    except ImportError:
        raise  # a decoder is missing: the deployment is broken, not the picture
    except Exception as error:  # decoders of hostile files raise whatever they stumble over
        words = " ".join(str(error).split()) or type(error).__name__
        if "truncated" in words.lower():  # Pillow's word, with a count of bytes that helps nobody
            raise CorruptImageError(
                f"The {header.format} is cut off: its data ends before the picture does.",
                "It was probably not transferred completely: upload it again from the original.",
            ) from error
        raise CorruptImageError(f"The {header.format} pixels cannot be decoded: {words}.", _HINT) from error


def _decode(data: bytes, header: Header, reduction: float) -> Pixels:
    if header.format == "JPEG":
        return _decode_jpeg(data, header, draft_scale(reduction, header.camera))
    if header.format == "WEBP" and (pixels := _decode_webp(data, header, reduction)) is not None:
        return pixels
    opened = _OPENERS[header.format](io.BytesIO(data))
    opened.load()
    image, heard = _reducible(opened)
    profile = b"" if opened.mode == "LAB" else opened.info.get("icc_profile") or b""
    orientation = 1 if header.format in _UPRIGHT else header.orientation
    return Pixels(image, (0, 0, *image.size), orientation, profile, heard)


def _decode_jpeg(data: bytes, header: Header, scale: int) -> Pixels:
    heard: tuple[str, ...] = ()
    try:
        image, box = _load_jpeg(data, scale)
    except OSError as error:
        # Where the last block is complete, bits behind it change nothing; where it is cut off, they do.
        image, box = _load_jpeg(data + _END_OF_JPEG, scale)
        other, _ = _load_jpeg(data + b"\x55" * 256 + _END_OF_JPEG, scale)
        if image.tobytes() != other.tobytes():
            raise error
        heard = ("The file has no end marker; its picture is complete.",)
    profile = image.info.get("icc_profile") or b""
    if not profile and header.mode == "RGB" and says_adobe_rgb(find_exif(data)):
        from image_pipeline.imaging.colour import ADOBE_RGB, matrix_profile

        profile = matrix_profile(ADOBE_RGB, 563 / 256)
    if image.mode == "CMYK" and "adobe" not in image.info:
        from PIL import ImageChops

        image = ImageChops.invert(image)  # Pillow takes all CMYK for Adobe's, which is stored inverted
    return Pixels(image, box, header.orientation, profile, heard)


def _decode_webp(data: bytes, header: Header, reduction: float) -> Pixels | None:
    """By libwebp itself; None where only Pillow can do it."""
    from image_pipeline.imaging.webp import decode as decode_webp

    share = min(1.0, (_WEBP_CAMERA_MARGIN if header.camera else _WEBP_MARGIN) / reduction)
    width, height = (max(1, round(side * share)) for side in header.stored_size)
    image = decode_webp(data, (width, height))
    if image is None:
        return None
    profile = next((data[chunk.start : chunk.end] for chunk in riff_chunks(data) if chunk.kind == b"ICCP"), b"")
    return Pixels(image, (0, 0, *image.size), header.orientation, profile)


def _load_jpeg(data: bytes, scale: int) -> tuple[Image.Image, Box]:
    from PIL.JpegImagePlugin import JpegImageFile

    opened = JpegImageFile(io.BytesIO(data))
    box: Box = (0, 0, *opened.size)
    if scale > 1:
        drafted = opened.draft(None, (opened.width // scale, opened.height // scale))
        box = drafted[1] if drafted else box
    opened.load()
    return opened, box


def _png(stream: io.BytesIO) -> ImageFile.ImageFile:
    from PIL.PngImagePlugin import PngImageFile

    return PngImageFile(stream)


def _webp(stream: io.BytesIO) -> ImageFile.ImageFile:
    from PIL.WebPImagePlugin import WebPImageFile

    return WebPImageFile(stream)


def _gif(stream: io.BytesIO) -> ImageFile.ImageFile:
    from PIL.GifImagePlugin import GifImageFile

    return GifImageFile(stream)


def _avif(stream: io.BytesIO) -> ImageFile.ImageFile:
    from PIL.AvifImagePlugin import AvifImageFile

    return AvifImageFile(stream)


def _heif(stream: io.BytesIO) -> ImageFile.ImageFile:
    heif: Any = import_module("pi_heif")
    heif.options.THUMBNAILS = heif.options.DEPTH_IMAGES = heif.options.AUX_IMAGES = False
    opened: ImageFile.ImageFile = heif.HeifImageFile(stream)
    return opened


def _tiff(stream: io.BytesIO) -> ImageFile.ImageFile:
    from PIL.TiffImagePlugin import TiffImageFile

    return TiffImageFile(stream)


def _bmp(stream: io.BytesIO) -> ImageFile.ImageFile:
    from PIL.BmpImagePlugin import BmpImageFile

    return BmpImageFile(stream)


_OPENERS: dict[str, Callable[[io.BytesIO], Any]] = {
    "PNG": _png, "WEBP": _webp, "GIF": _gif,
    "AVIF": _avif, "HEIF": _heif, "TIFF": _tiff, "BMP": _bmp,
}  # fmt: skip


def _reducible(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """The picture in mode L, RGB, RGBA or CMYK, and what a person should know about the conversion."""
    if image.mode in ("I;16", "I;16L", "I;16B", "I;16N"):
        return _high_bytes(image), ()
    if image.mode in ("I", "F"):
        return _stretched(image)
    if image.mode in ("P", "PA"):
        return image.convert("RGBA" if image.has_transparency_data else "RGB"), ()
    if image.mode in ("1", "L", "RGB") and "transparency" in image.info:
        return image.convert("RGBA"), ()
    if image.mode in ("L", "RGB", "RGBA", "CMYK"):
        return image, ()
    if image.mode == "LAB":
        from image_pipeline.imaging.colour import lab_to_srgb

        return lab_to_srgb(image), ()
    if image.mode in ("LA", "La", "RGBa"):
        return image.convert("RGBA"), ()
    return image.convert("L" if image.mode == "1" else "RGB"), ()


def _high_bytes(image: Image.Image) -> Image.Image:
    """16 bits of grey → 8: the upper byte, as PNG 3rd edition, 13.12, describes it. Pillow's own conversion clips."""
    raw = image.tobytes()
    return Image.frombytes("L", image.size, raw[0::2] if image.mode == "I;16B" else raw[1::2])


def _stretched(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """32 bits of grey → 8, darkest to lightest: such files do not say what their numbers mean."""
    low, high = image.getextrema()
    if not (isinstance(low, int | float) and isinstance(high, int | float)) or not high > low:
        return Image.new("L", image.size), ("All pixels have one value; they are shown as black.",)
    factor = 255 / (high - low)
    grey = image.convert("F").point(lambda value: value * factor - low * factor).convert("L")
    return grey, (f"Values from {low:g} to {high:g} are shown as black to white.",)
