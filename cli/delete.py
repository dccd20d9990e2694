"""Delete uploads, after asking."""

import argparse
import sys
from functools import partial

from cli import names, parallel, selection, terminal
from cli.exits import LEFT, OK, USAGE
from cli.stack import Stack
from image_pipeline.errors import PipelineError, UploadNotFoundError
from image_pipeline.store import uploads

_SHOWN = 5  # names in the question
_JOBS = 8


def delete(stack: Stack, options: argparse.Namespace) -> int:
    """Delete uploads by names, folders and patterns; renditions follow, and S3 keeps the versions until they expire.

    Returns:
        The exit code.
    """
    if not options.yes and not sys.stdin.isatty():
        terminal.complain("Nothing was deleted, as there is no terminal to ask at: say --yes.")
        return USAGE
    selected = selection.select(stack, options.names, with_markers=True)
    if not options.yes and selected.keys and not terminal.ask(_question(selected.keys)):
        terminal.complain("Nothing was deleted.")
        return LEFT
    deleted: list[str] = []
    failed = [{"key": key, "reason": selection.nothing(key)} for key in selected.empty]
    with terminal.bar("Deleting", len(selected.keys), hidden=options.json) as bar:
        for image_key, reason in parallel.each(partial(_delete, stack), selected.keys, _JOBS):
            bar.advance(1)
            if reason:
                failed.append({"key": image_key, "reason": reason})
                continue
            deleted.append(image_key)
            if not options.json:
                terminal.say(f"Deleted {image_key}; its renditions follow.")
    for fault in failed:
        terminal.complain(fault["reason"])
    if options.json:
        terminal.write_json({"deleted": deleted, "failed": failed})
    return LEFT if failed else OK


def _delete(stack: Stack, image_key: str) -> tuple[str, str]:
    """Delete an upload; give its key, and why it was not deleted."""
    try:
        uploads.delete(stack.client, bucket=stack.outputs["UploadsBucketName"], image_key=image_key)
    except UploadNotFoundError:
        return image_key, names.missing(stack, image_key)
    except PipelineError as error:
        return image_key, f"{image_key!a} is not deleted. {error}"
    return image_key, ""


def _question(image_keys: list[str]) -> str:
    listed = ", ".join(map(ascii, image_keys[:_SHOWN]))
    more = len(image_keys) - _SHOWN
    if more > 0:
        return f"Delete {len(image_keys):,} uploads ({listed} and {more:,} more), with all renditions?"
    return f"Delete {listed}, with all renditions?"
