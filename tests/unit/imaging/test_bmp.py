"""Structure, header and pixels of BMP."""

import io
import random
import struct
from contextlib import suppress
from dataclasses import replace

import pytest
from PIL import Image

from image_pipeline.errors import CorruptImageError, ImageTooLargeError, RejectedError, UnsupportedFormatError
from image_pipeline.imaging import engine
from image_pipeline.imaging.colour import DISPLAY_P3, matrix_profile
from image_pipeline.imaging.decode import decode
from image_pipeline.imaging.decoders import runs
from image_pipeline.imaging.formats.admission import admit
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.reader import Budget, Reader
from image_pipeline.imaging.recipes import Recipe
from tests.conftest import examples
from tests.corpus import changed
from tests.corpus.bmps import BITFIELDS, COLOURS, KINDS, RLE4, RLE8, Bmp, has_alpha, rle, with_profile


def decoded(data):
    """The decoded pixels of a file."""
    reader = Reader.of(data)
    pixels = decode(reader, admit(reader, Limits()))
    assert (pixels.box, pixels.orientation) == ((0, 0, *pixels.image.size), 1)
    return pixels


def four(image):
    """The colours of the four quarters."""
    return [image.getpixel((x * image.width // 4, y * image.height // 4)) for y in (1, 3) for x in (1, 3)]


def rejected(data, limits=None):
    """The error message of a rejected file."""
    with pytest.raises(RejectedError) as caught:
        admit(Reader.of(data), limits or Limits())
    return caught.value


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_is_decoded(name):
    """Colours and transparency are correct for every kind."""
    bmp = KINDS[name]
    image = decoded(bmp.data()).image
    assert image.size == bmp.size
    assert image.mode == ("RGBA" if has_alpha(bmp) else "RGB")
    tolerance = 9 if bmp.bits == 16 else 1
    colours = [(*colour, alpha)[: len(image.mode)] for colour, alpha in zip(COLOURS, bmp.alphas, strict=True)]
    for actual, expected in zip(four(image), colours, strict=True):
        assert max(abs(a - b) for a, b in zip(actual, expected, strict=True)) <= tolerance


def test_one_bit_has_two_colours():
    """A one-bit image may have any two colours."""
    assert four(decoded(Bmp(1).data()).image) == [*COLOURS[:2], *COLOURS[:2]]


@pytest.mark.parametrize("used", [2**32 - 1, 257, 0])
def test_a_palette_has_no_more_entries_than_its_bits_can_name(used):
    """A larger declared number of colours is ignored."""
    data = changed(Bmp(8).data(), 46, struct.pack("<I", used))
    budget = Budget()
    reader = Reader.of(data, budget)
    assert four(decode(reader, admit(reader, Limits())).image) == list(COLOURS)
    assert Budget().bytes - budget.bytes < 70_000


def test_colours_that_a_palette_lacks_are_black():
    """An index beyond the palette does not cause a rejection."""
    image = decoded(Bmp(8, colours_used=2).data()).image
    assert four(image) == [*COLOURS[:2], (0, 0, 0), (0, 0, 0)]


@pytest.mark.parametrize("bmp", [Bmp(32, header=64), Bmp(16, header=124), Bmp(24, header=124)])
def test_only_pixels_of_32_bits_have_a_mask_of_alpha(bmp):
    """OS/2 has other fields at its place, and fewer bits have no room for alpha without bit fields."""
    data = changed(replace(bmp, alphas=(9, 9, 9, 9)).data(), 66, struct.pack("<I", 0xFF000000))
    image = decoded(data).image
    assert image.mode == "RGB"
    assert max(abs(a - b) for pair in zip(four(image), COLOURS, strict=True) for a, b in zip(*pair, strict=True)) <= 9


def test_red_may_be_the_first_byte():
    """The fourth byte of such pixels is not used."""
    bmp = Bmp(32, compression=BITFIELDS, masks=(0xFF, 0xFF00, 0xFF0000), alphas=(0, 0, 0, 0))
    assert four(decoded(bmp.data()).image) == list(COLOURS)


@pytest.mark.parametrize("header", [40, 124])
def test_pixels_without_an_offset_follow_the_palette(header):
    """The header declares how many colours the palette has."""
    assert four(decoded(Bmp(8, header, colours_used=4, offset=0).data()).image) == list(COLOURS)


def test_an_embedded_profile_is_applied():
    """Colours of a Display P3 profile are converted to sRGB."""
    rendered = engine.render(
        with_profile(matrix_profile(DISPLAY_P3, None)).data(), [Recipe("t", 64, 64, formats=("png",))], Limits()
    )
    red = Image.open(io.BytesIO(rendered.renditions[0].data)).getpixel((10, 10))
    assert red[0] > 210
    assert red[1] < 10


def test_a_profile_outside_the_file_is_ignored():
    """The offset of the profile is beyond the end of the file."""
    bmp = with_profile(b"x" * 200)
    assert four(decoded(bmp.data()[:-150]).image) == list(COLOURS)


@pytest.mark.parametrize(
    ("bmp", "padding"),
    [
        (Bmp(size=(63, 48)), 3),
        (Bmp(size=(61, 48)), 1),
        (Bmp(8, size=(62, 48)), 2),
        (Bmp(4, size=(58, 48)), 3),
        (replace(KINDS["16 bits, 5-6-5"], size=(61, 48)), 2),
    ],
)
def test_the_padding_of_the_last_row_may_be_missing(bmp, padding):
    """The image is complete without the padding."""
    data = bmp.data()
    assert decoded(data[:-padding]).image.tobytes() == decoded(data).image.tobytes()
    assert "cut off" in rejected(data[: -padding - 1]).message


# Runs -----------------------------------------------------------------------------------------------------------------


def test_pixels_without_a_run_are_black():
    """Uncovered pixels are black, as in browsers, whatever the first colour of the palette."""
    body = b"\x40\1\0\0" * 12 + b"\0\2\x08\x06" + b"\x20\2\0\1"
    image = decoded(Bmp(8, compression=RLE8, body=body).data()).image
    assert image.getpixel((0, 47)) == COLOURS[1]
    assert image.getpixel((8, 48 - 19)) == COLOURS[2]
    assert image.getpixel((0, 0)) == image.getpixel((7, 48 - 19)) == (0, 0, 0)


def test_runs_end_with_their_row():
    """A run that is too long does not continue in the next row."""
    body = (b"\xff\1\0\0" * 48)[:-2] + b"\0\1"
    assert decoded(Bmp(8, compression=RLE8, body=body).data()).image.getcolors() == [(64 * 48, COLOURS[1])]


def test_runs_beyond_the_image_are_ignored():
    """Jumps and rows beyond the image draw nothing."""
    body = rle(8, end=b"\0\0") + b"\0\2\xff\xff" * 9 + b"\xff\0" * 9
    assert four(decoded(Bmp(8, compression=RLE8, body=body).data()).image) == list(COLOURS)


def test_a_missing_end_of_runs_is_a_warning():
    """The complete image is rendered, with a warning."""
    assert "no end marker" in decoded(KINDS["runs without an end"].data()).warnings[0]
    assert not decoded(KINDS["runs of 8 bits"].data()).warnings


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_runs_that_end_early_are_rejected(bits, absolute, share):
    """An incomplete image is rejected."""
    body = rle(bits, absolute=absolute)
    data = Bmp(bits, compression=RLE8 if bits == 8 else RLE4, body=body[: int(len(body) * share)]).data()
    with pytest.raises(CorruptImageError, match="cut off"):
        decoded(data)


def test_the_number_of_codes_is_bounded(monkeypatch):
    """Codes that draw nothing also take time, so their number is limited."""
    monkeypatch.setattr(runs, "MOST_CODES", 1000)
    idle = Bmp(8, compression=RLE8, body=b"\0\2\0\0" * 2000).data()
    with pytest.raises(ImageTooLargeError, match="1,000 run-length codes"):
        decoded(idle)


# Kinds that are not decoded, and contradictions -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bmp", "words"),
    [
        (Bmp(0, compression=4), "JPEG inside"),
        (Bmp(0, compression=5), "PNG inside"),
        (Bmp(32, compression=11), "CMYK"),
        (Bmp(1, header=64, compression=3), "Huffman"),
        (Bmp(24, header=64, compression=4), "24 bits (OS/2)"),
    ],
)
def test_unsupported_kinds_are_rejected(bmp, words):
    """The message describes the unsupported kind."""
    error = rejected(bmp.data())
    assert type(error) is UnsupportedFormatError
    assert words in error.message


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (Bmp(size=(-64, 48), body=b"").data(), "-64 × 48"),
        (Bmp(size=(64, 0)).data(), "64 × 0"),
        (changed(Bmp().data(), 22, struct.pack("<i", -(2**31))), "cut off"),
        (changed(Bmp().data(), 28, b"\7"), "7 bits"),
        (Bmp(compression=7).data(), "compression 7"),
        (Bmp(16, compression=RLE8).data(), "16 bits per pixel with compression 1"),
        (Bmp(8, compression=RLE4).data(), "8 bits per pixel with compression 2"),
        (Bmp(8, compression=BITFIELDS, masks=(1, 2, 4)).data(), "8 bits per pixel with compression 3"),
        (Bmp(16, compression=BITFIELDS, masks=(0x1F0000, 0x3E0, 0x1F)).data(), "0x1f0000"),
        (Bmp(32, compression=BITFIELDS, masks=(0xFF00FF, 0xFF00, 0xFF)).data(), "0xff00ff"),
        (Bmp(32, compression=BITFIELDS, masks=(0, 0, 0)).data(), "no bits"),
        (Bmp(offset=20).data(), "byte 20"),
        (Bmp(offset=10**6).data(), "cut off"),
        (Bmp(8, compression=RLE8, body=b"").data(), "cut off"),
    ],
)
def test_contradictions_are_rejected(data, words):
    """Contradictory headers are rejected before decoding."""
    error = rejected(data)
    assert type(error) is CorruptImageError
    assert words in error.message


def test_the_memory_of_runs_is_predicted():
    """A few bytes may declare any size, so memory is checked before decoding."""
    data = changed(Bmp(8, compression=RLE8, body=b"\0\1").data(), 18, struct.pack("<ii", 15_000, 15_000))
    assert type(rejected(data)) is ImageTooLargeError


def test_another_size_is_not_decoded():
    """A size that differs from the admitted one is rejected before a pixel is decoded."""
    with pytest.raises(CorruptImageError, match="64 × 48"):
        decode(Reader.of(Bmp().data()), Header("BMP", 24, 16, "RGB"))


@pytest.mark.parametrize("name", ["16 bits, 4-4-4-4", "30 bits", "30 bits, top down"])
@pytest.mark.parametrize("width", [64, 61])
def test_masked_pixels_are_decoded_in_parts(name, width, monkeypatch):
    """The size of the parts does not change the image."""
    data = replace(KINDS[name], size=(width, 48)).data()
    whole = decoded(data).image.tobytes()
    monkeypatch.setattr("image_pipeline.imaging.decoders.bmp._BAND_PIXELS", 500)
    assert decoded(data).image.tobytes() == whole


@pytest.mark.parametrize("seed", range(examples(150)))
def test_damaged_files_end_as_images_or_rejections(seed):
    """Damaged files of every kind are rendered or rejected within bounds."""
    chance = random.Random(seed)
    data = bytearray(replace(chance.choice(list(KINDS.values())), size=(31, 20)).data())
    for _ in range(chance.choice((1, 2, 5))):
        at = chance.randrange(min(len(data), chance.choice((30, 140, len(data)))))
        data[at : at + chance.choice((1, 2, 4))] = chance.choice(
            (b"\0", b"\1", b"\xff", b"\x7f\xff", chance.randbytes(4))
        )
    reader = Reader.of(bytes(data))
    with suppress(RejectedError):
        assert decode(reader, admit(reader, Limits(memory_bytes=300_000_000))).image.mode in ("RGB", "RGBA")


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("count", [3, 255])
def test_a_cut_literal_is_rejected(bits, count):
    """Its missing pixels would appear as drawn ones."""
    with pytest.raises(ValueError, match="truncated"):
        runs.unpack(memoryview(bytes((0, count))), (255, 1), bits)


@pytest.mark.parametrize(
    ("coded", "bits"),
    [(b"\0\3\1\2\3\0\3\4\0\1", 8), (b"\0\3\x12\x30\3\x44\0\1", 4), (b"\0\5\x12\x34\x40\0\1\x40\0\1", 4)],
)
def test_codes_start_at_even_offsets(coded, bits):
    """A literal of an odd number of bytes is padded."""
    drawing = runs.unpack(memoryview(coded), (6, 1), bits)
    assert (drawing.pixels, drawing.covered) == (b"\1\2\3\4\4\4", True)
