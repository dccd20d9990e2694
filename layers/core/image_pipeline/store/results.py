"""What the record of a finished picture gets. Pure."""

from collections.abc import Mapping
from typing import Any

from image_pipeline.store.records import Record

_KEPT = "The labels of the previous run are kept."


def labels(thumbnails: Mapping[str, Any], metadata: Mapping[str, Any], previous: Record | None) -> Record:
    """The fields that depend on the labels: COMPLETED with them, PARTIAL without.

    Labels are facts of the bytes. When they cannot be obtained again, those of the previous run still hold.

    Args:
        thumbnails: what GenerateThumbnails returned.
        metadata: what ExtractMetadata returned; only `warnings` when it failed.
        previous: the record before this execution claimed it; None when there was none.
    """
    warnings = thumbnails["warnings"] + metadata["warnings"]
    if "labels" in metadata:
        source: Mapping[str, Any] = metadata
    elif previous is not None and _holds(previous, thumbnails["image"]):
        source = previous
        warnings = thumbnails["warnings"] + [_kept(warning) for warning in metadata["warnings"]]
    else:
        return {"status": "PARTIAL", "labels": [], "labelModelVersion": None, "warnings": warnings}
    return {
        "status": "COMPLETED",
        "labels": source["labels"],
        "labelModelVersion": source.get("labelModelVersion"),
        "warnings": warnings,
    }


def _holds(previous: Record, image: Mapping[str, Any]) -> bool:
    """Whether the record has labels of the same bytes."""
    sha256 = previous.get("image", {}).get("sha256")
    return previous["status"] == "COMPLETED" and sha256 is not None and sha256 == image.get("sha256")


def _kept(warning: Mapping[str, str]) -> dict[str, str]:
    return {**warning, "message": f"{warning['message']} {_KEPT}"}
