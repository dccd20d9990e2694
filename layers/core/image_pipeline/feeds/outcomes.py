"""What the world outside is told when a record gets its outcome, or keeps it although a reprocess failed. Pure.

The contract with consumers is `docs/events/outcome.schema.json`; `docs/events.md` says what they may rely on.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from image_pipeline import keys
from image_pipeline.errors import for_outsiders

VERSION = "1"
DETAIL_TYPES = {
    "COMPLETED": "ImageCompleted",
    "PARTIAL": "ImagePartial",
    "FAILED": "ImageFailed",
    "DELETED": "ImageDeleted",
}
REPROCESS_FAILED = "ImageReprocessFailed"
MOST_BYTES = 240_000  # of a detail; EventBridge takes 262,144 with everything around it, and its targets hardly more

# Named one by one: what a record gets tomorrow, a location among it, is told to nobody by accident.
_UPLOAD = ("bucket", "key", "versionId", "etag", "sizeBytes", "uploadedAt")
_EXECUTION = ("id", "startedAt", "finishedAt")
_IMAGE = ("format", "width", "height")
_RENDITION = ("name", "format", "width", "height", "sizeBytes", "bucket", "key", "versionId")
_LABEL = ("name", "confidence")
_ERROR = ("code", "message", "hint", "step")
_FAILURE = (*_ERROR, "executionId", "at")

Json = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """One outcome, ready to be published."""

    image_key: str
    execution_id: str
    detail_type: str
    time: str
    """When it was reached, in ISO 8601."""
    detail: str
    """JSON."""


def reached(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None, api_url: str) -> Outcome | None:
    """The outcome that a change of a record has brought; None when it has brought none, or one that was told before.

    Args:
        old: the record before; None when there was none.
        new: the record after; None when it is gone.
        api_url: where the status API is.
    """
    if new is None or new.get("status") not in DETAIL_TYPES:
        return None
    failure = new.get("lastFailure")
    if failure is not None and failure["executionId"] != _last_failed(old):
        # The picture is as it was told before: neither it nor its execution is told again.
        attempt = {**_started(old, failure["executionId"]), "finishedAt": failure["at"]}
        detail = _detail(new, attempt, "REPROCESS_FAILED", api_url)
        detail["lastFailure"] = _picked(for_outsiders(failure), _FAILURE)
        return _outcome(new, REPROCESS_FAILED, detail)
    if (old is not None and _of(old) == _of(new)) or new["execution"].get("unchanged"):
        return None
    status = new["status"]
    detail = _detail(new, new["execution"], status, api_url)
    if status in ("COMPLETED", "PARTIAL"):
        detail["image"] = _picked(new["image"], _IMAGE)
        detail["renditions"] = [_picked(rendition, _RENDITION) for rendition in new["renditions"]]
        detail["labels"] = [_picked(label, _LABEL) for label in new["labels"]]
    if status == "FAILED":
        detail["error"] = _picked(for_outsiders(new["error"]), _ERROR)
    return _outcome(new, DETAIL_TYPES[status], detail)


def _of(record: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """What makes an outcome this one and no other."""
    return record.get("execution", {}).get("id"), record.get("status")


def _last_failed(record: Mapping[str, Any] | None) -> str | None:
    """The execution that a record names as the last that failed."""
    execution_id: str | None = (record or {}).get("lastFailure", {}).get("executionId")
    return execution_id


def _started(old: Mapping[str, Any] | None, execution_id: str) -> Json:
    """An execution by its id, and when it was started if it had claimed the record."""
    claim: Mapping[str, Any] = (old or {}).get("execution", {})
    return _picked(claim, _EXECUTION) if claim.get("id") == execution_id else {"id": execution_id}


def _detail(record: Mapping[str, Any], execution: Mapping[str, Any], result: str, api_url: str) -> Json:
    """What every event has; `execution` is the one whose `result` is told."""
    detail: Json = {
        "version": VERSION,
        "id": f"{execution['id']}:{result}",
        "imageKey": record["ImageKey"],
        "status": record["status"],
    }
    if "upload" in record:  # what is deleted may have been there before the pipeline was
        detail["upload"] = _picked(record["upload"], _UPLOAD)
    return {
        **detail,
        "execution": _picked(execution, _EXECUTION),
        "statusUrl": api_url + keys.status_path(record["ImageKey"]),
    }


def _outcome(record: Mapping[str, Any], detail_type: str, detail: Json) -> Outcome:
    execution = detail["execution"]
    text = json.dumps(_bounded(detail), ensure_ascii=False, separators=(",", ":"))
    return Outcome(record["ImageKey"], execution["id"], detail_type, execution["finishedAt"], text)


def _picked(source: Mapping[str, Any], names: tuple[str, ...]) -> Json:
    return {name: source[name] for name in names if name in source}


def _bounded(detail: Json) -> Json:
    """Cut what is too long, and say so: labels first, the surest of them last."""
    for name in ("labels", "renditions"):
        while detail.get(name) and len(json.dumps(detail, ensure_ascii=False).encode()) > MOST_BYTES:
            detail = {**detail, name: detail[name][: len(detail[name]) // 2], "truncated": True}
    return detail
