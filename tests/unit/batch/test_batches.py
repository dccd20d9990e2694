"""image_pipeline.batch.batches"""

import json

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from image_pipeline.batch import batches
from image_pipeline.batch.batches import BatchExecution, UploadRef, parse_message
from image_pipeline.errors import InvalidMessageError
from tests.conftest import IMAGE_TABLE, UPLOADS_BUCKET, aws_client, put_record, put_upload

NOTIFIED = {
    "eventName": "ObjectCreated:Put",
    "s3": {
        "bucket": {"name": UPLOADS_BUCKET},
        "object": {"key": "uploads/a+b%2Bc%C3%A9.jpg", "versionId": "v", "sequencer": "0F"},
    },
}
EVENT = {
    "detail-type": "Object Created",
    "detail": {
        "bucket": {"name": UPLOADS_BUCKET},
        "object": {"key": "uploads/a+b.jpg", "version-id": "v", "sequencer": "0F"},
    },
}
SIMPLE = {"bucket": UPLOADS_BUCKET, "key": "uploads/a+b%20c.jpg"}


def parsed(message):
    return parse_message(json.dumps(message), UPLOADS_BUCKET)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (SIMPLE, [UploadRef("uploads/a+b%20c.jpg")]),
        (
            {**SIMPLE, "versionId": "v", "reprocess": True},
            [UploadRef("uploads/a+b%20c.jpg", "v", None, reprocess=True)],
        ),
        ({"Records": [NOTIFIED, NOTIFIED]}, [UploadRef("uploads/a b+cé.jpg", "v", "0F")] * 2),
        (EVENT, [UploadRef("uploads/a+b.jpg", "v", "0F")]),
        (
            {"TopicArn": "t", "Message": json.dumps({"Records": [NOTIFIED]})},
            [UploadRef("uploads/a b+cé.jpg", "v", "0F")],
        ),
        ({"TopicArn": "t", "Message": json.dumps(EVENT)}, [UploadRef("uploads/a+b.jpg", "v", "0F")]),
        ({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": UPLOADS_BUCKET}, []),
    ],
)
def test_every_form_of_a_message_names_its_uploads(message, expected):
    """Only S3's own notifications contain encoded keys."""
    assert parsed(message) == expected


@pytest.mark.parametrize(
    "message",
    [
        [],
        "words",
        {},
        {"key": "uploads/a.jpg"},
        {"Records": [{}]},
        {"Records": "words"},
        {"detail": []},
        {"TopicArn": "t", "Message": "words"},
        {**SIMPLE, "bucket": "another"},
        {**SIMPLE, "key": "thumbnails/a.jpg"},
        {**SIMPLE, "key": "uploads/" + "a" * 1020},
        {**SIMPLE, "key": 1},
        {**SIMPLE, "versionId": 1},
        {**SIMPLE, "reprocess": "yes"},
        {**SIMPLE, "key": "uploads/\ud800"},
        {**SIMPLE, "versionId": "\ud800"},
        {"Records": [NOTIFIED | {"eventName": "ObjectRemoved:Delete"}]},
        EVENT | {"detail-type": "Object Deleted"},
    ],
)
def test_a_foreign_message_has_its_reason(message):
    """The error contains the reason, but no file name."""
    with pytest.raises(InvalidMessageError) as caught:
        parsed(message)
    assert "a.jpg" not in caught.value.message


@pytest.mark.parametrize("body", ["{bucket: x}", "[" * 200_000, '{"bucket":' * 200_000])
def test_invalid_json_is_reported(body):
    """Malformed JSON, and JSON that is nested too deeply, is invalid."""
    with pytest.raises(InvalidMessageError):
        parse_message(body, UPLOADS_BUCKET)


@pytest.mark.parametrize("sequencer", ["", "zz", "0055AED6DCD90281E5 ", "0\n", "０", "F" * 65])
def test_a_sequencer_is_hexadecimal(sequencer):
    """Another text could sort after every sequencer of S3 and win over every later upload."""
    named_so = EVENT["detail"]["object"] | {"sequencer": sequencer}
    with pytest.raises(InvalidMessageError):
        parsed(EVENT | {"detail": EVENT["detail"] | {"object": named_so}})
    record = {**NOTIFIED, "s3": NOTIFIED["s3"] | {"object": NOTIFIED["s3"]["object"] | {"sequencer": sequencer}}}
    with pytest.raises(InvalidMessageError):
        parsed({"Records": [record]})


# ---- Starting


@pytest.fixture
def stack(aws):
    states = aws_client("stepfunctions")
    answer = states.create_state_machine(name="process", definition="{}", roleArn="arn:aws:iam::123456789012:role/r")
    return batches.BatchResources(bucket=UPLOADS_BUCKET, table=IMAGE_TABLE, state_machine=answer["stateMachineArn"])


def start(stack, *messages):
    """Return the executions, the details of their events, and the ids of failed messages."""
    records = [{"messageId": str(number), "body": json.dumps(message)} for number, message in enumerate(messages)]
    started, failed = batches.start(aws_client, stack, records)
    states = aws_client("stepfunctions")
    arn = stack.state_machine.replace(":stateMachine:", ":execution:")
    executions = [states.describe_execution(executionArn=f"{arn}:{execution.name}") for execution in started]
    return started, [json.loads(execution["input"])["detail"] for execution in executions], failed


def test_an_upload_without_a_record_is_processed(stack):
    """The event equals that of S3, except for a sequencer that sorts before all others."""
    upload = put_upload("uploads/é.jpg", b"x")
    _, (detail,), failed = start(stack, {"bucket": UPLOADS_BUCKET, "key": "uploads/é.jpg"})
    assert failed == []
    assert detail["bucket"] == {"name": UPLOADS_BUCKET}
    parsed = {"key": "uploads/é.jpg", "size": 1, "etag": upload["etag"], "version-id": upload["versionId"]}
    assert detail["object"] == parsed | {"sequencer": "0"}


@pytest.mark.parametrize(
    ("record", "again", "expected"),
    [
        ({"status": "COMPLETED"}, False, 0),
        ({"status": "PROCESSING"}, False, 0),
        ({"status": "COMPLETED"}, True, 1),
        ({"status": "DELETED"}, False, 1),  # and restored since
        ({"status": "COMPLETED", "upload": {"versionId": "another", "etag": "another"}}, False, 1),
    ],
)
def test_a_processed_upload_is_skipped_unless_reprocess_is_set(stack, record, again, expected):
    """A message about a processed upload starts nothing."""
    upload = put_upload("uploads/a.jpg", b"x")
    put_record("uploads/a.jpg", **({"upload": upload} | record))
    started, details, failed = start(stack, {"bucket": UPLOADS_BUCKET, "key": "uploads/a.jpg", "reprocess": again})
    assert (len(started), failed) == (expected, [])
    assert all(detail["reprocess"] for detail in details)  # it must win against the claim that it equals
    assert all(detail["object"]["sequencer"] == "0055AED6DCD90281E5".ljust(64, "0") for detail in details)


@pytest.mark.parametrize(("sequencer", "expected"), [("00", 0), ("0055AED6DCD90281E5", 0), ("0055AED6DCD90281E6", 1)])
def test_events_keep_their_order(stack, sequencer, expected):
    """An event that is older than the record is not started, because it would end as Superseded."""
    put_upload("uploads/a.jpg", b"x")
    put_record("uploads/a.jpg", status="COMPLETED")
    parsed = {"key": "uploads/a.jpg", "sequencer": sequencer}
    event = {"detail-type": "Object Created", "detail": {"bucket": {"name": UPLOADS_BUCKET}, "object": parsed}}
    started, details, failed = start(stack, event)
    assert (len(started), failed) == (expected, [])
    assert all((detail["object"]["sequencer"], detail["reprocess"]) == (sequencer, False) for detail in details)


def test_a_version_is_processed_only_while_it_is_the_current_one(stack):
    """A late message must not replace a newer image with an older one."""
    first = put_upload("uploads/a.jpg", b"x")
    message = {"bucket": UPLOADS_BUCKET, "key": "uploads/a.jpg", "versionId": first["versionId"], "reprocess": True}
    _, (detail,), _ = start(stack, message)
    assert (detail["object"]["version-id"], detail["object"]["size"]) == (first["versionId"], 1)
    put_upload("uploads/a.jpg", b"xx")
    assert start(stack, message) == ([], [], [])


def test_the_version_of_an_event_is_read(stack):
    """The sequencer orders the event, and the event names the version."""
    first = put_upload("uploads/a.jpg", b"x")
    put_upload("uploads/a.jpg", b"xx")
    parsed = {"key": "uploads/a.jpg", "sequencer": "0A", "version-id": first["versionId"]}
    event = {"detail-type": "Object Created", "detail": {"bucket": {"name": UPLOADS_BUCKET}, "object": parsed}}
    _, (detail,), _ = start(stack, event)
    assert (detail["object"]["version-id"], detail["object"]["size"]) == (first["versionId"], 1)


@pytest.mark.parametrize("deleted", [True, False])
def test_a_message_about_a_missing_upload_is_done(stack, deleted):
    """A missing upload cannot be processed."""
    message = {"bucket": UPLOADS_BUCKET, "key": "uploads/a.jpg"}
    if deleted:
        put_upload("uploads/a.jpg", b"x")
        marker = aws_client("s3").delete_object(Bucket=UPLOADS_BUCKET, Key="uploads/a.jpg")
        assert start(stack, {**message, "versionId": marker["VersionId"]}) == ([], [], [])
    assert start(stack, message) == ([], [], [])


def test_a_folder_marker_is_done(stack):
    """The workflow ignores folder markers as well."""
    put_upload("uploads/folder/", b"")
    assert start(stack, {"bucket": UPLOADS_BUCKET, "key": "uploads/folder/"}) == ([], [], [])


def test_a_repeated_message_starts_one_execution(stack):
    """The message id is in the name of the execution, so a duplicate starts nothing."""
    put_upload("uploads/a.jpg", b"x")
    message = {"bucket": UPLOADS_BUCKET, "key": "uploads/a.jpg", "reprocess": True}
    (first,), _, _ = start(stack, message)
    put_record("uploads/a.jpg", uploadOrder="1" * 64)  # so that the second event is another one
    (second,), _, failed = start(stack, message)
    executions = aws_client("stepfunctions").list_executions(stateMachineArn=stack.state_machine)["executions"]
    assert (second.name, second.previous, failed, len(executions)) == (first.name, None, [], 1)


def test_a_failed_message_does_not_affect_the_others(stack):
    """Only the failed messages are reported."""
    put_upload("uploads/a.jpg", b"x")
    good = {"bucket": UPLOADS_BUCKET, "key": "uploads/a.jpg"}
    started, _, failed = start(stack, "words", good, {**good, "bucket": "another"})
    assert ([execution.name for execution in started], failed) == (["batch_1_0"], ["0", "2"])
    without_table = stack._replace(table="no-such-table")
    assert start(without_table, good) == ([], [], ["0"])


def test_a_bug_affects_only_its_message(stack, monkeypatch, caplog):
    """A bug is logged with its traceback, and only its message is delivered again."""
    read_state = batches.UploadState.read

    def stumble(client, *, key, **of):
        return read_state(client, key=key, **of) if key == "uploads/a.jpg" else {}["a bug"]

    monkeypatch.setattr(batches.UploadState, "read", stumble)
    put_upload("uploads/a.jpg", b"x")
    good, odd = ({"bucket": UPLOADS_BUCKET, "key": key} for key in ("uploads/a.jpg", "uploads/b.jpg"))
    started, _, failed = start(stack, good, odd, good)
    assert ([execution.name for execution in started], failed) == (["batch_0_0", "batch_2_0"], ["1"])
    (line,) = [record for record in caplog.records if record.getMessage() == "message failed"]
    assert (line.levelname, line.message_id, line.error) == ("ERROR", "1", "KeyError")
    assert line.exc_info


# ---- Waiting


@pytest.mark.parametrize(
    ("execution", "status", "expected"),
    [
        ("ours", "COMPLETED", True),
        ("ours", "PROCESSING", False),
        ("before", "COMPLETED", False),
        ("another", "PROCESSING", True),
    ],
)
def test_the_record_shows_whether_an_execution_has_ended(execution, status, expected):
    """An execution has ended if the record shows its outcome or a later execution."""
    record = {"execution": {"id": execution}, "status": status}
    assert BatchExecution("uploads/a.jpg", "ours", "before").has_ended(record) is expected
    assert not BatchExecution("uploads/a.jpg", "ours", "before").has_ended({})


@pytest.mark.parametrize(("failed", "expected"), [(None, False), ("ours", True), ("another", True), ("before", False)])
def test_a_failed_attempt_has_ended(failed, expected):
    """A failed attempt appears only in `lastFailure`."""
    record = {"execution": {"id": "older"}, "status": "COMPLETED"}
    if failed:
        record["lastFailure"] = {"executionId": failed}
    previous = "before" if failed == "before" else "older"
    assert BatchExecution("uploads/a.jpg", "ours", previous).has_ended(record) is expected


def test_a_batch_does_not_wait_for_a_failed_attempt(stack):
    """The newest attempt before the start is the failed one, not the one that made the image."""
    put_upload("uploads/a.jpg", b"x")
    older = {"id": "older", "startedAt": "2026-11-21T12:00:00Z"}
    put_record("uploads/a.jpg", status="COMPLETED", execution=older, lastFailure={"executionId": "first"})
    body = {"bucket": UPLOADS_BUCKET, "key": "uploads/a.jpg", "reprocess": True}
    (started,), _ = batches.start(aws_client, stack, [{"messageId": "1", "body": json.dumps(body)}])
    assert started.previous == "first"
    put_record("uploads/a.jpg", status="COMPLETED", execution=older, lastFailure={"executionId": started.name})
    assert batches.wait(aws_client, IMAGE_TABLE, [started], lambda _: None) == []


def test_waiting_ends_with_the_last_execution(aws):
    """The pauses between reads grow."""
    started = [BatchExecution(f"uploads/{number}.jpg", f"e{number}", None) for number in range(10)]
    pauses = []

    def pause(seconds):
        if len(pauses) < len(started):
            put_record(started[len(pauses)].key, status="FAILED", execution={"id": started[len(pauses)].name})
        pauses.append(seconds)

    assert batches.wait(aws_client, IMAGE_TABLE, started, pause) == []
    assert len(pauses) == 10
    assert pauses == sorted(pauses)


@pytest.mark.parametrize("answer_seconds", [0, 14])
def test_waiting_is_bounded(aws, answer_seconds):
    """Slower executions are returned; the response time of DynamoDB counts as well."""
    passed = [1000.0]

    def client(service):
        passed.append(answer_seconds)
        return aws_client(service)

    started = [BatchExecution("uploads/slow.jpg", "slow", None)]
    assert batches.wait(client, IMAGE_TABLE, started, passed.append, lambda: sum(passed)) == started
    most = batches.WAIT_SECONDS + 5 + answer_seconds
    assert batches.WAIT_SECONDS <= sum(passed) - 1000 < most


def test_hundreds_of_records_are_waited_for(aws):
    """One message may name hundreds of uploads."""
    started = [BatchExecution(f"uploads/{number}.jpg", f"e{number}", None) for number in range(201)]
    for execution in started:
        put_record(execution.key, status="COMPLETED", execution={"id": execution.name})
    assert batches.wait(aws_client, IMAGE_TABLE, started, lambda _: None) == []


@pytest.mark.parametrize("responses", [{}, {IMAGE_TABLE: []}])
def test_omitted_records_have_not_ended(aws, responses):
    """Unprocessed keys are requested again and do not end the wait."""
    table = aws_client("dynamodb")
    put_record("uploads/a.jpg", status="FAILED", execution={"id": "e"})
    left_out = {IMAGE_TABLE: {"Keys": [{"ImageKey": {"S": "uploads/a.jpg"}}]}}
    with Stubber(table) as stub:
        stub.add_response("batch_get_item", {"Responses": responses, "UnprocessedKeys": left_out})
        pauses = []

        def pause(seconds):
            pauses.append(seconds)
            if not stub._queue:
                stub.deactivate()

        started = [BatchExecution("uploads/a.jpg", "e", None)]
        assert batches.wait(lambda _: table, IMAGE_TABLE, started, pause) == []
    assert len(pauses) == 2


@pytest.mark.parametrize(("code", "passes"), [("ThrottlingException", True), ("AccessDeniedException", False)])
def test_a_transient_error_does_not_end_the_wait(aws, code, passes):
    """Transient errors do not end the wait; permanent errors fail the batch."""
    table = aws_client("dynamodb")
    put_record("uploads/a.jpg", status="FAILED", execution={"id": "e"})
    with Stubber(table) as stub:
        stub.add_client_error("batch_get_item", code, http_status_code=400)

        def pause(_):
            if not stub._queue:
                stub.deactivate()

        started = [BatchExecution("uploads/a.jpg", "e", None)]
        if passes:
            assert batches.wait(lambda _: table, IMAGE_TABLE, started, pause) == []
        else:
            with pytest.raises(ClientError, match=code):
                batches.wait(lambda _: table, IMAGE_TABLE, started, pause)
