"""Logs, metrics, and the decorator of every workflow step.

Metrics are log lines in CloudWatch's embedded metric format, so they need no API call. Each metric has the dimension
`service`, which is the stack, and no dimension that users can fill. A metric may be counted twice when a step is
retried after a lost response.
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

from image_pipeline import settings
from image_pipeline.errors import REJECTIONS, PipelineError, SupersededError, UnchangedError

# RFC 3339: Lambda treats a line with another time format as INFO, whatever its level. ASCII: AWS errors contain object
# keys, and a key must not send control sequences to the terminal of a person who reads the log.
_release: dict[str, Any] = settings.release(os.environ)
logger = Logger(use_rfc3339=True, json_serializer=partial(json.dumps, default=str), **_release)
_metrics = Metrics(namespace="ImagePipeline")


def _apply_log_level(name: str) -> None:
    """Set the log level.

    Powertools prefers `AWS_LAMBDA_LOG_LEVEL`, the level of Lambda's own filter, to its own variable. That filter must
    stay at INFO or below because it would otherwise drop metrics, so the level is set on the standard loggers.
    Libraries log through the root logger. They get the same level, but never DEBUG, at which botocore logs object keys
    and signatures.

    Args:
        name: the level, such as `ERROR`.
    """
    logging.getLogger(logger.service).setLevel(name)
    root = logging.getLogger()
    root.setLevel(max(root.level, logging.getLogger(logger.service).level, logging.INFO))


_apply_log_level(os.environ.get("POWERTOOLS_LOG_LEVEL", "INFO"))

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]

_OUTCOMES = {"COMPLETED": "ImageCompleted", "PARTIAL": "ImagePartial", "FAILED": "ImageFailed"}


def step(handler: Handler) -> Handler:
    """Log with the execution id, and add the duration in milliseconds to the handler's result."""

    @wraps(handler)
    def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        started = time.perf_counter()
        logger.set_correlation_id(event["executionId"])
        try:
            result = handler(event, context)
        except (SupersededError, UnchangedError) as error:  # expected ends of an execution, not failures
            logger.info("step ended", reason=type(error).__name__)
            raise
        except Exception as error:
            # Lambda logs the error too, but with the request id. The pipeline's own errors need no traceback.
            logger.warning("step failed", error=type(error).__name__, exc_info=not isinstance(error, PipelineError))
            raise
        milliseconds = round((time.perf_counter() - started) * 1000)
        logger.info("step done", milliseconds=milliseconds)
        return {**result, "milliseconds": milliseconds}

    return lambda_handler


def log_warnings(warnings: Iterable[str]) -> None:
    """Log warnings for the operator, one line each."""
    for warning in warnings:
        logger.warning(warning)


def caller(event: dict[str, Any]) -> str | None:
    """Return the KeyId or the token subject of the caller; None for an anonymous request."""
    authorizer = event["requestContext"].get("authorizer", {})
    claims = authorizer.get("jwt", {}).get("claims", {})
    caller_id: str | None = authorizer.get("lambda", {}).get("keyId") or claims.get("sub")
    return caller_id


def count_success(record: dict[str, Any]) -> None:
    """Count a processed image, its duration from claim to outcome, and its bytes.

    Args:
        record: the written fields: `status`, `execution`, `image` and `renditions`.
    """
    execution = record["execution"]
    duration = datetime.fromisoformat(execution["finishedAt"]) - datetime.fromisoformat(execution["startedAt"])
    _count_outcome(record["status"])
    _add("ProcessingMilliseconds", MetricUnit.Milliseconds, duration.total_seconds() * 1000)
    _add("BytesIn", MetricUnit.Bytes, record["image"]["sizeBytes"])
    _add("BytesOut", MetricUnit.Bytes, sum(rendition["sizeBytes"] for rendition in record["renditions"]))
    _flush()


def count_failure(error_code: str) -> None:
    """Count a failed upload: a rejected file, or a failure of the pipeline.

    Args:
        error_code: the code in the record. Only rejections become a dimension, which bounds the number of metrics.
    """
    if error_code in REJECTIONS:
        _metrics.add_dimension("Reason", error_code)
        _add("ImageRejected", MetricUnit.Count, 1)
    else:
        _count_outcome("FAILED")
    _flush()


def count_cleanup_failure() -> None:
    """Count an upload whose old renditions could not be removed."""
    _add("RenditionsNotCleaned", MetricUnit.Count, 1)
    _flush()


def record_oldest_age(seconds: float) -> None:
    """Record the age of the oldest record in PROCESSING; 0 when there is none."""
    _add("OldestProcessingSeconds", MetricUnit.Seconds, seconds)
    _flush()


def _count_outcome(status: str) -> None:
    # 1 for the outcome and 0 for the others: the sum is the count and the average is the share. An alarm can watch the
    # average without dividing by a metric that may be missing.
    for outcome, name in _OUTCOMES.items():
        _add(name, MetricUnit.Count, int(outcome == status))


def _add(name: str, unit: MetricUnit, value: float) -> None:
    _metrics.add_metric(name, unit, value)


def _flush() -> None:
    for field, value in {"correlation_id": logger.get_correlation_id(), **_release}.items():
        _metrics.add_metadata(field, value)
    _metrics.flush_metrics()
