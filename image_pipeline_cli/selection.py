"""Which uploads are meant by names, folders and patterns."""

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
    """What some names stand for."""

    keys: list[str]
    """The keys of uploads, each once, in the order of the names; those of plain names also if they do not exist."""
    empty: list[str]
    """The folders and patterns that stand for nothing."""


def select(stack: Stack, given: Iterable[str], *, with_markers: bool = False) -> Selection:
    """Find the uploads that are meant.

    A name that ends with `/` is a folder and stands for everything below it. In a pattern, `*` and `?` stand for
    characters of one name, and `**` for any folders. Brackets stand for themselves, because many names have them. An
    upload or a folder that is called like a pattern is meant itself.

    Args:
        stack: Where the uploads are.
        given: Names, folders and patterns, with or without `uploads/`.
        with_markers: Whether empty objects whose key ends with `/` count: S3's console makes folders of them.

    Raises:
        InvalidRequestError: No object of S3 can have such a key.
    """
    keys: dict[str, None] = {}
    empty: list[str] = []
    for key in dict.fromkeys(map(names.key, given)):
        if not _is_folder(key) and (not _WILDCARD.search(key) or _exists(stack, key)):
            keys[key] = None
            continue
        found = _below(stack, key) or _matching(stack, key)
        if not with_markers:
            found = [entry for entry in found if entry["Size"] or not _is_folder(entry["Key"])]
        keys |= dict.fromkeys(entry["Key"] for entry in found)
        if not found:
            empty.append(key)
    return Selection(list(keys), empty)


def nothing(key: str) -> str:
    """Say that a folder or a pattern stands for nothing."""
    kind = "No upload matches" if _WILDCARD.search(key) else "There is no upload in the folder"
    return f"{kind} {key!a}. Check the name."


def pattern(key: str) -> re.Pattern[str]:
    """Compile a pattern of keys; one that ends with `/` stands for everything below what it matches."""
    parts, end = [], 0
    for wildcard in _WILDCARD.finditer(key):
        parts += [re.escape(key[end : wildcard.start()]), _MEANINGS[wildcard[0]]]
        end = wildcard.end()
    below = ".*" if _is_folder(key) else ""
    return re.compile("".join([*parts, re.escape(key[end:]), below]), re.DOTALL)


def _is_folder(key: str) -> bool:
    return key.endswith("/")


def _exists(stack: Stack, key: str) -> bool:
    """Tell whether there is or was an upload of this very name."""
    is_there = follow.head(stack.client("s3"), stack.outputs["UploadsBucketName"], key) is not None
    return is_there or key in follow.read(stack, [key])


def _below(stack: Stack, key: str) -> list[Any]:
    """List the objects below a folder of this very name; none when it is not the name of a folder."""
    return list(_objects(stack, key)) if _is_folder(key) else []


def _matching(stack: Stack, key: str) -> list[Any]:
    """List the objects that match a pattern; none when it is not a pattern."""
    wildcard = _WILDCARD.search(key)
    if wildcard is None:
        return []
    wanted = pattern(key)
    return [entry for entry in _objects(stack, key[: wildcard.start()]) if wanted.fullmatch(entry["Key"])]


def _objects(stack: Stack, prefix: str) -> Iterator[Any]:
    pages = stack.client("s3").get_paginator("list_objects_v2")
    for page in pages.paginate(Bucket=stack.outputs["UploadsBucketName"], Prefix=prefix):
        yield from page.get("Contents", [])
