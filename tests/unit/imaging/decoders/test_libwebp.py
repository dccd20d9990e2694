"""image_pipeline.imaging.decoders.libwebp"""

import io
from dataclasses import replace
from types import SimpleNamespace

import pytest
from PIL import Image, ImageChops, ImageStat

from image_pipeline.imaging import engine
from image_pipeline.imaging.containers.webp import webp
from image_pipeline.imaging.decoders import libwebp
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.reader import Reader
from image_pipeline.imaging.recipes import Recipe
from tests.corpus import SIZE, holed, noisy, quarters, saved


@pytest.fixture(autouse=True)
def _needs_the_library():
    if libwebp._library() is None:
        pytest.skip("this Pillow contains no libwebp")


def decode(data, least):
    """The first frame, by libwebp."""
    return libwebp.decode(data, webp(Reader.of(data)).frame, least)


def mean_difference(one, two):
    """The mean difference of all channels."""
    return max(ImageStat.Stat(ImageChops.difference(one, two)).mean)


@pytest.mark.parametrize("options", [{"quality": 90}, {"lossless": True}])
@pytest.mark.parametrize("alpha", [False, True])
def test_pixels_equal_those_of_pillow(options, alpha):
    """At full size, bytes and mode equal those of Pillow."""
    data = saved(holed() if alpha else quarters(), "WEBP", **options)
    image = decode(data, SIZE)
    with Image.open(io.BytesIO(data)) as opened:
        assert image.mode == opened.mode
        assert image.tobytes() == opened.tobytes()


def test_lossy_images_are_decoded_at_the_requested_size():
    """Lossless images are decoded at full size."""
    source = quarters(size=(800, 600))
    assert decode(saved(source, "WEBP", quality=80), (400, 300)).size == (400, 300)
    assert decode(saved(source, "WEBP", lossless=True), (400, 300)).size == (800, 600)
    assert decode(saved(source, "WEBP", quality=80), (900, 700)).size == (800, 600)


@pytest.mark.parametrize("side", [90, 33, 1])
def test_renditions_do_not_depend_on_the_decoder(side, monkeypatch):
    """The mean difference to a rendition decoded by Pillow is below 2 of 255."""
    data = saved(Image.open(io.BytesIO(noisy("PNG"))).resize((600, 400)), "WEBP", quality=90)
    outs = []
    for library in (libwebp._library, lambda: None):
        monkeypatch.setattr(libwebp, "_library", library)
        (rendition,) = engine.render(data, [Recipe("t", side, side, formats=("png",))], Limits()).renditions
        outs.append(Image.open(io.BytesIO(rendition.data)).convert("RGB"))
    assert outs[0].size == outs[1].size
    assert mean_difference(*outs) < 2


@pytest.mark.parametrize("share", [0.2, 0.5, 0.95])
def test_cut_images_are_errors(share):
    """An incomplete image is an error."""
    data = noisy("WEBP")
    frame = webp(Reader.of(data)).frame
    with pytest.raises(ValueError, match="truncated"):
        libwebp.decode(data[: int(len(data) * share)], replace(frame, end=int(len(data) * share)), (10, 10))


def test_too_little_memory_is_a_memory_error(monkeypatch):
    """Too little memory raises MemoryError, not an error of the file."""
    real = libwebp._library()
    out_of_memory = 1
    starved = SimpleNamespace(
        WebPInitDecoderConfigInternal=real.WebPInitDecoderConfigInternal,
        WebPGetFeaturesInternal=real.WebPGetFeaturesInternal,
        WebPDecode=lambda *_: out_of_memory,
    )
    monkeypatch.setattr(libwebp, "_library", lambda: starved)
    with pytest.raises(MemoryError):
        decode(noisy("WEBP"), SIZE)
