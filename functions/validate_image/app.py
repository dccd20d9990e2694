"""Admit the picture or reject it, by the head of the object and never by its name."""

import os
from typing import Any

from image_pipeline import settings
from image_pipeline.imaging import formats
from image_pipeline.observability import logger, step
from image_pipeline.store.storage import Head, Source


@step
def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    limits = formats.Limits.from_settings(settings.load(os.environ))
    head = Head(Source.from_json(event["upload"]))
    logger.info("upload taken up", version_id=head.source.version_id)
    header = formats.admit(head.read, head.source.size_bytes, limits)
    return {"source": head.source.to_json(), "image": header.to_dict()}
