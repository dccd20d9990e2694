"""The largest values of the pipeline fit into the quotas of AWS: the longest key, every file, every label."""

import json
from bisect import bisect
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import quote

import boto3
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from image_pipeline import aws as clients
from image_pipeline import keys
from image_pipeline.imaging import exif, recipes
from image_pipeline.store import storage
from image_pipeline.store.attributes import to_attribute
from local.emulator.moto_seams.jsonata import evaluate
from tests.asl import STATES
from tests.conftest import IMAGE_TABLE, aws_client, put_record, put_upload
from tests.functions.conftest import load_handler
from tests.pictures import photo

# https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html, "Maximum input or result size for a task"
TASK_BYTES = 262_144
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html, "Item size"
ITEM_BYTES = 400_000
# https://docs.aws.amazon.com/sns/latest/api/API_Publish.html, "Message"
MESSAGE_BYTES = 262_144
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html, "Invocation payload", response
ANSWER_BYTES = 6_291_456

CONTEXT = {"requestId": "request-1", "http": {"method": "GET"}}
SPARE = 0.9  # these tests underestimate some values, such as the digits of numbers
ENVELOPE = 2_000  # bytes that Step Functions adds to the result of a function
MOST_LABELS = 100  # template.yml allows no more
LABEL_WORD = "Rekognition's words are far shorter than these sixty letters"
VERSION_ID = "v" * 1024
TOKEN = "/+=A" * 500  # of a role; those of today have half as many

CHARACTERS = ["a", "é", "日", "🦊", '"', "%", "\\", "\x01", "/"]
"""Each character is the longest one in some encoding: UTF-8, JSON, a URL, a URL in a URL."""


NAME_BYTES = keys.MAX_KEY_BYTES - len(keys.UPLOADS_PREFIX)


def key_of(character: str, name_bytes: int = NAME_BYTES) -> str:
    """An upload key whose name consists of one character and has this many bytes."""
    return keys.UPLOADS_PREFIX + character * (name_bytes // len(character.encode()))


def size(value: Any) -> int:
    """The length of a value as ASCII JSON, its longest form."""
    return len(json.dumps(value))


def item_size(attribute: Any) -> int:
    """An upper bound of the bytes of an attribute, as DynamoDB counts them."""
    ((kind, content),) = attribute.items()
    if kind == "M":
        return 3 + sum(1 + len(name.encode()) + item_size(element) for name, element in content.items())
    if kind == "L":
        return 3 + sum(1 + item_size(element) for element in content)
    return 1 + len(str(content).encode())


def arguments(state: str, variables: dict[str, Any]) -> Any:
    """The arguments that the workflow passes to a state."""

    def evaluated(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: evaluated(element) for name, element in value.items()}
        if isinstance(value, str) and value.startswith("{%"):
            return evaluate(value[2:-2], variables)
        return value

    return evaluated(STATES[state]["Arguments"])


@dataclass
class Largest:
    """The results of an execution in which every part has its largest size."""

    key: str
    handed: dict[str, int]
    """Bytes of what goes into and comes out of each step."""
    notification: Any
    answer: Any


@pytest.fixture(autouse=True)
def _as_a_role(monkeypatch):
    """Sign every URL with the credentials of a role, whose token is part of the URL."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    _forget_credentials()
    yield
    _forget_credentials()


def _forget_credentials() -> None:
    clients.client.cache_clear()
    clients._session.cache_clear()


@pytest.fixture
def largest(aws, environment, monkeypatch, tmp_path):
    """Return a function that runs the steps for the longest key of one character."""
    book = tmp_path / "recipes.toml"
    numbers = range(recipes.MAX_FILES // len(recipes.FORMATS))
    book.write_text(
        "".join(
            f"[recipes.{'n' * 63}{number}]\nwidth = {9 + number}\nheight = {9 + number}\n"
            f"formats = {json.dumps(recipes.FORMATS)}\n"
            for number in numbers
        )
    )
    loaded = recipes.load(book)
    text = "🦊" * exif._MAX_TEXT
    facts = exif.CameraFacts(text, text, text, 1.23456e-100, 1.23456e-100, 1 << 64, 1.23456e-100, text, text, text)
    monkeypatch.setattr(recipes, "load", lambda: loaded)
    monkeypatch.setattr(exif, "read", lambda _: facts)
    monkeypatch.setattr(
        storage,
        "write",
        lambda _, bucket, files: [storage.StoredFile(bucket, file.key, "e" * 32, VERSION_ID) for file in files],
    )
    monkeypatch.setenv("THUMBNAILS_BUCKET", "b" * 63)
    return _run


def _run(character: str) -> Largest:
    key = key_of(character)
    upload = put_upload(key, photo(20, 20))
    label = {"name": LABEL_WORD, "confidence": 99.99, "parents": [LABEL_WORD] * 6}
    message = {"code": "ImageWarning", "message": "w" * 1000, "hint": "h" * 1000}
    variables: dict[str, Any] = {
        "upload": upload,
        "source": upload,
        "execution_id": "execution-1",
        "started_at": "2026-11-21T12:00:01.000Z",
        "milliseconds": dict.fromkeys(
            ("ClaimUpload", "ValidateImage", "GenerateThumbnails", "ExtractMetadata"), 10_000
        ),
        "overwrites": False,
        "metadata": {
            "labels": [label] * MOST_LABELS,
            "labelModelVersion": "3.0",
            "warnings": [message],
            "milliseconds": 10_000,
        },
        "status": "COMPLETED",
        "shown_key": keys.printable(key),
        "status_url": "https://0123456789.execute-api.ap-southeast-2.amazonaws.com" + keys.status_path(key),
        "execution_url": "x" * 500,
    }
    handed = {}
    event = arguments("GenerateThumbnails", variables)["Payload"]
    variables["thumbnails"] = load_handler("generate_thumbnails")(event)
    assert len(variables["thumbnails"]["renditions"]) == recipes.MAX_FILES
    variables["thumbnails"]["warnings"] = [message] * 3
    handed["GenerateThumbnails"] = size(variables["thumbnails"]) + ENVELOPE
    handed["ExtractMetadata"] = size(arguments("ExtractMetadata", variables))
    event = arguments("StoreResults", variables)
    handed["StoreResults"] = size(event)
    put_record(key, upload=upload)
    load_handler("store_results")(event["Payload"])
    request = {"rawPath": f"/images/{key}/status", "requestContext": CONTEXT}
    return Largest(key, handed, arguments("NotifySuccess", variables), load_handler("get_status")(request))


@pytest.mark.parametrize("character", CHARACTERS)
def test_the_largest_execution_fits_into_the_quotas(largest, character):
    """Step Functions, DynamoDB, SNS and Lambda accept the longest key with every rendition and every label."""
    run = largest(character)
    for step, bytes_handed in run.handed.items():
        assert bytes_handed < SPARE * TASK_BYTES, step
    item = aws_client("dynamodb").get_item(TableName=IMAGE_TABLE, Key={"ImageKey": {"S": run.key}})["Item"]
    assert item_size({"M": item}) < SPARE * ITEM_BYTES
    notification = run.notification
    assert len(json.dumps(notification, ensure_ascii=False).encode()) < SPARE * MESSAGE_BYTES
    assert len(notification["Subject"]) < 100
    assert run.answer["statusCode"] == 200
    assert run.answer["body"].count("X-Amz-Security-Token=") == 2 * recipes.MAX_FILES  # once more for srcsets
    assert size(run.answer) < SPARE * ANSWER_BYTES


def costs(key: str) -> tuple[int, ...]:
    """The lengths of a key and of one of its renditions in each encoding."""
    rendition = keys.rendition_key(key, "0" * 16, "n" * 64 + ".webp")
    return (
        size(key),
        size(rendition),
        len(rendition.encode()),
        len(keys.status_path(key)),
        len(quote(rendition)),
    )


@cache
def worst() -> list[int]:
    """The largest length in each encoding of the tested keys: for each character the longest keys of either kind.

    The key of a rendition spells the name out up to some length, and contains a digest of a longer name.
    """

    def is_digest(key: str) -> bool:
        return key.removeprefix(keys.UPLOADS_PREFIX) not in keys.rendition_prefix(key)

    tried = []
    for character in CHARACTERS:
        every = [key_of(character, length) for length in range(4, NAME_BYTES + 1)]
        tried += [every[bisect(every, False, key=is_digest) - 1], every[-1]]
    return [max(lengths) for lengths in zip(*map(costs, tried), strict=True)]


@given(st.text(st.characters(exclude_categories=["Cs"])).filter(bool), st.integers(1, NAME_BYTES))
@example(":", 770)
@example("\x01?", NAME_BYTES)
@example("/.", NAME_BYTES)
def test_no_key_is_longer_in_any_encoding_than_the_tested_keys(text, length):
    """The characters of a key do not matter."""
    name = (text * length).encode()[:length].decode(errors="ignore")
    for cost, most in zip(costs(keys.UPLOADS_PREFIX + name), worst(), strict=True):
        assert cost <= most


def test_the_status_of_the_largest_record_fits_into_an_answer(aws, environment):
    """A record of 400 kB with hundreds of renditions has a URL for each of them."""
    rendition = {
        "name": "web", "format": "JPEG", "width": 9, "height": 9, "sizeBytes": 9, "bucket": "image-pipeline-thumbnails",
        "key": "thumbnails/é.jpg/0123456789abcdef/web.jpg", "versionId": "v" * 32, "etag": "e" * 32,
    }  # fmt: skip
    renditions = [{**rendition, "width": number, "height": number} for number in range(1, 501)]
    spare_bytes = ITEM_BYTES - item_size(to_attribute(renditions)) - 1_000
    warnings = [{"code": "ImageWarning", "message": "é" * 100}] * (spare_bytes // 250)
    put_record(
        "uploads/é.jpg", status="COMPLETED", image={"width": 9, "height": 9}, renditions=renditions, warnings=warnings
    )
    request = {"rawPath": "/images/uploads/é.jpg/status", "requestContext": CONTEXT}
    answer = load_handler("get_status")(request)
    assert answer["body"].count("X-Amz-Security-Token=") == len(renditions) + recipes.MAX_FILES
    assert size(answer) < SPARE * ANSWER_BYTES
