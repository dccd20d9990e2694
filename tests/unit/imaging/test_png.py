"""Structure, header, pixels and colours of PNG."""

import random
import struct
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from image_pipeline.errors import CorruptImageError, ImageTooLargeError, RejectedError, UnsupportedFormatError
from image_pipeline.imaging import exif, icc
from image_pipeline.imaging.colour import (
    D65,
    DISPLAY_P3,
    SRGB_CURVE,
    grey_profile,
    matrix_profile,
    power_curve,
    rgb_profile,
)
from image_pipeline.imaging.decode import decode
from image_pipeline.imaging.engine import _Reductions
from image_pipeline.imaging.formats.admission import admit
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.reader import FIRST_BYTES, Budget, Reader
from tests.conftest import examples
from tests.corpus import HERE, SIZE, quarters, saved
from tests.corpus import exif as exif_of
from tests.corpus.pngs import (
    CHANNELS,
    GREY,
    GREY_ALPHA,
    KINDS,
    PALETTE,
    RGB,
    RGBA,
    chunk,
    data,
    header,
    key,
    png,
    rows,
)

END = chunk(b"IEND")


def pixels(file, budget=None):
    """The decoded pixels of an admitted file."""
    reader = Reader.of(file, budget)
    return decode(reader, admit(reader, Limits()))


def displayed(file):
    """(mode RGBA in sRGB, warnings) of a file."""
    reader = Reader.of(file)
    admitted = admit(reader, Limits())
    picture = _Reductions(decode(reader, admitted), 2.0)
    image = picture.at((admitted.width, admitted.height)).convert("RGBA")
    return image, picture.warnings


def case(name):
    """One of the stored files."""
    return (HERE / "cases" / name).read_bytes()


def test_the_decoder_has_the_admitted_size():
    """Admission and decoder read the same size, so limits hold."""
    assert pixels(saved(quarters(), "PNG")).image.size == SIZE


def test_another_size_is_not_decoded():
    """A size that differs from the admitted one is rejected before a pixel is decoded."""
    reader = Reader.of(saved(quarters(), "PNG"))
    with pytest.raises(CorruptImageError, match="240 × 160"):
        decode(reader, Header("PNG", 24, 16, "RGB"))


# Every kind -----------------------------------------------------------------------------------------------------------


def sample_function(kind, bits, seed=0):
    """Random samples, which are the same in each call, and the colours that they represent."""
    most = (1 << bits) - 1
    palette = random.Random(seed).randbytes(3 * (most + 1)) if kind == PALETTE else b""

    def samples(x, y):
        return [random.Random(f"{seed} {x} {y} {c}").randint(0, most) for c in range(CHANNELS[kind])]

    return samples, palette


def expected(size, kind, bits, samples, palette=b"", transparency=b""):
    """RGBA of every pixel as specified (PNG 3rd edition, 11.2.1, 11.3.1.1, 13.12)."""
    most = (1 << bits) - 1
    key = [int.from_bytes(transparency[at : at + 2], "big") & most for at in range(0, len(transparency), 2)]
    out = bytearray()
    for y in range(size[1]):
        for x in range(size[0]):
            stored = list(samples(x, y))
            values = [value >> 8 if bits == 16 else value * 255 // most for value in stored]
            if kind == PALETTE:
                (index,) = stored
                entry = palette[3 * index : 3 * index + 3] or b"\0\0\0"
                out += entry + (transparency[index : index + 1] or b"\xff")
            elif kind in (GREY_ALPHA, RGBA):
                *colour, alpha = values
                out += bytes(colour * (3 // len(colour))) + bytes((alpha,))
            else:
                out += bytes(values * (3 // len(values))) + (b"\0" if stored == key else b"\xff")
    return bytes(out)


def png_of(size, kind, bits, samples, palette=b"", transparency=b"", interlaced=False, pieces=1, extra=()):
    """A PNG of these samples."""
    parts = [header(size, bits, kind, interlaced), *extra]
    parts += [chunk(b"PLTE", palette)] if palette else []
    parts += [chunk(b"tRNS", transparency)] if transparency else []
    return png(*parts, data(rows(size, bits, samples, interlaced), pieces))


def transparencies(kind, bits, samples):
    """No tRNS chunk, and one that concerns some pixel."""
    if kind == PALETTE:
        return (b"", b"\x80", bytes(range(0, 256, 255 // ((1 << bits) - 1)))[: 1 << bits])
    if kind in (GREY, RGB):
        return (b"", b"".join(struct.pack(">H", value) for value in samples(1, 0)))
    return (b"",)


@pytest.mark.parametrize("interlaced", [False, True], ids=["plain", "interlaced"])
@pytest.mark.parametrize(("kind", "bits"), KINDS)
def test_pixels_of_every_kind(kind, bits, interlaced):
    """Samples of every depth become the correct colours and opacity."""
    samples, palette = sample_function(kind, bits)
    for transparency in transparencies(kind, bits, samples):
        file = png_of((11, 7), kind, bits, samples, palette, transparency, interlaced)
        image = pixels(file).image
        assert image.convert("RGBA").tobytes() == expected((11, 7), kind, bits, samples, palette, transparency)


@pytest.mark.parametrize("size", [(w, h) for w in (1, 2, 3, 5, 9) for h in (1, 2, 3, 5, 9)], ids=str)
def test_passes_without_pixels(size):
    """Small interlaced images lack some of the seven passes."""
    samples, _ = sample_function(RGB, 8)
    image = pixels(png_of(size, RGB, 8, samples, interlaced=True)).image
    assert image.convert("RGBA").tobytes() == expected(size, RGB, 8, samples)


@pytest.mark.parametrize("pieces", [2, 7, 100, 100_000])
@pytest.mark.parametrize("size", [(11, 7), (300, 200)], ids=str)
def test_image_data_may_have_any_chunks(pieces, size):
    """The size of the IDAT chunks does not matter."""
    noise = random.Random(1).randbytes(size[0] * size[1])

    def samples(x, y):
        return [noise[y * size[0] + x]]

    assert pixels(png_of(size, GREY, 8, samples, pieces=min(pieces, 40_000))).image.tobytes() == noise


@pytest.mark.parametrize("value", [0x5B, 0xA4, 0, 255])
def test_an_image_of_one_colour_is_complete(value):
    """An image of any single colour is accepted, although the decoder's canvas is painted before."""
    assert pixels(png_of((4, 4), GREY, 8, lambda *_: [value])).image.tobytes() == bytes([value]) * 16


def test_missing_palette_entries_are_black():
    """libpng does the same; an incomplete last entry is ignored."""
    file = png(header((4, 1), 8, PALETTE), chunk(b"PLTE", b"\1\2\3\4\5\6\7"), data(b"\0\0\1\2\xff"))
    assert pixels(file).image.tobytes() == bytes((1, 2, 3, 4, 5, 6, 0, 0, 0, 0, 0, 0))


@pytest.mark.parametrize("kind", [GREY, RGB])
def test_a_transparent_colour_of_16_bits_is_compared_in_full(kind):
    """Colours that differ in one byte or one sample are opaque."""
    transparent = (0x1234, 0x5678, 0x9ABC)[: CHANNELS[kind]]
    other_colours = [
        (transparent[0] ^ 1, *transparent[1:]),
        (transparent[0] ^ 0x100, *transparent[1:]),
        (*transparent[:-1], transparent[-1] ^ 0x8000),
    ]
    colours = [transparent, *other_colours, transparent]
    file = png(header((5, 1), 16, kind), key(*transparent), data(rows((5, 1), 16, lambda x, _: colours[x])))
    assert pixels(file).image.getchannel("A").tobytes() == b"\0\xff\xff\xff\0"


def test_unused_bits_of_a_transparent_colour_are_ignored():
    """Section 11.3.1.1 requires this."""
    file = png(header((4, 1), 2, GREY), chunk(b"tRNS", b"\x12\x36"), data(b"\0\x1b"))
    assert pixels(file).image.getchannel("A").tobytes() == b"\xff\xff\0\xff"


# Damage ---------------------------------------------------------------------------------------------------------------

ANCILLARY = {
    b"tEXt": b"Comment\0Created with a pencil",
    b"zTXt": b"Comment\0\0" + zlib.compress(b"text"),
    b"iTXt": b"XML:com.adobe.xmp\0\0\0\0\0<x:xmpmeta/>",
    b"pHYs": struct.pack(">IIB", 2835, 2835, 1),
    b"sBIT": b"\x08\x08\x08",
    b"tIME": struct.pack(">HBBBBB", 2026, 5, 4, 10, 11, 12),
    b"bKGD": b"\0\1\0\2\0\3",
    b"hIST": b"\0\1",
    b"sPLT": b"x\0\x08",
    b"eXIf": exif_of(t0x010F="Maker").tobytes(),
    b"iCCP": b"x\0\0" + zlib.compress(matrix_profile(DISPLAY_P3, None)),
    b"gAMA": struct.pack(">I", 100_000),
    b"cHRM": struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000),
    b"sRGB": b"\0",
    b"cICP": b"\x0c\x0d\0\1",
    b"tRNS": b"\0\1\0\2\0\3",
    b"acTL": struct.pack(">II", 1, 0),
    b"fcTL": bytes(26),
    b"vpAg": b"\0\0\1\0\0\0\1\0\1",
    b"prVT": b"private",
}
QUARTERS = lambda x, y: ((200, 30, 30), (30, 200, 30), (30, 30, 200), (128, 128, 128))[2 * (y > 3) + (x > 3)]  # noqa: E731
PLAIN = expected((8, 8), RGB, 8, QUARTERS)

DAMAGES = {
    "a wrong checksum": lambda kind, payload: chunk(kind, payload, checksum=1),
    "no payload": lambda kind, _: chunk(kind, b""),
    "half a payload": lambda kind, payload: chunk(kind, payload[: len(payload) // 2], checksum=2),
    "zeros": lambda kind, payload: chunk(kind, bytes(len(payload)), checksum=3),
    "a long payload": lambda kind, payload: chunk(kind, payload * 300, checksum=4),
    "a length that is too small by 1": lambda kind, payload: chunk(kind, payload, length=len(payload) - 1),
    "a length that is too large by 1": lambda kind, payload: chunk(kind, payload, length=len(payload) + 1),
    "a length that is too large by 4": lambda kind, payload: chunk(kind, payload, length=len(payload) + 4),
    "a length of 0": lambda kind, payload: chunk(kind, payload, length=0),
    "the largest length": lambda kind, payload: chunk(kind, payload, length=0x7FFF_FFFF),
    "an impossible length": lambda kind, payload: chunk(kind, payload, length=0xFFFF_FFFF),
}


@pytest.mark.parametrize("kind", ANCILLARY, ids=bytes.decode)
def test_damaged_ancillary_chunks_are_ignored(kind):
    """The image is decoded without them."""
    for damage, make in DAMAGES.items():
        damaged = make(kind, ANCILLARY[kind])
        file = png(header((8, 8), 8, RGB), damaged, data(rows((8, 8), 8, QUARTERS)))
        assert displayed(file)[0].tobytes() == PLAIN, damage
        file = png(header((8, 8), 8, RGB), data(rows((8, 8), 8, QUARTERS)), damaged)
        assert displayed(file)[0].tobytes() == PLAIN, damage


@pytest.mark.parametrize("kind", ANCILLARY, ids=bytes.decode)
def test_the_first_of_two_ancillary_chunks_is_used(kind):
    """libpng and Chromium do the same."""
    once = png(header((8, 8), 8, RGB), chunk(kind, ANCILLARY[kind]), data(rows((8, 8), 8, QUARTERS)))
    second = chunk(kind, bytes(len(ANCILLARY[kind])))
    twice = png(header((8, 8), 8, RGB), chunk(kind, ANCILLARY[kind]), second, data(rows((8, 8), 8, QUARTERS)))
    assert displayed(twice)[0].tobytes() == displayed(once)[0].tobytes()


def test_text_that_inflates_to_megabytes_is_not_inflated():
    """Compressed text is not decompressed."""
    bomb = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(10_000_000), 9))
    file = png(header((8, 8), 8, RGB), bomb, data(rows((8, 8), 8, QUARTERS)))
    tracemalloc.start()
    assert displayed(file)[0].tobytes() == PLAIN
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_a_damaged_transparency_is_ignored_with_a_warning():
    """The image is opaque, and the warning says why."""
    for damaged in (chunk(b"tRNS", b"\0\x80" * 3, checksum=1), chunk(b"tRNS", b"\0\x80")):
        image, warnings = displayed(png(header((8, 8), 8, RGB), damaged, data(rows((8, 8), 8, QUARTERS))))
        assert image.tobytes() == PLAIN
        assert "tRNS" in warnings[0]
    before = chunk(b"tRNS", b"\x80"), chunk(b"PLTE", b"\1\2\3")
    image, warnings = displayed(png(header((1, 1), 8, PALETTE), *before, data(b"\0\0")))
    assert (image.tobytes(), len(warnings)) == (b"\1\2\3\xff", 1)


ROWS = rows((8, 8), 8, QUARTERS)
PACKED = zlib.compress(ROWS)
STORED_DATA, MORE = zlib.compress(ROWS, 0), zlib.compress(ROWS * 2, 0)
DAMAGED = MORE[:20] + bytes((MORE[20] ^ 1,)) + MORE[21:]

INCOMPLETE = {
    "no rows": data(b""),
    "a row less": data(ROWS[:-25]),
    "a byte less": data(ROWS[:-1]),
    "half the data": chunk(b"IDAT", PACKED[: len(PACKED) // 2]),
    "data that is no zlib stream": chunk(b"IDAT", b"abcdefgh"),
    "an unknown filter": data(b"\5" + ROWS[1:]),
    "a wrong sum of the data": chunk(b"IDAT", PACKED[:-1] + bytes((PACKED[-1] ^ 1,))),
    "a wrong sum in a separate chunk": chunk(b"IDAT", PACKED[:-4]) + chunk(b"IDAT", b"oops"),
    "a wrong sum of stored data in a separate chunk": chunk(b"IDAT", STORED_DATA[:-4]) + chunk(b"IDAT", b"oops"),
    "damage before more rows than there are": chunk(b"IDAT", DAMAGED, checksum=1),
    "data that goes on after its last chunk, which is damaged": chunk(b"IDAT", MORE[:-9], checksum=1),
    "another chunk between the data": (
        chunk(b"IDAT", PACKED[:20]) + chunk(b"tEXt", b"a\0b") + chunk(b"IDAT", PACKED[20:])
    ),
    "another chunk within a length": chunk(b"IDAT", PACKED, length=20),
}


@pytest.mark.parametrize("interlaced", [False, True], ids=["plain", "interlaced"])
@pytest.mark.parametrize("case", INCOMPLETE)
def test_missing_or_damaged_pixels_are_rejected(case, interlaced):
    """Incomplete or damaged pixel data is rejected."""
    with pytest.raises(CorruptImageError) as caught:
        pixels(png(header((8, 8), 8, RGB, interlaced), INCOMPLETE[case]))
    assert "stream" not in caught.value.message


@pytest.mark.parametrize("size", [(8, 8), (7, 5), (5, 2), (3, 1), (1, 3), (8, 7)], ids=str)
def test_missing_passes_are_rejected(size):
    """An interlaced image without its last passes is rejected."""
    whole_data = rows(size, 8, QUARTERS, interlaced=True)
    last_columns = size[0] // 2 if size[1] == 1 else size[0]
    for length in (4, len(whole_data) - 1 - 3 * last_columns):
        with pytest.raises(CorruptImageError):
            pixels(png(header(size, 8, RGB, True), data(whole_data[:length])))


COMPLETE = {
    "rows too many": png(header((8, 8), 8, RGB), data(ROWS * 1000)),
    "a wrong checksum of a chunk whose data has the right sum": png(
        header((8, 8), 8, RGB), chunk(b"IDAT", PACKED, checksum=1)
    ),
    "an empty chunk": png(
        header((8, 8), 8, RGB), chunk(b"IDAT", PACKED[:9]), chunk(b"IDAT"), chunk(b"IDAT", PACKED[9:])
    ),
    "bytes after the data": png(header((8, 8), 8, RGB), chunk(b"IDAT", PACKED + b"abc" * 99)),
    "bytes after the end": png(header((8, 8), 8, RGB), data(ROWS)) + b"left over",
    "a palette beside its colours": png(header((8, 8), 8, RGB), chunk(b"PLTE", b"abc"), data(ROWS)),
    "an unknown critical chunk after the pixels": png(header((8, 8), 8, RGB), data(ROWS), chunk(b"ABCD")),
    "transparency after the pixels": png(header((8, 8), 8, RGB), data(ROWS), chunk(b"tRNS", b"\0\x80" * 3)),
}  # fmt: skip


@pytest.mark.parametrize("file", COMPLETE.values(), ids=COMPLETE.keys())
def test_a_complete_image_is_decoded(file):
    """Other errors in the file do not matter."""
    assert displayed(file)[0].tobytes() == PLAIN


def test_a_missing_end_is_a_warning():
    """A missing end marker causes a warning, as for JPEG."""
    file = png(header((8, 8), 8, RGB), data(ROWS), end=b"")
    image, warnings = displayed(file)
    assert image.tobytes() == PLAIN
    assert "end marker" in warnings[0]
    assert displayed(file + END)[1] == []


REJECTED = {
    "a second header": (header((8, 8), 8, RGB) * 2 + data(ROWS), CorruptImageError, "two IHDR"),
    "a second, larger header": (
        header((8, 8), 8, RGB) + header((60_000, 60_000), 8, RGB) + data(ROWS), CorruptImageError, "two IHDR"
    ),
    "a second palette": (
        header((8, 8), 8, RGB) + chunk(b"PLTE", b"abc") * 2 + data(ROWS), CorruptImageError, "two PLTE"
    ),
    "text before the header": (chunk(b"tEXt", b"a\0b") + header((8, 8), 8, RGB), CorruptImageError, "IHDR"),
    "a header of 14 bytes": (
        chunk(b"IHDR", struct.pack(">IIBBBBBB", 8, 8, 8, 2, 0, 0, 0, 0)) + data(ROWS), CorruptImageError, "IHDR"
    ),
    "a damaged header": (header((8, 8), 8, RGB)[:-1] + b"x" + data(ROWS), CorruptImageError, "checksum"),
    "a compression method": (header((8, 8), 8, RGB, compression=1) + data(ROWS), CorruptImageError, "compression"),
    "a filter method": (header((8, 8), 8, RGB, filtering=64) + data(ROWS), CorruptImageError, "filter"),
    "an interlace method": (header((8, 8), 8, RGB, 2) + data(ROWS), CorruptImageError, "interlace"),
    "no palette": (header((8, 8), 8, PALETTE) + data(ROWS), CorruptImageError, "no palette"),
    "an empty palette": (header((8, 8), 8, PALETTE) + chunk(b"PLTE") + data(ROWS), CorruptImageError, "palette"),
    "a palette of 257": (
        header((8, 8), 8, PALETTE) + chunk(b"PLTE", bytes(771)) + data(ROWS), CorruptImageError, "palette"
    ),
    "a damaged palette": (
        header((8, 8), 8, PALETTE) + chunk(b"PLTE", b"abc", checksum=1) + data(ROWS), CorruptImageError, "checksum"
    ),
    "an unknown critical chunk": (
        header((8, 8), 8, RGB) + chunk(b"ABCD", b"x") + data(ROWS), UnsupportedFormatError, "ABCD"
    ),
    "Apple's variant": (
        chunk(b"CgBI", b"\x30\0\x20\2") + header((8, 8), 8, RGB) + data(ROWS), UnsupportedFormatError, "CgBI"
    ),
    "no pixels": (header((8, 8), 8, RGB), CorruptImageError, "no pixels"),
    "pixels that are more than the data can hold": (
        header((5000, 5000), 8, RGB) + data(ROWS), CorruptImageError, "5000 × 5000"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REJECTED)
def test_invalid_headers_are_rejected(case):
    """Admission rejects the file before a decoder starts, also if it is fetched in parts."""
    parts, error, words = REJECTED[case]
    file = png(parts)
    for reader in (Reader.of(file), Reader.fetched(lambda start, length: file[start : start + length], len(file))):
        with pytest.raises(error, match=words) as caught:
            admit(reader, Limits())
        assert type(caught.value) is error


# Budgets --------------------------------------------------------------------------------------------------------------


def test_a_flood_of_chunks_after_the_pixels_is_not_read():
    """The image is complete before these chunks."""
    budget = Budget()
    file = png(header((8, 8), 8, RGB), data(ROWS), chunk(b"teSt") * 500_000)
    assert pixels(file, budget).image.convert("RGBA").tobytes() == PLAIN
    assert budget.reads > 30_000


@pytest.mark.parametrize("flood", [chunk(b"teSt") * 200_000, chunk(b"IDAT") * 200_000], ids=["before", "as pixels"])
def test_a_flood_of_chunks_up_to_the_pixels_is_rejected(flood):
    """No writer makes hundreds of thousands of empty chunks."""
    budget = Budget()
    with pytest.raises(CorruptImageError, match="more parts"):
        admit(Reader.of(png(header((8, 8), 8, RGB), flood, data(ROWS)), budget), Limits())
    assert budget.reads < 0


def test_the_search_after_wrong_lengths_is_limited():
    """Each search for the next chunk is charged to the budget."""
    lost = chunk(b"teSt", bytes(40), length=39) + bytes(1000)
    budget = Budget()
    with pytest.raises(CorruptImageError):
        admit(Reader.of(png(header((8, 8), 8, RGB), *([lost] * 3000)), budget), Limits())
    few, many = (chunk(b"teSt", b"IDAT" * count, length=3) for count in (10, 60_000))
    assert pixels(png(header((8, 8), 8, RGB), few, data(ROWS))).image.size == (8, 8)
    with pytest.raises(CorruptImageError):
        admit(Reader.of(png(header((8, 8), 8, RGB), many, data(ROWS)), budget), Limits())
    assert budget.reads > 40_000


def test_a_second_header_is_rejected():
    """The second header of the file declares 4 GB."""
    tracemalloc.start()
    with pytest.raises(CorruptImageError):
        pixels(case("s1_two_headers.png"))
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_a_large_file_is_admitted_by_its_first_bytes():
    """The image data is not fetched."""
    noise = random.Random(2).randbytes(3_000_000)
    file = png(
        header((1000, 1000), 8, RGB), *(chunk(b"IDAT", noise[at : at + 8192]) for at in range(0, 3_000_000, 8192))
    )
    fetches = []

    def fetch(start, length):
        fetches.append((start, length))
        return file[start : start + length]

    assert admit(Reader.fetched(fetch, len(file)), Limits()).width == 1000
    assert fetches == [(0, FIRST_BYTES)]


@pytest.mark.parametrize(
    ("payload", "frames"),
    [
        (struct.pack(">II", 2, 0), 2),
        (struct.pack(">II", 0, 0), 1),
        (struct.pack(">II", 2**32 - 1, 0), 1),
        (struct.pack(">II", 50_000, 0), 1),
        (b"\0\0\0\5", 1),
    ],
)
def test_an_impossible_number_of_frames_is_ignored(payload, frames):
    """Each frame needs a minimum number of bytes."""
    file = png(header((8, 8), 8, RGB), chunk(b"acTL", payload), data(ROWS))
    assert admit(Reader.of(file), Limits()).frames == frames


def test_too_many_frames_are_too_large():
    """Too many frames are rejected, whatever their number."""
    control = chunk(b"fcTL", bytes(26))
    file = png(header((8, 8), 8, RGB), chunk(b"acTL", struct.pack(">II", 10_001, 0)), data(ROWS), control * 11_000)
    with pytest.raises(ImageTooLargeError, match="10000 frames"):
        admit(Reader.of(file), Limits())


# EXIF -----------------------------------------------------------------------------------------------------------------

TURNED = exif_of(t0x0112=6, t0x010F="Maker").tobytes()


def raw_profile(block, name=b"exif"):
    """EXIF as ImageMagick writes it into text."""
    digits = block.hex().encode()
    lines = b"\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    return b"\n%s\n%8d\n%s\n" % (name, len(block), lines)


EXIF = {
    "eXIf": [chunk(b"eXIf", TURNED.removeprefix(b"Exif\0\0"))],
    "eXIf with JPEG's marker": [chunk(b"eXIf", b"Exif\0\0" + TURNED.removeprefix(b"Exif\0\0"))],
    "zTXt": [chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(raw_profile(TURNED)))],
    "tEXt": [chunk(b"tEXt", b"Raw profile type exif\0" + raw_profile(TURNED))],
    "APP1": [chunk(b"zTXt", b"Raw profile type APP1\0\0" + zlib.compress(raw_profile(TURNED, b"generic profile")))],
    "XMP and EXIF as APP1": [
        chunk(b"tEXt", b"Raw profile type APP1\0" + raw_profile(b"http://ns.adobe.com/xap/1.0/\0<x/>", b"APP1")),
        chunk(b"tEXt", b"Raw profile type APP1\0" + raw_profile(TURNED, b"APP1")),
    ],
    "a damaged text before": [
        chunk(b"tEXt", b"Raw profile type exif\0" + raw_profile(TURNED), checksum=1),
        chunk(b"zTXt", b"Raw profile type exif\0\0oops"),
        chunk(b"tEXt", b"Raw profile type exif\0" + raw_profile(TURNED)),
    ],
}


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("how", EXIF)
def test_exif_is_read_from_every_place(how, place):
    """Orientation and facts are read from every place of EXIF."""
    parts = (*EXIF[how], data(ROWS)) if place == "before" else (data(ROWS), *EXIF[how])
    reader = Reader.of(png(header((8, 8), 8, RGB), *parts))
    assert admit(reader, Limits()).orientation == 6
    assert exif.read(reader).make == "Maker"


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize(("count", "orientation"), [(99, 6), (100, 1)])
def test_only_the_first_100_texts_are_searched(place, count, orientation):
    """A file with countless texts takes no more time."""
    texts = (chunk(b"tEXt", b"Comment\0none") * count, *EXIF["tEXt"])
    parts = (*texts, data(ROWS)) if place == "before" else (data(ROWS), *texts)
    assert admit(Reader.of(png(header((8, 8), 8, RGB), *parts)), Limits()).orientation == orientation


NO_EXIF = {
    "a wrong checksum": chunk(b"eXIf", TURNED, checksum=1),
    "no digits": chunk(b"tEXt", b"Raw profile type exif\0\nexif\n 9\nzz"),
    "no length": chunk(b"tEXt", b"Raw profile type exif\0\nexif\n"),
    "a huge length": chunk(b"tEXt", b"Raw profile type exif\0\nexif\n" + b"9" * 9999 + b"\n4949"),
    "a bomb": chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n 99999999\n" + b"49" * 5_000_000)),
    "another keyword": chunk(b"tEXt", b"Raw profile type iptc\0" + raw_profile(TURNED)),
}


@pytest.mark.parametrize("chunks", NO_EXIF.values(), ids=NO_EXIF.keys())
def test_broken_exif_is_ignored(chunks):
    """Damaged EXIF is ignored, and a bomb costs at most a megabyte."""
    reader = Reader.of(png(header((8, 8), 8, RGB), chunks, data(ROWS)))
    tracemalloc.start()
    assert admit(reader, Limits()).orientation == 1
    assert exif.read(reader).make is None
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


# Colours --------------------------------------------------------------------------------------------------------------

LINEAR_P3 = rgb_profile(DISPLAY_P3, D65, power_curve(1.0))
COLOURS = ((200, 60, 40), (30, 30, 30), (128, 128, 128), (0, 255, 0))
GREYS = (0x14, 0x64, 0xB4, 0xF0)


def gamma(value):
    return chunk(b"gAMA", struct.pack(">I", value))


def chromaticities(*values):
    return chunk(b"cHRM", struct.pack(">8I", *values))


def embedded(profile):
    return chunk(b"iCCP", b"x\0\0" + zlib.compress(profile))


def code_points(*values):
    return chunk(b"cICP", bytes(values))


SRGB_POINTS = chromaticities(31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
P3_POINTS = chromaticities(31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
AS_STORED = COLOURS
GAMMA_1 = ((229, 133, 110), (96, 96, 96), (188, 188, 188), (0, 255, 0))
AS_LINEAR_P3 = ((244, 127, 104), (96, 96, 96), (188, 188, 188), (0, 255, 0))
AS_P3 = ((217, 42, 23), (30, 30, 30), (128, 128, 128), (0, 255, 0))

CHROMIUM = {
    "gAMA of sRGB": ([gamma(45455)], AS_STORED),
    "gAMA of 1": ([gamma(100_000)], GAMMA_1),
    "gAMA of 1/1.8": ([gamma(55555)], ((210, 77, 53), (40, 40, 40), (146, 146, 146), (0, 255, 0))),
    "gAMA of 1 and cHRM of sRGB": ([gamma(100_000), SRGB_POINTS], GAMMA_1),
    "cHRM alone": ([P3_POINTS], AS_STORED),
    "gAMA and cHRM of P3": ([gamma(45455), P3_POINTS], ((219, 37, 13), (24, 24, 24), (129, 129, 129), (0, 255, 0))),
    "sRGB over gAMA": ([chunk(b"sRGB", b"\0"), gamma(100_000)], AS_STORED),
    "a gAMA of 0": ([gamma(0)], AS_STORED),
    "a gAMA with a wrong checksum": ([chunk(b"gAMA", b"\0\1\x86\xa0", checksum=1)], AS_STORED),
    "two gAMA": ([gamma(100_000), gamma(45455)], GAMMA_1),
    "iCCP": ([embedded(LINEAR_P3)], AS_LINEAR_P3),
    "iCCP over sRGB": ([chunk(b"sRGB", b"\0"), embedded(LINEAR_P3)], AS_LINEAR_P3),
    "cICP": ([code_points(12, 13, 0, 1)], AS_P3),
    "cICP over iCCP": ([embedded(LINEAR_P3), code_points(12, 13, 0, 1)], AS_P3),
    "cICP of sRGB over iCCP": ([embedded(LINEAR_P3), code_points(1, 13, 0, 1)], AS_STORED),
    "a cICP of reserved primaries": ([code_points(0, 13, 0, 1), embedded(LINEAR_P3)], AS_LINEAR_P3),
    "a cICP that says nothing": ([code_points(2, 2, 0, 1), embedded(LINEAR_P3)], AS_LINEAR_P3),
    "a cICP of narrow range": ([code_points(12, 13, 0, 0)], AS_STORED),
    "a cICP that is too short": ([chunk(b"cICP", b"\x0c\x0d\0"), embedded(LINEAR_P3)], AS_LINEAR_P3),
    "a broken iCCP over gAMA": ([chunk(b"iCCP", b"x\0\0abc"), gamma(100_000)], GAMMA_1),
    "an iCCP that is no profile": ([embedded(b"x" * 200), gamma(100_000)], GAMMA_1),
    "an iCCP of another compression": (
        [chunk(b"iCCP", b"x\0\1" + zlib.compress(LINEAR_P3)), gamma(100_000)], GAMMA_1
    ),
    "an sRGB of no bytes": ([chunk(b"sRGB"), gamma(100_000)], GAMMA_1),
    "an sRGB of no intent": ([chunk(b"sRGB", b"\x09"), gamma(100_000)], GAMMA_1),
}  # fmt: skip
"""Chunks, and what Chromium 156 shows of `COLOURS` with them."""


@pytest.mark.parametrize("case", CHROMIUM)
def test_colours_are_as_in_chromium(case):
    """The colours equal those of an independent implementation."""
    chunks, expected_colours = CHROMIUM[case]
    rgb_file = png(header((4, 1), 8, RGB), *chunks, data(b"\0" + bytes(sum(COLOURS, ()))))
    palette_file = png(
        header((4, 1), 8, PALETTE), *chunks, chunk(b"PLTE", bytes(sum(COLOURS, ()))), data(b"\0\0\1\2\3")
    )
    for file in (rgb_file, palette_file):
        actual = displayed(file)[0].convert("RGB").tobytes()
        assert max(abs(a - b) for a, b in zip(actual, sum(expected_colours, ()), strict=True)) <= 2


def test_the_usual_pair_of_gamma_and_chromaticities_is_srgb():
    """Most writers add this pair to sRGB images; libvips and ImageMagick treat it as sRGB, too."""
    file = png(header((4, 1), 8, RGB), gamma(45455), SRGB_POINTS, data(b"\0" + bytes(sum(COLOURS, ()))))
    assert pixels(file).profile == b""


def profile_of(*chunks):
    """The profile of an image with these chunks."""
    return pixels(png(header((4, 1), 8, RGB), *chunks, data(b"\0" + bytes(sum(COLOURS, ()))))).profile


@pytest.mark.parametrize(
    ("chunks", "converted"),
    [
        ([gamma(46_040)], False),
        ([gamma(46_120)], True),
        ([gamma(44_880)], False),
        ([gamma(44_800)], True),
        ([gamma(45_455), chromaticities(31270, 32900, 64290, 33000, 30000, 60000, 15000, 6000)], False),
        ([gamma(45_455), chromaticities(31270, 32900, 64310, 33000, 30000, 60000, 15000, 6000)], True),
        ([gamma(10_000)], True),
        ([gamma(9_990)], False),
        ([gamma(1_000_000)], True),
        ([gamma(1_001_000)], False),
    ],
)
def test_only_colours_that_differ_visibly_are_converted(chunks, converted):
    """A gamma within 0.03 of 2.2 and points within 0.003 are sRGB; a gamma that is not from 0.1 to 10 is ignored."""
    assert bool(profile_of(*chunks)) is converted


@pytest.mark.parametrize(
    "points",
    [
        (0,) * 8,
        (31270, 32900, 32000, 33000, 31000, 34000, 30500, 32000),
        (31270, 32900, 64000, 33000, 64000, 33000, 64000, 33000),
        (90000, 90000, 64000, 33000, 30000, 60000, 15000, 6000),
        (2**32 - 1,) * 8,
        (31270, 0, 64000, 0, 30000, 0, 15000, 0),
    ],
)
def test_invalid_chromaticities_are_ignored(points):
    """They cause no error. The second ones are so near to each other that colours would be far too strong."""
    file = png(header((4, 1), 8, RGB), gamma(100_000), chromaticities(*points), data(b"\0" + bytes(sum(COLOURS, ()))))
    assert (
        max(abs(a - b) for a, b in zip(displayed(file)[0].convert("RGB").tobytes(), sum(GAMMA_1, ()), strict=True)) <= 2
    )


@pytest.mark.parametrize(
    "chunks",
    [
        [embedded(grey_profile(power_curve(1.0)))],
        [embedded(LINEAR_P3)],
        [gamma(100_000)],
        [gamma(100_000), P3_POINTS],
        [code_points(1, 8, 0, 1)],
    ],
    ids=["grey profile", "RGB profile", "gAMA", "gAMA and cHRM", "cICP"],
)
@pytest.mark.parametrize("alpha", [False, True], ids=["grey", "grey and alpha"])
def test_profiles_apply_to_grey_images(chunks, alpha):
    """The greys 4f a8 db f8 equal those of Chromium, with and without alpha."""
    kind = GREY_ALPHA if alpha else GREY
    row = b"".join(bytes((grey, 255) if alpha else (grey,)) for grey in GREYS)
    image, warnings = displayed(png(header((4, 1), 8, kind), *chunks, data(b"\0" + row)))
    actual = image.convert("RGB").tobytes()
    assert max(abs(a - b) for a, b in zip(actual, bytes.fromhex("4f4f4fa8a8a8dbdbdbf8f8f8"), strict=True)) <= 1
    assert warnings == []


@pytest.mark.parametrize(
    "profile",
    [
        b"",
        b"x" * 500,
        grey_profile(SRGB_CURVE),
        LINEAR_P3.replace(b"acsp", b"oops"),
        LINEAR_P3[:100],
        LINEAR_P3 + bytes(icc.MOST_BYTES),
    ],
    ids=["empty", "text", "for grey", "no profile", "cut", "too long"],
)
def test_a_broken_profile_is_a_warning(profile):
    """The profile is ignored with a warning."""
    image, warnings = displayed(png(header((4, 1), 8, RGB), embedded(profile), data(b"\0" + bytes(sum(COLOURS, ())))))
    assert image.convert("RGB").tobytes() == bytes(sum(COLOURS, ()))
    assert "profile" in warnings[0]


def test_the_decompression_of_a_profile_is_limited():
    """Decompression stops above the size limit of a profile."""
    bomb = embedded(bytes(50_000_000))
    tracemalloc.start()
    _, warnings = displayed(png(header((8, 8), 8, RGB), bomb, data(ROWS)))
    assert tracemalloc.get_traced_memory()[1] < 12_000_000
    tracemalloc.stop()
    assert "profile" in warnings[0]


# The stored files -----------------------------------------------------------------------------------------------------

FOUR = ("c81e1eff", "1ec81eff", "1e1ec8ff", "808080ff")

STORED = {
    "e1_text_inflates_to_1.1MB.png": FOUR,
    "e3_text_bad_crc.png": FOUR,
    "e5_short_phys.png": FOUR,
    "e4_grey16_trns.png": ("14141400", "646464ff", "b4b4b4ff", "f0f0f0ff"),
    "h3_grey2_trns.png": ("555555ff", "aaaaaa00", "555555ff", "ffffffff"),
    "d5_grey_alpha_profile.png": ("4f4f4fff", "a8a8a8ff", "dbdbdbff", "f8f8f8ff"),
    "d5_reference_grey_profile.png": ("4f4f4fff", "a8a8a8ff", "dbdbdbff", "f8f8f8ff"),
    "s5_profile_with_negative_base.png": ("ff0000ff", "00ff00ff", "0000ffff", "ffffffff"),
}


@pytest.mark.parametrize("name", STORED)
def test_stored_files(name):
    """The centre of each quarter has the expected colour and opacity."""
    image, warnings = displayed(case(name))
    width, height = image.size
    actual = [
        bytes(image.getpixel((x, y))).hex()
        for y in (height // 4, height * 3 // 4)
        for x in (width // 4, width * 3 // 4)
    ]
    assert tuple(actual) == STORED[name]
    assert ("profile" in "".join(warnings)) == name.startswith("s5")


# Any combination, any damage ------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32), st.integers(0, 3))
@settings(max_examples=examples(300))
def test_a_damaged_file_is_decoded_correctly_or_rejected(seed, flips):
    """Checksums detect the damage."""
    chance = random.Random(seed)
    kind, bits = chance.choice(KINDS)
    samples, palette = sample_function(kind, bits, seed)
    size = chance.randint(1, 9), chance.randint(1, 9)
    transparency = chance.choice(transparencies(kind, bits, samples))
    extra = [chunk(name, ANCILLARY[name]) for name in chance.sample(sorted(ANCILLARY.keys() - {b"tRNS"}), 3)]
    file = bytearray(
        png_of(size, kind, bits, samples, palette, transparency, chance.random() < 0.5, chance.randint(1, 5), extra)
    )
    for _ in range(flips):
        at = chance.randrange(8, len(file))
        how = chance.randrange(4)
        if how == 0:
            file[at] ^= 1 << chance.randrange(8)
        elif how == 1:
            del file[at : at + chance.randint(1, 12)]
        elif how == 2:
            file[at:at] = chance.randbytes(chance.randint(1, 12))
        else:
            file[at : at + 4] = chance.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\1"))
    budget = Budget()
    try:
        image = pixels(bytes(file), budget).image.convert("RGBA")
    except RejectedError:
        assert flips
        return
    expected_pixels = expected(size, kind, bits, samples, palette, transparency)
    if image.tobytes() != expected_pixels:  # the transparency was damaged and left out
        assert flips
        assert transparency
        opaque = expected(size, kind, bits, samples, palette)
        assert image.tobytes() == opaque
    assert budget.reads > 49_000


BOMBS = {
    "short words": chunk(b"tEXt", b"Raw profile type exif\0\nexif\n 1000000\n" + b"4 " * 500_000),
    "short words, compressed": chunk(
        b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n 1000000\n" + b"4d " * 340_000, 9)
    ),
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_raw_profile_takes_little_more_memory_than_its_text(bomb):
    """Hexadecimal digits are at most 1 MiB; an object for each word would take forty times as much."""
    data = saved(quarters(), "PNG")
    end = data.index(b"IDAT") - 4
    tracemalloc.start()
    admit(Reader.of(data[:end] + bomb + data[end:]), Limits())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


def test_compressed_profiles_that_fail_are_charged():
    """A megabyte may have been inflated before the error, so a few of them use up the budget."""
    deflater = zlib.compressobj(9)
    text = deflater.compress(b"\nexif\n 9\n" + b"0" * 1_000_000) + deflater.flush(zlib.Z_FULL_FLUSH) + b"\xff" * 4
    failing = chunk(b"zTXt", b"Raw profile type exif\0\0" + text)
    data = saved(quarters(), "PNG")
    end = data.index(b"IDAT") - 4
    budget = Budget()
    admit(Reader.of(data[:end] + failing * 2 + data[end:], budget), Limits())
    assert budget.bytes <= Budget().bytes - 2_000_000
