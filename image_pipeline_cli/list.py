"""List uploads, newest first."""

import argparse
from datetime import UTC, datetime
from typing import Any

from image_pipeline.api import gallery
from image_pipeline.feeds import listing
from image_pipeline_cli import terminal
from image_pipeline_cli.exits import OK
from image_pipeline_cli.stack import Stack, StackError

_URL_SECONDS = 900  # as the default of RenditionUrlSeconds


def list_uploads(stack: Stack, options: argparse.Namespace) -> int:
    """Print uploads up to the limit.

    Returns:
        The exit code.

    Raises:
        InvalidRequestError: A date or a label is invalid.
        InvalidKeyError: The folder is invalid.
        StackError: The stack was deployed by a version without a list.
    """
    table = stack.outputs.get("ListingTableName")
    if table is None:
        raise StackError(
            "The stack has no output ListingTableName. Deploy the current version, which keeps a list of uploads."
        )
    image_filter = listing.make_filter(
        status=options.status,
        label=options.label,
        prefix=options.prefix,
        since=options.since,
        until=options.until,
    )
    images, more = _newest(stack, table, image_filter, options.limit)
    if options.json:
        with_urls = gallery.with_urls(stack.client, images, url_seconds=_URL_SECONDS, now=datetime.now(UTC))
        terminal.write_json({"images": with_urls, "more": more})
        return OK
    for image in images:
        uploaded_at = image.get("uploadedAt", "")[:19].replace("T", " ")
        columns = f"{uploaded_at:<19}  ", terminal.styled(image["status"], 10), f"  {image['imageKey']}  "
        terminal.say(*columns, (_details(image), "dim"))
    if not images:
        terminal.say("No upload matches.")
    elif more:
        terminal.say((f"Only the newest {len(images)} are shown; increase --limit for more.", "dim"))
    return OK


def _details(image: dict[str, Any]) -> str:
    if "error" in image:
        return str(image["error"])
    if "lastFailure" in image:
        return f"previous image kept; last attempt failed: {image['lastFailure']}"
    return ", ".join(image.get("labels", ()))


def _newest(
    stack: Stack, table: str, image_filter: listing.ImageFilter, limit: int
) -> tuple[list[dict[str, Any]], bool]:
    """Return the newest images and whether there may be more; a page that is short or empty need not be the last."""
    images: list[dict[str, Any]] = []
    cursor: str | None = None
    while len(images) < limit:
        page = listing.read_page(stack.client, table, listing.Query(image_filter, listing.MAX_IMAGES, cursor))
        images += page.images
        cursor = page.cursor
        if cursor is None:
            break
    return images[:limit], cursor is not None or len(images) > limit
