"""Expand patterns of paths as a shell does: `*`, `?`, `[…]`, and `**` for any folders.

Unlike `glob` of the standard library, it skips symbolic links, which could leave the folder or form cycles, and
reports them.
"""

import fnmatch
import glob
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

Identity = tuple[int, int]
"""Device and inode of a folder: the same for every path that leads to it."""

_ANY_FOLDERS = "**"


def is_pattern(text: str) -> bool:
    """Return whether a text contains wildcards."""
    return glob.has_magic(text)


def expand(pattern: str, *, follow_links: bool = False) -> tuple[list[Path], list[Path]]:
    """Return the paths that match a pattern; hidden files match only where the pattern names a leading dot.

    Args:
        pattern: A pattern of paths. Links before its first wildcard are followed, because the user typed them.
        follow_links: Whether other links are followed, too; cycles never are.

    Returns:
        The matching paths and the skipped links, both sorted.
    """
    walk = _Walk(follow_links)
    parts = Path(pattern).parts
    literal = next(index for index, part in enumerate(parts) if is_pattern(part))
    matches = set(walk.below(Path(*parts[:literal]), parts[literal:], frozenset()))
    return sorted(matches), sorted(walk.links)


class _Walk:
    """The expansion of one pattern."""

    def __init__(self, follow_links: bool) -> None:
        self._follow_links = follow_links
        self.links: set[Path] = set()

    def below(self, folder: Path, parts: tuple[str, ...], above: frozenset[Identity]) -> Iterator[Path]:
        """Yield the matches of the rest of a pattern; `above` has the folders that `**` has passed."""
        if not parts:
            if folder.parts:  # the current folder is not a match
                yield folder
            return
        first, rest = parts[0], parts[1:]
        if first == _ANY_FOLDERS:
            yield from self._any_folders(folder, rest, above)
            return
        for entry in self._matches(folder, first):
            if self._may_follow(entry):
                yield from self.below(entry, rest, above)

    def _any_folders(self, folder: Path, rest: tuple[str, ...], above: frozenset[Identity]) -> Iterator[Path]:
        identity = _identity(folder)
        if identity is None or identity in above:
            return
        yield from self.below(folder, rest, above)
        for entry in self._entries(folder):
            if not _is_visible(entry, "") or not self._may_follow(entry):
                continue
            if _identity(entry):
                yield from self._any_folders(entry, rest, above | {identity})
            elif not rest:
                yield entry

    def _matches(self, folder: Path, part: str) -> list[Path]:
        if not is_pattern(part):
            return [folder / part] if os.path.lexists(folder / part) else []
        return [
            entry
            for entry in self._entries(folder)
            if fnmatch.fnmatchcase(entry.name, part) and _is_visible(entry, part)
        ]

    def _entries(self, folder: Path) -> list[Path]:
        with suppress(OSError):  # not a folder, or not readable: nothing in it matches
            return sorted(folder.iterdir())
        return []

    def _may_follow(self, entry: Path) -> bool:
        if self._follow_links or not entry.is_symlink():
            return True
        self.links.add(entry)
        return False


def _identity(path: Path) -> Identity | None:
    """Identify the folder that a path leads to; None if it is not a folder or cannot be read."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return (facts.st_dev, facts.st_ino) if stat.S_ISDIR(facts.st_mode) else None


def _is_visible(entry: Path, part: str) -> bool:
    return not entry.name.startswith(".") or part.startswith(".")
