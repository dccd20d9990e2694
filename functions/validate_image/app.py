"""Accept or reject an upload by its first bytes, never by its name."""

import os
from typing import Any

from image_pipeline import aws, settings
from image_pipeline.imaging.formats.admission import admit
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.reader import Reader
from image_pipeline.observability import logger, step
from image_pipeline.store.storage import ObjectVersion, UploadReader

client = aws.clients("s3")


@step
def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    limits = Limits.from_settings(settings.load(os.environ))
    upload = UploadReader(client, ObjectVersion.from_json(event["upload"]))
    logger.info("validating upload", version_id=upload.source.version_id)
    header = admit(Reader.fetched(upload.read, upload.source.size_bytes), limits)
    return {"source": upload.source.to_json(), "image": header.to_dict()}
