"""What happens in S3, told to EventBridge's rules as AWS tells it.

moto's S3 notices every write, but describes it with constants, and of the deletions it notices few; `event_for` builds
the event that AWS documents (https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html).
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
    """Make moto's S3 publish events as AWS documents them.

    Raises:
        RuntimeError: moto no longer has what is replaced.
    """
    if not callable(getattr(notifications, "_send_event_bridge_message", None)):
        raise RuntimeError("moto moved s3.notifications._send_event_bridge_message: moto_seams/events.py must follow.")
    if not callable(getattr(S3Backend, "delete_object", None)):
        raise RuntimeError("moto moved S3Backend.delete_object: moto_seams/events.py must follow.")
    notifications._send_event_bridge_message = _noticed
    # moto reads the paths of a target's transformer anew for every event.
    ext.parse = lru_cache(parse)  # type: ignore[attr-defined]  # which it exports without saying so
    S3Backend.delete_object = _announcing(S3Backend.delete_object)  # type: ignore[method-assign]


def event_for(account_id: str, bucket: Any, name: str, key: Any) -> Any:
    """Build the EventBridge event for what happened to a key.

    Args:
        account_id: The account that owns the bucket.
        bucket: moto's bucket.
        name: The name of the S3 notification, such as `s3:ObjectCreated:Put`.
        key: moto's key; of a deletion, anything with its name and version.

    Returns:
        The event; its `time` is still a number of seconds, because moto's rules write it out.
    """
    entity = {"key": key.name}
    detail_type = notifications._detail_type(name)
    if detail_type == "Object Created":
        entity |= {"size": key.size}
    if detail_type != "Object Deleted":
        entity |= {"etag": key.etag.strip('"')}
    elif name == "s3:ObjectRemoved:DeleteMarkerCreated":
        entity |= {"etag": _ETAG_OF_NOTHING}  # the marker's; of what is gone there is none
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
    """Give an event of an AWS service to the rules of its account's default bus.

    Args:
        event: The event; its `time` is a number of seconds.
    """
    for rule in events_backends[event["account"]][event["region"]].event_buses["default"].rules.values():
        if rule.state == "ENABLED":
            try:
                rule.send_to_targets(event, transform_input=False)
            except Exception:  # delivery is asynchronous on AWS: a bad target never fails what the event tells of
                _LOG.exception("The event %s could not be delivered to rule %s.", event["id"], rule.name)


def _noticed(account_id: str, bucket: Any, event_name: str, key: Any) -> None:
    """Publish what moto's S3 notices, except what is told better elsewhere."""
    if event_name == "s3:ObjectCreated:Put" and key.multipart is not None:
        return  # moto announces the end of a multipart upload twice; the second event has the right reason
    # Deletions are announced below; of tags moto tells at every upload, with or without, so nobody hears of any.
    if event_name not in _DELETIONS and not event_name.startswith("s3:ObjectTagging:"):
        publish(event_for(account_id, bucket, event_name, key))


def _announcing(delete_object: Any) -> Any:
    """Wrap moto's deletion of one object, of which it announces only that of a last version."""

    def announced(
        self: S3Backend, bucket_name: str, key_name: str, version_id: str | None = None, bypass: bool = False
    ) -> Any:
        bucket = self.get_bucket(bucket_name)
        had = bucket.keys.getlist(key_name, [])
        gone = [each for each in had if each.version_id == version_id] if version_id and bucket.is_versioned else had
        success, answer = delete_object(self, bucket_name, key_name, version_id, bypass)
        marker = "" if version_id else answer.get("version-id", "")
        name = "s3:ObjectRemoved:DeleteMarkerCreated" if marker else "s3:ObjectRemoved:Delete"
        configuration = bucket.notification_configuration
        if gone and configuration and configuration.event_bridge is not None:
            key = SimpleNamespace(name=key_name, version_id=marker or version_id)
            publish(event_for(self.account_id, bucket, name, key))
        return success, answer

    return announced


def _sequencer() -> str:
    """Return a hexadecimal number that grows with every event, 16 to 18 digits as S3's."""
    global _last_sequence
    with _LOCK:
        _last_sequence = max(_last_sequence + 1, time.time_ns())
        return f"00{_last_sequence:016X}"
