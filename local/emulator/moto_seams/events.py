"""Publish events of S3 to EventBridge as AWS does.

The events of moto for writes have constant values, and it sends none for most deletions; `event_for` builds the events
that AWS documents (https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html).
"""

import hashlib
import logging
import threading
import time
import uuid
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from jsonpath_ng import ext
from jsonpath_ng.ext.parser import parse
from moto.events.models import events_backends
from moto.s3 import notifications
from moto.s3.models import S3Backend

_REASONS = {
    "s3:ObjectCreated:Put": "PutObject",
    "s3:ObjectCreated:Post": "POST Object",
    "s3:ObjectCreated:Copy": "CopyObject",
    "s3:ObjectCreated:CompleteMultipartUpload": "CompleteMultipartUpload",
    "s3:ObjectRemoved:Delete": "DeleteObject",
    "s3:ObjectRemoved:DeleteMarkerCreated": "DeleteObject",
}
_DELETIONS = {
    "s3:ObjectRemoved:Delete": "Permanently Deleted",
    "s3:ObjectRemoved:DeleteMarkerCreated": "Delete Marker Created",
}
_ETAG_OF_NOTHING = hashlib.md5(b"", usedforsecurity=False).hexdigest()
_LOG = logging.getLogger(__name__)
_LOCK = threading.Lock()
_last_sequence = 0


def install() -> None:
    """Make the S3 of moto publish events as AWS documents them.

    Raises:
        RuntimeError: moto no longer has something that this module replaces.
    """
    if not callable(getattr(notifications, "_send_event_bridge_message", None)):
        raise RuntimeError("moto moved s3.notifications._send_event_bridge_message: moto_seams/events.py must follow.")
    if not callable(getattr(S3Backend, "delete_object", None)):
        raise RuntimeError("moto moved S3Backend.delete_object: moto_seams/events.py must follow.")
    notifications._send_event_bridge_message = _send_event
    # moto parses the paths of an input transformer again for every event.
    ext.parse = lru_cache(parse)  # type: ignore[attr-defined]  # not in its public names
    S3Backend.delete_object = _publishing_deletions(S3Backend.delete_object)  # type: ignore[method-assign]


def event_for(account_id: str, bucket: Any, name: str, key: Any) -> Any:
    """Build the EventBridge event of a change to a key.

    Args:
        account_id: The account that owns the bucket.
        bucket: The bucket of moto.
        name: The name of the S3 notification, such as `s3:ObjectCreated:Put`.
        key: The key of moto; for a deletion, any object with name and version.

    Returns:
        The event; its `time` is a number of seconds, which the rules of moto format.
    """
    entity = {"key": key.name}
    detail_type = notifications._detail_type(name)
    if detail_type == "Object Created":
        entity |= {"size": key.size}
    if detail_type != "Object Deleted":
        entity |= {"etag": key.etag.strip('"')}
    elif name == "s3:ObjectRemoved:DeleteMarkerCreated":
        entity |= {"etag": _ETAG_OF_NOTHING}  # the etag of the delete marker
    if bucket.is_versioned:
        entity |= {"version-id": key.version_id}
    entity |= {"sequencer": _sequencer()}
    detail = {
        "version": "0",
        "event-version": "1.0",
        "bucket": {"name": bucket.name},
        "object": entity,
        "request-id": uuid.uuid4().hex[:16].upper(),
        "requester": account_id,
        "source-ip-address": "127.0.0.1",
    }
    if name in _REASONS:
        detail["reason"] = _REASONS[name]
    if name in _DELETIONS:
        detail["deletion-type"] = _DELETIONS[name]
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": detail_type,
        "source": "aws.s3",
        "account": account_id,
        "time": time.time(),
        "region": bucket.region_name,
        "resources": [bucket.arn],
        "detail": detail,
    }


def publish(event: Any) -> None:
    """Publish an event of an AWS service on the default bus of its account.

    Args:
        event: The event; its `time` is a number of seconds.
    """
    for rule in events_backends[event["account"]][event["region"]].event_buses["default"].rules.values():
        if rule.state == "ENABLED":
            try:
                rule.send_to_targets(event, transform_input=False)
            except Exception:  # delivery is asynchronous on AWS: a failing target never fails the operation
                _LOG.exception("The event %s could not be delivered to rule %s.", event["id"], rule.name)


def _send_event(account_id: str, bucket: Any, event_name: str, key: Any) -> None:
    """Publish an event of moto, except those that are published elsewhere."""
    if event_name == "s3:ObjectCreated:Put" and key.multipart is not None:
        return  # moto sends two events for a multipart upload; the second one has the correct reason
    # `_publishing_deletions` handles deletions. moto sends tagging events for every upload, so they are dropped.
    if event_name not in _DELETIONS and not event_name.startswith("s3:ObjectTagging:"):
        publish(event_for(account_id, bucket, event_name, key))


def _publishing_deletions(delete_object: Any) -> Any:
    """Wrap the deletion of moto, which sends an event only for the last version."""

    def delete_and_publish(
        self: S3Backend, bucket_name: str, key_name: str, version_id: str | None = None, bypass: bool = False
    ) -> Any:
        bucket = self.get_bucket(bucket_name)
        versions = bucket.keys.getlist(key_name, [])
        if version_id and bucket.is_versioned:
            versions = [version for version in versions if version.version_id == version_id]
        success, answer = delete_object(self, bucket_name, key_name, version_id, bypass)
        marker = "" if version_id else answer.get("version-id", "")
        name = "s3:ObjectRemoved:DeleteMarkerCreated" if marker else "s3:ObjectRemoved:Delete"
        configuration = bucket.notification_configuration
        if versions and configuration and configuration.event_bridge is not None:
            key = SimpleNamespace(name=key_name, version_id=marker or version_id)
            publish(event_for(self.account_id, bucket, name, key))
        return success, answer

    return delete_and_publish


def _sequencer() -> str:
    """Return a hexadecimal number of 16 to 18 digits that increases with every event, as in S3."""
    global _last_sequence
    with _LOCK:
        _last_sequence = max(_last_sequence + 1, time.time_ns())
        return f"00{_last_sequence:016X}"
