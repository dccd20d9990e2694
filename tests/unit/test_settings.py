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


def test_a_release_has_the_version_and_commit_of_the_environment():
    """Both variables are optional."""
    release = {"PIPELINE_VERSION": "1.2.3", "PIPELINE_COMMIT": "5e7ed83"}
    assert settings.release(release) == {"version": "1.2.3", "commit": "5e7ed83"}
    assert settings.release({**release, "PIPELINE_COMMIT": ""}) == {"version": "1.2.3"}
    assert settings.release({}) == {}


@pytest.mark.parametrize("value", ["0", "501", "-1", "ten", "1e2", "٣", "12.5", " 7"])
def test_a_number_out_of_range_is_reported_with_its_range(value):
    """The error contains the allowed range."""
    with pytest.raises(SettingsError, match=r"MAX_UPLOAD_MEGABYTES is .* not a whole number from 1 to 500"):
        settings.load(ENVIRONMENT | {"MAX_UPLOAD_MEGABYTES": value})


def test_the_template_sets_exactly_the_variables_that_the_code_reads(template):
    """A missing or superfluous variable fails the test."""
    variables = template["Globals"]["Function"]["Environment"]["Variables"]
    names = {name for name in variables if not name.startswith("POWERTOOLS_")}
    assert names == set(ENVIRONMENT)


def test_missing_state_machines_are_reported():
    """One error lists all missing variables."""
    assert settings.load_machines(ENVIRONMENT | MACHINES).settle_image == MACHINES["SETTLE_IMAGE_ARN"]
    with pytest.raises(SettingsError, match="PROCESS_IMAGE_ARN is missing; SETTLE_IMAGE_ARN is missing; WORKFLOW_TYPE"):
        settings.load_machines({})


def test_labels_are_on_or_off():
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
    """The record needs time until SettleImage or the last step of an Express execution has ended it."""
    workflow_type = settings.WorkflowType(workflow)
    assert workflow_type.lost_seconds >= workflow_type.seconds + 60 * minutes


def test_the_template_sets_the_arns_of_the_state_machines(template):
    """Only WatchRecords needs the ARNs."""
    variables = template["Resources"]["WatchRecordsFunction"]["Properties"]["Environment"]["Variables"]
    assert variables == {"PROCESS_IMAGE_ARN": {"Ref": "ProcessImageStateMachine"}} | {
        "SETTLE_IMAGE_ARN": {"Ref": "SettleImageStateMachine"}
    }


def test_the_template_sets_the_bus_of_outcomes(template):
    """The bus of PublishOutcomes is the one that its role may use."""
    function = template["Resources"]["PublishOutcomesFunction"]["Properties"]
    variables = function["Environment"]["Variables"]
    url = template["Resources"]["ProcessImageStateMachine"]["Properties"]["DefinitionSubstitutions"][
        "ImageStatusApiUrl"
    ]
    assert variables == {"EVENT_BUS": {"Ref": "EventBusName"}, "STATUS_API_URL": url}
    statements = function["Policies"][0]["Statement"]
    (publish,) = [statement for statement in statements if statement["Action"] == "events:PutEvents"]
    assert publish["Resource"]["Fn::Sub"].endswith(":event-bus/${EventBusName}")


def test_the_lifetime_of_a_presigned_upload_is_the_parameter(template):
    """The code accepts the range of the template parameter, and both functions know the URL of the API."""
    variables = {"UPLOADS_BUCKET": "bucket", "STATUS_API_URL": "https://x", "MAX_UPLOAD_MEGABYTES": "7"}
    bounds = template["Parameters"]["PresignedUploadSeconds"]
    for seconds in (bounds["MinValue"], bounds["Default"], bounds["MaxValue"]):
        loaded = settings.load_for_presigning(variables | {"PRESIGNED_UPLOAD_SECONDS": str(seconds)})
        assert (loaded.presigned_upload_seconds, loaded.max_upload_bytes) == (seconds, 7_000_000)
    for wrong in ("", "59", "3601", "900.5"):
        with pytest.raises(SettingsError, match="PRESIGNED_UPLOAD_SECONDS"):
            settings.load_for_presigning(variables | {"PRESIGNED_UPLOAD_SECONDS": wrong})
    for function in ("UploadImageFunction", "PresignUploadFunction"):
        template_variables = template["Resources"][function]["Properties"]["Environment"]["Variables"]
        assert template_variables["UPLOADS_BUCKET"] == {"Ref": "UploadsBucket"}
        assert "${ImageStatusApi}" in template_variables["STATUS_API_URL"]["Fn::Sub"]


def test_the_template_sets_the_formats_of_uploads_over_http():
    """Uploads over HTTP use the same formats as the workflow."""
    variables = {"UPLOADS_BUCKET": "bucket", "STATUS_API_URL": "https://x", "IMAGE_FORMATS": "jpeg, PNG"}
    assert settings.load_for_intake(variables).image_formats == {"JPEG", "PNG"}
    with pytest.raises(SettingsError, match="UPLOADS_BUCKET is missing; STATUS_API_URL is missing"):
        settings.load_for_intake({"IMAGE_FORMATS": "PNG"})
