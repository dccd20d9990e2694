"""emulator/actions.py: the permissions that each kind of request needs."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config

from local.emulator.actions import (
    UnknownCallError,
    access_key_of,
    identify,
    list_permission,
    needs,
    peek,
    read_permission,
)
from local.emulator.policy import Request

ACCOUNT = "123456789012"
TABLE = f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/T"


def environ_of(method: str, url: str, headers: dict[str, str], body: bytes) -> dict[str, Any]:
    parts = urlsplit(url)
    return {
        "REQUEST_METHOD": method,
        "PATH_INFO": unquote_to_bytes(parts.path).decode("latin-1"),
        "QUERY_STRING": parts.query,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()},
    }


def client(service: str, config: Config | None = None) -> Any:
    return boto3.client(
        service,
        config=config,
        region_name="eu-west-1",
        endpoint_url="http://127.0.0.1:1",
        aws_access_key_id="ASIAROLE",
        aws_secret_access_key="x",
    )


def sent(service: str, operation: str, **parameters: Any) -> dict[str, Any]:
    """Return the request that boto3 signs for a call, as a WSGI environment."""
    environments: list[dict[str, Any]] = []

    def keep(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        body = request.body or b""
        data = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else body.read()
        headers = {k: v.decode() if isinstance(v, bytes) else v for k, v in request.headers.items()}
        environments.append(environ_of(request.method, request.url, headers, data))
        return AWSResponse(request.url, 200, {}, io.BytesIO(b"{}"))

    service_client = client(service)
    service_client.meta.events.register("before-send.*.*", keep)
    with suppress(Exception):  # botocore cannot parse the fake response; the test needs only the request
        getattr(service_client, operation)(**parameters)
    return environments[0]


def permissions(environ: dict[str, Any]) -> list[tuple[str, str]]:
    return [(need.action, need.resource) for need in needs(environ)]


EXECUTION = "arn:aws:states:r:1:execution:m:e"
S3 = {"Bucket": "b", "Key": "uploads/a b+ü:🦊.jpg"}
OBJECT = "arn:aws:s3:::b/uploads/a b+ü:🦊.jpg"


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "expected"),
    [
        ("s3", "get_object", S3, [("s3:GetObject", OBJECT)]),
        ("s3", "get_object", {**S3, "VersionId": "v"}, [("s3:GetObjectVersion", OBJECT)]),
        ("s3", "get_object", {**S3, "Range": "bytes=0-1", "IfMatch": "e"}, [("s3:GetObject", OBJECT)]),
        ("s3", "head_object", S3, [("s3:GetObject", OBJECT)]),
        ("s3", "put_object", {**S3, "Body": b"x"}, [("s3:PutObject", OBJECT)]),
        (
            "s3",
            "put_object",
            {**S3, "Body": b"x", "Tagging": "a=b"},
            [("s3:PutObject", OBJECT), ("s3:PutObjectTagging", OBJECT)],
        ),
        ("s3", "delete_object", S3, [("s3:DeleteObject", OBJECT)]),
        ("s3", "delete_object", {**S3, "VersionId": "v"}, [("s3:DeleteObjectVersion", OBJECT)]),
        (
            "s3",
            "delete_objects",
            {"Bucket": "b", "Delete": {"Objects": [{"Key": "x"}, {"Key": "ü", "VersionId": "v"}]}},
            [("s3:DeleteObject", "arn:aws:s3:::b/x"), ("s3:DeleteObjectVersion", "arn:aws:s3:::b/ü")],
        ),
        (
            "s3",
            "copy_object",
            {**S3, "CopySource": {"Bucket": "c", "Key": "k ü", "VersionId": "v"}},
            [("s3:PutObject", OBJECT), ("s3:GetObjectVersion", "arn:aws:s3:::c/k ü")],
        ),
        ("s3", "create_multipart_upload", S3, [("s3:PutObject", OBJECT)]),
        ("s3", "upload_part", {**S3, "UploadId": "u", "PartNumber": 1, "Body": b"x"}, [("s3:PutObject", OBJECT)]),
        ("s3", "complete_multipart_upload", {**S3, "UploadId": "u"}, [("s3:PutObject", OBJECT)]),
        ("s3", "abort_multipart_upload", {**S3, "UploadId": "u"}, [("s3:AbortMultipartUpload", OBJECT)]),
        ("s3", "list_objects_v2", {"Bucket": "b", "Prefix": "p/"}, [("s3:ListBucket", "arn:aws:s3:::b")]),
        ("s3", "list_object_versions", {"Bucket": "b"}, [("s3:ListBucketVersions", "arn:aws:s3:::b")]),
        (
            "s3",
            "put_object_tagging",
            {**S3, "Tagging": {"TagSet": []}},
            [("s3:PutObjectTagging", OBJECT)],
        ),
        (
            "s3",
            "put_object_tagging",
            {**S3, "VersionId": "v", "Tagging": {"TagSet": []}},
            [("s3:PutObjectVersionTagging", OBJECT)],
        ),
        ("s3", "get_object_tagging", {**S3, "VersionId": "v"}, [("s3:GetObjectVersionTagging", OBJECT)]),
        (
            "s3",
            "list_object_versions",
            {"Bucket": "b", "Prefix": "p/", "KeyMarker": "k", "VersionIdMarker": "v"},
            [("s3:ListBucketVersions", "arn:aws:s3:::b")],
        ),
        ("s3", "head_bucket", {"Bucket": "b"}, [("s3:ListBucket", "arn:aws:s3:::b")]),
        ("dynamodb", "get_item", {"TableName": "T", "Key": {}}, [("dynamodb:GetItem", TABLE)]),
        ("dynamodb", "update_item", {"TableName": TABLE, "Key": {}}, [("dynamodb:UpdateItem", TABLE)]),
        ("dynamodb", "query", {"TableName": "T", "IndexName": "Idx"}, [("dynamodb:Query", f"{TABLE}/index/Idx")]),
        (
            "dynamodb",
            "batch_get_item",
            {"RequestItems": {"T": {"Keys": [{"k": {"S": "v"}}]}}},
            [("dynamodb:BatchGetItem", TABLE)],
        ),
        ("sns", "publish", {"TopicArn": "arn:aws:sns:r:1:t", "Message": "m"}, [("sns:Publish", "arn:aws:sns:r:1:t")]),
        (
            "sqs",
            "send_message_batch",
            {"QueueUrl": "http://x/1/q", "Entries": []},
            [("sqs:SendMessage", f"arn:aws:sqs:eu-west-1:{ACCOUNT}:q")],
        ),
        (
            "lambda",
            "invoke",
            {"FunctionName": "f", "Payload": b"{}"},
            [("lambda:InvokeFunction", f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:f")],
        ),
        (
            "lambda",
            "invoke",
            {"FunctionName": "arn:aws:lambda:r:1:function:f", "Qualifier": "live"},
            [("lambda:InvokeFunction", "arn:aws:lambda:r:1:function:f:live")],
        ),
        (
            "stepfunctions",
            "start_execution",
            {"stateMachineArn": "arn:aws:states:r:1:stateMachine:m"},
            [("states:StartExecution", "arn:aws:states:r:1:stateMachine:m")],
        ),
        ("stepfunctions", "describe_execution", {"executionArn": EXECUTION}, [("states:DescribeExecution", EXECUTION)]),
        ("stepfunctions", "stop_execution", {"executionArn": EXECUTION}, [("states:StopExecution", EXECUTION)]),
        (
            "stepfunctions",
            "list_executions",
            {"stateMachineArn": "arn:aws:states:r:1:stateMachine:m"},
            [("states:ListExecutions", "arn:aws:states:r:1:stateMachine:m")],
        ),
        ("cloudwatch", "put_metric_data", {"Namespace": "n", "MetricData": []}, [("cloudwatch:PutMetricData", "*")]),
        (
            "events",
            "put_events",
            {"Entries": [{"Detail": "{}"}]},
            [("events:PutEvents", f"arn:aws:events:eu-west-1:{ACCOUNT}:event-bus/default")],
        ),
        ("rekognition", "detect_labels", {"Image": {"Bytes": b"x"}}, [("rekognition:DetectLabels", "*")]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_call_needs_its_action_on_its_resource(service, operation, parameters, expected):
    """Actions and resources are those of the Service Authorization Reference; the body can still be read."""
    environ = sent(service, operation, **parameters)
    before = peek(environ)
    assert permissions(environ) == expected
    assert peek(environ) == before
    assert access_key_of(environ) == "ASIAROLE"
    name = "".join(word.capitalize() for word in operation.split("_"))
    assert identify(environ) == (service, name)


@pytest.mark.parametrize(
    ("service", "operation", "parameters"),
    [
        ("s3", "get_object_acl", S3),
        ("s3", "put_bucket_policy", {"Bucket": "b", "Policy": "{}"}),
        ("dynamodb", "list_tables", {}),
        ("sns", "create_topic", {"Name": "t"}),
        ("sqs", "list_queues", {}),
        ("rekognition", "detect_faces", {"Image": {"Bytes": b"x"}}),
        ("lambda", "list_functions", {}),
        ("kms", "list_keys", {}),
    ],
)
def test_an_unknown_call_is_an_error(service, operation, parameters):
    """An unknown call must not pass without a permission."""
    with pytest.raises(UnknownCallError, match=r"emulator/actions\.py"):
        needs(sent(service, operation, **parameters))


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_a_presigned_url_carries_its_signer(version):
    """A presigned URL has the permissions of its signer."""
    url = client("s3", Config(signature_version=version)).generate_presigned_url(
        "get_object", S3 | {"VersionId": "v"}, ExpiresIn=60
    )
    environ = environ_of("GET", url, {}, b"")
    assert access_key_of(environ) == "ASIAROLE"
    assert permissions(environ) == [("s3:GetObjectVersion", OBJECT)]


def test_an_unsigned_request_has_no_role():
    """A request without credentials belongs to no role."""
    assert access_key_of(environ_of("GET", "http://x/b/k", {}, b"")) == ""


def test_requests_have_their_context():
    """The context has region, account and listed prefix; loopback counts as TLS."""
    (need,) = needs(sent("s3", "list_objects_v2", Bucket="b", Prefix="p/ü"))
    assert need.context == {
        "aws:principalaccount": ACCOUNT,
        "aws:requestedregion": "eu-west-1",
        "aws:securetransport": "true",
        "s3:prefix": "p/ü",
    }


def test_the_list_permission_decides_between_404_and_403_for_reads_only():
    """For GET and HEAD only, the permission to list decides between 404 and 403."""
    for operation in ("get_object", "head_object"):
        need = list_permission(sent("s3", operation, **S3))
        assert isinstance(need, Request)
        assert (need.action, need.resource) == ("s3:ListBucket", "arn:aws:s3:::b")
    assert list_permission(sent("s3", "delete_object", **S3)) is None


def test_reading_a_version_needs_a_separate_permission():
    """AWS has a separate action for it."""
    assert read_permission(bucket="b", key="k", version=None, region="r").action == "s3:GetObject"
    assert read_permission(bucket="b", key="k", version="v", region="r").action == "s3:GetObjectVersion"
