"""BMP → pixels. Rows are taken from the file as they lie there; no decoder parses its headers once more."""

from __future__ import annotations

from PIL import Image

from image_pipeline.imaging.containers.bmp import RGB555, RGB888, Bmp, bmp
from image_pipeline.imaging.decoders import runs, samples
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.pixels import Pixels, check_size, coloured
from image_pipeline.imaging.reader import Reader

_RAW = {
    (16, (*RGB555, 0)): ("RGB", "BGR;15"),
    (24, (*RGB888, 0)): ("RGB", "BGR"),
    (32, (*RGB888, 0)): ("RGB", "BGRX"),
    (32, (*RGB888, 0xFF000000)): ("RGBA", "BGRA"),
    (32, (0xFF, 0xFF00, 0xFF0000, 0)): ("RGB", "RGBX"),
    (32, (0xFF, 0xFF00, 0xFF0000, 0xFF000000)): ("RGBA", "RGBA"),
}
"""(Mode, raw mode) of Pillow, by bits and masks: layouts that it unpacks by itself."""

_BAND_PIXELS = 1024 * 1024
"""Pixels whose masked bits are gathered at a time."""


def decode(reader: Reader, header: Header, _reduction: float) -> Pixels:
    """Decode the picture; see `decode.decode`."""
    parts = reader.once(bmp)
    check_size((parts.width, parts.height), header)
    profile = reader.part(*parts.profile).data
    warnings: tuple[str, ...] = ()
    if parts.is_run_length:
        image, warnings = _from_runs(reader, parts)
    elif parts.bits <= 8:
        image = coloured(_indices(reader, parts), _palette(reader, parts))
    else:
        image = _from_rows(reader, parts)
    return Pixels(image, (0, 0, *image.size), header.orientation, profile, warnings)


def _rows(reader: Reader, parts: Bmp, first: int, count: int) -> memoryview | bytes:
    """Stored rows; the padding of the last one may be missing in the file."""
    start, wanted = parts.pixels + first * parts.row_bytes, count * parts.row_bytes
    rows = memoryview(reader.data)[start : start + wanted]
    return rows if len(rows) == wanted else bytes(rows).ljust(wanted, b"\0")


def _indices(reader: Reader, parts: Bmp) -> Image.Image:
    raw = {1: "P;1", 2: "P;2", 4: "P;4", 8: "P"}[parts.bits]
    rows = _rows(reader, parts, 0, parts.height)
    return Image.frombytes("P", (parts.width, parts.height), rows, "raw", raw, parts.row_bytes, _direction(parts))


def _direction(parts: Bmp) -> int:
    """Pillow's word for where the first stored row belongs."""
    return 1 if parts.top_down else -1


def _palette(reader: Reader, parts: Bmp) -> bytes:
    """Red, green and blue of each entry."""
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
    """Some stored rows, the colours of which lie in any bits."""
    pixel = parts.bits // 8
    rows = bytes(_rows(reader, parts, first, count))
    padded, whole = parts.row_bytes, parts.width * pixel
    if padded != whole:
        rows = b"".join(rows[at : at + whole] for at in range(0, len(rows), padded))
    channels = parts.masks if parts.masks[3] else parts.masks[:3]
    bands = [Image.frombytes("L", (parts.width, count), samples.masked(rows, pixel, mask)) for mask in channels]
    return Image.merge("RGBA" if len(bands) == 4 else "RGB", bands)


def _from_runs(reader: Reader, parts: Bmp) -> tuple[Image.Image, tuple[str, ...]]:
    size = parts.width, parts.height
    coded = memoryview(reader.data)[parts.pixels :]
    drawn = runs.unpack(coded, size, parts.bits)
    indices = Image.frombytes("P", size, bytes(drawn.pixels), "raw", "P", 0, _direction(parts))
    image = coloured(indices, _palette(reader, parts))
    if not drawn.covered:
        # What no run covers is black, as in browsers: it keeps its first content, whatever that is.
        other = runs.unpack(coded, size, parts.bits, fill=1).pixels
        holes = samples.differing(drawn.pixels, other)
        image.paste(0, mask=Image.frombytes("L", size, holes, "raw", "L", 0, _direction(parts)))
    warnings = () if drawn.ended else ("The file has no end marker; its picture is complete.",)
    return image, warnings
