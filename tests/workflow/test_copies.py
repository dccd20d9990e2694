"""An upload with unchanged content: only its version changes; nothing is rendered, charged or notified again."""

import json
import urllib.request

import pytest

from image_pipeline import errors
from image_pipeline.keys import status_path
from tests.workflow.conftest import OTHER, PHOTO, about, deletion, event_again, event_of, put, repair, start
from tests.workflow.test_process_image import SOUND, error_named, failing, overtake
from tests.workflow.test_reprocess import FAILURE, reprocess

pytestmark = pytest.mark.usefixtures("silent")

UNCHANGED = ["ClaimUpload", "ValidateImage", "GenerateThumbnails", "AdvanceUpload"]
PICTURE = ("image", "exif", "renditions", "labels", "labelModelVersion", "summary", "warnings", "recipeId", "createdAt")


def image_fields(record):
    """Return the fields that must not change."""
    return {name: record[name] for name in PICTURE}


def copied(pipeline, key):
    """Change only the metadata, as rclone does for a modification time, and process the new version."""
    answer = pipeline.client("s3").copy_object(
        Bucket=pipeline.uploads_bucket,
        Key=key,
        CopySource={"Bucket": pipeline.uploads_bucket, "Key": key},
        Metadata={"mtime": "1700000000"},
        MetadataDirective="REPLACE",
    )
    return processed_again(pipeline, event_of(pipeline, key, {**answer, **answer["CopyObjectResult"]}, len(PHOTO)))


def processed_again(pipeline, event):
    """Process an upload, and return its execution and the record."""
    execution = start(pipeline, event)
    return execution, pipeline.record(event["detail"]["object"]["key"])


def events(pipeline, key):
    """Return the types of the events about a key."""
    return [event["detail-type"] for event in pipeline.events() if event["detail"]["imageKey"] == key]


@pytest.mark.parametrize("how", ["copied", "uploaded again"])
def test_a_copy_keeps_the_image_and_advances_the_upload(pipeline, processed, key, how):
    """Renditions, labels and their versions stay; the record has the new version, and no notification is sent."""
    before = processed(key)
    pipeline.replace("ExtractMetadataFunction", failing("", error_named("PaidAgainError"), -1, []))
    if how == "copied":
        execution, record = copied(pipeline, key)
    else:
        execution, record = processed_again(pipeline, put(pipeline, key, PHOTO, ContentType="image/x-other"))
    assert (execution.status, pipeline.states_entered(execution)) == ("SUCCEEDED", UNCHANGED)
    assert image_fields(record) == image_fields(before)
    assert (record["status"], record["upload"]["versionId"]) == ("COMPLETED", execution.version_id)
    assert record["uploadOrder"] > before["uploadOrder"]
    assert (record["execution"]["id"], record["execution"]["unchanged"]) == (execution.name, True)
    assert before["updatedAt"] < record["execution"]["finishedAt"] <= record["updatedAt"]
    left = {"claimShard", "claimedAt", "previousStatus", "previousUpload", "previousExecution", "lastFailure"}
    assert not left & record.keys()
    assert about(pipeline, key) == []


def test_a_copy_publishes_no_event(pipeline, outcome, key):
    """The next change publishes one."""
    pipeline.clear()  # the readers of the stream publish events
    outcome(key, PHOTO)
    copied(pipeline, key)
    outcome(key, OTHER)
    pipeline.wait_until(lambda: len(events(pipeline, key)) >= 2, "the events")
    assert events(pipeline, key) == ["ImageCompleted"] * 2
    widths = [event["detail"]["image"]["width"] for event in pipeline.events() if event["detail"]["imageKey"] == key]
    assert widths == [200, 150]


def test_a_wait_for_a_copy_ends_with_its_version(pipeline, processed, key):
    """Version and status change together."""
    processed(key)
    execution, _ = copied(pipeline, key)
    with urllib.request.urlopen(pipeline.api_url + status_path(key) + "?wait=10") as answer:
        body = json.loads(answer.read())
    assert (body["status"], body["upload"]["versionId"]) == ("COMPLETED", execution.version_id)
    assert body["renditions"]
    assert body["execution"]["unchanged"] is True


def test_a_copy_of_a_copy_advances_only_the_version(pipeline, processed, key):
    """Repeated copies render nothing and send no notification."""
    before = processed(key)
    for _ in range(2):
        execution, record = copied(pipeline, key)
    assert image_fields(record) == image_fields(before)
    assert record["upload"]["versionId"] == execution.version_id
    assert about(pipeline, key) == []


def test_other_content_is_rendered(outcome, processed, key):
    """A new image under the same name is rendered, and the old one again."""
    first = processed(key)
    assert outcome(key, OTHER).notified == ["SUCCESS"]
    again = outcome(key, PHOTO)
    assert again.notified == ["SUCCESS"] * 2
    assert again.record["image"] == first["image"]
    assert "unchanged" not in again.record["execution"]


def test_a_copy_of_an_image_without_labels_gets_labels(pipeline, processed, key):
    """The copy is processed, because Rekognition may succeed this time."""
    processed(key, status="PARTIAL", labels=[])
    _, record = copied(pipeline, key)
    assert record["status"] == "COMPLETED"
    assert len(record["labels"]) > 0
    assert len(about(pipeline, key)) == 1


def test_a_copy_of_a_failed_upload_is_processed(pipeline, outcome, key):
    """A failed upload has no renditions to keep."""
    pipeline.replace("ValidateImageFunction", failing("", error_named("BrokenError"), -1, []))
    assert outcome(key, PHOTO).record["status"] == "FAILED"
    repair(pipeline)
    _, record = copied(pipeline, key)
    assert (record["status"], "unchanged" in record["execution"]) == ("COMPLETED", False)


def test_an_upload_after_a_deletion_is_rendered(pipeline, processed, key):
    """The deletion removed the renditions of the same content."""
    processed(key)
    event = event_again(pipeline, key, reprocess=False, sequencer="F2")
    start(pipeline, deletion(pipeline, key), "DeleteImage")
    assert "StoreResults" in pipeline.states_entered(start(pipeline, event))
    assert pipeline.record(key)["status"] == "COMPLETED"


def test_a_missing_rendition_is_rendered_again(pipeline, processed, key):
    """COMPLETED means that all renditions exist."""
    before = processed(key)
    rendition = before["renditions"][0]
    pipeline.client("s3").delete_object(
        Bucket=rendition["bucket"], Key=rendition["key"], VersionId=rendition["versionId"]
    )
    _, record = copied(pipeline, key)
    assert (record["status"], "unchanged" in record["execution"]) == ("COMPLETED", False)
    assert record["renditions"][0]["versionId"] != rendition["versionId"]
    pipeline.client("s3").head_object(
        Bucket=rendition["bucket"], Key=rendition["key"], VersionId=record["renditions"][0]["versionId"]
    )


def test_changed_recipes_render_unchanged_content(pipeline, processed, key):
    """The new renditions are notified like those of a first upload."""
    first = processed(key)["renditions"]
    content_id = first[0]["key"].split("/")[-2]
    older = [rendition["key"].replace(content_id, "0" * 16) for rendition in first]
    pipeline.client("dynamodb").update_item(
        TableName=pipeline.outputs["ImageTableName"],
        Key={"ImageKey": {"S": key}},
        UpdateExpression="SET renditions = :older",
        ExpressionAttributeValues={":older": {"L": [{"M": {"key": {"S": older_key}}} for older_key in older]}},
    )
    _, result = copied(pipeline, key)
    assert (result["status"], "unchanged" in result["execution"]) == ("COMPLETED", False)
    assert len(about(pipeline, key)) == 1


def test_a_reprocess_renders_unchanged_content(pipeline, processed, key):
    """A reprocess writes new renditions and labels, and sends a notification."""
    before = processed(key)
    execution = reprocess(pipeline, key)
    assert "StoreResults" in pipeline.states_entered(execution)
    record = pipeline.record(key)
    old, new = ({rendition["versionId"] for rendition in one["renditions"]} for one in (before, record))
    assert not old & new
    assert "unchanged" not in record["execution"]
    assert len(about(pipeline, key)) == 1


def test_a_copy_removes_the_failure_of_an_attempt(pipeline, processed, key):
    """A copy is a new and successful upload, so `lastFailure` is removed."""
    processed(key, lastFailure=FAILURE)
    execution, record = copied(pipeline, key)
    assert (record["status"], "lastFailure" in record) == ("COMPLETED", False)
    assert record["execution"]["id"] == execution.name


def test_a_failed_copy_is_a_failed_upload(pipeline, processed, key):
    """Content that cannot be read cannot be compared."""
    processed(key)
    pipeline.replace("ValidateImageFunction", failing("", error_named("BrokenError"), -1, []))
    execution, record = copied(pipeline, key)
    assert (record["status"], record["upload"]["versionId"]) == ("FAILED", execution.version_id)


def test_an_upload_during_a_copy_wins(pipeline, processed, key):
    """The superseded copy changes nothing."""
    processed(key)
    newest = overtake(pipeline, key, OTHER, SOUND["ValidateImage"])
    execution, record = copied(pipeline, key)
    assert pipeline.states_entered(execution)[-1] == "Superseded"
    assert record["upload"]["versionId"] == newest[0]


def test_a_reprocess_during_a_copy_processes_the_copy(pipeline, processed, key):
    """The reprocess takes over the claim and renders everything."""
    processed(key)
    again = []

    def generate(event):
        if not again:
            again.append(None)
            repair(pipeline)
            again[0] = reprocess(pipeline, key)
        raise errors.UnchangedError("The same.", "Nothing.")

    pipeline.replace("GenerateThumbnailsFunction", generate)
    execution, record = copied(pipeline, key)
    assert (record["status"], record["execution"]["id"]) == ("COMPLETED", again[0].name)
    assert record["upload"]["versionId"] == execution.version_id


def test_a_duplicate_of_a_copy_changes_nothing(pipeline, processed, key):
    """S3 may deliver an event more than once."""
    processed(key)
    execution, record = copied(pipeline, key)
    assert pipeline.states_entered(start(pipeline, execution.event))[-1] == "Superseded"
    assert pipeline.record(key) == record


def test_the_first_event_after_a_reprocess_of_the_same_version_is_a_copy(pipeline, processed, key):
    """A message of a batch may overtake S3's event of the same upload."""
    first = processed(key)
    execution = start(pipeline, event_again(pipeline, key, reprocess=False, sequencer="F" * 16))
    assert pipeline.states_entered(execution) == UNCHANGED
    assert image_fields(pipeline.record(key)) == image_fields(first)
