"""Upload files. Files that are already uploaded are skipped, so the same command continues an interrupted upload."""

import argparse
import hashlib
import mimetypes
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from boto3.exceptions import S3UploadFailedError
from boto3.s3.transfer import TransferConfig

from image_pipeline import aws
from image_pipeline.errors import StorageUnavailableError
from image_pipeline.store import records
from image_pipeline_cli import follow, parallel, terminal
from image_pipeline_cli.exits import INCOMPLETE, OK
from image_pipeline_cli.files import LocalFile, Skipped, find
from image_pipeline_cli.stack import Stack

# The etag of a multipart upload depends on its part size. This is the default of the AWS CLI, so files that the AWS
# CLI has uploaded are recognised, too.
PART_BYTES = 8 * 1024 * 1024
_TRANSFER = TransferConfig(multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, use_threads=False)

# Types that `mimetypes` does not know on every system.
_TYPES = {
    ".avif": "image/avif",
    ".heic": "image/heic",
    ".heif": "image/heif",
    ".webp": "image/webp",
}


@dataclass(frozen=True)
class Transfer:
    """The result of uploading a file."""

    file: LocalFile
    event: str
    """`uploaded`, `skipped` or `failed`."""
    reason: str = ""
    """The rest of a sentence that starts with the file."""


def upload(stack: Stack, options: argparse.Namespace) -> int:
    """Upload files and folders; with `wait`, wait for the outcome of each.

    Returns:
        The exit code.
    """
    files, skipped = find(options.paths, options.to, follow_links=options.follow_links)
    report = _JsonReport() if options.json else _TextReport()
    for path in skipped:
        report.skipped(path)
    size = sum(_size(file.path) for file in files)
    transfers: list[Transfer] = []
    with terminal.bar("Uploading", size, in_bytes=True, hidden=options.json) as bar:
        send = partial(_send, stack, not options.no_overwrite, bar.advance)
        for transfer in parallel.run(send, files, options.jobs):
            transfers.append(transfer)
            report.transfer(transfer)
    outcomes = None
    if options.wait:
        uploaded_keys = [transfer.file.key for transfer in transfers if transfer.event != "failed"]
        outcomes = _follow(stack, uploaded_keys, options, report)
    report.summary(transfers, skipped, outcomes.statuses if outcomes else None)
    if any(path.is_error for path in skipped) or any(transfer.event == "failed" for transfer in transfers):
        return INCOMPLETE
    return outcomes.code if outcomes else OK


def _follow(stack: Stack, image_keys: list[str], options: argparse.Namespace, report: Any) -> follow.Outcomes:
    targets = follow.newest_uploads(stack, image_keys, options.jobs)
    is_outcome = follow.outcome_test(stack)
    outcomes = follow.Outcomes(targets, is_outcome)
    with terminal.bar("Processing", len(targets), hidden=options.json) as bar:
        for body in follow.changes(stack, targets, options.timeout, is_outcome):
            if outcomes.record(body):
                bar.advance(1)
                report.outcome(body)
    for image_key in outcomes.pending:
        report.pending(image_key, options.timeout)
    return outcomes


def _send(stack: Stack, overwrite: bool, advance: Callable[[int], None], file: LocalFile) -> Transfer:
    s3 = stack.client("s3")
    bucket = stack.outputs["UploadsBucketName"]
    try:
        size = file.path.stat().st_size
        head = follow.head(s3, bucket, file.key)
        is_same = head is not None and head["ContentLength"] == size and head["ETag"].strip('"') == etag(file.path)
        if is_same and not _is_deleted(stack, file.key):
            advance(size)
            return Transfer(file, "skipped", "is already uploaded")
        if head is not None and not is_same and not overwrite:
            advance(size)
            return Transfer(file, "skipped", "already exists with other content")
        headers = {"ContentType": content_type(file.path)}
        s3.upload_file(str(file.path), bucket, file.key, ExtraArgs=headers, Callback=advance, Config=_TRANSFER)
    except OSError as error:
        return Transfer(file, "failed", f"cannot be read: {error.strerror or error}")
    except StorageUnavailableError as error:
        return Transfer(file, "failed", f"was not uploaded: {error.message} {error.hint}")
    except (*aws.AwsError, S3UploadFailedError) as error:
        return Transfer(file, "failed", f"was not accepted by S3: {error}")
    return Transfer(file, "uploaded")


def _is_deleted(stack: Stack, image_key: str) -> bool:
    """Return whether the record says DELETED although the object exists.

    Somebody removed the delete marker. S3 sends no event for that, so the file must be uploaded again.
    """
    claim = records.read_claim(stack.client, table=stack.outputs["ImageTableName"], image_key=image_key)
    return claim.get("status") == "DELETED"


def etag(path: Path) -> str:
    """Compute the etag that S3 assigns to a file uploaded in parts of `PART_BYTES`; S3 uses MD5.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
    """
    with path.open("rb") as file:
        parts = [hashlib.md5(part, usedforsecurity=False) for part in iter(partial(file.read, PART_BYTES), b"")]
        size = file.tell()
    if size < PART_BYTES:
        return (parts or [hashlib.md5(b"", usedforsecurity=False)])[0].hexdigest()
    digest = hashlib.md5(b"".join(part.digest() for part in parts), usedforsecurity=False)
    return f"{digest.hexdigest()}-{len(parts)}"


def content_type(path: Path) -> str:
    """Guess the content type from the name of a file."""
    guess = _TYPES.get(path.suffix.lower()) or mimetypes.guess_type(path.name)[0]
    return guess or "application/octet-stream"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


class _TextReport:
    """Prints one line per event, for people."""

    def skipped(self, path: Skipped) -> None:
        if path.is_error:
            terminal.complain(f"{path.path} {path.reason}.")
        else:
            terminal.say(("left out  ", "dim"), f"{path.path}: it {path.reason}")

    def transfer(self, transfer: Transfer) -> None:
        if transfer.event == "failed":
            terminal.complain(f"{transfer.file.path} {transfer.reason}.")
        else:
            reason = f" (it {transfer.reason})" if transfer.reason else ""
            terminal.say((f"{transfer.event:<10}", "dim"), transfer.file.key, (reason, "dim"))

    def outcome(self, body: follow.Body) -> None:
        terminal.say(*follow.line(body))

    def pending(self, image_key: str, seconds: int) -> None:
        terminal.complain(f"{image_key} has no outcome after {seconds} s; check its status later.")

    def summary(self, transfers: list[Transfer], skipped: list[Skipped], statuses: Mapping[str, int] | None) -> None:
        counts = _counts(transfers, skipped)
        terminal.say(", ".join(f"{count} {name}" for name, count in counts.items()) + ".")
        if statuses is not None:
            terminal.say((", ".join(f"{count} {name}" for name, count in statuses.items()) or "No outcomes") + ".")


class _JsonReport:
    """Prints one JSON object per event; its `event` is the type."""

    def skipped(self, path: Skipped) -> None:
        event = "failed" if path.is_error else "left-out"
        terminal.write_json({"event": event, "path": str(path.path), "reason": f"It {path.reason}."})

    def transfer(self, transfer: Transfer) -> None:
        reason = {"reason": f"It {transfer.reason}."} if transfer.reason else {}
        file = {"path": str(transfer.file.path), "key": transfer.file.key}
        terminal.write_json({"event": transfer.event, **file, **reason})

    def outcome(self, body: follow.Body) -> None:
        terminal.write_json({"event": "outcome", "key": body["imageKey"], "status": body["status"], "record": body})

    def pending(self, image_key: str, _: int) -> None:
        terminal.write_json({"event": "no-outcome", "key": image_key})

    def summary(self, transfers: list[Transfer], skipped: list[Skipped], statuses: Mapping[str, int] | None) -> None:
        outcomes = {} if statuses is None else {"outcomes": statuses}
        terminal.write_json({"event": "summary", **_counts(transfers, skipped), **outcomes})


def _counts(transfers: list[Transfer], skipped: list[Skipped]) -> dict[str, int]:
    counts = {name: sum(transfer.event == name for transfer in transfers) for name in ("uploaded", "skipped", "failed")}
    counts["failed"] += sum(path.is_error for path in skipped)
    return counts
