"""image_pipeline.aws"""

from urllib.parse import urlsplit

import boto3
import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    IncompleteReadError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    ReadTimeoutError,
)

from image_pipeline import aws


def client_error(code, status):
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Operation")


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (client_error("SlowDown", 503), True),
        (client_error("ThrottlingException", 400), True),
        (client_error("ProvisionedThroughputExceededException", 400), True),
        (client_error("NobodyKnows", 500), True),
        (client_error("AccessDenied", 403), False),
        (client_error("ValidationException", 400), False),
        (client_error("InvalidImageFormatException", 400), False),
        (EndpointConnectionError(endpoint_url="https://s3"), True),
        (ConnectTimeoutError(endpoint_url="https://s3"), True),
        (ReadTimeoutError(endpoint_url="https://s3"), True),
        (IncompleteReadError(actual_bytes=1, expected_bytes=2), True),
        (NoCredentialsError(), False),
        (NoRegionError(), False),
        (ParamValidationError(report="x"), False),
    ],
)
def test_only_temporary_errors_are_transient(error, transient):
    """Throttling, failures of AWS and missing responses are transient; refusals and invalid requests are not."""
    assert aws.is_transient(error) is transient


def test_an_error_without_a_code_has_the_name_of_its_class():
    """Every error has a code for messages."""
    assert aws.code_of(EndpointConnectionError(endpoint_url="https://s3")) == "EndpointConnectionError"
    assert aws.code_of(client_error("SlowDown", 503)) == "SlowDown"


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1"])
def test_urls_are_signed_for_the_address_of_the_template(region):
    """The address equals `RegionalDomainName`, also in us-east-1, because the policy of the web page contains it."""
    client = boto3.client("s3", region, config=aws.S3_CONFIG, aws_access_key_id="key", aws_secret_access_key="secret")
    signed = client.generate_presigned_url("get_object", Params={"Bucket": "my-bucket", "Key": "k"})
    form = client.generate_presigned_post("my-bucket", "k")["url"]
    assert {urlsplit(url).netloc for url in (signed, form)} == {f"my-bucket.s3.{region}.amazonaws.com"}
