"""A stack that detects no labels."""

import json
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from image_pipeline.api import apikeys
from image_pipeline.keys import status_path
from tests.pictures import photo

PHOTO = photo(200, 150)


@pytest.fixture
def unlabelled(pipeline, reconfigure):
    """The shared pipeline with `Labels=OFF`."""
    reconfigure(Labels="OFF")
    return pipeline


def test_an_image_is_completed_without_labels(unlabelled):
    """Record, status, notification, listing and event agree: no label, no warning, and no call of Rekognition."""
    key = "uploads/plain.jpg"
    unlabelled.upload(key, PHOTO)
    record = unlabelled.wait_for(key)
    assert (record["status"], record["labels"], record["labelModelVersion"]) == ("COMPLETED", [], None)
    assert record["warnings"] == []
    with urlopen(unlabelled.api_url + status_path(key)) as answer:
        status = json.load(answer)
    assert (status["status"], status["labels"], status["warnings"]) == ("COMPLETED", [], [])
    (notification,) = [
        notification
        for notification in unlabelled.notifications()
        if notification["Subject"] == f"Image processed: {key}"
    ]
    before, renditions, after = notification["Message"].split("\n\n")
    assert before == f"{key} was processed."
    assert [line.partition(" ")[0] for line in renditions.split("\n")] == ["Image:", *["Rendition"] * 4]
    assert after.startswith("Status: ")

    def event():
        return [event for event in unlabelled.events() if event["detail"]["imageKey"] == key]

    unlabelled.wait_until(lambda: bool(event()), "the event")
    (published,) = event()
    assert (published["detail-type"], published["detail"]["labels"]) == ("ImageCompleted", [])
    secret = apikeys.create(unlabelled.client, table=unlabelled.outputs["ApiKeyTableName"], name="a test").text
    unlabelled.wait_until(lambda: (key, []) in listed(unlabelled, secret), "the listing")
    check_permissions(unlabelled)


def listed(pipeline, secret):
    """Return the completed images of the list with their labels."""
    url = f"{pipeline.api_url}/images?{urlencode({'status': 'COMPLETED'})}"
    with urlopen(Request(url, headers={"x-api-key": secret})) as answer:
        return [(image["imageKey"], image["labels"]) for image in json.load(answer)["images"]]


def check_permissions(unlabelled):
    """Check that no call of Rekognition was made or permitted, and no call was denied."""
    calls = unlabelled.calls()
    assert all(call.allowed for call in calls)
    assert not any(call.action.startswith("rekognition:") for call in calls)
    allowed = [
        statement for statement in unlabelled.roles["ExtractMetadataFunctionRole"] if statement["Effect"] == "Allow"
    ]
    assert "rekognition" not in json.dumps(allowed)
    assert "s3:" not in json.dumps(allowed)
