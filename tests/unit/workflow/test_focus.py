"""image_pipeline.workflow.focus"""

import pytest

from image_pipeline.imaging.focus import Point
from image_pipeline.workflow import focus

NEWER = {"versionId": "version 2", "etag": "etag"}


def chosen(point={"x": 0.1, "y": 0.2}, version_id="version 2", etag="etag"):  # noqa: B006
    """A record with a point that somebody chose over the API."""
    return {"point": point, "versionId": version_id, "etag": etag}


@pytest.mark.parametrize(
    ("metadata", "choice", "point"),
    [
        ({}, None, None),
        ({"focus": "0.3,0.4"}, None, Point(0.3, 0.4)),
        ({}, chosen(), Point(0.1, 0.2)),
        # A point that was chosen for this version is newer than its metadata, which cannot change.
        ({"focus": "0.3,0.4"}, chosen(), Point(0.1, 0.2)),
        ({"focus": "0.3,0.4"}, chosen(point=None), None),
        # A new version with the same content keeps the point, unless it brings another one.
        ({}, chosen(version_id="version 1"), Point(0.1, 0.2)),
        ({"focus": "0.3,0.4"}, chosen(version_id="version 1"), Point(0.3, 0.4)),
        ({}, chosen(point=None, version_id="version 1"), None),
        # Other content has another subject.
        ({}, chosen(version_id="version 1", etag="other"), None),
        ({"focus": "0.3,0.4"}, chosen(etag="other"), Point(0.3, 0.4)),
    ],
)
def test_the_newest_point_for_this_content_wins(metadata, choice, point):
    """A choice for this version comes first, then the metadata, then a choice for the same content."""
    assert focus.find(NEWER, metadata, choice) == (point, [])


def test_an_invalid_point_is_ignored_with_a_warning():
    """The image is valid, and only the uploader can correct the point."""
    point, (warning,) = focus.find(NEWER, {"focus": "left"}, None)
    assert point is None
    assert "'left'" in warning
    assert "0 to 1" in warning
    assert focus.find(NEWER, {"focus": "left"}, chosen()) == (Point(0.1, 0.2), [])


def test_without_versioning_the_etag_identifies_the_content():
    """Such an object has no version id."""
    source = {"versionId": None, "etag": "etag"}
    assert focus.find(source, {}, chosen(version_id=None)) == (Point(0.1, 0.2), [])
    assert focus.find(source, {}, chosen(version_id=None, etag="other")) == (None, [])
