"""Decides whether each upload of `bench.load` has come to its one end: nothing lost, nothing doubled, nothing wrong."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.load.mix import Upload
from local.pipeline import Execution


@dataclass(frozen=True)
class Sent:
    """An upload that S3 has taken; `started` is the time of day before its first byte, in seconds since the epoch."""

    upload: Upload
    version_id: str | None
    started: float


@dataclass(frozen=True)
class Seen:
    """Everything that can be known of a run when it is over.

    Attributes:
        executions: All of the workflow that uploads start.
        outcomes: The ARNs of those that had an outcome to tell of; the others found themselves superseded.
        notified: For each notification the ARN of the execution that it names.
        records: The whole table, by key.
    """

    executions: Sequence[Execution]
    outcomes: frozenset[str]
    notified: Sequence[str]
    records: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Fault:
    """What is not as it must be; `kind` is `lost`, `doubled` or `wrong`."""

    kind: str
    text: str


def newest(sent: Sequence[Sent]) -> dict[str, Sent]:
    """For each key the upload that counts, which is the last: those of one key were sent one after the other."""
    return {each.upload.key: each for each in sorted(sent, key=lambda each: each.upload.number)}


def check(sent: Sequence[Sent], seen: Seen) -> list[Fault]:
    """Compare what was seen with what every upload must have: one outcome, one notification, one record."""
    runs: dict[tuple[str | None, str | None], list[Execution]] = defaultdict(list)
    for execution in seen.executions:
        runs[execution.key, execution.version_id].append(execution)
    mails = Counter(seen.notified)
    counts = newest(sent)
    faults: list[Fault] = []
    for each in sent:
        own = runs.pop((each.upload.key, each.version_id), [])
        faults += _executions(each, own, seen.outcomes, counts[each.upload.key] is each)
        faults += _notifications(own, seen.outcomes, mails)
    for key, each in counts.items():
        faults += _record(each, seen.records.get(key), seen.outcomes)
    strangers = [f"{key} has an execution" for key, _ in runs]
    strangers += [f"{key} has a record" for key in seen.records.keys() - counts.keys()]
    strangers += [f"Execution {arn} has a notification" for arn in mails]
    return faults + [Fault("doubled", f"{stranger} that belongs to no upload.") for stranger in strangers]


def _executions(each: Sent, runs: Sequence[Execution], outcomes: frozenset[str], counts: bool) -> Iterator[Fault]:
    """One for each delivery of the event, all ended, one with an outcome; an overwritten upload may have none."""
    name, wanted = _name(each), 1 + each.upload.delivered_twice
    if len(runs) < wanted:
        yield Fault("lost", f"{name} has {len(runs)} executions instead of {wanted}.")
    if len(runs) > wanted:
        yield Fault("doubled", f"{name} has {len(runs)} executions instead of {wanted}.")
    if any(run.running for run in runs):
        yield Fault("lost", f"{name} has an execution that does not end.")
    told = sum(run.arn in outcomes for run in runs)
    if counts and not told:
        yield Fault("lost", f"{name} has no outcome.")
    if told > 1:
        yield Fault("doubled", f"{name} has {told} outcomes.")


def _notifications(runs: Sequence[Execution], outcomes: frozenset[str], mails: Counter[str]) -> Iterator[Fault]:
    """One for an outcome, none for an execution that was superseded."""
    for run in runs:
        count, wanted = mails.pop(run.arn, 0), int(run.arn in outcomes)
        if count != wanted:
            kind = "lost" if count < wanted else "doubled"
            yield Fault(kind, f"{run.key}: execution {run.name} sent {count} notifications instead of {wanted}.")


def _record(each: Sent, record: Mapping[str, Any] | None, outcomes: frozenset[str]) -> Iterator[Fault]:
    """Of the newest version, by an execution that told its outcome, with what this very file must give."""
    if record is None:
        yield Fault("lost", f"{_name(each)} has no record.")
        return
    upload = each.upload
    if record["upload"]["versionId"] != each.version_id:
        yield Fault("lost", f"{_name(each)}: its record is that of another version.")
        return
    if not any(arn.endswith(f":{record['execution']['id']}") for arn in outcomes):
        yield Fault("wrong", f"{_name(each)}: its record is by an execution that had no outcome.")
    image = record.get("image", {})
    is_as = (
        record["status"],
        record.get("error", {}).get("code"),
        (int(image["width"]), int(image["height"])) if image else None,
        bool(record.get("renditions")),
    )
    must_be = ("FAILED" if upload.error else "COMPLETED", upload.error, upload.size, not upload.error)
    if is_as != must_be:
        yield Fault("wrong", f"{_name(each)}: its record says {is_as} instead of {must_be}.")


def _name(each: Sent) -> str:
    return f"Upload {each.upload.number}, the {each.upload.kind} {each.upload.key},"
