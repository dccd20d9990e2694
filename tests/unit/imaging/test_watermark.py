"""image_pipeline.imaging.watermark"""

import pytest
from PIL import Image, ImageChops, ImageStat

from image_pipeline.imaging.recipes import PLACES, Watermark
from image_pipeline.imaging.watermark import apply_watermark


@pytest.fixture
def logo(tmp_path):
    """A red square with a transparent half."""
    image = Image.new("RGBA", (40, 40), (255, 0, 0, 255))
    image.paste((0, 0, 0, 0), (20, 0, 40, 40))
    image.save(tmp_path / "logo.png")
    return tmp_path / "logo.png"


def changed_box(before, after):
    """The box in which the two images differ."""
    return ImageChops.difference(before.convert("RGB"), after.convert("RGB")).getbbox()


@pytest.mark.parametrize("place", PLACES)
def test_the_mark_is_at_the_named_place(logo, place):
    """The watermark is at the place that its name states, with a small margin."""
    canvas = Image.new("RGB", (400, 300))
    left, top, right, bottom = changed_box(
        canvas, apply_watermark(canvas, Watermark(image=logo, place=place, size=0.2, opacity=1))
    )
    across, down = (left + right) / 2 / 400, (top + bottom) / 2 / 300
    assert ("left" in place) == (across < 0.3)
    assert ("right" in place) == (across > 0.7)
    assert ("top" in place) == (down < 0.3)
    assert ("bottom" in place) == (down > 0.7)
    assert left >= 6 or "left" not in place


@pytest.mark.parametrize(
    ("canvas_size", "mark", "expected"),
    [
        ((400, 300), {"place": "bottom-right", "size": 0.2}, (314, 214, 354, 294)),
        ((400, 300), {"place": "top-left", "size": 0.2}, (6, 6, 46, 86)),
        ((400, 300), {"place": "center", "size": 1}, (50, 0, 200, 300)),
    ],
)
def test_the_mark_has_its_size_and_margin(logo, canvas_size, mark, expected):
    """The width is a share of the image's width unless the image is too low; the margin is 2 % of the shorter side."""
    canvas = Image.new("RGB", canvas_size)
    box = changed_box(
        canvas, apply_watermark(canvas, Watermark(image=logo, opacity=1, **mark)).point(lambda v: v > 127)
    )
    assert all(abs(side - reference) <= 1 for side, reference in zip(box, expected, strict=True))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("size", [(1, 1), (3, 200), (200, 3), (120, 90)])
def test_images_of_any_size_can_be_marked(logo, mode, size):
    """The size and the transparency of the smallest images are kept."""
    for mark in (Watermark(text="© 2026"), Watermark(image=logo)):
        out = apply_watermark(Image.new(mode, size), mark)
        assert out.size == size
        assert out.mode == ("RGBA" if mode == "RGBA" else "RGB")


def test_the_opacity_is_applied(logo):
    """0 changes nothing, 0.5 mixes both colours, 1 covers the image."""
    canvas = Image.new("RGB", (100, 100), (0, 0, 200))
    colours = [
        apply_watermark(canvas, Watermark(image=logo, place="center", size=1, opacity=opacity)).getpixel((20, 50))
        for opacity in (0, 0.5, 1)
    ]
    assert colours[0] == (0, 0, 200)
    assert all(abs(a - b) <= 2 for a, b in zip(colours[1], (127, 0, 100), strict=True))
    assert colours[2] == (255, 0, 0)


def test_the_source_image_is_not_changed(logo):
    """Other renditions use the source."""
    canvas = Image.new("RGBA", (50, 50), (1, 2, 3, 4))
    before = canvas.tobytes()
    apply_watermark(canvas, Watermark(image=logo))
    assert canvas.tobytes() == before


def test_text_can_be_read_on_white_and_black():
    """The text is white and has a dark outline."""
    mark = Watermark(text="Sample", size=0.5, opacity=0.6)
    on_black, on_white = (apply_watermark(Image.new("RGB", (400, 300), colour), mark) for colour in ("black", "white"))
    assert [highest for _, highest in on_black.getextrema()] == [153] * 3
    assert all(lowest < 170 for lowest, _ in on_white.getextrema())


def test_a_text_is_complete():
    """No edge of a letter is cut off: an O is the same upside down and in a mirror."""
    mark = Watermark(text="O", place="center", size=0.5, opacity=1)
    image = apply_watermark(Image.new("L", (300, 300)), mark).convert("L")
    letter = image.crop(image.getbbox())
    for turn in (Image.Transpose.FLIP_TOP_BOTTOM, Image.Transpose.FLIP_LEFT_RIGHT):
        assert ImageStat.Stat(ImageChops.difference(letter, letter.transpose(turn))).mean[0] < 12


def test_a_large_text_is_sharp():
    """Few of its pixels are between black and white, because it is reduced, not enlarged."""
    mark = Watermark(text="Sample", size=0.5, opacity=1)
    counts = apply_watermark(Image.new("L", (1200, 300)), mark).convert("L").histogram()
    assert sum(counts[30:226]) < 0.2 * sum(counts[30:])
