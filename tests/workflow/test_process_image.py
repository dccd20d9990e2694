"""The workflow at work: every state, every catch, every kind of error."""

import pytest

from image_pipeline import errors
from image_pipeline.keys import printable
from image_pipeline.store import uploads
from tests.pictures import photo
from tests.workflow.conftest import renditions, start, start_again, uploaded

PHOTO = photo(200, 150)
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
        "milliseconds": 2,
    },
    "ExtractMetadata": lambda _: {"labels": [], "labelModelVersion": "3.0", "warnings": [], "milliseconds": 3},
}


def failing(step, error, times, calls):
    """Stands for a step: fails so many times, then does what the step would."""

    def function(event):
        calls.append(event)
        if times < 0 or len(calls) <= times:
            raise error
        return SOUND[step](event)

    return function


def named(name, text="It broke."):
    """An exception as Lambda would report it."""
    return type(name, (Exception,), {})(text)


def steps_told(record):
    """The steps whose durations are in a record, each a possible one."""
    told = record["execution"]["milliseconds"]
    assert all(0 <= milliseconds < 60_000 for milliseconds in told.values())
    return set(told)


def rejection(error=errors.CorruptImageError):
    return error("The picture is broken at byte 7.", "Export it again.")


def test_a_photo_takes_the_main_path(outcome, key):
    """Claim, validate, process, store, notify: nothing more, and one notification."""
    seen = outcome(key, PHOTO)
    assert seen.states == ["ClaimUpload", *STEPS, "NotifySuccess"]
    assert seen.execution.status == "SUCCEEDED"
    assert seen.record["status"] == "COMPLETED"
    assert seen.notified == ["SUCCESS"]
    assert steps_told(seen.record) == {"ClaimUpload", *STEPS}


def test_the_record_exists_while_the_picture_is_processed(pipeline, outcome, key):
    """PROCESSING from the first second, with all that is known of the upload."""
    seen = []

    def validate(event):
        seen.append(pipeline.record(key))
        return SOUND["ValidateImage"](event)

    pipeline.replace("ValidateImageFunction", validate)
    upload = outcome(key, PHOTO).record["upload"]
    assert seen[0]["status"] == "PROCESSING"
    assert seen[0]["upload"] == upload
    assert upload["sizeBytes"] == len(PHOTO)


@pytest.mark.parametrize("error", errors.RejectedError.__subclasses__(), ids=lambda each: each.__name__)
def test_a_rejection_is_not_tried_again_and_says_why(pipeline, outcome, key, error):
    """FAILED with code, message, hint and step; the same words in the notification; the file is named."""
    calls = []
    pipeline.replace("ValidateImageFunction", failing("ValidateImage", rejection(error), -1, calls))
    seen = outcome(key, PHOTO)
    assert len(calls) == 1
    assert seen.execution.status == "FAILED"
    assert seen.execution.error == error.__name__
    assert seen.record["status"] == "FAILED"
    assert seen.record["error"] == {
        "code": error.__name__,
        "message": "The picture is broken at byte 7.",
        "hint": "Export it again.",
        "step": "ValidateImage",
    }
    assert seen.record["upload"]["key"] == key
    assert seen.notified == ["FAILURE"]
    body = seen.notifications[0]["Message"]
    assert all(word in body for word in (key, error.__name__, "at byte 7.", "Export it again.", "/executions/details/"))


@pytest.mark.parametrize("step", ["ClaimUpload", "ValidateImage", "GenerateThumbnails", "StoreResults"])
def test_a_failed_record_tells_how_long_the_steps_took(pipeline, outcome, key, step):
    """Who looks for the reason sees how far it came, and what took its time: the step that failed, too."""
    for name, sound in SOUND.items():
        pipeline.replace(f"{name}Function", sound)
    if step == "ClaimUpload":
        pipeline.fault("dynamodb", "UpdateItem", "AccessDeniedException", times=1, containing=key)
    else:
        pipeline.replace(f"{step}Function", failing("", named("KeyError"), -1, []))
    record = outcome(key, PHOTO).record
    assert (record["status"], record["error"]["step"]) == ("FAILED", step)
    steps = ["ClaimUpload", *STEPS]
    assert steps_told(record) == set(steps[: steps.index(step) + 1])
    if step == "StoreResults":
        told = [record["execution"]["milliseconds"][name] for name in STEPS[:3]]
        assert told == [1, 2, 3], "a function knows best how long it took"


@pytest.mark.parametrize("step", ["GenerateThumbnails", "StoreResults"])
def test_any_step_that_rejects_ends_in_a_failure_that_names_it(pipeline, outcome, key, step):
    """Whichever step it was, record and notification say so."""
    calls = []
    pipeline.replace(f"{step}Function", failing(step, rejection(), -1, calls))
    seen = outcome(key, PHOTO)
    assert len(calls) == 1
    assert seen.record["error"]["step"] == step
    assert seen.record["error"]["code"] == "CorruptImageError"
    assert seen.record["error"]["message"] == "The picture is broken at byte 7."
    assert seen.notified == ["FAILURE"]


@pytest.mark.parametrize("step", ["ValidateImage", "GenerateThumbnails", "ExtractMetadata"])
@pytest.mark.parametrize(
    ("name", "failures"),
    [
        ("StorageUnavailableError", 5),
        ("Lambda.TooManyRequestsException", 5),
        ("Lambda.ServiceException", 5),
        ("Runtime.ExitError", 1),
        ("Sandbox.Timedout", 1),
    ],
)
def test_what_passes_by_itself_is_tried_again(pipeline, outcome, key, step, name, failures):
    """Throttling and AWS's faults are waited out, a crash is tried once more; the picture completes."""
    calls = []
    pipeline.replace("ExtractMetadataFunction", SOUND["ExtractMetadata"])
    pipeline.replace(f"{step}Function", failing(step, named(name), failures, calls))
    seen = outcome(key, PHOTO)
    assert len(calls) == failures + 1
    assert seen.record["status"] == "COMPLETED"
    assert seen.notified == ["SUCCESS"]


@pytest.mark.parametrize("step", ["ValidateImage", "GenerateThumbnails", "StoreResults"])
@pytest.mark.parametrize(
    ("name", "calls_expected"),
    [("StorageUnavailableError", 41), ("Lambda.ServiceException", 7), ("Runtime.ExitError", 2), ("KeyError", 1)],
)
def test_what_lasts_ends_in_a_failure_that_blames_nobody_wrongly(pipeline, outcome, key, step, name, calls_expected):
    """After its retries each error is FAILED under its own name, and a bug is not retried at all."""
    calls = []
    pipeline.replace(f"{step}Function", failing(step, named(name), -1, calls))
    seen = outcome(key, PHOTO)
    assert len(calls) == calls_expected
    assert seen.record["status"] == "FAILED"
    assert (seen.record["error"]["code"], seen.record["error"]["step"]) == (name, step)
    assert "not of the picture" in seen.record["error"]["hint"]
    assert seen.notified == ["FAILURE"]


@pytest.mark.parametrize(("error", "calls_expected"), [("LabelsUnavailableError", 1), ("LabelsDelayedError", 9)])
def test_without_labels_the_picture_is_partial_and_says_so(pipeline, outcome, key, error, calls_expected):
    """Renditions and own metadata are there; the record and the notification tell what is missing and why."""
    calls = []
    refusal = getattr(errors, error)('Rekognition refused the picture: "X".', "Check the region.")
    pipeline.replace("ExtractMetadataFunction", failing("ExtractMetadata", refusal, -1, calls))
    seen = outcome(key, PHOTO)
    assert len(calls) == calls_expected
    assert seen.execution.status == "SUCCEEDED"
    assert seen.record["status"] == "PARTIAL"
    assert steps_told(seen.record) == {"ClaimUpload", *STEPS}
    assert seen.record["warnings"] == [
        {
            "code": "LabelsUnavailableError",
            "message": 'Rekognition refused the picture: "X".',
            "hint": "Check the region.",
        }
    ]
    assert len(seen.record["renditions"]) > 0
    assert seen.record["exif"] == {}
    assert seen.notified == ["SUCCESS"]
    assert "without labels" in seen.notifications[0]["Subject"]
    assert "Warning: Rekognition refused" in seen.notifications[0]["Message"]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("Runtime.ExitError", "signal: killed", "The labelling step ended with Runtime.ExitError."),
        ("ClientError", "User: arn:aws:sts::1:x is not authorized", "The labelling step ended with ClientError."),
        ("ParamValidationError", "Failed:\nBucket x.", "The labelling step ended with ParamValidationError."),
        ("LabelsUnavailableError", "Refused.\nCheck it.", "Refused."),
        ("LabelsUnavailableError", "x" * 5000 + "\nCheck it.", "x" * 1000),
    ],
)
def test_whatever_breaks_in_labelling_costs_only_the_labels(pipeline, outcome, key, name, text, told):
    """The renditions are finished and true; the warning is public, so it holds no words but ours."""
    pipeline.replace("ExtractMetadataFunction", failing("ExtractMetadata", named(name, text), -1, []))
    seen = outcome(key, PHOTO)
    assert seen.record["status"] == "PARTIAL"
    assert steps_told(seen.record) == {"ClaimUpload", *STEPS}
    assert len(seen.record["renditions"]) > 0
    (warning,) = seen.record["warnings"]
    assert warning["message"] == told
    assert warning["hint"]
    assert seen.notified == ["SUCCESS"]


@pytest.mark.parametrize("step", ["GenerateThumbnails", "ExtractMetadata"])
def test_an_answer_that_step_functions_does_not_take_is_a_failure_that_is_told(pipeline, key, step):
    """Nothing in the execution catches it; record and notification tell, and no picture is PROCESSING for ever."""
    pipeline.replace(f"{step}Function", lambda event: {**SOUND[step](event), "warnings": ["x" * 1000] * 300})
    version = pipeline.upload(key, PHOTO)
    pipeline.wait_for(key, version)

    def told():
        return [each for each in pipeline.notifications() if each["MessageAttributes"]["imageKey"]["Value"] == key]

    pipeline.wait_until(told, "the settlement to be told")
    record = pipeline.record(key)
    assert (record["status"], record["error"]["code"]) == ("FAILED", "States.DataLimitExceeded")
    assert [each["MessageAttributes"]["status"]["Value"] for each in told()] == ["FAILURE"]


def test_a_failure_over_an_older_picture_shows_nothing_of_it(pipeline, outcome, key):
    """The claim that would have cleaned the record was refused; the failure cleans it instead."""
    outcome(key, PHOTO)
    pipeline.fault("dynamodb", "UpdateItem", "AccessDeniedException", times=1, containing=key)
    seen = outcome(key, b"words")
    assert seen.record["status"] == "FAILED"
    assert seen.record["error"]["step"] == "ClaimUpload"
    assert (
        not {"image", "renditions", "labels", "summary", "exif", "warnings", "labelModelVersion"} & seen.record.keys()
    )


def test_faults_of_dynamodb_and_sns_are_tried_again(pipeline, outcome, key):
    """A fault of AWS's own costs seconds, never the outcome or the notification."""
    pipeline.fault("dynamodb", "UpdateItem", "InternalServerError", times=2, containing=key)
    pipeline.fault("sns", "Publish", "InternalError", times=2)
    seen = outcome(key, PHOTO)
    assert seen.record["status"] == "COMPLETED"
    assert seen.notified == ["SUCCESS"]


def test_a_superseded_result_ends_quietly(pipeline, outcome, key):
    """The newer upload speaks for the key; this one changes nothing and notifies nobody."""
    pipeline.replace("StoreResultsFunction", failing("", errors.SupersededError("Newer.", "Nothing."), -1, []))
    seen = outcome(key, PHOTO)
    assert seen.states[-1] == "Superseded"
    assert seen.execution.status == "SUCCEEDED"
    assert seen.notified == []


@pytest.mark.parametrize("sequencer", [None, "00", "0018"])
def test_a_duplicate_or_older_event_changes_nothing(pipeline, outcome, key, sequencer):
    """At least once and in any order is what S3 promises."""
    first = outcome(key, PHOTO)
    changes = {"sequencer": sequencer} if sequencer else {}
    again = start_again(pipeline, first.execution, **changes)
    assert pipeline.states_entered(again)[-1] == "Superseded"
    assert pipeline.record(key) == first.record
    assert [each["MessageAttributes"]["imageKey"]["Value"] for each in pipeline.notifications()].count(key) == 1


def test_a_newer_event_with_a_shorter_sequencer_wins(pipeline, outcome, key):
    """Sequencers are compared as S3 says: the shorter one padded with zeros on the right."""
    first = outcome(key, PHOTO)
    newer = start_again(pipeline, first.execution, sequencer="F1")
    assert "ValidateImage" in pipeline.states_entered(newer)
    assert pipeline.record(key)["upload"]["sequencer"] == "F1"


def test_a_failure_that_comes_late_does_not_touch_the_newer_record(pipeline, outcome, key):
    """The old execution fails after the new one has claimed: nothing is written, nobody is told."""
    newest = {}

    def validate(event):
        if not newest:
            newest["version"] = pipeline.upload(key, PHOTO)
            pipeline.wait_for(key, newest["version"])
            raise rejection()
        return SOUND["ValidateImage"](event)

    pipeline.replace("ValidateImageFunction", validate)
    seen = outcome(key, PHOTO)
    assert seen.states[-1] == "Superseded"
    assert seen.record["status"] == "COMPLETED"
    assert seen.record["upload"]["versionId"] == newest["version"]
    assert seen.notified == ["SUCCESS"]


def test_whoever_lost_its_claim_leaves_what_is_shown_as_the_newest(pipeline, outcome, key):
    """It wrote the same bytes under the same names; what the record points at would expire as an old version."""
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
            ).rpartition(":")[2]
            pipeline.wait_until(lambda: (pipeline.record(key) or {}).get("status") == "COMPLETED", "the reprocess")
        return SOUND["ValidateImage"](event)

    pipeline.replace("ValidateImageFunction", validate)
    version = pipeline.upload(key, PHOTO)
    record = pipeline.wait_for(key, version)
    pipeline.wait_until(lambda: not any(each.running for each in pipeline.executions() if each.key == key), "both")
    assert record["execution"]["id"] == again[0]
    kept, every = renditions(pipeline, key)
    assert kept.keys() == every.keys() == {each["versionId"] for each in record["renditions"]}


def test_an_overwrite_starts_with_a_clean_record(pipeline, outcome, key):
    """Nothing of the old picture is told of the new one."""
    outcome(key, PHOTO)
    failed = outcome(key, b"words")
    assert failed.record["status"] == "FAILED"
    assert not {"image", "renditions", "labels", "summary", "exif", "warnings"} & failed.record.keys()
    good = outcome(key, PHOTO)
    assert good.record["status"] == "COMPLETED"
    assert "error" not in good.record
    assert good.record["createdAt"] == failed.record["createdAt"]


def test_a_claim_that_is_throttled_is_tried_again(pipeline, outcome, key):
    """The table may be busy; the picture waits."""
    pipeline.fault("dynamodb", "UpdateItem", "ThrottlingException", times=3, containing=key)
    assert outcome(key, PHOTO).record["status"] == "COMPLETED"


def test_a_claim_that_is_denied_is_a_failure_with_a_notification(pipeline, outcome, key):
    """Even when no record can be written, somebody is told which file it was."""
    pipeline.fault("dynamodb", "UpdateItem", "AccessDeniedException", times=-1, containing=key)
    seen = outcome(key, PHOTO)
    failure = ["RecordFailure", "NotifyFailure", "CleanRenditions", "IsSuperseded", "ImageFailed"]
    assert seen.states[-5:] == failure
    assert seen.record is None
    assert seen.notified == ["FAILURE"]
    assert "ClaimUpload" in seen.notifications[0]["Message"]


def test_a_notification_that_cannot_be_sent_changes_no_success(pipeline, outcome, key):
    """The record is the truth; the mail is a courtesy."""
    pipeline.fault("sns", "Publish", "AuthorizationError", times=-1, status=403)
    seen = outcome(key, PHOTO)
    assert seen.execution.status == "SUCCEEDED"
    assert seen.record["status"] == "COMPLETED"
    assert seen.notified == []


def test_a_notification_that_cannot_be_sent_changes_no_failure(pipeline, outcome, key):
    """The execution still fails under the picture's error, not under SNS's."""
    pipeline.fault("sns", "Publish", "AuthorizationError", times=-1, status=403)
    seen = outcome(key, b"words")
    assert seen.execution.error == "UnsupportedFormatError"
    assert seen.record["status"] == "FAILED"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no hint",
        'quotes " and \\ and {"json": [1]} and {% $states %}',
        "three\nlines\nof text",
        "emoji 🏝 and \x1b[31m escape\r\x9b\u202e of uploads/x",
        "long " * 20_000,
        "{not json}",
    ],
    ids=["empty", "no hint", "quotes", "lines", "emoji", "long", "braces"],
)
def test_any_text_of_an_error_reaches_the_record(pipeline, outcome, key, text):
    """The failure path must not fail over the words of the failure."""
    pipeline.replace("ValidateImageFunction", failing("ValidateImage", named("OddError", text), -1, []))
    seen = outcome(key, PHOTO)
    assert seen.record["error"]["code"] == "OddError"
    first_line = printable(text.split("\n")[0])
    assert seen.record["error"]["message"] == (first_line[:1000] or "The step ended without a message.")
    assert seen.notified == ["FAILURE"]


HOSTILE_NAMES = {
    "long umlauts": "é" * 200,
    "crlf": "line\r\nbreak\nX-Header: 1",
    "control": "tab\tand\x01control",
    "emoji": "🏝" * 60,
    "html": "<b>&amp;</b>",
    "jsonata": "{% $states.input %}",
    "long": "a" * 900,
}


@pytest.mark.parametrize("name", HOSTILE_NAMES.values(), ids=HOSTILE_NAMES.keys())
@pytest.mark.parametrize("result", ["Image processed", "Image failed"])
def test_subjects_obey_sns_for_any_key(pipeline, name, result):
    """ASCII, one line, below 100 characters, or SNS refuses the notification."""
    for step, sound in SOUND.items():
        pipeline.replace(f"{step}Function", sound)
    if result == "Image failed":
        pipeline.replace("ValidateImageFunction", failing("ValidateImage", rejection(), -1, []))
    key = f"uploads/workflow/{result}/{name}.jpg"
    execution = start(pipeline, uploaded(pipeline, key))
    (notification,) = [each for each in pipeline.notifications() if execution.arn in each["Message"]]
    subject, message = notification["Subject"], notification["Message"]
    assert all(line.isprintable() for line in message.split("\n"))
    assert not any(line.startswith(("X-Header", "break")) for line in message.split("\n"))
    assert subject.isascii()
    assert subject.isprintable()
    assert len(subject) < 100
    assert subject.startswith(f"{result}: uploads/workflow/")
    assert pipeline.record(key)["status"] == ("FAILED" if result == "Image failed" else "COMPLETED")


def test_an_outcome_whose_answer_is_lost_for_good_stays_and_is_told(pipeline, key, outcome):
    """StoreResults wrote it, and every answer was lost: the record is asked before a failure is told."""
    pipeline.fault(
        "lambda", "Invoke", "BrokenError", -1, status=200, containing=[key, "StoreResultsFunction"], effective=True
    )
    seen = outcome(key, PHOTO)
    assert seen.record["status"] == "COMPLETED"
    assert seen.states[-4:] == ["RecordFailure", "ReadRecord", "IsStored", "NotifySuccess"]
    assert seen.notified == ["SUCCESS"]
    assert renditions(pipeline, key)[0].keys() == {each["versionId"] for each in seen.record["renditions"]}


def test_a_run_that_fails_does_not_take_back_what_another_run_of_it_has_done(pipeline, key):
    """An Express execution may run twice under one name: the outcome that was written stays, and is told once."""
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
    assert [each for each in pipeline.notifications() if each["MessageAttributes"]["imageKey"]["Value"] == key] == []
