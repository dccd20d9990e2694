"""Stop executions at once, and publish every change of their status to EventBridge.

moto continues a stopped execution until its task ends, loses the reason for the stop, and publishes no events. The
events are those of https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html. Express
executions have their own ARNs, may share a name, end after five minutes, and have no events.
"""

import json
import re
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from moto.core.responses import ActionResult
from moto.stepfunctions.models import StateMachine, StepFunctionBackend
from moto.stepfunctions.parser.api import ExecutionStatus, HistoryEventType
from moto.stepfunctions.parser.asl.utils.encoding import to_json_str
from moto.stepfunctions.parser.backend.execution import BaseExecutionWorkerCommunication, Execution
from moto.stepfunctions.parser.models import StepFunctionsParserBackend, stepfunctions_parser_backends
from moto.stepfunctions.responses import StepFunctionResponse

from local.emulator.execution_changes import ExecutionChanges

Publish = Callable[[Any], None]

EXPRESS_SECONDS = 300  # https://docs.aws.amazon.com/step-functions/latest/dg/choosing-workflow-type.html
MAX_EVENT_BYTES = 248 * 1024  # for input and output in an event
_LAST_EVENTS = {
    ExecutionStatus.ABORTED: (HistoryEventType.ExecutionAborted, "executionAbortedEventDetails"),
    ExecutionStatus.TIMED_OUT: (HistoryEventType.ExecutionTimedOut, "executionTimedOutEventDetails"),
}
_ENDING = threading.Lock()  # an execution ends only once
CHANGES = ExecutionChanges()
"""All executions of this process, when they start and when they end."""


def install(publish: Publish) -> None:
    """Make executions end when they are stopped, and publish each change of status.

    Args:
        publish: Publishes an event on EventBridge.

    Raises:
        RuntimeError: moto no longer has something that this module replaces.
    """
    for owner, name in (
        (Execution, "start"),
        (BaseExecutionWorkerCommunication, "_reflect_execution_status"),
        (BaseExecutionWorkerCommunication, "terminated"),
        (StepFunctionResponse, "stop_execution"),
        (StepFunctionsParserBackend, "start_execution"),
        (StateMachine, "_handle_name_input_idempotency"),
    ):
        if not callable(getattr(owner, name, None)):
            raise RuntimeError(f"moto moved {owner.__name__}.{name}: moto_seams/executions.py must follow.")

    def start_and_publish(self: Execution, start: Callable[[Execution], None] = Execution.start) -> None:
        self.exec_status = ExecutionStatus.RUNNING
        _publish_status(self, publish)
        start(self)
        if _is_express(self.state_machine):
            clock = threading.Timer(EXPRESS_SECONDS, end, (self, ExecutionStatus.TIMED_OUT, publish))
            clock.daemon = True
            clock.start()

    def terminated(self: Any) -> None:
        execution = self.execution
        with _ENDING:
            if execution.exec_status is not ExecutionStatus.RUNNING:
                return  # it was stopped while its task was running
            self._reflect_execution_status()
            if execution.exec_status in _LAST_EVENTS:
                _close_history(execution)
        _publish_status(execution, publish)

    def stop(self: StepFunctionResponse) -> ActionResult:
        execution = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
        end(execution, ExecutionStatus.ABORTED, publish, self._get_param("error"), self._get_param("cause"))
        return ActionResult({"stopDate": execution.stop_date})

    original = StepFunctionsParserBackend.start_execution

    def start_with_name(self: StepFunctionsParserBackend, arn: str, name: str | None = None, *rest: Any) -> Execution:
        return original(self, arn, name or str(uuid.uuid4()), *rest)

    def init(self: Execution, *args: Any, make: Any = Execution.__init__, **values: Any) -> None:
        make(self, *args, **values)
        if _is_express(self.state_machine):
            self.exec_arn = self.execution_arn = f"{self.exec_arn.replace(':execution:', ':express:')}:{uuid.uuid4()}"

    def find_existing(self: StateMachine, *args: Any, find: Any = StateMachine._handle_name_input_idempotency) -> Any:
        return None if _is_express(self) else find(self, *args)

    Execution.start = start_and_publish  # type: ignore[method-assign]
    BaseExecutionWorkerCommunication.terminated = terminated  # type: ignore[method-assign]
    StepFunctionResponse.stop_execution = stop  # type: ignore[method-assign]
    StepFunctionsParserBackend.start_execution = start_with_name  # type: ignore[method-assign, assignment]
    Execution.__init__ = init  # type: ignore[method-assign]
    StateMachine._handle_name_input_idempotency = find_existing  # type: ignore[method-assign, assignment]
    StepFunctionBackend.accepted_exec_arn_format = re.compile(
        StepFunctionBackend.accepted_exec_arn_format.pattern.replace(":execution:", ":(execution|express):")
    )


def end(
    execution: Any,
    status: ExecutionStatus,
    publish: Publish,
    error: str | None = None,
    cause: str | None = None,
) -> None:
    """End an execution at once; its running task has no further effect.

    Args:
        execution: The execution of moto; if it has ended, nothing happens.
        status: `ABORTED` or `TIMED_OUT`.
        publish: Publishes the event.
        error: The error code in the stop request.
        cause: The cause in the stop request.
    """
    env = _environment(execution)
    with _ENDING:
        if execution.exec_status is not ExecutionStatus.RUNNING:
            return
        now = datetime.now(UTC)
        env.set_stop(stop_date=now, error=error, cause=cause)
        execution.stop_date = now
        execution.error = error
        execution.cause = cause
        execution.exec_status = status
        _close_history(execution)
    _publish_status(execution, publish)


def running(state_machine_arn: str) -> int:
    """Count the running executions of a state machine without a request, because callers poll it."""
    _, _, _, region, account, *_ = state_machine_arn.split(":")
    machines: Any = stepfunctions_parser_backends[account][region].state_machines
    executions = [
        execution for machine in machines if machine.arn == state_machine_arn for execution in machine.executions
    ]
    return sum(execution.exec_status is ExecutionStatus.RUNNING for execution in executions)


def _is_express(machine: Any) -> bool:
    return bool(machine.type == "EXPRESS")


def _publish_status(execution: Any, publish: Publish) -> None:
    """Publish the status of an execution; Step Functions publishes an event only for Standard executions."""
    if not _is_express(execution.state_machine):
        publish(status_change(execution))
    CHANGES.add(execution)


def status_change(execution: Any) -> Any:
    """Build the event of a change of status; its `time` is a number of seconds."""
    status = execution.exec_status
    execution_input = execution.execution_input
    result = None
    if status is ExecutionStatus.SUCCEEDED:
        result = to_json_str(execution.output, separators=(",", ":"))
    with_result = _bytes(result) <= MAX_EVENT_BYTES
    with_input = _bytes(execution_input) + _bytes(result) <= MAX_EVENT_BYTES
    redrivable = status in (ExecutionStatus.FAILED, ExecutionStatus.TIMED_OUT, ExecutionStatus.ABORTED)
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Step Functions Execution Status Change",
        "source": "aws.states",
        "account": execution.account_id,
        "time": time.time(),
        "region": execution.region_name,
        "resources": [execution.exec_arn],
        "detail": {
            "executionArn": execution.exec_arn,
            "stateMachineArn": execution.state_machine.arn,
            "name": execution.name,
            "status": status,
            "startDate": _milliseconds(execution.start_date),
            "stopDate": _milliseconds(execution.stop_date),
            "input": execution_input if with_input else None,
            "output": result if with_result else None,
            "stateMachineVersionArn": None,
            "stateMachineAliasArn": None,
            "redriveCount": 0,
            "redriveDate": None,
            "redriveStatus": "REDRIVABLE" if redrivable else "NOT_REDRIVABLE",
            "redriveStatusReason": None if redrivable else f"Execution is {status} and cannot be redriven",
            "inputDetails": {"included": with_input},
            "outputDetails": None if result is None else {"included": with_result},
            "error": execution.error,
            "cause": execution.cause,
        },
    }


def _environment(execution: Any) -> Any:
    """Wait for the environment of an execution, which its thread creates; before that it cannot be stopped."""
    while True:
        env = execution.exec_worker and execution.exec_worker.env
        if env and env.program_state():
            return env
        time.sleep(0.001)


def _close_history(execution: Any) -> None:
    """Write the last event and prevent a running task from adding more."""
    env = _environment(execution)
    kind, name = _LAST_EVENTS[execution.exec_status]
    details = {name: {"error": execution.error, "cause": execution.cause}}
    env.event_manager.add_event(context=env.event_history_context, event_type=kind, event_details=details)
    env.event_manager.add_event = lambda *_, **__: 0


def _milliseconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp() * 1000)


def _bytes(text: str | None) -> int:
    """Return the size of a text in an event, after escaping."""
    return 0 if text is None else len(json.dumps(text).encode())
