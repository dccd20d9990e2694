"""Answer `GET /images/uploads/{filename}/status` with the record of the upload."""

import os
from typing import Any

from image_pipeline import problems, settings, status

NOT_FOUND = "Image details not found for the given image identifier."


@problems.told("The status cannot be read just now. Try again in a few seconds.")
def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    record = status.find(event["rawPath"], settings.load_for_status(os.environ))
    return problems.problem(404, NOT_FOUND) if record is None else problems.answer(200, record)
