"""Resolve paths, folders and patterns to the files to upload, and assign each file its key."""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from image_pipeline import keys
from image_pipeline_cli import patterns

_NAMELESS = ("", "..")  # `Path.name` of `.` and `..`
_IS_LINK = "is a symbolic link; --follow-links uploads its target"


@dataclass(frozen=True)
class LocalFile:
    """A file to upload."""

    path: Path
    key: str


@dataclass(frozen=True)
class Skipped:
    """A path that is not uploaded."""

    path: Path
    reason: str
    """The rest of a sentence that starts with the path."""
    is_error: bool
    """Whether the user must fix it; otherwise skipping is intended."""


def find(arguments: Sequence[str], folder: str, *, follow_links: bool = False) -> tuple[list[LocalFile], list[Skipped]]:
    """Find all files to upload.

    A file gets a key with its name. A folder is uploaded with its name and everything below, as `cp -r` copies it; `.`
    and `..` add no name. Matches of a pattern are treated as if the shell had expanded it.

    Args:
        arguments: Paths of files and folders, and patterns with `*`, `?`, `[…]` and `**`.
        folder: The key of the destination folder, which ends with `/`.
        follow_links: Whether the targets of symbolic links are uploaded. A link can lead anywhere, such as to a private
            key outside the folder, and a shell expands a pattern to links as well as to files.

    Returns:
        The files in order, each with a unique key, and the skipped paths.
    """
    files: dict[str, LocalFile] = {}
    skipped: dict[Path, Skipped] = {}
    for argument in arguments:
        starts, links = _starts(argument, follow_links)
        skipped |= {link.path: link for link in links}
        for start in starts:
            base = start if start.name in _NAMELESS else start.parent
            for entry in _walk(start, frozenset(), follow_links):
                if isinstance(entry, Skipped):
                    skipped[entry.path] = entry
                    continue
                key = folder + entry.relative_to(base).as_posix()
                if reason := _invalid_key_reason(key) or _duplicate_reason(files.get(key), entry):
                    skipped[entry] = Skipped(entry, reason, is_error=True)
                else:
                    files[key] = LocalFile(entry, key)
    return list(files.values()), list(skipped.values())


def _starts(argument: str, follow_links: bool) -> tuple[list[Path], list[Skipped]]:
    """Return the paths that an argument names, and the symbolic links that must not be followed."""
    path = Path(argument)
    if patterns.is_pattern(argument) and not os.path.lexists(argument):
        matches, links = patterns.expand(argument, follow_links=follow_links)
        skipped = [Skipped(link, _IS_LINK, is_error=False) for link in links]
        return matches or ([] if links else [path]), skipped
    if path.is_symlink() and not follow_links:
        return [], [Skipped(path, _IS_LINK, is_error=True)]
    return [path], []


def _walk(path: Path, above: frozenset[tuple[int, int]], follow_links: bool) -> Iterator[Path | Skipped]:
    """Yield a file, or every file below a folder; `above` has the parent folders, to detect cycles of links."""
    try:
        facts = path.stat()
        if stat.S_ISREG(facts.st_mode):
            yield path
        elif not stat.S_ISDIR(facts.st_mode):
            yield Skipped(path, "is neither a file nor a folder", is_error=True)
        elif (facts.st_dev, facts.st_ino) in above:
            yield Skipped(path, "is a symbolic link to a folder that contains it", is_error=False)
        else:
            yield from _walk_folder(path, above | {(facts.st_dev, facts.st_ino)}, follow_links)
    except OSError as error:
        if error.errno == errno.ELOOP:
            yield Skipped(path, "is part of a cycle of symbolic links", is_error=False)
            return
        missing = "is a broken symbolic link" if path.is_symlink() else "does not exist"
        reason = missing if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
        yield Skipped(path, reason, is_error=True)


def _walk_folder(folder: Path, above: frozenset[tuple[int, int]], follow_links: bool) -> Iterator[Path | Skipped]:
    entries = sorted(folder.iterdir())
    if not entries:
        yield Skipped(folder, "is an empty folder", is_error=False)
    for entry in entries:
        if entry.name.startswith("."):
            yield Skipped(entry, "is hidden; pass its path to upload it", is_error=False)
        elif entry.is_symlink() and not follow_links:
            yield Skipped(entry, _IS_LINK, is_error=False)
        else:
            yield from _walk(entry, above, follow_links)


def _invalid_key_reason(key: str) -> str:
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        return "has a name that is not UTF-8; rename it"
    too_long = f"would have a key of {size:,} bytes, but S3 allows {keys.MAX_KEY_BYTES:,}; shorten its path"
    return too_long if size > keys.MAX_KEY_BYTES else ""


def _duplicate_reason(first: LocalFile | None, path: Path) -> str:
    if first is None or first.path == path:
        return ""
    return f"would have the same key as {first.path}; upload it to another folder (--to)"
