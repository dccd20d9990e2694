"""Download renditions and originals under names that are safe here, and never half."""

import argparse
import hashlib
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from boto3.s3.transfer import TransferConfig

from cli import follow, names, selection, terminal
from cli.exits import LEFT, OK
from cli.stack import Stack
from image_pipeline import aws, keys

ALL = "all"

_TRANSFER = TransferConfig(use_threads=False)
_UNSAFE = re.compile(rf'{keys.UNPRINTABLE}|[<>:"\\|?*]')  # the latter on Windows and on many network drives
_MAX_NAME_BYTES = 255  # of nearly every file system
_DIGEST_CHARACTERS = 16


@dataclass(frozen=True)
class _Wanted:
    """An object, and where it goes."""

    image_key: str
    rendition: str
    source: dict[str, Any]
    path: Path


def download(stack: Stack, options: argparse.Namespace) -> int:
    """Download the renditions of uploads, the originals, or both.

    Returns:
        The exit code.
    """
    selected = selection.select(stack, options.names)
    known = follow.read(stack, selected.keys)
    done: list[dict[str, Any]] = []
    failed = [{"key": key, "reason": selection.nothing(key)} for key in selected.empty]
    for image_key in selected.keys:
        wanted = _wanted(known[image_key], options) if image_key in known else []
        if not wanted:
            failed.append({"key": image_key, "reason": _nothing(stack, known.get(image_key), image_key, options)})
        for each in wanted:
            if reason := _fetch(stack, each, options.force):
                failed.append({"key": image_key, "reason": reason})
            else:
                size = each.path.stat().st_size
                done.append({"key": image_key, "rendition": each.rendition, "path": str(each.path), "sizeBytes": size})
                if not options.json:
                    terminal.say(f"{each.path}  ", (f"{size:,} bytes", "dim"))
    for fault in failed:
        terminal.complain(fault["reason"])
    if options.json:
        terminal.write_json({"downloaded": done, "failed": failed})
    return LEFT if failed else OK


def safe_path(image_key: str) -> PurePosixPath:
    """Give the path, below any folder, at which an upload's files may lie: none leads out of it, or is obeyed."""
    return PurePosixPath(*(_safe(part) for part in image_key.removeprefix(keys.UPLOADS_PREFIX).split("/")))


def _safe(part: str, room: int = _MAX_NAME_BYTES - 64) -> str:
    """One name of a path; there is room for the name of a rendition after it."""
    plain = _UNSAFE.sub("_", part)
    if plain in ("", ".", ".."):
        return "_"
    if len(plain.encode()) > room:
        digest = hashlib.sha256(part.encode()).hexdigest()[:_DIGEST_CHARACTERS]
        return plain.encode()[: room - _DIGEST_CHARACTERS - 1].decode(errors="ignore") + "~" + digest
    return plain


def _wanted(body: follow.Body, options: argparse.Namespace) -> list[_Wanted]:
    return list(_renditions(body, options)) + list(_original(body, options))


def _renditions(body: follow.Body, options: argparse.Namespace) -> Iterator[_Wanted]:
    name = options.rendition or (None if options.original else ALL)
    path = options.to / safe_path(body["imageKey"])
    for rendition in body.get("renditions", []):
        if name in (ALL, rendition["name"]):
            suffix = PurePosixPath(rendition["key"]).suffix
            target = path.with_name(f"{path.name}.{_safe(rendition['name'])}{suffix}")
            yield _Wanted(body["imageKey"], rendition["name"], rendition, target)


def _original(body: follow.Body, options: argparse.Namespace) -> Iterator[_Wanted]:
    if options.original and body["status"] != "DELETED":
        yield _Wanted(body["imageKey"], "original", body["upload"], options.to / safe_path(body["imageKey"]))


def _nothing(stack: Stack, body: follow.Body | None, image_key: str, options: argparse.Namespace) -> str:
    """Say why there is nothing to download."""
    if body is None:
        is_there = follow.head(stack.client("s3"), stack.outputs["UploadsBucketName"], image_key) is not None
        return f"{image_key!a} is not processed yet; try again." if is_there else names.missing(stack, image_key)
    if renditions := body.get("renditions"):
        listed = ", ".join(dict.fromkeys(rendition["name"] for rendition in renditions))
        return f"{image_key!a} has no rendition {options.rendition!a}, but {listed}."
    return f"{image_key!a} is {body['status']}, so it has no renditions; its status says more."


def _fetch(stack: Stack, wanted: _Wanted, force: bool) -> str:
    """Download into a file beside the target, and put it in place when it is whole.

    Returns:
        Why not; empty when it is done.
    """
    if wanted.path.exists() and not force:
        return f"{wanted.path} is there already; --force replaces it."
    version = wanted.source.get("versionId")
    part = wanted.path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("xb") as file:
                stack.client("s3").download_fileobj(
                    wanted.source["bucket"],
                    wanted.source["key"],
                    file,
                    ExtraArgs={"VersionId": version} if version else None,
                    Config=_TRANSFER,
                )
            part.replace(wanted.path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        return f"{wanted.path} cannot be written: {error.strerror or error}."
    except aws.AwsError as error:
        return f"{wanted.path} could not be downloaded: {error}"
    return ""
