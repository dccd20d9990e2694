"""functions/publish_outcomes"""

import copy
import json

import pytest

from image_pipeline.feeds import events
from tests.conftest import ENVIRONMENT, ROOT, aws_client

EVENT = json.loads((ROOT / "events" / "publish_outcomes.json").read_text())


@pytest.fixture
def receive():
    """Return the events that a rule has sent to a queue since the last call."""
    queue = aws_client("sqs").create_queue(QueueName="listener")["QueueUrl"]
    aws_client("events").put_rule(Name="ours", EventPattern='{"source": ["image-pipeline"]}')
    target = {"Id": "queue", "Arn": "arn:aws:sqs:eu-west-1:123456789012:listener"}
    aws_client("events").put_targets(Rule="ours", Targets=[target])

    def receive():
        answer = aws_client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
        return [json.loads(message["Body"]) for message in answer.get("Messages", [])]

    return receive


def change(number, key=None, **images):
    """A change like the one in events/, with another sequence number."""
    (record,) = copy.deepcopy(EVENT["Records"])
    record["dynamodb"] |= {"SequenceNumber": str(number), **images}
    for image in ("OldImage", "NewImage"):
        if record["dynamodb"].get(image) is None:
            record["dynamodb"].pop(image, None)
        elif key:
            record["dynamodb"][image]["ImageKey"] = {"S": key}
    return record


def test_an_outcome_is_published(handler, receive):
    """The event has the time of the outcome."""
    assert handler(EVENT) == {"batchItemFailures": []}
    (event,) = receive()
    assert (event["source"], event["detail-type"]) == ("image-pipeline", "ImageCompleted")
    assert event["time"] == "2026-11-21T12:00:02Z"
    detail = event["detail"]
    assert detail["id"] == "17793124-05d4-b198-2fde-7ededc63b103:COMPLETED"
    assert detail["labels"] == [{"name": "Coffee", "confidence": 98.7}]
    assert detail["statusUrl"] == "https://api.example/images/uploads/coffee.jpg/status"
    assert detail["pipeline"] == {"version": ENVIRONMENT["PIPELINE_VERSION"], "commit": "unknown"}


def test_a_change_without_an_outcome_publishes_nothing(handler, receive):
    """Repeated writes, removed records and claims cause no event."""
    (record,) = EVENT["Records"]
    new, claim = record["dynamodb"]["NewImage"], record["dynamodb"]["OldImage"]
    records = [change(1, OldImage=new), change(2, NewImage=None), change(3, OldImage=None, NewImage=claim)]
    assert handler({"Records": records}) == {"batchItemFailures": []}
    assert receive() == []


def test_a_first_change_is_published_too(handler, receive):
    """The first change of a record has no old image."""
    assert handler({"Records": [change(1, OldImage=None)]}) == {"batchItemFailures": []}
    assert len(receive()) == 1


def test_the_first_failed_item_is_returned(handler, monkeypatch):
    """The failures are all outcomes from the first unpublished one."""
    (record,) = EVENT["Records"]
    requests = []
    monkeypatch.setattr(events, "publish", lambda _client, bus, outcomes: requests.append((bus, len(outcomes))) or 1)
    records = [
        change(1, "uploads/a.jpg"),
        change(2, OldImage=record["dynamodb"]["NewImage"]),
        change(3, "uploads/b.jpg"),
        change(4, "uploads/c.jpg"),
    ]
    assert handler({"Records": records}) == {"batchItemFailures": [{"itemIdentifier": "3"}, {"itemIdentifier": "4"}]}
    assert requests == [("default", 3)]
