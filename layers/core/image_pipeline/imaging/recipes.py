"""Which renditions a key asks for: one TOML file, read once, checked completely before the first picture.

The file has a `[recipes.<name>]` table for each rendition and one `[folders]` table that gives folders their recipes.
The longest folder that a key starts with decides; `docs/images.md` documents every option.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from image_pipeline.errors import SettingsError
from image_pipeline.keys import UPLOADS_PREFIX

if TYPE_CHECKING:
    from pathlib import Path

FITS = ("fit", "cover", "pad")
FORMATS = ("jpeg", "png", "webp", "avif")
PLACES = ("center", "top", "bottom", "left", "right", "top-left", "top-right", "bottom-left", "bottom-right")

MAX_SIDE = 16_383
"""Longest side of a rendition in pixels: what WebP can hold (RFC 9649, section 2.5: 14 bits)."""

MAX_FILES = 32
"""Most files of one picture: eight sizes in every format. So the record, what the workflow hands on and what it tells
stay within AWS's quotas, whatever a key is called (`tests/contracts/test_quotas.py`)."""

DEFAULT_QUALITY: Mapping[str, int] = {"jpeg": 80, "webp": 78, "avif": 60, "png": 100}
"""Quality per format when a recipe names none; PNG is lossless, its figure is never used."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_COLOUR = re.compile(r"#[0-9A-Fa-f]{6}")


@dataclass(frozen=True)
class Watermark:
    """A text or a picture laid over a rendition."""

    text: str = ""
    """The text; empty when `image` is given."""
    image: Path | None = None
    """A picture file, relative to the recipe file."""
    place: str = "bottom-right"
    """One of `PLACES`."""
    size: float = 0.25
    """Width of the mark as a share of the rendition's width, 0.01 to 1."""
    opacity: float = 0.5
    """0 is invisible, 1 covers what is below."""


@dataclass(frozen=True)
class Recipe:
    """One rendition: its name, its box in pixels, and how the picture is put into it."""

    name: str
    width: int
    height: int
    fit: str = "fit"
    """`fit`: all of the picture inside the box. `cover`: the box filled, the overhang cut off. `pad`: as `fit`, and
    the rest of the box filled with `background`."""
    formats: tuple[str, ...] = ("jpeg",)
    """One file for each, from `FORMATS`."""
    quality: int | None = None
    """1 to 100; None takes `DEFAULT_QUALITY`."""
    background: str = "#ffffff"
    """What shows through transparency where the format has none, and around a padded picture."""
    sharpen: float = 0.0
    """Unsharp mask after the reduction, 0 (none) to 2."""
    watermark: Watermark | None = None
    allow_larger: bool = True
    """False lowers the quality while a file has more bytes than the upload."""

    def quality_for(self, output_format: str) -> int:
        """Quality of this recipe's file in `output_format`, 1 to 100."""
        return self.quality if self.quality is not None else DEFAULT_QUALITY[output_format]


@dataclass(frozen=True)
class RecipeBook:
    """All recipes, and which folder gets which."""

    recipes: Mapping[str, Recipe]
    folders: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    """What is allowed and has no effect, so that it is probably a mistake; each names file and line."""

    def for_key(self, image_key: str) -> tuple[Recipe, ...]:
        """Recipes of the longest folder that `image_key` starts with; all recipes where no folder does."""
        matching = [folder for folder in self.folders if image_key.startswith(folder)]
        names = self.folders[max(matching, key=len)] if matching else tuple(self.recipes)
        return tuple(self.recipes[name] for name in names)


def load(path: Path | None = None) -> RecipeBook:
    """Read and check a recipe file; without a path, the one in the package.

    Raises:
        SettingsError: the file cannot be read, is not TOML, or a value is not allowed; names file and line.
    """
    import tomllib  # together a fifth of the engine's import, and only this function needs them
    from pathlib import Path

    path = path or Path(__file__).parent.with_name("recipes.toml")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"Recipe file {path} cannot be read: {error}.", "Give a TOML file in UTF-8.") from error
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"Recipe file {path} is not TOML: {error}.", "Correct the line that is named.") from error
    return _Reader(path, text).book(document)


class _Reader:
    """Turns the parsed document into a book and knows the lines for its complaints."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._lines = text.splitlines()

    def book(self, document: dict[str, Any]) -> RecipeBook:
        for name in document.keys() - {"recipes", "folders"}:
            self._fail((name,), f"{name!r} is not known here", "Allowed: [recipes.<name>] tables and [folders].")
        tables = self._table(document.get("recipes"), ("recipes",))
        if not tables:
            self._fail(("recipes",), "there is no recipe", "Add a [recipes.<name>] table with width and height.")
        recipes = {name: self._recipe(name, table) for name, table in tables.items()}
        folders = self._table(document.get("folders", {}), ("folders",))
        if UPLOADS_PREFIX not in folders:
            self._few(("recipes",), "a key in no folder", recipes, recipes)
        checked = {folder: self._folder(folder, names, recipes) for folder, names in folders.items()}
        return RecipeBook(recipes, checked, tuple(self._without_effect(recipes, checked)))

    def _without_effect(self, recipes: Mapping[str, Recipe], folders: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
        for folder in folders:
            if not folder.startswith(UPLOADS_PREFIX):
                what = f"no upload is in the folder {folder!r}, because every key starts with {UPLOADS_PREFIX!r}"
                yield f"{self._place(('folders', folder))}: {what}."
        if UPLOADS_PREFIX not in folders:  # a key in no folder gets every recipe
            return
        used = {name for folder, names in folders.items() if folder.startswith(UPLOADS_PREFIX) for name in names}
        for name in recipes:
            if name not in used:
                yield f"{self._place(('recipes', name))}: no folder uses the recipe {name!r}, so it makes no rendition."

    def _table(self, value: Any, where: tuple[str, ...]) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            self._fail(where, f"{where[-1]!r} must be a table", f"Write [{'.'.join(where)}].")
        return dict(value)

    def _folder(self, folder: str, names: Any, recipes: Mapping[str, Recipe]) -> tuple[str, ...]:
        where = ("folders", folder)
        known = ", ".join(recipes)
        if not folder.endswith("/"):
            self._fail(where, f"folder {folder!r} must end with '/'", 'Write it as in "uploads/products/".')
        if not isinstance(names, list) or not names or len(set(map(str, names))) != len(names):
            self._fail(where, f"{folder!r} must be a list of different recipe names", f"Known: {known}.")
        for name in names:
            if name not in recipes:
                self._fail(where, f"{folder!r} names the unknown recipe {name!r}", f"Known: {known}.")
        self._few(where, repr(folder), names, recipes)
        return tuple(names)

    def _few(self, where: tuple[str, ...], whose: str, names: Iterable[str], recipes: Mapping[str, Recipe]) -> None:
        files = sum(len(recipes[name].formats) for name in names)
        if files > MAX_FILES:
            self._fail(where, f"{whose} gets {files} files for each picture", f"At most {MAX_FILES} are allowed.")

    def _recipe(self, name: str, value: Any) -> Recipe:
        where = ("recipes", name)
        table = self._table(value, where)
        if not _NAME.fullmatch(name):
            self._fail(where, f"recipe name {name!r} is not allowed", "Use letters, digits, '-' and '_', at most 64.")
        self._known(table, Recipe, where)
        for side in ("width", "height"):
            self._number(table.get(side), int, 1, MAX_SIDE, (*where, side), "pixels")
        self._choice(table.get("fit", "fit"), FITS, (*where, "fit"))
        formats = table.get("formats", ["jpeg"])
        if not isinstance(formats, list) or not formats or len(set(map(str, formats))) != len(formats):
            self._fail((*where, "formats"), "formats must be a list without repetition", f"Allowed: {_list(FORMATS)}.")
        for output_format in formats:
            self._choice(output_format, FORMATS, (*where, "formats"))
        if "quality" in table:
            self._number(table["quality"], int, 1, 100, (*where, "quality"))
        if not isinstance(table.get("allow_larger", True), bool):
            self._fail((*where, "allow_larger"), "allow_larger must be true or false", "It has no quotes.")
        background = table.get("background", "#ffffff")
        if not isinstance(background, str) or not _COLOUR.fullmatch(background):
            self._fail((*where, "background"), f"background is {background!r}", 'Write a colour as in "#ffffff".')
        self._number(table.get("sharpen", 0.0), float, 0, 2, (*where, "sharpen"))
        rest = {key: value for key, value in table.items() if key not in ("formats", "watermark")}
        watermark = self._watermark(table["watermark"], (*where, "watermark")) if "watermark" in table else None
        return Recipe(name=name, formats=tuple(formats), watermark=watermark, **rest)

    def _watermark(self, value: Any, where: tuple[str, ...]) -> Watermark:
        table = self._table(value, where)
        self._known(table, Watermark, where)
        if ("text" in table) == ("image" in table):
            self._fail(where, "a watermark has either text or image", 'Write text = "…" or image = "file.png".')
        kind = "text" if "text" in table else "image"
        if not isinstance(table[kind], str) or not table[kind].strip():
            self._fail((*where, kind), f"{kind} of a watermark must not be empty", "Write it in quotes.")
        self._choice(table.get("place", PLACES[0]), PLACES, (*where, "place"))
        self._number(table.get("size", 0.25), float, 0.01, 1, (*where, "size"))
        self._number(table.get("opacity", 0.5), float, 0, 1, (*where, "opacity"))
        if kind == "image":
            picture = self._path.parent / table["image"]
            if not picture.is_file():
                self._fail((*where, "image"), f"there is no file {picture}", "The path counts from the recipe file.")
            table["image"] = picture
        return Watermark(**table)

    def _known(self, table: Mapping[str, Any], kind: type, where: tuple[str, ...]) -> None:
        allowed = [each.name for each in fields(kind) if each.name != "name"]
        for key in table:
            if key not in allowed:
                self._fail((*where, key), f"{key!r} is not an option", f"Allowed: {_list(allowed)}.")

    def _choice(self, value: Any, allowed: tuple[str, ...], where: tuple[str, ...]) -> None:
        if value not in allowed:
            self._fail(where, f"{where[-1]} is {value!r}", f"Allowed: {_list(allowed)}.")

    def _number(self, value: Any, kind: type, low: float, high: float, where: tuple[str, ...], unit: str = "") -> None:
        kinds = (int,) if kind is int else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
            noun = "a whole number" if kind is int else "a number"
            found = "missing" if value is None else repr(value)
            self._fail(where, f"{where[-1]} is {found}", f"It must be {noun} from {low} to {high} {unit}".strip() + ".")

    def _fail(self, where: tuple[str, ...], what: str, hint: str) -> None:
        raise SettingsError(f"{self._place(where)}: {what}.", hint)

    def _place(self, where: tuple[str, ...]) -> str:
        return f"Recipe file {self._path}, line {self._line(where)}"

    def _line(self, where: tuple[str, ...]) -> int:
        """Line number of the deepest part of `where` that is written out; 1 where none is.

        tomllib keeps no positions, so this looks for the words in their order. It may miss unusual spellings, which
        costs precision in a message and nothing else.
        """
        found = 0
        for part in where:
            word = re.compile(rf"(?<![\w-]){re.escape(part)}(?![\w-])")
            for number in range(found, len(self._lines)):
                if word.search(self._lines[number].split("#", 1)[0] if part[:1] != "#" else self._lines[number]):
                    found = number
                    break
        return found + 1


def _list(words: tuple[str, ...] | list[str]) -> str:
    return ", ".join(words)
