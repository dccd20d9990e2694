"""image_pipeline.imaging.resize"""

import ctypes
import math
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageStat

from image_pipeline.imaging import libvips, resize
from tests.conftest import ROOT
from tests.corpus import holed, quarters


@pytest.fixture(params=["simd", "libvips", "pillow"])
def resizer(request, monkeypatch):
    """Each resizer in turn, without the better ones."""
    if request.param == "simd" and resize.name() != "simd":
        pytest.skip("the SIMD resizer is not installed")
    if request.param != "simd":
        monkeypatch.setattr(resize, "_simd", lambda: None)
    if request.param == "pillow":
        monkeypatch.setattr(libvips, "_library", lambda: None)
    return request.param


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "CMYK", "LA"])
def test_all_resizers_agree_with_lanczos(mode, resizer):
    """The mean difference to Pillow's Lanczos at full size is below 2 of 255."""
    image = quarters("RGB", (400, 300)).convert("RGBA" if mode == "LA" else mode).convert(mode)
    out = resize.reduce(image, (130, 97))
    expected = image.resize((130, 97), Image.Resampling.LANCZOS)
    assert out.mode == mode
    assert max(ImageStat.Stat(ImageChops.difference(out, expected)).mean) < 2


def test_fine_detail_is_kept(resizer):
    """Waves of eight pixels keep the contrast of Lanczos; other filters lower it by 8 % and more."""
    image = Image.new("L", (600, 40))
    image.putdata([round(128 + 100 * math.sin(2 * math.pi * x / 8)) for _ in range(40) for x in range(600)])
    difference = ImageChops.difference(
        resize.reduce(image, (200, 13)), image.resize((200, 13), Image.Resampling.LANCZOS)
    )
    assert difference.getextrema()[1] <= 5


def test_a_box_is_cut_out_first(resizer):
    """The result shows only the box, apart from the filter at its edges."""
    out = resize.reduce(quarters(), (30, 20), (0.0, 0.0, 118.5, 78.5))
    assert all(abs(red - 255) + green + blue <= 16 for _, (red, green, blue) in out.getcolors())


@pytest.mark.parametrize("start", [(60, 0), (0, 40), (60, 40)])
def test_a_box_may_start_anywhere(resizer, start):
    """The pixels before the box are not part of the result, apart from the filter at its edges."""
    image = Image.new("RGB", (120, 80), "red")
    image.paste("blue", (*start, 120, 80))
    out = resize.reduce(image, (30, 20), (*start, 120, 80))
    assert all(red < 32 and blue > 220 for _, (red, _, blue) in out.getcolors())


@pytest.mark.parametrize(("rows", "copied"), [(4000, True), (4001, False)])
def test_libvips_copies_at_most_16_megapixels(monkeypatch, rows, copied):
    """The predicted memory does not include its copy of a larger image."""
    calls = []
    monkeypatch.setattr(resize, "_simd", lambda: None)
    monkeypatch.setattr(libvips, "reduce", lambda *arguments: calls.append(arguments))
    assert resize.reduce(Image.new("L", (4000, rows)), (40, 40)).size == (40, 40)
    assert bool(calls) == copied


def test_alpha_is_premultiplied(resizer):
    """Colours of invisible pixels do not affect the edges."""
    image = holed()
    out = resize.reduce(image, (61, 41))
    edge = [out.getpixel((x, 10)) for x in range(61)]
    assert all(pixel[3] > 250 for pixel in edge)
    hole_edge = [out.getpixel((x, 35)) for x in range(20, 50)]
    assert all(pixel[2] > 200 for pixel in hole_edge if pixel[3] > 16)


def test_an_image_that_is_already_premultiplied_gives_the_same_pixels(resizer):
    """The SIMD resizer need not copy an image that was multiplied by its alpha before; the others get RGBA."""
    image = holed()
    expected = resize.reduce(image, (40, 30))
    resize.premultiply(image)
    assert image.mode == ("RGBa" if resizer == "simd" else "RGBA")
    assert resize.reduce(image, (40, 30)).tobytes() == expected.tobytes()


def test_an_image_of_the_target_size_is_returned():
    """The image is not copied."""
    image = quarters()
    assert resize.reduce(image, image.size) is image
    assert resize.reduce(image, image.size, (0, 0, *image.size)) is image


@pytest.mark.parametrize(
    ("missing", "name"), [(["cykooz_resizer"], "libvips"), (["cykooz_resizer", "_libvips"], "pillow")]
)
def test_resizing_works_without_wheels(missing, name):
    """Some wheels do not exist for every machine."""
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({missing}))\n"
        "from image_pipeline.imaging import resize\n"
        "from PIL import Image\n"
        f"assert resize.name() == {name!r}\n"
        "assert resize.reduce(Image.new('RGB', (9, 9)), (3, 3)).size == (3, 3)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(ROOT / "layers" / "core")})


@given(size=st.tuples(st.integers(1, 500), st.integers(1, 500)), data=st.data())
@settings(max_examples=80, deadline=None)
def test_libvips_gives_any_size(size, data):
    """The result has the requested size, and one colour stays the same, also for a visible part with fractions."""
    box = tuple(data.draw(st.floats(max(0.5, side - 0.99), side)) for side in size)
    target = tuple(data.draw(st.integers(1, max(1, int(side)))) for side in box)
    out = resize._reduce_with_libvips(Image.new("RGB", size, (9, 99, 199)), target, (0, 0, *box))
    assert out is None or (out.size, out.getcolors()) == (target, [(target[0] * target[1], (9, 99, 199))])


@pytest.mark.parametrize("size", [(1, 300_000), (300_000, 1), (3, 100_000)])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_thin_images_take_little_memory(size, mode, monkeypatch):
    """Very long sides are averaged before Lanczos, whose weights would fill the memory."""
    averaged = []
    original = resize._average_long_sides
    monkeypatch.setattr(resize, "_average_long_sides", lambda *args: averaged.append(original(*args)) or averaged[-1])
    target = tuple(max(1, side * 100 // max(size)) for side in size)
    out = resize.reduce(Image.new(mode, size, "white"), target)
    assert out.size == target
    assert max(averaged[0].size) < 100 * resize._MAX_LANCZOS_RATIO
    assert all(extrema == (255, 255) for extrema in (band.getextrema() for band in out.split()))


def test_thin_images_are_not_shifted():
    """The averages stay in their half of the image."""
    image = Image.new("L", (2, 200_000))
    image.paste(255, (0, 100_000, 2, 200_000))
    column = resize.reduce(image, (1, 100)).tobytes()
    assert max(column[:48]) < 5
    assert min(column[52:]) > 250


@pytest.mark.parametrize(("length", "averaged_length"), [(5120, 5120), (5130, 642)])
def test_sides_are_averaged_above_a_ratio_of_512(length, averaged_length):
    """Lanczos reduces a side of up to 512 times the target; a longer one is first averaged to about 64 times."""
    assert resize._average_long_sides(Image.new("L", (length, 10)), (10, 10)).size == (averaged_length, 10)


FREED = """
from image_pipeline.imaging import resize


def resident():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


before = resident()
blocks = [b"1" * 20_000_000 for _ in range(3)]
del blocks
print(resident() - before)
"""


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"), reason="only glibc keeps freed memory"
)
def test_freed_memory_is_kept_for_the_next_image():
    """After blocks of 20 MB are freed, the process still has their pages, which the kernel need not clear again."""
    environment = {"PYTHONPATH": str(ROOT / "layers" / "core")}
    process = subprocess.run([sys.executable, "-c", FREED], capture_output=True, env=environment, check=True)
    assert int(process.stdout) > 50_000  # kB
