"""The workflows that S3's events start, according to moto's matcher and to one that follows AWS's documentation."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from moto.events.models import EventPattern

from local.emulator import template as local_template
from local.emulator.deploy import plan
from tests import eventbridge
from tests.conftest import ROOT

BUCKET = "stack-uploadsbucket-local"

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventBridge.html and ev-events.html
DELETIONS = {
    ("DeleteObject", "Delete Marker Created"): True,
    ("DeleteObject", "Permanently Deleted"): True,
    ("Lifecycle Expiration", "Delete Marker Created"): True,
    ("Lifecycle Expiration", "Permanently Deleted"): False,
}
"""Reason and kind of a deletion, and whether it may end an upload.

A lifecycle rule permanently deletes only noncurrent versions and single delete markers, which no record shows.
"""
KEYS = ["uploads/x.jpg", "uploads/a/b/ü 1%.heic", "uploads/x/", "uploads/"]
OTHER_KEYS = ["x.jpg", "uploads", "Uploads/x.jpg", "thumbnails/uploads/x.jpg"]


def event(kind: str, key: str, bucket: str = BUCKET, **detail: Any) -> dict[str, Any]:
    """An event of S3, as documented."""
    entity = {"key": key, "etag": "d41d8cd98f00b204e9800998ecf8427e", "sequencer": "00617F08299329D189"}
    entity |= {"version-id": "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e"}
    return {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": kind,
        "source": "aws.s3",
        "account": "111122223333",
        "time": "2026-11-21T12:00:00Z",
        "region": "eu-west-1",
        "resources": [f"arn:aws:s3:::{bucket}"],
        "detail": {
            "version": "0",
            "event-version": "1.1",
            "bucket": {"name": bucket},
            "object": entity | detail.pop("object", {}),
            "request-id": "N4N7GDK58NMKJ12R",
            "requester": "111122223333",
            "source-ip-address": "1.2.3.4",
            **detail,
        },
    }


@pytest.fixture(scope="module")
def rules() -> dict[str, dict[str, Any]]:
    """The rules with an event pattern, and the workflows that they start, by logical id."""
    loaded = local_template.load(ROOT / "template.yml", "stack", "eu-west-1")
    stack = plan(loaded, "http://aws", "http://api")
    names = {arn: logical_id for logical_id, arn in stack.state_machines.items()}
    resolved = {resource.logical_id: loaded.resolve(resource.raw) for resource in loaded.resources("AWS::Events::Rule")}
    return {
        name: {"pattern": rule["EventPattern"], "starts": [names[target["Arn"]] for target in rule["Targets"]]}
        for name, rule in resolved.items()
        if "EventPattern" in rule
    }


def started(rules: dict[str, dict[str, Any]], event: dict[str, Any]) -> list[str]:
    """The workflows that an event starts, one entry per execution; both matchers must agree."""
    matched = [name for name, rule in rules.items() if eventbridge.matches(rule["pattern"], event)]
    assert matched == [
        name for name, rule in rules.items() if EventPattern.load(json.dumps(rule["pattern"])).matches_event(event)
    ]
    return [started for name in matched for started in rules[name]["starts"]]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(("reason", "kind"), DELETIONS)
@pytest.mark.parametrize("version", ["IYV3p45BT0ac8hjHg1houSdS1a.Mro8e", "null", None])
def test_a_deletion_starts_its_workflow_once_unless_a_version_has_expired(rules, key, reason, kind, version):
    """The daily expiry of old versions deletes no upload, so it starts no execution."""
    deletion = event("Object Deleted", key, reason=reason, **{"deletion-type": kind})
    del deletion["detail"]["object"]["version-id"]
    deletion["detail"]["object"] |= {"version-id": version} if version else {}
    assert started(rules, deletion) == ["DeleteImageStateMachine"] * DELETIONS[reason, kind]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("size", [0, 1, 5, 4_999_999_999, 5_000_000_000, 5_000_000_001, 50 * 10**12])
@pytest.mark.parametrize("reason", ["PutObject", "POST Object", "CopyObject", "CompleteMultipartUpload"])
def test_every_new_object_starts_one_workflow_by_its_size(rules, key, size, reason):
    """Empty objects start WaitForContent, and all others ProcessImage, even above the largest number of EventBridge."""
    expected = "ProcessImageStateMachine" if size else "WaitForContentStateMachine"
    assert started(rules, event("Object Created", key, reason=reason, object={"size": size})) == [expected]


@pytest.mark.parametrize("kind", ["Object Created", "Object Deleted"])
def test_events_of_other_keys_and_buckets_start_no_workflow(rules, kind):
    """This holds for every reason of a creation or deletion."""
    for (reason, deletion), size in itertools.product(DELETIONS, (0, 1)):
        detail = {"reason": reason, "deletion-type": deletion, "object": {"size": size}}
        for key in OTHER_KEYS:
            assert started(rules, event(kind, key, **json.loads(json.dumps(detail)))) == []
        assert started(rules, event(kind, "uploads/x.jpg", bucket="another", **detail)) == []


def test_patterns_use_only_operators_on_which_implementations_agree(rules):
    """If moto and AWS read an operator differently, a test with moto says nothing about AWS."""
    for rule in rules.values():
        eventbridge.matches(rule["pattern"], {})


@pytest.mark.parametrize(
    "pattern",
    [
        {"$or": [{"a": ["x"]}, {"b": ["y"]}]},
        {"a": [{"anything-but": {"suffix": "/"}}]},
        {"a": [{"wildcard": "x*"}]},
        {"a": [{"prefix": "x"}, {"exists": False}]},
        {"a": "x"},
        {"a": []},
        {"known": ["x"], "a": {"b": [{"suffix": "/"}]}},
    ],
    ids=str,
)
def test_an_unsafe_pattern_is_refused(pattern):
    """An unsafe operator is refused even if another field decides the match."""
    with pytest.raises(eventbridge.UnsafePatternError):
        eventbridge.matches(pattern, {})
