"""Directories, headers and pixels of TIFF."""

import io
import random
import zlib
from contextlib import suppress
from dataclasses import replace

import pytest
from PIL import Image

from image_pipeline.errors import CorruptImageError, ImageTooLargeError, RejectedError, UnsupportedFormatError
from image_pipeline.imaging import engine
from image_pipeline.imaging.colour import DISPLAY_P3, matrix_profile
from image_pipeline.imaging.containers.tiff import Tiff as Structure
from image_pipeline.imaging.decode import decode
from image_pipeline.imaging.decoders import fax, samples, tiff_chunks
from image_pipeline.imaging.formats.admission import admit
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.formats.tiff import find_layout
from image_pipeline.imaging.formats.tiff_layout import DIRECT_STACK_BYTES, STACK_BYTES
from image_pipeline.imaging.reader import Budget, Reader
from image_pipeline.imaging.recipes import Recipe
from tests.conftest import examples
from tests.corpus import HERE, UPSIDE_DOWN, quarters, saved, tiffs
from tests.corpus.tiffs import COLOURS, SHOWN_SHADES, Tiff, bilevel, cmyk, document, grey, organised, rgb

SMALL = Limits(max_pixels=20_000_000, memory_bytes=300_000_000)


def displayed(data):
    """(the pixels of the rendition, the facts about the file)."""
    rendered = engine.render(data, [Recipe("t", 256, 256, formats=("png",))], Limits())
    return Image.open(io.BytesIO(rendered.renditions[0].data)), rendered


def four(image):
    """The colours of the four quarters, as three or four numbers each."""
    image = image if image.mode == "RGBA" else image.convert("RGB")
    return [image.getpixel((x * image.width // 4, y * image.height // 4)) for y in (1, 3) for x in (1, 3)]


def worst(one, other):
    """The largest difference of a channel."""
    return max(abs(a - b) for pair in zip(one, other, strict=True) for a, b in zip(*pair, strict=True))


def decoded(data):
    """The decoded pixels of a file."""
    reader = Reader.of(data)
    pixels = decode(reader, admit(reader, Limits()))
    assert pixels.box == (0, 0, *pixels.image.size)
    return pixels


# The right values -----------------------------------------------------------------------------------------------------


def test_subsampling_is_two_by_two_unless_declared():
    """This is the default of TIFF 6.0, section 21."""
    image, _ = displayed(tiffs.ycbcr(subsampling=(2, 2), tags={530: ("", [])}).data())
    assert worst(four(image), COLOURS) <= 3


def test_three_channels_are_rgb_unless_declared():
    """As in libtiff; fewer channels are grey."""
    image, _ = displayed(rgb(tags={262: ("", [])}).data())
    assert four(image) == list(COLOURS)


def test_the_paper_of_a_fax_is_white_unless_declared():
    """As in libtiff, zero is white in fax data."""
    image, _ = displayed(bilevel(photometric=0, compression=tiffs.FAX4, tags={262: ("", [])}).data())
    assert [pixel[0] for pixel in four(image)] == [0, 255, 255, 0]


def test_transparency_of_corel_draw_is_applied():
    """Its number for transparency is 999."""
    image, _ = displayed(rgb(int, 128, extra_samples=(999,)).data())
    assert {pixel[3] for pixel in four(image)} == {128}


def test_a_colour_map_of_8_bits_may_contain_white():
    """Numbers up to 255 are 8-bit numbers."""
    colour_map = [255, 0, 0, 255, 0, 255, 0, 255, 0, 0, 255, 255]
    image, _ = displayed(Tiff([(0,), (1,), (2,), (3,)], 3, 2, tags={320: ("H", colour_map)}).data())
    assert four(image) == [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]


def test_fractions_up_to_1_are_not_stretched():
    """1 is white, even if the image has no black."""
    image, rendered = displayed(Tiff([(0.5,), (0.75,), (0.25,), (1.0,)], 1, 32, "float").data())
    assert [pixel[0] for pixel in four(image)] == [128, 191, 64, 255]
    assert rendered.warnings == ()


@pytest.mark.parametrize("kind", tiffs.KINDS, ids=str)
def test_every_kind_is_rendered_correctly(kind):
    """Colours and transparency are correct for every kind."""
    image, _ = displayed(kind.tiff.data())
    assert image.size == kind.tiff.size
    assert worst(four(image), kind.colours) <= kind.tolerance


@pytest.mark.parametrize("seed", range(examples(60)))
def test_the_organisation_does_not_change_the_image(seed):
    """Byte order, BigTIFF, planes, strips, tiles, compression and predictors do not matter."""
    chance = random.Random(seed)
    kind = chance.choice([kind for kind in tiffs.KINDS if kind.organised])
    image, _ = displayed(organised(kind.tiff, seed).data())
    assert worst(four(image), kind.colours) <= kind.tolerance


def octet(sample, bits):
    """The upper 8 bits of a sample."""
    if isinstance(sample, float):
        return int(sample * 255 + 0.5)
    return round(sample * 255 / ((1 << bits) - 1)) if bits < 8 else sample >> (bits - 8)


@pytest.mark.parametrize("seed", range(48))
def test_every_sample_is_decoded(seed):
    """Each pixel of noise keeps its upper 8 bits in every form of storage."""
    chance = random.Random(seed)
    number, bits = [*(("uint", bits) for bits in range(1, 17)), ("uint", 32), ("float", 16), ("float", 32)][seed % 19]
    photometric, channels = chance.choice([(1, 1), (2, 3)]) if (number, bits) != ("uint", 32) else (2, 3)
    extra = chance.choice([(), (0,), (0, 0)])
    size = chance.randint(1, 70), chance.randint(1, 40)
    blank = [[0] * (channels + len(extra))] * 4
    file = Tiff(blank, photometric, bits, number, size, extra_samples=extra, noise=seed + 1)
    image = decoded(organised(file, seed).data()).image
    places = [(x, y) for y in range(size[1]) for x in range(size[0])]
    expected = [tuple(octet(sample, bits) for sample in file.pixel(x, y)[:channels]) for x, y in places]
    pixels = image.tobytes()
    assert image.size == size
    assert [tuple(pixels[at : at + channels]) for at in range(0, len(pixels), channels)] == expected


@pytest.mark.parametrize("little", [True, False])
@pytest.mark.parametrize("compression", [tiffs.LZW, tiffs.DEFLATE, tiffs.LZMA, tiffs.ZSTD])
@pytest.mark.parametrize(
    ("bits", "number", "channels", "predictor"),
    [(8, "uint", 1, 2), (8, "uint", 5, 2), (16, "uint", 1, 2), (16, "uint", 2, 2), (16, "uint", 3, 2),
     (32, "uint", 3, 2), (16, "float", 1, 3), (32, "float", 1, 2), (32, "float", 1, 3), (32, "float", 3, 3),
     (64, "float", 1, 2), (64, "float", 2, 3)],
)  # fmt: skip
def test_differences_are_undone(bits, number, channels, predictor, compression, little):
    """Both predictors are undone for any number of channels and bits."""
    colours = 3 if channels >= 3 else 1
    file = Tiff([[0] * channels] * 4, 2 if colours == 3 else 1, bits, number, (23, 9), noise=5, predictor=predictor,
                compression=compression, little=little, extra_samples=(0,) * (channels - colours))  # fmt: skip
    pixels = decoded(file.data()).image.tobytes()
    expected = [octet(sample, bits) for y in range(9) for x in range(23) for sample in file.pixel(x, y)[:colours]]
    assert list(pixels) == expected


@pytest.mark.parametrize(
    ("name", "colours"),
    [
        ("a1_rgb16_planar.tif", COLOURS),
        ("a3_grey16_white_is_zero.tif", SHOWN_SHADES),
        ("a5_float_nan.tif", SHOWN_SHADES),
        ("a8_grey12.tif", SHOWN_SHADES),
        ("b1_cmyk_alpha.tif", COLOURS),
        ("b3_rgb_float.tif", COLOURS),
    ],
)
def test_files_of_other_programs_are_decoded(name, colours):
    """Colours and size are correct."""
    image, _ = displayed((HERE / "cases" / name).read_bytes())
    assert worst([colour[:3] for colour in four(image)], colours) <= 2


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file", [rgb(planar=True), grey(lambda v: v * 257, bits=16), rgb(tile=(16, 16))])
def test_every_orientation_is_applied(file, orientation):
    """The image is upright for every kind."""
    turned = file.tags | {274: ("H", [orientation])}
    image, rendered = displayed(replace(file, tags=turned).data())
    plain = decoded(file.data()).image
    turn = UPSIDE_DOWN[orientation]
    stored = image if turn is None else image.transpose(turn)
    assert stored.size == plain.size
    assert worst(four(stored), four(plain)) <= 1
    assert rendered.header.orientation == orientation


def test_the_profile_of_cmyk_with_transparency_is_applied():
    """The profile is applied before the transparency is added."""
    profile = b"no profile" * 30
    image, rendered = displayed(replace(cmyk(int, 128, extra_samples=(2,)), tags={34675: ("u", profile)}).data())
    assert worst(four(image), [(*colour, 128) for colour in COLOURS]) <= 2
    assert "profile" in rendered.warnings[0]


@pytest.mark.parametrize(
    "file",
    [rgb(), rgb(planar=True), rgb(int, 255, extra_samples=(2,)), rgb(lambda v: v / 255, bits=32, number="float")],
)
def test_a_profile_is_applied(file):
    """Colours of a Display P3 profile are converted, however they are stored."""
    profile = matrix_profile(DISPLAY_P3, None)
    image, rendered = displayed(replace(file, tags={34675: ("u", profile)}).data())
    red = four(image)[0]
    assert red[0] > 210
    assert red[1] < 10
    assert not rendered.warnings


def test_cielab_needs_no_profile():
    """CIELAB values are colours without a profile."""
    file = tiffs.lab(2.55, 1, True, 8, photometric=8, tags={34675: ("u", matrix_profile(DISPLAY_P3, None))})
    image, rendered = displayed(file.data())
    assert worst(four(image), COLOURS) <= 16
    assert not rendered.warnings


def test_stretched_numbers_cause_a_warning():
    """The warning states which numbers became black and white."""
    _, rendered = displayed(grey(float, bits=32, number="float").data())
    assert rendered.warnings == ("Values from 20 to 240 are shown as black to white.",)


@pytest.mark.parametrize(
    ("value", "words"),
    [(tiffs.NAN, "No pixel"), (tiffs.INF, "No pixel"), (7.0, "All pixels")],
)
def test_numbers_without_a_range_are_black(value, words):
    """The warning says that there is no range."""
    image, rendered = displayed(Tiff([[value]] * 4, 1, 32, "float").data())
    assert four(image) == [(0, 0, 0)] * 4
    assert words in rendered.warnings[0]


def test_constant_fractions_of_white_are_not_stretched():
    """Numbers between 0 and 1 are fractions of white."""
    image, _ = displayed(Tiff([[0.5]] * 4, 1, 32, "float").data())
    assert four(image) == [(128, 128, 128)] * 4


@pytest.mark.parametrize(
    ("file", "mode", "bits"),
    [
        (bilevel(), "1", 1),
        (grey(bits=4), "L", 4),
        (grey(bits=12), "I;16", 12),
        (grey(bits=32), "I", 32),
        (grey(bits=32, number="float"), "F", 32),
        (tiffs.with_hole(grey(bits=16, extra_samples=(1,))), "LA", 16),
        (tiffs.palette(4, 1), "P", 4),
        (rgb(bits=16), "RGB", 16),
        (rgb(int, 9, extra_samples=(2,)), "RGBA", 8),
        (rgb(int, 9, extra_samples=(0,)), "RGB", 8),
        (tiffs.ycbcr(), "RGB", 8),
        (cmyk(), "CMYK", 8),
        (tiffs.lab(1, 1, True, 8, photometric=8), "LAB", 8),
    ],
)
def test_the_record_has_mode_and_bits(file, mode, bits):
    """The record has Pillow's name for the pixels of the upload."""
    header = admit(Reader.of(file.data()), Limits())
    assert (header.mode, header.bits) == (mode, bits)


# The page with the image ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sub_directory", [False, True])
def test_a_thumbnail_before_the_image_is_skipped(sub_directory):
    """The full-size page is used, from the list of pages or the subdirectories of the first."""
    image, rendered = displayed(tiffs.thumbnail_first(sub_directory))
    assert (rendered.header.width, rendered.header.height) == (240, 160)
    assert worst(four(image), COLOURS) <= 2


def test_a_single_thumbnail_is_decoded():
    """A file with only a thumbnail is accepted."""
    image, _ = displayed(rgb(tags={254: ("I", [1])}).data())
    assert worst(four(image), COLOURS) <= 2


def test_a_mask_before_the_image_is_skipped():
    """A transparency mask of another page is skipped."""
    mask, whole = bilevel(tags={254: ("I", [4])}), rgb()
    image, _ = displayed(document([(page.directory(), page.chunks()) for page in (mask, whole)]))
    assert worst(four(image), COLOURS) <= 2


def test_raw_pixels_behind_a_preview_are_camera_raw():
    """The full-size page is checked, and it contains sensor data."""
    preview, raw = rgb(tags={254: ("I", [1])}), grey(photometric=32803)
    with pytest.raises(UnsupportedFormatError, match="camera raw"):
        displayed(document([(page.directory(), page.chunks()) for page in (preview, raw)]))


def test_circular_pages_are_counted_once():
    """The links between pages may form a circle."""
    assert admit(Reader.of(tiffs.pages(3, circle=True)), Limits()).frames == 3


def test_ten_thousand_pages_cost_a_few_reads_each():
    """Pages are counted by their links, and only the first one is read."""
    budget = Budget()
    assert admit(Reader.of(tiffs.pages(10_000), budget), Limits()).frames == 10_000
    assert Budget().reads - budget.reads < 25_000
    with pytest.raises(ImageTooLargeError, match="10000 frames"):
        admit(Reader.of(tiffs.pages(10_001)), Limits())


# Kinds that are not decoded -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (rgb(tags={259: ("H", [50001])}), "RGB, 8 bits per channel, 3 channels, WebP"),
        (rgb(tags={259: ("H", [33005])}, planar=True), "3 channels, planar, JPEG 2000"),
        (rgb(tags={259: ("H", [12345])}), "compression 12345"),
        (rgb(tags={262: ("H", [10])}), "ITULab"),
        (rgb(tags={262: ("H", [777])}), "photometric interpretation 777"),
        (bilevel(photometric=4), "transparency mask"),
        (rgb(tags={258: ("H", [5, 6, 5])}), "5 and 6 and 5 bits"),
        (rgb(tags={339: ("H", [1, 3, 1])}), "unsigned and floating-point"),
        (rgb(tags={339: ("H", [2, 2, 2])}), "8 bits per channel (signed)"),
        (grey(bits=64), "grey, 64 bits"),
        (grey(tags={258: ("H", [24])}), "24 bits"),
        (cmyk(tags={334: ("H", [5])}), "inks other than"),
        (grey(bits=12, predictor=1, compression=tiffs.LZW, tags={317: ("H", [2])}), "predictor 2"),
        (rgb(bits=32, compression=tiffs.LZW, tags={317: ("H", [3])}), "predictor 3"),
        (rgb(tags={277: ("H", [65]), 338: ("H", [0] * 62)}), "65 channels"),
        (rgb(photometric=6, planar=True, tags={530: ("H", [2, 2])}), "subsampling"),
        (rgb(photometric=6, rows_per_strip=7, tags={530: ("H", [2, 2])}), "subsampling"),
        (grey(tags={259: ("H", [4])}), "fax group 4"),
        (rgb(photometric=6, tags={259: ("H", [6])}), "old-style JPEG"),
        (rgb(int, 9, tags={259: ("H", [7])}), "4 channels, JPEG"),
        (rgb(bits=16, tags={259: ("H", [7])}), "16 bits per channel, 3 channels, JPEG"),
        (Tiff([(v, 128) for v in range(4)], 1, number="int", extra_samples=(2,)), "signed"),
    ],
)
def test_unsupported_kinds_are_rejected(file, words):
    """The message describes the unsupported kind."""
    with pytest.raises(UnsupportedFormatError) as caught:
        admit(Reader.of(file.data()), Limits())
    assert words in caught.value.message


def test_an_unsupported_jpeg_is_rejected():
    """The same kinds of JPEG are rejected in a TIFF as in a file."""
    file = rgb(compression=tiffs.JPEG)
    stream = file.chunks()[0]
    lossless = stream.replace(b"\xff\xc0", b"\xff\xc3", 1)
    with pytest.raises(UnsupportedFormatError, match="lossless"):
        decoded(document([(file.directory(), [lossless])]))


# Files that contradict themselves -------------------------------------------------------------------------------------


@pytest.mark.parametrize("tag", [256, 257, 258, 259, 262, 273, 277, 278, 279, 284])
def test_a_tag_of_the_image_may_appear_once(tag):
    """A duplicate tag is rejected, because a decoder might use the other one."""
    with pytest.raises(CorruptImageError, match=f"tag {tag} twice"):
        admit(Reader.of(tiffs.twice(rgb().data(), tag)), Limits())


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (rgb(tags={256: ("i", [-64])}), "-64 × 48"),
        (rgb(tags={256: ("i", [-64]), 257: ("i", [-48])}), "-64 × -48"),
        (rgb(tags={257: ("I", [0])}), "64 × 0"),
        (rgb(tags={278: ("I", [0])}), "64 × 0"),
        (rgb(tile=(16, 16), tags={322: ("I", [0])}), "0 × 16"),
        (rgb(tags={324: ("I", [8])}), "strips and tiles"),
        (rgb(tags={284: ("H", [3])}), "configuration 3"),
        (rgb(tags={277: ("H", [0])}), "0 channels"),
        (rgb(tags={277: ("H", [2])}), "2 channels for RGB"),
        (rgb(planar=True, tags={277: ("H", [4])}), "3 of 4 strips"),
        (rgb(rows_per_strip=16, tags={278: ("I", [4])}), "3 of 12 strips"),
        (rgb(photometric=6, tags={530: ("H", [3, 3])}), "3 × 3"),
        (grey(compression=tiffs.LZW, tags={279: ("I", [0])}), "no data"),
        (grey(compression=tiffs.DEFLATE, size=(3000, 3000), tags={279: ("I", [9])}), "3000 × 3000"),
        (rgb(compression=tiffs.JPEG, tags={347: ("u", bytes(70_000))}), "tables are too large"),
    ],
)
def test_contradictions_are_rejected(file, words):
    """Contradictory headers are rejected before decoding."""
    with pytest.raises(CorruptImageError) as caught:
        admit(Reader.of(file.data()), Limits())
    assert words in caught.value.message


def test_bigtiff_has_offsets_of_eight_bytes():
    """A BigTIFF with other offsets is rejected."""
    data = bytearray(rgb(big=True).data())
    data[4] = 4
    with pytest.raises(CorruptImageError, match="eight bytes"):
        admit(Reader.of(bytes(data)), Limits())


@pytest.mark.parametrize("compression", tiffs.LOSSLESS)
@pytest.mark.parametrize("kind", [rgb(), rgb(planar=True, predictor=1), grey(bits=12), rgb(tile=(32, 16))])
def test_an_incomplete_strip_is_rejected(compression, kind):
    """An incomplete strip is rejected, wherever it ends."""
    file = replace(kind, compression=compression, noise=3)
    *whole, last = file.chunks()
    with pytest.raises(CorruptImageError, match=r"cut off|damaged"):
        decoded(document([(file.directory(), [*whole, last[: len(last) // 2]])]))


@pytest.mark.parametrize("compression", [tiffs.RLE, tiffs.FAX3, tiffs.FAX4])
@pytest.mark.parametrize("rows_per_strip", [None, 16])
@pytest.mark.parametrize("photometric", [0, 1])
def test_fax_is_decoded_exactly(compression, rows_per_strip, photometric):
    """Every pixel of noise is exact, in one strip or several."""
    file = bilevel(photometric=photometric, compression=compression, rows_per_strip=rows_per_strip, noise=3)
    pixels = decoded(file.data()).image.tobytes()
    expected = [255 * (file.pixel(x, y)[0] ^ (photometric == 0)) for y in range(48) for x in range(64)]
    assert list(pixels) == expected


@pytest.mark.parametrize("options", [0, 1, 4, 5])
def test_fax_of_two_dimensions_is_decoded_exactly(options):
    """Group 3 may code a line as its difference from the line before (bit 0), and align the ends of lines (bit 2)."""
    noise = Image.frombytes("1", (96, 50), random.Random(2).randbytes(12 * 50))
    saved = io.BytesIO()
    noise.save(saved, "TIFF", compression="group3", tiffinfo={292: options})
    assert Image.open(saved).tag_v2[292] == options
    assert decoded(saved.getvalue()).image.tobytes() == noise.convert("L").tobytes()


def test_stacks_of_fax_count_a_byte_for_each_pixel():
    """A pixel of one bit takes a byte in memory."""
    data = bilevel(size=(64, 48), compression=tiffs.FAX4, rows_per_strip=8).data()
    layout = find_layout(Reader.of(data))
    assert [stack.rows for stack in tiff_chunks.stacks(layout, 64 * 16)] == [16, 16, 16]
    assert [stack.rows for stack in tiff_chunks.stacks(layout, 64 * 16 - 1)] == [8] * 6


@pytest.mark.parametrize("compression", [tiffs.RLE, tiffs.FAX3, tiffs.FAX4])
@pytest.mark.parametrize("share", [0.1, 0.4, 0.7])
def test_incomplete_fax_is_rejected(compression, share):
    """Missing lines, for which a decoder reports no error, are detected."""
    file = bilevel(compression=compression, rows_per_strip=24, noise=3)
    first, second = file.chunks()
    with pytest.raises(CorruptImageError, match="cut off"):
        decoded(document([(file.directory(), [first, second[: int(len(second) * share)]])]))


def test_the_mark_of_fax_is_its_last_line():
    """Only the last line of the marked block has the pattern."""
    block, row = fax.marked_block(200, 9)
    file = bilevel(compression=tiffs.FAX4, size=(200, 9))
    image = Image.open(io.BytesIO(document([(file.directory(), [block])])))
    assert image.crop((0, 8, 200, 9)).tobytes() == row
    assert image.crop((0, 0, 200, 8)).getextrema() == (0, 0)


def test_lines_of_fax_are_counted_across_the_edges_of_parts():
    """Codes at the boundary between two parts are counted once."""
    data = (b"\x00\x10" + b"\xff" * 7) * 30_000
    assert not fax.lacks_lines(data, 30_001)
    assert fax.lacks_lines(data, 30_002)


# JPEG inside ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"tile": (32, 16)}, {"rows_per_strip": 16}, {"planar": True}])
@pytest.mark.parametrize("file", [rgb(), cmyk(), grey(), rgb(big=True, little=False)])
def test_jpeg_keeps_the_colours_that_the_file_names(file, options):
    """The tags of the TIFF define the channels."""
    image, _ = displayed(replace(file, compression=tiffs.JPEG, **options).data())
    assert worst(four(image), four(displayed(file.data())[0])) <= 3


def test_colour_markers_in_a_jpeg_strip_are_ignored():
    """An Adobe or JFIF marker in a strip does not change RGB to YCbCr."""
    file = rgb(compression=tiffs.JPEG)
    stream = file.chunks()[0]
    jfif = b"\xff\xe0\x00\x10JFIF\0\1\1\0\0\1\0\1\0\0"
    adobe = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\1"
    for marker in (jfif, adobe):
        image, _ = displayed(document([(file.directory(), [stream[:2] + marker + stream[2:]])]))
        assert worst(four(image), COLOURS) <= 3


def test_jpeg_tables_are_shared():
    """Strips without tables use those of the page."""
    file = replace(rgb(rows_per_strip=16), compression=tiffs.JPEG)
    whole = file.chunks()
    start, scan = whole[0].index(b"\xff\xdb"), whole[0].index(b"\xff\xc0")
    tables = whole[0][start:scan]
    assert all(chunk[start:scan] == tables for chunk in whole)
    short = [chunk.replace(tables, b"", 1) for chunk in whole]
    directory = file.directory() | {347: ("u", b"\xff\xd8" + tables + b"\xff\xd9")}
    image, _ = displayed(document([(directory, short)]))
    assert worst(four(image), COLOURS) <= 3


@pytest.mark.parametrize(("size", "channels"), [((64, 47), 3), ((63, 48), 3), ((640, 480), 3), ((64, 48), 1)])
def test_jpeg_of_another_size_is_not_decoded(size, channels):
    """A JPEG stream must have the size of its strip, for which memory was predicted."""
    file = rgb(compression=tiffs.JPEG)
    other = saved(quarters("RGB" if channels == 3 else "L", size), "JPEG")
    with pytest.raises(CorruptImageError, match="contradicts itself"):
        decoded(document([(file.directory(), [other])]))


def test_the_last_jpeg_strip_may_be_as_high_as_the_others():
    """Some writers fill the last strip."""
    file = rgb(compression=tiffs.JPEG, rows_per_strip=32)
    first, _ = file.chunks()
    image = decoded(document([(file.directory(), [first, first])])).image
    assert image.size == (64, 48)
    assert worst(four(image)[:2], COLOURS[:2]) <= 3


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_an_incomplete_jpeg_strip_is_rejected(share):
    """An incomplete JPEG strip is rejected, even with an end marker."""
    file = rgb(compression=tiffs.JPEG)
    stream = saved(quarters(size=(64, 48)).effect_spread(40), "JPEG", quality=95, keep_rgb=True)
    with pytest.raises(CorruptImageError):
        decoded(document([(file.directory(), [stream[: int(len(stream) * share)] + b"\xff\xd9"])]))


@pytest.mark.parametrize(
    ("file", "measured"),
    [
        (rgb(), 8.1), (rgb(rows_per_strip=16), 6.4), (rgb(int, 9, extra_samples=(2,)), 12.0),
        (rgb(int, 9, extra_samples=(1,)), 13.0), (rgb(planar=True), 7.0), (rgb(bits=16), 10.0), (cmyk(), 8.3),
        (cmyk(int, 9, extra_samples=(2,)), 14.9), (grey(bits=12), 2.5), (grey(bits=16), 3.1), (bilevel(), 2.0),
        (grey(bits=32, number="float"), 8.0), (grey(bits=64, number="float"), 16.4),
        (rgb(bits=32, number="float"), 24.1), (tiffs.palette(8, 1), 5.0), (tiffs.ycbcr(), 7.5),
        (tiffs.lab(1, 1, True, 8, photometric=8), 8.0), (rgb(tile=(256, 256)), 6.3),
    ],
)  # fmt: skip
def test_memory_is_predicted_for_the_kind(file, measured):
    """The prediction is between one and two times the memory measured by `bench/engine/memory.py`."""
    large = replace(file, size=(6000, 4000), compression=tiffs.ZSTD)
    width, height = large.tile or (6000, large.rows_per_strip or 4000)
    count = -(-6000 // width) * -(-4000 // height) * (large.channels if large.planar else 1)
    # The size of well compressed data; no data is decoded here.
    tags = large.directory() | {273: ("I", [8] * count), 279: ("I", [60_000 // count] * count)}
    header = admit(Reader.of(document([(tags, [])]) + bytes(60_000)), Limits(memory_bytes=1 << 40))
    assert measured <= header.predicted_memory(640) / 24e6 <= 2 * measured + 4


# Bounded work ---------------------------------------------------------------------------------------------------------


def test_another_size_is_not_decoded():
    """A size that differs from the admitted one is rejected before a pixel is decoded."""
    with pytest.raises(CorruptImageError, match="64 × 48"):
        decode(Reader.of(rgb().data()), Header("TIFF", 24, 16, "RGB"))


@pytest.mark.parametrize("side", [65_535, 30_000])
def test_a_giant_tile_is_rejected(side):
    """The predicted memory is that of the whole tile."""
    file = rgb(size=(10, 10), compression=tiffs.DEFLATE, tile=(16, 16), tags={322: ("I", [side]), 323: ("I", [side])})
    for data in (file.data(), document([(file.directory(), [bytes(4_000_000)])])):
        with pytest.raises(RejectedError, match=r"10 × 10|MB"):
            admit(Reader.of(data), Limits())


@pytest.mark.parametrize("size", [(0, 16), (16, 0), (2**31, 16), (16, 2**31)])
def test_tiles_have_possible_sizes(size):
    """Neither side of a tile is zero or too long for libtiff."""
    width, height = size
    file = rgb(size=(10, 10), tile=(16, 16), tags={322: ("I", [width]), 323: ("I", [height])})
    with pytest.raises(CorruptImageError, match=f"{width} × {height}"):
        admit(Reader.of(file.data()), Limits())


def test_a_strip_may_declare_more_rows_than_the_image_has():
    """Some writers of one strip store the largest possible number of rows."""
    file = rgb(tags={278: ("I", [2**32 - 1])})
    plain = admit(Reader.of(rgb().data()), Limits())
    assert admit(Reader.of(file.data()), Limits()).predicted_memory(64) == plain.predicted_memory(64)
    assert worst(four(displayed(file.data())[0]), COLOURS) <= 2


def test_strips_are_counted_before_their_table_is_read():
    """A million strips take no more memory than one."""
    budget = Budget()
    with pytest.raises(ImageTooLargeError, match="1,000,000 strips"):
        admit(Reader.of(tiffs.strips(1_000_000), budget), Limits())
    assert Budget().bytes - budget.bytes < 70_000


def test_as_many_strips_as_allowed_stay_within_the_budget():
    """Admission and decoder read the tables once."""
    data = tiffs.strips(65_536, compression=tiffs.NONE)
    budget = Budget()
    reader = Reader.of(data, budget)
    image = decode(reader, admit(reader, Limits())).image
    assert image.size == (1, 65_536)
    assert Budget().bytes - budget.bytes < 600_000


def test_uncompressed_strips_may_have_wrong_byte_counts():
    """The decoder ignores them."""
    file = rgb(rows_per_strip=16, tags={279: ("I", [1, 1, 1])})
    assert worst(four(displayed(file.data())[0]), COLOURS) <= 2


def test_byte_counts_may_be_missing():
    """The distance to the next strip replaces a missing byte count."""
    file = rgb(rows_per_strip=16, compression=tiffs.LZW, tags={279: ("", [])})
    assert worst(four(displayed(file.data())[0]), COLOURS) <= 2


@pytest.mark.parametrize("file", [rgb(), grey(bits=12), rgb(tile=(16, 16)), rgb(planar=True), tiffs.ycbcr()])
def test_large_images_are_decoded_in_parts(file, monkeypatch):
    """The size of the parts does not change the image."""
    whole = decoded(file.data()).image.tobytes()
    for most in (1, 500, 3000):
        monkeypatch.setattr("image_pipeline.imaging.decoders.tiff.DIRECT_STACK_BYTES", most)
        monkeypatch.setattr("image_pipeline.imaging.decoders.tiff.STACK_BYTES", most)
        monkeypatch.setattr("image_pipeline.imaging.decoders.tiff._BAND_PIXELS", most)
        assert decoded(file.data()).image.tobytes() == whole


def test_only_uncompressed_strips_are_divided():
    """Only an uncompressed strip is divided."""
    assert DIRECT_STACK_BYTES > STACK_BYTES
    for compression, parts in ((tiffs.NONE, 4), (tiffs.LZW, 1)):
        layout = Reader.of(rgb(compression=compression).data()).once(find_layout)
        assert tiff_chunks.with_smaller_strips(layout, 64 * 3 * 12).per_plane == parts


def test_deflate_bombs_are_bounded_by_their_strip():
    """Data after the last row is not decompressed."""
    file = rgb(compression=tiffs.DEFLATE)
    bomb = zlib.compress(bytes(50_000_000))
    image, _ = displayed(document([(file.directory(), [bomb])]))
    assert four(image) == [(0, 0, 0)] * 4


def test_libtiff_is_silent(capfd):
    """libtiff writes nothing to the log."""
    file = bilevel(compression=tiffs.FAX4, noise=3)
    with pytest.raises(RejectedError):
        decoded(document([(file.directory(), [random.Random(1).randbytes(40)])]))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("seed", range(examples(150)))
def test_damaged_files_end_as_images_or_rejections(seed):
    """Damaged files of every kind are rendered or rejected within bounds."""
    chance = random.Random(seed)
    data = bytearray(organised(chance.choice(tiffs.KINDS[:-9]).tiff, seed).data())
    structure = Structure(Reader.of(bytes(data))).first
    for _ in range(chance.choice((1, 2, 5))):
        at = chance.randrange(structure, len(data)) if chance.random() < 0.8 else chance.randrange(len(data))
        ends = b"\0", b"\1", b"\xff", b"\x7f\xff", chance.randbytes(4)
        data[at : at + chance.choice((1, 2, 4))] = chance.choice(ends)
    reader = Reader.of(bytes(data))
    with suppress(RejectedError):
        assert decode(reader, admit(reader, SMALL)).image.mode in ("L", "RGB", "RGBA", "CMYK")


# Parts ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", range(1, 16))
def test_packed_samples_are_unpacked(bits):
    """Rows are padded to whole bytes, and the upper 8 bits are kept."""
    chance = random.Random(bits)
    rows = [[chance.getrandbits(bits) for _ in range(13)] for _ in range(3)]
    row_bytes = -(-13 * bits // 8)
    packed = b"".join(
        (int("".join(f"{value:0{bits}b}" for value in row), 2) << 8 * row_bytes - 13 * bits).to_bytes(row_bytes, "big")
        for row in rows
    )
    expected = [value >> max(0, bits - 8) for row in rows for value in row]
    assert list(samples.unpack_bits(packed, bits, 13, row_bytes)) == expected


@pytest.mark.parametrize("size", [(8, 8), (7, 5), (1, 1)])
@pytest.mark.parametrize("subsampling", [(1, 2), (2, 1), (2, 2), (4, 2), (4, 4)])
def test_subsampled_colours_apply_to_each_pixel(subsampling, size):
    """Each pixel keeps its luma, and all pixels of a unit share Cb and Cr."""
    across, down = subsampling
    units = -(-size[0] // across), -(-size[1] // down)
    data = b"".join(
        bytes(16 * (y * down + j) + x * across + i for j in range(down) for i in range(across)) + bytes((x, 100 + y))
        for y in range(units[1])
        for x in range(units[0])
    )
    planes = samples.split_subsampled(data, size, subsampling)
    for x in range(size[0]):
        for y in range(size[1]):
            expected = (16 * y + x, x // across, 100 + y // down)
            assert tuple(plane.getpixel((x, y)) for plane in planes) == expected


def test_only_requested_values_are_read():
    """A directory of a thousand entries that share a text costs only its table."""
    text = b"x" * 60_000
    rows = b"".join(
        tag.to_bytes(2, "big") + b"\0\2" + len(text).to_bytes(4, "big") + b"\0\0\0\x08" for tag in range(1000)
    )
    block = b"MM\0*" + (8 + len(text)).to_bytes(4, "big") + text + b"\x03\xe8" + rows + bytes(4)
    budget = Budget()
    structure = Structure(Reader.of(block, budget))
    directory = structure.directory(structure.first)
    assert directory.text(999) == text
    assert Budget().bytes - budget.bytes < len(text) + len(rows) + 100


@pytest.mark.parametrize("little", [True, False])
@pytest.mark.parametrize("big", [True, False])
@pytest.mark.parametrize(
    ("kind", "values"),
    [("H", [1, 2, 3, 4]), ("H", [7]), ("I", [5, 70_000]), ("B", [9, 8]), ("f", [0.5]), ("d", [0.25])],
)
def test_values_are_read_from_the_entry_or_its_target(kind, values, big, little):
    """Values of up to four bytes, or eight in BigTIFF, are stored in the entry."""
    structure = Structure(Reader.of(rgb(big=big, little=little, tags={65000: (kind, values)}).data()))
    directory = structure.directory(structure.first)
    assert list(directory.numbers(65000)) == values
    if kind in "HI":
        assert list(directory.table(65000, 10)) == values
