"""The costs beside the processing of an image: tracing, cold starts, polls, monitoring, storage, old versions.

`bench.cost` shows them in a table of their own, so that its first table stays comparable with earlier figures. Each
assumption is a constant here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

SHARE_OF_COLD_STARTS = 0.01
"""Share of invocations that start an environment: an assumption. AWS says that it is typically less than 1 %."""
POLLS = 1
"""Requests for the status of one upload, without `?wait`, whose time is billed too: an assumption."""
POLL_LOG_KILOBYTES = 0.3
"""The line of the access log."""
SHARE_OVERWRITTEN = 0.1
"""Share of uploads that replace an earlier upload of the same key: an assumption."""

RUNTIME_START_MILLISECONDS = 40
"""CPU time of Python and of Lambda's runtime client before the function is imported, which is billed too: an
assumption; Python alone took 18 ms."""

HOURS_OF_A_MONTH = 730
PERMANENT_METRICS = (
    "ImageCompleted",
    "ImagePartial",
    "ImageFailed",
    "ProcessingMilliseconds",
    "BytesIn",
    "BytesOut",
    "OldestProcessingSeconds",
)
"""Custom metrics that always have data. CloudWatch bills a metric in each hour in which it has data."""
IDLE_POLLERS = 5
"""Lambda's requests to an empty queue at the same time
(https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html)."""
IDLE_POLL_SECONDS = 20
"""The longest wait of a request to SQS. Lambda polls long, but does not document for how long: an assumption."""
KMS_KEYS_IN_USE = 4
"""Three tables and the topic. DynamoDB and SNS keep a data key for about five minutes, so requests do not grow."""
WATCHES_OF_A_MONTH = HOURS_OF_A_MONTH * 12
"""Invocations of WatchRecords, each of which queries sixteen shards one after another."""
WATCH_QUERIES = 16
WATCH_QUERY_SECONDS = 0.01
WATCH_LOG_KILOBYTES = 1
LISTING_ITEMS_BYTES = 14 * 200 + 1500
"""Entries and ledger of one image, with the bytes that DynamoDB adds to each item."""
ITEM_OVERHEAD_BYTES = 100
GIGABYTE = 1e9


@dataclass(frozen=True)
class Image:
    """The figures of one image that other costs depend on."""

    upload_bytes: int
    rendition_bytes: int
    renditions: int
    record_bytes: float
    log_kilobytes: float
    poll_seconds: float
    init_gigabyte_seconds: float
    """Of one start of each function of the path, memory times seconds."""
    poll_init_gigabyte_seconds: float
    """Of one start of the function that answers polls."""
    stream_invocations: float


def monitoring(text: str) -> dict[str, int]:
    """Return the numbers of metrics of alarms, dashboards and keys in the template of the monitoring."""
    resources: dict[str, dict[str, Any]] = yaml.load(text, _Template)["Resources"]  # noqa: S506  a safe loader
    kinds = [resource["Type"] for resource in resources.values()]
    alarms = [resource["Properties"] for resource in resources.values() if resource["Type"] == "AWS::CloudWatch::Alarm"]
    return {
        "alarm_metrics": sum(
            sum("MetricStat" in metric for metric in alarm["Metrics"]) if "Metrics" in alarm else 1 for alarm in alarms
        ),
        "dashboards": kinds.count("AWS::CloudWatch::Dashboard"),
        "keys": kinds.count("AWS::KMS::Key"),
    }


class _Template(yaml.CSafeLoader):
    """Reads a template without intrinsic functions."""


_Template.add_multi_constructor("!", lambda *_: None)


def per_image(
    image: Image, prices: Mapping[str, float], *, trace_rate: float, noncurrent_days: int, log_days: int
) -> dict[str, float]:
    """Return US dollars for one image, by cause; they grow with the number of images."""
    gigabytes_stored = (image.upload_bytes + image.rendition_bytes) / GIGABYTE
    items_bytes = image.record_bytes + ITEM_OVERHEAD_BYTES + LISTING_ITEMS_BYTES
    database = prices["dynamodb_stored_gigabyte"] + prices["dynamodb_recovery_gigabyte"]
    month_days = HOURS_OF_A_MONTH / 24
    expired = (
        image.upload_bytes / GIGABYTE * noncurrent_days
        + image.rendition_bytes / GIGABYTE * 2  # marked renditions expire after one day and one more
    )
    overwritten = (
        expired / month_days * prices["s3_stored_gigabyte"]
        + prices["eventbridge_event"]  # S3 reports the expiry
        + (1 + image.renditions) * prices["s3_put"]  # one list of versions, and a tag for each rendition
    )
    poll = (
        prices["http_api_request"]
        + prices["lambda_request"]
        + image.poll_seconds * prices["lambda_gb_second"]
        + prices["dynamodb_read"]
        + POLL_LOG_KILOBYTES * prices["logs_kilobyte"]
    )
    return {
        "X-Ray": _traces(image, trace_rate) * prices["xray_trace"],
        f"cold starts of {SHARE_OF_COLD_STARTS:.0%} of the invocations (INIT)": SHARE_OF_COLD_STARTS
        * (image.init_gigabyte_seconds + POLLS * image.poll_init_gigabyte_seconds)
        * prices["lambda_gb_second"],
        f"status requests, {POLLS} for each upload": POLLS * poll,
        f"replaced uploads, {SHARE_OVERWRITTEN:.0%} of all, kept for {noncurrent_days} days": SHARE_OVERWRITTEN
        * overwritten,
        f"logs, kept for {log_days} days": image.log_kilobytes * prices["logs_stored_kilobyte"] * log_days / month_days,
        "records and listing, for a month": items_bytes / GIGABYTE * database,
        "uploads and renditions in S3, for a month": gigabytes_stored * prices["s3_stored_gigabyte"],
    }


def per_month(counts: Mapping[str, int], prices: Mapping[str, float], *, watch_gigabytes: float) -> dict[str, float]:
    """Return US dollars for one month, by cause, whatever the number of images."""
    kms_requests = KMS_KEYS_IN_USE * HOURS_OF_A_MONTH * 12 * prices["kms_request"]
    watch = (
        prices["lambda_request"]
        + WATCH_QUERIES * (prices["dynamodb_read"] + WATCH_QUERY_SECONDS * watch_gigabytes * prices["lambda_gb_second"])
        + WATCH_LOG_KILOBYTES * prices["logs_kilobyte"]
    )
    return {
        f"alarms ({counts['alarm_metrics']} metrics)": counts["alarm_metrics"] * prices["cloudwatch_alarm_metric"],
        f"custom metrics ({len(PERMANENT_METRICS)})": len(PERMANENT_METRICS) * prices["cloudwatch_metric"],
        "dashboard": counts["dashboards"] * prices["cloudwatch_dashboard"],
        "KMS: key of the alarms, and requests": counts["keys"] * prices["kms_key"] + kms_requests,
        "WatchRecords, every five minutes": WATCHES_OF_A_MONTH * watch,
        "SQS: Lambda polls the queue of batches": IDLE_POLLERS
        * HOURS_OF_A_MONTH
        * 3600
        / IDLE_POLL_SECONDS
        * prices["sqs_request"],
    }


def of_parameters(image: Image, prices: Mapping[str, float], *, trace_rate: float) -> dict[str, float]:
    """Return US dollars that an image costs in addition if a parameter has another value than its default."""
    return {
        "`NotificationEmail`, one mail for each image": prices["sns_mail"],
        "`TraceRate=1`": (_traces(image, 1) - _traces(image, trace_rate)) * prices["xray_trace"],
    }


def _traces(image: Image, trace_rate: float) -> float:
    # Functions that read the stream and answer requests start traces of their own only if everything is traced.
    return trace_rate + (image.stream_invocations + POLLS if trace_rate == 1 else 0)
