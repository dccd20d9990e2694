"""moto_seams/sqs.py: queues return the messages that they keep."""

from __future__ import annotations

import time

import boto3
import pytest
from moto import mock_aws
from moto.core import DEFAULT_ACCOUNT_ID
from moto.sqs import models

from local.emulator.moto_seams import sqs

SEAMS = ((models, "unix_time_millis"), (models.SQSBackend, "is_message_valid_based_on_retention_period"))


@pytest.fixture
def installed(monkeypatch):
    """Install the seam for one test only."""
    for owner, name in SEAMS:
        monkeypatch.setattr(owner, name, getattr(owner, name))
    sqs.install()


@pytest.mark.parametrize(("seconds_ago", "expected"), [(0, ["here"]), (50, ["here"]), (70, []), (3600, [])])
@mock_aws
def test_a_message_is_delivered_within_its_retention_period(installed, seconds_ago, expected):
    """AWS deletes older messages."""
    client = boto3.client("sqs", region_name="us-east-1")
    url = client.create_queue(QueueName="q", Attributes={"MessageRetentionPeriod": "60"})["QueueUrl"]
    client.send_message(QueueUrl=url, MessageBody="here")
    (message,) = models.sqs_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].get_queue("q")._messages
    message.sent_timestamp -= seconds_ago * 1000
    assert [message["Body"] for message in client.receive_message(QueueUrl=url).get("Messages", [])] == expected


@mock_aws
def test_a_received_message_is_hidden_for_its_timeout(installed):
    """The message returns after the visibility timeout."""
    client = boto3.client("sqs", region_name="us-east-1")
    url = client.create_queue(QueueName="q")["QueueUrl"]
    client.send_message(QueueUrl=url, MessageBody="here")
    before = time.time()
    handle = client.receive_message(QueueUrl=url, VisibilityTimeout=100)["Messages"][0]["ReceiptHandle"]
    (message,) = models.sqs_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].get_queue("q")._messages
    assert before + 100 <= message.visible_at / 1000 <= time.time() + 100
    assert "Messages" not in client.receive_message(QueueUrl=url)
    client.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=0)
    assert "Messages" in client.receive_message(QueueUrl=url)


@pytest.mark.parametrize(("owner", "name"), SEAMS)
def test_a_moved_seam_is_reported(monkeypatch, owner, name):
    """If moto lacks a seam, the start fails and names the module to change."""
    monkeypatch.delattr(owner, name)
    with pytest.raises(RuntimeError, match=r"moto_seams/sqs\.py"):
        sqs.install()


@mock_aws
def test_only_queues_with_visible_messages_are_filled():
    """A message that is being processed cannot be received."""
    client = boto3.client("sqs", region_name="us-east-1")
    for name in ("empty", "processed", "waiting"):
        url = client.create_queue(QueueName=name)["QueueUrl"]
        if name != "empty":
            client.send_message(QueueUrl=url, MessageBody="here")
        if name == "processed":
            client.receive_message(QueueUrl=url)
    assert sqs.filled() == ["waiting"]
