"""Choose the point that the crops of an upload must show. Pure.

A point comes with the upload, as its metadata, or is chosen later, over the API. A chosen point belongs to the content:
it stays until other content replaces the upload, or until a new version brings a point of its own.
"""

from collections.abc import Mapping
from typing import Any

from image_pipeline.errors import InvalidRequestError
from image_pipeline.imaging.focus import METADATA, Point


def find(
    upload: Mapping[str, Any], metadata: Mapping[str, str], chosen: Mapping[str, Any] | None
) -> tuple[Point | None, list[str]]:
    """Return the point of an upload, if it has one, and warnings for its user.

    Args:
        upload: `versionId` and `etag` of the version that is processed.
        metadata: the user-defined metadata of the object.
        chosen: the choice in the record: `point`, which is None if it was removed, with the `versionId` and `etag` of
            its upload; None if there was no choice.
    """
    is_same_content = chosen is not None and chosen["etag"] == upload["etag"]
    if chosen and is_same_content and chosen["versionId"] == upload["versionId"]:
        return _chosen_point(chosen), []
    if METADATA in metadata:
        try:
            return Point.parse(metadata[METADATA]), []
        except InvalidRequestError as error:
            return None, [f"The metadata {METADATA} was ignored: {error.message} {error.hint}"]
    return (_chosen_point(chosen) if chosen and is_same_content else None), []


def _chosen_point(chosen: Mapping[str, Any]) -> Point | None:
    return Point.from_json(chosen["point"]) if chosen["point"] else None
