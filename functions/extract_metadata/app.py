"""Detect the labels of an image with Rekognition, unless the stack detects none."""

import os
from typing import Any

from image_pipeline import aws, settings
from image_pipeline.observability import step
from image_pipeline.workflow import labels, notifications

client = aws.clients("rekognition")


@step
def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    config = settings.load(os.environ)
    image_file = event["picture"]
    detected = labels.NOT_DETECTED
    if config.detects_labels and image_file:  # there may be no file if the parameter has changed since the step before
        detected = labels.detect(
            client,
            bucket=image_file["bucket"],
            key=image_file["key"],
            max_labels=config.labels_max,
            min_confidence=config.labels_min_confidence,
        )
    return {
        "labels": detected.labels,
        "labelModelVersion": detected.model_version,
        "warnings": [],
        "notification": notifications.describe_labels(detected.labels, detected.model_version),
    }
