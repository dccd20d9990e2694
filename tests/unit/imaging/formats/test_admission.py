"""image_pipeline.imaging.formats.admission"""

import contextlib
import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from image_pipeline.errors import (
    ImageTooLargeError,
    RejectedError,
    UnsupportedFormatError,
    UploadTooLargeError,
)
from image_pipeline.imaging.formats.admission import admit
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.reader import FIRST_BYTES, Budget, Reader
from tests.conftest import examples
from tests.corpus import BAD, GOOD, SIZE, many_scans, padded_jpeg, png, quarters, saved, turned, webp_bomb

LIMITS = Limits()


def admitted(data, limits=LIMITS):
    """The header of a file."""
    return admit(Reader.of(data), limits)


def stored_elsewhere(data, size=None, budget=None, fetches=None):
    """A file that is stored elsewhere; `fetches` records the requested parts."""

    def fetch(start, length):
        if fetches is not None:
            fetches.append((start, length))
        return data[start : start + length]

    return Reader.fetched(fetch, len(data) if size is None else size, budget)


def test_format_and_size_of_a_valid_file_are_read():
    """Format and size of every kind of file are read from its first bytes."""
    for case in GOOD:
        header = admitted(case.make())
        assert (header.format, header.width, header.height) == (case.format, *SIZE), case
        assert header.content_type == f"image/{case.format.lower()}", case


@pytest.mark.parametrize("case", [case for case in BAD if case.in_header], ids=str)
def test_rejects_a_bad_file_by_its_head(case):
    """The error is the documented one, its message names the reason, and there is a hint."""
    with pytest.raises(case.error) as caught:
        admitted(case.make())
    assert type(caught.value) is case.error
    assert case.words in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("case", [case for case in BAD if not case.in_header], ids=str)
def test_leaves_broken_pixels_to_the_decoder(case):
    """Admission accepts damage that the first bytes do not show."""
    assert admitted(case.make())


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_sizes_are_as_displayed(image_format, orientation):
    """The record has the displayed width and height, after orientation."""
    header = admitted(turned(image_format, orientation))
    assert (header.width, header.height, header.orientation) == (*SIZE, orientation)
    assert header.stored_size == (SIZE if orientation < 5 else SIZE[::-1])


@pytest.mark.parametrize(
    ("name", "mode", "bits"),
    [
        ("JPEG grey", "L", 8),
        ("JPEG YCCK", "CMYK", 8),
        ("PNG grey, 16 bits", "I;16", 16),
        ("PNG palette, 2 bits", "P", 2),
        ("WebP with alpha", "RGBA", 8),
        ("AVIF with alpha", "RGBA", 8),
        ("HEIC, 10 bits", "RGB", 10),
        ("TIFF grey, 16 bits", "I;16", 16),
        ("TIFF floats", "F", 32),
        ("TIFF fax", "1", 1),
        ("TIFF RGBA", "RGBA", 8),
        ("BMP palette", "P", 8),
    ],
)
def test_the_mode_and_the_bits_are_read(name, mode, bits):
    """The record contains the kind of the uploaded pixels."""
    header = admitted(next(case for case in GOOD if case.name == name).make())
    assert (header.mode, header.bits) == (mode, bits)


def test_finds_the_directory_at_the_end_of_a_tiff():
    """A directory after the pixels is read."""
    data = saved(quarters(size=(1200, 800)), "TIFF")
    assert data.index(b"II") == 0
    assert admitted(data).width == 1200


def test_too_many_bytes_are_rejected_unread():
    """The size of the file is checked before a byte is read."""
    with pytest.raises(UploadTooLargeError, match="100"):
        admit(Reader.fetched(lambda *_: pytest.fail("was read"), LIMITS.max_bytes + 1), LIMITS)


def test_the_list_of_formats_is_a_setting():
    """A deployment that accepts only JPEG rejects other formats, and the hint says so."""
    limits = replace(LIMITS, formats=frozenset({"JPEG"}))
    assert admitted(saved(quarters(), "JPEG"), limits)
    with pytest.raises(UnsupportedFormatError, match="PNG") as caught:
        admitted(saved(quarters(), "PNG"), limits)
    assert "JPEG" in caught.value.hint
    with pytest.raises(UnsupportedFormatError, match="AVIF"):
        admitted(saved(quarters(), "AVIF"), limits)


@pytest.mark.parametrize("case", [case for case in GOOD if case.frames == 3], ids=str)
def test_counts_frames(case):
    """Animations and documents have a limit of frames."""
    data = case.make()
    assert admit(Reader.of(data), LIMITS).frames == 3
    with pytest.raises(ImageTooLargeError, match="2 frames"):
        admit(Reader.of(data), replace(LIMITS, max_frames=2))


def test_pixel_limit():
    """An image of exactly the limit is admitted, and one more pixel is not."""
    data = saved(quarters(), "PNG")
    assert admitted(data, replace(LIMITS, max_pixels=SIZE[0] * SIZE[1]))
    with pytest.raises(ImageTooLargeError, match="240 × 160"):
        admitted(data, replace(LIMITS, max_pixels=SIZE[0] * SIZE[1] - 1))


def test_a_hostile_file_costs_5_mb_at_most():
    """Rejecting a hostile file takes little memory."""
    files = [webp_bomb(), many_scans(1000), saved(Image.new("1", (9000, 9000)), "PNG")[:5000]]
    tracemalloc.start()
    for data in files:
        with pytest.raises(RejectedError):
            admitted(data, replace(LIMITS, max_pixels=80_000_000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000


@given(st.binary(max_size=300))
@settings(max_examples=examples(300))
def test_any_bytes_are_admitted_or_rejected(data):
    """Any bytes are admitted or rejected with a documented error."""
    for start in (b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\0", b"BM", b"RIFF\0\0\0\0WEBP"):
        with contextlib.suppress(RejectedError):
            admitted(start + data)


def test_the_file_itself_counts_as_memory():
    """The predicted memory includes all bytes of the file."""
    data = saved(Image.effect_noise((1000, 1000), 50).convert("RGB"), "PNG")
    decoding = admitted(data).predicted_memory(2048)
    enough = Limits(memory_bytes=decoding + len(data))
    assert admit(stored_elsewhere(data), enough).format == "PNG"
    with pytest.raises(ImageTooLargeError):
        admit(stored_elsewhere(data), replace(enough, memory_bytes=enough.memory_bytes - 1))


@pytest.mark.parametrize("length", [1_000, 64_000, 65_000, 70_000, 130_000, 262_000, 300_000, 1_000_000])
@pytest.mark.parametrize("side", [20, 100, 200])
def test_long_metadata_before_the_pixels_is_skipped(length, side):
    """Metadata before the pixels may have any length."""
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", "x" * length)
    data = saved(Image.effect_noise((side, side), 90).convert("RGB"), "PNG", pnginfo=info)
    assert admit(stored_elsewhere(data), Limits()).width == side


TEDIOUS = {
    "empty JPEG segments": b"\xff\xd8" + b"\xff\xe0\x00\x02" * 1_000_000,
    "JPEG fill bytes": b"\xff\xd8" + b"\xff" * 5_000_000,
    "empty PNG chunks": png((9, 9), 8, 2, b"")[:33] + (b"\0\0\0\0tEXt" + bytes(4)) * 400_000,
    "GIF blocks of one byte": saved(quarters("P"), "GIF")[:-1] + b"\x21\xfe" + b"\x01a" * 3_000_000,
}


@pytest.mark.parametrize("data", TEDIOUS.values(), ids=TEDIOUS.keys())
def test_a_header_of_countless_parts_is_not_parsed_completely(data):
    """A million empty parts exceed the budget of the file."""
    budget = Budget()
    with contextlib.suppress(RejectedError):  # a GIF has its first frame by then
        admit(Reader.of(data, budget), Limits())
    assert min(budget.reads, budget.bytes) < 0


def test_reads_64_kib_of_an_ordinary_file():
    """One small ranged GET is enough for nearly every image."""
    fetches = []
    data = saved(quarters(), "JPEG") + bytes(500_000)
    admit(stored_elsewhere(data, fetches=fetches), LIMITS)
    assert fetches == [(0, FIRST_BYTES)]


def test_a_long_header_costs_few_requests():
    """A long profile or thumbnail before the size takes a few more requests."""
    fetches = []
    admit(stored_elsewhere(padded_jpeg(150), fetches=fetches), LIMITS)
    assert 1 < len(fetches) < 30
