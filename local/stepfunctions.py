"""Seams in moto's Step Functions engine that change its speed, never what a workflow does."""

import time
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.asl.parse.preprocessor import Preprocessor


def install(wait_scale: float) -> None:
    """Parse each definition once, not once per execution, and shorten the waits between retries.

    Args:
        wait_scale: What the waits are multiplied by, so that a test need not sit them out.

    Raises:
        RuntimeError: moto no longer has what is replaced.
    """
    if getattr(retrier_decl, "time", None) is None:
        raise RuntimeError("moto moved the wait out of retrier_decl: local/stepfunctions.py must follow.")
    if not callable(getattr(AmazonStateLanguageParser, "parse", None)):
        raise RuntimeError("moto moved AmazonStateLanguageParser.parse: local/stepfunctions.py must follow.")
    retrier_decl.time = SimpleNamespace(  # type: ignore[attr-defined, assignment]
        sleep=lambda seconds: time.sleep(seconds * wait_scale)
    )
    tree = lru_cache(lambda definition, parse=AmazonStateLanguageParser.parse: parse(definition)[1])

    def parse_once(definition: str) -> tuple[Any, Any]:
        # The components keep state while they run, so every execution gets its own from the common tree.
        return Preprocessor().visit(tree(definition)), tree(definition)

    AmazonStateLanguageParser.parse = staticmethod(parse_once)  # type: ignore[method-assign]
