"""The point of an upload: which event sets it, which keep it, and which replace it."""

from image_pipeline.store import uploads
from tests.pictures import photo
from tests.workflow.test_process_image import SOUND, error_named, failing
from tests.workflow.test_reprocess import reprocess

PHOTO, OTHER = photo(200, 150), photo(150, 200)
POINT, ANOTHER = {"x": 0.25, "y": 0.75}, {"x": 0.875, "y": 0.125}  # equal to their decimals


def set_focus(pipeline, key, point):
    """Choose a point as the API does, and wait for the end of the execution."""
    arn = uploads.set_focus(
        pipeline.client,
        bucket=pipeline.uploads_bucket,
        table=pipeline.outputs["ImageTableName"],
        state_machine=pipeline.outputs["ProcessImageStateMachineArn"],
        image_key=key,
        point=point,
    )
    pipeline.wait_for_end(arn)
    return pipeline.record(key)


def uploaded(pipeline, key, data, **options):
    """Upload and return the record of its outcome."""
    return pipeline.wait_for(key, pipeline.upload(key, data, **options))


def folder(record):
    """Return the folder of the renditions, which has the content id."""
    return record["renditions"][0]["key"].rpartition("/")[0]


def test_a_point_in_the_metadata_is_rendered_and_recorded(pipeline, key):
    """The record of an upload without a point has none."""
    assert uploaded(pipeline, key, PHOTO)["focus"] is None
    record = uploaded(pipeline, key, PHOTO, Metadata={"focus": "0.25,0.75"})
    assert (record["status"], record["focus"], record["warnings"]) == ("COMPLETED", POINT, [])


def test_a_chosen_point_stays_with_its_content(pipeline, outcome, key):
    """A reprocess and a copy keep the point in new files; other content does not have it."""
    before = outcome(key, PHOTO).record
    record = set_focus(pipeline, key, POINT)
    assert (record["focus"], folder(record) == folder(before)) == (POINT, False)
    reprocess(pipeline, key)
    assert pipeline.record(key)["focus"] == POINT
    copied = uploaded(pipeline, key, PHOTO)
    assert (copied["focus"], copied["execution"].get("unchanged")) == (POINT, True)
    assert uploaded(pipeline, key, PHOTO, Metadata={"focus": "0.875,0.125"})["focus"] == ANOTHER
    assert set_focus(pipeline, key, None)["focus"] is None
    set_focus(pipeline, key, POINT)
    assert uploaded(pipeline, key, OTHER)["focus"] is None


def test_a_point_survives_deletion_and_restoration(pipeline, outcome, key):
    """A deleted image has no point, and the restored one has the same as before."""
    version = outcome(key, PHOTO).record["upload"]["versionId"]
    set_focus(pipeline, key, POINT)
    pipeline.client("s3").delete_object(Bucket=pipeline.uploads_bucket, Key=key)
    pipeline.wait_until(lambda: pipeline.record(key)["status"] == "DELETED", "the deletion")
    assert "focus" not in pipeline.record(key)
    restored = uploads.restore(
        pipeline.client,
        bucket=pipeline.uploads_bucket,
        table=pipeline.outputs["ImageTableName"],
        state_machine=pipeline.outputs["ProcessImageStateMachineArn"],
        image_key=key,
    )
    assert restored != version
    assert pipeline.wait_for(key, restored)["focus"] == POINT


def test_a_point_supersedes_the_running_execution(pipeline, key):
    """The older execution has rendered without the point, and its renditions are not shown."""
    chosen = []

    def extract(event):
        if not chosen:
            chosen.append(None)
            chosen[0] = set_focus(pipeline, key, POINT)
        return SOUND["ExtractMetadata"](event)

    pipeline.replace("ExtractMetadataFunction", extract)
    version = pipeline.upload(key, PHOTO)
    pipeline.wait_until(lambda: chosen and chosen[0], "the new point")
    record = pipeline.wait_for(key, version)
    assert (record["status"], record["focus"]) == ("COMPLETED", POINT)
    assert record["execution"]["id"].startswith("reprocess_")


def test_a_failed_attempt_keeps_the_old_renditions_and_the_new_point(pipeline, outcome, key):
    """The record shows the point of its renditions; the next attempt uses the new one."""
    before = outcome(key, PHOTO).record
    pipeline.replace(
        "GenerateThumbnailsFunction", failing("", error_named("SettingsError", "Line 3.\nCorrect it."), -1, [])
    )
    record = set_focus(pipeline, key, POINT)
    assert (record["focus"], folder(record)) == (None, folder(before))
    assert record["lastFailure"]["code"] == "SettingsError"
    pipeline.clear()
    reprocess(pipeline, key)
    assert pipeline.record(key)["focus"] == POINT


def test_a_failed_upload_shows_no_point(pipeline, key):
    """A failed upload removes the point together with the previous image."""
    uploaded(pipeline, key, PHOTO, Metadata={"focus": "0.25,0.75"})
    record = uploaded(pipeline, key, b"not an image")
    assert record["status"] == "FAILED"
    assert "focus" not in record
