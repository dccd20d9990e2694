"""moto_seams/listing.py: listing versions copies no content."""

import gc

import boto3
import pytest
from moto.s3.models import FakeKey, s3_backends

from local.emulator.moto_seams import listing
from tests.conftest import UPLOADS_BUCKET


@pytest.fixture
def s3(aws, monkeypatch):
    """A bucket with two versions of one key, with the seam installed."""
    monkeypatch.setattr(FakeKey, "__deepcopy__", None, raising=False)
    listing.install()
    client = boto3.client("s3")
    for body in (b"older", b"newest"):
        client.put_object(Bucket=UPLOADS_BUCKET, Key="uploads/a", Body=body)
    return client


def test_a_listing_has_every_version(s3):
    """Each version has its size, etag and latest flag, as in S3."""
    listed = s3.list_object_versions(Bucket=UPLOADS_BUCKET)["Versions"]
    heads = [
        s3.head_object(Bucket=UPLOADS_BUCKET, Key="uploads/a", VersionId=version["VersionId"]) for version in listed
    ]
    assert {(version["Size"], version["IsLatest"]) for version in listed} == {(5, False), (6, True)}
    assert [version["ETag"] for version in listed] == [head["ETag"] for head in heads]


def test_a_listing_leaves_no_object_behind(s3):
    """After many listings, moto keeps only the existing objects and their content."""
    instances = len(FakeKey.instances_tracked)
    for _ in range(3):
        versions = s3.list_object_versions(Bucket=UPLOADS_BUCKET)["Versions"]
    gc.collect()
    assert len(FakeKey.instances_tracked) == instances
    bodies = [
        s3.get_object(Bucket=UPLOADS_BUCKET, Key="uploads/a", VersionId=version["VersionId"])["Body"].read()
        for version in versions
    ]
    assert set(bodies) == {b"older", b"newest"}


def test_a_key_deleted_during_the_listing_is_listed(s3):
    """A deletion during the listing does not fail it."""
    keys = s3_backends["123456789012"]["aws"].get_bucket(UPLOADS_BUCKET).keys
    walk = keys.iterlists()
    s3.put_object(Bucket=UPLOADS_BUCKET, Key="uploads/b", Body=b"x")
    listed_keys = [next(walk)]
    for name in list(keys):
        dict.pop(keys, name)
    assert all(versions for _, versions in [*listed_keys, *walk])


def test_a_moved_seam_is_reported(monkeypatch):
    """If moto lacks a seam, the start fails and names the module to change."""
    monkeypatch.delattr(FakeKey, "instances_tracked")
    with pytest.raises(RuntimeError, match=r"moto_seams/listing\.py"):
        listing.install()
