"""Find and remove what earlier runs left behind because their process was killed.

The name of a run has the time of its start, so that a run that is under way elsewhere is left alone. Records of deleted
uploads and API keys stay; they expire.
"""

import re
import time
import uuid

from image_pipeline.keys import THUMBNAILS_PREFIX, UPLOADS_PREFIX
from image_pipeline_cli.checks import Check
from image_pipeline_cli.stack import Stack
from image_pipeline_cli.verify import temporary
from image_pipeline_cli.verify.temporary import PREFIX

LONGEST_SECONDS = 3600
"""No run takes longer, so what is older was left behind."""
_NAME = re.compile(rf"{PREFIX}([0-9a-f]{{8}})-[0-9a-f]{{8}}")


def new_name() -> str:
    """Return a unique name for a run that starts now."""
    return f"{PREFIX}{int(time.time()):08x}-{uuid.uuid4().hex[:8]}"


def remove(stack: Stack) -> str:
    """Remove what earlier runs left behind, and say what they were."""
    names = sorted(name for name in _names(stack) if _is_over(name))
    for name in names:
        temporary.remove_inbox(stack, name)
        for bucket, prefix in _folders(stack):
            temporary.delete_versions(stack, bucket, f"{prefix}{name}/")
    return f"Removed what was left of {', '.join(names)}." if names else "Nothing is left of earlier runs."


def _names(stack: Stack) -> set[str]:
    """Return the names of all runs that left something, also of those that are under way."""
    names = temporary.inbox_names(stack)
    for bucket, prefix in _folders(stack):
        pages = stack.client("s3").get_paginator("list_object_versions")
        for page in pages.paginate(Bucket=bucket, Prefix=prefix + PREFIX, Delimiter="/"):
            names |= {entry["Prefix"].removeprefix(prefix).rstrip("/") for entry in page.get("CommonPrefixes", ())}
    return names


def _folders(stack: Stack) -> tuple[tuple[str, str], ...]:
    outputs = stack.outputs
    return (outputs["UploadsBucketName"], UPLOADS_PREFIX), (outputs["ThumbnailsBucketName"], THUMBNAILS_PREFIX)


def _is_over(name: str) -> bool:
    started = _NAME.fullmatch(name)
    return started is not None and time.time() - int(started[1], 16) > LONGEST_SECONDS


LEFTOVERS = Check("leftovers", remove, ("sqs:ListQueues", "events:ListRules", "sns:ListSubscriptionsByTopic"))
