"""image_pipeline.settings"""

import pytest

from image_pipeline import settings
from image_pipeline.errors import SettingsError
from tests.conftest import ENVIRONMENT, MACHINES


def test_units_are_bytes_and_pixels():
    """Settings are converted from megabytes and megapixels to bytes and pixels."""
    loaded = settings.load(ENVIRONMENT)
    assert loaded.max_upload_bytes == 150_000_000
    assert loaded.max_pixels == 250_000_000
    assert loaded.render_memory_bytes == 1769 * 1024 * 1024
    assert loaded.labels_min_confidence == 75


def test_every_missing_variable_is_named():
    """One error lists all missing variables."""
    messages = ""
    for load in (settings.load, settings.load_for_status):
        with pytest.raises(SettingsError) as caught:
            load({})
        messages += caught.value.message
    for name in ENVIRONMENT.keys() - {"PIPELINE_VERSION", "PIPELINE_COMMIT"}:
        assert f"{name} is missing" in messages


def test_a_release_has_the_known_values():
    """Nothing fails without it."""
    known = {"PIPELINE_VERSION": "1.2.3", "PIPELINE_COMMIT": "5e7ed83"}
    assert settings.release(known) == {"version": "1.2.3", "commit": "5e7ed83"}
    assert settings.release({**known, "PIPELINE_COMMIT": ""}) == {"version": "1.2.3"}
    assert settings.release({}) == {}


@pytest.mark.parametrize("value", ["0", "501", "-1", "ten", "1e2", "٣", "12.5", " 7"])
def test_a_number_out_of_range_is_reported_with_its_range(value):
    """The error contains the allowed range."""
    with pytest.raises(SettingsError, match=r"MAX_UPLOAD_MEGABYTES is .* not a whole number from 1 to 500"):
        settings.load(ENVIRONMENT | {"MAX_UPLOAD_MEGABYTES": value})


def test_template_sets_every_variable_and_no_other(template):
    """The template sets exactly the variables that the code reads."""
    given = template["Globals"]["Function"]["Environment"]["Variables"]
    own = {name for name in given if not name.startswith("POWERTOOLS_")}
    assert own == set(ENVIRONMENT)


def test_machines_are_read_and_their_absence_is_named():
    """One error lists all missing variables."""
    assert settings.load_machines(ENVIRONMENT | MACHINES).settle_image == MACHINES["SETTLE_IMAGE_ARN"]
    with pytest.raises(SettingsError, match="PROCESS_IMAGE_ARN is missing; SETTLE_IMAGE_ARN is missing; WORKFLOW_TYPE"):
        settings.load_machines({})


def test_labels_are_detected_unless_they_are_off():
    """An unknown value must not decide about a paid call."""
    assert settings.load(ENVIRONMENT).detects_labels
    assert not settings.load(ENVIRONMENT | {"LABELS": "OFF"}).detects_labels
    with pytest.raises(SettingsError, match="LABELS is 'off', not one of REKOGNITION, OFF"):
        settings.load(ENVIRONMENT | {"LABELS": "off"})


def test_a_workflow_type_is_one_of_two():
    """An unknown type would change when a record counts as lost."""
    with pytest.raises(SettingsError, match="WORKFLOW_TYPE is 'express', not one of STANDARD, EXPRESS"):
        settings.load_for_status({**ENVIRONMENT, "WORKFLOW_TYPE": "express"})
    assert settings.load_for_status({**ENVIRONMENT, "WORKFLOW_TYPE": "EXPRESS"}).workflow.seconds == 300


@pytest.mark.parametrize(("workflow", "minutes"), [("STANDARD", 30), ("EXPRESS", 0.5)])
def test_an_execution_that_has_just_timed_out_is_not_lost(workflow, minutes):
    """Whatever ends its record needs time: SettleImage with its retries, or the last step of an Express execution."""
    workflow_type = settings.WorkflowType(workflow)
    assert workflow_type.lost_seconds >= workflow_type.seconds + 60 * minutes


def test_template_says_where_the_machines_are(template):
    """Only WatchRecords needs the ARNs."""
    given = template["Resources"]["WatchRecordsFunction"]["Properties"]["Environment"]["Variables"]
    assert given == {"PROCESS_IMAGE_ARN": {"Ref": "ProcessImageStateMachine"}} | {
        "SETTLE_IMAGE_ARN": {"Ref": "SettleImageStateMachine"}
    }


def test_template_says_where_outcomes_are_published(template):
    """The bus of PublishOutcomes is the one that its role may use."""
    function = template["Resources"]["PublishOutcomesFunction"]["Properties"]
    given = function["Environment"]["Variables"]
    url = template["Resources"]["ProcessImageStateMachine"]["Properties"]["DefinitionSubstitutions"][
        "ImageStatusApiUrl"
    ]
    assert given == {"EVENT_BUS": {"Ref": "EventBusName"}, "STATUS_API_URL": url}
    (publish,) = [each for each in function["Policies"][0]["Statement"] if each["Action"] == "events:PutEvents"]
    assert publish["Resource"]["Fn::Sub"].endswith(":event-bus/${EventBusName}")


def test_a_presigned_upload_lives_as_long_as_the_parameter_says(template):
    """The code accepts the range of the template parameter, and both functions know the URL of the API."""
    variables = {"UPLOADS_BUCKET": "bucket", "STATUS_API_URL": "https://x", "MAX_UPLOAD_MEGABYTES": "7"}
    bounds = template["Parameters"]["PresignedUploadSeconds"]
    for seconds in (bounds["MinValue"], bounds["Default"], bounds["MaxValue"]):
        read = settings.load_for_presigning(variables | {"PRESIGNED_UPLOAD_SECONDS": str(seconds)})
        assert (read.presigned_upload_seconds, read.max_upload_bytes) == (seconds, 7_000_000)
    for wrong in ("", "59", "3601", "900.5"):
        with pytest.raises(SettingsError, match="PRESIGNED_UPLOAD_SECONDS"):
            settings.load_for_presigning(variables | {"PRESIGNED_UPLOAD_SECONDS": wrong})
    for function in ("UploadImageFunction", "PresignUploadFunction"):
        given = template["Resources"][function]["Properties"]["Environment"]["Variables"]
        assert given["UPLOADS_BUCKET"] == {"Ref": "UploadsBucket"}
        assert "${ImageStatusApi}" in given["STATUS_API_URL"]["Fn::Sub"]


def test_uploads_over_http_know_the_formats():
    """Uploads over HTTP use the same formats as the workflow."""
    variables = {"UPLOADS_BUCKET": "bucket", "STATUS_API_URL": "https://x", "IMAGE_FORMATS": "jpeg, PNG"}
    assert settings.load_for_intake(variables).image_formats == {"JPEG", "PNG"}
    with pytest.raises(SettingsError, match="UPLOADS_BUCKET is missing; STATUS_API_URL is missing"):
        settings.load_for_intake({"IMAGE_FORMATS": "PNG"})
