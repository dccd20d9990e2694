"""The command line for a stack: `redrive` undelivered events, `reprocess` or `relist` uploads, manage API `keys`."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from cli import keys
from cli import stack as stacks
from cli.redrive import redrive
from cli.relist import relist
from image_pipeline import uploads
from image_pipeline.errors import PipelineError, UploadNotFoundError

RUN_DIR = Path(__file__).resolve().parent.parent / ".run"

OK, LEFT, USAGE, NO_STACK = 0, 1, 2, 3
_EXIT_CODES = "exit codes: 0 all was done · 1 something was left undone · 2 wrong arguments · 3 no such stack"


def main(arguments: list[str] | None = None) -> int:
    """Run a command.

    Returns:
        The exit code.
    """
    options = _parser().parse_args(arguments)
    try:
        found = (
            stacks.on_this_machine(options.run_dir) if options.local else stacks.deployed(options.stack, options.region)
        )
        code: int = options.command(found, options)
    except stacks.StackError as error:
        print(error, file=sys.stderr)
        return NO_STACK
    except (ClientError, BotoCoreError) as error:
        print(f"AWS did not do it: {error}", file=sys.stderr)
        return LEFT
    except PipelineError as error:
        print(error, file=sys.stderr)
        return LEFT
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cli", description=__doc__, epilog=_EXIT_CODES)
    commands = parser.add_subparsers(required=True, metavar="command")
    _command(commands, "redrive", _redrive, "put events back that could not be delivered")
    sub = _command(commands, "reprocess", _reprocess, "process uploads again that have not changed")
    sub.add_argument("keys", nargs="+", metavar="KEY", help="an upload's key, such as uploads/beach.jpg")
    _command(commands, "relist", _relist, "list images from before there was a list, or after its loss")
    manage = commands.add_parser("keys", help="create, list, rotate and revoke API keys", epilog=_EXIT_CODES)
    actions = manage.add_subparsers(required=True, metavar="action")
    sub = _command(actions, "create", keys.create, "create an API key and print it, this once")
    sub.add_argument("--name", required=True, type=keys.name, help="whose it is, or what it is for")
    sub.add_argument("--expires-days", type=keys.days, metavar="DAYS", help="how long it works; for ever if not given")
    _command(actions, "list", keys.show, "list all API keys, without their secrets")
    sub = _command(actions, "rotate", keys.rotate, "give an API key a new secret and print it, this once")
    sub.add_argument("key_id", metavar="ID", help="as it is listed")
    sub = _command(actions, "revoke", keys.revoke, "end an API key for good")
    sub.add_argument("key_id", metavar="ID", help="as it is listed")
    return parser


def _command(
    commands: Any, name: str, command: Callable[[stacks.Stack, argparse.Namespace], int], words: str
) -> argparse.ArgumentParser:
    sub: argparse.ArgumentParser = commands.add_parser(name, help=words, description=words, epilog=_EXIT_CODES)
    where = sub.add_mutually_exclusive_group(required=True)
    where.add_argument("--stack", help="the name of the stack on AWS")
    where.add_argument("--local", action="store_true", help="the copy that `make run` keeps up on this machine")
    sub.add_argument("--region", help="the stack's region, if not the configured one")
    sub.add_argument("--run-dir", type=Path, default=RUN_DIR, help="of the local copy (default %(default)s)")
    sub.add_argument("--json", action="store_true", help="one JSON object at the end, for programs")
    sub.set_defaults(command=command)
    return sub


def _redrive(stack: stacks.Stack, options: argparse.Namespace) -> int:
    done = redrive(stack, (lambda _: None) if options.json else print)
    if options.json:
        print(json.dumps({"started": done.started, "left": done.left}))
    else:
        print(f"{done.started} started, {done.left} left in the queue.")
    return LEFT if done.left else OK


def _relist(stack: stacks.Stack, options: argparse.Namespace) -> int:
    listed, total = relist(stack)
    print(json.dumps({"listed": listed, "total": total}) if options.json else f"{listed} of {total} listed anew.")
    return OK


def _reprocess(stack: stacks.Stack, options: argparse.Namespace) -> int:
    outputs = stack.outputs
    where = outputs["UploadsBucketName"], outputs["ImageTableName"], outputs["ProcessImageStateMachineArn"]
    started: dict[str, str] = {}
    for key in options.keys:
        try:
            started[key] = uploads.reprocess(stack.client, *where, key)
        except UploadNotFoundError as error:
            print(error, file=sys.stderr)
        else:
            if not options.json:
                print(f"Started {started[key]}.")
    if options.json:
        print(json.dumps({"started": started}))
    return OK if len(started) == len(set(options.keys)) else LEFT
