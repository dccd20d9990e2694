"""An upload with unchanged content: only its version changes; nothing is rendered, charged or notified again."""

import json
import urllib.request

import pytest

from image_pipeline import errors
from image_pipeline.keys import status_path
from image_pipeline.store import uploads
from tests.pictures import photo
from tests.workflow.conftest import deletion, start
from tests.workflow.test_process_image import SOUND, error_named, failing, overtake
from tests.workflow.test_reprocess import about, reprocess

PHOTO, OTHER = photo(200, 150), photo(150, 200)
UNCHANGED = ["ClaimUpload", "ValidateImage", "GenerateThumbnails", "AdvanceUpload"]
PICTURE = ("image", "exif", "renditions", "labels", "labelModelVersion", "summary", "warnings", "recipeId", "createdAt")


def image_fields(record):
    """Return the fields that must not change."""
    return {name: record[name] for name in PICTURE}


def copied(pipeline, key):
    """Change only the metadata, as rclone does for a modification time, and wait."""
    answer = pipeline.client("s3").copy_object(
        Bucket=pipeline.uploads_bucket,
        Key=key,
        CopySource={"Bucket": pipeline.uploads_bucket, "Key": key},
        Metadata={"mtime": "1700000000"},
        MetadataDirective="REPLACE",
    )
    return pipeline.wait_for(key, answer["VersionId"]), answer["VersionId"]


def events(pipeline, key):
    """Return the types of the events about a key."""
    return [event["detail-type"] for event in pipeline.events() if event["detail"]["imageKey"] == key]


@pytest.mark.parametrize("how", ["copied", "uploaded again"])
def test_a_copy_keeps_the_image_and_advances_the_upload(pipeline, outcome, key, how):
    """Renditions, labels and their versions stay; the record has the new version, and no notification is sent."""
    before = outcome(key, PHOTO).record
    pipeline.replace("ExtractMetadataFunction", failing("", error_named("PaidAgainError"), -1, []))
    if how == "copied":
        record, version = copied(pipeline, key)
    else:
        version = pipeline.upload(key, PHOTO, ContentType="image/x-other")
        record = pipeline.wait_for(key, version)
    (execution,) = [execution for execution in pipeline.executions() if execution.version_id == version]
    assert (execution.status, pipeline.states_entered(execution)) == ("SUCCEEDED", UNCHANGED)
    assert image_fields(record) == image_fields(before)
    assert (record["status"], record["upload"]["versionId"]) == ("COMPLETED", version)
    assert record["uploadOrder"] > before["uploadOrder"]
    assert (record["execution"]["id"], record["execution"]["unchanged"]) == (execution.name, True)
    assert before["updatedAt"] < record["execution"]["finishedAt"] <= record["updatedAt"]
    left = {"claimShard", "claimedAt", "previousStatus", "previousUpload", "previousExecution", "lastFailure"}
    assert not left & record.keys()
    assert len(about(pipeline, key)) == 1


def test_a_copy_publishes_no_event(pipeline, outcome, key):
    """The next change publishes one."""
    outcome(key, PHOTO)
    copied(pipeline, key)
    outcome(key, OTHER)
    pipeline.wait_until(lambda: len(events(pipeline, key)) >= 2, "the events")
    assert events(pipeline, key) == ["ImageCompleted"] * 2
    widths = [event["detail"]["image"]["width"] for event in pipeline.events() if event["detail"]["imageKey"] == key]
    assert widths == [200, 150]


def test_a_wait_for_a_copy_ends_with_its_version(pipeline, outcome, key):
    """Version and status change together."""
    outcome(key, PHOTO)
    _, version = copied(pipeline, key)
    with urllib.request.urlopen(pipeline.api_url + status_path(key) + "?wait=10") as answer:
        body = json.loads(answer.read())
    assert (body["status"], body["upload"]["versionId"]) == ("COMPLETED", version)
    assert body["renditions"]
    assert body["execution"]["unchanged"] is True


def test_a_copy_of_a_copy_advances_only_the_version(pipeline, outcome, key):
    """Repeated copies render nothing and send no notification."""
    before = outcome(key, PHOTO).record
    for _ in range(3):
        record, version = copied(pipeline, key)
    assert image_fields(record) == image_fields(before)
    assert record["upload"]["versionId"] == version
    assert len(about(pipeline, key)) == 1


def test_other_content_is_rendered(pipeline, outcome, key):
    """A new image under the same name is rendered, and the old one again."""
    first = outcome(key, PHOTO).record
    assert outcome(key, OTHER).notified == ["SUCCESS"] * 2
    again = outcome(key, PHOTO)
    assert again.notified == ["SUCCESS"] * 3
    assert again.record["image"] == first["image"]
    assert "unchanged" not in again.record["execution"]


def test_a_copy_of_an_image_without_labels_gets_labels(pipeline, outcome, key):
    """The copy is processed, because Rekognition may succeed this time."""
    refusal = errors.LabelsUnavailableError("No.", "Later.")
    pipeline.replace("ExtractMetadataFunction", failing("ExtractMetadata", refusal, -1, []))
    assert outcome(key, PHOTO).record["status"] == "PARTIAL"
    pipeline.clear()
    record, _ = copied(pipeline, key)
    assert record["status"] == "COMPLETED"
    assert len(record["labels"]) > 0
    assert len(about(pipeline, key)) == 2


def test_a_copy_of_a_failed_upload_is_processed(pipeline, outcome, key):
    """A failed upload has no renditions to keep."""
    pipeline.replace("ValidateImageFunction", failing("", error_named("BrokenError"), -1, []))
    assert outcome(key, PHOTO).record["status"] == "FAILED"
    pipeline.clear()
    record, _ = copied(pipeline, key)
    assert (record["status"], "unchanged" in record["execution"]) == ("COMPLETED", False)


def test_an_upload_after_a_deletion_is_rendered(pipeline, outcome, key):
    """The deletion removed the renditions of the same content."""
    first = outcome(key, PHOTO)
    start(pipeline, deletion(pipeline, key), "DeleteImage")
    event = json.loads(json.dumps(first.execution.event))
    event["detail"]["object"]["sequencer"] = "F2"
    assert "StoreResults" in pipeline.states_entered(start(pipeline, event))
    assert pipeline.record(key)["status"] == "COMPLETED"


def test_a_missing_rendition_is_rendered_again(pipeline, outcome, key):
    """COMPLETED means that all renditions exist."""
    before = outcome(key, PHOTO).record
    rendition = before["renditions"][0]
    pipeline.client("s3").delete_object(
        Bucket=rendition["bucket"], Key=rendition["key"], VersionId=rendition["versionId"]
    )
    record, _ = copied(pipeline, key)
    assert (record["status"], "unchanged" in record["execution"]) == ("COMPLETED", False)
    assert record["renditions"][0]["versionId"] != rendition["versionId"]
    pipeline.client("s3").head_object(
        Bucket=rendition["bucket"], Key=rendition["key"], VersionId=record["renditions"][0]["versionId"]
    )


def test_changed_recipes_render_unchanged_content(pipeline, outcome, key):
    """The new renditions are notified like those of a first upload."""
    first = outcome(key, PHOTO).record["renditions"]
    content_id = first[0]["key"].split("/")[-2]
    older = [rendition["key"].replace(content_id, "0" * 16) for rendition in first]
    pipeline.client("dynamodb").update_item(
        TableName=pipeline.outputs["ImageTableName"],
        Key={"ImageKey": {"S": key}},
        UpdateExpression="SET renditions = :older",
        ExpressionAttributeValues={":older": {"L": [{"M": {"key": {"S": older_key}}} for older_key in older]}},
    )
    result, _ = copied(pipeline, key)
    assert (result["status"], "unchanged" in result["execution"]) == ("COMPLETED", False)
    assert len(about(pipeline, key)) == 2


def test_a_reprocess_renders_unchanged_content(pipeline, outcome, key):
    """A reprocess writes new renditions and labels, and sends a notification."""
    before = outcome(key, PHOTO).record
    execution = reprocess(pipeline, key)
    assert "StoreResults" in pipeline.states_entered(execution)
    record = pipeline.record(key)
    old, new = ({rendition["versionId"] for rendition in one["renditions"]} for one in (before, record))
    assert not old & new
    assert "unchanged" not in record["execution"]
    assert len(about(pipeline, key)) == 2


def test_a_copy_removes_the_failure_of_an_attempt(pipeline, outcome, key):
    """A copy is a new and successful upload, so `lastFailure` is removed."""
    outcome(key, PHOTO)
    pipeline.replace("ValidateImageFunction", failing("", error_named("BrokenError"), -1, []))
    reprocess(pipeline, key)
    pipeline.clear()
    assert "lastFailure" in pipeline.record(key)
    record, _ = copied(pipeline, key)
    assert (record["status"], "lastFailure" in record) == ("COMPLETED", False)


def test_a_failed_copy_is_a_failed_upload(pipeline, outcome, key):
    """Content that cannot be read cannot be compared."""
    outcome(key, PHOTO)
    pipeline.replace("ValidateImageFunction", failing("", error_named("BrokenError"), -1, []))
    record, version = copied(pipeline, key)
    assert (record["status"], record["upload"]["versionId"]) == ("FAILED", version)


def test_an_upload_during_a_copy_wins(pipeline, outcome, key):
    """The superseded copy changes nothing."""
    outcome(key, PHOTO)
    newest = overtake(pipeline, key, OTHER, SOUND["ValidateImage"])
    _, version = copied(pipeline, key)
    (execution,) = [execution for execution in pipeline.executions() if execution.version_id == version]
    assert pipeline.states_entered(execution)[-1] == "Superseded"
    assert pipeline.record(key)["upload"]["versionId"] == newest[0]


def test_a_reprocess_during_a_copy_processes_the_copy(pipeline, outcome, key):
    """The reprocess takes over the claim and renders everything."""
    outcome(key, PHOTO)
    again = []

    def generate(event):
        if not again:
            again.append(None)
            pipeline.clear()
            again[0] = reprocess(pipeline, key)
        raise errors.UnchangedError("The same.", "Nothing.")

    pipeline.replace("GenerateThumbnailsFunction", generate)
    _, version = copied(pipeline, key)
    pipeline.wait_until(
        lambda: not any(execution.running for execution in pipeline.executions() if execution.key == key),
        "both executions",
    )
    record = pipeline.record(key)
    assert (record["status"], record["execution"]["id"]) == ("COMPLETED", again[0].name)
    assert record["upload"]["versionId"] == version


def test_a_duplicate_of_a_copy_changes_nothing(pipeline, outcome, key):
    """S3 may deliver an event more than once."""
    outcome(key, PHOTO)
    record, version = copied(pipeline, key)
    (execution,) = [execution for execution in pipeline.executions() if execution.version_id == version]
    assert pipeline.states_entered(start(pipeline, execution.event))[-1] == "Superseded"
    assert pipeline.record(key) == record


def test_the_first_event_after_a_reprocess_of_the_same_version_is_a_copy(pipeline, key):
    """A message of a batch may overtake S3's event of the same upload."""
    version = pipeline.client("s3").put_object(Bucket=pipeline.uploads_bucket, Key=key, Body=PHOTO)["VersionId"]
    first = pipeline.wait_for(key, version)
    state = uploads.UploadState.read(
        pipeline.client, bucket=pipeline.uploads_bucket, table=pipeline.outputs["ImageTableName"], key=key
    )
    execution = start(pipeline, state.event(reprocess=False, sequencer="F" * 16))
    assert pipeline.states_entered(execution) == UNCHANGED
    assert image_fields(pipeline.record(key)) == image_fields(first)
