"""image_pipeline.imaging.recipes"""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_pipeline.errors import SettingsError
from image_pipeline.imaging.recipes import (
    DEFAULT_QUALITY,
    FORMATS,
    MAX_FILES,
    MAX_SIDE,
    Recipe,
    RecipeBook,
    Watermark,
    load,
    without_repeats,
)
from tests.pictures import gradient


def book(tmp_path, text):
    """The recipe book of a file with this text."""
    path = tmp_path / "recipes.toml"
    path.write_text(text, encoding="utf-8")
    return load(path)


def names(recipes):
    """The names of these recipes."""
    return [recipe.name for recipe in recipes]


def test_the_packaged_file_has_the_documented_recipes():
    """The package has three recipes for every upload."""
    assert names(load().for_key("uploads/a/b.jpg")) == ["100x100", "640x480", "web"]
    assert load().recipes["web"] == Recipe("web", 1600, 1600, formats=("jpeg", "webp"))


TWO = """
[recipes.a]
width = 10
height = 20

[recipes.b]
width = 1
height = 1

[folders]
"uploads/" = ["a"]
"uploads/products/" = ["b", "a"]
"""


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("uploads/x.jpg", ["a"]),
        ("uploads/products/x.jpg", ["b", "a"]),
        ("uploads/products/deep/x.jpg", ["b", "a"]),
        ("uploads/products.jpg", ["a"]),
        ("elsewhere/x.jpg", ["a", "b"]),
    ],
)
def test_the_longest_folder_wins(tmp_path, key, expected):
    """Keys outside all folders get every recipe."""
    assert names(book(tmp_path, TWO).for_key(key)) == expected


THREE = TWO.partition("[folders]")[0] + "[recipes.c]\nwidth = 3\nheight = 3\n"


@pytest.mark.parametrize(
    ("folders", "warned"),
    [
        ('"uploads/" = ["a", "b", "c"]', []),
        ('"uploads/" = ["a"]\n"uploads/x/" = ["b", "c"]', []),
        ("", []),  # a key in no folder gets all recipes
        ('"uploads/x/" = ["a"]', []),
        ('"uploads/" = ["a"]', ["'b'", "'c'"]),
        ('"uploads/" = ["a"]\n"uploads/x/" = ["c"]', ["'b'"]),
        ('"uploads/" = ["a", "b"]\n"products/" = ["c"]', ["'products/'", "'c'"]),
        ('"Uploads/" = ["c"]', ["'Uploads/'"]),
    ],
)
def test_recipes_and_folders_without_effect_cause_warnings(tmp_path, folders, warned):
    """A recipe that no folder uses, and a folder that contains no key, cause a warning with its line."""
    warnings = book(tmp_path, f"{THREE}[folders]\n{folders}\n").warnings
    assert len(warnings) == len(warned)
    for warning, name in zip(warnings, warned, strict=True):
        assert name in warning
        line = int(re.search(r"line (\d+):", warning)[1])
        assert name.strip("'") in (tmp_path / "recipes.toml").read_text().splitlines()[line - 1]


def test_the_recipes_of_the_package_have_no_warning():
    """The default recipe file is free of warnings."""
    assert load().warnings == ()


MANY = "".join(
    f'[recipes.s{n}]\nwidth = 10\nheight = 10\nformats = ["jpeg", "png", "webp", "avif"]\n\n' for n in range(1, 10)
)
NINE = ", ".join(f'"s{n}"' for n in range(1, 10))
FOLDERS = "[folders]\n{} = [{}]\n"

keys = st.text("a/._ é\0", max_size=12).map(lambda name: f"uploads/{name}")


@given(st.lists(keys.map(lambda key: key.rstrip("/") + "/"), unique=True), keys)
def test_any_key_gets_the_recipes_of_the_longest_folder_that_it_starts_with(folders, key):
    """Folders are compared as text, as in S3; no key can escape from its folder."""
    recipes = {f"r{number}": Recipe(f"r{number}", 1, 1) for number in range(len(folders))}
    matching = RecipeBook(recipes, {folder: (name,) for folder, name in zip(folders, recipes, strict=True)}).for_key(
        key
    )
    within = [folder for folder in folders if key[: len(folder)] == folder]
    expected = [f"r{folders.index(max(within, key=len))}"] if within else list(recipes)
    assert names(matching) == expected


def test_an_image_has_a_limit_of_files(tmp_path):
    """Eight sizes in every format are allowed; a file may define more if no image gets them all."""
    eight = NINE.removesuffix(', "s9"')
    recipe_book = book(tmp_path, MANY + FOLDERS.format('"uploads/"', eight) + '"uploads/a/" = ["s9"]')
    assert sum(len(recipe.formats) for recipe in recipe_book.for_key("uploads/x.jpg")) == MAX_FILES


def test_every_option_is_read(tmp_path):
    """Every option of the file reaches the recipe."""
    gradient(8, 8).save(tmp_path / "logo.png")
    text = """
    [recipes.product]
    width = 512
    height = 256
    fit = "pad"
    formats = ["avif", "png", "webp"]
    animated = false
    quality = 60
    background = "#a0B0c0"
    sharpen = 0.5
    allow_larger = false
    watermark = { image = "logo.png", place = "center", size = 0.5, opacity = 1 }
    """
    recipe = book(tmp_path, text).recipes["product"]
    assert (recipe.width, recipe.height, recipe.fit, recipe.formats) == (512, 256, "pad", ("avif", "png", "webp"))
    assert (recipe.quality, recipe.background, recipe.sharpen, recipe.allow_larger) == (60, "#a0B0c0", 0.5, False)
    assert recipe.watermark is not None
    assert recipe.watermark.image == tmp_path / "logo.png"
    cover = book(tmp_path, RECIPE + 'fit = "cover"\nfocus = "smart"').recipes["a"]
    assert (cover.fit, cover.focus, recipe.focus) == ("cover", "smart", "centre")
    assert (recipe.watermark.place, recipe.watermark.size, recipe.watermark.opacity) == ("center", 0.5, 1)


def test_each_format_has_its_own_default_quality():
    """The same number means different things in JPEG and AVIF."""
    assert len({Recipe("x", 1, 1).quality_for(output_format) for output_format in FORMATS}) == len(FORMATS)
    assert Recipe("x", 1, 1, quality=33).quality_for("avif") == 33


RECIPE = "[recipes.a]\nwidth = 10\nheight = 20\n"
SET = "[recipes.a]\nwidths = [10, 20]\n"


def test_a_set_becomes_one_recipe_for_each_width(tmp_path):
    """The recipes have all options of the set, are in ascending order, and folders name the set."""
    text = """
    [recipes.hero]
    widths = [640, 320]
    formats = ["webp", "jpeg"]
    sharpen = 0.5

    [recipes.small]
    width = 10
    height = 10

    [folders]
    "uploads/" = ["small", "hero"]
    "uploads/small/" = ["small"]
    """
    recipe_book = book(tmp_path, text)
    small, *hero = recipe_book.for_key("uploads/a.jpg")
    options = {"height": MAX_SIDE, "formats": ("webp", "jpeg"), "sharpen": 0.5, "set_name": "hero"}
    assert hero == [Recipe("hero-320", 320, **options), Recipe("hero-640", 640, **options)]
    assert recipe_book.for_key("uploads/small/a.jpg") == (small,)
    assert recipe_book.warnings == ()


def test_a_set_can_be_animated(tmp_path):
    """Each width of the set has the option."""
    recipe_book = book(tmp_path, SET + 'formats = ["webp", "jpeg"]\nanimated = true')
    assert [recipe.animated for recipe in recipe_book.for_key("uploads/a.gif")] == [True, True]


def test_an_unused_set_causes_one_warning(tmp_path):
    """The warning names the set, which is in the file, and not its renditions."""
    (warning,) = book(tmp_path, RECIPE.replace("a]", "b]") + SET + '[folders]\n"uploads/" = ["b"]').warnings
    assert "line 4:" in warning
    assert "recipe 'a'" in warning


@given(
    st.lists(st.integers(1, MAX_SIDE), min_size=1, max_size=8, unique=True).map(sorted),
    st.integers(1, 20_000),
    st.integers(1, 20_000),
)
def test_a_set_has_every_width_up_to_that_of_the_original_once(widths, width, height):
    """No two renditions are equal, none is wider than the original, and no width below it is missing."""
    members = [Recipe(f"a-{side}", side, MAX_SIDE, set_name="a") for side in widths]
    other = Recipe("b", 1, 1)
    *remaining, last = without_repeats([*members, other], width, height)
    assert last is other
    sizes = [recipe.scale(width, height) for recipe in remaining]
    assert sizes == sorted(set(sizes))
    assert {recipe.scale(width, height) for recipe in members} == set(sizes)
    assert [recipe.width for recipe in remaining] == widths[: len(remaining)]


@pytest.mark.parametrize(
    ("text", "line", "problem", "allowed"),
    [
        ("", 1, "no recipe", "width and height"),
        ("[recipe.a]\nwidth = 1", 1, "'recipe'", "[recipes.<name>]"),
        ("[recipes.a]\nwidth = 10\n", 1, "height is missing", "1 to 16383 pixels"),
        ("[recipes.a]\nwidth = 0\nheight = 5", 2, "width is 0", "1 to 16383"),
        ("[recipes.a]\nwidth = 1\nheight = 99999", 3, "height is 99999", "1 to 16383"),
        ("[recipes.a]\nwidth = 1.5\nheight = 1", 2, "width is 1.5", "whole number"),
        ("[recipes.a]\nwidth = true\nheight = 1", 2, "width is True", "whole number"),
        (RECIPE + "\n[recipes.b]\nwidth = 1\nheight = -1", 7, "height is -1", "1 to"),
        ("[recipes.a] # height\nwidth = 10 # height\n  # height = 5\nheight = 0 # height", 4, "height is 0", "1 to"),
        (RECIPE + 'fit = "crop"', 4, "fit is 'crop'", "fit, cover, pad"),
        (RECIPE + 'fit = "cover"\nfocus = "center"', 5, "focus is 'center'", "centre, smart"),
        (RECIPE + 'fit = "cover"\nfocus = 1', 5, "focus is 1", "centre, smart"),
        (RECIPE + 'focus = "smart"', 4, 'focus has an effect only with fit = "cover"', "remove focus"),
        (RECIPE + 'focus = "centre"\nfit = "pad"', 4, "only with fit", "Add that option"),
        (RECIPE + "hieght = 5", 4, "'hieght' is not an option", "width, height, fit"),
        (RECIPE + 'formats = "jpeg"', 4, "must be a list", "jpeg, png, webp, avif"),
        (RECIPE + "formats = []", 4, "must be a list", "jpeg, png"),
        (RECIPE + 'formats = ["jpeg", "jpeg"]', 4, "list of different formats", "jpeg, png"),
        (RECIPE + 'formats = ["gif"]', 4, "formats is 'gif'", "jpeg, png, webp, avif"),
        (RECIPE + 'formats = [["jpeg"]]', 4, "formats is ['jpeg']", "jpeg, png, webp, avif"),
        (RECIPE + "quality = 101", 4, "quality is 101", "1 to 100"),
        (RECIPE + 'background = "white"', 4, "background is 'white'", "#ffffff"),
        (RECIPE + "sharpen = 3", 4, "sharpen is 3", "0 to 2"),
        (RECIPE + "sharpen = nan", 4, "sharpen is nan", "0 to 2"),
        (RECIPE + "allow_larger = 1", 4, "must be true or false", "quotes"),
        (RECIPE + "watermark = {}", 4, "either text or image", "text ="),
        (RECIPE + 'watermark = { text = "a", image = "b" }', 4, "either text or image", "text ="),
        (RECIPE + 'watermark = { text = " " }', 4, "must not be empty", "quotes"),
        (RECIPE + 'watermark = { image = "none.png" }', 4, "there is no file", "recipe file"),
        (RECIPE + 'watermark = { image = "recipes.toml" }', 4, "cannot be read as an image", "PNG"),
        (RECIPE + 'watermark = { text = "a", place = "middle" }', 4, "place is 'middle'", "bottom-right"),
        (RECIPE + 'watermark = { text = "a", size = 2 }', 4, "size is 2", "0.01 to 1"),
        (RECIPE + 'watermark = { text = "a", opacity = -1 }', 4, "opacity is -1", "0 to 1"),
        (RECIPE + 'watermark = { text = "a", colour = "red" }', 4, "'colour' is not an option", "opacity"),
        (RECIPE + 'watermark = "a"', 4, "must be a table", "[recipes.a.watermark]"),
        ("[recipes]\na = 5", 2, "'a' must be a table", "[recipes.a]"),
        ('[recipes."../a"]\nwidth = 1\nheight = 1', 1, "name '../a' is not allowed", "letters"),
        (RECIPE + '[folders]\n"uploads/x" = ["a"]', 5, "must end with '/'", "uploads/products/"),
        (RECIPE + '[folders]\n"uploads/" = ["b"]', 5, "unknown recipe 'b'", ": a."),
        (RECIPE + '[folders]\n"uploads/" = [["a"]]', 5, "unknown recipe ['a']", ": a."),
        (RECIPE + '[folders]\n"uploads/" = []', 5, "must be a list", ": a."),
        (RECIPE + "widths = [1]", 2, "width cannot be combined with widths", "replace widths by width and height"),
        ("[recipes.a]\nwidths = [1]\nheight = 1", 3, "height cannot be combined with widths", "Remove height"),
        (SET + 'fit = "cover"', 3, "fit cannot be combined with widths", "Remove fit"),
        ("[recipes.a]\nwidths = []", 2, "widths is []", "list of different widths"),
        ("[recipes.a]\nwidths = 320", 2, "widths is 320", "list of different widths"),
        ("[recipes.a]\nwidths = [320, 320]", 2, "widths is [320, 320]", "list of different widths"),
        ("[recipes.a]\nwidths = [320, 0]", 2, "widths is 0", "1 to 16383 pixels"),
        ("[recipes.a]\nwidths = [16384]", 2, "widths is 16384", "1 to 16383 pixels"),
        ('[recipes.a]\nwidths = ["320"]', 2, "widths is '320'", "1 to 16383 pixels"),
        ("[recipes.a]\nwidths = [[1]]", 2, "widths is [1]", "1 to 16383 pixels"),
        (
            "[recipes.a]\nwidth = 1\nheight = 1\n[recipes.a-1]\nwidths = [1]\n[recipes.b]\nwidths = [true]",
            7,
            "True",
            "1 to",
        ),
        (SET + "[recipes.a-20]\nwidth = 1\nheight = 1", 2, "rendition 'a-20', which is the name of another", "Rename"),
        (SET + "[recipes.a-20]\nwidths = [5]", 2, "rendition 'a-20', which is the name of another", "Rename"),
        (f"[recipes.{'n' * 62}]\nwidths = [1, 10]", 1, "-10' is too long", "at most 64 characters"),
        (f"[recipes.a]\nwidths = {list(range(1, 34))}", 1, "33 files", "At most 32"),
        (f'{SET}[folders]\n"uploads/" = ["a-10"]', 4, "unknown recipe 'a-10'", ": a."),
        (RECIPE + "animated = true", 4, "animated needs the format webp", 'formats = ["webp"]'),
        (RECIPE + 'formats = ["png"]\nanimated = true', 5, "animated needs the format webp", "add"),
        (RECIPE + 'formats = ["webp"]\nanimated = "yes"', 5, "animated is 'yes'", "true or false"),
        (
            RECIPE + 'formats = ["webp"]\nanimated = true\nallow_larger = false',
            6,
            "allow_larger = false cannot be combined with animated",
            "Remove one",
        ),
        (RECIPE + 'set_name = "x"', 4, "'set_name' is not an option", "widths"),
        (RECIPE + "folders = 1", 4, "'folders' is not an option", "width"),
        (MANY, 1, "36 files", "At most 32"),
        (MANY + FOLDERS.format('"uploads/"', NINE), 47, "'uploads/' gets 36 files", "At most 32"),
        (
            MANY + FOLDERS.format('"uploads/"', '"s1"') + f'"uploads/a/" = [{NINE}]',
            48,
            "'uploads/a/' gets 36",
            "At most 32",
        ),
    ],
)
def test_mistakes_are_reported_with_file_and_line(tmp_path, text, line, problem, allowed):
    """The message has file, line and problem, and the hint has the allowed values."""
    with pytest.raises(SettingsError) as caught:
        book(tmp_path, text)
    assert f"{tmp_path / 'recipes.toml'}, line {line}: " in caught.value.message
    assert problem in caught.value.message
    assert allowed in caught.value.hint


def test_invalid_toml_is_reported_with_its_line(tmp_path):
    """The message of the TOML parser is included."""
    with pytest.raises(SettingsError, match="line 2"):
        book(tmp_path, "[recipes.a]\nwidth = = 5")


def test_a_missing_file_is_reported(tmp_path):
    """A missing file is a settings error."""
    with pytest.raises(SettingsError, match="cannot be read"):
        load(tmp_path / "none.toml")


def test_the_readme_and_the_documents_show_recipes_that_load(tmp_path):
    """Every example in the documentation is a valid recipe file."""
    from tests.conftest import ROOT

    for document in ("docs/configuration.md", "docs/images.md"):
        for number, example in enumerate(re.findall(r"```toml\n(.*?)```", (ROOT / document).read_text(), re.DOTALL)):
            path = tmp_path / f"{number}.toml"
            missing = set(re.findall(r'"(\d+x\d+|web)"', example)) - set(re.findall(r"\[recipes\.([\w-]+)\]", example))
            path.write_text(example + "".join(f"\n[recipes.{name}]\nwidth = 1\nheight = 1\n" for name in missing))
            assert load(path).recipes


def test_the_documented_defaults_are_those_of_the_code():
    """docs/images.md states the default of every option."""
    from tests.conftest import ROOT

    rows = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|", (ROOT / "docs/images.md").read_text(), re.MULTILINE))
    assert dict(pair.split() for pair in rows["quality"].split(", ")) == {
        name: str(quality) for name, quality in DEFAULT_QUALITY.items() if name != "png"
    }
    plain, watermark = Recipe("x", 1, 1), Watermark(text="x")
    assert (rows["size"], rows["opacity"]) == (str(watermark.size), str(watermark.opacity))
    assert rows["place"] == f"`{watermark.place}`"
    assert (rows["fit"], rows["background"]) == (f"`{plain.fit}`", f'`"{plain.background}"`')
    assert (rows["sharpen"], rows["allow_larger"]) == (f"{plain.sharpen:g}", f"`{str(plain.allow_larger).lower()}`")
