"""API keys: access of each key to the paths of the HTTP API, and rejected requests."""

from __future__ import annotations

import http.client
import json
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import pytest

from image_pipeline.api import apikeys
from image_pipeline.api.scopes import Access
from image_pipeline.keys import original_path, status_path
from local.pipeline import Pipeline
from tests.conftest import HEAVY
from tests.pictures import photo
from tests.workflow.conftest import silent_bucket

PHOTO = photo(200, 150)


class Answer(NamedTuple):
    """The response of the API."""

    status: int
    headers: Any
    body: Any


@pytest.fixture
def ask(pipeline: Pipeline) -> Any:
    """Send a request with an unchanged path, which clients would normalize."""

    def ask(method: str, path: str, key: str | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection(urlsplit(pipeline.api_url).netloc)
        try:
            connection.request(method, path, headers=headers | ({"x-api-key": key} if key else {}))
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, json.loads(answer.read()))
        finally:
            connection.close()

    return ask


@pytest.fixture
def table(pipeline: Pipeline) -> tuple[Any, str]:
    """The table of the keys, for `image_pipeline.api.apikeys`."""
    return pipeline.client, pipeline.outputs["ApiKeyTableName"]


@pytest.fixture
def key(table: Any) -> str:
    return apikeys.create(table[0], table=table[1], name="a test").text


@pytest.fixture
def unprocessed(pipeline: Pipeline) -> Iterator[None]:
    """Do not process the uploads of a test that only looks at what is stored."""
    with silent_bucket(pipeline):
        yield


def visible(pipeline: Pipeline, key: str) -> bool:
    listed = pipeline.client("s3").list_objects_v2(Bucket=pipeline.uploads_bucket, Prefix=key)
    return key in [entry["Key"] for entry in listed.get("Contents", [])]


def test_a_key_can_delete_an_upload_and_its_renditions(pipeline, folder, ask, key):
    """The API deletes the object, and the workflow deletes its renditions."""
    image_key = f"{folder}/what? ü+%.jpg"
    pipeline.wait_for(image_key, pipeline.upload(image_key, PHOTO))
    path = status_path(image_key).removesuffix("/status")
    answer = ask("DELETE", path, key)
    assert (answer.status, answer.body) == (202, {"imageKey": image_key})
    assert answer.headers["location"] == f"{path}/status"
    pipeline.wait_until(lambda: pipeline.record(image_key)["status"] == "DELETED", "the deletion")
    assert not visible(pipeline, image_key)
    assert ask("GET", answer.headers["location"]).body["status"] == "DELETED"
    assert ask("DELETE", path, key).status == 404


def test_concurrent_reprocess_requests_start_one_execution(pipeline, folder, ask, key):
    """The answer names the execution that the record will have; the others get 429 with Retry-After."""
    image_key = f"{folder}/again.jpg"
    pipeline.wait_for(image_key, pipeline.upload(image_key, PHOTO))
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: ask("POST", f"/images/{image_key}/reprocess", key), range(8)))
    answers.append(ask("POST", f"/images/{image_key}/reprocess", key))
    assert sorted(answer.status for answer in answers) == [202] + [429] * 8
    (accepted,) = [answer for answer in answers if answer.status == 202]
    pipeline.wait_until(
        lambda: (
            pipeline.record(image_key)["execution"]["id"] == accepted.body["executionId"]
            and pipeline.record(image_key)["status"] == "COMPLETED"
        ),
        "the reprocess",
    )
    for answer in answers:
        if answer.status == 429:
            assert answer.headers["content-type"] == "application/problem+json"
            assert 1 <= int(answer.headers["retry-after"]) <= 10
    started = [
        execution
        for execution in pipeline.executions()
        if execution.key == image_key and execution.name.startswith("reprocess_")
    ]
    assert len(started) == 1


def test_if_match_protects_a_newer_upload(unprocessed, pipeline, folder, ask, key):
    """The answer is 412 with a problem; the upload stays."""
    image_key = f"{folder}/changed.jpg"
    pipeline.upload(image_key, PHOTO)
    answer = ask("DELETE", f"/images/{image_key}", key, **{"If-Match": '"0123456789abcdef0123456789abcdef"'})
    assert (answer.status, answer.headers["content-type"]) == (412, "application/problem+json")
    assert visible(pipeline, image_key)
    etag = pipeline.client("s3").head_object(Bucket=pipeline.uploads_bucket, Key=image_key)["ETag"]
    assert ask("DELETE", f"/images/{image_key}", key, **{"If-Match": etag}).status == 202
    assert not visible(pipeline, image_key)


def test_a_request_without_a_valid_key_has_no_effect(pipeline, folder, ask, table):
    """A missing key gets 401; a malformed, unknown, wrong, rotated, revoked or expired one gets 403."""
    image_key = f"{folder}/kept.jpg"
    record = pipeline.wait_for(image_key, pipeline.upload(image_key, PHOTO))
    good, old, revoked, expired = (apikeys.create(table[0], table=table[1], name="a test") for _ in range(4))
    apikeys.rotate(table[0], table=table[1], key_id=old.key_id)
    apikeys.revoke(table[0], table=table[1], key_id=revoked.key_id)
    client, name = table
    client("dynamodb").update_item(
        TableName=name,
        Key={"KeyId": {"S": expired.key_id}},
        UpdateExpression="SET expiresAt = :then",
        ExpressionAttributeValues={":then": {"S": "2026-01-01T00:00:00.000Z"}},
    )
    unknown, wrong = apikeys.make(), apikeys.make(good.key_id)
    bad = [api_key.text for api_key in (unknown, wrong, old, revoked, expired)]
    for method, suffix in (("DELETE", ""), ("POST", "/reprocess")):
        for text in (None, ""):
            answer = ask(method, f"/images/{image_key}{suffix}", text)
            assert (answer.status, answer.body) == (401, {"message": "Unauthorized"})
        for text in [*bad, "x", f"{good.text}x", f"Bearer {good.text}", f"{good.text},{good.text}"]:
            answer = ask(method, f"/images/{image_key}{suffix}", text)
            assert (answer.status, answer.body) == (403, {"message": "Forbidden"}), text
    assert visible(pipeline, image_key)
    assert pipeline.record(image_key) == record


def test_a_rotated_key_is_accepted_with_its_new_secret(ask, table):
    """The id of the key stays the same."""
    old = apikeys.create(table[0], table=table[1], name="a test")
    new = apikeys.rotate(table[0], table=table[1], key_id=old.key_id)
    assert ask("DELETE", "/images/uploads/none.jpg", old.text).status == 403
    assert ask("DELETE", "/images/uploads/none.jpg", new.text).status == 404


def test_a_revoked_key_is_accepted_until_the_cache_expires(pipeline, ask, table):
    """API Gateway caches decisions for 300 seconds; `clear` ends the cache here."""
    key = apikeys.create(table[0], table=table[1], name="a test")
    assert ask("DELETE", "/images/uploads/none.jpg", key.text).status == 404
    apikeys.revoke(table[0], table=table[1], key_id=key.key_id)
    assert ask("DELETE", "/images/uploads/none.jpg", key.text).status == 404
    pipeline.clear()
    assert ask("DELETE", "/images/uploads/none.jpg", key.text).status == 403


def test_access_is_denied_without_the_table_of_keys(pipeline, ask, key):
    """The answer is 500, and the next request looks the key up again."""
    pipeline.fault("dynamodb", "GetItem", "InternalServerError", -1, containing="ApiKeyTable")
    answer = ask("DELETE", "/images/uploads/none.jpg", key)
    assert (answer.status, answer.body) == (500, {"message": "Internal Server Error"})
    pipeline.clear()
    assert ask("DELETE", "/images/uploads/none.jpg", key).status == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/images/uploads/../other/kept.jpg", 400),
        pytest.param("/images/uploads/%2E%2E/other/kept.jpg", 400, marks=HEAVY),
        ("/images/uploads/..%2Fother%2Fkept.jpg", 400),
        pytest.param("/images/uploads/x%2F..%2F..%2Fother/kept.jpg", 400, marks=HEAVY),
        ("/images/uploads/%252E%252E/other/kept.jpg", 404),
        pytest.param("/images/uploads/..%252Fother%252Fkept.jpg", 404, marks=HEAVY),
        pytest.param("/images/uploads/%252E%252E%252Fother%252Fkept%252Ejpg", 404, marks=HEAVY),
        ("/images/uploads//other/kept.jpg", 400),
        ("/images/uploads/other/kept.jpg", 404),
        pytest.param("/images/uploads/%5C..%5Cother/kept.jpg", 404, marks=HEAVY),
        ("/images/uploads/kept.jpg%00", 400),
        ("/images/other/kept.jpg", 404),
        ("/images/uploads/", 404),
        pytest.param("/images/uploads", 404, marks=HEAVY),
    ],
)
def test_every_path_stays_within_the_uploads(pipeline, ask, key, path, status):
    """No spelling of a path reaches other prefixes or other uploads."""
    other_keys = ("other/kept.jpg", "kept.jpg", "uploads/other/kept.jpg/x")
    for name in other_keys:
        pipeline.client("s3").put_object(Bucket=pipeline.uploads_bucket, Key=name, Body=b"x")
    assert ask("DELETE", path, key).status == status
    assert ask("POST", f"{path}/reprocess", key).status in (400, 404, 405)
    assert all(visible(pipeline, name) for name in other_keys)


def test_an_encoded_slash_separates_path_segments(unprocessed, pipeline, folder, ask, key):
    """API Gateway decodes it, so the path names the same upload."""
    image_key = f"{folder}/slash.jpg"
    pipeline.upload(image_key, PHOTO)
    assert ask("DELETE", "/images/uploads/" + quote(image_key.removeprefix("uploads/"), safe=""), key).status == 202
    assert not visible(pipeline, image_key)


def test_a_limited_key_is_restricted_to_its_scopes(unprocessed, pipeline, folder, ask, table):
    """The functions receive the limits, and an encoded name is checked as the key of its upload."""
    access = Access(frozenset({"read", "upload"}), f"{folder}/shop/")
    limited = apikeys.create(table[0], table=table[1], name="shop", access=access).text
    foreign = f"{folder}/shopping/kept.jpg"
    pipeline.upload(foreign, PHOTO)
    name = folder.removeprefix("uploads/")
    for method, path, status in (
        ("DELETE", f"/images/{folder}/shop/a.jpg", 403),
        ("POST", f"/images/{folder}/shop/a.jpg/reprocess", 403),
        ("GET", "/images", 200),
    ):
        answer = ask(method, path, limited)
        assert answer.status == status, path
        if status == 403:
            assert answer.headers["content-type"] == "application/problem+json"
            assert "`delete`" in answer.body["detail"]
    deleter = apikeys.create(
        table[0], table=table[1], name="shop", access=Access(frozenset({"delete"}), f"{folder}/shop/")
    ).text
    encoded = quote(quote(f"{name}/shopping/kept.jpg", safe="").replace(".", "%2E"), safe="")
    for path in (f"{folder}/shopping/kept.jpg", f"uploads/{encoded}", f"{folder}/shop%2Fing/kept.jpg/../kept.jpg"):
        assert ask("DELETE", f"/images/{path}", deleter).status in (400, 403), path
    assert ask("DELETE", f"/images/{folder}/shop/none.jpg", deleter).status == 404
    assert visible(pipeline, foreign)


def test_an_original_always_needs_a_key(unprocessed, pipeline, folder, ask, key, table):
    """The status is open here; the path with folders leads to the route that needs a key and `read`."""
    image_key = f"{folder}/ü b.jpg"
    pipeline.upload(image_key, PHOTO)
    connection = http.client.HTTPConnection(urlsplit(pipeline.api_url).netloc)
    connection.request("GET", f"/images/{quote(image_key)}/original")
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (308, b"")
    path = answer.headers["location"]
    connection.close()
    assert path == original_path(image_key)
    assert ask("GET", path).status == 401
    assert ask("GET", path, "x").status == 403
    for access, status in (
        (Access(frozenset({"upload", "delete"})), 403),
        (Access(folder=f"{folder}/other/"), 403),
        (Access(frozenset({"read"}), f"{folder}/"), 200),
    ):
        limited = apikeys.create(table[0], table=table[1], name="limited", access=access).text
        assert ask("GET", path, limited).status == status
    with urllib.request.urlopen(ask("GET", path, key).body["url"]) as download:
        assert download.read() == PHOTO
        assert download.headers["content-disposition"].startswith("attachment;")
    assert ask("GET", "/images/uploads/none.jpg/original", key).status == 404


def test_errors_of_functions_are_problems(ask, key):
    """Errors of every function, including the status function, are problem documents."""
    for method, path in (
        ("GET", "/images/uploads/none.jpg/status"),
        ("DELETE", "/images/uploads/none.jpg"),
        ("POST", "/images/uploads/none.jpg/reprocess"),
    ):
        answer = ask(method, path, key)
        assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json")
        assert set(answer.body) == {"type", "title", "status", "detail", "message"}


def test_the_status_is_public_unless_it_is_protected(folder, ask, key, reconfigure):
    """A parameter protects it; a key then gives access."""
    paths = [f"/images/{folder}/none.jpg/status", "/images/uploads/none.jpg/status"]
    assert ask("GET", paths[0]).status == 404
    reconfigure(StatusNeedsKey="true")
    for path in paths:
        assert [ask("GET", path, secret).status for secret in (None, "x", key)] == [401, 403, 404]
