"""Animated renditions of the engine."""

import io
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageCms, ImageStat

from image_pipeline.imaging import engine
from image_pipeline.imaging.animation import frames, render
from image_pipeline.imaging.focus import Point
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.recipes import MAX_SIDE, Recipe, Watermark
from tests.corpus import animations, gifs
from tests.unit.imaging.animation.test_writer import decoded, difference, scene

MOVING = Recipe("moving", 24, 24, formats=("webp",), animated=True)
GIF = animations.ALL["GIF clears"]()
GOLDEN = Path(__file__).parent.parent / "golden" / "animated.png"
STEPS = [scene(step, (200, 140)) for step in range(5)]


def rendered(data, *recipes, limits=None):
    """The result of the engine."""
    return engine.render(data, recipes or (MOVING,), limits or Limits())


def moving(data, *recipes):
    """The decoded frames of the only rendition."""
    (rendition,) = rendered(data, *recipes).renditions
    return decoded(rendition.data)


@pytest.mark.parametrize("image_format", ["GIF", "WEBP", "PNG"])
def test_an_animation_stays_animated(image_format):
    """Frames, times, loops and size are kept; the record has the number of frames."""
    options = {"lossless": True} if image_format == "WEBP" else {}
    data = animations.saved(STEPS, image_format, duration=[50, 60, 70, 80, 90], loop=3, **options)
    result = rendered(data, Recipe("t", 100, 100, formats=("webp", "jpeg"), animated=True))
    webp, jpeg = result.renditions
    assert (webp.width, webp.height, webp.frames, webp.to_dict()["frames"]) == (100, 70, 5, 5)
    assert (jpeg.width, jpeg.height, jpeg.frames) == (100, 70, 1)
    assert "frames" not in jpeg.to_dict()
    decoded_frames = decoded(webp.data)
    assert [time for _, time in decoded_frames] == [50, 60, 70, 80, 90]
    assert Image.open(io.BytesIO(webp.data)).info["loop"] == 3 + (image_format == "GIF")  # a GIF counts repetitions
    for (image, _), step in zip(decoded_frames, STEPS, strict=True):
        assert difference(image, step.resize((100, 70), Image.Resampling.LANCZOS)) < 4
    assert result.warnings == ()


def test_without_the_option_the_first_frame_is_shown():
    """A recipe without `animated` makes a still of an animation."""
    data = animations.saved(STEPS, "GIF", duration=50)
    result = rendered(data, replace(MOVING, animated=False))
    assert Image.open(io.BytesIO(result.renditions[0].data)).n_frames == 1


@pytest.mark.parametrize(("focus", "point"), [("smart", None), ("centre", Point(0.9, 0.5)), ("smart", Point(0.9, 0.5))])
def test_the_crop_stays_in_its_place(focus, point):
    """All frames show the same part, even if the interesting part or the point moves."""
    steps = [Image.new("RGB", (200, 50), "gray") for _ in range(3)]
    for number, step in enumerate(steps):
        step.paste("red", (170, 15, 190, 35))
        step.paste("blue", (20 * number, 0, 20 * number + 2 + 20 * bool(number), 50))
    recipe = Recipe("t", 50, 50, fit="cover", focus=focus, formats=("webp",), animated=True)
    data = animations.saved(steps, "WEBP", duration=50, lossless=True)
    (rendition,) = engine.render(data, (recipe,), Limits(), point).renditions
    reds = [ImageChops.subtract(*image.convert("RGB").split()[:2]) for image, _ in decoded(rendition.data)]
    boxes = {red.point(lambda value: 255 * (value > 100)).getbbox() for red in reds}
    assert len(boxes) == 1
    (box,) = boxes
    assert box is not None
    assert box[2] - box[0] >= 18


@pytest.mark.parametrize("image_format", ["GIF", "WEBP", "PNG", "JPEG", "AVIF", "TIFF"])
def test_a_still_image_stays_a_still(image_format):
    """The option changes nothing for an image of one frame, and pages of a TIFF are not frames."""
    options = {"save_all": True, "append_images": [STEPS[1]]} if image_format in ("TIFF", "AVIF") else {}
    out = io.BytesIO()
    STEPS[0].save(out, image_format, **options)
    still, same = (rendered(out.getvalue(), replace(MOVING, animated=animated)) for animated in (False, True))
    assert still.renditions == same.renditions
    assert same.warnings == ()


def test_every_option_applies_to_every_frame():
    """Crop, sharpening, padding and watermark are the same in all frames."""
    data = animations.saved(STEPS, "GIF", duration=50)
    mark = Watermark(text="©", place="top-left", size=0.3, opacity=1)
    for recipe in (
        Recipe("t", 60, 60, fit="cover", formats=("webp",), animated=True, sharpen=1, watermark=mark),
        Recipe("t", 90, 90, fit="pad", formats=("webp",), animated=True, background="#00ff00", watermark=mark),
    ):
        for number, (image, _) in enumerate(moving(data, recipe)):
            still = replace(recipe, animated=False, formats=("png",), quality=100)
            rendition = rendered(animations.saved([STEPS[number].quantize(255)], "GIF"), still).renditions[0]
            assert difference(image, Image.open(io.BytesIO(rendition.data))) < 5
            assert image.size == (recipe.width, recipe.height)


def strip():
    """All frames of an animation with crop, transparency and watermark, side by side."""
    mark = Watermark(text="©", place="bottom-right", size=0.3, opacity=0.8)
    recipe = Recipe(
        "t", 100, 100, fit="cover", formats=("webp",), quality=90, sharpen=0.5, watermark=mark, animated=True
    )
    steps = [scene(8 + 4 * number, (200, 140)) for number in range(5)]
    alpha = Image.radial_gradient("L").resize((200, 140)).point(lambda value: 255 - value)
    holed = [Image.merge("RGBA", (*step.split(), alpha)) for step in steps]
    decoded_frames = moving(animations.saved(holed, "PNG", duration=50), recipe)
    out = Image.new("RGBA", (500, 100))
    for number, (image, _) in enumerate(decoded_frames):
        out.paste(image, (100 * number, 0))
    return out


def test_golden(tmp_path):
    """The pixels equal the golden image; `python -m tests.unit.imaging.animation.test_render` writes it."""
    image = strip()
    with Image.open(GOLDEN) as opened:
        changes = ImageChops.difference(image, opened.convert("RGBA"))
    saved_at = tmp_path / "animated.png"
    changes.convert("RGB").point(lambda value: min(255, value * 8)).save(saved_at)
    assert max(ImageStat.Stat(changes).mean) < 1.5, f"look at {saved_at}"


def test_a_set_is_animated_in_every_width():
    """A responsive set of an animation ends at the width of the original, too."""
    data = animations.saved(STEPS, "GIF", duration=50)
    members = [
        replace(MOVING, name=f"s-{width}", width=width, height=MAX_SIDE, set_name="s") for width in (50, 120, 300, 900)
    ]
    renditions = rendered(data, *members).renditions
    assert [(rendition.name, rendition.width, rendition.frames) for rendition in renditions] == [
        ("s-50", 50, 5),
        ("s-120", 120, 5),
        ("s-300", 200, 5),
    ]


@pytest.mark.parametrize("image_format", ["WEBP", "PNG"])
def test_colours_and_orientation_of_every_frame_are_converted(image_format):
    """Every frame is in sRGB and upright."""
    wide = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = bytearray(wide)  # red and blue exchanged: any conversion is visible
    red, blue = (swapped.index(tag) for tag in (b"rXYZ", b"bXYZ"))
    swapped[red : red + 4], swapped[blue : blue + 4] = b"bXYZ", b"rXYZ"
    block = Image.Exif()
    block[0x0112] = 6
    options = {"lossless": True} if image_format == "WEBP" else {}
    colours = [Image.new("RGB", (60, 30), colour) for colour in ("#ff0000", "#c00000", "#800000")]
    for image in colours:
        image.paste(0, (30, 0, 60, 30))
    data = animations.saved(
        colours, image_format, duration=50, icc_profile=bytes(swapped), exif=block.tobytes(), **options
    )
    decoded_frames = moving(data, Recipe("t", 60, 60, formats=("webp",), animated=True))
    assert len(decoded_frames) == 3
    for image, _ in decoded_frames:
        red, _, blue, _ = ImageStat.Stat(image.crop((0, 0, 30, 28))).mean  # the left half is at the top now
        assert image.size == (30, 60)
        assert blue > red + 50
        assert max(ImageStat.Stat(image.crop((0, 32, 30, 60)).convert("RGB")).mean) < 10


# Limits ---------------------------------------------------------------------------------------------------------------


def still_of(data):
    """The first frame, as a recipe without the option shows it."""
    return rendered(data, replace(MOVING, animated=False)).renditions


def assert_still(data, words, limits=None):
    """The first frame is shown, and one warning says why."""
    result = rendered(data, limits=limits)
    (warning,) = result.warnings
    assert words in warning
    assert result.renditions == still_of(data)
    return result


def animation_of(count, size=(2, 2)):
    """A GIF of this number of tiny frames."""
    pair = b"".join(
        gifs.control(None, 1, 5) + gifs.frame((0, 0, *size), bytes((n,)) * (size[0] * size[1])) for n in (0, 1)
    )
    return gifs.gif(size, [pair * (count // 2)])


def test_an_animation_has_a_limit_of_frames():
    """Of an animation with more frames, only the first one is shown."""
    assert rendered(animation_of(frames.MOST_FRAMES)).renditions[0].frames == frames.MOST_FRAMES
    assert_still(animation_of(frames.MOST_FRAMES + 2), "has more than 2,000 frames. Its first frame is shown.")


def test_the_pixels_of_all_frames_are_limited(monkeypatch):
    """Decoded, drawn and coded pixels are counted before anything is decoded."""
    data = animations.saved(STEPS, "GIF", duration=50)
    canvas, rendition = 200 * 140, 24 * 17
    coded = sum(frame.coded_pixels for frame in render.import_module("image_pipeline.imaging.animation.gif").read(
        render.Reader.of(data)).frames)  # fmt: skip
    monkeypatch.setattr(render, "MOST_PIXELS", coded + 5 * (canvas + 4 * rendition))
    assert rendered(data).warnings == ()
    monkeypatch.setattr(render, "MOST_PIXELS", render.MOST_PIXELS - 1)
    monkeypatch.setattr(render, "drawn_images", None)
    assert_still(data, "has 5 frames of 200 × 140 pixels, which count as")


def test_padding_counts():
    """A small animation in a large box takes as long as a large animation."""
    padded = Recipe("t", 4000, 4000, fit="pad", formats=("webp",), animated=True)
    (warning,) = rendered(animation_of(40), padded).warnings
    assert "count as 2,560 megapixels" in warning


def test_frames_far_larger_than_the_canvas_count():
    """A frame outside of the canvas must be decoded, too."""
    huge = gifs.frame((0, 0, 65535, 65535), bytes(100))
    assert_still(gifs.gif((4, 4), [gifs.frame((0, 0, 4, 4)), huge]), "count as 4,295 megapixels")


def test_memory_is_predicted():
    """An animation that needs more memory than is left is not decoded."""
    data = animations.saved(STEPS, "GIF", duration=50)
    assert rendered(data, limits=Limits(memory_bytes=5_200_000)).warnings == ()
    assert_still(data, "needs about 1 MB of memory; 0 MB are available", Limits(memory_bytes=4_600_000))


def test_memory_does_not_grow_with_the_frames():
    """Frames are decoded one after the other."""

    def peak(count):
        data = animation_of(count, (300, 300))
        tracemalloc.start()
        try:
            rendered(data)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(60) < peak(4) + 2_000_000


def test_bytes_after_the_end_of_a_webp_cost_no_memory():
    """All frames share the bytes of the file; none has a copy up to the end."""
    chunks = animations.saved(STEPS, "WEBP", duration=50)[12:]
    body = b"WEBP" + chunks + b"junk" + (4_000_000).to_bytes(4, "little") + bytes(4_000_000)
    data = b"RIFF" + len(body).to_bytes(4, "little") + body + b"\0"
    tracemalloc.start()
    try:
        result = rendered(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert result.renditions[0].frames == 5
    assert result.warnings == ()
    assert peak < 3 * len(data)


def test_the_time_is_limited(monkeypatch):
    """If the time is too short, the still has another content id, because a later attempt may succeed."""
    data = animations.saved(STEPS, "GIF", duration=50)
    complete = rendered(data).content_id
    assert complete == engine.content_id(data, [MOVING])
    monkeypatch.setattr(render, "MOST_SECONDS", -1.0)
    assert assert_still(data, "takes more than").content_id != complete


def test_the_bytes_are_limited(monkeypatch):
    """The renditions of an animation cannot fill the memory."""
    data = animations.saved(STEPS, "GIF", duration=50)
    monkeypatch.setattr(render, "MOST_BYTES", 300)
    assert_still(data, "needs more than 0 MB for its renditions")


def test_lack_of_memory_shows_the_first_frame(monkeypatch):
    """If the predicted memory was too low, the still has another content id, because a later attempt may succeed."""
    data = animations.saved(STEPS, "GIF", duration=50)

    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(render.Writer, "add", fail)
    result = assert_still(data, "needs more memory than is available")
    assert result.content_id != engine.content_id(data, [MOVING])


@pytest.mark.parametrize("name", [name for name in animations.ALL if "cut off" in name])
def test_a_damaged_animation_shows_its_intact_frames(name):
    """The warning says how many there are."""
    result = rendered(animations.ALL[name]())
    warning = result.warnings[-1]
    assert f"only its first {result.renditions[0].frames} frames are shown" in warning


def test_a_structure_without_an_end_is_not_parsed_completely():
    """Thousands of parts that are not frames use up only the budget of the animation."""
    comments = gifs.extension(0xFE) * 200_000
    first, second = (gifs.frame((0, 0, 40, 30)) for _ in range(2))
    data = gifs.gif((40, 30), [first, second, comments, second])
    assert rendered(data).renditions[0].frames == 1  # equal frames are one
    assert "damaged" in rendered(data).warnings[0]


def test_one_intact_frame_is_a_still():
    """If the second frame is damaged, the first one is shown."""
    data = gifs.gif((40, 30), [gifs.frame((0, 0, 40, 30)), b"\x2c\0\0"], end=b"")
    result = rendered(data)
    assert result.renditions == still_of(data)
    assert result.warnings == ()  # the header counts one frame, as without the option
    short = animations.ALL["GIF with a short frame"]()
    assert rendered(short).warnings == ("The animation is damaged: only its first frame is shown.",)
    assert rendered(short).renditions == still_of(short)


if __name__ == "__main__":
    strip().save(GOLDEN)
