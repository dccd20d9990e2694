"""Decode a BMP. Rows are sliced out of the file; no other decoder parses its headers again."""

from __future__ import annotations

from PIL import Image

from image_pipeline.imaging.containers.bmp import RGB555, RGB888, Bmp, bmp
from image_pipeline.imaging.decoders import runs, samples
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.pixels import Pixels, apply_palette, check_size
from image_pipeline.imaging.reader import Reader

_RAW = {
    (16, (*RGB555, 0)): ("RGB", "BGR;15"),
    (24, (*RGB888, 0)): ("RGB", "BGR"),
    (32, (*RGB888, 0)): ("RGB", "BGRX"),
    (32, (*RGB888, 0xFF000000)): ("RGBA", "BGRA"),
    (32, (0xFF, 0xFF00, 0xFF0000, 0)): ("RGB", "RGBX"),
    (32, (0xFF, 0xFF00, 0xFF0000, 0xFF000000)): ("RGBA", "RGBA"),
}
"""Pillow's (mode, raw mode) by bits and masks, for the layouts that Pillow can unpack."""

_BAND_PIXELS = 1024 * 1024
"""Pixels whose masked bits are unpacked at a time."""


def decode(reader: Reader, header: Header, _reduction: float) -> Pixels:
    """Decode the image; see `decode.decode`."""
    parts = reader.once(bmp)
    check_size((parts.width, parts.height), header)
    profile = reader.part(*parts.profile).data
    warnings: tuple[str, ...] = ()
    if parts.is_run_length:
        image, warnings = _from_runs(reader, parts)
    elif parts.bits <= 8:
        image = apply_palette(_indices(reader, parts), _palette(reader, parts))
    else:
        image = _from_rows(reader, parts)
    return Pixels(image, (0, 0, *image.size), header.orientation, profile, warnings)


def _rows(reader: Reader, parts: Bmp, first: int, count: int) -> memoryview:
    """Return stored rows. The file may lack the padding of the last one."""
    start = parts.pixels + first * parts.row_bytes
    return memoryview(reader.data)[start : start + count * parts.row_bytes]


def _indices(reader: Reader, parts: Bmp) -> Image.Image:
    raw = {1: "P;1", 2: "P;2", 4: "P;4", 8: "P"}[parts.bits]
    rows = _rows(reader, parts, 0, parts.height)
    return Image.frombytes("P", (parts.width, parts.height), rows, "raw", raw, parts.row_bytes, _direction(parts))


def _direction(parts: Bmp) -> int:
    """Return Pillow's row order: 1 if the first stored row is the top row, else -1."""
    return 1 if parts.top_down else -1


def _palette(reader: Reader, parts: Bmp) -> bytes:
    """Return red, green and blue of each entry."""
    start, entry, count = parts.palette
    entries = reader.take(start, entry * count)
    palette = bytearray(3 * count)
    for channel in range(3):
        palette[channel::3] = entries[2 - channel :: entry]
    return bytes(palette)


def _from_rows(reader: Reader, parts: Bmp) -> Image.Image:
    size = parts.width, parts.height
    mode, raw = _RAW.get((parts.bits, parts.masks), ("RGBA" if parts.masks[3] else "RGB", ""))
    if raw:
        rows = _rows(reader, parts, 0, parts.height)
        return Image.frombytes(mode, size, rows, "raw", raw, parts.row_bytes, _direction(parts))
    image = Image.new(mode, size)
    step = max(1, _BAND_PIXELS // parts.width)
    for first in range(0, parts.height, step):
        band = _masked(reader, parts, first, min(step, parts.height - first))
        if parts.top_down:
            image.paste(band, (0, first))
        else:
            image.paste(band.transpose(Image.Transpose.FLIP_TOP_BOTTOM), (0, parts.height - first - band.height))
    return image


def _masked(reader: Reader, parts: Bmp, first: int, count: int) -> Image.Image:
    """Unpack stored rows whose colours are in the bits that the masks select."""
    pixel_bytes = parts.bits // 8
    rows = bytes(_rows(reader, parts, first, count))
    unpadded_bytes = parts.width * pixel_bytes
    if parts.row_bytes != unpadded_bytes:
        rows = b"".join(rows[at : at + unpadded_bytes] for at in range(0, len(rows), parts.row_bytes))
    masks = parts.masks if parts.masks[3] else parts.masks[:3]
    bands = [Image.frombytes("L", (parts.width, count), samples.masked(rows, pixel_bytes, mask)) for mask in masks]
    return Image.merge("RGBA" if len(bands) == 4 else "RGB", bands)


def _from_runs(reader: Reader, parts: Bmp) -> tuple[Image.Image, tuple[str, ...]]:
    size = parts.width, parts.height
    coded = memoryview(reader.data)[parts.pixels :]
    drawing = runs.unpack(coded, size, parts.bits)
    indices = Image.frombytes("P", size, bytes(drawing.pixels), "raw", "P", 0, _direction(parts))
    image = apply_palette(indices, _palette(reader, parts))
    if not drawing.covered:
        # Pixels that no run covers are black, as in browsers. They are the ones that differ after another fill.
        refilled = runs.unpack(coded, size, parts.bits, fill=1).pixels
        holes = samples.differing(drawing.pixels, refilled)
        image.paste(0, mask=Image.frombytes("L", size, holes, "raw", "L", 0, _direction(parts)))
    warnings = () if drawing.has_end else ("The file has no end marker; its image is complete.",)
    return image, warnings
