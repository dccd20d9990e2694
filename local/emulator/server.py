"""The server process: AWS endpoint, functions and HTTP API of a deployed template.

It reads its configuration as one line of JSON from standard input and answers with one line on standard output. It ends
when standard input ends, even while it starts, so it never outlives its parent. moto keeps its state in globals; a
separate process isolates it from moto in tests.
"""

import gc
import json
import os
import signal
import sys
import threading
from collections.abc import Callable

from local.emulator.clients import DUMMY_KEY
from local.emulator.configuration import Configuration

_OBJECTS_PER_COLLECTION = 100_000
"""Some megabytes. An upload makes tens of thousands, and the default of 700 took a tenth of the CPU time."""


def main() -> None:
    """Start everything, answer, and run until the parent closes standard input."""
    gc.disable()  # a start makes half a million objects that stay; a collection would look through all of them
    line = sys.stdin.readline()
    if not line:
        return  # the parent was interrupted before it sent the configuration
    configuration = Configuration(**json.loads(line))
    stop_functions: list[Callable[[], None]] = []

    def finish(*_: object) -> None:
        try:
            for stop in stop_functions:
                stop()
        finally:
            os._exit(0)  # threads may still run executions

    def end_with_parent() -> None:
        sys.stdin.read()
        finish()

    threading.Thread(target=end_with_parent, daemon=True).start()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # output of moto must not mix with the answer
    try:
        _replace_environment(configuration.region)
        from local.emulator import startup  # moto reads the environment when it is imported

        stop, answer = startup.start(configuration)
    except Exception as error:
        import traceback

        traceback.print_exc()
        print(json.dumps({"error": str(error) or type(error).__name__}), file=answers, flush=True)
        os._exit(1)
    stop_functions.append(stop)
    gc.freeze()
    gc.set_threshold(_OBJECTS_PER_COLLECTION, 20, 20)
    gc.enable()
    signal.signal(signal.SIGTERM, finish)
    print(json.dumps(answer), file=answers, flush=True)
    threading.Event().wait()


def _replace_environment(region: str) -> None:
    """Set the variables that boto3 and moto read, so that no profile of the user has any effect."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ |= {
        "AWS_ACCESS_KEY_ID": DUMMY_KEY,
        "AWS_SECRET_ACCESS_KEY": DUMMY_KEY,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_DEFAULT_REGION": region,
        "MOTO_DISABLE_GLOBAL_CORS": "true",  # otherwise moto would allow pages of any origin to read its answers
    }


if __name__ == "__main__":
    main()
