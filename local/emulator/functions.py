"""Reads functions and their event source mappings from a template."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.emulator.template import Resource, Template, TemplateError
from local.emulator.workers import Function

_STREAM_MAPPING_PROPERTIES = {
    *("BatchSize", "BisectBatchOnFunctionError", "DestinationConfig", "EventSourceArn", "FilterCriteria"),
    *("FunctionName", "FunctionResponseTypes", "MaximumRecordAgeInSeconds", "MaximumRetryAttempts", "StartingPosition"),
    "MaximumBatchingWindowInSeconds",  # has no effect: waiting for larger batches saves nothing here
    "ParallelizationFactor",  # has no effect: batches are processed one after the other
}
_QUEUE_MAPPING_PROPERTIES = {
    *("BatchSize", "EventSourceArn", "FunctionName", "FunctionResponseTypes", "ScalingConfig"),
}


@dataclass(frozen=True)
class StreamMapping:
    """A function that processes the changes of a table; -1 means no limit."""

    stream_arn: str
    function: Function
    patterns: tuple[str, ...]
    """A change must match any of these; an empty tuple matches all changes."""
    batch_size: int
    most_retries: int
    oldest_seconds: int
    bisects: bool
    reports_failures: bool
    on_failure_arn: str | None


@dataclass(frozen=True)
class QueueMapping:
    """A function that processes the messages of a queue."""

    queue_arn: str
    function: Function
    batch_size: int
    most_concurrent: int
    """Maximum number of parallel invocations."""
    reports_failures: bool


def read_functions(template: Template) -> list[Function]:
    """Read all functions of a template whose resources are named."""
    layers = {
        template.refs[layer.logical_id]: template.asset(layer.raw["Content"]["S3Key"])
        for layer in template.resources("AWS::Lambda::LayerVersion")
    }
    return [_function(template, resource, layers) for resource in template.resources("AWS::Lambda::Function")]


def read_mappings(template: Template, functions: list[Function]) -> tuple[list[StreamMapping], list[QueueMapping]]:
    """Read all event source mappings of a template, those of streams and those of queues.

    Raises:
        TemplateError: A mapping has a property that is not supported here.
    """
    stream_mappings, queue_mappings = [], []
    for resource in template.resources("AWS::Lambda::EventSourceMapping"):
        properties = template.resolve(resource.raw)
        if ":sqs:" in properties["EventSourceArn"]:
            queue_mappings.append(_queue_mapping(resource.logical_id, properties, functions))
        else:
            stream_mappings.append(_stream_mapping(resource.logical_id, properties, functions))
    return stream_mappings, queue_mappings


def _function(template: Template, resource: Resource, layers: dict[str, Path]) -> Function:
    raw = resource.raw
    properties = template.resolve({name: value for name, value in raw.items() if name != "Code"})
    variables = properties.get("Environment", {}).get("Variables", {})
    name = template.refs[resource.logical_id]
    logging = properties.get("LoggingConfig", {})
    log_format = logging.get("LogFormat", "Text")
    return Function(
        logical_id=resource.logical_id,
        name=name,
        arn=template.attributes[resource.logical_id, "Arn"],
        role=properties["Role"],
        handler=properties["Handler"],
        runtime=properties["Runtime"],
        code=template.asset(raw["Code"]["S3Key"]),
        layers=tuple(_python_path(layers[arn]) for arn in properties.get("Layers", [])),
        timeout=int(properties.get("Timeout", 3)),
        memory=int(properties.get("MemorySize", 128)),
        environment={
            key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in variables.items()
        },
        log_group=logging.get("LogGroup", f"/aws/lambda/{name}"),
        log_format=log_format,
        log_level=logging.get("ApplicationLogLevel", "INFO") if log_format == "JSON" else "",
    )


def _python_path(layer: Path) -> Path:
    """Return the folder of a layer's modules: `python/`, or the layer itself if `sam build` adds that folder."""
    return layer / "python" if (layer / "python").is_dir() else layer


def _stream_mapping(logical_id: str, properties: Mapping[str, Any], functions: list[Function]) -> StreamMapping:
    _check_properties(logical_id, properties, _STREAM_MAPPING_PROPERTIES)
    if ":dynamodb:" not in properties["EventSourceArn"] or properties["StartingPosition"] != "TRIM_HORIZON":
        raise TemplateError(
            f"{logical_id} is not supported by the local run: a mapping must read the stream of a table from its "
            "beginning (TRIM_HORIZON)."
        )
    return StreamMapping(
        stream_arn=properties["EventSourceArn"],
        function=_find(functions, properties["FunctionName"]),
        patterns=tuple(pattern["Pattern"] for pattern in properties.get("FilterCriteria", {}).get("Filters", [])),
        batch_size=int(properties.get("BatchSize", 100)),
        most_retries=int(properties.get("MaximumRetryAttempts", -1)),
        oldest_seconds=int(properties.get("MaximumRecordAgeInSeconds", -1)),
        bisects=properties.get("BisectBatchOnFunctionError", False),
        reports_failures=_reports_failures(properties),
        on_failure_arn=properties.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination"),
    )


def _queue_mapping(logical_id: str, properties: Mapping[str, Any], functions: list[Function]) -> QueueMapping:
    _check_properties(logical_id, properties, _QUEUE_MAPPING_PROPERTIES)
    return QueueMapping(
        queue_arn=properties["EventSourceArn"],
        function=_find(functions, properties["FunctionName"]),
        batch_size=int(properties.get("BatchSize", 10)),
        most_concurrent=int(properties.get("ScalingConfig", {}).get("MaximumConcurrency", 1000)),
        reports_failures=_reports_failures(properties),
    )


def _check_properties(logical_id: str, properties: Mapping[str, Any], supported: set[str]) -> None:
    if unsupported := sorted(properties.keys() - supported):
        raise TemplateError(f"{unsupported[0]} of {logical_id} is not supported by the local run.")


def _find(functions: list[Function], name: str) -> Function:
    return next(function for function in functions if name in (function.name, function.arn))


def _reports_failures(properties: Mapping[str, Any]) -> bool:
    return "ReportBatchItemFailures" in properties.get("FunctionResponseTypes", [])
