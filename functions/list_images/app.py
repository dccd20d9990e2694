"""Answer `GET /images` with a page of images, newest first."""

import os
from datetime import UTC, datetime
from typing import Any

from image_pipeline import aws, settings
from image_pipeline.api import gallery, problems, queries, scopes
from image_pipeline.feeds import listing

client = aws.clients("dynamodb", "s3")


@problems.answers_problems("The images cannot be listed at the moment. Try again in a few seconds.")
def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    access = scopes.authorize(event, scopes.READ)
    (table,) = settings.required(os.environ, "LISTING_TABLE")
    url_seconds = settings.rendition_url_seconds(os.environ)
    query = listing.parse_query(access.narrow_list(queries.read(event)))
    page = listing.read_page(client, table, query)
    images = gallery.with_urls(client, page.images, url_seconds=url_seconds, now=datetime.now(UTC))
    return problems.compressed(problems.answer(200, {"images": images, "cursor": page.cursor}), event)
