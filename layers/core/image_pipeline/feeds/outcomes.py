"""Build the event for a record that has reached its outcome, or has kept it although a reprocess failed. Pure.

The contract with consumers is `docs/events/outcome.schema.json`; `docs/events.md` describes its guarantees.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from image_pipeline import keys
from image_pipeline.errors import public_error

VERSION = "1"
DETAIL_TYPES = {
    "COMPLETED": "ImageCompleted",
    "PARTIAL": "ImagePartial",
    "FAILED": "ImageFailed",
    "DELETED": "ImageDeleted",
}
REPROCESS_FAILED = "ImageReprocessFailed"
MAX_BYTES = 240_000  # per detail; EventBridge and most targets accept 262,144 bytes for the whole entry

# An explicit list, so that an attribute that is added to the record later, such as a location, is not published by
# accident.
_UPLOAD = ("bucket", "key", "versionId", "etag", "sizeBytes", "uploadedAt")
_EXECUTION = ("id", "startedAt", "finishedAt")
_IMAGE = ("format", "width", "height")
_RENDITION = ("name", "format", "width", "height", "sizeBytes", "frames", "bucket", "key", "versionId")
_LABEL = ("name", "confidence")
_ERROR = ("code", "message", "hint", "step")
_FAILURE = (*_ERROR, "executionId", "at")

Json = dict[str, Any]


@dataclass(frozen=True)
class OutcomeEvent:
    """The event of one outcome, ready to be published."""

    image_key: str
    execution_id: str
    detail_type: str
    time: str
    """The time of the outcome, in ISO 8601."""
    detail: str
    """JSON."""


def event_of_change(
    old: Mapping[str, Any] | None, new: Mapping[str, Any] | None, api_url: str, release: Mapping[str, str]
) -> OutcomeEvent | None:
    """Return the event of the outcome that a change of a record brought; None if the change brought no new outcome.

    Args:
        old: the record before the change; None when there was none.
        new: the record after the change; None when it was removed.
        api_url: the URL of the status API.
        release: the `version` and `commit` of the pipeline; empty if they are unknown.
    """
    if new is None or new.get("status") not in DETAIL_TYPES:
        return None
    failure = new.get("lastFailure")
    if failure is not None and failure["executionId"] != _last_failed(old):
        # The image and its execution have not changed, so the event describes only the failed attempt.
        attempt = {**_attempt(old, failure["executionId"]), "finishedAt": failure["at"]}
        detail = _detail(new, attempt, "REPROCESS_FAILED", api_url)
        detail["lastFailure"] = _pick(public_error(failure), _FAILURE)
        return _event(new, REPROCESS_FAILED, detail, release)
    if (old is not None and _identity(old) == _identity(new)) or new["execution"].get("unchanged"):
        return None
    status = new["status"]
    detail = _detail(new, new["execution"], status, api_url)
    if status in ("COMPLETED", "PARTIAL"):
        detail["image"] = _pick(new["image"], _IMAGE)
        detail["renditions"] = [_pick(rendition, _RENDITION) for rendition in new["renditions"]]
        detail["labels"] = [_pick(label, _LABEL) for label in new["labels"]]
    if status == "FAILED":
        detail["error"] = _pick(public_error(new["error"]), _ERROR)
    return _event(new, DETAIL_TYPES[status], detail, release)


def _identity(record: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return the values that identify an outcome."""
    return record.get("execution", {}).get("id"), record.get("status")


def _last_failed(record: Mapping[str, Any] | None) -> str | None:
    """Return the last failed execution of a record."""
    execution_id: str | None = (record or {}).get("lastFailure", {}).get("executionId")
    return execution_id


def _attempt(old: Mapping[str, Any] | None, execution_id: str) -> Json:
    """Return the id of an execution, and its start time if it had claimed the record."""
    claim: Mapping[str, Any] = (old or {}).get("execution", {})
    return _pick(claim, _EXECUTION) if claim.get("id") == execution_id else {"id": execution_id}


def _detail(record: Mapping[str, Any], execution: Mapping[str, Any], result: str, api_url: str) -> Json:
    """Return the fields of every event; `execution` is the one that ended with `result`."""
    detail: Json = {
        "version": VERSION,
        "id": f"{execution['id']}:{result}",
        "imageKey": record["ImageKey"],
        "status": record["status"],
    }
    if "upload" in record:  # a deleted upload may be older than the pipeline
        detail["upload"] = _pick(record["upload"], _UPLOAD)
    return {
        **detail,
        "execution": _pick(execution, _EXECUTION),
        "statusUrl": api_url + keys.status_path(record["ImageKey"]),
    }


def _event(record: Mapping[str, Any], detail_type: str, detail: Json, release: Mapping[str, str]) -> OutcomeEvent:
    execution = detail["execution"]
    if release:
        detail = {**detail, "pipeline": dict(release)}
    text = json.dumps(_shorten(detail), ensure_ascii=False, separators=(",", ":"))
    return OutcomeEvent(
        image_key=record["ImageKey"],
        execution_id=execution["id"],
        detail_type=detail_type,
        time=execution["finishedAt"],
        detail=text,
    )


def _pick(source: Mapping[str, Any], names: tuple[str, ...]) -> Json:
    return {name: source[name] for name in names if name in source}


def _shorten(detail: Json) -> Json:
    """Shorten a detail that is too long, first the labels with the lowest confidence, and mark it as truncated."""
    for name in ("labels", "renditions"):
        while detail.get(name) and len(json.dumps(detail, ensure_ascii=False).encode()) > MAX_BYTES:
            detail = {**detail, name: detail[name][: len(detail[name]) // 2], "truncated": True}
    return detail
