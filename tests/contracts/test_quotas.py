"""The most that AWS takes, and the most that the pipeline gives: the longest key, every file, every label."""

import json
from dataclasses import dataclass
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
SPARE = 0.9  # for what these tests count a little too small, such as the digits of numbers
ENVELOPE = 2_000  # bytes that Step Functions adds to what a function returns
MOST_LABELS = 100  # template.yml allows no more
LABEL_WORD = "Rekognition's words are far shorter than these sixty letters"
VERSION_ID = "v" * 1024
TOKEN = "/+=A" * 500  # of a role; those of today have half as many

CHARACTERS = ["a", "é", "日", "🦊", '"', "%", "\\", "\x01", "/"]
"""Each costs most in some spelling: UTF-8, JSON, a URL, a URL in a URL."""


NAME_BYTES = keys.MAX_KEY_BYTES - len(keys.UPLOADS_PREFIX)


def filled(character: str, name_bytes: int = NAME_BYTES) -> str:
    """A key whose name has this many bytes, which is S3's limit if nothing else is said."""
    return keys.UPLOADS_PREFIX + character * (name_bytes // len(character.encode()))


def size(value: Any) -> int:
    """Bytes as JSON in ASCII, the longest way to write it."""
    return len(json.dumps(value))


def item_size(attribute: Any) -> int:
    """Bytes of an attribute as DynamoDB counts them, none too few."""
    ((kind, content),) = attribute.items()
    if kind == "M":
        return 3 + sum(1 + len(name.encode()) + item_size(each) for name, each in content.items())
    if kind == "L":
        return 3 + sum(1 + item_size(each) for each in content)
    return 1 + len(str(content).encode())


def arguments(state: str, variables: dict[str, Any]) -> Any:
    """What the workflow gives to a state."""

    def made(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: made(each) for name, each in value.items()}
        if isinstance(value, str) and value.startswith("{%"):
            return evaluate(value[2:-2], variables)
        return value

    return made(STATES[state]["Arguments"])


@dataclass
class Largest:
    """One picture that has the most of everything."""

    key: str
    handed: dict[str, int]
    """Bytes of what goes into and comes out of each step."""
    notification: Any
    answer: Any


@pytest.fixture(autouse=True)
def _as_a_role(monkeypatch):
    """Every URL carries the token of the role that signs it."""
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
    """Runs the steps on a key that is full of a character."""
    book = tmp_path / "recipes.toml"
    numbers = range(recipes.MAX_FILES // len(recipes.FORMATS))
    book.write_text(
        "".join(
            f"[recipes.{'n' * 63}{number}]\nwidth = {9 + number}\nheight = {9 + number}\n"
            f"formats = {json.dumps(recipes.FORMATS)}\n"
            for number in numbers
        )
    )
    loaded, text = recipes.load(book), "🦊" * exif._MAX_TEXT
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
    key = filled(character)
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
def test_the_most_of_everything_fits(largest, character):
    """Step Functions, DynamoDB, SNS and Lambda take whatever a key, a file and a deployment can bring together."""
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
    """How long a key and a rendition of it are in each spelling."""
    rendition = keys.rendition_key(key, "0" * 16, "n" * 64 + ".webp")
    return (
        size(key),
        size(rendition),
        len(rendition.encode()),
        len(keys.status_path(key)),
        len(quote(rendition)),
    )


# Not only the longest keys: the name of a rendition is spelled out up to some length, and is a digest beyond.
TRIED = [filled(character, length) for character in CHARACTERS for length in range(4, NAME_BYTES + 1)]
WORST = [max(each) for each in zip(*map(costs, TRIED), strict=True)]


@given(st.text(st.characters(exclude_categories=["Cs"])).filter(bool), st.integers(1, NAME_BYTES))
@example(":", 770)
@example("\x01?", NAME_BYTES)
@example("/.", NAME_BYTES)
def test_no_key_takes_more_room_than_those_that_were_tried(text, length):
    """Whatever it is made of."""
    name = (text * length).encode()[:length].decode(errors="ignore")
    for cost, worst in zip(costs(keys.UPLOADS_PREFIX + name), WORST, strict=True):
        assert cost <= worst


def test_a_record_as_large_as_dynamodb_holds_can_be_answered(aws, environment):
    """Also one that was not written here, with hundreds of files, each with a URL."""
    rendition = {
        "name": "web", "format": "JPEG", "width": 9, "height": 9, "sizeBytes": 9, "bucket": "image-pipeline-thumbnails",
        "key": "thumbnails/é.jpg/0123456789abcdef/web.jpg", "versionId": "v" * 32, "etag": "e" * 32,
    }  # fmt: skip
    renditions = [{**rendition, "width": number, "height": number} for number in range(1, 501)]
    rest = ITEM_BYTES - item_size(to_attribute(renditions)) - 1_000
    warnings = [{"code": "ImageWarning", "message": "é" * 100}] * (rest // 250)
    put_record(
        "uploads/é.jpg", status="COMPLETED", image={"width": 9, "height": 9}, renditions=renditions, warnings=warnings
    )
    request = {"rawPath": "/images/uploads/é.jpg/status", "requestContext": CONTEXT}
    answer = load_handler("get_status")(request)
    assert answer["body"].count("X-Amz-Security-Token=") == len(renditions) + recipes.MAX_FILES
    assert size(answer) < SPARE * ANSWER_BYTES
