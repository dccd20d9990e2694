"""Choose the point that the crops of an upload must show. Pure.

A point comes with the upload, as its metadata, or is chosen later, over the API. A chosen point belongs to the content:
it stays until other content replaces the upload, or until a new version brings a point of its own.
"""

from collections.abc import Mapping
from typing import Any

from image_pipeline.errors import InvalidRequestError
from image_pipeline.imaging.focus import METADATA, Point
from image_pipeline.store.records import CHOSEN_FOCUS, Record
from image_pipeline.store.storage import Source


def find(source: Source, metadata: Mapping[str, str], record: Record | None) -> tuple[Point | None, list[str]]:
    """Return the point of an upload, if it has one, and warnings for its user.

    Args:
        source: the version that is processed.
        metadata: the user-defined metadata of the object.
        record: the record with its internal attributes; None for the first upload of a key.
    """
    chosen: Mapping[str, Any] = (record or {}).get(CHOSEN_FOCUS) or {}
    is_same_content = chosen.get("etag") == source.etag
    if is_same_content and chosen.get("versionId") == source.version_id:
        return _chosen_point(chosen), []
    if METADATA in metadata:
        try:
            return Point.parse(metadata[METADATA]), []
        except InvalidRequestError as error:
            return None, [f"The metadata {METADATA} was ignored: {error.message} {error.hint}"]
    return (_chosen_point(chosen) if is_same_content else None), []


def _chosen_point(chosen: Mapping[str, Any]) -> Point | None:
    return Point.from_json(chosen["point"]) if chosen["point"] else None
