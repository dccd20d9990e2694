"""The point of an upload: which event sets it, which keep it, and which replace it."""

from decimal import Decimal

import pytest

from image_pipeline.store import uploads
from tests.workflow.conftest import OTHER, PHOTO, deletion, event_again, put, repair, start
from tests.workflow.test_process_image import SOUND, error_named, failing
from tests.workflow.test_reprocess import reprocess

pytestmark = pytest.mark.usefixtures("silent")

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
    start(pipeline, put(pipeline, key, data, **options))
    return pipeline.record(key)


def folder(record):
    """Return the folder of the renditions, which has the content id."""
    return record["renditions"][0]["key"].rpartition("/")[0]


def test_a_point_in_the_metadata_is_rendered_and_recorded(pipeline, photo_outcome, key):
    """The record of an upload without a point has none."""
    assert photo_outcome.record["focus"] is None
    record = uploaded(pipeline, key, PHOTO, Metadata={"focus": "0.25,0.75"})
    assert (record["status"], record["focus"], record["warnings"]) == ("COMPLETED", POINT, [])


def test_a_chosen_point_stays_with_its_content(pipeline, processed, key):
    """A reprocess and a copy keep the point in new files; other content does not have it."""
    before = processed(key)
    record = set_focus(pipeline, key, POINT)
    assert (record["focus"], folder(record) == folder(before)) == (POINT, False)
    reprocess(pipeline, key)
    assert pipeline.record(key)["focus"] == POINT
    copied = uploaded(pipeline, key, PHOTO)
    assert (copied["focus"], copied["execution"].get("unchanged")) == (POINT, True)
    assert uploaded(pipeline, key, OTHER)["focus"] is None
    assert uploaded(pipeline, key, PHOTO, Metadata={"focus": "0.875,0.125"})["focus"] == ANOTHER
    assert set_focus(pipeline, key, None)["focus"] is None


def test_a_point_survives_deletion_and_restoration(pipeline, processed, key):
    """A deleted image has no point, and the restored one has the same as before."""
    version = processed(key)["upload"]["versionId"]
    set_focus(pipeline, key, POINT)
    pipeline.client("s3").delete_object(Bucket=pipeline.uploads_bucket, Key=key)
    start(pipeline, deletion(pipeline, key), "DeleteImage")
    assert "focus" not in pipeline.record(key)
    restored = uploads.restore(
        pipeline.client,
        bucket=pipeline.uploads_bucket,
        table=pipeline.outputs["ImageTableName"],
        state_machine=pipeline.outputs["ProcessImageStateMachineArn"],
        image_key=key,
    )
    assert restored != version
    execution = start(pipeline, event_again(pipeline, key, reprocess=False, sequencer="F2"))
    assert execution.version_id == restored
    assert pipeline.record(key)["focus"] == POINT


def test_a_point_supersedes_the_running_execution(pipeline, key):
    """The older execution has rendered without the point, and its renditions are not shown."""
    chosen = []

    def extract(event):
        if not chosen:
            chosen.append(None)
            chosen[0] = set_focus(pipeline, key, POINT)
        return SOUND["ExtractMetadata"](event)

    pipeline.replace("ExtractMetadataFunction", extract)
    record = uploaded(pipeline, key, PHOTO)
    assert chosen == [record]
    assert (record["status"], record["focus"]) == ("COMPLETED", POINT)
    assert record["execution"]["id"].startswith("reprocess_")


def test_a_failed_attempt_keeps_the_old_renditions_and_the_new_point(pipeline, processed, key):
    """The record shows the point of its renditions; the next attempt uses the new one."""
    before = processed(key)
    pipeline.replace(
        "GenerateThumbnailsFunction", failing("", error_named("SettingsError", "Line 3.\nCorrect it."), -1, [])
    )
    record = set_focus(pipeline, key, POINT)
    assert (record["focus"], folder(record)) == (None, folder(before))
    assert record["lastFailure"]["code"] == "SettingsError"
    repair(pipeline)
    reprocess(pipeline, key)
    assert pipeline.record(key)["focus"] == POINT


def test_a_failed_upload_shows_no_point(pipeline, processed, key):
    """A failed upload removes the point together with the previous image."""
    processed(key, focus={"x": Decimal("0.25"), "y": Decimal("0.75")})
    record = uploaded(pipeline, key, b"not an image")
    assert record["status"] == "FAILED"
    assert "focus" not in record
