"""Every animation of the corpus equals what Chromium shows, as recorded by `tools/animation_references.py`."""

import json
from importlib import import_module

import pytest

from image_pipeline.imaging.animation.canvas import drawn_images
from image_pipeline.imaging.animation.frames import shown_milliseconds
from image_pipeline.imaging.reader import Reader
from tests.corpus import animations
from tools.animation_references import RESULTS, unpacked

REFERENCES = json.loads(RESULTS.read_text())
DIFFERENT = {
    "WebP cut off": 3,
    "WebP with a frame outside": 3,
    "PNG without an end": 4,
}
"""Frames that are shown where Chromium shows fewer or none: every frame whose data is complete is shown."""


def read(data, image_format):
    """The structure, and the pictures before the first damaged frame."""
    animation = import_module(f"image_pipeline.imaging.animation.{image_format}").read(Reader.of(data))
    frames = []
    try:
        for image, milliseconds in drawn_images(animations.SIZE, animation.frames):
            frames.append((image.tobytes(), milliseconds))
    except Exception:
        assert len(frames) < len(animation.frames)
    return animation, frames


def premultiplied(rgba):
    """Colours weighted by their opacity, because colours of transparent pixels are invisible."""
    for at in range(0, len(rgba), 4):
        red, green, blue, alpha = rgba[at : at + 4]
        yield from (red * alpha / 255, green * alpha / 255, blue * alpha / 255, alpha)


def test_every_animation_has_a_reference():
    """A new animation needs a reference: `python -m tools.animation_references`."""
    assert animations.ALL.keys() == REFERENCES.keys()


@pytest.mark.parametrize("name", animations.ALL)
def test_frames_times_and_repetitions_are_those_of_chromium(name):
    """Each frame has the pixels, the time and the repetitions that Chromium shows."""
    reference = unpacked(REFERENCES[name])
    animation, frames = read(animations.ALL[name](), name.split()[0].lower())
    if name in DIFFERENT:
        assert len(frames) == DIFFERENT[name] > len(reference.frames)
        assert reference.error
        return
    assert animation.plays == reference.repetitions + 1
    assert [milliseconds for _, milliseconds in frames] == list(map(shown_milliseconds, reference.milliseconds))
    for (pixels, _), expected in zip(frames, reference.frames, strict=True):
        assert max(abs(a - b) for a, b in zip(premultiplied(pixels), premultiplied(expected), strict=True)) < 1.1
