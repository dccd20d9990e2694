"""Expands patterns of paths as a shell does: `*`, `?`, `[…]`, and `**` for any folders.

Unlike the standard library's `glob` it passes over symbolic links, which could lead out of a folder or in circles, and
says which.
"""

import fnmatch
import glob
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

Identity = tuple[int, int]
"""Device and number of a folder: the same by whatever way it is reached."""

_ANY_FOLDERS = "**"


def is_pattern(text: str) -> bool:
    """Tell whether a text has characters that stand for others."""
    return glob.has_magic(text)


def expand(pattern: str, *, follow_links: bool = False) -> tuple[list[Path], list[Path]]:
    """Find what matches a pattern, without hidden files unless it names them.

    Args:
        pattern: Of a path. Links in front of its first magic character are meant, and are followed.
        follow_links: Whether the others are followed, too; one that leads in a circle never is.

    Returns:
        What matches, and the links that were passed over, each in order.
    """
    walk = _Walk(follow_links)
    parts = Path(pattern).parts
    typed = next(index for index, part in enumerate(parts) if is_pattern(part))
    found = dict.fromkeys(walk.below(Path(*parts[:typed]), parts[typed:], frozenset()))
    return sorted(found), sorted(walk.links)


class _Walk:
    """One expansion."""

    def __init__(self, follow_links: bool) -> None:
        self._follow_links = follow_links
        self.links: set[Path] = set()

    def below(self, folder: Path, parts: tuple[str, ...], above: frozenset[Identity]) -> Iterator[Path]:
        """Find what matches the rest of a pattern; `above` are the folders that `**` has come through."""
        if not parts:
            if folder.parts:  # the folder that one is in has no name
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
            if not _shows(entry, "") or not self._may_follow(entry):
                continue
            if _identity(entry):
                yield from self._any_folders(entry, rest, above | {identity})
            elif not rest:
                yield entry

    def _matches(self, folder: Path, part: str) -> list[Path]:
        if not is_pattern(part):
            return [folder / part] if os.path.lexists(folder / part) else []
        return [
            entry for entry in self._entries(folder) if fnmatch.fnmatchcase(entry.name, part) and _shows(entry, part)
        ]

    def _entries(self, folder: Path) -> list[Path]:
        with suppress(OSError):  # not a folder, or closed: nothing in it matches
            return sorted(folder.iterdir())
        return []

    def _may_follow(self, entry: Path) -> bool:
        if self._follow_links or not entry.is_symlink():
            return True
        self.links.add(entry)
        return False


def _identity(path: Path) -> Identity | None:
    """Tell which folder a path leads to; None when it is not a folder, or not to be reached."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return (facts.st_dev, facts.st_ino) if stat.S_ISDIR(facts.st_mode) else None


def _shows(entry: Path, part: str) -> bool:
    return not entry.name.startswith(".") or part.startswith(".")
