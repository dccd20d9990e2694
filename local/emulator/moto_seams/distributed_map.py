"""What moto's Distributed Map lacks of AWS's: further pages of S3's list, batches, tolerated failures, results in S3.

https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html. Only what the template's workflows use
is here; anything else is refused when the workflow is created.
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

_PAGE = 100  # objects; small, so that a few are already more than one page
_WRITER = {"OutputType": "JSON", "Transformation": "COMPACT"}


def install() -> None:
    """Put what is here in the place of what moto does.

    Raises:
        RuntimeError: moto no longer has what is replaced.
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
            env.stack[-1] = []  # moto would wait for ever for the end of nothing
        _check(env, eval_input, len(env.stack[-1]))

    DistributedIterationComponent._map_run = map_run  # type: ignore[method-assign]


@dataclass(frozen=True)
class Distributed:
    """What moto's parser does not know of a map."""

    batch_size: int
    """Items."""
    bucket: str
    """Of the results."""
    prefix: str

    def add_to(self, state: Any) -> None:
        """Complete a map that moto has parsed."""
        state.iteration_component.local_batch_size = self.batch_size
        state.result_writer = self

    def eval(self, env: Any) -> None:
        """Write the results into S3, and put in their place where they are."""
        outputs = env.stack.pop()
        run = env.map_run_record_pool_manager.get_all().pop().map_run_arn
        folder = f"{self.prefix}{run.rpartition(':')[2]}"
        role = env.aws_execution_details.role_arn
        region = env.aws_execution_details.region
        part: Any = SimpleNamespace(region=region)
        client: Any = reader.ResourceEvalS3._get_s3_client(part, StateCredentials(role))
        files: dict[str, list[dict[str, Any]]] = {"FAILED": [], "PENDING": [], "SUCCEEDED": []}

        def put(name: str, content: Any) -> int:
            body = json.dumps(content).encode()
            client.put_object(Bucket=self.bucket, Key=f"{folder}/{name}", Body=body)
            return len(body)

        for status, some in (
            ("SUCCEEDED", [each for each in outputs if each is not None]),
            ("FAILED", [{"Status": "FAILED"} for each in outputs if each is None]),
        ):
            if some:
                name = f"{status}_0.json"
                files[status].append({"Key": f"{folder}/{name}", "Size": put(name, some)})
        put("manifest.json", {"DestinationBucket": self.bucket, "MapRunArn": run, "ResultFiles": files})
        details = {"Bucket": self.bucket, "Key": f"{folder}/manifest.json"}
        env.stack.append({"MapRunArn": run, "ResultWriterDetails": details})


def translate(definition: str) -> tuple[str, dict[str, Distributed]]:
    """Write a definition as moto can parse it.

    A batch takes the place of an item, and `ItemSelector` puts its parts where `ItemBatcher` would.

    Returns:
        The definition, and what is to be added to its maps, by name.

    Raises:
        ValueError: A map is distributed in a way that is not known here.
    """
    document = json.loads(definition)
    maps: dict[str, Distributed] = {}
    for name, state in document.get("States", {}).items():
        if state.get("ItemProcessor", {}).get("ProcessorConfig", {}).get("Mode") != "DISTRIBUTED":
            continue
        batcher, results = state.pop("ItemBatcher", {}), state.pop("ResultWriter", {})
        # No batch is too large here, so how many bytes it may have makes no difference.
        known = (
            batcher.keys() - {"MaxInputBytesPerBatch"} == {"MaxItemsPerBatch", "BatchInput"}
            and results.get("WriterConfig") == _WRITER
        )
        if not known or "ItemSelector" in state or "ReaderConfig" in state.get("ItemReader", {}):
            raise ValueError(
                f"The local run does not know such a map as {name}: teach it in moto_seams/distributed_map.py."
            )
        state["ItemSelector"] = {"BatchInput": batcher["BatchInput"], "Items": "{% $states.context.Map.Item.Value %}"}
        where = results["Arguments"]
        maps[name] = Distributed(int(batcher["MaxItemsPerBatch"]), where["Bucket"], where["Prefix"])
    return (json.dumps(document) if maps else definition), maps


def _list_objects(env: Any, resource_runtime_part: Any, state_credentials: Any) -> None:
    client = reader.ResourceEvalS3._get_s3_client(resource_runtime_part, state_credentials)
    pages = client.get_paginator("list_objects_v2").paginate(**env.stack.pop(), PaginationConfig={"PageSize": _PAGE})
    env.stack.append([_item(each) for page in pages for each in page.get("Contents", ())])


def _item(listed: dict[str, Any]) -> dict[str, Any]:
    """Return an object as Step Functions gives it to a map."""
    changed: datetime = listed["LastModified"]
    fields = {"Etag": listed["ETag"], "Key": listed["Key"], "LastModified": int(changed.timestamp())}
    return {**fields, "Size": listed["Size"], "StorageClass": listed.get("StorageClass", "STANDARD")}


def _check(env: Any, eval_input: Any, batches: int) -> None:
    """Fail the map when more of its parts have failed than is tolerated."""
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
