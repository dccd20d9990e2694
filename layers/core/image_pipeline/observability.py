"""The logger, and what every step of the workflow has around it. Imports nothing of ours."""

import json
import time
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from aws_lambda_powertools import Logger

logger = Logger(json_serializer=partial(json.dumps, default=str))  # in ASCII: a name in an error moves no terminal

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]


def step(handler: Handler) -> Handler:
    """Log under the execution's id and add how long the step took, in milliseconds, to what it returns."""

    @wraps(handler)
    def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        started = time.perf_counter()
        logger.set_correlation_id(event["executionId"])
        result = handler(event, context)
        milliseconds = round((time.perf_counter() - started) * 1000)
        logger.info("step done", milliseconds=milliseconds)
        return {**result, "milliseconds": milliseconds}

    return lambda_handler
