"""image_pipeline.imaging.containers.av1"""

import io
from dataclasses import replace

import pytest
from PIL import Image

from image_pipeline.imaging.containers import av1
from image_pipeline.imaging.containers.av1 import frames_in
from image_pipeline.imaging.reader import BrokenContainerError, Reader
from tests.corpus import heif as corpus
from tests.corpus import quarters
from tests.corpus.heif import HeifFile


def head(item):
    """The head of an item."""
    return frames_in(Reader.of(item.data))


@pytest.mark.parametrize("size", [(16, 16), (17, 301), (1023, 1), (1024, 65), (1025, 400)])
@pytest.mark.parametrize("moving", [False, True])
def test_sizes_equal_those_of_the_encoder(size, moving):
    """The sizes of still images and sequences are read correctly."""
    item = corpus.moving_av1(size) if moving else corpus.av1((9, 9, 9), size)
    frames = head(item)
    assert (frames.sequence.size, frames.sizes) == (size, (size,))


@pytest.mark.parametrize(("sampling", "chroma"), [("4:2:0", 0.5), ("4:2:2", 1), ("4:4:4", 2)])
def test_sampling_is_known(sampling, chroma):
    """The chroma sampling, on which memory depends, is read."""
    assert head(corpus.av1((9, 9, 9), subsampling=sampling)).sequence.chroma == chroma


def test_grey_and_film_grain_are_known():
    """Grey images have no chroma, and film grain needs a second set of planes."""
    assert head(corpus.av1(9)).sequence.chroma == 0
    grainy = corpus.av1_of(quarters(), advanced={"film-grain-test": "3"})
    assert (head(grainy).sequence.film_grain, head(corpus.av1()).sequence.film_grain) == (True, False)


@pytest.mark.parametrize(("sampling", "chroma"), [("420", 0.5), ("422", 1)])
def test_sampling_of_12_bits_is_known(sampling, chroma):
    """Of the professional profile, headers of 12 bits contain the sampling; all others imply it."""
    data = corpus.whole(f"deep-12-{sampling}.avif")
    sequence = frames_in(Reader.of(data[data.index(b"mdat") + 4 :])).sequence
    assert (sequence.bits, sequence.chroma, sequence.size) == (12, chroma, (240, 160))


@pytest.mark.parametrize(("name", "bits"), [("deep-10.avif", 10), ("deep-12.avif", 12)])
def test_depth_is_known(name, bits):
    """Planes above 8 bits take twice the memory."""
    data = corpus.whole(name)
    assert frames_in(Reader.of(data[data.index(b"mdat") + 4 :])).sequence.bits == bits


def test_a_frame_may_have_its_own_size():
    """dav1d decodes the file, and the parser reads the size that the frame declares."""
    item = corpus.with_own_frame_size(corpus.moving_av1(), (120, 80))
    assert head(item).sizes == ((120, 80),)
    image = Image.open(io.BytesIO(HeifFile((item,)).data))
    assert image.convert("RGB").getpixel((60, 40))[0] > 240
    assert head(corpus.with_own_frame_size(corpus.moving_av1(), (9000, 7000))).sizes == ((9000, 7000),)


@pytest.mark.parametrize("is_equal_interval", [True, False])
def test_the_times_of_decoding_are_skipped(is_equal_interval):
    """dav1d decodes the file, and the parser reads the sizes after the optional fields of a decoder model."""
    item = corpus.with_decoder_model(corpus.moving_av1((1000, 70)), is_equal_interval)
    frames = head(item)
    assert (frames.sequence.size, frames.sizes) == ((1000, 70), ((1000, 70),))
    image = Image.open(io.BytesIO(HeifFile((item,)).data))
    assert image.convert("RGB").getpixel((500, 35))[0] > 240
    item = corpus.with_decoder_model(corpus.with_own_frame_size(corpus.moving_av1(), (9000, 7000)), is_equal_interval)
    assert head(item).sizes == ((9000, 7000),)


def test_all_frames_of_a_sequence_are_found():
    """Frames between key frames are also found."""
    data = corpus.sequence()
    frames = frames_in(Reader.of(data[data.index(b"mdat") + 4 :]))
    assert len(frames.sizes) >= 3
    assert set(frames.sizes) == {(240, 160)}


@pytest.mark.parametrize("cut", [1, 3, 8, 12])
def test_cut_heads_are_errors(cut):
    """A header that is cut off raises CutOffError and nothing else."""
    with pytest.raises(BrokenContainerError):
        head(replace(corpus.av1(), data=corpus.av1().data[:cut]))


def test_countless_frames_are_an_error():
    """An item contains one image with at most a few layers."""
    item = corpus.moving_av1()
    with pytest.raises(BrokenContainerError, match="more than 32 frames"):
        head(replace(item, data=item.data * 40))


def test_a_configuration_may_hold_the_sequence_header():
    """The sequence header in the configuration is optional."""
    with_header = corpus.configured((120, 80))
    assert av1.configured_sequence(Reader.of(with_header[8:])).size == (120, 80)
    assert av1.configured_sequence(Reader.of(corpus.av1().properties[0][8:])) is None
