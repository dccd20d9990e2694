"""Upload files. What is there already is not sent again, so an upload that was interrupted goes on where it stopped."""

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
from image_pipeline_cli import follow, parallel, terminal
from image_pipeline_cli.exits import LEFT, OK
from image_pipeline_cli.files import File, LeftOut, find
from image_pipeline_cli.stack import Stack

# S3 makes the etag of a big file from its parts. The AWS CLI cuts them as large, so what it has sent is known, too.
PART_BYTES = 8 * 1024 * 1024
_TRANSFER = TransferConfig(multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, use_threads=False)

# Not every system knows these.
_TYPES = {
    ".avif": "image/avif",
    ".heic": "image/heic",
    ".heif": "image/heif",
    ".webp": "image/webp",
}


@dataclass(frozen=True)
class Sent:
    """What became of a file."""

    file: File
    event: str
    """uploaded, skipped or failed."""
    reason: str = ""
    """Completes a sentence that begins with the file."""


def upload(stack: Stack, options: argparse.Namespace) -> int:
    """Upload files and folders; with `wait`, follow each to its outcome.

    Returns:
        The exit code.
    """
    files, left_out = find(options.paths, options.to, follow_links=options.follow_links)
    report = _JsonLines() if options.json else _Words()
    for each in left_out:
        report.left_out(each)
    size = sum(_size(file.path) for file in files)
    sent: list[Sent] = []
    with terminal.bar("Uploading", size, in_bytes=True, hidden=options.json) as bar:
        send = partial(_send, stack, not options.no_overwrite, bar.advance)
        for result in parallel.each(send, files, options.jobs):
            sent.append(result)
            report.sent(result)
    code = LEFT if any(each.fault for each in left_out) or any(each.event == "failed" for each in sent) else OK
    there = [each.file.key for each in sent if each.event != "failed"]
    outcomes = _follow(stack, there, options, report) if options.wait else None
    report.summary(sent, left_out, outcomes.statuses if outcomes else None)
    return code or (outcomes.code if outcomes else OK)


def _follow(stack: Stack, there: list[str], options: argparse.Namespace, report: Any) -> follow.Outcomes:
    wanted = follow.uploaded(stack, there, options.jobs)
    is_outcome = follow.judge(stack)
    outcomes = follow.Outcomes(wanted, is_outcome)
    with terminal.bar("Processing", len(wanted), hidden=options.json) as bar:
        for body in follow.changes(stack, wanted, options.timeout, is_outcome):
            if outcomes.note(body):
                bar.advance(1)
                report.outcome(body)
    for image_key in outcomes.open:
        report.open(image_key, options.timeout)
    return outcomes


def _send(stack: Stack, overwrite: bool, moved: Callable[[int], None], file: File) -> Sent:
    s3, bucket = stack.client("s3"), stack.outputs["UploadsBucketName"]
    try:
        size = file.path.stat().st_size
        head = follow.head(s3, bucket, file.key)
        if head is not None and head["ContentLength"] == size and head["ETag"].strip('"') == etag(file.path):
            moved(size)
            return Sent(file, "skipped", "is there already, unchanged")
        if head is not None and not overwrite:
            moved(size)
            return Sent(file, "skipped", "is there already, with other content")
        kind = {"ContentType": content_type(file.path)}
        s3.upload_file(str(file.path), bucket, file.key, ExtraArgs=kind, Callback=moved, Config=_TRANSFER)
    except OSError as error:
        return Sent(file, "failed", f"cannot be read: {error.strerror or error}")
    except (*aws.AwsError, S3UploadFailedError) as error:
        return Sent(file, "failed", f"was not taken by S3: {error}")
    return Sent(file, "uploaded")


def etag(path: Path) -> str:
    """Give the etag that S3 gives a file which is sent in parts of `PART_BYTES`; MD5 is S3's choice.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
    """
    with path.open("rb") as file:
        parts = [hashlib.md5(part, usedforsecurity=False) for part in iter(partial(file.read, PART_BYTES), b"")]
        size = file.tell()
    if size < PART_BYTES:
        return (parts or [hashlib.md5(b"", usedforsecurity=False)])[0].hexdigest()
    whole = hashlib.md5(b"".join(part.digest() for part in parts), usedforsecurity=False)
    return f"{whole.hexdigest()}-{len(parts)}"


def content_type(path: Path) -> str:
    """Give the content type that a file's name suggests."""
    kind = _TYPES.get(path.suffix.lower()) or mimetypes.guess_type(path.name)[0]
    return kind or "application/octet-stream"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


class _Words:
    """Sentences."""

    def left_out(self, each: LeftOut) -> None:
        if each.fault:
            terminal.complain(f"{each.path} {each.reason}.")
        else:
            terminal.say(("left out  ", "dim"), f"{each.path}: it {each.reason}")

    def sent(self, each: Sent) -> None:
        if each.event == "failed":
            terminal.complain(f"{each.file.path} {each.reason}.")
        else:
            why = f" (it {each.reason})" if each.reason else ""
            terminal.say((f"{each.event:<10}", "dim"), each.file.key, (why, "dim"))

    def outcome(self, body: follow.Body) -> None:
        terminal.say(*follow.line(body))

    def open(self, image_key: str, seconds: int) -> None:
        terminal.complain(f"{image_key} has no outcome after {seconds} s; ask for its status later.")

    def summary(self, sent: list[Sent], left_out: list[LeftOut], statuses: Mapping[str, int] | None) -> None:
        counts = _counts(sent, left_out)
        terminal.say(", ".join(f"{count} {name}" for name, count in counts.items()) + ".")
        if statuses is not None:
            terminal.say((", ".join(f"{count} {name}" for name, count in statuses.items()) or "No outcomes") + ".")


class _JsonLines:
    """One JSON object per line; `event` says of what kind."""

    def left_out(self, each: LeftOut) -> None:
        event = "failed" if each.fault else "left-out"
        terminal.write_json({"event": event, "path": str(each.path), "reason": f"It {each.reason}."})

    def sent(self, each: Sent) -> None:
        reason = {"reason": f"It {each.reason}."} if each.reason else {}
        terminal.write_json({"event": each.event, "path": str(each.file.path), "key": each.file.key, **reason})

    def outcome(self, body: follow.Body) -> None:
        terminal.write_json({"event": "outcome", "key": body["imageKey"], "status": body["status"], "record": body})

    def open(self, image_key: str, _: int) -> None:
        terminal.write_json({"event": "no-outcome", "key": image_key})

    def summary(self, sent: list[Sent], left_out: list[LeftOut], statuses: Mapping[str, int] | None) -> None:
        outcomes = {} if statuses is None else {"outcomes": statuses}
        terminal.write_json({"event": "summary", **_counts(sent, left_out), **outcomes})


def _counts(sent: list[Sent], left_out: list[LeftOut]) -> dict[str, int]:
    counts = {name: sum(each.event == name for each in sent) for name in ("uploaded", "skipped", "failed")}
    counts["failed"] += sum(each.fault for each in left_out)
    return counts
