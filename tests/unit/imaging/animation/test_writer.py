"""image_pipeline.imaging.animation.writer"""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageDraw, ImageStat

from image_pipeline.imaging.animation.frames import MOST_MILLISECONDS
from image_pipeline.imaging.animation.writer import Writer
from image_pipeline.imaging.containers.chunks import riff_chunks
from image_pipeline.imaging.reader import Reader


def written(frames, quality=90, plays=0, rights=b""):
    """The file of these (image, milliseconds)."""
    writer = Writer(quality)
    for image, milliseconds in frames:
        writer.add(image, milliseconds)
    return writer.file(frames[0][0].size, plays, rights)


def decoded(data):
    """(RGBA, milliseconds) of each frame, as libwebp draws it."""
    image = Image.open(io.BytesIO(data))
    frames = []
    for number in range(image.n_frames):
        image.seek(number)
        frames.append((image.convert("RGBA"), image.info["duration"]))
    return frames


def difference(one, two):
    """Mean difference of the channels over magenta."""
    backdrop = Image.new("RGBA", one.size, (255, 0, 255, 255))
    over = [Image.alpha_composite(backdrop, image.convert("RGBA")).convert("RGB") for image in (one, two)]
    return max(ImageStat.Stat(ImageChops.difference(*over)).mean)


def chunks(data):
    """(kind, payload) of each chunk."""
    return [(chunk.kind, data[chunk.start : chunk.end]) for chunk in riff_chunks(Reader.of(data))]


def scene(step, size=(100, 70), mode="RGB"):
    """A gradient on which a disc moves."""
    image = Image.linear_gradient("L").resize(size).convert(mode)
    ImageDraw.Draw(image).ellipse((5 * step, 20, 5 * step + 20, 40), fill=(200, 30, 30))
    return image


def test_each_frame_shows_its_image():
    """Unchanged pixels are not coded again, and no part of the previous frame remains."""
    frames = [(scene(step), 40 + step) for step in range(12)]
    decoded_frames = decoded(written(frames))
    assert [milliseconds for _, milliseconds in decoded_frames] == [milliseconds for _, milliseconds in frames]
    assert max(difference(image, picture) for (image, _), (picture, _) in zip(decoded_frames, frames, strict=True)) < 2


def test_a_slow_fade_is_not_frozen():
    """Changes of one level in each frame add up, and every frame must show them."""
    frames = [(Image.new("RGB", (64, 64), (100 + step, 60, 200 - step)), 50) for step in range(60)]
    decoded_frames = decoded(written(frames))
    assert max(difference(image, picture) for (image, _), (picture, _) in zip(decoded_frames, frames, strict=True)) < 3


def test_only_changed_blocks_are_coded():
    """A frame is as large as its changes; unchanged blocks between them are transparent."""
    first = Image.effect_noise((320, 320), 90).convert("RGB")
    second = first.copy()
    second.paste((255, 0, 0), (33, 33, 47, 47))
    second.paste((0, 0, 255), (290, 290, 300, 300))
    _, one, two = (
        payload for kind, payload in chunks(written([(first, 50), (second, 50)])) if kind in (b"ANIM", b"ANMF")
    )
    left, top, width, height = (int.from_bytes(two[at : at + 3], "little") for at in (0, 3, 6, 9))
    assert (2 * left, 2 * top, width + 1, height + 1) == (32, 32, 272, 272)
    assert len(two) < len(one) / 30


def test_the_smallest_change_is_a_frame():
    """One step of one channel of one pixel is coded."""
    first = Image.new("RGB", (40, 40), (100, 100, 100))
    second = first.copy()
    second.putpixel((39, 39), (100, 100, 101))
    assert [time for _, time in decoded(written([(first, 50), (second, 60)]))] == [50, 60]


def test_pixels_may_become_transparent_and_opaque():
    """A pixel that becomes transparent shows no part of the previous frames."""
    full = Image.new("RGBA", (50, 50), (0, 128, 0, 255))
    holed = full.copy()
    holed.paste((0, 0, 0, 0), (10, 10, 40, 40))
    mist = full.copy()
    mist.paste((0, 0, 255, 128), (20, 0, 50, 50))
    frames = [(full, 50), (holed, 50), (mist, 50), (holed, 50), (full.convert("RGB"), 50)]
    decoded_frames = decoded(written(frames))
    assert max(difference(image, picture) for (image, _), (picture, _) in zip(decoded_frames, frames, strict=True)) < 4


def test_equal_frames_are_one_longer_frame():
    """A repeated image extends its time; another frame follows when the longest time is reached."""
    assert [time for _, time in decoded(written([(scene(0), 50), (scene(0), 70), (scene(1), 10)]))] == [120, 10]
    longest = written([(scene(0), MOST_MILLISECONDS - 70), (scene(0), 70), (scene(1), 10)])
    assert [time for _, time in decoded(longest)] == [MOST_MILLISECONDS, 10]
    long = written([(scene(0), MOST_MILLISECONDS), (scene(0), 70)])
    assert [time for _, time in decoded(long)] == [MOST_MILLISECONDS, 70]
    assert difference(decoded(long)[1][0], scene(0)) < 2


def test_the_caller_may_reuse_its_image():
    """The writer keeps a copy of the previous frame for its comparison."""
    canvas = Image.new("RGBA", (32, 32), (255, 0, 0, 255))
    writer = Writer(90)
    writer.add(canvas, 50)
    canvas.paste((0, 0, 255, 255), (0, 0, 16, 16))
    writer.add(canvas, 50)
    assert writer.frames == 2


@pytest.mark.parametrize(("plays", "stored"), [(0, 0), (1, 1), (65535, 65535), (65536, 65535)])
def test_the_number_of_plays_is_limited(plays, stored):
    """More plays than a file can store must not become an endless loop."""
    assert Image.open(io.BytesIO(written([(scene(0), 50), (scene(1), 50)], plays=plays))).info["loop"] == stored


def test_rights_are_kept():
    """The file contains artist and copyright in the form of its format."""
    block = Image.Exif()
    block[0x013B] = "Ada"
    data = written([(scene(0), 50), (scene(1), 50)], rights=block.tobytes())
    assert Image.open(io.BytesIO(data)).getexif()[0x013B] == "Ada"
    assert chunks(data)[-1][1].startswith((b"MM", b"II"))
    assert chunks(data)[0][1][0] & 0x08


colours = st.tuples(*[st.integers(0, 255)] * 3, st.sampled_from((0, 128, 255)))
boxes = st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))


@settings(max_examples=40)
@given(st.lists(st.tuples(boxes, colours), min_size=1, max_size=6), st.booleans(), st.integers(17, 40))
def test_any_sequence_of_changes_is_shown(changes, is_opaque, side):
    """Each frame shows all changes, with or without transparency, and the total time is kept."""
    picture = Image.new("RGB" if is_opaque else "RGBA", (side, 33), (90, 90, 90))
    frames = [(picture, 10)]
    for number, ((left, top, width, height), colour) in enumerate(changes):
        picture = picture.copy()
        picture.paste(colour[: len(picture.mode)], (left, top, left + width, top + height))
        frames.append((picture, 20 + number))
    decoded_frames = decoded(written(frames, quality=100))
    assert sum(time for _, time in decoded_frames) == sum(time for _, time in frames)
    ends = [sum(time for _, time in decoded_frames[: index + 1]) for index in range(len(decoded_frames))]
    clock = 0
    for expected, milliseconds in frames:
        image = next(image for (image, _), end in zip(decoded_frames, ends, strict=True) if clock < end)
        assert difference(image, expected) < 14  # colours have a quarter of the resolution
        clock += milliseconds
