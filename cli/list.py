"""List uploads, newest first."""

import argparse
from typing import Any

from cli import terminal
from cli.exits import OK
from cli.stack import Stack, StackError
from image_pipeline.feeds import listing


def list_uploads(stack: Stack, options: argparse.Namespace) -> int:
    """List as many uploads as are wanted.

    Returns:
        The exit code.

    Raises:
        InvalidRequestError: A date or label cannot be.
        StackError: The stack was deployed before there was a list.
    """
    table = stack.outputs.get("ListingTableName")
    if table is None:
        raise StackError("The stack has no output ListingTableName: deploy it again, with a list of its uploads.")
    wanted = listing.make_filter(status=options.status, label=options.label, since=options.since, until=options.until)
    found, more = _found(stack, table, wanted, options.limit)
    if options.json:
        terminal.write_json({"images": found, "more": more})
        return OK
    for image in found:
        at, labels = image.get("uploadedAt", "")[:19].replace("T", " "), ", ".join(image.get("labels", ()))
        kept = f"kept; the last attempt failed: {image['lastFailure']}" if "lastFailure" in image else ""
        reason = image.get("error") or kept or labels
        terminal.say(f"{at:<19}  ", terminal.styled(image["status"], 10), f"  {image['imageKey']}  ", (reason, "dim"))
    if not found:
        terminal.say("There is no such upload.")
    elif more:
        terminal.say((f"There are more than these {len(found)}: --limit shows them.", "dim"))
    return OK


def _found(stack: Stack, table: str, wanted: listing.ImageFilter, limit: int) -> tuple[list[dict[str, Any]], bool]:
    """The newest of them, and whether there may be more. A page may be short, even empty, and not be the last."""
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while len(found) < limit:
        page = listing.read_page(stack.client, table, listing.Query(wanted, listing.MAX_IMAGES, cursor))
        found += page.images
        cursor = page.cursor
        if cursor is None:
            break
    return found[:limit], cursor is not None or len(found) > limit
