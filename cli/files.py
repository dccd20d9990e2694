"""Which files are meant by paths, folders and patterns, and what each is to be called in the bucket."""

import errno
import glob
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from image_pipeline import keys

_SPECIAL = ("", "..")  # names of folders that are no names


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


def find(arguments: Sequence[str], folder: str) -> tuple[list[File], list[LeftOut]]:
    """Find all files.

    A file goes by its name into the folder. A folder goes with its name and everything below, as `cp -r` does; `.` and
    `..` go without a name. What matches a pattern is treated as if the shell had found it.

    Args:
        arguments: Paths of files and folders, and patterns with `*`, `?`, `[…]` and `**`.
        folder: The key of the folder they go to, with `/` at its end.

    Returns:
        The files, in order, no two of one key; and what is left out.
    """
    files: dict[str, File] = {}
    left_out: list[LeftOut] = []
    for argument in arguments:
        for start in _expanded(argument):
            base = start if start.name in _SPECIAL else start.parent
            for found in _below(start, frozenset()):
                if isinstance(found, LeftOut):
                    left_out.append(found)
                    continue
                key = folder + found.relative_to(base).as_posix()
                if reason := _unfit(key) or _taken(files.get(key), found):
                    left_out.append(LeftOut(found, reason, fault=True))
                else:
                    files[key] = File(found, key)
    return list(files.values()), left_out


def _expanded(argument: str) -> list[Path]:
    if glob.has_magic(argument) and not os.path.lexists(argument):
        found = [Path(match) for match in sorted(glob.glob(argument, recursive=True))]  # noqa: PTH207 (any folder)
        return found or [Path(argument)]
    return [Path(argument)]


def _below(path: Path, above: frozenset[tuple[int, int]]) -> Iterator[Path | LeftOut]:
    """Find a file, or every file of a folder; `above` are the folders that one is in, to tell a loop of links."""
    try:
        facts = path.stat()
        if stat.S_ISREG(facts.st_mode):
            yield path
        elif not stat.S_ISDIR(facts.st_mode):
            yield LeftOut(path, "is no file and no folder", fault=True)
        elif (facts.st_dev, facts.st_ino) in above:
            yield LeftOut(path, "is a link to a folder that it is in", fault=False)
        else:
            yield from _inside(path, above | {(facts.st_dev, facts.st_ino)})
    except OSError as error:
        if error.errno == errno.ELOOP:
            yield LeftOut(path, "is a link in a circle", fault=False)
            return
        missing = "is a link to something that is not there" if path.is_symlink() else "is not there"
        reason = missing if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
        yield LeftOut(path, reason, fault=True)


def _inside(folder: Path, above: frozenset[tuple[int, int]]) -> Iterator[Path | LeftOut]:
    entries = sorted(folder.iterdir())
    if not entries:
        yield LeftOut(folder, "is an empty folder", fault=False)
    for entry in entries:
        if entry.name.startswith("."):
            yield LeftOut(entry, "is hidden; name it to upload it", fault=False)
        else:
            yield from _below(entry, above)


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
