"""Download renditions and originals to safe paths; a file appears only when it is complete."""

import argparse
import hashlib
import re
import uuid
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from boto3.s3.transfer import TransferConfig

from image_pipeline import aws, keys
from image_pipeline_cli import follow, names, selection, terminal
from image_pipeline_cli.exits import INCOMPLETE, OK
from image_pipeline_cli.stack import Stack

ALL = "all"

_TRANSFER = TransferConfig(use_threads=False)
_UNSAFE = re.compile(rf'{keys.UNPRINTABLE}|[<>:"\\|?*]')  # not allowed on Windows and many network drives
_MAX_NAME_BYTES = 255  # the limit of nearly every file system
_SUFFIX_BYTES = 64  # reserved for the name of a rendition
_DIGEST_CHARACTERS = 16


@dataclass(frozen=True)
class _Download:
    """An object and the file to save it to."""

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
    bodies_by_key = follow.read(stack, selected.keys)
    downloaded: list[dict[str, Any]] = []
    written: set[Path] = set()
    failed = [{"key": key, "reason": selection.no_match(key)} for key in selected.empty]
    for image_key in selected.keys:
        downloads = _downloads(bodies_by_key[image_key], options) if image_key in bodies_by_key else []
        if not downloads:
            reason = _missing_reason(stack, bodies_by_key.get(image_key), image_key, options)
            failed.append({"key": image_key, "reason": reason})
        for item in downloads:
            if reason := _conflict(item, written, options.force) or _download(stack, item):
                failed.append({"key": image_key, "reason": reason})
                continue
            written.add(item.path)
            size = item.path.stat().st_size
            downloaded.append(
                {"key": image_key, "rendition": item.rendition, "path": str(item.path), "sizeBytes": size}
            )
            if not options.json:
                terminal.say(f"{item.path}  ", (f"{size:,} bytes", "dim"))
    for failure in failed:
        terminal.complain(failure["reason"])
    if options.json:
        terminal.write_json({"downloaded": downloaded, "failed": failed})
    return INCOMPLETE if failed else OK


def safe_path(image_key: str) -> PurePosixPath:
    """Return a relative path for the files of an upload that never leaves the destination folder."""
    return PurePosixPath(*(_safe_name(part) for part in image_key.removeprefix(keys.UPLOADS_PREFIX).split("/")))


def _safe_name(part: str, max_bytes: int = _MAX_NAME_BYTES - _SUFFIX_BYTES) -> str:
    """Return a safe name for one part of a path, short enough for a suffix."""
    plain = _UNSAFE.sub("_", part)
    if plain in ("", ".", ".."):
        return "_"
    if len(plain.encode()) > max_bytes:
        digest = hashlib.sha256(part.encode()).hexdigest()[:_DIGEST_CHARACTERS]
        return plain.encode()[: max_bytes - _DIGEST_CHARACTERS - 1].decode(errors="ignore") + "~" + digest
    return plain


def _downloads(body: follow.Body, options: argparse.Namespace) -> list[_Download]:
    return list(_renditions(body, options)) + list(_original(body, options))


def _renditions(body: follow.Body, options: argparse.Namespace) -> Iterator[_Download]:
    name = options.rendition or (None if options.original else ALL)
    path = options.to / safe_path(body["imageKey"])
    for rendition in body.get("renditions", []):
        if name in (ALL, rendition["name"]):
            suffix = PurePosixPath(rendition["key"]).suffix
            file = path.with_name(f"{path.name}.{_safe_name(rendition['name'])}{suffix}")
            yield _Download(body["imageKey"], rendition["name"], rendition, file)


def _original(body: follow.Body, options: argparse.Namespace) -> Iterator[_Download]:
    if options.original and body["status"] != "DELETED":
        yield _Download(body["imageKey"], "original", body["upload"], options.to / safe_path(body["imageKey"]))


def _missing_reason(stack: Stack, body: follow.Body | None, image_key: str, options: argparse.Namespace) -> str:
    """Explain why there is nothing to download."""
    if body is None:
        head = follow.head(stack.client("s3"), stack.outputs["UploadsBucketName"], image_key)
        return (
            f"{image_key!a} is not processed yet; try again later."
            if head is not None
            else names.not_found(stack, image_key)
        )
    if renditions := body.get("renditions"):
        listed = ", ".join(dict.fromkeys(rendition["name"] for rendition in renditions))
        return f"{image_key!a} has no rendition {options.rendition!a}; it has {listed}."
    return f"{image_key!a} is {body['status']} and has no renditions; `status` shows details."


def _conflict(item: _Download, written: Collection[Path], force: bool) -> str:
    """Return why a file must not be written; empty if it may. Different keys can have the same safe path."""
    if item.path in written:
        return f"{item.path} has just been written for another upload; download {item.image_key!a} to another folder."
    return f"{item.path} already exists; --force replaces it." if item.path.exists() and not force else ""


def _download(stack: Stack, item: _Download) -> str:
    """Download to a temporary file in the same folder, then move it into place.

    Returns:
        The reason for a failure; empty on success.
    """
    version = item.source.get("versionId")
    part = item.path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("xb") as file:
                stack.client("s3").download_fileobj(
                    item.source["bucket"],
                    item.source["key"],
                    file,
                    ExtraArgs={"VersionId": version} if version else None,
                    Config=_TRANSFER,
                )
            part.replace(item.path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        return f"{item.path} cannot be written: {error.strerror or error}."
    except aws.AwsError as error:
        return f"{item.path} could not be downloaded: {error}"
    return ""
