"""A stack of any released version can be updated to this version without a loss, and its data can be read."""

import json
import re
from typing import Any

import pytest

from image_pipeline import aws as clients
from image_pipeline.feeds import entries, listing, outcomes
from image_pipeline.keys import status_path
from image_pipeline.store import records
from tests.conftest import IMAGE_TABLE, LISTING_TABLE, ROOT, aws_client
from tests.functions.conftest import load_handler
from tools import release_snapshot

VERSIONS = sorted(folder.name for folder in release_snapshot.RELEASES.iterdir())

ANNOUNCED: dict[str, str] = {
    "AlarmTopic": "Monitoring.AlarmTopic replaces it: confirm the new subscription, and subscribe others again.",
}
"""Resources, parameters and outputs of a release that may go, with what CHANGELOG.md asks users to do."""


def snapshot(version: str, name: str) -> Any:
    return json.loads((release_snapshot.RELEASES / version / f"{name}.json").read_text(encoding="utf-8"))


STORED_RECORDS = [
    pytest.param(item, id=f"{version}-{name}")
    for version in VERSIONS
    for name, item in snapshot(version, "records").items()
]


@pytest.fixture(scope="module")
def current() -> Any:
    """This version's template in the form of a snapshot."""
    return release_snapshot.template()


def protected(described: Any) -> dict[str, Any]:
    """The resources that an update must not replace, by logical id."""
    resources = {
        name: body for name, body in described["resources"].items() if body["type"] in release_snapshot.STATEFUL_TYPES
    }
    return {name: body for name, body in resources.items() if name not in ANNOUNCED}


def test_the_newest_version_of_the_changelog_has_a_snapshot():
    """A version in the changelog is released only with its snapshot."""
    versions = re.findall(r"^## (\d\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert set(versions) == set(VERSIONS)


@pytest.mark.parametrize("version", VERSIONS)
def test_an_update_replaces_no_resource_with_data(version, current):
    """CloudFormation replaces a resource if its logical id, type or create-only properties change."""
    for logical_id, before in protected(snapshot(version, "template")).items():
        after = current["resources"].get(logical_id)
        assert after, f"{logical_id} is missing, so an update deletes it"
        assert after["type"] == before["type"], logical_id
        assert after["replacing"] == before["replacing"], f"an update replaces {logical_id}"


@pytest.mark.parametrize("version", VERSIONS)
def test_an_update_changes_no_key_of_a_table(version, current):
    """A changed key attribute replaces a table or rebuilds an index."""
    for logical_id, before in protected(snapshot(version, "template")).items():
        after = current["resources"][logical_id]
        for index, keys in before.get("indexes", {}).items():
            assert after["indexes"].get(index, keys) == keys, f"{logical_id}: give the changed index another name"
        for attribute, kind in before.get("attributes", {}).items():
            assert after["attributes"].get(attribute, kind) == kind, f"{logical_id}.{attribute}"


@pytest.mark.parametrize("version", VERSIONS)
def test_an_update_adds_or_removes_at_most_one_index_of_a_table(version, current):
    """DynamoDB creates or deletes one global secondary index in an update, and refuses more."""
    for logical_id, before in protected(snapshot(version, "template")).items():
        changed = before.get("indexes", {}).keys() ^ current["resources"][logical_id].get("indexes", {}).keys()
        assert len(changed) <= 1, f"{logical_id}: {sorted(changed)} change in one update"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("section", ["parameters", "outputs"])
def test_an_update_removes_no_parameter_and_no_output(version, section, current):
    """An unknown parameter in samconfig.toml fails the deployment, and scripts read the outputs."""
    missing = set(snapshot(version, "template")[section]) - set(current[section])
    assert missing <= ANNOUNCED.keys()


def test_every_announced_change_is_needed(current):
    """An exception that no release needs would hide the next mistake."""
    names = {name for version in VERSIONS for section in snapshot(version, "template").values() for name in section}
    assert ANNOUNCED.keys() <= names - {name for section in current.values() for name in section}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_snapshot_has_a_record_of_every_status(version):
    """The other tests therefore read a record of every status."""
    statuses = {item["status"]["S"] for item in snapshot(version, "records").values()}
    assert statuses == set(listing.STATUSES)


@pytest.mark.parametrize("item", STORED_RECORDS)
def test_the_status_of_a_stored_record_can_be_read(item, aws, environment):
    """The answer is 200 with the same outcome and image; during a new upload the image is `previous`."""
    aws_client("dynamodb").put_item(TableName=IMAGE_TABLE, Item=item)
    stored = records.read(clients.client, table=IMAGE_TABLE, image_key=item["ImageKey"]["S"])
    path = status_path(stored["ImageKey"])
    request = {"rawPath": path, "requestContext": {"requestId": "1", "http": {"method": "GET", "path": path}}}
    answer = load_handler("get_status")({"version": "2.0", **request})
    body = json.loads(answer["body"])
    assert answer["statusCode"] == 200
    for field in ("ImageKey", "status", "upload", "createdAt", "updatedAt"):
        assert body[field] == stored[field]
    if stored["status"] == "FAILED":
        assert body["error"] == stored["error"]
    picture = body.get("previous", {}) if stored["status"] == "PROCESSING" else body
    for field in ("image", "labels", "summary"):
        assert picture.get(field) == stored.get(field)
    for before, after in zip(stored.get("renditions", []), picture.get("renditions", []), strict=True):
        assert after.items() >= before.items()
        assert before["key"].rpartition("/")[2] in after["url"]


@pytest.mark.parametrize("item", STORED_RECORDS)
def test_readers_of_the_stream_accept_a_stored_record(item):
    """The first change after an update has a record of the old version as its old image."""
    stored = records.from_item(item)
    entry = entries.entries_of(stored)["image"]
    assert (entry["imageKey"], entry["status"]) == (stored["ImageKey"], stored["status"])
    before, after = records.before_and_after({"dynamodb": {"OldImage": item, "NewImage": item}})
    assert outcomes.event_of_change(before, after, "https://api.example", {}) is None
    outcome = outcomes.event_of_change(None, after, "https://api.example", {})
    assert outcome is None if stored["status"] == "PROCESSING" else outcome.image_key == stored["ImageKey"]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_stored_listing_can_be_read(version, aws, environment):
    """Each view that contained the image still returns it with the same fields."""
    clients.client.cache_clear()
    items = snapshot(version, "listing")["items"]
    for item in items:
        aws_client("dynamodb").put_item(TableName=LISTING_TABLE, Item=item)
    (image,) = [records.from_item(item)["image"] for item in items if "image" in item]
    handler = load_handler("list_images")
    for query in ({}, {"status": image["status"]}, *({"label": label} for label in image["labels"])):
        request = {"rawPath": "/images", "requestContext": {"requestId": "1"}, "queryStringParameters": query}
        answer = handler(request)
        assert answer["statusCode"] == 200
        (listed,) = json.loads(answer["body"])["images"]
        assert listed.items() >= image.items()
        assert not listed.keys() & {"renditionUrl", "srcsets"}
