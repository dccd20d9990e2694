"""moto_seams/forms.py: the response to an upload by form."""

from __future__ import annotations

import boto3
import pytest
import requests
from moto import mock_aws
from moto.s3.models import S3Backend
from moto.s3.responses import S3Response

from local.emulator.moto_seams import forms

URL = "https://bucket.s3.amazonaws.com/"


@pytest.fixture
def installed(monkeypatch):
    """Install the seam for one test only."""
    for owner, name in ((S3Backend, "put_object"), (S3Response, "_bucket_response_post")):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    forms.install()


def send(data=b"x"):
    return requests.post(URL, data={"key": "a.jpg"}, files={"file": data}, timeout=30)


@mock_aws
def test_the_response_to_a_form_has_the_stored_version(installed):
    """A client can then wait for the outcome of that version."""
    s3 = boto3.client("s3", region_name="us-east-1")
    s3.create_bucket(Bucket="bucket")
    s3.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
    for data in (b"x", b"y"):
        answer = send(data)
        newest = s3.head_object(Bucket="bucket", Key="a.jpg")
        assert (answer.status_code, answer.headers["x-amz-version-id"]) == (204, newest["VersionId"])
        assert answer.headers["etag"] == newest["ETag"]
    assert (
        "x-amz-version-id"
        not in requests.post(
            URL + "?delete", data="<Delete><Object><Key>a.jpg</Key></Object></Delete>", timeout=30
        ).headers
    )


@mock_aws
def test_a_bucket_without_versions_returns_none(installed):
    """S3 sends no version id either."""
    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="bucket")
    assert "x-amz-version-id" not in send().headers


def test_a_changed_moto_is_reported(monkeypatch):
    """If moto lacks a seam, the start fails and names the module to change."""
    monkeypatch.delattr(S3Response, "_bucket_response_post")
    with pytest.raises(RuntimeError, match=r"moto_seams/forms\.py"):
        forms.install()
