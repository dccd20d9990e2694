"""A listing table for the tests of `entries`, `indexing` and `listing`."""

from datetime import UTC, datetime, timedelta

from image_pipeline import aws as clients
from image_pipeline.feeds import indexing, listing
from tests.conftest import LISTING_TABLE, aws_client

START = datetime(2026, 11, 21, 12, tzinfo=UTC)


def record(key="uploads/a.jpg", status="COMPLETED", second=0, labels=(), **fields):
    """A record as plain JSON, uploaded that many seconds after the start."""
    uploaded = (START + timedelta(seconds=second)).isoformat().replace("+00:00", "Z")
    upload = {"key": key, "uploadedAt": uploaded, "sizeBytes": 46105}
    return {
        "ImageKey": key,
        "status": status,
        "upload": upload,
        "labels": [{"name": name, "confidence": 99.5} for name in labels],
        **fields,
    }


def rendition(name="web", image_format="JPEG", width=600, height=400, *, folder="thumbnails/a.jpg/0123/", **fields):
    """A rendition as in a record."""
    suffix = {"JPEG": "jpg", "WEBP": "webp"}[image_format]
    return {
        "bucket": "thumbnails-bucket",
        "key": f"{folder}{name}.{suffix}",
        "name": name,
        "format": image_format,
        "width": width,
        "height": height,
        **fields,
    }


def list_record(change, order, key=None):
    """Apply a change to the listing."""
    return indexing.apply(
        clients.client,
        table=LISTING_TABLE,
        image_key=key or change["ImageKey"],
        record=change,
        order=f"{order:0>6}" if order else "",
    )


def pages(limit=50, **conditions):
    """Every page of a listing."""
    cursor, images = None, listing.make_filter(**conditions)
    while True:
        page = listing.read_page(clients.client, LISTING_TABLE, listing.Query(images, limit, cursor))
        yield page.images
        cursor = page.cursor
        if cursor is None:
            return


def listed_keys(limit=50, **conditions):
    """The keys of a listing."""
    return [image["imageKey"] for page in pages(limit, **conditions) for image in page]


def items():
    """The places of all items in the table."""
    response = aws_client("dynamodb").scan(TableName=LISTING_TABLE)
    return {(item["ViewShard"]["S"], item["ListPosition"]["S"]) for item in response["Items"]}
