"""The command: perform every check, print each result, and change nothing."""

import argparse

from image_pipeline_cli import checks, terminal
from image_pipeline_cli.checks import Check
from image_pipeline_cli.doctor import health, quotas
from image_pipeline_cli.exits import INCOMPLETE, OK
from image_pipeline_cli.stack import Stack

CHECKS: tuple[Check[Stack], ...] = (*health.CHECKS, *quotas.CHECKS)


def doctor(stack: Stack, options: argparse.Namespace) -> int:
    """Report what is wrong with a stack.

    Returns:
        The exit code.
    """
    results = []
    for check in CHECKS:
        result = checks.perform(check, stack)
        results.append(result)
        if not options.json:
            checks.show(result)
    if options.json:
        terminal.write_json({"checks": [result.to_json() for result in results]})
    else:
        terminal.say(checks.summary(results))
    return INCOMPLETE if any(result.failed for result in results) else OK
