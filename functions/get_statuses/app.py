"""Answer `POST /images/statuses` with the statuses of up to a hundred uploads."""

import os
from typing import Any

from image_pipeline import aws, settings
from image_pipeline.api import bodies, problems, scopes, status, statuses

client = aws.clients("dynamodb", "s3")


@problems.answers_problems("The statuses cannot be read at the moment. Try again in a few seconds.")
def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    access = scopes.authorize(event, scopes.READ)
    config = settings.load_for_status(os.environ)
    image_keys = statuses.parse(bodies.read_json(event, statuses.EXAMPLE))
    for image_key in image_keys:
        access.check(image_key)
    records = status.find_many(client, image_keys, config)
    recorded_keys = {record["imageKey"] for record in records}
    body = {
        "statuses": [status.with_urls(client, record, config.rendition_url_seconds) for record in records],
        "missing": [image_key for image_key in image_keys if image_key not in recorded_keys],
    }
    if not statuses.fits(body):
        return problems.problem(413, "The statuses of these uploads exceed the limit of an answer. Send fewer keys.")
    return problems.answer(200, body)
