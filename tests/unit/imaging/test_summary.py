"""image_pipeline.imaging.summary"""

import base64
import json
import math
import statistics

import pytest
from PIL import Image

from image_pipeline.imaging import resize, summary
from tests.corpus import holed, quarters


def picture(width, height, alpha=False):
    """An image without a file format, so that no decoder affects the test."""
    image = Image.new("RGBA", (width, height))
    image.putdata(
        [
            (
                (x * x * 7 + y * 31) % 256,
                (y * y * 11 + x * 5) % 251,
                (x * y * 3 + x * 5 + y) % 253,
                (x * 13 + y * y * 17) % 256 if alpha else 255,
            )
            for y in range(height)
            for x in range(width)
        ]
    )
    return image


# Computed by the reference implementation, thumbhash 0.1.1 for JavaScript, for the same pixels.
REFERENCE = {
    (32, 24, False): "X/gFDYQwVFRTVoYzeEeGKP+69sv5",
    (24, 32, False): "X/gFFQRARFRlJ3Y3dYRIdf7M6Kj4",
    (10, 32, False): "nRgGGgYgQheWYZQx352pqfk=",
    (32, 5, False): "XBgKGYhgY3gzl2iZ/3XY6O8=",
    (1, 1, False): "AAgCBwAAAAAAAAAAAAAAAAAAAAAAAAAA",
    (32, 24, True): "X/iBDIIXUEZid0R79rx7n41vBoeHeGd1Bw==",
    (20, 40, True): "XviBCwIHJVNoCFjvnWvK/kCJl1Nneok=",
}


@pytest.mark.parametrize(("case", "expected"), REFERENCE.items(), ids=str)
def test_the_thumbhash_equals_the_reference(case, expected):
    """The reference implementation computed the expected value."""
    assert base64.b64encode(summary.thumbhash(picture(*case))).decode() == expected


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 2), (64, 64), (128, 96)])
def test_any_image_has_a_summary(mode, size):
    """Images of any size have a placeholder, colours and a hash."""
    result = summary.summarise(Image.new(mode, size), resize.reduce).to_dict()
    assert json.dumps(result)
    assert set(result) == {"thumbhash", "colours", "phash"}
    assert len(result["phash"]) == 16


def test_the_colours_are_those_of_the_image():
    """An image of four quarters has their four colours."""
    colours = summary.summarise(quarters(size=(128, 128)), resize.reduce).colours
    assert set(colours[:4]) == {"#ff0000", "#00ff00", "#0000ff", "#ffffff"}


def test_the_most_frequent_colours_come_first():
    """There are at most five, and a colour is omitted if it is similar to a more frequent one."""
    columns = {
        (250, 10, 10): 9, (250, 10, 57): 8, (10, 250, 10): 7, (10, 250, 58): 6, (10, 10, 250): 5, (250, 250, 10): 4,
        (10, 130, 130): 3,
    }  # fmt: skip
    image = Image.new("RGB", (sum(columns.values()), 1))
    image.putdata([colour for colour, count in columns.items() for _ in range(count)])
    assert summary.dominant_colours(image) == ("#fa0a0a", "#0afa0a", "#0afa3a", "#0a0afa", "#fafa0a")


@pytest.mark.parametrize(("alpha", "colours"), [(127, 0), (128, 1)])
def test_half_of_the_opacity_makes_a_colour(alpha, colours):
    """A colour that is more transparent than opaque is ignored."""
    assert len(summary.dominant_colours(Image.new("RGBA", (8, 8), (200, 0, 0, alpha)))) == colours


def test_transparent_pixels_have_no_colour():
    """Colours of transparent pixels are ignored."""
    colours = summary.summarise(holed(), resize.reduce).colours
    assert "#000000" not in colours
    assert summary.dominant_colours(Image.new("RGBA", (8, 8), (9, 9, 9, 0))) == ()


def distance(one, two):
    """The number of bits that differ."""
    return (int(one, 16) ^ int(two, 16)).bit_count()


def test_similar_images_have_similar_hashes():
    """Another size or brightness changes few of 64 bits; another image changes many."""
    image = Image.effect_mandelbrot((400, 300), (-2.2, -1.2, 0.8, 1.2), 80).convert("RGB")
    digest = summary.phash(image, resize.reduce)
    smaller = summary.phash(image.resize((150, 113)), resize.reduce)
    brighter = summary.phash(image.point(lambda value: round(value * 0.8 + 20)), resize.reduce)
    other_digest = summary.phash(image.rotate(90, expand=True), resize.reduce)
    assert distance(digest, smaller) <= 8
    assert distance(digest, brighter) <= 12
    assert distance(digest, other_digest) >= 16


def test_the_hash_follows_its_definition():
    """The bits tell which of the 8 × 8 lowest frequencies of 32 × 32 pixels are above the median (Zauner, 3.2.1)."""
    image = Image.effect_mandelbrot((32, 32), (-2.2, -0.7, 0.8, 1.5), 80)
    waves = [[math.cos(math.pi / 32 * u * (x + 0.5)) for x in range(32)] for u in range(8)]
    pixels = image.tobytes()
    frequencies = [
        sum(pixels[32 * y + x] * waves[u][x] * waves[v][y] for y in range(32) for x in range(32))
        for v in range(8)
        for u in range(8)
    ]
    median = statistics.median(frequencies)
    bits = "".join(str(int(frequency > median)) for frequency in frequencies)
    assert summary.phash(image.convert("RGB"), resize.reduce) == f"{int(bits, 2):016x}"


def test_transparency_is_white_in_the_hash():
    """A logo has the hash that it has on a white page."""
    logo = holed()
    page = Image.new("RGBA", logo.size, "white")
    page.alpha_composite(logo)
    assert summary.phash(logo, resize.reduce) == summary.phash(page.convert("RGB"), resize.reduce)
