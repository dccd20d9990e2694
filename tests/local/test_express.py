"""The same workflow as Express executions: what holds, and what holds in another way."""

import json
import threading
import uuid
from datetime import UTC, datetime, timedelta
from urllib.request import Request, urlopen

import pytest

from image_pipeline.api import apikeys
from local.pipeline import Pipeline
from tests.pictures import photo
from tests.workflow.conftest import start_again, uploaded

PHOTO = photo(200, 150)


@pytest.fixture(scope="module")
def express(tmp_path_factory):
    """A pipeline of its own."""
    parameters = {"WorkflowType": "EXPRESS", "EmptyUploadSeconds": "0"}
    with Pipeline(tmp_path_factory.mktemp("express"), parameters=parameters, wait_scale=0.0, controls=True) as own:
        yield own


@pytest.fixture
def key(express):
    """A key that no other test has; afterwards, no faults."""
    yield f"uploads/express/{uuid.uuid4()}.jpg"
    express.clear()


def of(pipeline, key):
    """The executions of a key, and what was told of it."""
    told = [each for each in pipeline.notifications() if each["MessageAttributes"]["imageKey"]["Value"] == key]
    return [each for each in pipeline.executions() if each.key == key], told


def watch(pipeline):
    """What EventBridge does every five minutes."""
    answer = pipeline.client("lambda").invoke(
        FunctionName="image-pipeline-WatchRecordsFunction", Payload=json.dumps({"id": "1"})
    )
    return json.loads(answer["Payload"].read())


def claimed(pipeline, key, minutes):
    """A record whose execution began so long ago and has not been heard of since."""
    version = pipeline.client("s3").put_object(Bucket=pipeline.uploads_bucket, Key=key, Body=PHOTO)["VersionId"]
    pipeline.wait_for(key, version)
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
def test_an_upload_ends_as_ever(express, key, data, status):
    """One outcome, one notification, which leads to the execution's page; nothing is settled that needs no settling."""
    express.upload(key, data)
    assert express.wait_for(key)["status"] == status
    (execution,), (notification,) = of(express, key)
    assert ":express:" in execution.arn
    record = express.record(key) or {}
    assert execution.name == record["execution"]["id"]  # by which `make run` tells whose record it is
    assert f"#/express-executions/details/{execution.arn}?startDate=1" in notification["Message"]
    assert not [each for each in express.executions("SettleImageStateMachine") if key in json.dumps(each.event)]


def run_named(pipeline, name, event):
    """Run an execution of this name to its end."""
    states = pipeline.client("stepfunctions")
    arn = states.start_execution(
        stateMachineArn=pipeline.outputs["ProcessImageStateMachineArn"], name=name, input=json.dumps(event)
    )["executionArn"]
    pipeline.wait_until(lambda: states.describe_execution(executionArn=arn)["status"] != "RUNNING", arn)
    return next(each for each in pipeline.executions() if each.arn == arn)


@pytest.mark.parametrize("kind", ["the same", "another", "a reprocess"])
def test_an_execution_that_runs_twice_changes_nothing(express, key, kind):
    """Step Functions may run an Express execution more than once; a reprocess, too, counts once."""
    express.upload(key, PHOTO)
    express.wait_for(key)
    ((execution,), _) = of(express, key)
    event = json.loads(json.dumps(execution.event))
    if kind == "a reprocess":
        event["detail"]["reprocess"] = True
        run_named(express, f"reprocess_{uuid.uuid4()}", event)
    record, told = express.record(key), of(express, key)[1]
    if kind == "another":
        second = start_again(express, execution)
    else:
        second = run_named(express, record["execution"]["id"], event)
    assert express.states_entered(second)[-1] == "Superseded"
    assert express.record(key) == record
    assert of(express, key)[1] == told


def test_what_ran_out_of_time_is_started_again_and_completes(express, key):
    """Nobody tells of the end of an Express execution, so the watch looks."""
    claimed(express, key, minutes=7)
    assert watch(express)["restarted"] >= 1
    express.wait_until(lambda: express.record(key)["status"] == "COMPLETED", key)
    assert express.record(key)["execution"]["id"].startswith("again_")


def test_after_an_hour_it_is_settled(express, key):
    """With one notification that leads to the workflow, as nothing knows the execution's address."""
    claimed(express, key, minutes=61)
    told = len(of(express, key)[1])
    assert watch(express)["settled"] >= 1
    express.wait_until(lambda: len(of(express, key)[1]) == told + 1, "the notification")
    assert express.record(key)["error"]["code"] == "ExecutionTimedOutError"
    assert "#/statemachines/view/arn:aws:states:" in of(express, key)[1][-1]["Message"]


def test_five_minutes_end_it_wherever_it_is(express, key):
    """Its record stays PROCESSING for the watch to find; EventBridge hears of nothing."""
    go_on = threading.Event()
    express.replace("ValidateImageFunction", lambda _: go_on.wait())
    express.client("s3").put_object(Bucket=express.uploads_bucket, Key=key, Body=PHOTO)
    express.wait_until(lambda: any(each.key == key for each in express.executions()), "the execution")
    (execution,), _ = of(express, key)
    express.wait_until(lambda: express.states_entered(execution)[-1] == "ValidateImage", "the second step")
    express.time_out(execution)
    go_on.set()
    (execution,), told = of(express, key)
    assert execution.status == "TIMED_OUT"
    assert (express.record(key)["status"], told) == ("PROCESSING", [])
    assert not [each for each in express.executions("SettleImageStateMachine") if key in json.dumps(each.event)]


def test_a_name_of_an_execution_may_be_used_again(express, key):
    """Which Standard executions refuse."""
    event, name = uploaded(express, key), str(uuid.uuid4())
    start = express.client("stepfunctions").start_execution
    machine = express.outputs["ProcessImageStateMachineArn"]
    arns = {start(stateMachineArn=machine, name=name, input=json.dumps(event))["executionArn"] for _ in range(2)}
    assert len(arns) == 2
    express.wait_until(lambda: not any(each.running for each in express.executions() if each.arn in arns), "both")


def test_the_api_tells_the_execution_that_the_record_will_name(express, key):
    """The ARN of an Express execution ends in another id."""
    express.upload(key, PHOTO)
    express.wait_for(key)
    secret = apikeys.create(express.client, table=express.outputs["ApiKeyTableName"], name="a test").text
    request = Request(f"{express.api_url}/images/{key}/reprocess", headers={"x-api-key": secret}, method="POST")
    with urlopen(request) as answer:
        execution_id = json.load(answer)["executionId"]
    express.wait_until(lambda: express.record(key)["execution"]["id"] == execution_id, execution_id)
    express.wait_until(lambda: express.record(key)["status"] == "COMPLETED", key)


def test_batches_are_waited_for_as_ever(express, key):
    """By the records, as nobody can ask for an Express execution."""
    version = express.client("s3").put_object(Bucket=express.uploads_bucket, Key=key, Body=PHOTO)["VersionId"]
    express.wait_for(key, version)
    message = {"bucket": express.uploads_bucket, "key": key, "reprocess": True}
    url = express.outputs["BatchQueueUrl"]
    first = express.record(key)["execution"]["id"]
    express.client("sqs").send_message(QueueUrl=url, MessageBody=json.dumps(message))
    express.wait_until(lambda: express.record(key)["execution"]["id"] != first, "the second execution")
    express.wait_until(lambda: express.record(key)["status"] == "COMPLETED", key)


def test_an_empty_upload_is_waited_for_by_a_standard_execution(express, key):
    """Which cannot get lost on the way; the outcome is the same, told once."""
    record = express.wait_for(key, express.upload(key, b""))
    assert (record["status"], record["error"]["code"]) == ("FAILED", "EmptyUploadError")
    executions, told = of(express, key)
    waited, processed = sorted(executions, key=lambda each: each.started)
    assert ":execution:" in waited.arn
    assert ":express:" in processed.arn
    assert processed.name == f"waited_{waited.name}"
    assert [each["MessageAttributes"]["status"]["Value"] for each in told] == ["FAILURE"]
