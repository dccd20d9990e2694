"""Listing tables for the tests of `entries`, `indexing` and `listing`: a fake one and one in DynamoDB."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from image_pipeline import aws as clients
from image_pipeline.feeds import indexing, listing
from tests.conftest import LISTING_TABLE

START = datetime(2026, 11, 21, 12, tzinfo=UTC)


CONDITIONS: dict[str | None, Callable[[Any, Any], bool]] = {
    None: lambda _has, _order: True,
    "attribute_not_exists(#order)": lambda stored, _order: stored is None,
    "attribute_not_exists(#order) OR #order < :order": lambda stored, order: stored is None or stored < order,
    "#order = :order": lambda stored, order: stored is not None and stored == order,
    "#order <= :order": lambda stored, order: stored is not None and stored <= order,
}


class Table:
    """A fake DynamoDB table that is fast enough for thousands of interleavings."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], dict[str, Any]] = {}

    def put_item(self, *, Item: Any, **request: Any) -> None:  # noqa: N803
        self._check(Item, request)
        self.items[self._at(Item)] = Item

    def delete_item(self, *, Key: Any, **request: Any) -> None:  # noqa: N803
        self._check(Key, request)
        self.items.pop(self._at(Key), None)

    def get_item(self, *, Key: Any, **_: Any) -> Any:  # noqa: N803
        item = self.items.get(self._at(Key))
        return {"Item": item} if item else {}

    def batch_get_item(self, *, RequestItems: Any) -> Any:  # noqa: N803
        """Return at most two items, so that callers must request the rest."""
        ((name, request),) = RequestItems.items()
        assert len({self._at(key) for key in request["Keys"]}) == len(request["Keys"]), "DynamoDB takes no key twice"
        items = [self.items[self._at(key)] for key in request["Keys"][:2] if self._at(key) in self.items]
        unread = request["Keys"][2:]
        return {"Responses": {name: items}, "UnprocessedKeys": {name: {"Keys": unread}} if unread else {}}

    def query(self, *, ExpressionAttributeValues: Any, Limit: int, **request: Any) -> Any:  # noqa: N803
        """Return at most two items, as DynamoDB does when items are large."""
        view, since, until = (ExpressionAttributeValues[f":{name}"]["S"] for name in ("view", "since", "until"))
        start = request.get("ExclusiveStartKey", {"ListPosition": {"S": "~"}})["ListPosition"]["S"]
        places = [at for at in self.items if at[0] == view and since <= at[1] <= until and at[1] < start]
        items = [self.items[at] for at in sorted(places, reverse=True)[: min(Limit, 2)]]
        return {"Items": items, **({"LastEvaluatedKey": items[-1]} if len(items) == min(Limit, 2) else {})}

    def _check(self, key: Any, request: Any) -> None:
        stored = self.items.get(self._at(key), {}).get("order", {}).get("S")
        order = request.get("ExpressionAttributeValues", {}).get(":order", {}).get("S")
        if not CONDITIONS[request.get("ConditionExpression")](stored, order):
            raise ClientError({"Error": {"Code": "ConditionalCheckFailedException"}}, "a write")

    def _at(self, item: Any) -> tuple[str, str]:
        return item["ViewShard"]["S"], item["ListPosition"]["S"]


def record(key="uploads/a.jpg", status="COMPLETED", second=0, labels=(), **fields):
    """A record as plain JSON that was uploaded `seconds` after the start."""
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
    cursor = None
    images = listing.make_filter(**conditions)
    while True:
        page = listing.read_page(clients.client, LISTING_TABLE, listing.Query(images, limit, cursor))
        yield page.images
        cursor = page.cursor
        if cursor is None:
            return


def listed_keys(limit=50, **conditions):
    """The keys of a listing."""
    return [image["imageKey"] for page in pages(limit, **conditions) for image in page]
