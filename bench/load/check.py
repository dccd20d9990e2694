"""Check that each upload of `bench.load` has exactly one correct outcome."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.load.mix import Upload
from local.pipeline import Execution


@dataclass(frozen=True)
class Sent:
    """An upload that S3 has stored; `started` is the Unix time before its first byte."""

    upload: Upload
    version_id: str | None
    started: float


@dataclass(frozen=True)
class Results:
    """The results of a run.

    Attributes:
        executions: All executions of the main workflow.
        outcomes: The ARNs of executions with an outcome; the others were superseded.
        notified: The ARN in each notification.
        records: All records by key.
    """

    executions: Sequence[Execution]
    outcomes: frozenset[str]
    notified: Sequence[str]
    records: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class LoadFault:
    """A failed check; `kind` is `lost`, `doubled` or `wrong`."""

    kind: str
    text: str


def newest(sent: Sequence[Sent]) -> dict[str, Sent]:
    """Return the last upload of each key; uploads of the same key are sequential."""
    return {item.upload.key: item for item in sorted(sent, key=lambda item: item.upload.number)}


def check(sent: Sequence[Sent], results: Results) -> list[LoadFault]:
    """Check that every upload has one outcome, one notification and one record."""
    runs: dict[tuple[str | None, str | None], list[Execution]] = defaultdict(list)
    for execution in results.executions:
        runs[execution.key, execution.version_id].append(execution)
    notifications = Counter(results.notified)
    latest = newest(sent)
    faults: list[LoadFault] = []
    for item in sent:
        executions = runs.pop((item.upload.key, item.version_id), [])
        faults += _executions(item, executions, results.outcomes, latest[item.upload.key] is item)
        faults += _notifications(executions, results.outcomes, notifications)
    for key, item in latest.items():
        faults += _record(item, results.records.get(key), results.outcomes)
    strangers = [f"{key} has an execution" for key, _ in runs]
    strangers += [f"{key} has a record" for key in results.records.keys() - latest.keys()]
    strangers += [f"Execution {arn} has a notification" for arn in notifications]
    return faults + [LoadFault("doubled", f"{stranger} that belongs to no upload.") for stranger in strangers]


def _executions(
    item: Sent, runs: Sequence[Execution], outcomes: frozenset[str], is_newest: bool
) -> Iterator[LoadFault]:
    """Check for one execution per event, all ended, one with an outcome; an overwritten upload may have none."""
    name = _name(item)
    expected = 1 + item.upload.delivered_twice
    if len(runs) < expected:
        yield LoadFault("lost", f"{name} has {len(runs)} executions instead of {expected}.")
    if len(runs) > expected:
        yield LoadFault("doubled", f"{name} has {len(runs)} executions instead of {expected}.")
    if any(run.running for run in runs):
        yield LoadFault("lost", f"{name} has an execution that does not end.")
    count = sum(run.arn in outcomes for run in runs)
    if is_newest and not count:
        yield LoadFault("lost", f"{name} has no outcome.")
    if count > 1:
        yield LoadFault("doubled", f"{name} has {count} outcomes.")


def _notifications(
    runs: Sequence[Execution], outcomes: frozenset[str], notifications: Counter[str]
) -> Iterator[LoadFault]:
    """Check for one notification per outcome, and none for a superseded execution."""
    for run in runs:
        count = notifications.pop(run.arn, 0)
        expected = int(run.arn in outcomes)
        if count != expected:
            kind = "lost" if count < expected else "doubled"
            yield LoadFault(kind, f"{run.key}: execution {run.name} sent {count} notifications instead of {expected}.")


def _record(item: Sent, record: Mapping[str, Any] | None, outcomes: frozenset[str]) -> Iterator[LoadFault]:
    """Check for a record of the newest version, by an execution with an outcome, with the expected values."""
    if record is None:
        yield LoadFault("lost", f"{_name(item)} has no record.")
        return
    upload = item.upload
    if record["upload"]["versionId"] != item.version_id:
        yield LoadFault("lost", f"{_name(item)}: its record belongs to another version.")
        return
    if not any(arn.endswith(f":{record['execution']['id']}") for arn in outcomes):
        yield LoadFault("wrong", f"{_name(item)}: its record belongs to an execution without an outcome.")
    image = record.get("image", {})
    actual = (
        record["status"],
        record.get("error", {}).get("code"),
        (int(image["width"]), int(image["height"])) if image else None,
        bool(record.get("renditions")),
    )
    expected = ("FAILED" if upload.error else "COMPLETED", upload.error, upload.size, not upload.error)
    if actual != expected:
        yield LoadFault("wrong", f"{_name(item)}: its record has {actual} instead of {expected}.")


def _name(item: Sent) -> str:
    return f"Upload {item.upload.number}, the {item.upload.kind} {item.upload.key},"
