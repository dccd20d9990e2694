"""Answer `GET /` with the web page, and `GET /page/{digest}/{file}` with its files."""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

from image_pipeline import settings
from image_pipeline.api import webpage

NOT_FOUND = {
    "statusCode": 404,
    "headers": {"content-type": "application/json", "cache-control": "no-store", "x-content-type-options": "nosniff"},
    "body": json.dumps({"message": "The page has no such file. Reload the page."}),
}


def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    path = event.get("pathParameters") or {}
    page = _page()
    file = page.find(path["digest"], path["file"]) if path else page.index
    return file.answer(event.get("headers", {})) if file else NOT_FOUND


@cache
def _page() -> webpage.WebPage:
    stack, authorization, uploads_url, renditions_url = settings.required(
        os.environ, "STACK_NAME", "AUTHORIZATION", "UPLOADS_URL", "RENDITIONS_URL"
    )
    return webpage.WebPage(
        Path(__file__).with_name("web"),
        {"stack": stack, "authorization": authorization},
        webpage.security_headers(uploads_url=uploads_url, renditions_url=renditions_url),
    )
