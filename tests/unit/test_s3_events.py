"""image_pipeline.s3_events"""

import json

import pytest

from image_pipeline import s3_events
from tests.conftest import ROOT

FIELDS = {"bucket": "b", "key": "uploads/a b.jpg", "etag": "e", "size_bytes": 3, "sequencer": "0A", "time": "t"}


@pytest.mark.parametrize(("version_id", "version"), [("v", {"version-id": "v"}), (None, {})])
def test_an_event_identifies_one_version_of_an_object(version_id, version):
    """Without versioning, S3 sends no version id."""
    event = s3_events.object_created(**FIELDS, version_id=version_id)
    assert event["detail"]["object"] == {"key": "uploads/a b.jpg", "size": 3, "etag": "e", "sequencer": "0A", **version}


def test_an_event_has_the_form_of_the_sample(template):
    """The sample is an event of S3, and the workflow reads the same fields of both."""
    sample = json.loads((ROOT / "events" / "object_created.json").read_text())
    event = s3_events.object_created(**FIELDS, version_id="v")
    assert event.keys() <= sample.keys()
    assert event["detail-type"] == sample["detail-type"]
    assert event["detail"].keys() <= sample["detail"].keys()
    assert event["detail"]["object"].keys() <= sample["detail"]["object"].keys()
