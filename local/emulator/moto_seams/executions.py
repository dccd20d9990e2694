"""How an execution starts and ends: what is stopped is over at once, and EventBridge hears of every change.

moto lets a stopped execution go on until its task has ended, forgets why it was stopped, and tells nobody. The events
are those of https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html. Executions of the type
Express have ARNs of their own, may share a name, end after five minutes, and EventBridge does not hear of them.
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

Publish = Callable[[Any], None]

EXPRESS_SECONDS = 300  # https://docs.aws.amazon.com/step-functions/latest/dg/choosing-workflow-type.html
MOST_BYTES = 248 * 1024  # of input and output in an event
_LAST_EVENTS = {
    ExecutionStatus.ABORTED: (HistoryEventType.ExecutionAborted, "executionAbortedEventDetails"),
    ExecutionStatus.TIMED_OUT: (HistoryEventType.ExecutionTimedOut, "executionTimedOutEventDetails"),
}
_ENDING = threading.Lock()  # an execution ends once, whoever is first


def install(publish: Publish) -> None:
    """Make executions end when they are stopped, and publish every change of their status.

    Args:
        publish: Takes an event for EventBridge.

    Raises:
        RuntimeError: moto no longer has what is replaced.
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

    def started(self: Execution, start: Callable[[Execution], None] = Execution.start) -> None:
        self.exec_status = ExecutionStatus.RUNNING
        _tell(self, publish)
        start(self)
        if _is_express(self.state_machine):
            clock = threading.Timer(EXPRESS_SECONDS, end, (self, ExecutionStatus.TIMED_OUT, publish))
            clock.daemon = True
            clock.start()

    def terminated(self: Any) -> None:
        execution = self.execution
        with _ENDING:
            if execution.exec_status is not ExecutionStatus.RUNNING:
                return  # it was ended while its task was still running
            self._reflect_execution_status()
            if execution.exec_status in _LAST_EVENTS:
                _close_history(execution)
        _tell(execution, publish)

    def stop(self: StepFunctionResponse) -> ActionResult:
        execution = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
        end(execution, ExecutionStatus.ABORTED, publish, self._get_param("error"), self._get_param("cause"))
        return ActionResult({"stopDate": execution.stop_date})

    original = StepFunctionsParserBackend.start_execution

    def start_named(self: StepFunctionsParserBackend, arn: str, name: str | None = None, *rest: Any) -> Execution:
        return original(self, arn, name or str(uuid.uuid4()), *rest)

    def made(self: Execution, *args: Any, make: Any = Execution.__init__, **values: Any) -> None:
        make(self, *args, **values)
        if _is_express(self.state_machine):
            self.exec_arn = self.execution_arn = f"{self.exec_arn.replace(':execution:', ':express:')}:{uuid.uuid4()}"

    def known(self: StateMachine, *args: Any, find: Any = StateMachine._handle_name_input_idempotency) -> Any:
        return None if _is_express(self) else find(self, *args)

    Execution.start = started  # type: ignore[method-assign]
    BaseExecutionWorkerCommunication.terminated = terminated  # type: ignore[method-assign]
    StepFunctionResponse.stop_execution = stop  # type: ignore[method-assign]
    StepFunctionsParserBackend.start_execution = start_named  # type: ignore[method-assign, assignment]
    Execution.__init__ = made  # type: ignore[method-assign]
    StateMachine._handle_name_input_idempotency = known  # type: ignore[method-assign, assignment]
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
    """End an execution at once; whatever its task is doing has no consequence any more.

    Args:
        execution: moto's execution; nothing happens when it has already ended.
        status: `ABORTED` or `TIMED_OUT`.
        publish: Takes the event.
        error: The error that whoever stops it gives.
        cause: The same in words.
    """
    env = _environment(execution)
    with _ENDING:
        if execution.exec_status is not ExecutionStatus.RUNNING:
            return
        now = datetime.now(UTC)
        env.set_stop(stop_date=now, error=error, cause=cause)
        execution.stop_date, execution.error, execution.cause = now, error, cause
        execution.exec_status = status
        _close_history(execution)
    _tell(execution, publish)


def running(state_machine_arn: str) -> int:
    """Count the executions of a state machine that are under way, without a request: it is asked again and again."""
    _, _, _, region, account, *_ = state_machine_arn.split(":")
    machines: Any = stepfunctions_parser_backends[account][region].state_machines
    of_machine = [each for machine in machines if machine.arn == state_machine_arn for each in machine.executions]
    return sum(each.exec_status is ExecutionStatus.RUNNING for each in of_machine)


def _is_express(machine: Any) -> bool:
    return bool(machine.type == "EXPRESS")


def _tell(execution: Any, publish: Publish) -> None:
    """Tell of a change of status, as Step Functions does of Standard executions only."""
    if not _is_express(execution.state_machine):
        publish(status_change(execution))


def status_change(execution: Any) -> Any:
    """Build the event that tells of an execution's status; its `time` is still a number of seconds."""
    status = execution.exec_status
    given, result = execution.execution_input, None
    if status is ExecutionStatus.SUCCEEDED:
        result = to_json_str(execution.output, separators=(",", ":"))
    with_result = _bytes(result) <= MOST_BYTES
    with_input = _bytes(given) + _bytes(result) <= MOST_BYTES
    again = status in (ExecutionStatus.FAILED, ExecutionStatus.TIMED_OUT, ExecutionStatus.ABORTED)
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
            "input": given if with_input else None,
            "output": result if with_result else None,
            "stateMachineVersionArn": None,
            "stateMachineAliasArn": None,
            "redriveCount": 0,
            "redriveDate": None,
            "redriveStatus": "REDRIVABLE" if again else "NOT_REDRIVABLE",
            "redriveStatusReason": None if again else f"Execution is {status} and cannot be redriven",
            "inputDetails": {"included": with_input},
            "outputDetails": None if result is None else {"included": with_result},
            "error": execution.error,
            "cause": execution.cause,
        },
    }


def _environment(execution: Any) -> Any:
    """Wait for what the thread of an execution makes first: only what runs can be stopped."""
    while True:
        env = execution.exec_worker and execution.exec_worker.env
        if env and env.program_state():
            return env
        time.sleep(0.001)


def _close_history(execution: Any) -> None:
    """Write the last event; a task that is still running shall add no more."""
    env, (kind, name) = _environment(execution), _LAST_EVENTS[execution.exec_status]
    details = {name: {"error": execution.error, "cause": execution.cause}}
    env.event_manager.add_event(context=env.event_history_context, event_type=kind, event_details=details)
    env.event_manager.add_event = lambda *_, **__: 0


def _milliseconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp() * 1000)


def _bytes(text: str | None) -> int:
    """Tell how much of an event a text takes, escaped."""
    return 0 if text is None else len(json.dumps(text).encode())
