"""Listing the versions of a bucket costs moto no more than what the listing tells."""

import gc

import boto3
import pytest
from moto.s3.models import FakeKey, s3_backends

from local.emulator.moto_seams import listing
from tests.conftest import UPLOADS_BUCKET


@pytest.fixture
def s3(aws, monkeypatch):
    """A bucket with two versions of one key, in a moto that lists as the local run does."""
    monkeypatch.setattr(FakeKey, "__deepcopy__", None, raising=False)
    listing.install()
    client = boto3.client("s3")
    for body in (b"older", b"newest"):
        client.put_object(Bucket=UPLOADS_BUCKET, Key="uploads/a", Body=body)
    return client


def test_a_listing_tells_every_version(s3):
    """Size, etag and which is the latest, as S3 tells them."""
    listed = s3.list_object_versions(Bucket=UPLOADS_BUCKET)["Versions"]
    heads = [s3.head_object(Bucket=UPLOADS_BUCKET, Key="uploads/a", VersionId=each["VersionId"]) for each in listed]
    assert {(each["Size"], each["IsLatest"]) for each in listed} == {(5, False), (6, True)}
    assert [each["ETag"] for each in listed] == [head["ETag"] for head in heads]


def test_a_listing_leaves_nothing_behind(s3):
    """However often a bucket is listed, moto keeps as many objects as there are, and their bytes."""
    kept = len(FakeKey.instances_tracked)
    for _ in range(3):
        versions = s3.list_object_versions(Bucket=UPLOADS_BUCKET)["Versions"]
    gc.collect()
    assert len(FakeKey.instances_tracked) == kept
    bodies = [
        s3.get_object(Bucket=UPLOADS_BUCKET, Key="uploads/a", VersionId=each["VersionId"])["Body"].read()
        for each in versions
    ]
    assert set(bodies) == {b"older", b"newest"}


def test_a_key_that_goes_meanwhile_is_listed_as_it_was(s3):
    """A listing is a picture of one moment; what is deleted while it is made does not break it."""
    keys = s3_backends["123456789012"]["aws"].get_bucket(UPLOADS_BUCKET).keys
    walk = keys.iterlists()
    s3.put_object(Bucket=UPLOADS_BUCKET, Key="uploads/b", Body=b"x")
    seen = [next(walk)]
    for name in list(keys):
        dict.pop(keys, name)
    assert all(versions for _, versions in [*seen, *walk])


def test_a_moved_seam_says_so(monkeypatch):
    """When moto keeps objects in another way, starting fails with the file that must follow."""
    monkeypatch.delattr(FakeKey, "instances_tracked")
    with pytest.raises(RuntimeError, match=r"moto_seams/listing\.py"):
        listing.install()
