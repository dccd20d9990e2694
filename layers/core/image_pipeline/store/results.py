"""Build the fields of a finished image's record. Pure."""

from collections.abc import Mapping
from typing import Any

from image_pipeline.store.records import Record

_KEPT_LABELS_NOTE = "The labels of the previous run are kept."


def outcome_fields(event: Mapping[str, Any], previous: Record | None, *, finished_at: str, milliseconds: int) -> Record:
    """Return the fields that StoreResults writes.

    Args:
        event: the event of StoreResults.
        previous: the record before this execution claimed it; None when it is not needed or did not exist.
        finished_at: the time of the outcome.
        milliseconds: how long StoreResults took until it writes these fields.
    """
    thumbnails = event["thumbnails"]
    return {
        **label_fields(thumbnails, event["metadata"], previous),
        **{name: thumbnails[name] for name in ("image", "exif", "renditions", "summary")},
        "recipeId": thumbnails.get("recipeId"),
        "focus": thumbnails.get("focus"),
        "execution": {
            "id": event["executionId"],
            "startedAt": event["startedAt"],
            "finishedAt": finished_at,
            "milliseconds": {**event["milliseconds"], "StoreResults": milliseconds},
        },
        "updatedAt": finished_at,
    }


def label_fields(thumbnails: Mapping[str, Any], metadata: Mapping[str, Any], previous: Record | None) -> Record:
    """Return the fields that depend on the labels: COMPLETED with labels, PARTIAL without.

    Labels depend only on the bytes of the image. If Rekognition is unavailable, labels of the same bytes remain valid.

    Args:
        thumbnails: the result of GenerateThumbnails.
        metadata: the result of ExtractMetadata; only `warnings` when it failed.
        previous: the record before this execution claimed it; None when there was no record.
    """
    warnings = thumbnails["warnings"] + metadata["warnings"]
    if "labels" in metadata:
        source: Mapping[str, Any] = metadata
    elif previous is not None and _has_labels_of(previous, thumbnails["image"]):
        source = previous
        warnings = thumbnails["warnings"] + [_with_note(warning) for warning in metadata["warnings"]]
    else:
        return {"status": "PARTIAL", "labels": [], "labelModelVersion": None, "warnings": warnings}
    return {
        "status": "COMPLETED",
        "labels": source["labels"],
        "labelModelVersion": source.get("labelModelVersion"),
        "warnings": warnings,
    }


def _has_labels_of(previous: Record, image: Mapping[str, Any]) -> bool:
    """Return whether the record has labels of the same bytes. Without a model version, nothing looked for labels."""
    sha256 = previous.get("image", {}).get("sha256")
    is_labelled = previous["status"] == "COMPLETED" and previous.get("labelModelVersion") is not None
    return is_labelled and sha256 is not None and sha256 == image.get("sha256")


def _with_note(warning: Mapping[str, str]) -> dict[str, str]:
    return {**warning, "message": f"{warning['message']} {_KEPT_LABELS_NOTE}"}
