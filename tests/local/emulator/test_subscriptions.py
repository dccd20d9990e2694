"""moto_seams/subscriptions.py: the confirmation of mail addresses."""

from __future__ import annotations

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.sns.models import SNSBackend
from moto.sns.responses import SNSResponse

from local.emulator.moto_seams import subscriptions


@pytest.fixture
def installed(monkeypatch):
    """Install the seam for one test only."""
    monkeypatch.setattr(SNSBackend, "list_subscriptions_by_topic", SNSBackend.list_subscriptions_by_topic)
    monkeypatch.setattr(SNSResponse, "confirm_subscription", SNSResponse.confirm_subscription)
    subscriptions.install()


@mock_aws
def test_a_mail_address_is_pending_until_it_is_confirmed(installed):
    """Its ARN is unknown until then; a queue needs no confirmation."""
    sns = boto3.client("sns", region_name="us-east-1")
    topic = sns.create_topic(Name="topic")["TopicArn"]

    def arns():
        listed = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
        return {entry["Protocol"]: entry["SubscriptionArn"] for entry in listed}

    queue = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:123456789012:queue")
    address = sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="me@example.com")
    assert arns() == {"sqs": queue["SubscriptionArn"], "email": "PendingConfirmation"}
    with pytest.raises(ClientError, match="Invalid parameter: Token"):
        sns.confirm_subscription(TopicArn=topic, Token="you@example.com")
    sns.confirm_subscription(TopicArn=topic, Token="me@example.com")
    assert arns() == {"sqs": queue["SubscriptionArn"], "email": address["SubscriptionArn"]}


@pytest.mark.parametrize(
    ("owner", "name"), [(SNSBackend, "list_subscriptions_by_topic"), (SNSResponse, "confirm_subscription")]
)
def test_a_changed_moto_is_reported(monkeypatch, owner, name):
    """If moto lacks a seam, the start fails and names the module to change."""
    monkeypatch.delattr(owner, name)
    with pytest.raises(RuntimeError, match=r"moto_seams/subscriptions\.py"):
        subscriptions.install()
