"""moto_seams/encoding.py: keys in listings are encoded as by S3."""

import boto3
import pytest
from moto.s3.responses import S3Response

from local.emulator.moto_seams import encoding
from tests.conftest import UPLOADS_BUCKET


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("key", ["uploads/\x12^·", "uploads/a b+%41", "uploads/<&>"])
def test_versions_of_any_key_are_listed(monkeypatch, key):
    """A client can parse the response and receives the key that it stored."""
    monkeypatch.setattr(S3Response, "list_object_versions", S3Response.list_object_versions)
    encoding.install()
    s3 = boto3.client("s3")
    s3.put_object(Bucket=UPLOADS_BUCKET, Key=key, Body=b"x")
    listed = s3.list_object_versions(Bucket=UPLOADS_BUCKET, Prefix=key)
    assert (listed["Prefix"], [version["Key"] for version in listed["Versions"]]) == (key, [key])


def test_a_changed_moto_stops_the_start(monkeypatch):
    """The seam says which module must follow."""
    monkeypatch.delattr(S3Response, "list_object_versions")
    with pytest.raises(RuntimeError, match="encoding"):
        encoding.install()


@pytest.mark.parametrize("name", ["a\x15b", "p%41", "a+b c&<d>", "é/", "\x01"])
def test_every_key_is_listed_unchanged(pipeline, folder, name):
    """S3 encodes keys and the prefix on request, as the SDK asks it to, so that XML can contain them."""
    s3, bucket, key = pipeline.client("s3"), pipeline.uploads_bucket, f"{folder}/{name}"
    assert "Versions" not in s3.list_object_versions(Bucket=bucket, Prefix=key)
    version = s3.put_object(Bucket=bucket, Key=key, Body=b"words")["VersionId"]
    answer = s3.list_object_versions(Bucket=bucket, Prefix=key)
    assert [(entry["Key"], entry["VersionId"]) for entry in answer["Versions"]] == [(key, version)]
    assert answer["Prefix"] == key
