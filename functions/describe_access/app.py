"""Answer `GET /access` with the rights of the caller, so that a client offers only what they permit."""

import os
from typing import Any

from image_pipeline import keys, settings
from image_pipeline.api import problems, scopes


@problems.answers_problems("The rights cannot be read at the moment. Try again in a few seconds.")
def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    access = scopes.authenticate(event)
    config = settings.load_for_access(os.environ)
    body = {
        "scopes": [scope for scope in scopes.SCOPES if scope in access.scopes],
        "folder": access.folder and access.folder.removeprefix(keys.UPLOADS_PREFIX),
        "maxUploadBytes": config.max_upload_bytes,
        "renditionUrlSeconds": config.rendition_url_seconds,
        "publicStatus": not config.status_needs_key,
    }
    return problems.answer(200, body)
