"""Delete uploads, after asking."""

import argparse
import sys

from cli import names, terminal
from cli.exits import LEFT, OK, USAGE
from cli.stack import Stack
from image_pipeline.errors import PipelineError, UploadNotFoundError
from image_pipeline.store import uploads

_SHOWN = 5  # names in the question


def delete(stack: Stack, options: argparse.Namespace) -> int:
    """Delete each name; its renditions follow, and S3 keeps its versions until they expire.

    Returns:
        The exit code.
    """
    image_keys = list(dict.fromkeys(map(names.key, options.names)))
    if not options.yes and not sys.stdin.isatty():
        terminal.complain("Nothing was deleted, as there is no terminal to ask at: say --yes.")
        return USAGE
    if not options.yes and not terminal.ask(_question(image_keys)):
        terminal.complain("Nothing was deleted.")
        return LEFT
    deleted: list[str] = []
    failed: list[dict[str, str]] = []
    for image_key in image_keys:
        try:
            uploads.delete(stack.client, stack.outputs["UploadsBucketName"], image_key)
        except UploadNotFoundError:
            failed.append({"key": image_key, "reason": names.missing(stack, image_key)})
        except PipelineError as error:
            failed.append({"key": image_key, "reason": f"{image_key!a} is not deleted. {error}"})
        else:
            deleted.append(image_key)
            if not options.json:
                terminal.say(f"Deleted {image_key}; its renditions follow.")
    for fault in failed:
        terminal.complain(fault["reason"])
    if options.json:
        terminal.write_json({"deleted": deleted, "failed": failed})
    return LEFT if failed else OK


def _question(image_keys: list[str]) -> str:
    more = len(image_keys) - _SHOWN
    listed = ", ".join(map(ascii, image_keys[:_SHOWN])) + (f" and {more} more" if more > 0 else "")
    return f"Delete {listed}, with all renditions?"
