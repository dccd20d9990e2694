"""`GET /images`, from uploads to the pages of the list."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import urllib.request
from collections.abc import Callable
from itertools import accumulate
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest

from image_pipeline.api import apikeys
from local.pipeline import Pipeline
from tests.pictures import photo

PHOTO = photo(200, 150)
NAMES = ["ä b?.jpg", "../c/.jpg", "🦊" * 200]

Ask = Callable[..., tuple[int, Any]]


@pytest.fixture
def ask(pipeline: Pipeline) -> Ask:
    """A function that requests a page with a new key and returns status and body."""
    key = apikeys.create(pipeline.client, table=pipeline.outputs["ApiKeyTableName"], name="a test").text

    def ask(query: str = "", headers: dict[str, str] | None = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection(urlsplit(pipeline.api_url).netloc)
        try:
            connection.request("GET", f"/images?{query}", headers={"x-api-key": key} if headers is None else headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    return ask


@pytest.fixture
def listed(ask: Ask) -> Callable[..., dict[str, Any]]:
    """A function that returns the images of all pages by key."""

    def listed(limit: int = 100, **filters: str) -> dict[str, Any]:
        images: list[Any] = []
        cursor = None
        while True:
            query = {**filters, "limit": str(limit), **({"cursor": cursor} if cursor else {})}
            status, body = ask(urlencode(query))
            assert status == 200, body
            images += body["images"]
            cursor = body["cursor"]
            if cursor is None:
                break
        by_key = {image["imageKey"]: image for image in images}
        assert len(by_key) == len(images)
        times = [image.get("uploadedAt", "") for image in images if image["status"] != "DELETED"]
        assert times == sorted(times, reverse=True)
        return by_key

    return listed


@pytest.fixture
def newest(ask: Ask, folder: str) -> Callable[..., list[Any]]:
    """A function that returns the newest images of the test, because listing all of a pipeline takes long."""

    def newest(**filters: str) -> list[Any]:
        status, body = ask(urlencode({**filters, "limit": "20"}))  # other tests may have uploaded in the same second
        assert status == 200, body
        return [image for image in body["images"] if image["imageKey"].startswith(f"{folder}/")]

    return newest


def test_an_upload_is_listed_until_it_is_deleted(pipeline, folder, listed, newest):
    """Filters by status and label work for every name; a deleted upload is not listed."""
    keys = {f"{folder}/{name}" for name in NAMES}
    for key in keys:
        pipeline.upload(key, PHOTO)
    for key in keys:
        pipeline.wait_for(key)
    pipeline.wait_until(lambda: {image["imageKey"] for image in newest(status="COMPLETED")} == keys, "the listing")
    everything = listed()
    for key in keys:
        image, record = everything[key], pipeline.record(key) or {}
        assert (image["format"], image["width"], image["height"]) == ("JPEG", 200, 150)
        assert image["uploadedAt"] == record["upload"]["uploadedAt"]
        assert image["thumbhash"] == record["summary"]["thumbhash"]
        assert image["labels"] == [label["name"] for label in record["labels"]]
        status = http.client.HTTPConnection(urlsplit(pipeline.api_url).netloc)
        status.request("GET", image["statusPath"])
        assert json.loads(status.getresponse().read())["ImageKey"] == key
        status.close()
    for label in {label for key in keys for label in everything[key]["labels"]}:
        with_label = {key for key in keys if label in everything[key]["labels"]}
        assert keys & listed(50, label=label.upper()).keys() == with_label
        assert keys & listed(50, label=label, status="COMPLETED").keys() == with_label
        assert not keys & listed(label=label, status="FAILED").keys()
    assert not keys & listed(status="PROCESSING").keys()
    deleted_key = f"{folder}/ä b?.jpg"
    pipeline.client("s3").delete_object(Bucket=pipeline.uploads_bucket, Key=deleted_key)
    pipeline.wait_until(lambda: deleted_key in listed(status="DELETED"), "the deletion")
    assert deleted_key not in listed()
    assert everything[deleted_key]["labels"]
    assert all(deleted_key not in listed(label=label) for label in everything[deleted_key]["labels"])


def test_a_failure_is_listed_with_its_reason(pipeline, folder, listed, newest):
    """While a new upload is processed, its status is PROCESSING."""
    key = f"{folder}/x.jpg"
    pipeline.upload(key, b"words")
    pipeline.wait_for(key)

    def is_newest(status: str) -> bool:
        return [image["imageKey"] for image in newest(status=status)] == [key]

    pipeline.wait_until(lambda: is_newest("FAILED"), "the failure")
    assert listed(status="FAILED")[key]["error"] == "UnsupportedFormatError"
    hold: list[bool] = []

    def validate(event: dict[str, Any]) -> dict[str, Any]:
        pipeline.wait_until(lambda: bool(hold), "the end of the test")
        return {"source": event["upload"], "image": {}, "milliseconds": 1}

    pipeline.replace("ValidateImageFunction", validate)
    pipeline.upload(key, PHOTO)
    pipeline.wait_until(lambda: is_newest("PROCESSING"), "the new upload")
    assert key not in listed(status="FAILED")
    hold.append(True)
    pipeline.wait_until(lambda: is_newest("COMPLETED"), "the new picture")


def test_one_page_of_the_list_shows_a_folder(pipeline, folder, ask, listed):
    """The URLs show the images without a key, and the next list has the same URLs; a failure has its reason."""
    inside, failed, beside = f"{folder}/in/é #1.jpg", f"{folder}/in/deep/x.jpg", f"{folder}/inside.jpg"
    for key, data in ((inside, PHOTO), (failed, b"words"), (beside, PHOTO)):
        pipeline.upload(key, data)
    for key in (inside, failed, beside):
        pipeline.wait_for(key)
    prefix = f"{folder}/in".removeprefix("uploads/")
    pipeline.wait_until(
        lambda: (
            [image["status"] for image in listed(prefix=prefix).values()].count("PROCESSING") == 0
            and listed(prefix=prefix).keys() == {inside, failed}
        ),
        "the folder",
    )
    first = listed(prefix=prefix)
    error = pipeline.record(failed)["error"]
    assert (first[failed]["errorMessage"], first[failed]["errorHint"]) == (error["message"], error["hint"])
    assert "renditionUrl" not in first[failed]
    for url in [first[inside]["renditionUrl"], *re.findall(r"http\S+", first[inside]["srcsets"]["image/jpeg"])]:
        with urllib.request.urlopen(url) as answer:
            assert answer.headers["content-type"] == "image/jpeg"
    assert listed(prefix=f"uploads/{prefix}/deep/").keys() == {failed}
    assert ask(urlencode({"prefix": prefix, "label": "none"})) == (200, {"images": [], "cursor": None})


def test_the_list_catches_up_after_throttling(pipeline, folder, listed):
    """The stream waits, so no change is lost or out of order."""
    key, table = f"{folder}/x.jpg", pipeline.outputs["ListingTableName"]
    digest = hashlib.sha256(key.encode()).hexdigest()

    def partitions() -> set[str]:
        pages = pipeline.client("dynamodb").get_paginator("scan").paginate(TableName=table)
        return {item["ViewShard"]["S"] for page in pages for item in page["Items"] if digest in str(item)}

    for operation in ("PutItem", "DeleteItem"):
        pipeline.fault("dynamodb", operation, "ThrottlingException", times=9, containing=[table])
    for _ in range(2):
        pipeline.upload(key, b"words")
        at = pipeline.wait_for(key)["upload"]["uploadedAt"]
        pipeline.wait_until(lambda at=at: listed(status="FAILED").get(key, {}).get("uploadedAt") == at, "the failure")
        assert key not in listed(status="PROCESSING")
    folders = accumulate(part + "/" for part in folder.removeprefix("uploads/").split("/"))
    views = {f"ledger={digest}", "all", "status=FAILED", *(f"folder={path}" for path in folders)}
    pipeline.wait_until(
        lambda: {partition.partition("#")[0] for partition in partitions()} == views, "what is left to be gone"
    )


def test_the_list_always_requires_a_key(ask):
    """The list reveals names, which a status request must know."""
    assert ask(headers={})[0] == 401
    assert ask(headers={"x-api-key": "ip_0000EXAMPLE0_nonsense"})[0] == 403


@pytest.mark.parametrize(
    "query",
    [
        "status=done",
        "limit=0",
        "cursor=x",
        "label=",
        "from=now",
        "page=2",
        "%00=%FF",
        "prefix=",
        "prefix=" + "x" * 1100,
    ],
)
def test_invalid_input_is_refused_with_a_sentence(ask, query):
    """The problem document has no internal details."""
    status, body = ask(query)
    assert (status, body["status"], body["type"]) == (400, 400, "about:blank")


def test_an_unreadable_listing_is_reported(pipeline, ask):
    """The answer is 503; the reason is in the log."""
    pipeline.fault("dynamodb", "Query", "ThrottlingException", times=-1)
    assert ask()[0] == 503


def test_a_label_may_contain_any_character(ask):
    """The query encodes the label; no image has it here."""
    for label in ("Straße & Co.", "a+b", "#1", "日本"):
        assert ask(f"label={quote(label)}") == (200, {"images": [], "cursor": None})
