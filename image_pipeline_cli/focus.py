"""Set the point that the crops of an upload must show."""

import argparse
from functools import partial

from image_pipeline.errors import InvalidRequestError
from image_pipeline.imaging.focus import Point
from image_pipeline.store import uploads
from image_pipeline_cli.reprocess import start_all
from image_pipeline_cli.stack import Stack

NONE = "none"


def focus(stack: Stack, options: argparse.Namespace) -> int:
    """Store the point and process the upload again; with `wait`, wait for the outcome.

    Returns:
        The exit code.
    """
    return start_all(stack, options, [options.key], partial(uploads.set_focus, point=options.point))


def point(text: str) -> dict[str, float] | None:
    """Parse a point, for argparse; None for `none`."""
    try:
        return None if text == NONE else Point.parse(text).to_json()
    except InvalidRequestError as error:
        raise argparse.ArgumentTypeError(f"{error.message} {error.hint}") from error
