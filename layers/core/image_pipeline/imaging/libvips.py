"""Call libvips: it decodes a PNG and reduces it in one pass, and notices whatever is missing in a JPEG.

It also reduces images where the SIMD resizer is not installed.

The wheel `pyvips-binary` contains libvips. This module calls a few of its functions through `ctypes`. Two of its
loaders are called, by name, so libvips never chooses a loader. If the wheel is not installed, the functions return None
and the caller uses Pillow.

Source: the C API of libvips 8.18 (vips/foreign.h, vips/resample.h, vips/image.h).
"""

from __future__ import annotations

import ctypes
import weakref
from ctypes import byref, c_char_p, c_double, c_int, c_size_t, c_void_p
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

from PIL import Image

_SEQUENTIAL = 1
"""VipsAccess: rows are decoded once, from top to bottom."""
_FAIL_ON_WARNING = 3
"""VipsFailOn: also a wrong checksum of the pixels is an error."""
_LANCZOS3 = 5
"""VipsKernel."""
_UNSIGNED_BYTES = 0
"""VipsBandFormat."""
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}

Size = tuple[int, int]


def decode_png(data: bytes, size: Size) -> Image.Image | None:
    """Decode a PNG of 8 bits per channel: grey, RGB or RGBA.

    Args:
        data: a PNG that is not interlaced, without chunks that are not needed.
        size: (width, height) of the result, in pixels. An image with alpha keeps its size, because libvips would
            reduce it as floating-point numbers, which is slower than decoding it completely.

    Returns:
        Mode L, RGB or RGBA; None if libvips is not installed, or rejects the file.
    """
    library = _library()
    return library and _decode(library, library.vips_pngload_buffer, data, size)


def decode_jpeg(data: bytes, scale: int) -> Image.Image | None:
    """Decode a JPEG of one or three channels at a fraction of its size.

    Args:
        data: a JPEG without segments that are not needed.
        scale: 1, 2, 4 or 8.

    Returns:
        Mode L or RGB; None if libvips is not installed, or if the decoder warns: of missing data, for example.
    """
    library = _library()
    return library and _decode(library, library.vips_jpegload_buffer, data, None, b"shrink", c_int(scale))


def _decode(library: Any, load: Any, data: bytes, size: Size | None, *options: Any) -> Image.Image | None:
    """Decode a file with a loader of libvips, and reduce it to a size if it has no alpha."""
    loaded = c_void_p()
    resized = c_void_p()
    options = *options, b"access", c_int(_SEQUENTIAL), b"fail_on", c_int(_FAIL_ON_WARNING), None
    try:
        if load(data, len(data), byref(loaded), *options):
            return None
        width, height = _size(library, loaded)
        mode = _MODES[library.vips_image_get_bands(loaded)]
        if size in (None, (width, height)) or mode == "RGBA":
            return _pixels(library, loaded, mode)
        scale = size[0] / width, size[1] / height
        return _pixels(library, resized, mode) if _resize(library, loaded, resized, scale) else None
    finally:
        _release(library, resized, loaded)


def is_installed() -> bool:
    """Return whether the wheel is installed; libvips is not loaded for that."""
    return find_spec("_libvips") is not None


def reduce(image: Image.Image, size: Size, area: tuple[float, float]) -> Image.Image | None:
    """Reduce an image with Lanczos.

    Args:
        image: mode L, RGB, RGBa or CMYK.
        size: (width, height) of the result, in pixels.
        area: (width, height) of the visible part, which begins at the upper left corner.

    Returns:
        The same mode; None if libvips is not installed, has too little memory, or rounds to a smaller size.
    """
    library = _library()
    if library is None:
        return None
    bands = len(image.getbands())
    data = image.tobytes()
    source = c_void_p(library.vips_image_new_from_memory(data, len(data), *image.size, bands, _UNSIGNED_BYTES))
    resized = c_void_p()
    try:
        scale = size[0] / area[0], size[1] / area[1]
        reduction = (
            _pixels(library, resized, image.mode) if source and _resize(library, source, resized, scale) else None
        )
    finally:
        _release(library, resized, source)
    if reduction is None or reduction.width < size[0] or reduction.height < size[1]:
        return None
    return reduction if reduction.size == size else reduction.crop((0, 0, *size))


def _resize(library: Any, image: c_void_p, out: c_void_p, scale: tuple[float, float]) -> bool:
    """Prepare the reduction of an image; return whether it is possible."""
    options = b"vscale", c_double(scale[1]), b"kernel", c_int(_LANCZOS3), None
    return not library.vips_resize(image, byref(out), scale[0], *options)


def _size(library: Any, image: c_void_p) -> Size:
    return library.vips_image_get_width(image), library.vips_image_get_height(image)


def _pixels(library: Any, image: c_void_p, mode: str) -> Image.Image | None:
    """Compute the pixels of an image; return None if its file is broken."""
    count = c_size_t()
    start = library.vips_image_write_to_memory(image, byref(count))
    if not start:
        return None
    view: Any = (ctypes.c_uint8 * count.value).from_address(start)
    weakref.finalize(view, library.g_free, start)  # an image of mode RGBA or L uses this memory without a copy
    pixels = Image.frombuffer(mode, _size(library, image), view, "raw", mode, 0, 1)
    pixels.readonly = 0  # only this image uses the memory
    return pixels


def _release(library: Any, *images: c_void_p) -> None:
    for image in images:
        if image:
            library.g_object_unref(image)
    library.vips_error_clear()


@lru_cache(maxsize=1)
def _library() -> Any:
    """Load and start libvips; None if the wheel is not installed."""
    from pathlib import Path  # only here, because it takes a tenth of the engine's import time

    spec = find_spec("_libvips")
    if spec is None or spec.origin is None:
        return None
    paths = list(Path(spec.origin).parent.glob("pyvips_binary.libs/libvips-*.so*"))
    if len(paths) != 1:
        return None
    library = ctypes.CDLL(str(paths[0]))
    library.g_setenv.argtypes = (c_char_p, c_char_p, c_int)
    for load in (library.vips_pngload_buffer, library.vips_jpegload_buffer):
        load.argtypes = (c_char_p, c_size_t, c_void_p)
    library.vips_image_new_from_memory.restype = c_void_p
    library.vips_image_new_from_memory.argtypes = (c_char_p, c_size_t, c_int, c_int, c_int, c_int)
    library.vips_resize.argtypes = (c_void_p, c_void_p, c_double)
    library.vips_image_write_to_memory.restype = c_void_p
    library.vips_image_write_to_memory.argtypes = (c_void_p, c_void_p)
    for name in ("vips_image_get_width", "vips_image_get_height", "vips_image_get_bands", "g_object_unref", "g_free"):
        getattr(library, name).argtypes = (c_void_p,)
    library.g_setenv(b"VIPS_WARNING", b"off", 1)  # its warnings about broken files would go to standard error
    if library.vips_init(b"image_pipeline"):
        return None
    library.vips_block_untrusted_set(1)  # loaders that are not tested against hostile files
    library.vips_concurrency_set(1)
    library.vips_cache_set_max(0)  # no cache of finished operations, because no image is decoded twice
    return library
