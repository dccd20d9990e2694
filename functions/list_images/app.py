"""Answer `GET /images` with a page of images, newest first."""

import os
from typing import Any

from image_pipeline import aws, settings
from image_pipeline.api import problems, queries
from image_pipeline.feeds import listing


@problems.told("The images cannot be listed just now. Try again in a few seconds.")
def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    (table,) = settings.required(os.environ, "LISTING_TABLE")
    wanted, limit, cursor = listing.asked(queries.read(event))
    page = listing.query(aws.client, table, wanted, limit, cursor)
    return problems.answer(200, {"images": page.images, "cursor": page.cursor})
