"""image_pipeline.store.signing"""

from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import boto3
import botocore.auth
import pytest
from botocore.config import Config
from botocore.signers import RequestSigner

from image_pipeline import aws as clients
from image_pipeline.store import signing, storage

MOMENT = datetime(2026, 11, 21, 12, 7, 30, tzinfo=UTC)
KEYS = ["thumbnails/a.jpg/0123/web.jpg", "thumbnails/é ü/~()!*'+&=?#%41.jpg", "thumbnails//../🦊", "a\tb\n"]
ADDRESSES = [{}, {"endpoint_url": "http://127.0.0.1:4566"}, {"endpoint_url": "https://s3.example:8443/base"}]


def signer_for(client, bucket="thumbnails-bucket"):
    return signing.UrlSigner(lambda _service: client, bucket, signed_at=MOMENT, seconds=900)


@pytest.mark.parametrize("token", [None, "to/ken+="])
@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("bucket", ["thumbnails-bucket", "with.dots"])
def test_the_urls_equal_those_of_botocore(monkeypatch, token, address, bucket):
    """The whole URL is the same for any key, endpoint and credentials, with and without a version."""
    keys = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "secret/+", "aws_session_token": token}
    client = boto3.client("s3", "eu-west-1", config=clients.S3_CONFIG, **keys, **address)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_, **__: MOMENT.replace(tzinfo=None))
    signer = signer_for(client, bucket)
    for key in KEYS:
        for version in (None, "3sL4kqtJlcpXroDTDmJ", "a+b/c=é"):
            url = urlsplit(signer.url(key, version))
            expected = urlsplit(
                storage.signed_url(lambda _: client, bucket=bucket, key=key, version_id=version, seconds=900)
            )
            assert url[:3] == expected[:3]
            assert parse_qs(url.query) == parse_qs(expected.query)


def test_signing_leaves_no_event_handler(monkeypatch):
    """A client lives as long as its function, so remaining handlers would slow every later URL down."""
    client = boto3.client("s3", "eu-west-1", config=Config(signature_version="s3v4"))
    for _ in range(3):
        signer_for(client)
    calls = []
    get = RequestSigner.get_auth_instance
    monkeypatch.setattr(
        RequestSigner, "get_auth_instance", lambda *arguments, **names: calls.append(1) or get(*arguments, **names)
    )
    client.generate_presigned_url("get_object", Params={"Bucket": "b-1", "Key": "k"})
    assert len(calls) == 1
