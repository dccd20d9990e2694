"""Which files are meant by paths, folders and patterns, and what each is to be called in the bucket."""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from image_pipeline import keys
from image_pipeline_cli import patterns

_SPECIAL = ("", "..")  # names of folders that are no names
_IS_LINK = "is a link; --follow-links uploads what it leads to"


@dataclass(frozen=True)
class File:
    """A file to upload."""

    path: Path
    key: str


@dataclass(frozen=True)
class LeftOut:
    """Something that is not uploaded."""

    path: Path
    reason: str
    """Completes a sentence that begins with the path."""
    fault: bool
    """Whether whoever asked for it would want it mended."""


def find(arguments: Sequence[str], folder: str, *, follow_links: bool = False) -> tuple[list[File], list[LeftOut]]:
    """Find all files.

    A file goes by its name into the folder. A folder goes with its name and everything below, as `cp -r` does; `.` and
    `..` go without a name. What matches a pattern is treated as if the shell had found it.

    Args:
        arguments: Paths of files and folders, and patterns with `*`, `?`, `[…]` and `**`.
        folder: The key of the folder they go to, with `/` at its end.
        follow_links: Whether symbolic links are uploaded as what they lead to. A link can lead anywhere, such as to a
            private key outside of the folder, and the shell names links as it names files.

    Returns:
        The files, in order, no two of one key; and what is left out.
    """
    files: dict[str, File] = {}
    left_out: dict[Path, LeftOut] = {}
    for argument in arguments:
        starts, links = _starts(argument, follow_links)
        left_out |= {link.path: link for link in links}
        for start in starts:
            base = start if start.name in _SPECIAL else start.parent
            for found in _below(start, frozenset(), follow_links):
                if isinstance(found, LeftOut):
                    left_out[found.path] = found
                    continue
                key = folder + found.relative_to(base).as_posix()
                if reason := _unfit(key) or _taken(files.get(key), found):
                    left_out[found] = LeftOut(found, reason, fault=True)
                else:
                    files[key] = File(found, key)
    return list(files.values()), list(left_out.values())


def _starts(argument: str, follow_links: bool) -> tuple[list[Path], list[LeftOut]]:
    """Find what an argument names, and the links that it must not lead through."""
    path = Path(argument)
    if patterns.is_pattern(argument) and not os.path.lexists(argument):
        matches, links = patterns.expand(argument, follow_links=follow_links)
        left_out = [LeftOut(link, _IS_LINK, fault=False) for link in links]
        return matches or ([] if links else [path]), left_out
    if path.is_symlink() and not follow_links:
        return [], [LeftOut(path, _IS_LINK, fault=True)]
    return [path], []


def _below(path: Path, above: frozenset[tuple[int, int]], follow_links: bool) -> Iterator[Path | LeftOut]:
    """Find a file, or every file of a folder; `above` are the folders that one is in, to notice a loop of links."""
    try:
        facts = path.stat()
        if stat.S_ISREG(facts.st_mode):
            yield path
        elif not stat.S_ISDIR(facts.st_mode):
            yield LeftOut(path, "is no file and no folder", fault=True)
        elif (facts.st_dev, facts.st_ino) in above:
            yield LeftOut(path, "is a link to a folder that it is in", fault=False)
        else:
            yield from _inside(path, above | {(facts.st_dev, facts.st_ino)}, follow_links)
    except OSError as error:
        if error.errno == errno.ELOOP:
            yield LeftOut(path, "is a link in a circle", fault=False)
            return
        missing = "is a link to something that is not there" if path.is_symlink() else "is not there"
        reason = missing if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
        yield LeftOut(path, reason, fault=True)


def _inside(folder: Path, above: frozenset[tuple[int, int]], follow_links: bool) -> Iterator[Path | LeftOut]:
    entries = sorted(folder.iterdir())
    if not entries:
        yield LeftOut(folder, "is an empty folder", fault=False)
    for entry in entries:
        if entry.name.startswith("."):
            yield LeftOut(entry, "is hidden; name it to upload it", fault=False)
        elif entry.is_symlink() and not follow_links:
            yield LeftOut(entry, _IS_LINK, fault=False)
        else:
            yield from _below(entry, above, follow_links)


def _unfit(key: str) -> str:
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        return "has a name that is not UTF-8; rename it"
    too_long = f"would have a key of {size:,} bytes, where S3 takes {keys.MAX_KEY_BYTES:,}; shorten its path"
    return too_long if size > keys.MAX_KEY_BYTES else ""


def _taken(first: File | None, found: Path) -> str:
    if first is None or first.path == found:
        return ""
    return f"would have the same key as {first.path}; upload it to another folder (--to)"
