"""Add to the Distributed Map of moto: further pages of S3 listings, batches, tolerated failures, results in S3.

https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html. Only the
features that the workflows of the template use are here; others are rejected when the workflow is created.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from moto.stepfunctions.parser.api import ExecutionFailedEventDetails, HistoryEventType
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
    FailureEvent,
    FailureEventException,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
from moto.stepfunctions.parser.asl.component.state.exec.state_map.item_reader.eval import (
    resource_eval_s3 as reader,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.distributed_iteration_component import (
    DistributedIterationComponent,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.credentials import StateCredentials

_PAGE_SIZE = 100  # objects; small, so that few objects already need several pages
_WRITER = {"OutputType": "JSON", "Transformation": "COMPACT"}


def install() -> None:
    """Replace the parts of moto.

    Raises:
        RuntimeError: moto no longer has something that this module replaces.
    """
    for owner, name in (
        (reader.ResourceEvalS3, "_handle_list_objects_v2"),
        (DistributedIterationComponent, "_map_run"),
    ):
        if not callable(getattr(owner, name, None)):
            raise RuntimeError(f"moto moved {name}: moto_seams/distributed_map.py must follow.")
    reader.ResourceEvalS3._handle_list_objects_v2 = staticmethod(_list_objects)  # type: ignore[method-assign]
    original = DistributedIterationComponent._map_run

    def map_run(self: Any, env: Any, eval_input: Any) -> None:
        size = self.local_batch_size
        items = env.stack.pop()
        env.stack.append([items[start : start + size] for start in range(0, len(items), size)])
        if items:
            original(self, env, eval_input)
        else:
            env.stack[-1] = []  # moto would wait forever if there are no items
        _check(env, eval_input, len(env.stack[-1]))

    DistributedIterationComponent._map_run = map_run  # type: ignore[method-assign]


@dataclass(frozen=True)
class DistributedOptions:
    """The options of a map that the parser of moto does not support."""

    batch_size: int
    """Items."""
    bucket: str
    """The bucket of the results."""
    prefix: str
    """The prefix of their keys."""

    def add_to(self, state: Any) -> None:
        """Add the options to a map that moto has parsed."""
        state.iteration_component.local_batch_size = self.batch_size
        state.result_writer = self

    def eval(self, env: Any) -> None:
        """Write the results to S3 and return their location."""
        outputs = env.stack.pop()
        run = env.map_run_record_pool_manager.get_all().pop().map_run_arn
        folder = f"{self.prefix}{run.rpartition(':')[2]}"
        role = env.aws_execution_details.role_arn
        region = env.aws_execution_details.region
        runtime_part: Any = SimpleNamespace(region=region)
        client: Any = reader.ResourceEvalS3._get_s3_client(runtime_part, StateCredentials(role))
        files: dict[str, list[dict[str, Any]]] = {"FAILED": [], "PENDING": [], "SUCCEEDED": []}

        def put(name: str, content: Any) -> int:
            body = json.dumps(content).encode()
            client.put_object(Bucket=self.bucket, Key=f"{folder}/{name}", Body=body)
            return len(body)

        for status, results in (
            ("SUCCEEDED", [output for output in outputs if output is not None]),
            ("FAILED", [{"Status": "FAILED"} for output in outputs if output is None]),
        ):
            if results:
                name = f"{status}_0.json"
                files[status].append({"Key": f"{folder}/{name}", "Size": put(name, results)})
        put("manifest.json", {"DestinationBucket": self.bucket, "MapRunArn": run, "ResultFiles": files})
        details = {"Bucket": self.bucket, "Key": f"{folder}/manifest.json"}
        env.stack.append({"MapRunArn": run, "ResultWriterDetails": details})


def translate(definition: str) -> tuple[str, dict[str, DistributedOptions]]:
    """Convert a definition to one that moto can parse.

    A batch replaces an item, and `ItemSelector` arranges its parts as `ItemBatcher` would.

    Returns:
        The definition, and the options of its maps, by name.

    Raises:
        ValueError: A map uses an option that is not supported here.
    """
    document = json.loads(definition)
    maps: dict[str, DistributedOptions] = {}
    for name, state in document.get("States", {}).items():
        if state.get("ItemProcessor", {}).get("ProcessorConfig", {}).get("Mode") != "DISTRIBUTED":
            continue
        batcher = state.pop("ItemBatcher", {})
        writer = state.pop("ResultWriter", {})
        # Batches have no maximum size here, so MaxInputBytesPerBatch has no effect.
        is_supported = (
            batcher.keys() - {"MaxInputBytesPerBatch"} == {"MaxItemsPerBatch", "BatchInput"}
            and writer.get("WriterConfig") == _WRITER
        )
        if not is_supported or "ItemSelector" in state or "ReaderConfig" in state.get("ItemReader", {}):
            raise ValueError(
                f"The local run does not support the map {name}: implement it in moto_seams/distributed_map.py."
            )
        state["ItemSelector"] = {"BatchInput": batcher["BatchInput"], "Items": "{% $states.context.Map.Item.Value %}"}
        destination = writer["Arguments"]
        maps[name] = DistributedOptions(int(batcher["MaxItemsPerBatch"]), destination["Bucket"], destination["Prefix"])
    return (json.dumps(document) if maps else definition), maps


def _list_objects(env: Any, resource_runtime_part: Any, state_credentials: Any) -> None:
    client = reader.ResourceEvalS3._get_s3_client(resource_runtime_part, state_credentials)
    pages = client.get_paginator("list_objects_v2").paginate(
        **env.stack.pop(), PaginationConfig={"PageSize": _PAGE_SIZE}
    )
    env.stack.append([_item(entry) for page in pages for entry in page.get("Contents", ())])


def _item(entry: dict[str, Any]) -> dict[str, Any]:
    """Return an object in the format in which Step Functions passes it to a map."""
    modified: datetime = entry["LastModified"]
    fields = {"Etag": entry["ETag"], "Key": entry["Key"], "LastModified": int(modified.timestamp())}
    return {**fields, "Size": entry["Size"], "StorageClass": entry.get("StorageClass", "STANDARD")}


def _check(env: Any, eval_input: Any, batches: int) -> None:
    """Fail the map if more batches failed than are tolerated."""
    failed = batches - eval_input.map_run_record.execution_counter.succeeded.get()
    if failed and 100 * failed / batches > eval_input.tolerated_failure_percentage:
        error = "States.ExceedToleratedFailureThreshold"
        cause = "The specified tolerated failure threshold was exceeded"
        details: Any = {"executionFailedEventDetails": ExecutionFailedEventDetails(error=error, cause=cause)}
        raise FailureEventException(
            FailureEvent(
                env=env,
                error_name=StatesErrorName(StatesErrorNameType.StatesExceedToleratedFailureThreshold),
                event_type=HistoryEventType.MapRunFailed,
                event_details=details,
            )
        )
