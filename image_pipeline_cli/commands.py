"""Upload and manage images, recover from failures, and manage API keys."""

import argparse
import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from image_pipeline.api import scopes
from image_pipeline.errors import InvalidRequestError, PipelineError
from image_pipeline.feeds import listing
from image_pipeline_cli import backfill, completion, focus, keys, names, terminal
from image_pipeline_cli import stack as stacks
from image_pipeline_cli.delete import delete
from image_pipeline_cli.doctor.command import doctor
from image_pipeline_cli.download import download
from image_pipeline_cli.exits import INCOMPLETE, INTERRUPTED, NO_STACK, OK, USAGE, WORDS
from image_pipeline_cli.list import list_uploads
from image_pipeline_cli.local_run import default_run_dir
from image_pipeline_cli.redrive import redrive
from image_pipeline_cli.relist import relist
from image_pipeline_cli.reprocess import reprocess
from image_pipeline_cli.restore import restore
from image_pipeline_cli.status import status
from image_pipeline_cli.teardown import TeardownError, teardown
from image_pipeline_cli.trial import options as trial_options
from image_pipeline_cli.upload import upload

__all__ = ["INCOMPLETE", "INTERRUPTED", "NO_STACK", "OK", "USAGE", "main"]

PROGRAM = "image-pipeline"
TIMEOUT_SECONDS = 600

_CONTINUES = "Run the same command again to continue."
_STARTS_ANEW = "The same command starts anew."

_JSON_DOCUMENT = "print one JSON object at the end"
_JSON_LINES = "print one JSON object per line"


def main(arguments: list[str] | None = None) -> int:
    """Run the command that the arguments name.

    Returns:
        The exit code.
    """
    options = _parser().parse_args(arguments)
    try:
        code: int = options.command(_stack(options), options)
        sys.stdout.flush()
    except stacks.StackError as error:
        terminal.complain(str(error))
        return NO_STACK
    except (ClientError, BotoCoreError) as error:
        terminal.complain(f"AWS request failed: {error}")
        return INCOMPLETE
    except TeardownError as error:
        terminal.complain(str(error))
        return INCOMPLETE
    except PipelineError as error:
        terminal.complain(str(error))
        return USAGE if isinstance(error, InvalidRequestError) else INCOMPLETE
    except KeyboardInterrupt:
        terminal.complain(f"Interrupted. {options.when_interrupted}")
        return INTERRUPTED
    except BrokenPipeError:  # the reader of the output closed the pipe
        _drop_output()
        return INCOMPLETE
    except OSError as error:
        _drop_output()
        terminal.complain(f"Input or output failed: {error}.")
        return INCOMPLETE
    return code


def _drop_output() -> None:
    """Discard buffered output; otherwise the interpreter would report an error when it flushes at exit."""
    with suppress(OSError):
        sys.stdout.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _stack(options: argparse.Namespace) -> stacks.Stack | None:
    if "local" not in options:
        return None
    return stacks.find_local(options.run_dir) if options.local else stacks.find_on_aws(options.stack, options.region)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__, epilog=WORDS)
    parser.set_defaults(when_interrupted=_CONTINUES)
    commands = parser.add_subparsers(required=True, metavar="command")
    _add_image_commands(commands)
    description = "redrive undelivered events and batch messages from their dead-letter queues"
    _command(commands, "redrive", _redrive, description)
    sub = _command(commands, "reprocess", reprocess, "process unchanged uploads again")
    sub.set_defaults(when_interrupted=_STARTS_ANEW)
    sub.add_argument(
        "keys",
        nargs="+",
        metavar="KEY",
        help="an upload, with or without uploads/, such as beach.jpg; backfill takes folders",
    )
    sub.add_argument("--wait", action="store_true", help="wait for the outcome of each upload")
    _add_timeout(sub)
    sub = _command(commands, "focus", focus.focus, "set the point that the crops of an upload must show")
    sub.set_defaults(when_interrupted=_STARTS_ANEW)
    sub.add_argument("key", metavar="KEY", help="an upload, with or without uploads/, such as beach.jpg")
    sub.add_argument(
        "point",
        type=focus.point,
        metavar="X,Y",
        help="distances from the left and the top edge, 0 to 1, such as 0.3,0.4; `none` lets each recipe decide",
    )
    sub.add_argument("--wait", action="store_true", help="wait for the outcome")
    _add_timeout(sub)
    sub = _command(commands, "restore", restore, "undo the deletion of uploads")
    sub.add_argument("keys", nargs="+", metavar="NAME", help="name of a deleted upload, such as beach.jpg")
    backfill.add_options(_command(commands, "backfill", backfill.run, "process many uploads again, within a budget"))
    _command(commands, "relist", _relist, "add images that are missing from the list, for example after a loss")
    manage = commands.add_parser("keys", help="create, list, rotate and revoke API keys", epilog=WORDS)
    actions = manage.add_subparsers(required=True, metavar="action")
    sub = _command(actions, "create", keys.create, "create an API key and print it once")
    sub.set_defaults(when_interrupted="A key may have been created: look at `keys list` before you create another.")
    sub.add_argument("--name", required=True, type=keys.name, help="owner or purpose of the key")
    sub.add_argument(
        "--expires-days", type=keys.days, metavar="DAYS", help="days until the key expires (default: never)"
    )
    sub.add_argument(
        "--scope",
        nargs="+",
        action="extend",
        choices=scopes.SCOPES,
        help="what the key may do (default: everything)",
    )
    sub.add_argument("--folder", type=keys.folder, help="the only folder below uploads/ that the key may use")
    _command(actions, "list", keys.show, "list all API keys without their secrets")
    sub = _command(actions, "rotate", keys.rotate, "replace the secret of an API key and print the key once")
    sub.set_defaults(when_interrupted="The secret may have been replaced: rotate the key again to get one.")
    sub.add_argument("key_id", metavar="ID", help="id of the key, as `keys list` prints it")
    sub = _command(actions, "revoke", keys.revoke, "revoke an API key permanently")
    sub.add_argument("key_id", metavar="ID", help="id of the key, as `keys list` prints it")
    sub = _command(commands, "verify", _verify, "check that a stack works, with images of its own, after confirmation")
    sub.set_defaults(when_interrupted=_STARTS_ANEW)
    sub.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    _add_timeout(sub)
    sub = _command(commands, "doctor", doctor, "report what is wrong with a stack; change nothing")
    sub.set_defaults(when_interrupted=_STARTS_ANEW)
    description = "render local images with a recipe file, and compare it with the present one; needs no stack"
    sub = commands.add_parser("try", help=description, description=description, epilog=WORDS)
    trial_options.add_options(sub)
    sub.set_defaults(command=_try, when_interrupted=_STARTS_ANEW)
    description = "delete a stack with all its images and records, after confirmation"
    sub = commands.add_parser("teardown", help=description, description=description, epilog=WORDS)
    sub.add_argument("--stack", required=True, help="name of the stack on AWS")
    sub.add_argument("--region", help="region of the stack (default: the configured region)")
    sub.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    sub.set_defaults(
        command=_teardown,
        when_interrupted="Run the same command again. If the stack is gone, delete its buckets and tables by hand.",
    )
    description = f"print the shell completion script for {PROGRAM}"
    sub = commands.add_parser("completion", help=description, description=description)
    sub.add_argument("shell", choices=completion.SHELLS)
    sub.set_defaults(command=_completion)
    return parser


def _add_image_commands(commands: Any) -> None:
    sub = _command(
        commands, "upload", upload, "upload files and folders; skip files that are already uploaded", _JSON_LINES
    )
    paths = sub.add_argument(
        "paths", nargs="+", type=names.path, metavar="PATH", help="a file, a folder, or a pattern such as '*.jpg'"
    )
    completion.complete_files(paths)
    sub.add_argument(
        "--to", type=names.folder, default="uploads/", metavar="FOLDER", help="destination folder below uploads/"
    )
    sub.add_argument("--jobs", type=names.number, default=8, help="number of parallel uploads (default %(default)s)")
    sub.add_argument(
        "--follow-links", action="store_true", help="upload the targets of symbolic links (default: skip links)"
    )
    sub.add_argument("--no-overwrite", action="store_true", help="keep uploads that already exist with other content")
    sub.add_argument("--wait", "--watch", action="store_true", help="wait for the outcome of each upload")
    _add_timeout(sub)
    sub = _command(commands, "status", status, "show the status of uploads")
    _add_names(sub)
    follow_mode = sub.add_mutually_exclusive_group()
    follow_mode.add_argument("--wait", action="store_true", help="wait until each upload has an outcome, then print")
    follow_mode.add_argument("--watch", action="store_true", help="print each change until each upload has an outcome")
    _add_timeout(sub)
    sub = _command(commands, "download", download, "download renditions, originals, or both")
    _add_names(sub)
    sub.add_argument(
        "--rendition", metavar="NAME", help="name of a rendition, or `all` (default unless --original is given)"
    )
    sub.add_argument("--original", action="store_true", help="download the original file")
    folder = sub.add_argument(
        "--to", type=Path, default=Path(), metavar="DIR", help="destination folder (default: current folder)"
    )
    completion.complete_folders(folder)
    sub.add_argument("--force", action="store_true", help="replace existing files")
    sub = _command(commands, "delete", delete, "delete uploads and their renditions, after confirmation")
    _add_names(sub)
    sub.add_argument("--yes", action="store_true", help="do not ask for confirmation")

    sub = _command(commands, "list", list_uploads, "list uploads, newest first")
    sub.add_argument("--status", choices=listing.STATUSES, help="list only uploads with this status")
    sub.add_argument("--label", help="list only uploads with this label; case does not matter")
    sub.add_argument("--prefix", metavar="FOLDER", help="list only uploads in this folder or below it, such as summer/")
    sub.add_argument(
        "--from", dest="since", metavar="DATE", help="list only uploads from this date on, such as 2026-11-21"
    )
    sub.add_argument("--to", dest="until", metavar="DATE", help="list only uploads before this date")
    sub.add_argument(
        "--limit",
        type=names.number,
        default=listing.DEFAULT_IMAGES,
        metavar="N",
        help="maximum number of uploads (default %(default)s)",
    )


def _add_names(sub: argparse.ArgumentParser) -> None:
    description = "an upload, such as beach.jpg; a folder, such as summer/; or a pattern, such as 'summer/*'"
    sub.add_argument("names", nargs="+", metavar="NAME", help=description)


def _add_timeout(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--timeout",
        type=names.number,
        default=TIMEOUT_SECONDS,
        metavar="SECONDS",
        help="maximum time to wait (default %(default)s)",
    )


def _command(
    commands: Any,
    name: str,
    command: Callable[[stacks.Stack, argparse.Namespace], int],
    description: str,
    json_help: str = _JSON_DOCUMENT,
) -> argparse.ArgumentParser:
    sub: argparse.ArgumentParser = commands.add_parser(name, help=description, description=description, epilog=WORDS)
    target = sub.add_mutually_exclusive_group(required=True)
    target.add_argument("--stack", help="name of the stack on AWS")
    target.add_argument("--local", action="store_true", help="use the local run that `make run` started")
    sub.add_argument("--region", help="region of the stack (default: the configured region)")
    sub.add_argument(
        "--run-dir",
        type=Path,
        default=default_run_dir(),
        help="run folder of the local run (default: the nearest .run)",
    )
    sub.add_argument("--json", action="store_true", help=json_help)
    sub.set_defaults(command=command)
    return sub


def _redrive(stack: stacks.Stack, options: argparse.Namespace) -> int:
    result = redrive(stack, (lambda _: None) if options.json else print)
    if options.json:
        print(json.dumps({"started": result.started, "sent": result.sent, "left": result.remaining}))
    else:
        print(f"{result.started} started, {result.sent} sent again, {result.remaining} left in the queues.")
    return INCOMPLETE if result.remaining else OK


def _relist(stack: stacks.Stack, options: argparse.Namespace) -> int:
    listed, total = relist(stack)
    if options.json:
        print(json.dumps({"listed": listed, "total": total}))
    else:
        print(f"Added {listed} of {total} images to the list.")
    return OK


def _verify(stack: stacks.Stack, options: argparse.Namespace) -> int:
    from image_pipeline_cli.verify.command import verify  # imports Pillow, which most commands do not need

    return verify(stack, options)


def _try(_: None, options: argparse.Namespace) -> int:
    from image_pipeline_cli.trial.command import try_recipes  # imports the engine, which no other command needs

    return try_recipes(options)


def _teardown(_: None, options: argparse.Namespace) -> int:
    ask: Callable[[str], bool] = (lambda _: True) if options.yes else terminal.ask
    return OK if teardown(options.stack, options.region, ask, print) else INCOMPLETE


def _completion(_: None, options: argparse.Namespace) -> int:
    print(completion.script(_parser(), options.shell))
    return OK
