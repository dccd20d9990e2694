"""Build the event that S3 sends to EventBridge for a new object, as the workflow reads it.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
"""

from typing import Any


def object_created(
    *, bucket: str, key: str, etag: str, size_bytes: int, sequencer: str, time: str, version_id: str | None
) -> dict[str, Any]:
    """Build an "Object Created" event.

    Args:
        bucket: the bucket of the object.
        key: the key of the object, not URL-encoded.
        etag: the etag without quotes.
        size_bytes: the size of the object.
        sequencer: the text that orders the events of a key.
        time: when the object was created, in ISO 8601.
        version_id: None in a bucket without versioning; the event then has no `version-id`.
    """
    version = {"version-id": version_id} if version_id else {}
    return {
        "detail-type": "Object Created",
        "time": time,
        "detail": {
            "bucket": {"name": bucket},
            "object": {"key": key, "size": size_bytes, "etag": etag, "sequencer": sequencer, **version},
        },
    }
