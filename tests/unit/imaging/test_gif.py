"""Structure, header and pixels of GIF."""

import random
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from image_pipeline.errors import CorruptImageError, ImageTooLargeError, RejectedError
from image_pipeline.imaging.decode import decode
from image_pipeline.imaging.formats.admission import admit
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.reader import FIRST_BYTES, Budget, Reader
from tests.conftest import examples
from tests.corpus import HERE, SIZE, saved
from tests.corpus import quarters as quarters_image
from tests.corpus.gifs import NETSCAPE, QUARTERS, blocks, control, extension, frame, gif, lzw, quarters


def pixels(file, budget=None):
    """The decoded pixels of an admitted file."""
    reader = Reader.of(file, budget)
    return decode(reader, admit(reader, Limits()))


def canvas(size, box, indices, colours, transparent=None):
    """RGBA of a frame on a transparent canvas, as specified; entries that a table lacks are black."""
    out = bytearray(4 * size[0] * size[1])
    left, top, width, height = box
    for at, index in enumerate(indices):
        x, y = left + at % width, top + at // width
        colour = colours[3 * index : 3 * index + 3] or b"\0\0\0"
        start = 4 * (y * size[0] + x)
        out[start : start + 4] = colour + (b"\0" if index == transparent else b"\xff")
    assert len(indices) == width * height
    return bytes(out)


def rgba(file):
    """The pixels with their opacity."""
    return pixels(file).image.convert("RGBA").tobytes()


def test_the_decoder_has_the_admitted_size():
    """Admission and decoder read the same size, so limits hold."""
    assert pixels(saved(quarters_image("P"), "GIF")).image.size == SIZE


def test_another_size_is_not_decoded():
    """A size that differs from the admitted one is rejected before a pixel is decoded."""
    reader = Reader.of(saved(quarters_image("P"), "GIF"))
    with pytest.raises(CorruptImageError, match="240 × 160"):
        decode(reader, Header("GIF", 24, 16, "RGB"))


def test_the_flag_of_a_sorted_table_is_ignored():
    """The rows of such a frame have their usual order."""
    part = bytearray(frame((0, 0, 13, 11)))
    part[9] |= 0x20
    assert rgba(gif((13, 11), [bytes(part)])) == rgba(gif((13, 11)))


@pytest.mark.parametrize("disposal", [1, 2, 3])
def test_only_the_flag_of_transparency_makes_a_colour_transparent(disposal):
    """The other flags of a graphic control have no effect on the first frame."""
    assert pixels(gif((4, 4), [control(None, disposal) + frame((0, 0, 4, 4))])).image.mode == "RGB"


@pytest.mark.parametrize("height", [5, 6])
def test_an_interlaced_frame_without_its_last_row_is_rejected(height):
    """The last of the four passes ends with the last odd row."""
    codes = lzw(b"\1" * 40 * (height - 1), 2)
    with pytest.raises(CorruptImageError, match="cut off"):
        pixels(gif((40, height), [frame((0, 0, 40, height), interlaced=True, data=codes)]))


# Every kind -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("interlaced", [False, True], ids=["plain", "interlaced"])
@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("local", [False, True], ids=["global table", "local table"])
def test_pixels_of_every_kind(bits, interlaced, local):
    """Samples of every depth become the correct colours and opacity."""
    chance = random.Random(bits)
    size = (13, 11)
    colours = chance.randbytes(3 << bits)
    indices = bytes(chance.randrange(1 << bits) for _ in range(size[0] * size[1]))
    for transparent in (None, indices[0], 255):
        block = frame((0, 0, *size), indices, bits=bits, interlaced=interlaced, colours=colours if local else b"")
        file = gif(size, [control(transparent), block], b"" if local else colours)
        assert rgba(file) == canvas(size, (0, 0, *size), indices, colours, transparent)


@pytest.mark.parametrize("height", range(1, 10))
def test_interlaced_frames_of_few_rows(height):
    """Frames with empty passes are decoded."""
    file = gif((3, height), [frame((0, 0, 3, height), interlaced=True)])
    assert rgba(file) == canvas((3, height), (0, 0, 3, height), quarters(3, height), QUARTERS)


PLACES = {
    "smaller": ((8, 8), (2, 3, 4, 4), (8, 8)),
    "in a corner": ((8, 8), (0, 0, 4, 4), (8, 8)),
    "larger": ((4, 4), (0, 0, 8, 8), (8, 8)),
    "over the edge": ((8, 8), (4, 5, 8, 8), (12, 13)),
    "outside": ((8, 8), (20, 20, 4, 4), (24, 24)),
    "on a screen of no size": ((0, 0), (0, 0, 8, 8), (8, 8)),
    "beside a screen of no size": ((0, 0), (2, 2, 4, 4), (6, 6)),
}


@pytest.mark.parametrize(("screen", "box", "size"), PLACES.values(), ids=PLACES.keys())
@pytest.mark.parametrize("version", [b"87a", b"89a"])
def test_the_first_frame_lies_on_a_transparent_canvas(screen, box, size, version):
    """The canvas contains screen and frame, without a background colour, as in Chromium 156."""
    file = gif(screen, [frame(box), frame((0, 0, 2, 2))], background=1, version=version)
    assert pixels(file).image.size == size
    assert rgba(file) == canvas(size, box, quarters(*box[2:]), QUARTERS)


@pytest.mark.parametrize("size", [1, 2, 7, 254, 255])
def test_sub_blocks_of_any_size(size):
    """The size of sub-blocks does not matter."""
    assert rgba(gif((40, 40), [frame((0, 0, 40, 40), size=size)])) == rgba(gif((40, 40)))


PLAIN = canvas((8, 8), (0, 0, 8, 8), quarters(8, 8), QUARTERS)
ODD = {
    "a NETSCAPE block that ends at once": [NETSCAPE + b"\0"],
    "a NETSCAPE block": [NETSCAPE + b"\3\1\0\0\0"],
    "comments": [extension(0xFE, b"one", b"two"), extension(0xFE)],
    "XMP": [b"\x21\xff\x0bXMP DataXMP" + b"<x:xmpmeta/>" + bytes(range(255, -1, -1)) + b"\0"],
    "an unknown extension": [extension(0x99, b"abc")],
    "plain text": [extension(1, bytes(12), b"abc")],
    "an empty graphic control": [b"\x21\xf9\0"],
    "a short graphic control": [b"\x21\xf9\1\1\0"],
    "a graphic control that is taken back": [control(0), control()],
    "a graphic control of the next frame": [frame((0, 0, 8, 8)), control(0)],
}


@pytest.mark.parametrize("parts", ODD.values(), ids=ODD.keys())
def test_extensions_do_not_change_the_first_frame(parts):
    """The decoder does not see extensions, whatever their length."""
    assert rgba(gif((8, 8), [*parts, frame((0, 0, 8, 8))])) == PLAIN


def test_the_last_graphic_control_applies():
    """The last graphic control before the frame applies; additional bytes in it are ignored."""
    for parts in ([control(0), control(3)], [b"\x21\xf9\x05\1\0\0\3\0\0"], [control(3), extension(1, b"text")]):
        file = gif((8, 8), [*parts, frame((0, 0, 8, 8))])
        assert rgba(file) == canvas((8, 8), (0, 0, 8, 8), quarters(8, 8), QUARTERS, 3)


@pytest.mark.parametrize("bits", [4, 8])
def test_a_frame_of_one_colour_is_complete(bits):
    """The index of the colour does not matter, although the decoder's canvas is painted before."""
    for value in {0x5B, 0xA4, 0, 255} if bits == 8 else range(16):
        file = gif((9, 9), [frame((0, 0, 9, 9), bytes([value]) * 81, bits=bits)], bytes(range(256)) * 3)
        assert rgba(file) == canvas((9, 9), (0, 0, 9, 9), bytes([value]) * 81, bytes(range(256)) * 3)


# Rejected -------------------------------------------------------------------------------------------------------------

CODES = lzw(quarters(40, 40), 2)
REJECTED = {
    "no frame": (gif((8, 8), []), "no frame"),
    "an unknown block": (gif((8, 8), [b"x", frame((0, 0, 8, 8))]), "block 0x78"),
    "a frame without width": (gif((8, 8), [frame((0, 0, 0, 8), b"")]), "0 × 8"),
    "a frame without height": (gif((8, 8), [frame((0, 0, 8, 0), b"")]), "8 × 0"),
    "codes of 1 bit": (gif((40, 40), [frame((0, 0, 40, 40), data=b"\1" + CODES[1:])]), "1 bits"),
    "codes of 9 bits": (gif((40, 40), [frame((0, 0, 40, 40), data=b"\x09" + CODES[1:])]), "9 bits"),
    "a colour table that is cut off": (gif((8, 8))[:20], "cut off"),
    "more pixels than its bytes can hold": (gif((9000, 9000), [frame((0, 0, 9000, 9000), b"")]), "9000 × 9000"),
}
INCOMPLETE = {
    "half of the codes": frame((0, 0, 40, 40), data=CODES[: len(CODES) // 2]),
    "half of the codes before another frame": frame((0, 0, 40, 40), data=CODES[: len(CODES) // 2])
    + frame((0, 0, 4, 4)),
    "fewer pixels": frame((0, 0, 40, 40), quarters(40, 40)[:-1]),
    "a row less": frame((0, 0, 40, 40), quarters(40, 40)[:-40]),
    "a row less, and more sub-blocks": frame((0, 0, 40, 40), quarters(40, 40)[:-40])[:-1] + blocks(bytes(600)),
    "no pixels": frame((0, 0, 40, 40), b""),
    "no codes": frame((0, 0, 40, 40), data=b"\2"),
    "codes that do not exist": frame((0, 0, 40, 40), data=b"\2" + b"\xff" * 40),
}


@pytest.mark.parametrize("case", REJECTED)
def test_invalid_headers_are_rejected(case):
    """Admission rejects the file before a decoder starts, also if it is fetched in parts."""
    file, words = REJECTED[case]
    for reader in (Reader.of(file), Reader.fetched(lambda start, length: file[start : start + length], len(file))):
        with pytest.raises(CorruptImageError, match=words):
            admit(reader, Limits())


@pytest.mark.parametrize("interlaced", [False, True], ids=["plain", "interlaced"])
@pytest.mark.parametrize("case", INCOMPLETE)
def test_missing_pixels_are_rejected(case, interlaced):
    """An incomplete image is rejected."""
    parts = bytearray(INCOMPLETE[case])
    parts[9] |= interlaced << 6
    with pytest.raises(CorruptImageError):
        pixels(gif((40, 40), [bytes(parts)]))


@pytest.mark.parametrize("end", range(26, 60))
def test_a_file_that_is_cut_off_is_rejected(end):
    """A cut at any place of the only frame is detected."""
    file = gif((40, 40))
    if end < len(file) - 3:
        with pytest.raises(CorruptImageError):
            pixels(file[:end])


# Budgets --------------------------------------------------------------------------------------------------------------


def test_a_large_animation_is_admitted_by_its_first_bytes():
    """Admission does not fetch the other frames; they are counted when all bytes are available."""
    comment = b"\x21\xfe" + blocks(bytes(10_000_000))
    file = gif((8, 8), [frame((0, 0, 8, 8)), *[comment, frame((0, 0, 8, 8))] * 3])
    assert len(file) > 30_000_000
    fetches = []

    def fetch(start, length):
        fetches.append((start, length))
        return file[start : start + length]

    assert admit(Reader.fetched(fetch, len(file)), Limits()).width == 8
    assert fetches == [(0, FIRST_BYTES)]
    budget = Budget()
    assert admit(Reader.of(file, budget), Limits()).frames == 4
    assert budget.reads > 45_000


def test_a_large_first_frame_is_admitted():
    """The pixel data of the first frame does not use the budget."""
    size = (2600, 2000)
    codes = bytes([8]) + random.Random(1).randbytes(1_000_000) * 26
    file = gif(size, [frame((0, 0, *size), data=codes)])
    for reader in (Reader.of(file), Reader.fetched(lambda start, length: file[start : start + length], len(file))):
        assert admit(reader, Limits()).frames == 1


@pytest.mark.parametrize("count", [1, 2, 9_999, 10_000])
def test_frames_are_counted(count):
    """The count is exact up to the limit."""
    tiny = frame((0, 0, 1, 1), b"\0")
    assert admit(Reader.of(gif((1, 1), [tiny] * count)), Limits()).frames == count


@pytest.mark.parametrize("count", [10_001, 200_000])
def test_too_many_frames_are_too_large(count):
    """Too many frames are rejected, whatever their number."""
    with pytest.raises(ImageTooLargeError, match="10000 frames"):
        admit(Reader.of(gif((1, 1), [frame((0, 0, 1, 1), b"\0")] * count)), Limits())


def test_a_flood_of_sub_blocks_after_the_first_frame_is_not_read():
    """The image is complete before the sub-blocks."""
    budget = Budget()
    file = gif((8, 8), [frame((0, 0, 8, 8)), b"\x21\xfe" + b"\1a" * 5_000_000 + b"\0", frame((0, 0, 8, 8))])
    assert pixels(file, budget).image.size == (8, 8)
    assert budget.reads < 0


def test_a_flood_of_sub_blocks_before_the_first_frame_is_rejected():
    """No writer makes hundreds of thousands of sub-blocks."""
    file = gif((8, 8), [b"\x21\xfe" + b"\1a" * 100_000 + b"\0", frame((0, 0, 8, 8))])
    with pytest.raises(CorruptImageError, match="more parts"):
        admit(Reader.of(file), Limits())


def test_an_empty_extension_does_not_hide_the_image():
    """Admission must see an image of 13,300 × 17,200 pixels after it."""
    tracemalloc.start()
    with pytest.raises(CorruptImageError):
        pixels((HERE / "cases" / "s2_netscape_block_ends_at_once.gif").read_bytes())
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_a_first_frame_at_an_offset():
    """The rest of the canvas is transparent."""
    image = pixels((HERE / "cases" / "h5_first_frame_offset.gif").read_bytes()).image
    assert image.size == (400, 300)
    assert image.getpixel((0, 0)) == (0, 0, 0, 0)
    left, top, right, bottom = image.getchannel("A").getbbox()
    assert 0 < left < right < 400
    assert 0 < top < bottom < 300


# Any combination, any damage ------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32))
@settings(max_examples=examples(200))
def test_any_combination_is_decoded_correctly(seed):
    """Every combination of the format's options is decoded correctly."""
    chance = random.Random(seed)
    bits = chance.randint(2, 8)
    box = (chance.randint(0, 5), chance.randint(0, 5), chance.randint(1, 12), chance.randint(1, 12))
    screen = chance.randint(0, 15), chance.randint(0, 15)
    size = max(screen[0], box[0] + box[2]), max(screen[1], box[1] + box[3])
    indices = bytes(chance.randrange(1 << bits) for _ in range(box[2] * box[3]))
    colours = chance.randbytes(3 * chance.randint(2, 1 << bits))
    local = chance.random() < 0.5
    transparent = chance.choice((None, chance.randrange(1 << bits)))
    interlaced = chance.random() < 0.5
    block = frame(
        box, indices, bits=bits, colours=colours if local else b"", interlaced=interlaced, size=chance.randint(1, 255)
    )
    odd = [part for parts in chance.sample(list(ODD.values())[:6], 2) for part in parts]
    table = colours[::-1] if local else colours
    file = gif(screen, [*odd, control(transparent), block, frame((0, 0, 3, 3))], table)
    assert rgba(file) == canvas(size, box, indices, colours, transparent)


@given(st.integers(0, 2**32))
@settings(max_examples=examples(200))
def test_any_damage_ends_in_an_image_or_a_rejection(seed):
    """Without checksums, damaged files have the admitted size or are rejected."""
    chance = random.Random(seed)
    file = bytearray(gif((20, 20), [NETSCAPE + b"\3\1\0\0\0", control(3), frame((2, 2, 16, 16)), frame((0, 0, 9, 9))]))
    for _ in range(chance.choice((1, 1, 2, 4))):
        at = chance.randrange(6, len(file))
        how = chance.randrange(3)
        if how == 0:
            file[at] = chance.randrange(256)
        elif how == 1:
            del file[at : at + chance.randint(1, 12)]
        else:
            file[at:at] = chance.randbytes(chance.randint(1, 12))
        if len(file) < 14:
            break
    reader = Reader.of(bytes(file))
    try:
        header = admit(reader, Limits(max_pixels=4_000_000))
        image = decode(reader, header).image
    except RejectedError:
        return
    assert image.size == (header.width, header.height)
