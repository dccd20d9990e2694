"""Checks of a stack: each has a name and a function, and ends as OK, FAILED or NOT CHECKED."""

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from image_pipeline import aws
from image_pipeline.errors import PipelineError
from image_pipeline_cli import terminal

Subject = TypeVar("Subject")

_DENIED_CODES = frozenset(
    {"AccessDenied", "AccessDeniedException", "AuthorizationError", "AuthorizationErrorException", "403", "Forbidden"}
)
_MISSING_CODES = frozenset(
    {
        "NoSuchBucket",
        "NotFound",
        "NotFoundException",
        "QueueDoesNotExist",
        "AWS.SimpleQueueService.NonExistentQueue",
        "ResourceNotFoundException",
        "StateMachineDoesNotExist",
    }
)
"""The errors of services about a resource that does not exist."""
_MISSING_PERMISSION = re.compile(r"not authorized to perform: ([\w-]+:\w+)")
_MALFORMED = (AttributeError, KeyError, TypeError, ValueError)  # raised for a document of an unexpected form
_WIDTH = 13


class State(StrEnum):
    """How a check ended."""

    OK = "OK"
    FAILED = "FAILED"
    NOT_CHECKED = "NOT CHECKED"


class CheckFailedError(Exception):
    """A check found a problem.

    Args:
        detail: What is wrong.
        advice: What to do.
    """

    def __init__(self, detail: str, advice: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.advice = advice


class NotCheckedError(Exception):
    """Something cannot be checked; the message says why."""


@dataclass(frozen=True)
class Check(Generic[Subject]):
    """One check."""

    name: str
    run: Callable[[Subject], str]
    """Returns what it found, or raises `CheckFailedError` or `NotCheckedError`."""
    permissions: tuple[str, ...] = ()
    """The IAM actions that its calls need."""


@dataclass(frozen=True)
class Result:
    """The result of one check."""

    name: str
    state: State
    detail: str
    advice: str = ""
    permission: str = ""
    """The IAM action that the caller lacks; empty if nothing was denied."""

    @property
    def failed(self) -> bool:
        """Whether the check found a problem."""
        return self.state is State.FAILED

    def to_json(self) -> dict[str, Any]:
        """Return the result as it is printed with `--json`."""
        return asdict(self)


def perform(check: Check[Subject], subject: Subject) -> Result:
    """Perform a check. An AWS error is a problem, except a missing permission: then nothing was checked."""
    try:
        return Result(check.name, State.OK, check.run(subject))
    except CheckFailedError as error:
        return Result(check.name, State.FAILED, error.detail, error.advice)
    except NotCheckedError as error:
        return Result(check.name, State.NOT_CHECKED, str(error))
    except PipelineError as error:
        return Result(check.name, State.FAILED, error.message, error.hint)
    except _MALFORMED as error:
        detail = f"An answer of the stack has an unexpected form: {type(error).__name__}: {error}."
        return Result(
            check.name, State.FAILED, detail, "Other code is deployed than that of this command: deploy again."
        )
    except (ClientError, BotoCoreError) as error:
        if aws.code_of(error) in _DENIED_CODES:
            permission = _permission(check, error)
            detail = f"Your credentials need {permission}."
            return Result(check.name, State.NOT_CHECKED, detail, permission=permission)
        is_missing = aws.code_of(error) in _MISSING_CODES
        advice = "It was deleted by hand: deploy again." if is_missing else "Check the AWS Health Dashboard."
        return Result(check.name, State.FAILED, f"AWS request failed: {error}", advice)


def show(result: Result) -> None:
    """Print a result as one line, with the advice for a problem on a second one."""
    terminal.say(terminal.styled(result.state, _WIDTH), result.name, (f"  {result.detail}", "dim"))
    if result.advice:
        terminal.say(" " * _WIDTH, result.advice)


def summary(results: list[Result]) -> str:
    """Count the results by state."""
    counts = {state: sum(result.state is state for result in results) for state in State}
    return f"{counts[State.OK]} OK, {counts[State.FAILED]} failed, {counts[State.NOT_CHECKED]} not checked."


def _permission(check: Check[Any], error: ClientError | BotoCoreError) -> str:
    """Name the missing permission; some services do not say which one it is."""
    permission = _MISSING_PERMISSION.search(str(error))
    return permission[1] if permission else " and ".join(check.permissions) or "more permissions"
