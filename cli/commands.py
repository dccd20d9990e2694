"""The command line for a stack: upload and look after pictures, mend what went wrong, manage API keys."""

import argparse
import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from cli import backfill, completion, keys, names, terminal
from cli import stack as stacks
from cli.delete import delete
from cli.download import download
from cli.exits import INTERRUPTED, LEFT, NO_STACK, OK, USAGE, WORDS
from cli.list import list_uploads
from cli.redrive import redrive
from cli.relist import relist
from cli.reprocess import reprocess
from cli.status import status
from cli.upload import upload
from image_pipeline.errors import InvalidRequestError, PipelineError
from image_pipeline.feeds import listing

__all__ = ["INTERRUPTED", "LEFT", "NO_STACK", "OK", "USAGE", "main"]

PROGRAM = "image-pipeline"
RUN_DIR = Path(__file__).resolve().parent.parent / ".run"
PATIENCE_SECONDS = 600

_JSON_DOCUMENT = "one JSON object at the end, for programs"
_JSON_LINES = "a JSON object on each line, for programs"


def main(arguments: list[str] | None = None) -> int:
    """Run a command.

    Returns:
        The exit code.
    """
    called = Path(sys.argv[0]).name
    options = _parser(PROGRAM if called == PROGRAM else "python -m cli").parse_args(arguments)
    try:
        code: int = options.command(_stack(options), options)
        sys.stdout.flush()
    except stacks.StackError as error:
        terminal.complain(str(error))
        return NO_STACK
    except (ClientError, BotoCoreError) as error:
        terminal.complain(f"AWS did not do it: {error}")
        return LEFT
    except PipelineError as error:
        terminal.complain(str(error))
        return USAGE if isinstance(error, InvalidRequestError) else LEFT
    except KeyboardInterrupt:
        terminal.complain("Interrupted. The same command again does the rest.")
        return INTERRUPTED
    except BrokenPipeError:  # whoever read this has gone
        _drop_output()
        return LEFT
    except OSError as error:
        _drop_output()
        terminal.complain(f"Not everything could be read or written: {error}.")
        return LEFT
    return code


def _drop_output() -> None:
    """Let the interpreter flush what is left into nothing, or it would complain when it ends."""
    with suppress(OSError):
        sys.stdout.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _stack(options: argparse.Namespace) -> stacks.Stack | None:
    if "local" not in options:
        return None
    return stacks.on_this_machine(options.run_dir) if options.local else stacks.deployed(options.stack, options.region)


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program, description=__doc__, epilog=WORDS)
    commands = parser.add_subparsers(required=True, metavar="command")
    _pictures(commands)
    words = "put back events that could not be delivered, and messages of batches that were given up"
    _command(commands, "redrive", _redrive, words)
    sub = _command(commands, "reprocess", reprocess, "process uploads again that have not changed")
    sub.add_argument("keys", nargs="+", metavar="KEY", help="an upload's key, such as uploads/beach.jpg")
    sub.add_argument("--wait", action="store_true", help="follow every upload to its outcome")
    _add_timeout(sub)
    backfill.add_options(_command(commands, "backfill", backfill.run, "process many uploads again, within a budget"))
    _command(commands, "relist", _relist, "list images from before there was a list, or after its loss")
    manage = commands.add_parser("keys", help="create, list, rotate and revoke API keys", epilog=WORDS)
    actions = manage.add_subparsers(required=True, metavar="action")
    sub = _command(actions, "create", keys.create, "create an API key and print it, this once")
    sub.add_argument("--name", required=True, type=keys.name, help="whose it is, or what it is for")
    sub.add_argument("--expires-days", type=keys.days, metavar="DAYS", help="how long it works; for ever if not given")
    _command(actions, "list", keys.show, "list all API keys, without their secrets")
    sub = _command(actions, "rotate", keys.rotate, "give an API key a new secret and print it, this once")
    sub.add_argument("key_id", metavar="ID", help="as it is listed")
    sub = _command(actions, "revoke", keys.revoke, "end an API key for good")
    sub.add_argument("key_id", metavar="ID", help="as it is listed")
    words = f"print what teaches a shell to complete {PROGRAM}"
    sub = commands.add_parser("completion", help=words, description=words)
    sub.add_argument("shell", choices=completion.SHELLS)
    sub.set_defaults(command=_completion)
    return parser


def _pictures(commands: Any) -> None:
    """The commands for uploads."""
    sub = _command(
        commands, "upload", upload, "upload files and folders; what is there already is skipped", _JSON_LINES
    )
    paths = sub.add_argument(
        "paths", nargs="+", type=names.path, metavar="PATH", help="a file, a folder, or a pattern such as '*.jpg'"
    )
    completion.of_files(paths)
    sub.add_argument("--to", type=names.folder, default="uploads/", metavar="FOLDER", help="a folder below uploads/")
    sub.add_argument("--jobs", type=names.number, default=8, help="how many files at a time (default %(default)s)")
    sub.add_argument(
        "--follow-links", action="store_true", help="upload what symbolic links lead to; else they are left out"
    )
    sub.add_argument("--no-overwrite", action="store_true", help="leave alone what is there under the same name")
    sub.add_argument("--wait", "--watch", action="store_true", help="follow every upload to its outcome")
    _add_timeout(sub)
    sub = _command(commands, "status", status, "tell how uploads went")
    _add_names(sub)
    how = sub.add_mutually_exclusive_group()
    how.add_argument("--wait", action="store_true", help="tell when each has its outcome")
    how.add_argument("--watch", action="store_true", help="tell whenever something changes, until each has its outcome")
    _add_timeout(sub)
    sub = _command(commands, "download", download, "download renditions, the original, or both")
    _add_names(sub)
    sub.add_argument("--rendition", metavar="NAME", help="only that one, or all (the default without --original)")
    sub.add_argument("--original", action="store_true", help="what was uploaded")
    folder = sub.add_argument("--to", type=Path, default=Path(), metavar="DIR", help="where to (default: here)")
    completion.of_folders(folder)
    sub.add_argument("--force", action="store_true", help="replace files that are there")
    sub = _command(commands, "delete", delete, "delete uploads and their renditions, after asking")
    _add_names(sub)
    sub.add_argument("--yes", action="store_true", help="do not ask")

    sub = _command(commands, "list", list_uploads, "list uploads, newest first")
    sub.add_argument("--status", choices=listing.STATUSES, help="only those with this status")
    sub.add_argument("--label", help="only those with this label, in any case")
    sub.add_argument(
        "--from", dest="since", metavar="DATE", help="only those uploaded then or later, such as 2026-11-21"
    )
    sub.add_argument("--to", dest="until", metavar="DATE", help="only those uploaded before")
    sub.add_argument(
        "--limit",
        type=names.number,
        default=listing.DEFAULT_IMAGES,
        metavar="N",
        help="most uploads (default %(default)s)",
    )


def _add_names(sub: argparse.ArgumentParser) -> None:
    words = "an upload, such as beach.jpg; a folder, such as summer/; or a pattern, such as 'summer/*'"
    sub.add_argument("names", nargs="+", metavar="NAME", help=words)


def _add_timeout(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--timeout",
        type=names.number,
        default=PATIENCE_SECONDS,
        metavar="SECONDS",
        help="how long to wait (default %(default)s)",
    )


def _command(
    commands: Any,
    name: str,
    command: Callable[[stacks.Stack, argparse.Namespace], int],
    words: str,
    json_help: str = _JSON_DOCUMENT,
) -> argparse.ArgumentParser:
    sub: argparse.ArgumentParser = commands.add_parser(name, help=words, description=words, epilog=WORDS)
    where = sub.add_mutually_exclusive_group(required=True)
    where.add_argument("--stack", help="the name of the stack on AWS")
    where.add_argument("--local", action="store_true", help="the copy that `make run` keeps up on this machine")
    sub.add_argument("--region", help="the stack's region, if not the configured one")
    sub.add_argument("--run-dir", type=Path, default=RUN_DIR, help="of the local copy (default %(default)s)")
    sub.add_argument("--json", action="store_true", help=json_help)
    sub.set_defaults(command=command)
    return sub


def _redrive(stack: stacks.Stack, options: argparse.Namespace) -> int:
    done = redrive(stack, (lambda _: None) if options.json else print)
    if options.json:
        print(json.dumps({"started": done.started, "sent": done.sent, "left": done.left}))
    else:
        print(f"{done.started} started, {done.sent} sent again, {done.left} left in the queue.")
    return LEFT if done.left else OK


def _relist(stack: stacks.Stack, options: argparse.Namespace) -> int:
    listed, total = relist(stack)
    print(json.dumps({"listed": listed, "total": total}) if options.json else f"{listed} of {total} listed anew.")
    return OK


def _completion(_: None, options: argparse.Namespace) -> int:
    print(completion.script(_parser(PROGRAM), options.shell))
    return OK
