"""Logs and metrics, and what every step of the workflow has around it.

Metrics are log lines in CloudWatch's embedded metric format: no call, nothing to wait for. Each has the dimension
`service`, which is the stack, and no other that users can fill. What is counted may be counted twice when a step is
repeated after a lost answer.
"""

import json
import logging
import os
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial, wraps
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from image_pipeline.errors import REJECTIONS, PipelineError, SupersededError, UnchangedError

# RFC 3339: Lambda takes a line with another kind of time for INFO, whatever its level. ASCII: AWS names objects in its
# errors, and a name must not move the terminal of whoever reads the log.
logger = Logger(use_rfc3339=True, json_serializer=partial(json.dumps, default=str))
_metrics = Metrics(namespace="ImagePipeline")


def _apply_log_level(name: str) -> None:
    """Set the least severity that is logged.

    Powertools obeys `AWS_LAMBDA_LOG_LEVEL`, the level of Lambda's own filter, before its own variable. That filter must
    stay at INFO or below, or it would drop metrics, so the level is set on the standard loggers. Libraries log through
    the root logger: they get the same level, but not DEBUG, where botocore writes down object keys and signatures.

    Args:
        name: The level, such as `ERROR`.
    """
    logging.getLogger(logger.service).setLevel(name)
    root = logging.getLogger()
    root.setLevel(max(root.level, logging.getLogger(logger.service).level, logging.INFO))


_apply_log_level(os.environ.get("POWERTOOLS_LOG_LEVEL", "INFO"))

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]

_OUTCOMES = {"COMPLETED": "ImageCompleted", "PARTIAL": "ImagePartial", "FAILED": "ImageFailed"}


def step(handler: Handler) -> Handler:
    """Log under the execution's id and add how long the step took, in milliseconds, to what it returns."""

    @wraps(handler)
    def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        started = time.perf_counter()
        logger.set_correlation_id(event["executionId"])
        try:
            result = handler(event, context)
        except (SupersededError, UnchangedError) as error:  # ways to end that the workflow knows, and no failures
            logger.info("step ended", reason=type(error).__name__)
            raise
        except Exception as error:
            # Lambda logs the error, too, but under the id of the request. Our own errors need no traceback.
            logger.warning("step failed", error=type(error).__name__, exc_info=not isinstance(error, PipelineError))
            raise
        milliseconds = round((time.perf_counter() - started) * 1000)
        logger.info("step done", milliseconds=milliseconds)
        return {**result, "milliseconds": milliseconds}

    return lambda_handler


def log_warnings(warnings: Iterable[str]) -> None:
    """Log what an operator should look at, one line each."""
    for warning in warnings:
        logger.warning(warning)


def caller(event: dict[str, Any]) -> str | None:
    """Who asks, by an id that tells nothing else: the KeyId, or the subject of a token; None where anybody may."""
    authorizer = event["requestContext"].get("authorizer", {})
    claims = authorizer.get("jwt", {}).get("claims", {})
    who: str | None = authorizer.get("lambda", {}).get("keyId") or claims.get("sub")
    return who


def count_success(record: dict[str, Any]) -> None:
    """Count a picture that came through, how long it took from its claim, and its bytes.

    Args:
        record: what was written: `status`, `execution`, `image` and `renditions`.
    """
    execution = record["execution"]
    took = datetime.fromisoformat(execution["finishedAt"]) - datetime.fromisoformat(execution["startedAt"])
    _count_outcome(record["status"])
    _add("ProcessingMilliseconds", MetricUnit.Milliseconds, took.total_seconds() * 1000)
    _add("BytesIn", MetricUnit.Bytes, record["image"]["sizeBytes"])
    _add("BytesOut", MetricUnit.Bytes, sum(rendition["sizeBytes"] for rendition in record["renditions"]))
    _flush()


def count_failure(error_code: str) -> None:
    """Count an upload that failed: rejected for what the file is, or by a fault of ours.

    Args:
        error_code: as in the record; only a rejection's becomes a dimension, so there are no more than rejections.
    """
    if error_code in REJECTIONS:
        _metrics.add_dimension("Reason", error_code)
        _add("ImageRejected", MetricUnit.Count, 1)
    else:
        _count_outcome("FAILED")
    _flush()


def count_not_cleaned() -> None:
    """Count an upload whose old renditions should be gone and are not."""
    _add("RenditionsNotCleaned", MetricUnit.Count, 1)
    _flush()


def note_oldest(seconds: float) -> None:
    """Tell for how long the oldest record has been PROCESSING; 0 when there is none."""
    _add("OldestProcessingSeconds", MetricUnit.Seconds, seconds)
    _flush()


def _count_outcome(status: str) -> None:
    # 1 for what it is and 0 for what it is not: the sum counts, and the average is the share, which an alarm can watch
    # without dividing metrics that are not there.
    for outcome, name in _OUTCOMES.items():
        _add(name, MetricUnit.Count, int(outcome == status))


def _add(name: str, unit: MetricUnit, value: float) -> None:
    _metrics.add_metric(name, unit, value)


def _flush() -> None:
    _metrics.add_metadata("correlation_id", logger.get_correlation_id())
    _metrics.flush_metrics()
