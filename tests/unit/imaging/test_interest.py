"""image_pipeline.imaging.interest"""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from bench.focus.crops import crops
from bench.focus.scenes import scenes
from image_pipeline.imaging.interest import Interest

MILLISECONDS = 3


def with_dot(size, box, mode="RGB"):
    """A grey image with a bright dot."""
    image = Image.new(mode, size, (90,) * len(Image.new(mode, (1, 1)).getbands()))
    ImageDraw.Draw(image).ellipse(box, "white")
    return image


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_a_crop_contains_a_dot_near_any_side(mode):
    """The only object in an image is inside the crop, and not near its edge."""
    left, top = Interest.of(with_dot((128, 64), (90, 20, 100, 30), mode)).place((1280, 640), (640, 640))
    assert (left + 100 < 900 < 1000 < left + 540, top) == (True, 0)
    left, top = Interest.of(with_dot((64, 128), (20, 26, 30, 36), mode)).place((64, 128), (64, 64))
    assert (left, top + 10 < 26 < 36 < top + 54) == (0, True)


@pytest.mark.parametrize("size", [(128, 64), (64, 128), (1, 128), (128, 1), (3, 2)])
def test_an_empty_image_is_cropped_in_its_centre(size):
    """Without an interesting part, `smart` equals `centre`."""
    assert Interest.of(Image.new("RGB", size, "teal")).place((300, 200), (100, 200)) == (100, 0)
    assert Interest.of(Image.new("RGBA", size)).place((200, 300), (200, 200)) == (0, 50)


def test_transparent_parts_are_not_interesting():
    """Colours under full transparency do not attract the crop."""
    image = with_dot((128, 64), (10, 20, 40, 50), "RGBA")
    image.putalpha(Image.new("L", image.size, 255))
    hidden = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    ImageDraw.Draw(hidden).rectangle((10, 10, 50, 50), (0, 255, 0, 0))
    image.paste(hidden, (64, 0))
    assert Interest.of(image).place((128, 64), (64, 64))[0] < 10


@given(
    st.tuples(st.integers(1, 128), st.integers(1, 128)),
    st.sampled_from(["L", "RGB", "RGBA"]),
    st.tuples(st.integers(1, 2000), st.integers(1, 2000)),
    st.data(),
)
@settings(max_examples=100, deadline=None)
def test_a_crop_is_inside_any_image(small, mode, size, data):
    """This holds for every size of the reduction, of the image and of the crop."""
    image = Image.effect_noise(small, 60).convert(mode)
    crop = tuple(data.draw(st.integers(1, side)) for side in size)
    for start, part, whole in zip(Interest.of(image).place(size, crop), crop, size, strict=True):
        assert 0 <= start <= whole - part


def test_smart_crops_contain_the_subject_of_generated_scenes():
    """`smart` keeps nine of ten subjects, and the centre fewer than half; `python -m bench.focus` measures both."""
    smart = centre = count = 0
    for scene in scenes(seed=3, count=60):
        small = scene.image.copy()
        small.thumbnail((128, 128), Image.Resampling.LANCZOS)
        interest = Interest.of(small)
        for crop in crops(*scene.image.size, scene.subject):
            start = interest.place(scene.image.size, crop.size(*scene.image.size))[crop.axis]
            smart += crop.contains(scene.subject, start / scene.image.size[crop.axis])
            centre += crop.contains(scene.subject, (1 - crop.length) / 2)
            count += 1
    assert count > 200
    assert smart > 0.85 * count
    assert centre < 0.5 * count


def test_a_smart_crop_takes_little_time():
    """One map and one crop take at most three milliseconds of CPU, in the best of some runs."""
    image = next(scenes(seed=1, count=1)).image.resize((128, 128))
    times = []
    for _ in range(20):
        start = time.thread_time()
        Interest.of(image).place((1600, 1600), (1600, 800))
        times.append(time.thread_time() - start)
    assert min(times) * 1000 < MILLISECONDS
