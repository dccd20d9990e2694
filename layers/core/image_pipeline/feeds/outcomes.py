"""What the world outside is told when a record gets its outcome. Pure.

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
MOST_BYTES = 240_000  # of a detail; EventBridge takes 262,144 with everything around it, and its targets hardly more

# Named one by one: what a record gets tomorrow, a location among it, is told to nobody by accident.
_UPLOAD = ("bucket", "key", "versionId", "etag", "sizeBytes", "uploadedAt")
_EXECUTION = ("id", "startedAt", "finishedAt")
_IMAGE = ("format", "width", "height")
_RENDITION = ("name", "format", "width", "height", "sizeBytes", "bucket", "key", "versionId")
_LABEL = ("name", "confidence")
_ERROR = ("code", "message", "hint", "step")

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
    """The outcome that a change of a record has brought; None when it has brought none.

    Args:
        old: the record before; None when there was none.
        new: the record after; None when it is gone.
        api_url: where the status API is.
    """
    if new is None or new.get("status") not in DETAIL_TYPES or (old is not None and _of(old) == _of(new)):
        return None
    detail = json.dumps(_bounded(_detail(new, api_url)), ensure_ascii=False, separators=(",", ":"))
    execution = new["execution"]
    return Outcome(new["ImageKey"], execution["id"], DETAIL_TYPES[new["status"]], execution["finishedAt"], detail)


def _of(record: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """What makes an outcome this one and no other."""
    return record.get("execution", {}).get("id"), record.get("status")


def _detail(record: Mapping[str, Any], api_url: str) -> Json:
    execution_id, status = _of(record)
    detail: Json = {
        "version": VERSION,
        "id": f"{execution_id}:{status}",
        "imageKey": record["ImageKey"],
        "status": status,
    }
    if "upload" in record:  # what is deleted may have been there before the pipeline was
        detail["upload"] = _picked(record["upload"], _UPLOAD)
    detail["execution"] = _picked(record["execution"], _EXECUTION)
    if status in ("COMPLETED", "PARTIAL"):
        detail["image"] = _picked(record["image"], _IMAGE)
        detail["renditions"] = [_picked(rendition, _RENDITION) for rendition in record["renditions"]]
        detail["labels"] = [_picked(label, _LABEL) for label in record["labels"]]
    if status == "FAILED":
        detail["error"] = _picked(for_outsiders(record["error"]), _ERROR)
    return {**detail, "statusUrl": api_url + keys.status_path(record["ImageKey"])}


def _picked(source: Mapping[str, Any], names: tuple[str, ...]) -> Json:
    return {name: source[name] for name in names if name in source}


def _bounded(detail: Json) -> Json:
    """Cut what is too long, and say so: labels first, the surest of them last."""
    for name in ("labels", "renditions"):
        while detail.get(name) and len(json.dumps(detail, ensure_ascii=False).encode()) > MOST_BYTES:
            detail = {**detail, name: detail[name][: len(detail[name]) // 2], "truncated": True}
    return detail
