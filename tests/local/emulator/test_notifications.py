"""moto_seams/notifications.py: the notification configuration of a bucket."""

from __future__ import annotations

import boto3
import pytest
from moto import mock_aws
from moto.s3.responses import S3Response

from local.emulator.moto_seams import notifications


@pytest.fixture
def installed(monkeypatch):
    """Install the seam for one test only."""
    monkeypatch.setattr(S3Response, "get_bucket_notification", S3Response.get_bucket_notification)
    notifications.install()


@mock_aws
def test_the_configuration_shows_whether_a_bucket_sends_events(installed):
    """The element exists exactly while EventBridge is on."""
    s3 = boto3.client("s3", region_name="us-east-1")
    s3.create_bucket(Bucket="bucket")

    def is_on():
        return "EventBridgeConfiguration" in s3.get_bucket_notification_configuration(Bucket="bucket")

    assert not is_on()
    s3.put_bucket_notification_configuration(
        Bucket="bucket", NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    assert is_on()
    s3.put_bucket_notification_configuration(Bucket="bucket", NotificationConfiguration={})
    assert not is_on()


def test_a_changed_moto_is_reported(monkeypatch):
    """If moto lacks a seam, the start fails and names the module to change."""
    monkeypatch.delattr(S3Response, "get_bucket_notification")
    with pytest.raises(RuntimeError, match=r"moto_seams/notifications\.py"):
        notifications.install()
