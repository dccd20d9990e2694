"""Answer `GET /images` with a page of images, newest first."""

import os
from typing import Any

from image_pipeline import aws, settings
from image_pipeline.api import problems, queries, scopes
from image_pipeline.feeds import listing


@problems.answers_problems("The images cannot be listed at the moment. Try again in a few seconds.")
def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    access = scopes.authorize(event, scopes.READ)
    (table,) = settings.required(os.environ, "LISTING_TABLE")
    query = listing.parse_query(queries.read(event), folder=access.folder)
    page = listing.read_page(aws.client, table, query)
    return problems.answer(200, {"images": page.images, "cursor": page.cursor})
