"""image_pipeline.imaging.formats"""

import contextlib
import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from image_pipeline.errors import (
    CorruptImageError,
    ImageTooLargeError,
    RejectedError,
    UnsupportedFormatError,
    UploadTooLargeError,
)
from image_pipeline.imaging import containers, formats
from image_pipeline.imaging.containers import HeifItems
from image_pipeline.imaging.formats import (
    FORMATS,
    HEAD_BYTES,
    MAX_HEAD_BYTES,
    Header,
    Limits,
    _box_orientation,
    admit,
    draft_scale,
    sniff,
)
from tests.corpus import BAD, GOOD, SIZE, many_scans, padded_jpeg, png, quarters, saved, turned, webp_bomb

LIMITS = Limits()


def admitted(data, limits=LIMITS):
    """The header, from as much of the data as is asked for."""
    return admit(lambda count: data[:count], len(data), limits)


@pytest.mark.parametrize("case", GOOD, ids=str)
def test_says_what_a_good_file_is(case):
    """Format and size are right for every kind of file, from its head alone."""
    header = admitted(case.make())
    assert (header.format, header.width, header.height) == (case.format, *SIZE)
    assert header.content_type == f"image/{case.format.lower()}"


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
    """What the head cannot show is no reason to reject by it."""
    assert admitted(case.make())


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_sizes_are_as_displayed(image_format, orientation):
    """A picture taken with the camera held upright is upright in the record too."""
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
def test_modes_and_bits(name, mode, bits):
    """The record says what kind of pixels were uploaded."""
    header = admitted(next(case for case in GOOD if case.name == name).make())
    assert (header.mode, header.bits) == (mode, bits)


@pytest.mark.parametrize(
    ("order", "turn", "axis", "orientation"),
    [
        ((b"irot", b"imir"), 1, 0, 5),
        ((b"imir", b"irot"), 1, 0, 7),
        ((b"irot", b"imir"), 1, 1, 7),
        ((b"imir", b"irot"), 3, 0, 5),
        ((b"imir", b"irot"), 2, 1, 4),
        ((b"imir",), None, 1, 2),
        ((b"irot",), 3, None, 6),
    ],
)
def test_boxes_are_applied_in_their_order(order, turn, axis, orientation):
    """Turning a mirrored picture is not mirroring a turned one (ISO/IEC 23008-12, 6.5.1)."""
    items = HeifItems(order=order)
    if turn is not None:
        items.properties[b"irot"] = bytes((turn,))
    if axis is not None:
        items.properties[b"imir"] = bytes((axis,))
    assert _box_orientation(items) == orientation


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_impossible_orientation_counts_as_none(orientation):
    """EXIF that says nonsense leaves the picture as it is stored."""
    from tests.corpus import exif

    assert admitted(saved(quarters(), "JPEG", exif=exif(t0x0112=orientation))).orientation == 1


def test_reads_64_kib_of_an_ordinary_file():
    """One small ranged GET decides about nearly every picture."""
    asked = []
    data = saved(quarters(), "JPEG") + bytes(500_000)
    admit(lambda count: (asked.append(count), data[:count])[1], len(data), LIMITS)
    assert asked == [HEAD_BYTES]


def test_reads_more_when_the_header_is_longer():
    """A long profile or thumbnail in front of the size costs a few more reads, not the picture."""
    asked = []
    data = padded_jpeg(9)
    admit(lambda count: (asked.append(count), data[:count])[1], len(data), LIMITS)
    assert len(asked) <= 3
    assert asked == sorted(asked)


def test_never_reads_more_than_the_longest_header():
    """A file that is all header is rejected after 4 MiB, however long it is."""
    asked = []

    def read(count):
        asked.append(count)
        return (b"\xff\xd8" + (b"\xff\xfe\xff\xff" + b" " * 65533) * 99)[:count]

    with pytest.raises(RejectedError):
        admit(read, 90_000_000, LIMITS)
    assert max(asked) <= MAX_HEAD_BYTES


def test_finds_the_directory_at_the_end_of_a_tiff():
    """Writers put it behind the pixels, and it is read there."""
    data = saved(quarters(size=(1200, 800)), "TIFF")
    assert data.index(b"II") == 0
    assert admitted(data).width == 1200


def test_too_many_bytes_are_rejected_unread():
    """The announced size decides before a byte is read."""
    with pytest.raises(UploadTooLargeError, match="100"):
        admit(lambda _: pytest.fail("was read"), LIMITS.max_bytes + 1, LIMITS)


def test_the_list_of_formats_is_a_setting():
    """A deployment that wants only JPEG gets only JPEG, and says so."""
    limits = replace(LIMITS, formats=frozenset({"JPEG"}))
    assert admitted(saved(quarters(), "JPEG"), limits)
    with pytest.raises(UnsupportedFormatError, match="PNG") as caught:
        admitted(saved(quarters(), "PNG"), limits)
    assert "JPEG" in caught.value.hint
    with pytest.raises(UnsupportedFormatError, match="AVIF"):
        admitted(saved(quarters(), "AVIF"), limits)


@pytest.mark.parametrize("case", [case for case in GOOD if case.frames == 3], ids=str)
def test_counts_frames(case):
    """Animations and documents have a limit of their own."""
    data = case.make()
    assert admit(lambda _: data, len(data), LIMITS).frames == 3
    with pytest.raises(ImageTooLargeError, match="2 frames"):
        admit(lambda _: data, len(data), replace(LIMITS, max_frames=2))


def test_pixel_limit():
    """The limit itself is admitted, one pixel more is not."""
    data = saved(quarters(), "PNG")
    assert admitted(data, replace(LIMITS, max_pixels=SIZE[0] * SIZE[1]))
    with pytest.raises(ImageTooLargeError, match="240 × 160"):
        admitted(data, replace(LIMITS, max_pixels=SIZE[0] * SIZE[1] - 1))


@pytest.mark.parametrize("image_format", sorted(FORMATS))
def test_memory_is_a_limit_of_its_own(image_format):
    """What a decoder would take is compared with what the function has."""
    header = Header(image_format, 8000, 6000, "RGB")
    memory = header.predicted_memory(2048)
    assert 0 < memory < 1_000_000_000
    assert Header(image_format, 16000, 12000, "RGB").predicted_memory(2048) > memory * 0.9


def test_progressive_jpeg_counts_its_coefficients():
    """Such a decoder holds the whole picture whatever size is wanted."""
    plain, progressive = (Header("JPEG", 8000, 6000, "RGB", progressive=each) for each in (False, True))
    assert progressive.predicted_memory(1600) - plain.predicted_memory(1600) == 8000 * 6000 * 3 * 2


@pytest.mark.parametrize(
    ("reduction", "camera", "scale"),
    [(1, True, 1), (2.4, True, 1), (2.5, True, 2), (2.9, False, 1), (3, False, 2), (5, True, 4), (99, False, 8)],
)
def test_draft_scale_leaves_the_last_step_to_lanczos(reduction, camera, scale):
    """Photographs keep a margin of 1.25, drawings of 1.5."""
    assert draft_scale(reduction, camera) == scale


def test_a_hostile_file_costs_5_mb_at_most():
    """Rejection takes no memory worth a thought."""
    files = [webp_bomb(), many_scans(1000), saved(quarters(size=(9000, 9000)), "PNG")[:5000]]
    tracemalloc.start()
    for data in files:
        with pytest.raises(RejectedError):
            admitted(data, replace(LIMITS, max_pixels=80_000_000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000


@given(st.binary(max_size=300))
@settings(max_examples=300)
def test_any_bytes_are_admitted_or_rejected(data):
    """No error but ours, whatever the bytes."""
    for start in (b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\0", b"BM", b"RIFF\0\0\0\0WEBP"):
        with contextlib.suppress(RejectedError):
            admitted(start + data)


@given(st.binary(max_size=300))
def test_any_bytes_have_a_name(data):
    """A message can always say what was found."""
    assert sniff(data)


def test_the_file_itself_counts_as_memory():
    """All of its bytes are held while it is decoded."""
    data = saved(Image.effect_noise((1000, 1000), 50).convert("RGB"), "PNG")
    decoding = Header("PNG", 1000, 1000, "RGB").predicted_memory(2048)
    enough = Limits(memory_bytes=decoding + len(data))
    assert admit(lambda n: data[:n], len(data), enough).format == "PNG"
    with pytest.raises(ImageTooLargeError):
        admit(lambda n: data[:n], len(data), replace(enough, memory_bytes=enough.memory_bytes - 1))


@pytest.mark.parametrize("length", [1_000, 64_000, 65_000, 70_000, 130_000, 262_000, 300_000, 1_000_000])
@pytest.mark.parametrize("side", [20, 100, 200])
def test_long_metadata_before_the_pixels_is_read_through(length, side):
    """However much stands before the pixels, and however little behind it."""
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", "x" * length)
    data = saved(Image.effect_noise((side, side), 90).convert("RGB"), "PNG", pnginfo=info)
    assert admit(lambda n: data[:n], len(data), Limits()).width == side


TEDIOUS = {
    "empty JPEG segments": b"\xff\xd8" + b"\xff\xe0\x00\x02" * 1_000_000,
    "JPEG fill bytes": b"\xff\xd8" + b"\xff" * 5_000_000,
    "empty PNG chunks": png((9, 9), 8, 2, b"")[:33] + (b"\0\0\0\0tEXt" + bytes(4)) * 400_000,
    "GIF blocks of one byte": saved(quarters("P"), "GIF")[:-1] + b"\x21\xfe" + b"\x01a" * 3_000_000,
}


@pytest.mark.parametrize("data", TEDIOUS.values(), ids=TEDIOUS.keys())
def test_a_header_of_countless_parts_is_not_walked_to_its_end(data, monkeypatch):
    """A million empty parts are rejected after some thousand: `take` is called that often at the most."""
    calls = []
    for module in (containers, formats):
        monkeypatch.setattr(module, "take", lambda *args, real=containers.take: calls.append(1) or real(*args))
    with pytest.raises(RejectedError):
        admit(lambda _: data, len(data), Limits())
    assert len(calls) < 500_000


def test_a_header_that_is_too_long_is_not_called_cut_off():
    """Nothing is missing, and the hint says what to do."""
    data = saved(quarters(), "JPEG")
    data = data[:2] + (b"\xff\xe1\xff\xff" + bytes(65_533)) * 80 + data[2:]
    with pytest.raises(CorruptImageError, match="longer than") as caught:
        admit(lambda n: data[:n], len(data), Limits())
    assert "metadata" in caught.value.hint
