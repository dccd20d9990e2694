"""Process the uploads that a batch of messages names, and keep the messages until that is done."""

import os
from typing import Any

from image_pipeline import aws, settings
from image_pipeline.batch import batches
from image_pipeline.observability import logger


def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    stack = batches.Stack(*settings.required(os.environ, "UPLOADS_BUCKET", "IMAGE_TABLE", "PROCESS_IMAGE_ARN"))
    started, failed = batches.start(aws.client, stack, event["Records"])
    under_way = batches.wait(aws.client, stack.table, started)
    logger.info("batch done", started=len(started), failed=len(failed), under_way=len(under_way))
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}
