"""Read the recipe file, which defines the renditions of each key. It is checked completely before the first image.

The file has a `[recipes.<name>]` table for each rendition or responsive set, and one `[folders]` table that assigns
them to folders. A set becomes one recipe for each of its `widths`; the rest of the pipeline knows only single recipes.
The longest folder that a key starts with decides; `docs/images.md` documents every option.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from image_pipeline.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

FITS = ("fit", "cover", "pad")
FOCUSES = ("centre", "smart")
FORMATS = ("jpeg", "png", "webp", "avif")
PLACES = ("center", "top", "bottom", "left", "right", "top-left", "top-right", "bottom-left", "bottom-right")

MAX_SIDE = 16_383
"""Longest side of a rendition in pixels: the limit of WebP (RFC 9649, section 2.5: 14 bits)."""

MAX_FILES = 32
"""Most files of one image: eight sizes in every format. With this limit, the record, the workflow's data and the
notifications stay within AWS's quotas for keys of any length (`tests/contracts/test_quotas.py`)."""

DEFAULT_QUALITY: Mapping[str, int] = {"jpeg": 80, "webp": 78, "avif": 60, "png": 100}
"""Default quality of each format. PNG is lossless and ignores it."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_WEBP_EXAMPLE = 'Write formats = ["webp"], or add "webp" to the list.'
_COLOUR = re.compile(r"#[0-9A-Fa-f]{6}")


@dataclass(frozen=True)
class Watermark:
    """A text or an image drawn over a rendition."""

    text: str = ""
    """The text; empty if `image` is set."""
    image: Path | None = None
    """Path of an image file."""
    place: str = "bottom-right"
    """One of `PLACES`."""
    size: float = 0.25
    """Width of the watermark as a fraction of the rendition's width, 0.01 to 1."""
    opacity: float = 0.5
    """0 (invisible) to 1 (opaque)."""


@dataclass(frozen=True)
class Recipe:
    """One rendition: its name, its box in pixels, and how the image is fitted into the box."""

    name: str
    width: int
    height: int
    fit: str = "fit"
    """`fit`: the whole image inside the box. `cover`: the box is filled and the excess is cropped. `pad`: as `fit`, and
    the rest of the box is filled with `background`."""
    focus: str = "centre"
    """The part of the image that `cover` keeps: its `centre`, or the most interesting part (`smart`)."""
    formats: tuple[str, ...] = ("jpeg",)
    """Names from `FORMATS`; each makes one file."""
    quality: int | None = None
    """1 to 100; None means `DEFAULT_QUALITY`."""
    background: str = "#ffffff"
    """Colour behind transparency in formats without it, and around a padded image."""
    sharpen: float = 0.0
    """Strength of the unsharp mask after the reduction, 0 (none) to 2."""
    watermark: Watermark | None = None
    allow_larger: bool = True
    """If False, the quality is lowered while the file has more bytes than the upload."""
    animated: bool = False
    """Whether the WebP file of an animated original is animated; files in other formats show its first frame."""
    set_name: str = ""
    """Name of the responsive set that this recipe is part of; empty if it is not part of one."""

    def quality_for(self, output_format: str) -> int:
        """Return the quality of this recipe's file in `output_format`, 1 to 100."""
        return self.quality if self.quality is not None else DEFAULT_QUALITY[output_format]

    def scale(self, width: int, height: int) -> float:
        """Return the size of the rendition divided by that of the original, at most 1: nothing is enlarged.

        Args:
            width: of the original, in pixels.
            height: of the original, in pixels.
        """
        ratios = self.width / width, self.height / height
        return min(1.0, max(ratios) if self.fit == "cover" else min(ratios))


def without_repeats(recipes: Sequence[Recipe], width: int, height: int) -> tuple[Recipe, ...]:
    """Return the recipes, without those of a set that would repeat a narrower one of the set.

    Args:
        recipes: the recipes of a key; those of a set are in ascending order.
        width: of the original, in pixels.
        height: of the original, in pixels.
    """
    first: dict[tuple[str, float], Recipe] = {}
    for recipe in recipes:
        first.setdefault((recipe.set_name or recipe.name, recipe.scale(width, height)), recipe)
    return tuple(first.values())


@dataclass(frozen=True)
class RecipeBook:
    """All recipes, and the recipes of each folder."""

    recipes: Mapping[str, Recipe]
    folders: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    """Settings without effect, which are allowed but probably mistakes; each warning names file and line."""

    def for_key(self, image_key: str) -> tuple[Recipe, ...]:
        """Return the recipes of the longest folder that `image_key` starts with; all recipes if there is none."""
        matching = [folder for folder in self.folders if image_key.startswith(folder)]
        names = self.folders[max(matching, key=len)] if matching else tuple(self.recipes)
        return tuple(self.recipes[name] for name in names)


def default_file() -> Path:
    """Return the recipe file in the package."""
    from pathlib import Path

    return Path(__file__).parent.with_name("recipes.toml")


def load(path: Path | None = None) -> RecipeBook:
    """Read and check a recipe file; by default the one in the package.

    Raises:
        SettingsError: the file cannot be read, is not TOML, or contains an invalid value; names file and line.
    """
    import tomllib  # this and pathlib take a fifth of the engine's import time, and only reading recipes needs them

    path = path or default_file()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"Recipe file {path} cannot be read: {error}.", "Provide a TOML file in UTF-8 at this path."
        ) from error
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"Recipe file {path} is not valid TOML: {error}.", "Correct this line.") from error
    return _Parser(path, text).book(document)


class _Parser:
    """Checks the TOML document, converts it to a `RecipeBook`, and finds line numbers for error messages."""

    def __init__(self, file: Path, text: str) -> None:
        from image_pipeline.keys import UPLOADS_PREFIX  # imports urllib, which takes 5 ms

        self._file = file
        self._uploads = UPLOADS_PREFIX
        self._lines = text.splitlines()

    def book(self, document: dict[str, Any]) -> RecipeBook:
        for name in document.keys() - {"recipes", "folders"}:
            self._fail((name,), f"{name!r} is not a known table", "Allowed: [recipes.<name>] tables and [folders].")
        tables = self._table(document.get("recipes"), ("recipes",))
        if not tables:
            self._fail(("recipes",), "there is no recipe", "Add a [recipes.<name>] table with width and height.")
        sets = {name: self._recipe_set(name, table) for name, table in tables.items()}
        recipes = {recipe.name: recipe for members in sets.values() for recipe in members}
        self._check_names(sets)
        folder_lists = self._table(document.get("folders", {}), ("folders",))
        if self._uploads not in folder_lists:
            self._check_file_count(("recipes",), "a key outside all folders", recipes, recipes)
        folders = {folder: self._folder(folder, names, sets) for folder, names in folder_lists.items()}
        return RecipeBook(recipes, folders, tuple(self._warnings(recipes, folders)))

    def _warnings(self, recipes: Mapping[str, Recipe], folders: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
        """Yield a warning for each folder and recipe without effect."""
        for folder in folders:
            if not folder.startswith(self._uploads):
                yield (
                    f"{self._location(('folders', folder))}: folder {folder!r} contains no upload, because every key "
                    f"starts with {self._uploads!r}."
                )
        if self._uploads not in folders:  # a key outside all folders gets every recipe
            return
        names_in_use = {name for folder, names in folders.items() if folder.startswith(self._uploads) for name in names}
        for name in dict.fromkeys(
            recipe.set_name or recipe.name for recipe in recipes.values() if recipe.name not in names_in_use
        ):
            yield f"{self._location(('recipes', name))}: no folder uses recipe {name!r}, so it makes no rendition."

    def _table(self, value: Any, path: tuple[str, ...]) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            self._fail(path, f"{path[-1]!r} must be a table", f"Write [{'.'.join(path)}].")
        return dict(value)

    def _folder(self, folder: str, names: Any, sets: Mapping[str, tuple[Recipe, ...]]) -> tuple[str, ...]:
        path = ("folders", folder)
        known_names = ", ".join(sets)
        if not folder.endswith("/"):
            self._fail(path, f"folder {folder!r} must end with '/'", 'Example: "uploads/products/".')
        if not isinstance(names, list) or not names or len(set(map(str, names))) != len(names):
            self._fail(path, f"{folder!r} must be a list of different recipe names", f"Recipes: {known_names}.")
        for name in names:
            if not isinstance(name, str) or name not in sets:
                self._fail(path, f"{folder!r} contains the unknown recipe {name!r}", f"Recipes: {known_names}.")
        members = {recipe.name: recipe for name in names for recipe in sets[name]}
        self._check_file_count(path, repr(folder), members, members)
        return tuple(members)

    def _check_file_count(
        self, path: tuple[str, ...], owner: str, names: Iterable[str], recipes: Mapping[str, Recipe]
    ) -> None:
        files = sum(len(recipes[name].formats) for name in names)
        if files > MAX_FILES:
            self._fail(path, f"{owner} gets {files} files for each image", f"At most {MAX_FILES} are allowed.")

    def _check_names(self, sets: Mapping[str, tuple[Recipe, ...]]) -> None:
        """Fail if a member of a set has the name of a table."""
        for name, members in sets.items():
            for recipe in members:
                if recipe.set_name and recipe.name in sets:
                    self._fail(
                        ("recipes", name, "widths"),
                        f"recipe {name!r} makes the rendition {recipe.name!r}, which is the name of another recipe",
                        "Rename one of the two recipes.",
                    )

    def _recipe_set(self, name: str, value: Any) -> tuple[Recipe, ...]:
        """Return the recipes that a table describes: one, or one for each of its widths."""
        path = ("recipes", name)
        table = self._table(value, path)
        if not _NAME.fullmatch(name):
            self._fail(path, f"recipe name {name!r} is not allowed", "Use at most 64 letters, digits, '-' and '_'.")
        if "widths" not in table:
            return (self._recipe(name, table),)
        widths = self._widths(table.pop("widths"), table, path)
        names = [f"{name}-{width}" for width in widths]
        if not _NAME.fullmatch(names[-1]):
            self._fail(
                path, f"the rendition name {names[-1]!r} is too long", "Use at most 64 characters with the width."
            )
        # The height is unlimited, except by what a WebP can store.
        widest = self._recipe(name, {**table, "width": widths[-1], "height": MAX_SIDE})
        return tuple(
            replace(widest, name=rendition_name, width=width, set_name=name)
            for rendition_name, width in zip(names, widths, strict=True)
        )

    def _widths(self, widths: Any, table: Mapping[str, Any], path: tuple[str, ...]) -> list[int]:
        """Return the widths of a set in ascending order."""
        for option in ("width", "height", "fit"):
            if option in table:
                self._fail(
                    (*path, option),
                    f"{option} cannot be combined with widths, because a set keeps the shape of the image",
                    f"Remove {option}, or replace widths by width and height.",
                )
        if not isinstance(widths, list) or not widths or len(set(map(str, widths))) != len(widths):
            self._fail((*path, "widths"), f"widths is {widths!r}", "It must be a list of different widths in pixels.")
        for width in widths:
            self._check_number(width, int, 1, MAX_SIDE, (*path, "widths"), "pixels")
        return sorted(widths)

    def _recipe(self, name: str, table: dict[str, Any]) -> Recipe:
        path = ("recipes", name)
        self._check_options(table, Recipe, path)
        for side in ("width", "height"):
            self._check_number(table.get(side), int, 1, MAX_SIDE, (*path, side), "pixels")
        self._check_choice(table.get("fit", "fit"), FITS, (*path, "fit"))
        self._check_focus(table, path)
        formats = table.get("formats", ["jpeg"])
        if not isinstance(formats, list) or not formats or len(set(map(str, formats))) != len(formats):
            self._fail((*path, "formats"), "formats must be a list of different formats", f"Allowed: {_list(FORMATS)}.")
        for output_format in formats:
            self._check_choice(output_format, FORMATS, (*path, "formats"))
        if "quality" in table:
            self._check_number(table["quality"], int, 1, 100, (*path, "quality"))
        if not isinstance(table.get("allow_larger", True), bool):
            self._fail((*path, "allow_larger"), "allow_larger must be true or false", "Write it without quotes.")
        self._check_animated(table, path)
        background = table.get("background", "#ffffff")
        if not isinstance(background, str) or not _COLOUR.fullmatch(background):
            self._fail((*path, "background"), f"background is {background!r}", 'It must be a colour such as "#ffffff".')
        self._check_number(table.get("sharpen", 0.0), float, 0, 2, (*path, "sharpen"))
        plain_options = {key: value for key, value in table.items() if key not in ("formats", "watermark")}
        watermark = self._watermark(table["watermark"], (*path, "watermark")) if "watermark" in table else None
        return Recipe(name=name, formats=tuple(formats), watermark=watermark, **plain_options)

    def _check_animated(self, table: Mapping[str, Any], path: tuple[str, ...]) -> None:
        animated = table.get("animated", False)
        if not isinstance(animated, bool):
            self._fail((*path, "animated"), f"animated is {animated!r}", "It must be true or false, without quotes.")
        if animated and "webp" not in table.get("formats", ()):
            self._fail(
                (*path, "animated"), "animated needs the format webp, the only one that is animated", _WEBP_EXAMPLE
            )
        if animated and not table.get("allow_larger", True):
            self._fail(
                (*path, "allow_larger"),
                "allow_larger = false cannot be combined with animated: coding an animation again takes too long",
                "Remove one of the two options.",
            )

    def _check_focus(self, table: Mapping[str, Any], path: tuple[str, ...]) -> None:
        if "focus" not in table:
            return
        path = (*path, "focus")
        self._check_choice(table["focus"], FOCUSES, path)
        if table.get("fit", "fit") != "cover":
            self._fail(path, 'focus has an effect only with fit = "cover"', "Add that option, or remove focus.")

    def _watermark(self, value: Any, path: tuple[str, ...]) -> Watermark:
        table = self._table(value, path)
        self._check_options(table, Watermark, path)
        if ("text" in table) == ("image" in table):
            self._fail(path, "a watermark needs either text or image", 'Write text = "…" or image = "file.png".')
        kind = "text" if "text" in table else "image"
        if not isinstance(table[kind], str) or not table[kind].strip():
            self._fail((*path, kind), f"{kind} of a watermark must not be empty", "Write it in quotes.")
        self._check_choice(table.get("place", PLACES[0]), PLACES, (*path, "place"))
        self._check_number(table.get("size", 0.25), float, 0.01, 1, (*path, "size"))
        self._check_number(table.get("opacity", 0.5), float, 0, 1, (*path, "opacity"))
        if kind == "image":
            image_file = self._file.parent / table["image"]
            if not image_file.is_file():
                self._fail(
                    (*path, "image"), f"there is no file {image_file}", "Give a path relative to the recipe file."
                )
            if not _is_image(image_file):
                self._fail((*path, "image"), f"{image_file} cannot be read as an image", "Use a PNG, for example.")
            table["image"] = image_file
        return Watermark(**table)

    def _check_options(self, table: Mapping[str, Any], kind: type, path: tuple[str, ...]) -> None:
        allowed = [option.name for option in fields(kind) if option.name not in ("name", "set_name")]
        if kind is Recipe:
            allowed.insert(0, "widths")
        for key in table:
            if key not in allowed:
                self._fail((*path, key), f"{key!r} is not an option", f"Allowed: {_list(allowed)}.")

    def _check_choice(self, value: Any, allowed: tuple[str, ...], path: tuple[str, ...]) -> None:
        if value not in allowed:
            self._fail(path, f"{path[-1]} is {value!r}", f"Allowed: {_list(allowed)}.")

    def _check_number(
        self, value: Any, kind: type, low: float, high: float, path: tuple[str, ...], unit: str = ""
    ) -> None:
        kinds = (int,) if kind is int else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
            noun = "a whole number" if kind is int else "a number"
            state = "missing" if value is None else repr(value)
            self._fail(path, f"{path[-1]} is {state}", f"It must be {noun} from {low} to {high} {unit}".strip() + ".")

    def _fail(self, path: tuple[str, ...], problem: str, hint: str) -> None:
        raise SettingsError(f"{self._location(path)}: {problem}.", hint)

    def _location(self, path: tuple[str, ...]) -> str:
        return f"Recipe file {self._file}, line {self._line(path)}"

    def _line(self, path: tuple[str, ...]) -> int:
        """Return the line number of the deepest part of `path` that occurs in the file; 1 if none does.

        tomllib keeps no positions, so this searches for the words in their order. It may miss unusual spellings; the
        message then names a line above.
        """
        index = 0
        for part in path:
            word = re.compile(rf"(?<![\w-]){re.escape(part)}(?![\w-])")
            for number in range(index, len(self._lines)):
                line = self._lines[number]
                if word.search(line if part.startswith("#") else line.split("#", 1)[0]):
                    index = number
                    break
        return index + 1


def _is_image(file: Path) -> bool:
    from PIL import Image  # few recipes have an image as watermark

    try:
        with Image.open(file) as image:
            image.load()
    except Exception:  # Pillow raises exceptions of any type
        return False
    return True


def _list(words: tuple[str, ...] | list[str]) -> str:
    return ", ".join(words)
