"""Evaluate JSONata in the Step Functions engine of moto with jsonata-python.

moto prepends all variables to each expression as source text, and has no evaluator. This module binds values, so no
string needs escaping, and parses each expression once. It also defines the functions that Step Functions adds
(https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html).
"""

import hashlib
import json
import random
import re
import threading
import uuid
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from jsonata import Jsonata  # type: ignore[import-untyped]
from jsonata.utils import Utils  # type: ignore[import-untyped]
from moto.stepfunctions.parser.api import EvaluationFailedEventDetails, HistoryEventType
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent, FailureEventException
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
from moto.stepfunctions.parser.asl.component.common.string.string_expression import StringJSONata
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails

_HASHES = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}

_CALLBACKS = {"__evaluate_entry": None, "__evaluate_exit": None}
"""jsonata-python looks for these variables in all frames, twice for each part of an expression; here in the first."""

# An expression object holds the state of its evaluation, so only one may run at a time.
_LOCK = threading.Lock()


class QueryError(Exception):
    """An expression cannot be evaluated, or its result is not JSON: States.QueryEvaluationError."""


def evaluate(expression: str, bindings: Mapping[str, Any]) -> Any:
    """Evaluate a JSONata expression as Step Functions does.

    Args:
        expression: The text between `{%` and `%}`.
        bindings: JSON values by variable name, without the dollar sign.

    Raises:
        QueryError: The expression is invalid, fails, or returns nothing or a function.
    """
    with _LOCK:
        try:
            compiled = _compiled(expression)
            Jsonata.CURRENT.jsonata = compiled  # jsonata-python looks up the running expression by thread
            result = compiled.evaluate(None, _CALLBACKS | {name: _null(value) for name, value in bindings.items()})
        except QueryError:
            raise
        except Exception as error:
            raise QueryError(f"The JSONata expression '{expression}' failed: {error}") from error
    if result is None:
        raise QueryError(f"The JSONata expression '{expression}' returned nothing (undefined).")
    try:
        return json.loads(json.dumps(result, default=_plain))
    except (TypeError, ValueError) as error:
        raise QueryError(f"The JSONata expression '{expression}' returned an unsupported result type.") from error


def install() -> None:
    """Make the engine of moto evaluate expressions here.

    Raises:
        RuntimeError: moto no longer has something that this module replaces.
    """
    if not callable(getattr(StringJSONata, "_eval_body", None)):
        raise RuntimeError("moto moved StringJSONata._eval_body: moto_seams/jsonata.py must follow.")
    StringJSONata._eval_body = _eval_body  # type: ignore[method-assign]


def _eval_body(self: StringJSONata, env: Environment) -> None:
    try:
        env.stack.append(evaluate(self.expression, _bindings(env, _variables(self.expression))))
    except QueryError as error:
        name = StatesErrorName(typ=StatesErrorNameType.StatesQueryEvaluationError)
        details = EventDetails(  # type: ignore[typeddict-item]
            evaluationFailedEventDetails=EvaluationFailedEventDetails(cause=str(error), error=name.error_name)
        )
        env.event_manager.add_event(
            context=env.event_history_context, event_type=HistoryEventType.EvaluationFailed, event_details=details
        )
        raise FailureEventException(
            FailureEvent(env=env, error_name=name, event_type=HistoryEventType.EvaluationFailed, event_details=details)
        ) from error


@lru_cache(maxsize=1024)
def _variables(expression: str) -> frozenset[str]:
    """Return the names of all variables that an expression can refer to: it cannot compute a name."""
    return frozenset(re.findall(r"\$(\w+)", expression))


def _bindings(env: Environment, names: Collection[str]) -> dict[str, Any]:
    """Collect `$states` and the variables of the workflow; values that a state cannot access are omitted."""
    states = {
        name: value
        for name, value in env.states._states_data.items()
        if value is not None or name not in ("result", "errorOutput")
    }
    variables = {**env.variable_store._outer_scope, **env.variable_store._inner_scope, "states": states}
    used = {name: value for name, value in variables.items() if name in names}
    plain: dict[str, Any] = json.loads(json.dumps(used, default=_plain))
    return plain


@lru_cache(maxsize=1024)
def _compiled(expression: str) -> Jsonata:
    compiled = Jsonata(expression)
    compiled.set_output_convert_nulls(False)  # needed to distinguish null from undefined
    for name, function in _FUNCTIONS.items():
        compiled.register_lambda(name, function)
    return compiled


def _null(value: Any) -> Any:
    return Utils.NULL_VALUE if value is None else value


def _plain(value: Any) -> Any:
    """Convert null and times to JSON as Step Functions does."""
    if value is Utils.NULL_VALUE:
        return None
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    raise TypeError(type(value).__name__)


def _parse(text: str) -> Any:
    try:
        return _null(json.loads(text))
    except (TypeError, ValueError) as error:
        raise QueryError(f"$parse was given text that is not JSON: {text!r}") from error


def _hash(value: str, algorithm: str) -> str:
    if algorithm not in _HASHES:
        raise QueryError(f"$hash supports {', '.join(_HASHES)}, not {algorithm!r}.")
    return hashlib.new(_HASHES[algorithm], value.encode()).hexdigest()


def _partition(array: list[Any], size: float) -> list[list[Any]]:
    step = int(size)
    if step < 1:
        raise QueryError(f"$partition needs a chunk size of at least 1, not {size}.")
    return [array[start : start + step] for start in range(0, len(array), step)]


def _range(first: float, last: float, step: float) -> list[int]:
    if not step:
        raise QueryError("$range needs a step that is not 0.")
    return list(range(int(first), int(last) + (1 if step > 0 else -1), int(step)))


def _random(seed: Any = None) -> float:
    return random.Random(seed).random() if seed is not None else random.random()  # noqa: S311 (as Step Functions')


def _eval(*_: Any) -> Any:
    raise QueryError("$eval does not exist in Step Functions; use $parse for JSON.")


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "parse": _parse,
    "hash": _hash,
    "uuid": lambda: str(uuid.uuid4()),
    "partition": _partition,
    "range": _range,
    "random": _random,
    "eval": _eval,
}
