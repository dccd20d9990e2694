"""The workflow as Express executions."""

import json
import os
import threading
import uuid
from datetime import UTC, datetime, timedelta
from urllib.request import Request, urlopen

import pytest

from image_pipeline.api import apikeys
from image_pipeline_cli import local_run
from image_pipeline_cli.commands import main
from image_pipeline_cli.exits import OK
from local.pipeline import Pipeline
from tests.conftest import heavy
from tests.pictures import photo
from tests.workflow.conftest import start_again, uploaded

PHOTO = photo(200, 150)


@pytest.fixture(scope="module")
def express(tmp_path_factory):
    """A pipeline with Express executions."""
    parameters = {"WorkflowType": "EXPRESS", "EmptyUploadSeconds": "0"}
    with Pipeline(tmp_path_factory.mktemp("express"), parameters=parameters, wait_scale=0.0, controls=True) as own:
        yield own


@pytest.fixture
def key(express):
    """A key that no other test has; faults are removed afterwards."""
    yield f"uploads/express/{uuid.uuid4()}.jpg"
    express.clear()


@pytest.fixture(scope="module")
def processed_key(express):
    """The key of an upload that was processed. Tests add executions to it."""
    key = "uploads/express/processed.jpg"
    express.wait_for(key, express.upload(key, PHOTO))
    return key


@pytest.fixture
def processed(express, processed_key):
    """The same; faults are removed afterwards."""
    yield processed_key
    express.clear()


def of(pipeline, key):
    """Return the executions of a key and their notifications."""
    notifications_of_key = [
        notification
        for notification in pipeline.notifications()
        if notification["MessageAttributes"]["imageKey"]["Value"] == key
    ]
    return [execution for execution in pipeline.executions() if execution.key == key], notifications_of_key


def watch(pipeline):
    """Run the function that EventBridge runs every five minutes."""
    answer = pipeline.client("lambda").invoke(
        FunctionName="image-pipeline-WatchRecordsFunction", Payload=json.dumps({"id": "1"})
    )
    return json.loads(answer["Payload"].read())


def claimed(pipeline, key, minutes):
    """Turn a record into that of an execution that started this long ago and did not end."""
    at = (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat()
    pipeline.client("dynamodb").update_item(
        TableName=pipeline.outputs["ImageTableName"],
        Key={"ImageKey": {"S": key}},
        UpdateExpression="SET #s = :processing, claimShard = :shard, claimedAt = :at, #u.uploadedAt = :at, #e = :e",
        ExpressionAttributeNames={"#s": "status", "#u": "upload", "#e": "execution"},
        ExpressionAttributeValues={
            ":processing": {"S": "PROCESSING"},
            ":shard": {"S": "0"},
            ":at": {"S": at},
            ":e": {"M": {"id": {"S": "lost"}, "startedAt": {"S": at}}},
        },
    )


@pytest.mark.parametrize(("data", "status"), [(PHOTO, "COMPLETED"), (b"Only words.", "FAILED")])
def test_an_upload_ends_as_in_a_standard_workflow(express, key, data, status):
    """The upload has one outcome and one notification with the URL of the execution."""
    express.upload(key, data)
    assert express.wait_for(key)["status"] == status
    (execution,), (notification,) = of(express, key)
    assert ":express:" in execution.arn
    record = express.record(key) or {}
    assert execution.name == record["execution"]["id"]  # by which `make run` tells whose record it is
    assert f"#/express-executions/details/{execution.arn}?startDate=1" in notification["Message"]
    assert not [
        execution for execution in express.executions("SettleImageStateMachine") if key in json.dumps(execution.event)
    ]


def run_named(pipeline, name, event):
    """Run an execution with a name to its end."""
    states = pipeline.client("stepfunctions")
    arn = states.start_execution(
        stateMachineArn=pipeline.outputs["ProcessImageStateMachineArn"], name=name, input=json.dumps(event)
    )["executionArn"]
    pipeline.wait_for_end(arn)
    return next(execution for execution in pipeline.executions() if execution.arn == arn)


def test_a_second_run_of_an_execution_has_no_effect(express, processed):
    """Step Functions may run an Express execution more than once; a reprocess counts once, too."""

    def check(run):
        record, notifications = express.record(processed), of(express, processed)[1]
        assert express.states_entered(run(record["execution"]["id"]))[-1] == "Superseded"
        assert express.record(processed) == record
        assert of(express, processed)[1] == notifications

    execution = of(express, processed)[0][0]
    check(lambda name: run_named(express, name, execution.event))
    check(lambda _: start_again(express, execution))
    event = json.loads(json.dumps(execution.event))
    event["detail"]["reprocess"] = True
    run_named(express, f"reprocess_{uuid.uuid4()}", event)
    check(lambda name: run_named(express, name, event))


def test_a_timed_out_execution_is_restarted_and_completes(express, processed):
    """Express executions publish no event when they end, so the watch finds them."""
    claimed(express, processed, minutes=7)
    assert watch(express)["restarted"] >= 1
    express.wait_until(lambda: express.record(processed)["status"] == "COMPLETED", processed)
    assert express.record(processed)["execution"]["id"].startswith("again_")


def test_a_record_is_settled_after_an_hour(express, processed):
    """The notification has the URL of the state machine, because the ARN of the execution is unknown."""
    claimed(express, processed, minutes=61)

    def notified():
        return [n for n in of(express, processed)[1] if "#/statemachines/view/arn:aws:states:" in n["Message"]]

    assert watch(express)["settled"] >= 1
    express.wait_until(lambda: len(notified()) == 1, "the notification")
    assert express.record(processed)["error"]["code"] == "ExecutionTimedOutError"


def test_an_execution_times_out_after_five_minutes_in_any_state(express, key):
    """Its record stays PROCESSING until the watch finds it; EventBridge receives nothing."""
    go_on = threading.Event()
    express.replace("ValidateImageFunction", lambda _: go_on.wait())
    express.client("s3").put_object(Bucket=express.uploads_bucket, Key=key, Body=PHOTO)
    express.wait_until(lambda: any(execution.key == key for execution in express.executions()), "the execution")
    (execution,), _ = of(express, key)
    express.wait_until(lambda: express.states_entered(execution)[-1:] == ["ValidateImage"], "the second step")
    express.time_out(execution)
    go_on.set()
    (execution,), notifications_of_key = of(express, key)
    assert execution.status == "TIMED_OUT"
    assert (express.record(key)["status"], notifications_of_key) == ("PROCESSING", [])
    assert not [
        execution for execution in express.executions("SettleImageStateMachine") if key in json.dumps(execution.event)
    ]


def test_the_name_of_an_execution_may_be_reused(express, key):
    """Standard executions reject a name that is in use."""
    event, name = uploaded(express, key), str(uuid.uuid4())
    start = express.client("stepfunctions").start_execution
    machine = express.outputs["ProcessImageStateMachineArn"]
    arns = {start(stateMachineArn=machine, name=name, input=json.dumps(event))["executionArn"] for _ in range(2)}
    assert len(arns) == 2
    express.wait_until(
        lambda: not any(execution.running for execution in express.executions() if execution.arn in arns), "both"
    )


def test_the_api_returns_the_execution_of_the_future_record(express, processed):
    """The ARN of an Express execution ends with a further id."""
    secret = apikeys.create(express.client, table=express.outputs["ApiKeyTableName"], name="a test").text
    request = Request(f"{express.api_url}/images/{processed}/reprocess", headers={"x-api-key": secret}, method="POST")
    with urlopen(request) as answer:
        execution_id = json.load(answer)["executionId"]
    express.wait_until(lambda: express.record(processed)["execution"]["id"] == execution_id, execution_id)
    express.wait_until(lambda: express.record(processed)["status"] == "COMPLETED", processed)


def test_batches_wait_for_express_executions(express, processed):
    """The function polls the records, because Express executions cannot be described."""
    message = {"bucket": express.uploads_bucket, "key": processed, "reprocess": True}
    url = express.outputs["BatchQueueUrl"]
    first = express.record(processed)["execution"]["id"]
    express.client("sqs").send_message(QueueUrl=url, MessageBody=json.dumps(message))
    express.wait_until(lambda: express.record(processed)["execution"]["id"] != first, "the second execution")
    express.wait_until(lambda: express.record(processed)["status"] == "COMPLETED", processed)


def test_a_standard_execution_waits_for_an_empty_upload(express, key):
    """A standard execution cannot be lost; the outcome is the same."""
    record = express.wait_for(key, express.upload(key, b""))
    assert (record["status"], record["error"]["code"]) == ("FAILED", "EmptyUploadError")
    executions, notifications_of_key = of(express, key)
    waited, processed = sorted(executions, key=lambda execution: execution.started)
    assert ":execution:" in waited.arn
    assert ":express:" in processed.arn
    assert processed.name == f"waited_{waited.name}"
    assert [execution["MessageAttributes"]["status"]["Value"] for execution in notifications_of_key] == ["FAILURE"]


@heavy
def test_verify_accepts_a_stack_with_express_executions(express, tmp_path, capsys):
    """`image-pipeline verify` needs no description of an execution."""
    (tmp_path / local_run.NOTE_NAME).write_text(json.dumps({**express.facts, "pid": os.getpid()}))
    code = main(["verify", "--yes", "--local", "--run-dir", str(tmp_path)])
    assert code == OK, capsys.readouterr().out
