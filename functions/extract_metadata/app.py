"""Ask Rekognition what is on the picture."""

import os
from typing import Any

from image_pipeline import settings
from image_pipeline.observability import step
from image_pipeline.workflow import labels, notifications


@step
def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    config, picture = settings.load(os.environ), event["picture"]
    found = labels.detect(picture["bucket"], picture["key"], config.labels_max, config.labels_min_confidence)
    return {
        "labels": found.labels,
        "labelModelVersion": found.model_version,
        "warnings": [],
        "notification": notifications.describe_labels(found.labels, found.model_version),
    }
