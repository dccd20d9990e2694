"""Undo the deletion of uploads."""

import argparse

from image_pipeline.errors import PipelineError
from image_pipeline.store import uploads
from image_pipeline_cli import names, terminal
from image_pipeline_cli.exits import INCOMPLETE, OK
from image_pipeline_cli.stack import Stack


def restore(stack: Stack, options: argparse.Namespace) -> int:
    """Copy the newest version of each upload onto its key; the workflow then processes it.

    Returns:
        The exit code.
    """
    restored: dict[str, str | None] = {}
    failed: list[dict[str, str]] = []
    for key in dict.fromkeys(map(names.key, options.keys)):
        try:
            restored[key] = _restore(stack, key)
        except PipelineError as error:
            failed.append({"key": key, "reason": str(error)})
            terminal.complain(str(error))
        else:
            if not options.json:
                terminal.say(f"Restored {key}. It will be processed.")
    if options.json:
        terminal.write_json({"restored": restored, "failed": failed})
    return INCOMPLETE if failed else OK


def _restore(stack: Stack, key: str) -> str | None:
    """Restore an upload and return the id of the version that will be processed."""
    outputs = stack.outputs
    return uploads.restore(
        stack.client,
        bucket=outputs["UploadsBucketName"],
        table=outputs["ImageTableName"],
        state_machine=outputs["ProcessImageStateMachineArn"],
        image_key=key,
    )
