"""Call the libwebp of Pillow's wheel directly, to decode a WebP at the size that is needed.

Pillow decodes every WebP as an animation, at full size: with 16 bytes per pixel and 1.5 times the time. The decoding
interface of libwebp has been the same since 2012, so this module calls it through `ctypes`. If Pillow's wheel contains
no such library, or one with another interface, `decode` returns None and the caller uses Pillow.

Source: webp/decode.h of libwebp 1.6, decoder interface version 2.9.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

import PIL
from PIL import Image

from image_pipeline.imaging.containers.webp import WebpFrame

_ABI = 0x0209
_MODE_RGBA = 1
_OUT_OF_MEMORY, _NOT_ENOUGH_DATA = 1, 7

_int = ctypes.c_int


class _Features(ctypes.Structure):
    _fields_ = (
        ("width", _int), ("height", _int), ("has_alpha", _int), ("has_animation", _int), ("format", _int),
        ("pad", ctypes.c_uint32 * 5),
    )  # fmt: skip


class _Rgba(ctypes.Structure):
    _fields_ = (("rgba", ctypes.c_void_p), ("stride", _int), ("size", ctypes.c_size_t))


class _Planes(ctypes.Union):
    # The other member has four pointers, four strides and four sizes.
    _fields_ = (("rgba", _Rgba), ("yuva", ctypes.c_uint8 * (4 * 8 + 4 * 4 + 4 * 8)))


class _Buffer(ctypes.Structure):
    _fields_ = (
        ("colorspace", _int), ("width", _int), ("height", _int), ("is_external", _int), ("planes", _Planes),
        ("pad", ctypes.c_uint32 * 4), ("private", ctypes.c_void_p),
    )  # fmt: skip


class _Options(ctypes.Structure):
    _fields_ = (
        ("bypass_filtering", _int), ("no_fancy_upsampling", _int), ("use_cropping", _int), ("crop", _int * 4),
        ("use_scaling", _int), ("scaled_width", _int), ("scaled_height", _int), ("use_threads", _int),
        ("dithering", _int), ("flip", _int), ("alpha_dithering", _int), ("pad", ctypes.c_uint32 * 5),
    )  # fmt: skip


class _Config(ctypes.Structure):
    _fields_ = (("input", _Features), ("output", _Buffer), ("options", _Options))


_LOSSY = 1


@lru_cache(maxsize=1)
def _library() -> Any:
    """Load the libwebp of Pillow's wheel; None if there is none with this interface."""
    from pathlib import Path

    home = Path(PIL.__file__).parent
    paths = [*home.parent.glob("pillow.libs/libwebp-*.so*"), *home.glob(".dylibs/libwebp.*.dylib")]
    if len(paths) != 1 or ctypes.sizeof(ctypes.c_void_p) != 8:
        return None
    try:
        library = ctypes.CDLL(str(paths[0]))
        library.WebPGetFeaturesInternal.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, _int)
        library.WebPInitDecoderConfigInternal.argtypes = (ctypes.c_void_p, _int)
        library.WebPDecode.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)
        is_compatible = library.WebPInitDecoderConfigInternal(ctypes.byref(_Config()), _ABI)
    except (OSError, AttributeError):
        return None
    return library if is_compatible else None


def decode(data: bytes, frame: WebpFrame, least: tuple[int, int]) -> Image.Image | None:
    """Decode one frame of a WebP. A lossy frame is decoded no larger than needed.

    Args:
        data: the whole file.
        frame: the frame; the decoder sees only its chunks.
        least: smallest acceptable (width, height) in pixels; a smaller frame keeps its size.

    Returns:
        Mode RGB or RGBA; None if libwebp cannot be called.

    Raises:
        ValueError: the data is cut off or damaged, or its size differs from the declared one.
        MemoryError: there is not enough memory.
    """
    library = _library()
    config = _Config()
    if library is None or not library.WebPInitDecoderConfigInternal(ctypes.byref(config), _ABI):
        return None
    features = config.input
    start = (ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value or 0) + frame.start
    length = frame.end - frame.start
    if status := library.WebPGetFeaturesInternal(start, length, ctypes.byref(features), _ABI):
        raise _error(status)
    width, height = frame.width, frame.height
    if (features.width, features.height, features.format == _LOSSY) != (width, height, frame.lossy):
        raise ValueError("the size differs from the declared one")
    if frame.lossy and least[0] < width and least[1] < height:
        width, height = least
        config.options.use_scaling = 1
        config.options.scaled_width, config.options.scaled_height = least
    pixels = bytearray(width * height * 4)
    view = (ctypes.c_uint8 * len(pixels)).from_buffer(pixels)
    config.output.colorspace = _MODE_RGBA
    config.output.is_external = 1
    config.output.planes.rgba = _Rgba(ctypes.addressof(view), width * 4, len(pixels))
    if status := library.WebPDecode(start, length, ctypes.byref(config)):
        raise _error(status)
    image = Image.frombuffer("RGBA", (width, height), pixels, "raw", "RGBA", 0, 1)
    if features.has_alpha or (not frame.lossy and _has_holes(image)):
        return image
    return Image.frombytes("RGB", (width, height), pixels, "raw", "RGBX")


def _has_holes(image: Image.Image) -> bool:
    """Return whether a lossless image has transparent pixels; its alpha bit is only a hint (RFC 9649, section 3.4)."""
    alpha = image.getchannel("A").tobytes()
    return alpha != b"\xff" * len(alpha)  # twice as fast as getextrema()


def _error(status: int) -> Exception:
    if status == _OUT_OF_MEMORY:
        return MemoryError()
    return ValueError("truncated" if status == _NOT_ENOUGH_DATA else f"libwebp status {status}")
