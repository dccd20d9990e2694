"""The main workflow: every state, every catch, every kind of error."""

import pytest

from image_pipeline import errors
from image_pipeline.keys import printable, status_path
from image_pipeline.store import uploads
from tests.conftest import HEAVY, crossed, heavy
from tests.workflow.conftest import (
    PHOTO,
    about,
    event_again,
    put,
    renditions,
    start,
    start_again,
    statuses,
    uploaded,
)

pytestmark = pytest.mark.usefixtures("silent")

STEPS = ["ValidateImage", "GenerateThumbnails", "ExtractMetadata", "StoreResults"]
JPEG = {"format": "JPEG", "width": 200, "height": 150}


SOUND = {
    "ValidateImage": lambda event: {"source": event["upload"], "image": JPEG, "milliseconds": 1},
    "GenerateThumbnails": lambda event: {
        "image": {**JPEG, "sizeBytes": event["source"]["sizeBytes"]},
        "exif": {},
        "renditions": [],
        "summary": {},
        "picture": {"bucket": event["source"]["bucket"], "key": "thumbnails/none.jpg"},
        "warnings": [],
        "notification": {
            "shownKey": printable(event["imageKey"]),
            "statusPath": status_path(event["imageKey"]),
            "lines": ["Image: JPEG"],
        },
        "milliseconds": 2,
    },
    "ExtractMetadata": lambda _: {
        "labels": [],
        "labelModelVersion": "3.0",
        "warnings": [],
        "notification": {"lines": ["Labels: none"]},
        "milliseconds": 3,
    },
}


def failing(step, error, times, calls):
    """Return a step that fails a number of times and then succeeds."""

    def function(event):
        calls.append(event)
        if times < 0 or len(calls) <= times:
            raise error
        return SOUND[step](event)

    return function


def overtake(pipeline, key, data, validate):
    """Let another upload of the key be processed completely while the next execution validates its own.

    Args:
        pipeline: The pipeline.
        key: The key of both uploads.
        data: The content of the other upload.
        validate: Answers for the execution that is overtaken.

    Returns:
        A list that gets the version of the other upload.
    """
    versions = []

    def function(event):
        if versions:
            return SOUND["ValidateImage"](event)
        newer = put(pipeline, key, data)
        versions.append(newer["detail"]["object"]["version-id"])
        start(pipeline, newer)
        return validate(event)

    pipeline.replace("ValidateImageFunction", function)
    return versions


def error_named(name, text="It broke."):
    """Return an exception with this name, as Lambda reports it."""
    return type(name, (Exception,), {})(text)


def timed_steps(record):
    """Return the steps whose durations are in a record, and check the durations."""
    durations = record["execution"]["milliseconds"]
    assert all(0 <= milliseconds < 60_000 for milliseconds in durations.values())
    return set(durations)


def rejection(error=errors.CorruptImageError):
    return error("The picture is broken at byte 7.", "Export it again.")


def test_a_photo_takes_the_main_path(photo_outcome):
    """It claims, validates, processes, stores and notifies, with one notification."""
    assert photo_outcome.states == ["ClaimUpload", *STEPS, "NotifySuccess"]
    assert photo_outcome.execution.status == "SUCCEEDED"
    assert photo_outcome.record["status"] == "COMPLETED"
    assert photo_outcome.notified == ["SUCCESS"]
    assert timed_steps(photo_outcome.record) == {"ClaimUpload", *STEPS}


def test_the_record_exists_while_the_image_is_processed(pipeline, outcome, key):
    """The record is PROCESSING and has the data of the upload."""
    records = []

    def validate(event):
        records.append(pipeline.record(key))
        return SOUND["ValidateImage"](event)

    pipeline.replace("ValidateImageFunction", validate)
    upload = outcome(key, PHOTO).record["upload"]
    assert records[0]["status"] == "PROCESSING"
    assert records[0]["upload"] == upload
    assert upload["sizeBytes"] == len(PHOTO)


REJECTIONS = errors.RejectedError.__subclasses__()


@pytest.mark.parametrize(
    "error",
    # test_asl.py compares the retries of all of them
    [pytest.param(error, id=error.__name__, marks=() if error is REJECTIONS[0] else HEAVY) for error in REJECTIONS],
)
def test_a_rejection_is_not_retried_and_has_its_reason(pipeline, outcome, key, error):
    """Record and notification have code, message, hint and step, and the notification names the file."""
    calls = []
    pipeline.replace("ValidateImageFunction", failing("ValidateImage", rejection(error), -1, calls))
    upload_outcome = outcome(key, PHOTO)
    assert len(calls) == 1
    assert upload_outcome.execution.status == "FAILED"
    assert upload_outcome.execution.error == error.__name__
    assert upload_outcome.record["status"] == "FAILED"
    assert upload_outcome.record["error"] == {
        "code": error.__name__,
        "message": "The picture is broken at byte 7.",
        "hint": "Export it again.",
        "step": "ValidateImage",
    }
    assert upload_outcome.record["upload"]["key"] == key
    assert upload_outcome.notified == ["FAILURE"]
    body = upload_outcome.notifications[0]["Message"]
    assert all(word in body for word in (key, error.__name__, "at byte 7.", "Export it again.", "/executions/details/"))


@pytest.mark.parametrize("step", ["ClaimUpload", "ValidateImage", "GenerateThumbnails", "StoreResults"])
def test_a_failed_record_has_the_durations_of_the_steps(pipeline, outcome, key, step):
    """This includes the failed step."""
    for name, sound in SOUND.items():
        pipeline.replace(f"{name}Function", sound)
    if step == "ClaimUpload":
        pipeline.fault("dynamodb", "UpdateItem", "AccessDeniedException", times=1, containing=key)
    else:
        pipeline.replace(f"{step}Function", failing("", error_named("KeyError"), -1, []))
    record = outcome(key, PHOTO).record
    assert (record["status"], record["error"]["step"]) == ("FAILED", step)
    steps = ["ClaimUpload", *STEPS]
    assert timed_steps(record) == set(steps[: steps.index(step) + 1])
    if step == "StoreResults":
        durations = [record["execution"]["milliseconds"][name] for name in STEPS[:3]]
        assert durations == [1, 2, 3], "a function knows best how long it took"


@pytest.mark.parametrize("step", ["StoreResults", pytest.param("GenerateThumbnails", marks=HEAVY)])
def test_a_rejection_names_its_step(pipeline, outcome, key, step):
    """Record and notification name the step."""
    calls = []
    pipeline.replace(f"{step}Function", failing(step, rejection(), -1, calls))
    upload_outcome = outcome(key, PHOTO)
    assert len(calls) == 1
    assert upload_outcome.record["error"]["step"] == step
    assert upload_outcome.record["error"]["code"] == "CorruptImageError"
    assert upload_outcome.record["error"]["message"] == "The picture is broken at byte 7."
    assert upload_outcome.notified == ["FAILURE"]


@pytest.mark.parametrize(
    ("step", "name", "failures"),
    [  # test_faults.py tries each error at another Task with the same retries
        pytest.param(
            step, name, failures, marks=HEAVY if (step, name) != ("ValidateImage", "Runtime.ExitError") else ()
        )
        for step in ("ValidateImage", "GenerateThumbnails", "ExtractMetadata")
        for name, failures in (
            ("StorageUnavailableError", 5),
            ("Lambda.TooManyRequestsException", 5),
            ("Lambda.ServiceException", 5),
            ("Runtime.ExitError", 1),
            ("Sandbox.Timedout", 1),
        )
    ],
)
def test_a_transient_error_is_retried(pipeline, outcome, key, step, name, failures):
    """Throttling, AWS errors and a crash are retried, and the image completes."""
    calls = []
    pipeline.replace("ExtractMetadataFunction", SOUND["ExtractMetadata"])
    pipeline.replace(f"{step}Function", failing(step, error_named(name), failures, calls))
    upload_outcome = outcome(key, PHOTO)
    assert len(calls) == failures + 1
    assert upload_outcome.record["status"] == "COMPLETED"
    assert upload_outcome.notified == ["SUCCESS"]


@pytest.mark.parametrize(
    ("step", "name", "calls_expected"),
    [  # test_faults.py tries the other errors at another Task, and a bug at every Task
        pytest.param(step, name, calls, marks=HEAVY if (step, name) != ("ValidateImage", "KeyError") else ())
        for step in ("ValidateImage", "GenerateThumbnails", "StoreResults")
        for name, calls in (
            ("KeyError", 1),
            ("StorageUnavailableError", 41),
            ("Lambda.ServiceException", 7),
            ("Runtime.ExitError", 2),
        )
    ],
)
def test_a_permanent_error_fails_under_its_own_name(pipeline, outcome, key, step, name, calls_expected):
    """Each error is FAILED after its retries; a bug is not retried."""
    calls = []
    pipeline.replace(f"{step}Function", failing(step, error_named(name), -1, calls))
    upload_outcome = outcome(key, PHOTO)
    assert len(calls) == calls_expected
    assert upload_outcome.record["status"] == "FAILED"
    assert (upload_outcome.record["error"]["code"], upload_outcome.record["error"]["step"]) == (name, step)
    assert "not of the file" in upload_outcome.record["error"]["hint"]
    assert upload_outcome.notified == ["FAILURE"]


@pytest.mark.parametrize(
    ("error", "calls_expected"),
    [("LabelsUnavailableError", 1), pytest.param("LabelsDelayedError", 9, marks=HEAVY)],  # test_faults.py counts calls
)
def test_without_labels_the_image_is_partial_with_a_warning(pipeline, outcome, key, error, calls_expected):
    """Renditions and metadata exist; record and notification name the missing labels and the reason."""
    calls = []
    refusal = getattr(errors, error)('Rekognition refused the picture: "X".', "Check the region.")
    pipeline.replace("ExtractMetadataFunction", failing("ExtractMetadata", refusal, -1, calls))
    upload_outcome = outcome(key, PHOTO)
    assert len(calls) == calls_expected
    assert upload_outcome.execution.status == "SUCCEEDED"
    assert upload_outcome.record["status"] == "PARTIAL"
    assert timed_steps(upload_outcome.record) == {"ClaimUpload", *STEPS}
    assert upload_outcome.record["warnings"] == [
        {
            "code": "LabelsUnavailableError",
            "message": 'Rekognition refused the picture: "X".',
            "hint": "Check the region.",
        }
    ]
    assert len(upload_outcome.record["renditions"]) > 0
    assert upload_outcome.record["exif"] == {}
    assert upload_outcome.notified == ["SUCCESS"]
    assert "without labels" in upload_outcome.notifications[0]["Subject"]
    assert "Warning: Rekognition refused" in upload_outcome.notifications[0]["Message"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        pytest.param(
            *("Runtime.ExitError", "signal: killed", "The labelling step ended with Runtime.ExitError."), marks=HEAVY
        ),
        ("ClientError", "User: arn:aws:sts::1:x is not authorized", "The labelling step ended with ClientError."),
        ("ParamValidationError", "Failed:\nBucket x.", "The labelling step ended with ParamValidationError."),
        pytest.param("LabelsUnavailableError", "Refused.\nCheck it.", "Refused.", marks=HEAVY),
        ("LabelsUnavailableError", "x" * 5000 + "\nCheck it.", "x" * 1000),
    ],
)
def test_a_failed_labelling_keeps_the_renditions(pipeline, outcome, key, name, text, message):
    """The renditions are complete; the public warning has no internal details."""
    pipeline.replace("ExtractMetadataFunction", failing("ExtractMetadata", error_named(name, text), -1, []))
    upload_outcome = outcome(key, PHOTO)
    assert upload_outcome.record["status"] == "PARTIAL"
    assert timed_steps(upload_outcome.record) == {"ClaimUpload", *STEPS}
    assert len(upload_outcome.record["renditions"]) > 0
    (warning,) = upload_outcome.record["warnings"]
    assert warning["message"] == message
    assert warning["hint"]
    assert upload_outcome.notified == ["SUCCESS"]


@pytest.mark.parametrize("step", ["GenerateThumbnails", pytest.param("ExtractMetadata", marks=HEAVY)])
def test_an_answer_that_step_functions_rejects_is_a_notified_failure(pipeline, key, step):
    """The execution cannot catch it; the record is settled, and a notification is sent."""
    pipeline.replace(f"{step}Function", lambda event: {**SOUND[step](event), "warnings": ["x" * 1000] * 300})
    start(pipeline, put(pipeline, key, PHOTO))
    pipeline.wait_until(lambda: about(pipeline, key) != [], "the notification of the settlement")
    record = pipeline.record(key)
    assert (record["status"], record["error"]["code"]) == ("FAILED", "States.DataLimitExceeded")
    assert statuses(about(pipeline, key)) == ["FAILURE"]


def test_a_failure_removes_the_older_image_from_the_record(pipeline, outcome, processed, key):
    """The claim failed, so the failure path removes the old image from the record."""
    processed(key)
    pipeline.fault("dynamodb", "UpdateItem", "AccessDeniedException", times=1, containing=key)
    upload_outcome = outcome(key, b"words")
    assert upload_outcome.record["status"] == "FAILED"
    assert upload_outcome.record["error"]["step"] == "ClaimUpload"
    assert (
        not {"image", "renditions", "labels", "summary", "exif", "warnings", "labelModelVersion"}
        & upload_outcome.record.keys()
    )


def test_faults_of_dynamodb_and_sns_are_retried(pipeline, outcome, key):
    """Throttling and an AWS error delay the outcome or the notification, but lose neither."""
    pipeline.fault("dynamodb", "UpdateItem", "ThrottlingException", times=3, containing=key)
    pipeline.fault("dynamodb", "UpdateItem", "InternalServerError", times=2, containing=key)
    pipeline.fault("sns", "Publish", "InternalError", times=2)
    upload_outcome = outcome(key, PHOTO)
    assert upload_outcome.record["status"] == "COMPLETED"
    assert upload_outcome.notified == ["SUCCESS"]


def test_a_superseded_result_ends_quietly(pipeline, outcome, key):
    """The newer upload owns the key; this execution writes nothing and sends no notification."""
    pipeline.replace("StoreResultsFunction", failing("", errors.SupersededError("Newer.", "Nothing."), -1, []))
    upload_outcome = outcome(key, PHOTO)
    assert upload_outcome.states[-1] == "Superseded"
    assert upload_outcome.execution.status == "SUCCEEDED"
    assert upload_outcome.notified == []


def test_a_duplicate_or_older_event_changes_nothing(pipeline, outcome, key):
    """S3 delivers events at least once and in any order."""
    first = outcome(key, PHOTO)
    for changes in ({}, {"sequencer": "00"}, {"sequencer": "0018"}):
        again = start_again(pipeline, first.execution, **changes)
        assert pipeline.states_entered(again)[-1] == "Superseded", changes
        assert pipeline.record(key) == first.record, changes
    assert len(about(pipeline, key)) == 1


def test_a_newer_event_with_a_shorter_sequencer_wins(pipeline, processed, key):
    """The shorter sequencer is padded with zeros on the right, as S3 documents."""
    processed(key)
    newer = start(pipeline, event_again(pipeline, key, reprocess=False, sequencer="F1"))
    assert "ValidateImage" in pipeline.states_entered(newer)
    assert pipeline.record(key)["upload"]["sequencer"] == "F1"


def test_a_late_failure_does_not_change_the_newer_record(pipeline, outcome, key):
    """The older execution writes nothing and sends no notification."""
    newest = overtake(pipeline, key, PHOTO, failing("ValidateImage", rejection(), -1, []))
    upload_outcome = outcome(key, PHOTO)
    assert upload_outcome.states[-1] == "Superseded"
    assert upload_outcome.record["status"] == "COMPLETED"
    assert upload_outcome.record["upload"]["versionId"] == newest[0]
    assert upload_outcome.notified == ["SUCCESS"]


def test_a_superseded_execution_keeps_the_shown_renditions_current(pipeline, outcome, key):
    """It wrote the same keys; otherwise the renditions of the record would expire as old versions."""
    again = []

    def validate(event):
        if not again:  # of the upload's own execution, which the reprocess overtakes
            again.append("")
            again[0] = uploads.reprocess(
                pipeline.client,
                bucket=pipeline.uploads_bucket,
                table=pipeline.outputs["ImageTableName"],
                state_machine=pipeline.outputs["ProcessImageStateMachineArn"],
                image_key=key,
            )
            pipeline.wait_for_end(again[0])
        return SOUND["ValidateImage"](event)

    pipeline.replace("ValidateImageFunction", validate)
    start(pipeline, put(pipeline, key, PHOTO))
    record = pipeline.record(key)
    assert record["execution"]["id"] == again[0].rpartition(":")[2]
    kept, every = renditions(pipeline, key)
    assert kept.keys() == every.keys() == {rendition["versionId"] for rendition in record["renditions"]}


def test_an_overwrite_starts_with_a_clean_record(outcome, processed, key):
    """It has no data of the previous image."""
    processed(key)
    failed = outcome(key, b"words")
    assert failed.record["status"] == "FAILED"
    assert not {"image", "renditions", "labels", "summary", "exif", "warnings"} & failed.record.keys()
    good = outcome(key, PHOTO)
    assert good.record["status"] == "COMPLETED"
    assert "error" not in good.record
    assert good.record["createdAt"] == failed.record["createdAt"]


def test_a_denied_claim_is_a_notified_failure(pipeline, outcome, key):
    """The notification names the file although no record can be written."""
    pipeline.fault("dynamodb", "UpdateItem", "AccessDeniedException", times=-1, containing=key)
    upload_outcome = outcome(key, PHOTO)
    failure = ["RecordFailure", "NotifyFailure", "CleanRenditions", "IsSuperseded", "ImageFailed"]
    assert upload_outcome.states[-5:] == failure
    assert upload_outcome.record is None
    assert upload_outcome.notified == ["FAILURE"]
    assert "ClaimUpload" in upload_outcome.notifications[0]["Message"]


@heavy  # test_faults.py tries it, too
def test_a_failed_notification_does_not_change_a_success(pipeline, outcome, key):
    """The record is not affected."""
    pipeline.fault("sns", "Publish", "AuthorizationError", times=-1, status=403)
    upload_outcome = outcome(key, PHOTO)
    assert upload_outcome.execution.status == "SUCCEEDED"
    assert upload_outcome.record["status"] == "COMPLETED"
    assert upload_outcome.notified == []


@heavy  # test_faults.py tries it, too
def test_a_failed_notification_does_not_change_a_failure(pipeline, outcome, key):
    """The execution fails with the error of the image, not with that of SNS."""
    pipeline.fault("sns", "Publish", "AuthorizationError", times=-1, status=403)
    upload_outcome = outcome(key, b"words")
    assert upload_outcome.execution.error == "UnsupportedFormatError"
    assert upload_outcome.record["status"] == "FAILED"


ODD_TEXT = 'quotes " and \\ and {"json": [1]} and {% $states %}, emoji 🏝 and \x1b[31m escape\r\x9b\u202e of uploads/x'


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"{ODD_TEXT}\nmore\nlines",
        "long " * 20_000,
        pytest.param("no hint", marks=HEAVY),
        pytest.param("{not json}", marks=HEAVY),
    ],
    ids=["empty", "odd", "long", "no hint", "braces"],
)
def test_any_text_of_an_error_reaches_the_record(pipeline, outcome, key, text):
    """The failure path must not fail because of the message of an error."""
    pipeline.replace("ValidateImageFunction", failing("ValidateImage", error_named("OddError", text), -1, []))
    upload_outcome = outcome(key, PHOTO)
    assert upload_outcome.record["error"]["code"] == "OddError"
    first_line = printable(text.split("\n")[0])
    assert upload_outcome.record["error"]["message"] == (first_line[:1000] or "The step ended without a message.")
    assert upload_outcome.notified == ["FAILURE"]


HOSTILE_NAMES = {
    "long umlauts": "é" * 200,
    "controls": "line\r\nbreak\nX-Header: 1, tab\tand\x01control",
    "markup": "<b>&amp;</b>{% $states.input %}" + "🏝" * 60,
    "long": "a" * 900,
}


@pytest.mark.parametrize(("result", "name"), crossed(["Image processed", "Image failed"], list(HOSTILE_NAMES.values())))
def test_subjects_obey_sns_for_any_key(pipeline, name, result):
    """SNS requires one line of ASCII, shorter than 100 characters."""
    for step, sound in SOUND.items():
        pipeline.replace(f"{step}Function", sound)
    if result == "Image failed":
        pipeline.replace("ValidateImageFunction", failing("ValidateImage", rejection(), -1, []))
    key = f"uploads/workflow/{result}/{name}.jpg"
    execution = start(pipeline, uploaded(pipeline, key))
    (notification,) = [
        notification for notification in pipeline.notifications() if execution.arn in notification["Message"]
    ]
    subject, message = notification["Subject"], notification["Message"]
    assert all(line.isprintable() for line in message.split("\n"))
    assert not any(line.startswith(("X-Header", "break")) for line in message.split("\n"))
    assert subject.isascii()
    assert subject.isprintable()
    assert len(subject) < 100
    assert subject.startswith(f"{result}: uploads/workflow/")
    assert pipeline.record(key)["status"] == ("FAILED" if result == "Image failed" else "COMPLETED")


def message_of(upload_outcome):
    """Return the lines of the one notification of an upload."""
    (notification,) = upload_outcome.notifications
    return notification["Message"].split("\n")


def test_the_notification_lists_image_renditions_and_labels(pipeline, photo_outcome):
    """The outcome comes first, and the links come last."""
    upload_outcome, key = photo_outcome, photo_outcome.execution.key
    title, blank, *lines, last_blank, status, execution = message_of(upload_outcome)
    assert (title, blank, last_blank) == (f"{key} was processed.", "", "")
    assert (status, execution) == (
        f"Status: {pipeline.api_url}{status_path(key)}",
        f"Execution: https://console.aws.amazon.com/states/home?region=us-east-1#/v2/executions/details/{upload_outcome.execution.arn}",
    )
    image, *renditions, labels = lines
    assert image == f"Image: JPEG, 200 x 150 pixels, {len(PHOTO):,} bytes"
    assert [line.split(":")[0] for line in renditions] == [
        f"Rendition {rendition['name']}" for rendition in upload_outcome.record["renditions"]
    ]
    assert labels.startswith(f"Labels ({upload_outcome.record['labelModelVersion']}): ")
    assert all(label["name"] in labels for label in upload_outcome.record["labels"])


def test_an_older_function_shortens_only_the_notification(pipeline, key):
    """After a rollback, an execution may call older functions, which return no lines for it."""
    for step in ("ValidateImage", "GenerateThumbnails", "ExtractMetadata"):
        before = lambda event, step=step: {  # noqa: E731
            name: value for name, value in SOUND[step](event).items() if name != "notification"
        }
        pipeline.replace(f"{step}Function", before)
    execution = start(pipeline, uploaded(pipeline, key))
    assert execution.status == "SUCCEEDED"
    assert pipeline.record(key)["status"] == "COMPLETED"
    (notification,) = [message for message in pipeline.notifications() if execution.arn in message["Message"]]
    assert notification["Subject"] == f"Image processed: {key}"
    assert notification["Message"].startswith(f"{key} was processed.\n")


def test_an_outcome_with_a_lost_answer_stays_and_is_notified(pipeline, key, outcome):
    """StoreResults wrote the record; the workflow reads it before it reports a failure."""
    pipeline.fault(
        "lambda", "Invoke", "BrokenError", -1, status=200, containing=[key, "StoreResultsFunction"], effective=True
    )
    upload_outcome = outcome(key, PHOTO)
    assert upload_outcome.record["status"] == "COMPLETED"
    assert upload_outcome.states[-4:] == ["RecordFailure", "ReadRecord", "IsStored", "NotifySuccess"]
    assert upload_outcome.notified == ["SUCCESS"]
    assert renditions(pipeline, key)[0].keys() == {
        rendition["versionId"] for rendition in upload_outcome.record["renditions"]
    }


def test_a_failed_run_keeps_the_outcome_of_another_run(pipeline, key):
    """An Express execution may run twice; the written outcome stays and is notified once."""
    event = uploaded(pipeline, key)

    def fail_after_the_other_run(step):
        pipeline.client("dynamodb").update_item(
            TableName=pipeline.outputs["ImageTableName"],
            Key={"ImageKey": {"S": key}},
            UpdateExpression=(
                "SET #status = :completed, image = :nothing, renditions = :none, labels = :none, "
                "#execution.finishedAt = :now"
            ),
            ExpressionAttributeNames={"#status": "status", "#execution": "execution"},
            ExpressionAttributeValues={
                ":completed": {"S": "COMPLETED"},
                ":nothing": {"M": {}},
                ":none": {"L": []},
                ":now": {"S": "2026-11-21T12:00:00Z"},
            },
        )
        raise TypeError("in the second run only")

    pipeline.replace("ValidateImageFunction", fail_after_the_other_run)
    execution = start(pipeline, event)
    assert pipeline.states_entered(execution)[-1] == "Superseded"
    assert pipeline.record(key)["status"] == "COMPLETED"
    assert about(pipeline, key) == []
