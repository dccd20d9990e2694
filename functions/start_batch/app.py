"""Process the uploads that a batch of messages names, and wait, so that Lambda deletes the messages only afterwards."""

import os
from typing import Any

from image_pipeline import aws, settings
from image_pipeline.batch import batches
from image_pipeline.observability import logger

client = aws.clients("dynamodb", "s3", "stepfunctions")


def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    bucket, table, state_machine = settings.required(os.environ, "UPLOADS_BUCKET", "IMAGE_TABLE", "PROCESS_IMAGE_ARN")
    resources = batches.BatchResources(bucket=bucket, table=table, state_machine=state_machine)
    executions, failed_ids = batches.start(client, resources, event["Records"])
    running = batches.wait(client, table, executions)
    logger.info("batch done", started=len(executions), failed=len(failed_ids), under_way=len(running))
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed_ids]}
