"""The executions of all state machines in the order of their changes, so that callers wait for one without polling.

Each request for a list or a description takes milliseconds of CPU, and an upload would need a dozen.
"""

import threading
from datetime import datetime
from typing import Any, Protocol


class Execution(Protocol):
    """What this module reads of an execution of moto."""

    exec_arn: str
    state_machine_arn: str
    start_date: datetime
    exec_status: Any
    execution_input: str
    error: str | None
    cause: str | None


class ExecutionChanges:
    """Collects an execution when it starts and when it ends."""

    def __init__(self) -> None:
        self._changed: list[Execution] = []
        self._condition = threading.Condition()

    def add(self, execution: Execution) -> None:
        """Add an execution that has started or ended."""
        with self._condition:
            self._changed.append(execution)
            self._condition.notify_all()

    def read(self, position: int, seconds: float) -> dict[str, Any]:
        """Return the executions that have changed since a position, once there is one.

        Args:
            position: 0, or the position in the last answer.
            seconds: How long to wait for a change.

        Returns:
            The new `position`, and `executions` in the order of their changes; none if nothing has changed in time.
        """
        with self._condition:
            self._condition.wait_for(lambda: len(self._changed) > position, seconds)
            changed = self._changed[position:]
        return {"position": position + len(changed), "executions": [_describe(execution) for execution in changed]}


def _describe(execution: Execution) -> dict[str, Any]:
    return {
        "arn": execution.exec_arn,
        "stateMachineArn": execution.state_machine_arn,
        "started": execution.start_date.isoformat(),
        "status": str(execution.exec_status.value),
        "input": execution.execution_input,
        "error": execution.error,
        "cause": execution.cause,
    }
