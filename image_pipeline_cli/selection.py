"""Resolve names, folders and patterns to the keys of uploads."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from image_pipeline_cli import follow, names
from image_pipeline_cli.stack import Stack

_ANY_FOLDERS = "**/"
_WILDCARD = re.compile(r"\*\*/|\*\*|\*|\?")
_MEANINGS = {_ANY_FOLDERS: "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


@dataclass(frozen=True)
class Selection:
    """The uploads that names, folders and patterns select."""

    keys: list[str]
    """Unique keys in the order of the names; the key of a plain name is included even if no such upload exists."""
    empty: list[str]
    """The folders and patterns that match nothing."""


def select(stack: Stack, patterns: Iterable[str], *, with_markers: bool = False) -> Selection:
    """Find the selected uploads.

    A name that ends with `/` selects everything in that folder. In a pattern, `*` and `?` match characters other than
    `/`, and `**` matches any folders. Brackets are literal, because many names contain them. If an upload or a folder
    has exactly the name of a pattern, the pattern selects only that.

    Args:
        stack: The stack that has the uploads.
        patterns: Names, folders and patterns, with or without `uploads/`.
        with_markers: Whether to include folder markers: empty objects whose key ends with `/`.

    Raises:
        InvalidRequestError: S3 does not allow such a key.
    """
    keys: dict[str, None] = {}
    empty: list[str] = []
    for key in dict.fromkeys(map(names.key, patterns)):
        if not _is_folder(key) and (not _WILDCARD.search(key) or _exists(stack, key)):
            keys[key] = None
            continue
        entries = _in_folder(stack, key) or _matches(stack, key)
        if not with_markers:
            entries = [entry for entry in entries if entry["Size"] or not _is_folder(entry["Key"])]
        keys |= dict.fromkeys(entry["Key"] for entry in entries)
        if not entries:
            empty.append(key)
    return Selection(list(keys), empty)


def no_match(key: str) -> str:
    """Return the message that a folder or a pattern matches nothing."""
    subject = "No upload matches" if _WILDCARD.search(key) else "There is no upload in the folder"
    return f"{subject} {key!a}. Check the name."


def compile_pattern(key: str) -> re.Pattern[str]:
    """Compile a pattern of keys; one that ends with `/` matches everything in the folders that it matches."""
    parts, end = [], 0
    for wildcard in _WILDCARD.finditer(key):
        parts += [re.escape(key[end : wildcard.start()]), _MEANINGS[wildcard[0]]]
        end = wildcard.end()
    below = ".*" if _is_folder(key) else ""
    return re.compile("".join([*parts, re.escape(key[end:]), below]), re.DOTALL)


def _is_folder(key: str) -> bool:
    return key.endswith("/")


def _exists(stack: Stack, key: str) -> bool:
    """Return whether an upload of exactly this name exists or existed."""
    in_bucket = follow.head(stack.client("s3"), stack.outputs["UploadsBucketName"], key) is not None
    return in_bucket or key in follow.read(stack, [key])


def _in_folder(stack: Stack, key: str) -> list[Any]:
    """List the objects in the folder of exactly this name; none if the key is not that of a folder."""
    return list(_objects(stack, key)) if _is_folder(key) else []


def _matches(stack: Stack, key: str) -> list[Any]:
    """List the objects that match a pattern; none if the key is not a pattern."""
    wildcard = _WILDCARD.search(key)
    if wildcard is None:
        return []
    pattern = compile_pattern(key)
    return [entry for entry in _objects(stack, key[: wildcard.start()]) if pattern.fullmatch(entry["Key"])]


def _objects(stack: Stack, prefix: str) -> Iterator[Any]:
    pages = stack.client("s3").get_paginator("list_objects_v2")
    for page in pages.paginate(Bucket=stack.outputs["UploadsBucketName"], Prefix=prefix):
        yield from page.get("Contents", [])
