"""image_pipeline.imaging.containers"""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_pipeline.imaging import containers
from image_pipeline.imaging.containers import BrokenContainerError, NeedMoreBytesError, Tiff
from tests.corpus import GOOD, SIZE, exif, many_scans, quarters, saved, turned

BOUNDED = (BrokenContainerError, NeedMoreBytesError)


def test_jpeg_segments_end_with_the_first_scan():
    """What follows is pixels, not structure."""
    segments = list(containers.jpeg_segments(saved(quarters(), "JPEG")))
    assert [segment.marker for segment in segments][-1] == 0xDA
    assert 0xC0 in [segment.marker for segment in segments]


@pytest.mark.parametrize("count", [1, 99, 100])
def test_jpeg_scans_are_counted(count):
    """Exactly, up to the limit."""
    data = many_scans(count)
    own = many_scans(0).count(b"\xff\xda")
    assert containers.jpeg_scans(data, 1000) == count + own
    assert containers.jpeg_scans(data, 3) == 4


def test_scans_of_thumbnails_and_second_pictures_do_not_count():
    """Only the picture that is decoded costs time."""
    thumbnail = exif(t0x010E="\xff\xda" * 300)
    data = saved(quarters(), "JPEG", exif=thumbnail) + many_scans(300)
    assert data.count(b"\xff\xda") > 300
    assert containers.jpeg_scans(data, 100) == 1


def test_a_prefix_says_how_much_more_is_needed():
    """The caller can ask for the right number of bytes at once."""
    data = saved(quarters(), "JPEG")
    with pytest.raises(NeedMoreBytesError) as caught:
        list(containers.jpeg_segments(data[:30]))
    assert 30 < caught.value.needed <= len(data)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF"])
def test_finds_exif_in_every_container(image_format):
    """The same block comes out wherever it lies."""
    named = exif(t0x010F="Kamera")
    data = turned("HEIF", 6) if image_format == "HEIF" else saved(quarters(), image_format, exif=named)
    tiff = Tiff(containers.find_exif(data))
    tags, _ = tiff.directory(tiff.first)
    assert {0x010F, 0x0112} & tags.keys()


def test_tiff_directories_may_not_go_round_in_circles():
    """A link back is followed once at most by whoever counts pages."""
    from image_pipeline.imaging.formats import Limits, admit

    data = bytearray(saved(quarters(), "TIFF"))
    first = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[first : first + 2], "little")
    data[first + 2 + 12 * count :][:4] = b""
    link = first + 2 + 12 * count
    data[link : link + 4] = first.to_bytes(4, "little")
    header = admit(lambda n: bytes(data[:n]), len(data), Limits())
    assert (header.width, header.height) == SIZE
    assert header.frames <= 2


def test_heif_items_name_the_primary_picture():
    """Its type decides who decodes it."""
    data = saved(quarters(), "AVIF")
    items = containers.heif_items(data, len(data))
    assert items.primary_type == b"av01"
    assert items.properties[b"ispe"][4:12] == bytes((0, 0, 0, 240, 0, 0, 0, 160))


@given(st.sampled_from(GOOD), st.data())
def test_no_damage_breaks_more_than_the_file(case, data):
    """A flipped byte or a cut gives a result or one of the two errors, never another."""
    whole = bytearray(case.make()[:4000])
    for _ in range(4):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    for walk in (
        lambda: list(containers.jpeg_segments(damaged)),
        lambda: containers.jpeg_scans(damaged, 0),
        lambda: list(containers.png_chunks(damaged)),
        lambda: list(containers.riff_chunks(damaged)),
        lambda: containers.heif_items(damaged, len(damaged)),
        lambda: Tiff(damaged).directory(Tiff(damaged).first),
        lambda: containers.find_exif(damaged),
    ):
        with contextlib.suppress(*BOUNDED):
            walk()
