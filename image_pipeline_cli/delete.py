"""Delete uploads, after confirmation."""

import argparse
import sys
from functools import partial

from image_pipeline.errors import PipelineError, UploadNotFoundError
from image_pipeline.store import uploads
from image_pipeline_cli import names, parallel, selection, terminal
from image_pipeline_cli.exits import INCOMPLETE, OK, USAGE
from image_pipeline_cli.stack import Stack

_NAMES_IN_QUESTION = 5
_JOBS = 8


def delete(stack: Stack, options: argparse.Namespace) -> int:
    """Delete uploads by name, folder or pattern.

    The workflow deletes the renditions afterwards. S3 keeps old versions until they expire.

    Returns:
        The exit code.
    """
    if not options.yes and not sys.stdin.isatty():
        terminal.complain(
            "Nothing was deleted: confirmation needs a terminal. Use --yes to delete without confirmation."
        )
        return USAGE
    selected = selection.select(stack, options.names, with_markers=True)
    if not options.yes and selected.keys and not terminal.ask(_question(selected.keys)):
        terminal.complain("Nothing was deleted.")
        return INCOMPLETE
    deleted: list[str] = []
    failed = [{"key": key, "reason": selection.no_match(key)} for key in selected.empty]
    with terminal.bar("Deleting", len(selected.keys), hidden=options.json) as bar:
        for image_key, reason in parallel.run(partial(_delete, stack), selected.keys, _JOBS):
            bar.advance(1)
            if reason:
                failed.append({"key": image_key, "reason": reason})
                continue
            deleted.append(image_key)
            if not options.json:
                terminal.say(f"Deleted {image_key}. Its renditions will be deleted, too.")
    for failure in failed:
        terminal.complain(failure["reason"])
    if options.json:
        terminal.write_json({"deleted": deleted, "failed": failed})
    return INCOMPLETE if failed else OK


def _delete(stack: Stack, image_key: str) -> tuple[str, str]:
    """Delete an upload.

    Returns:
        Its key, and the reason why it was not deleted; an empty reason means that it was.
    """
    try:
        uploads.delete(stack.client, bucket=stack.outputs["UploadsBucketName"], image_key=image_key)
    except UploadNotFoundError:
        return image_key, names.not_found(stack, image_key)
    except PipelineError as error:
        return image_key, f"{image_key!a} was not deleted. {error}"
    return image_key, ""


def _question(image_keys: list[str]) -> str:
    listed = ", ".join(map(ascii, image_keys[:_NAMES_IN_QUESTION]))
    more = len(image_keys) - _NAMES_IN_QUESTION
    if more > 0:
        return f"Delete {len(image_keys):,} uploads ({listed} and {more:,} more) and all their renditions?"
    return f"Delete {listed} and all renditions?"
