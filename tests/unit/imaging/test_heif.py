"""Boxes, header and pixels of HEIF, and what AVIF shares with it."""

import contextlib
import io
import struct
import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from image_pipeline.errors import CorruptImageError, ImageTooLargeError, RejectedError
from image_pipeline.imaging import engine, exif
from image_pipeline.imaging.containers.exif import find_exif
from image_pipeline.imaging.decode import decode
from image_pipeline.imaging.decoders import heif_writer
from image_pipeline.imaging.formats import heif as judge
from image_pipeline.imaging.formats.admission import admit
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.formats.heif_image import read_image
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.reader import FIRST_BYTES, Budget, Reader
from image_pipeline.imaging.recipes import Recipe
from tests.corpus import HERE, SIZE, quarters, saved
from tests.corpus import heif as corpus
from tests.corpus.heif import HeifFile, av1, box, full, grid, hevc, ispe

CASES = HERE / "cases"
RED, GREEN, BLUE, GREY = (200, 30, 30), (30, 200, 30), (30, 30, 200), (128, 128, 128)


def admitted(data):
    """The header of a file."""
    return admit(Reader.of(data), Limits())


def rendered(data):
    """The image in its own size."""
    (rendition,) = engine.render(data, [Recipe("t", 16_000, 16_000, formats=("png",))], Limits()).renditions
    return Image.open(io.BytesIO(rendition.data)).convert("RGBA")


def near(pixel, colour, most=6):
    """Whether a pixel is opaque and of this colour."""
    return max(abs(a - b) for a, b in zip(pixel, (*colour, 255), strict=True)) <= most


# Cases ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "size", "colours"),
    [
        ("c1_50x40.heic", (50, 40), (RED, GREEN, BLUE, GREY)),
        ("c3_crop_150x202.heic", (150, 202), (RED, RED, BLUE, BLUE)),
        ("c4_crop_300x400.avif", (300, 400), (RED, RED, BLUE, BLUE)),
        ("d1_p3.avif", (600, 400), ((220, 0, 6), (0, 204, 0), (29, 30, 207), GREY)),
    ],
)
def test_images_are_cropped_and_in_srgb(name, size, colours):
    """Crops and `nclx` colours are applied in AVIF and HEIF, and nothing is enlarged."""
    image = rendered((CASES / name).read_bytes())
    assert image.size == size
    places = [(across * size[0] // 8, down * size[1] // 8) for down in (1, 7) for across in (1, 7)]
    assert all(near(image.getpixel(at), colour) for at, colour in zip(places, colours, strict=True))


def test_a_tiny_image_keeps_its_size():
    """An image coded as 64 × 64 and cropped to 10 × 10 is not enlarged, as in heif-convert 1.15.1."""
    image = rendered((CASES / "h2_size_10x10.heic").read_bytes())
    assert image.size == (10, 10)
    expected = {(1, 1): (188, 127, 124), (8, 1): (0, 71, 0), (1, 8): (24, 35, 125), (8, 8): (210, 181, 27)}
    for at, colour in expected.items():
        assert near(image.getpixel(at), colour)


def test_a_frame_larger_than_the_header_says_is_rejected_unread():
    """A frame of 8000 × 8000 pixels is rejected by its header and never decoded."""
    budget = Budget()
    data = (CASES / "s4_ispe_is_not_the_frame.avif").read_bytes()
    with pytest.raises(CorruptImageError, match=r"64 × 64 pixels.* 8000 × 8000"):
        admit(Reader.of(data, budget), Limits())
    assert Budget().bytes - budget.bytes < 3000


# What is read ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("meta_last", [False, True])
@pytest.mark.parametrize("codec", ["AVIF", "HEIC"])
def test_a_header_after_30_mb_of_pixels_needs_few_requests(codec, meta_last):
    """Some phones write the header after the pixels, which are not read."""
    filler = corpus.unit(15, bytes(30_000_000)) if codec == "AVIF" else corpus.nal(b"\x4e\1" + bytes(30_000_000))
    tiles = corpus.four(codec)
    tiles = (*tiles[:3], replace(tiles[3], data=tiles[3].data + filler))
    data = HeifFile((grid(2, 2, *SIZE, (2, 3, 4, 5)), *tiles), brands=corpus.brands(codec), meta_last=meta_last).data
    fetches = []

    def fetch(start, length):
        fetches.append(length)
        return data[start : start + length]

    header = admit(Reader.fetched(fetch, len(data)), Limits())
    assert (header.width, header.height) == SIZE
    assert len(fetches) <= 3
    assert sum(fetches) <= 4 * FIRST_BYTES


@pytest.mark.parametrize("codec", ["AVIF", "HEIC"])
def test_every_tile_is_checked_if_all_bytes_are_available(codec):
    """Otherwise, only the header of the first tile is read."""
    liar = av1((9, 9, 9), (480, 320)) if codec == "AVIF" else hevc()
    liar = corpus.having(liar, ispe(120, 80))
    if codec == "HEIC":
        liar = replace(liar, data=corpus.nal(corpus.sequence_set(480, 320)) + liar.data)
    tiles = (*corpus.four(codec)[:3], liar)
    data = HeifFile((grid(2, 2, *SIZE, (2, 3, 4, 5)), *tiles), brands=corpus.brands(codec)).data
    assert admit(Reader.fetched(lambda start, length: data[start : start + length], len(data)), Limits())
    with pytest.raises(CorruptImageError, match="480 × 320"):
        admitted(data)


def rows(count, width):
    """The rows of a table for items that do not exist."""
    return [struct.pack(">HB", 2 + number % 60_000, width) + b"\1" * width for number in range(count)]


def properties(*more, associations=b"\0\1\2\x81\2"):
    """An `iprp` box for `one_av1` with more properties."""
    property_boxes = box(b"ipco", *av1().properties, *more)
    return {b"iprp": box(b"iprp", property_boxes, corpus.associations(associations))}


def plain(**changes):
    """A file of one red image."""
    return HeifFile((av1(),), **changes).data


def references(count, targets):
    """An `iref` box whose entries have many targets."""
    numbers = struct.pack(f">H{targets}H", targets, *[1] * targets)
    entries = (box(b"auxl", struct.pack(">H", 2 + number) + numbers) for number in range(count))
    return {b"iref": full(b"iref", *entries)}


def infe(number):
    """One entry of the table of items."""
    return full(b"infe", struct.pack(">HH", number, 0), b"av01\0", version=2)


FLOODS = {
    "items": lambda: plain(instead={b"iinf": full(b"iinf", b"\xff\xff", *map(infe, range(1, 60_000)))}),
    "empty items": lambda: plain(instead={b"iinf": full(b"iinf", b"\xff\xff", infe(1), box(b"infe") * 400_000)}),
    "properties": lambda: plain(instead=properties(box(b"free") * 65_000)),
    "many properties": lambda: plain(instead=properties(box(b"free") * 400_000)),
    "associations with one": lambda: plain(
        instead={
            b"iprp": box(
                b"iprp",
                box(b"ipco", *av1().properties, box(b"free", bytes(3_600_000))),
                corpus.associations(b"\0\1\xff\x81\2" + b"\3" * 253, *rows(500, 255)),
            )
        }
    ),
    "rows of associations": lambda: plain(
        instead={
            b"iprp": box(
                b"iprp",
                box(b"ipco", *av1().properties),
                corpus.associations(b"\0\1\2\x81\2", *rows(60_000, 0) * 16),
            )
        }
    ),
    "tables of associations": lambda: plain(more_in_iprp=corpus.associations() * 200_000),
    "references": lambda: plain(instead=references(60_000, 1)),
    "references to many": lambda: plain(instead=references(30, 60_000)),
    "places": lambda: plain(
        instead={
            b"iloc": full(
                b"iloc",
                b"\x44\x40\xff\xff",
                *(struct.pack(">HHHIHII", number, 0, 0, 0, 1, 0, 9) for number in range(65_535)),
                version=1,
            )
        }
    ),
    "extents": lambda: plain(
        instead={
            b"iloc": full(
                b"iloc",
                b"\x44\x40\0\1" + struct.pack(">HHHIH", 1, 0, 0, 0, 65_535) + struct.pack(">II", 0, 1) * 65_535,
                version=1,
            )
        }
    ),
    "tiles": lambda: (
        HeifFile((grid(32, 256, 256 * 120, 32 * 80, tuple(range(2, 8_194))), *[av1()] * 8_192), meta_last=True).data
    ),
    "copies": lambda: (
        HeifFile(
            (
                *(corpus.Item(b"iden", b"", (ispe(120, 80),), ((b"dimg", (number,)),)) for number in range(2, 3000)),
                av1(),
            )
        ).data
    ),
    "overlays of each other": lambda: (
        HeifFile(
            (
                corpus.overlay((120, 80), ((0, 0),) * 1000, (2,) * 1000),
                corpus.overlay((120, 80), ((0, 0),) * 1000, (3,) * 1000),
                hevc(),
            ),
            brands=corpus.HEIC,
        ).data
    ),
    "boxes before": lambda: plain(before=box(b"free") * 500_000),
    "boxes behind": lambda: plain(after=box(b"free") * 500_000),
    "tracks": lambda: plain(after=box(b"moov", box(b"trak", box(b"tkhd", bytes(90))) * 40_000)),
    "NAL units": lambda: HeifFile((replace(hevc(), data=corpus.nal(b"\x4e\1\0") * 500_000),), brands=corpus.HEIC).data,
    "OBUs": lambda: HeifFile((replace(av1(), data=corpus.unit(15, b"") * 1_000_000),)).data,
    "frames": lambda: HeifFile((replace(corpus.moving_av1(), data=corpus.moving_av1().data * 50_000),)).data,
    "parameter sets": lambda: (
        HeifFile(
            (
                corpus.having(
                    hevc(), box(b"hvcC", bytes(21), b"\3\xff", (b"\x21\xff\xff" + b"\0\4\x42\1\1\1" * 65_535) * 10)
                ),
            ),
            brands=corpus.HEIC,
        ).data
    ),
}


@pytest.mark.parametrize("name", FLOODS)
def test_floods_stay_within_the_budget(name):
    """Repeated tables take no more memory than the budget allows; the test uses a twentieth of both."""
    data = FLOODS[name]()
    admitted(corpus.tiled("HEIC").data)  # loads modules, which must not count
    tracemalloc.start()
    with contextlib.suppress(RejectedError):
        admit(Reader.of(data, Budget(reads=2_500, bytes=200_000)), Limits())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200_000


@pytest.mark.parametrize("name", ["rows of associations", "places", "references to many"])
def test_recorded_entries_are_charged(name):
    """A recorded entry takes more memory than its bytes."""
    data = FLOODS[name]()
    tracemalloc.start()
    with contextlib.suppress(RejectedError):
        admit(Reader.of(data, Budget(bytes=200_000)), Limits())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 500_000


def test_a_large_grid_is_within_the_budget():
    """A thousand tiles are admitted, described and decoded with one budget."""
    tile = hevc()
    items = (grid(25, 40, 40 * 120, 25 * 80, tuple(range(2, 1002))), *[tile] * 1000)
    reader = Reader.of(HeifFile(items, brands=corpus.HEIC).data)
    assert admit(reader, Limits()).width == 4800
    assert exif.read(reader).make is None
    assert heif_writer.write(read_image(reader).item)


@settings(deadline=None)
@given(st.sampled_from(["turned-6.heic", "alpha.heic", "deep-alpha.avif", "grid", "sequence"]), st.data())
def test_damage_causes_no_other_error(name, data):
    """Changed bytes and cuts give a header or a rejection, never another error."""
    sources = {"grid": lambda: corpus.tiled("AVIF").data, "sequence": corpus.sequence}
    damaged = bytearray(sources[name]() if name in sources else corpus.whole(name))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, min(1500, len(damaged)) - 1))] = data.draw(st.integers(0, 255))
    del damaged[data.draw(st.integers(len(damaged) // 2, len(damaged))) :]
    with contextlib.suppress(RejectedError):
        admitted(bytes(damaged))
        find_exif(Reader.of(bytes(damaged)))


def test_another_size_is_not_decoded():
    """A size that differs from the admitted one is rejected before a pixel is decoded."""
    reader = Reader.of((HERE / "turned-1.heic").read_bytes())
    assert decode(reader, admit(reader, Limits())).image.size == SIZE
    with pytest.raises(CorruptImageError, match="240 × 160"):
        decode(reader, Header("HEIF", 24, 16, "RGB"))


def test_many_slices_are_too_much_work(monkeypatch):
    """Many slices are rejected, because each may cover the whole image."""
    data = hevc().data
    again = bytearray(data)
    again[6] &= 0x7F  # not the first slice of an image
    item = replace(hevc(), data=data + bytes(again) * 20)
    file = HeifFile((item,), brands=corpus.HEIC).data
    monkeypatch.setattr(judge, "_MOST_SLICED_PIXELS", 22 * 120 * 80)
    assert admitted(file)
    monkeypatch.setattr(judge, "_MOST_SLICED_PIXELS", 20 * 120 * 80)
    with pytest.raises(ImageTooLargeError, match="21 slices"):
        admitted(file)


# Metadata -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [b"\0\0\0\0", b"\0\0\0\6Exif\0\0", b"\0\0\0\0Exif\0\0"])
def test_the_exif_of_the_primary_image_is_used(start):
    """Another image's EXIF may come first."""
    make = b"II*\0\x08\0\0\0" + b"\1\0\x0f\x01\2\0\4\0\0\0Cam\0" + bytes(4)
    foreign_exif = corpus.Item(b"Exif", b"\0\0\0\0" + make.replace(b"Cam", b"Not"), references=((b"cdsc", (2,)),))
    own_exif = corpus.exif_item(start + make)
    data = HeifFile((av1(), av1((0, 0, 255)), foreign_exif, own_exif)).data
    assert exif.read(Reader.of(data)).make == "Cam"


def test_only_the_boxes_define_the_orientation():
    """The orientation in EXIF is ignored, as ISO/IEC 23008-12 requires."""
    data = saved(quarters(), "AVIF")
    block = b"\0\0\0\0II*\0\x08\0\0\0\1\0\x12\x01\3\0\1\0\0\0\6\0\0\0" + bytes(4)
    file = HeifFile((corpus.av1_of(quarters()), corpus.exif_item(block)))
    assert admitted(file.data).orientation == admitted(data).orientation == 1
