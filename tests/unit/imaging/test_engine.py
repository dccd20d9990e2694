"""image_pipeline.imaging.engine"""

import hashlib
import io
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageStat

from image_pipeline.errors import ImageTooLargeError, RejectedError
from image_pipeline.imaging import engine, exif, libvips, packages, recipes, resize
from image_pipeline.imaging.focus import Point
from image_pipeline.imaging.formats.admission import admit
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.reader import Reader
from image_pipeline.imaging.recipes import Recipe, Watermark, load
from tests.conftest import HEAVY, crossed, examples
from tests.corpus import BAD, GOOD, HOLE, QUARTERS, SIZE, UPSIDE_DOWN, holed, many_scans, noisy, quarters, saved, turned
from tests.corpus import exif as corpus_exif
from tests.unit.imaging.test_exif import RIGHTS, block, tags_of

LIMITS = Limits()
GOLDEN = Path(__file__).parent / "golden"
RESIZERS = ["simd", "libvips"] if resize.name() == "simd" else ["libvips"]
WITH_PILLOW = [pytest.param("pillow", case) for case in GOOD]
PNG_120 = Recipe("t", 120, 120, formats=("png",))


def render(data, *recipes, limits=LIMITS, point=None):
    """Render an image with some recipes."""
    return engine.render(data, recipes, limits, point)


def rendition_of(data, recipe, point=None):
    """The only rendition of an image."""
    (rendition,) = render(data, recipe, point=point).renditions
    return rendition


def picture(rendition):
    """The pixels of a rendition."""
    image = Image.open(io.BytesIO(rendition.data))
    image.load()
    return image


def four(image):
    """The colours of the four quarters over HOLE."""
    image = Image.alpha_composite(Image.new("RGBA", image.size, HOLE), image.convert("RGBA")).convert("RGB")
    width, height = image.size
    return [image.getpixel((x * width // 4, y * height // 4)) for y in (1, 3) for x in (1, 3)]


def worst(colours, expected):
    """The largest difference of a channel."""
    return max(
        abs(a - b)
        for colour, reference in zip(colours, expected, strict=True)
        for a, b in zip(colour, reference, strict=True)
    )


def one_of_each_kind():
    """The files of the corpus. `make test` tries one for each format with its colours, transparency and channels."""
    parameters, tried_kinds = [], set()
    for case in GOOD:
        kind = case.format, case.colours, "CMYK" in case.name
        parameters.append(pytest.param(case, marks=HEAVY if kind in tried_kinds else ()))
        tried_kinds.add(kind)
    return parameters


@pytest.mark.parametrize("case", one_of_each_kind(), ids=str)
def test_every_kind_of_file_has_a_smart_crop(case):
    """The crop has the size of its box, whatever the mode and the transparency of the image."""
    (crop,) = engine.render(case.make(), [Recipe("card", 20, 30, fit="cover", focus="smart")], Limits()).renditions
    assert (crop.width, crop.height) == (20, 30)


@pytest.mark.parametrize(("resizer", "case"), crossed(RESIZERS, list(GOOD)) + WITH_PILLOW, ids=str)
def test_every_kind_of_file_is_rendered_correctly(case, resizer, monkeypatch):
    """Colours, transparency and size are correct, also without some packages or with Pillow alone.

    JPEG shows the recipe's background where the image is transparent.
    """
    if resizer != "simd":
        monkeypatch.setattr(resize, "_simd", lambda: None)
    if resizer == "pillow":
        monkeypatch.setattr(libvips, "_library", lambda: None)
    recipe = Recipe("t", 120, 120, formats=("png", "jpeg"), background="#ff00ff")
    png, jpeg = render(case.make(), recipe).renditions
    assert (png.width, png.height) == (120, 80) == picture(png).size
    assert worst(four(picture(png)), case.colours) <= case.tolerance
    assert picture(jpeg).mode in ("L", "RGB")
    assert worst(four(picture(jpeg)), case.colours) <= max(case.tolerance, 12)


@pytest.mark.parametrize("case", [case for case in BAD if case.name != "nothing"], ids=str)
def test_bad_files_are_rejected(case):
    """The engine also rejects the file, with the documented error."""
    with pytest.raises(case.error) as caught:
        render(case.make(), PNG_120)
    assert type(caught.value) is case.error
    assert case.words in caught.value.message


@pytest.mark.parametrize(
    ("image_format", "orientation"),
    crossed(["HEIF", "JPEG", "PNG", "WEBP", "AVIF", "TIFF"], [6, 1, 2, 3, 4, 5, 7, 8]),
)
def test_every_orientation_is_applied(image_format, orientation):
    """The renditions of every input and output format are upright."""
    recipe = Recipe("t", 120, 120, formats=("jpeg", "png", "webp", "avif"))
    for rendition in render(turned(image_format, orientation), recipe).renditions:
        assert (rendition.width, rendition.height) == (120, 80)
        assert worst(four(picture(rendition)), QUARTERS) <= 24
        assert picture(rendition).getexif().get(0x0112, 1) == 1


@pytest.mark.parametrize(
    ("recipe", "size"),
    [
        (Recipe("t", 100, 100), (100, 67)),
        (Recipe("t", 1000, 20), (30, 20)),
        (Recipe("t", 500, 500), SIZE),
        (Recipe("t", 240, 160), SIZE),
        (Recipe("t", 50, 50, fit="cover"), (50, 50)),
        (Recipe("t", 100, 10, fit="cover"), (100, 10)),
        (Recipe("t", 300, 100, fit="cover"), (240, 100)),
        (Recipe("t", 900, 900, fit="cover"), SIZE),
        (Recipe("t", 100, 100, fit="pad"), (100, 100)),
        (Recipe("t", 900, 300, fit="pad"), (900, 300)),
    ],
    ids=lambda value: f"{value.fit} {value.width}x{value.height}" if isinstance(value, Recipe) else "",
)
def test_fit_cover_and_pad(recipe, size):
    """The box and the aspect ratio are kept, and no image is enlarged."""
    rendition = rendition_of(saved(quarters(), "PNG"), recipe)
    assert (rendition.width, rendition.height) == size == picture(rendition).size


def responsive(*widths, **options):
    """The recipes of a set."""
    return [Recipe(f"s-{width}", width, recipes.MAX_SIDE, set_name="s", **options) for width in widths]


def test_a_set_ends_at_the_width_of_the_original():
    """A width beyond the original makes one rendition of its size, and no equal ones."""
    renditions = render(saved(quarters(), "PNG"), *responsive(60, 120, 320, 640), Recipe("t", 900, 900)).renditions
    assert [(rendition.name, rendition.width, rendition.height) for rendition in renditions] == [
        ("s-60", 60, 40), ("s-120", 120, 80), ("s-320", *SIZE), ("t", *SIZE),
    ]  # fmt: skip


def test_the_memory_of_a_set_is_predicted():
    """All sizes of a set are in memory at the same time."""
    data = saved(Image.new("L", (4000, 4000)), "PNG")
    small, many = responsive(100), responsive(*range(3000, 4000, 100))
    limits = Limits(memory_bytes=150_000_000)
    render(data, *small, limits=limits)
    with pytest.raises(ImageTooLargeError, match="The recipes need about"):
        render(data, *many, limits=limits)


def test_cover_cuts_both_sides_equally():
    """The centre of the image stays in the centre."""
    image = picture(rendition_of(saved(quarters(), "PNG"), Recipe("t", 80, 80, fit="cover", formats=("png",))))
    assert worst(four(image), QUARTERS) <= 8


def dotted(size, centre, orientation):
    """A grey image with a red dot, as a camera stores it with this orientation."""
    image = Image.new("RGB", size, (120, 120, 120))
    box = (centre[0] - 12, centre[1] - 12, centre[0] + 12, centre[1] + 12)
    ImageDraw.Draw(image).ellipse(box, (230, 40, 20))
    turn = UPSIDE_DOWN[orientation]
    image = image if turn is None else image.transpose(turn)
    return saved(image, "PNG", exif=corpus_exif(t0x0112=orientation))


def shows_dot(rendition):
    """Whether a rendition contains red pixels."""
    red, green, _ = picture(rendition).convert("RGB").split()
    return ImageChops.subtract(red, green).getextrema()[1] > 100


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("size", "dot"), [((600, 200), (480, 100)), ((200, 600), (100, 130))])
def test_smart_and_a_point_contain_the_subject(size, dot, orientation):
    """Both refer to the upright image, whatever its orientation; a point wins over the recipe."""
    data = dotted(size, dot, orientation)
    smart, centre = (Recipe("t", 100, 100, fit="cover", focus=focus) for focus in ("smart", "centre"))
    assert shows_dot(rendition_of(data, smart))
    assert not shows_dot(rendition_of(data, centre))
    assert shows_dot(rendition_of(data, centre, Point(dot[0] / size[0], dot[1] / size[1])))
    assert not shows_dot(rendition_of(data, smart, Point(0.5, 0.5)))


def test_a_point_changes_only_crops():
    """Recipes that show the whole image ignore the point."""
    data = saved(quarters(), "PNG")
    for fit in ("fit", "pad"):
        recipe = Recipe("t", 60, 50, fit=fit, formats=("png",))
        assert rendition_of(data, recipe, Point(0, 1)).data == rendition_of(data, recipe).data


def test_the_point_is_part_of_the_content_id():
    """Files that are cached forever have another key after the point has changed."""
    data = saved(quarters(), "PNG")
    recipe = Recipe("t", 50, 50, fit="cover")
    points = [None, Point(0.5, 0.5), Point(0.5, 0.25)]
    ids = [engine.content_id(data, [recipe], point) for point in points]
    assert len(set(ids)) == len(points)
    assert ids == [render(data, recipe, point=point).content_id for point in points]


def test_pad_fills_with_the_background():
    """The background also fills the transparent parts of the image."""
    recipe = Recipe("t", 120, 120, fit="pad", formats=("png",), background="#123456")
    image = picture(rendition_of(saved(holed(), "PNG"), recipe)).convert("RGB")
    assert image.getpixel((60, 5)) == image.getpixel((60, 115)) == (0x12, 0x34, 0x56)
    assert worst([image.getpixel((100, 80))], [(0x12, 0x34, 0x56)]) <= 2


@given(
    width=st.integers(1, 300),
    height=st.integers(1, 300),
    mode=st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA"]),
    box=st.tuples(st.integers(1, 200), st.integers(1, 200)),
    fit=st.sampled_from(["fit", "cover", "pad"]),
    focus=st.sampled_from(["centre", "smart"]),
    point=st.none() | st.builds(Point, st.floats(0, 1), st.floats(0, 1)),
    output_format=st.sampled_from(["jpeg", "png", "webp"]),
)
@settings(max_examples=examples(150))
def test_any_image_and_any_recipe(width, height, mode, box, fit, focus, point, output_format):
    """The size and the aspect ratio are right, and no error is raised."""
    data = saved(Image.new(mode, (width, height)), "PNG")
    rendition = rendition_of(data, Recipe("t", *box, fit=fit, focus=focus, formats=(output_format,)), point)
    assert picture(rendition).size == (rendition.width, rendition.height)
    assert rendition.width <= box[0]
    assert rendition.height <= box[1]
    if fit == "pad":
        assert (rendition.width, rendition.height) == box
    elif fit == "cover":
        assert (rendition.width, rendition.height) == (min(box[0], width), min(box[1], height)) or (
            rendition.width in (box[0], width) or rendition.height in (box[1], height)
        )
    else:
        scale = min(1, box[0] / width, box[1] / height)
        assert abs(rendition.width - width * scale) <= 1
        assert abs(rendition.height - height * scale) <= 1


def test_the_default_recipes():
    """The package makes 100x100, 640x480 and the web image in two formats, in this order."""
    rendered = engine.render(saved(quarters(size=(2400, 1600)), "JPEG"), load().for_key("uploads/a.jpg"), LIMITS)
    assert [(rendition.file_name, rendition.width, rendition.height) for rendition in rendered.renditions] == [
        ("100x100.jpg", 100, 67),
        ("640x480.jpg", 640, 427),
        ("web.jpg", 1600, 1067),
        ("web.webp", 1600, 1067),
    ]
    assert [rendition.content_type for rendition in rendered.renditions][-2:] == ["image/jpeg", "image/webp"]


def test_place_and_serial_numbers_are_removed():
    """No output format contains them; all contain artist and copyright."""
    data = saved(quarters(), "JPEG", exif=block(), comment=b"SN-1 was here")
    for rendition in render(data, Recipe("t", 90, 90, formats=("jpeg", "png", "webp", "avif"))).renditions:
        assert tags_of(rendition.data) == RIGHTS
        assert exif.read(Reader.of(rendition.data)).to_dict() == {"artist": "Zoë", "copyright": "© 2026 Zoë"}
        assert b"SN-1" not in rendition.data
        assert b"Kamera" not in rendition.data


def test_the_same_bytes_and_recipes_give_the_same_files():
    """The files are equal byte for byte in every format, with and without threads."""
    recipes = [Recipe("a", 200, 200, formats=("jpeg", "png", "webp", "avif")), Recipe("b", 50, 50, fit="cover")]
    first, second = (engine.render(noisy("JPEG"), recipes, LIMITS) for _ in range(2))
    assert first == second


def test_the_content_id_changes_with_bytes_and_recipes_alone():
    """The id is part of URLs that are cached forever."""
    data = noisy("PNG")
    base = render(data, PNG_120).content_id
    assert base == render(data, PNG_120).content_id
    other_ids = {
        render(noisy("JPEG"), PNG_120).content_id,
        render(data, replace(PNG_120, quality=50)).content_id,
        render(data, replace(PNG_120, watermark=Watermark(text="x"))).content_id,
        render(data).content_id,
    }
    assert len(other_ids | {base}) == 5
    assert base.isalnum()


@pytest.mark.parametrize(
    ("owner", "name", "value"),
    [(packages, "versions", lambda: ("pillow-0.0.0",)), (resize, "name", lambda: "another resizer")],
)
def test_the_content_id_depends_on_the_packages(owner, name, value, monkeypatch):
    """A new decoder or another resizer must not reuse an id: its files may differ from the cached ones."""
    old_id = engine.content_id(b"any", [PNG_120])
    monkeypatch.setattr(owner, name, value)
    assert engine.content_id(b"any", [PNG_120]) != old_id


def test_a_watermark_image_counts_by_its_bytes(tmp_path):
    """Its path does not matter: two deployments agree, and a changed logo changes the id."""
    ids = []
    for name, colour in (("a", "red"), ("b", "red"), ("c", "blue")):
        path = tmp_path / name / "logo.png"
        path.parent.mkdir()
        Image.new("RGB", (9, 9), colour).save(path)
        ids.append(render(noisy("PNG"), replace(PNG_120, watermark=Watermark(image=path))).content_id)
    assert ids[0] == ids[1] != ids[2]


def test_the_hash_is_that_of_the_upload():
    """A user can compare the hash with that of the local file."""
    data = noisy("PNG")
    assert render(data).sha256 == hashlib.sha256(data).hexdigest()


def test_the_header_is_exact():
    """The engine has all bytes, so it counts all frames."""
    animation = next(case for case in GOOD if case.name == "TIFF of three pages").make()
    assert render(animation).header.frames == 3


def test_an_image_without_recipes_has_a_summary():
    """The summary does not need renditions."""
    assert render(noisy("JPEG")).summary.thumbhash


def test_the_order_of_recipes_does_not_change_the_files():
    """The engine makes large renditions first, whatever the order in the file."""
    large, small = Recipe("large", 200, 200), Recipe("small", 60, 60)
    one_way, other_way = render(noisy("PNG"), large, small), render(noisy("PNG"), small, large)
    assert one_way.renditions == other_way.renditions[::-1]


def test_allow_larger_false_lowers_the_quality_as_little_as_needed():
    """The quality falls by 10 until the rendition has no more bytes than the upload."""
    small = saved(Image.open(io.BytesIO(noisy("PNG"))), "JPEG", quality=30)
    recipe = Recipe("t", 300, 300, quality=95)
    expected = rendition_of(small, replace(recipe, quality=75)).data
    data = small + bytes(len(expected) - len(small))
    assert rendition_of(data, replace(recipe, allow_larger=False)).data == expected


@pytest.mark.parametrize("quality", [95, 41, 40, 20])
def test_allow_larger_false_never_goes_below_quality_40(quality):
    """A tiny upload must not ruin its renditions; a recipe that asks for less than 40 keeps its own quality."""
    data = saved(Image.open(io.BytesIO(noisy("PNG"))), "JPEG", quality=1)
    recipe = Recipe("t", 300, 300, quality=quality, allow_larger=False)
    lowest = rendition_of(data, Recipe("t", 300, 300, quality=min(quality, 40))).data
    assert len(lowest) > len(data)
    assert rendition_of(data, recipe).data == lowest


def test_sharpening_increases_the_contrast_at_edges():
    """The smallest and largest values at an edge differ more."""
    data = saved(quarters("L").resize((60, 40)).resize(SIZE, Image.Resampling.BICUBIC), "PNG")
    plain, sharp = (picture(rendition_of(data, replace(PNG_120, sharpen=amount))).convert("L") for amount in (0.0, 2.0))
    assert ImageStat.Stat(sharp).stddev[0] > ImageStat.Stat(plain).stddev[0]


def test_sharpening_is_an_unsharp_mask_of_one_pixel():
    """Also weak edges are sharpened: all that differ by more than one step."""
    data = saved(Image.effect_noise((60, 40), 5), "PNG")
    plain, sharp = (picture(rendition_of(data, replace(PNG_120, sharpen=amount))) for amount in (0.0, 1.5))
    assert sharp.tobytes() == plain.filter(ImageFilter.UnsharpMask(radius=1, percent=150, threshold=1)).tobytes()


@pytest.mark.parametrize(("size", "box"), [((50, 100), (25, 0, 75, 100)), ((100, 50), (0, 25, 100, 75))])
def test_pad_centres_the_image(size, box):
    """Both sides get the same background."""
    recipe = Recipe("t", 100, 100, fit="pad", formats=("png",), background="#000000")
    assert picture(rendition_of(saved(Image.new("RGB", size, "white"), "PNG"), recipe)).getbbox() == box


def test_broken_icc_is_a_warning():
    """The image is rendered without the profile, with a warning."""
    case = next(case for case in GOOD if case.name == "JPEG with broken ICC")
    assert "colour profile" in render(case.make(), PNG_120).warnings[0]


def test_small_renditions_of_photographs_cascade():
    """A rendition that is reduced in several steps stays close to one that is reduced directly."""
    photo = Image.merge("RGB", [Image.effect_mandelbrot((1600, 1200), (-2, -1.5, 1, 1.5), 60)] * 3)
    data = saved(photo, "PNG", exif=block())
    sizes = (800, 500, 300, 150, 80)
    chained = render(data, *[Recipe(str(side), side, side, formats=("png",)) for side in sizes]).renditions
    for rendition, side in zip(chained, sizes, strict=True):
        direct = photo.resize((side, side * 3 // 4), Image.Resampling.LANCZOS)
        difference = ImageStat.Stat(ImageChops.difference(picture(rendition).convert("RGB"), direct))
        assert max(difference.rms) < 4


@pytest.mark.parametrize(
    ("camera", "small_side", "from_larger"),
    [(False, 151, False), (False, 150, True), (True, 201, False), (True, 200, True)],
)
def test_a_rendition_is_made_from_a_larger_one_only_if_that_is_large_enough(camera, small_side, from_larger):
    """The source is 1.5 times as large for photographs, and twice for others; less would cost sharpness."""
    image = Image.effect_noise((600, 450), 80).convert("RGB")
    data = saved(image, "WEBP", lossless=True, method=0, exif=block() if camera else b"")
    recipes = [Recipe(str(side), side, side, formats=("png",)) for side in (300, small_side)]
    alone = rendition_of(data, recipes[1])
    assert (render(data, *recipes).renditions[1] != alone) == from_larger


def test_recipes_that_need_too_much_memory_are_refused():
    """The engine rejects the image before the decoder starts."""
    data = saved(Image.new("RGB", (3000, 2000)), "JPEG")
    limits = replace(LIMITS, memory_bytes=20_000_000, rendition_side=600)
    assert render(data, Recipe("t", 600, 600), limits=limits)
    with pytest.raises(ImageTooLargeError, match="MB"):
        render(data, Recipe("t", 3000, 3000), limits=limits)


def test_scans_are_counted_in_all_bytes():
    """The engine counts the scans before decoding; the first bytes of a large file do not contain them."""
    data = many_scans(1000)
    with pytest.raises(ImageTooLargeError, match="scans"):
        render(data[:2] + (b"\xff\xfe\xff\xff" + b" " * 65533) * 2 + data[2:], PNG_120)


@pytest.mark.parametrize("case", [case for case in GOOD if case.tolerance < 255], ids=str)
def test_reduced_copy_of_every_format(case):
    """The labels service gets an upright JPEG on white, whatever the format of the upload."""
    copy = Image.open(io.BytesIO(engine.reduced(case.make(), LIMITS, 640, 80).data))
    assert copy.format == "JPEG"
    expected = [(255, 255, 255) if colour == HOLE else colour for colour in case.colours]
    assert worst(four(copy), expected) <= max(case.tolerance, 12)


@pytest.mark.parametrize("size", [(1, 1), (5000, 10), (10, 5000), (79, 81), (3000, 2000)])
def test_the_reduced_copy_is_within_the_limits_of_the_service(size):
    """The record has the size of the copy."""
    rendition = engine.reduced(saved(Image.new("RGB", size, "red"), "PNG"), LIMITS, 640, 80)
    copy = Image.open(io.BytesIO(rendition.data))
    assert 80 <= min(copy.size) <= max(copy.size) <= 640
    assert (rendition.width, rendition.height) == copy.size


def test_no_recipe_can_have_the_name_of_the_reduced_copy():
    """Both files are stored in one folder."""
    assert not recipes._NAME.fullmatch(engine.REDUCED_NAME)


def test_reduced_copy_of_a_bad_file_is_an_error_of_ours():
    """A bad file raises the same errors as when it is rendered."""
    with pytest.raises(RejectedError):
        engine.reduced(b"text", LIMITS, 640, 80)


def test_a_small_copy_takes_the_memory_of_a_small_decoding():
    """A decoder that can reduce an image does not produce all of its pixels for a copy."""
    data = saved(Image.new("RGB", (6400, 4800)), "JPEG")
    header = admit(Reader.of(data), LIMITS)
    whole = engine.predicted_memory(header, len(data), 1.0, ())
    assert engine.reduced(data, replace(LIMITS, memory_bytes=whole - 1), 640, 80).width == 640


GOLDEN_RECIPES = {
    "fit": Recipe("fit", 160, 160, formats=("png",)),
    "cover": Recipe("cover", 120, 120, fit="cover", formats=("png",)),
    "smart": Recipe("smart", 160, 30, fit="cover", focus="smart", formats=("png",)),
    "pad-watermark": Recipe(
        "pad-watermark",
        160,
        160,
        fit="pad",
        formats=("png",),
        background="#202040",
        watermark=Watermark(text="© Image Pipeline", size=0.6, opacity=0.8),
    ),
    "sharpen": Recipe("sharpen", 140, 140, formats=("png",), sharpen=1.0),
}


def golden_source():
    """An image with edges, gradients, fine detail and transparency."""
    red = Image.effect_mandelbrot((640, 480), (-2.2, -1.2, 0.8, 1.2), 80)
    image = Image.merge("RGB", (red, Image.linear_gradient("L").resize((640, 480)), quarters("L", (640, 480))))
    image.putalpha(Image.radial_gradient("L").resize((640, 480)).point(lambda value: 255 - value))
    return saved(image, "PNG")


@pytest.mark.parametrize("name", GOLDEN_RECIPES)
def test_golden(name, tmp_path):
    """Pixels differ from the golden images by at most 1.5 of 255 on average, on any machine and resizer.

    A failure saves an image of the difference. `python -m tests.unit.imaging.test_engine` writes new golden images.
    """
    image = picture(rendition_of(golden_source(), GOLDEN_RECIPES[name])).convert("RGBA")
    with Image.open(GOLDEN / f"{name}.png") as opened:
        golden = opened.convert("RGBA")
    assert image.size == golden.size
    difference = ImageChops.difference(image, golden)
    saved_at = tmp_path / f"{name}.png"
    difference.convert("RGB").point(lambda value: min(255, value * 8)).save(saved_at)
    assert max(ImageStat.Stat(difference).mean) < 1.5, f"look at {saved_at}"


if __name__ == "__main__":
    for _name, _recipe in GOLDEN_RECIPES.items():
        (GOLDEN / f"{_name}.png").write_bytes(rendition_of(golden_source(), _recipe).data)


def test_the_file_itself_counts_as_memory_when_it_is_rendered():
    """The memory check includes the bytes of the file and the large renditions."""
    data = saved(quarters(size=(4000, 3000)), "JPEG", quality=95)
    header = admit(Reader.of(data), LIMITS)
    whole = Recipe("whole", 4000, 3000)
    memory = engine.predicted_memory(header, len(data), 1.0, [whole])
    assert memory - engine.predicted_memory(header, 0, 1.0, [whole]) == len(data)
    enough = replace(LIMITS, memory_bytes=memory, rendition_side=100)
    assert render(data, whole, limits=enough).renditions[0].width == 4000
    with pytest.raises(ImageTooLargeError):
        render(data, whole, limits=replace(enough, memory_bytes=enough.memory_bytes - 1))


def test_a_rendition_of_full_size_keeps_its_colours_under_transparency():
    """Only pixels that are all reduced are multiplied by their alpha, which loses colours."""
    image = holed()
    image.putalpha(image.getchannel("A").point(lambda value: max(3, value)))
    whole, small = (Recipe(str(side), side, side, formats=("png",)) for side in (max(image.size), 50))
    rendered = engine.render(saved(image, "PNG"), [whole, small], LIMITS)
    assert Image.open(io.BytesIO(rendered.renditions[0].data)).tobytes() == image.tobytes()


@pytest.mark.parametrize(
    ("mode", "change", "bytes_per_pixel"),
    [
        ("RGB", {"formats": ("jpeg", "webp")}, 8),
        ("RGB", {"formats": ("jpeg", "avif")}, 26),
        ("RGBA", {"formats": ("jpeg", "webp")}, 36),
        ("RGB", {"formats": ("jpeg", "png")}, 5),
        ("RGB", {"sharpen": 0.5}, 4),
        ("RGB", {"fit": "pad"}, 4),
        ("RGB", {"watermark": Watermark(text="©")}, 8),
    ],
)
def test_memory_includes_what_is_made_of_a_reduction(mode, change, bytes_per_pixel):
    """Each option copies the reduction, and a slow encoder needs more than the pixels."""
    header = Header("PNG", 1000, 1000, mode)
    plain = Recipe("a", 500, 500, formats=("jpeg",))
    plain_memory, memory = (
        engine.predicted_memory(header, 0, 0.5, [recipe]) for recipe in (plain, replace(plain, **change))
    )
    assert memory - plain_memory == bytes_per_pixel * 250_000


def test_two_encoders_run_at_the_same_time():
    """The memory of the two largest encoders counts, and that of every reduction."""
    header = Header("PNG", 1000, 1000, "RGB")
    recipes = [Recipe(str(side), side, side, formats=("avif",)) for side in (500, 400, 200)]
    memory = [engine.predicted_memory(header, 0, 0.5, recipes[:count]) for count in (1, 2, 3)]
    assert memory[1] - memory[0] == (26 + 4) * 160_000
    assert memory[2] - memory[1] == 4 * 40_000


def test_the_recipe_id_changes_only_with_recipes():
    """The id shows whether renditions are up to date, independently of the machine."""
    a, b = Recipe("a", 10, 10), Recipe("b", 10, 10)
    assert engine.recipe_id([a, b]) == engine.recipe_id([a, Recipe("b", 10, 10)])
    other_recipes = [[a], [b, a], [a, Recipe("b", 10, 11)], [a, Recipe("b", 10, 10, watermark=Watermark(text="©"))]]
    ids = {engine.recipe_id(variant) for variant in [[a, b], *other_recipes]}
    assert len(ids) == 5
    assert all(len(variant) == 16 for variant in ids)


def test_lack_of_memory_rejects_the_image(monkeypatch):
    """If the predicted memory was too low, the image is too large, whatever step needs the memory."""

    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr(engine.Encoder, "encode", fail)
    monkeypatch.setattr(engine, "encode", fail)
    data = saved(quarters(), "PNG")
    with pytest.raises(ImageTooLargeError, match="memory"):
        render(data, replace(PNG_120, formats=("webp",)))
    with pytest.raises(ImageTooLargeError, match="memory"):
        engine.reduced(data, LIMITS, 640, 80)
