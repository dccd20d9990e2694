"""Correct the Step Functions engine of moto: its speed, timeouts, terminal errors, and the role of its calls."""

import copy
import pickle
import sys
import time
from functools import cache, lru_cache
from types import SimpleNamespace
from typing import Any

from botocore.config import Config
from moto.stepfunctions.parser.asl.component.common.error_name.error_equals_decl import ErrorEqualsDecl
from moto.stepfunctions.parser.asl.component.common.path import result_path
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_dynamodb import (
    StateTaskServiceDynamoDB,
)
from moto.stepfunctions.parser.asl.eval import states
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.asl.utils import boto_client

from local.emulator.clients import DUMMY_KEY, Clients
from local.emulator.iam import access_key
from local.emulator.moto_seams import distributed_map

USER_AGENT = "local-step-functions"
"""Identifies calls of the engine."""

UNANSWERED = "x-local-unanswered"
"""A response header that means that there is no response: the calling state times out at once."""

_CONFIG = Config(
    user_agent=USER_AGENT,
    parameter_validation=False,
    retries={"total_max_attempts": 1},  # the workflow retries, and the timeout of the state ends calls
)

_UNCHANGEABLE = frozenset({bool, float, int, str, type(None)})

# Errors that States.ALL does not match: https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
_TERMINAL = frozenset({"States.DataLimitExceeded", "States.Runtime"})


def install(wait_scale: float, clients: Clients) -> None:
    """Sign with the role of the state machine, shorten waits, fix timeouts and terminal errors, and parse only once.

    Args:
        wait_scale: Factor on the waits, so that tests need not wait.
        clients: Creates the clients of the engine.

    Raises:
        RuntimeError: moto no longer has something that this module replaces.
    """
    if getattr(retrier_decl, "time", None) is None:
        raise RuntimeError("moto moved the wait out of retrier_decl: moto_seams/stepfunctions.py must follow.")
    if not callable(getattr(AmazonStateLanguageParser, "parse", None)):
        raise RuntimeError("moto moved AmazonStateLanguageParser.parse: moto_seams/stepfunctions.py must follow.")
    if not callable(getattr(StateTaskServiceDynamoDB, "_from_error", None)):
        raise RuntimeError("moto moved StateTaskServiceDynamoDB._from_error: moto_seams/stepfunctions.py must follow.")
    original = getattr(boto_client, "boto_client_for", None)
    if original is None:
        raise RuntimeError("moto moved boto_client_for: moto_seams/stepfunctions.py must follow.")
    if not callable(getattr(ErrorEqualsDecl, "_eval_body", None)):
        raise RuntimeError("moto moved ErrorEqualsDecl._eval_body: moto_seams/stepfunctions.py must follow.")
    if getattr(states, "copy", None) is None:
        raise RuntimeError("moto moved the copies out of the states: moto_seams/stepfunctions.py must follow.")
    if not callable(getattr(result_path, "parse", None)):
        raise RuntimeError("moto moved the parser out of result_path: moto_seams/stepfunctions.py must follow.")
    client_for = _client_factory(clients)
    for module in list(sys.modules.values()):  # the modules of tasks have imported it by name
        if module.__dict__.get("boto_client_for") is original:
            module.boto_client_for = client_for  # type: ignore[attr-defined]
    states.copy = SimpleNamespace(deepcopy=_copied)  # type: ignore[attr-defined, assignment]
    result_path.parse = lru_cache(result_path.parse)  # type: ignore[attr-defined]
    retrier_decl.time = SimpleNamespace(  # type: ignore[attr-defined, assignment]
        sleep=lambda seconds: time.sleep(seconds * wait_scale)
    )

    def from_error(self: Any, env: Any, ex: Exception, name: Any = StateTaskServiceDynamoDB._from_error) -> Any:
        # moto gives every other exception, including a timeout, the name of a DynamoDB error.
        return self._get_timed_out_failure_event(env) if isinstance(ex, TimeoutError) else name(self, env, ex)

    StateTaskServiceDynamoDB._from_error = from_error  # type: ignore[method-assign]
    read = AmazonStateLanguageParser.parse

    @lru_cache
    def parse_and_pickle(definition: str) -> tuple[bytes, Any, Any]:
        translated, maps = distributed_map.translate(definition)
        program, tree = read(translated)
        return pickle.dumps(program), tree, maps

    def parse_once(definition: str) -> tuple[Any, Any]:
        # The components keep state while they run, so every execution gets its own copy, which is fast.
        pickled, tree, maps = parse_and_pickle(definition)
        program = pickle.loads(pickled)  # noqa: S301 (pickled above)
        for name, distributed in maps.items():
            distributed.add_to(program.states.states[name])
        return program, tree

    distributed_map.install()
    AmazonStateLanguageParser.parse = staticmethod(parse_once)  # type: ignore[method-assign]
    matches = ErrorEqualsDecl._eval_body

    def matches_unless_terminal(self: ErrorEqualsDecl, env: Any) -> None:
        terminal = env.stack[-1].error_name in _TERMINAL
        matches(self, env)
        if terminal and ErrorEqualsDecl._STATE_ALL_ERROR in self.error_names:
            env.stack[-1] = False

    ErrorEqualsDecl._eval_body = matches_unless_terminal  # type: ignore[method-assign]


def _copied(value: Any) -> Any:
    """Copy a value, which is JSON except for the context, in a fraction of the time of `deepcopy`."""
    if type(value) is dict:
        return {name: _copied(item) for name, item in value.items()}
    if type(value) is list:
        return [_copied(item) for item in value]
    return value if type(value) in _UNCHANGEABLE else copy.deepcopy(value)


def _client_factory(clients: Clients) -> Any:
    @cache  # to create a client takes longer than most of its calls
    def client_of(service: str, key: str) -> Any:
        client = clients.create(service, key, _CONFIG)
        client.meta.events.register("before-parse", _note_unanswered)
        return client

    def client_for(region: str, service: str, state_credentials: Any = None) -> Any:  # noqa: ARG001 (the only one)
        """Return the client of a task, which signs with the role of its state; moto signs all calls alike."""
        return client_of(service, access_key(state_credentials.role_arn) if state_credentials else DUMMY_KEY)

    return client_for


def _note_unanswered(response_dict: Any, **_: Any) -> None:
    if UNANSWERED in response_dict["headers"]:
        raise TimeoutError
