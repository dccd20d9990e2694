"""The process of one function, as the Python runtime of Lambda. It uses only the standard library.

It runs as `python -I worker.py ANSWERS CODE LAYER…`. It reads one JSON line per invocation from standard input, and
answers on the descriptor ANSWERS. Standard output and standard error are the log of the function. It exits when the
emulator ends, because standard input ends then.
"""

import importlib
import json
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, TextIO


def main() -> None:
    """Load the handler, report that it is ready, and serve until the emulator ends."""
    answers = int(sys.argv[1])
    code, *layers = sys.argv[2:]
    requests: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    sys.path[:0] = [code, *layers]
    os.chdir(code)
    with os.fdopen(answers, "w", encoding="utf-8") as channel:
        handler, fault = _load(os.environ["_HANDLER"])
        _send(channel, {"ready": True})
        while True:
            request = requests.get()
            _send(channel, _failed(fault, request) if handler is None else _invoke(handler, request))


def _listen(requests: "queue.Queue[dict[str, Any]]") -> None:
    for line in sys.stdin:
        requests.put(json.loads(line))
    os._exit(0)  # even if a handler runs: nothing can read its answer


def _load(name: str) -> tuple[Callable[[Any, Any], Any] | None, dict[str, Any]]:
    module, _, function = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module.replace("/", ".")), function), {}
    except SystemExit:
        raise
    except AttributeError:
        return None, _error("Runtime.HandlerNotFound", f"Handler '{function}' missing on module '{module}'")
    except ImportError as error:
        _log(error)
        return None, _error("Runtime.ImportModuleError", f"Unable to import module '{module}': {error}")
    except Exception as error:
        _log(error)
        return None, _error(type(error).__name__, str(error), error)


def _invoke(handler: Callable[[Any, Any], Any], request: dict[str, Any]) -> dict[str, Any]:
    request_id = request["requestId"]
    os.environ["_X_AMZN_TRACE_ID"] = f"Root=1-{int(time.time()):08x}-{request_id.replace('-', '')[:24]};Sampled=0"
    try:
        result = handler(request["event"], _context(request))
    except Exception as error:
        _log(error, requestId=request_id)
        return _failed(_error(type(error).__name__, str(error), error), request)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    try:
        return {"payload": json.dumps(result)}
    except (TypeError, ValueError) as error:
        return _failed(_error("Runtime.MarshalError", f"Unable to marshal response: {error}"), request)


def _context(request: dict[str, Any]) -> SimpleNamespace:
    deadline = time.monotonic() + request["timeoutSeconds"]
    return SimpleNamespace(
        aws_request_id=request["requestId"],
        function_name=os.environ["AWS_LAMBDA_FUNCTION_NAME"],
        function_version=os.environ["AWS_LAMBDA_FUNCTION_VERSION"],
        invoked_function_arn=request["functionArn"],
        memory_limit_in_mb=os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"],
        log_group_name=os.environ["AWS_LAMBDA_LOG_GROUP_NAME"],
        log_stream_name=os.environ["AWS_LAMBDA_LOG_STREAM_NAME"],
        client_context=None,
        identity=SimpleNamespace(cognito_identity_id=None, cognito_identity_pool_id=None),
        get_remaining_time_in_millis=lambda: max(0, int((deadline - time.monotonic()) * 1000)),
    )


def _error(kind: str, message: str, error: BaseException | None = None) -> dict[str, Any]:
    frames = traceback.format_tb(error.__traceback__)[1:] if error else []  # omit the frame of this file
    return {"errorMessage": message, "errorType": kind, "stackTrace": frames}


def _log(error: Exception, **fields: str) -> None:
    """Log an error as one line in the JSON format of Lambda, whatever its message contains."""
    line = {
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "level": "ERROR",
        "errorType": type(error).__name__,
        "errorMessage": str(error),
        "stackTrace": traceback.format_exception(error),
        **fields,
    }
    print(json.dumps(line), file=sys.stderr)


def _failed(error: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    return {"payload": json.dumps(error | {"requestId": request["requestId"]}), "failed": True}


def _send(channel: TextIO, message: dict[str, Any]) -> None:
    channel.write(json.dumps(message) + "\n")
    channel.flush()


if __name__ == "__main__":
    main()
