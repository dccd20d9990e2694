"""emulator/endpoint.py: responses of Lambda, and faults for tests."""

import json
import socket
import threading
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError
from moto import backends
from moto.core import responses
from moto.core.base_backend import BackendDict
from moto.moto_api._internal.moto_random import MotoRandom
from moto.moto_server.werkzeug_app import DomainDispatcherApplication

from local.emulator.moto_seams import server
from tests.pictures import photo

FUNCTION = "image-pipeline-ValidateImageFunction"


def test_a_missing_function_is_not_found(pipeline):
    """The error is that of Lambda."""
    client = pipeline.client("lambda")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.invoke(FunctionName="none", Payload=b"{}")


def test_a_failure_of_a_function_is_in_the_header(pipeline):
    """SDKs and Step Functions read the header `FunctionError`."""
    answer = pipeline.client("lambda").invoke(FunctionName=FUNCTION, Payload=b"{}")
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert json.loads(answer["Payload"].read())["errorType"] == "KeyError"


def test_a_replaced_function_answers_until_clear(pipeline):
    """A Python callable replaces the function, including its exceptions."""
    pipeline.replace("ValidateImageFunction", lambda event: {"got": event})
    client = pipeline.client("lambda")
    answer = client.invoke(FunctionName=FUNCTION, Payload=b'{"a": "\xc3\xbc"}')
    assert json.loads(answer["Payload"].read()) == {"got": {"a": "ü"}}
    pipeline.replace("ValidateImageFunction", lambda _: 1 / 0)
    failed = client.invoke(FunctionName=FUNCTION, Payload=b"{}")
    assert json.loads(failed["Payload"].read())["errorType"] == "ZeroDivisionError"
    pipeline.clear()
    assert json.loads(client.invoke(FunctionName=FUNCTION, Payload=b"{}")["Payload"].read())["errorType"] == "KeyError"


@pytest.mark.parametrize(
    ("service", "operation", "code", "call"),
    [
        ("dynamodb", "GetItem", "ThrottlingException", lambda p: p.record("uploads/x")),
        ("s3", "GetObject", "SlowDown", lambda p: p.client("s3").get_object(Bucket=p.uploads_bucket, Key="x")),
        ("s3", "PutObject", "InternalError", lambda p: p.upload("elsewhere/x", photo())),
        ("s3", "ListObjectsV2", "AccessDenied", lambda p: p.client("s3").list_objects_v2(Bucket=p.uploads_bucket)),
        (
            "sns",
            "Publish",
            "AuthorizationError",
            lambda p: p.client("sns").publish(TopicArn=p.outputs["NotificationTopicArn"], Message="m"),
        ),
        ("sqs", "ListQueues", "OverLimit", lambda p: p.client("sqs").list_queues()),
        (
            "lambda",
            "Invoke",
            "TooManyRequestsException",
            lambda p: p.client("lambda").invoke(FunctionName=FUNCTION, Payload=b"{}"),
        ),
        (
            "rekognition",
            "DetectLabels",
            "ThrottlingException",
            lambda p: p.client("rekognition").detect_labels(Image={"Bytes": photo()}),
        ),
    ],
)
def test_a_fault_fails_the_call_it_names(pipeline, service, operation, code, call):
    """The SDK receives the error code in every protocol."""
    pipeline.fault(service, operation, code, times=-1)
    with pytest.raises(ClientError) as caught:
        call(pipeline)
    assert caught.value.response["Error"]["Code"] == code


def test_a_fault_fails_the_given_number_of_calls(pipeline):
    """The fault fails only that number of matching calls."""
    pipeline.fault("dynamodb", "GetItem", "ValidationException", times=1, containing="uploads/one")
    assert pipeline.record("uploads/two") is None
    with pytest.raises(ClientError):
        pipeline.record("uploads/one")
    assert pipeline.record("uploads/one") is None


def test_faults_reach_the_workflow(pipeline, folder):
    """A throttled claim is retried, and the image is processed."""
    key = f"{folder}/throttled.jpg"
    pipeline.fault("dynamodb", "UpdateItem", "ThrottlingException", times=2, containing=key)
    pipeline.upload(key, photo())
    assert pipeline.wait_for(key)["status"] == "COMPLETED"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (backends, "list_of_moto_modules"),
        (responses, "method_names_from_class"),
        (responses, "camelcase_to_underscores"),
        (BackendDict, "_create_account_specific_backend"),
        (DomainDispatcherApplication, "get_backend_for_host"),
        (MotoRandom, "get_random_string"),
    ],
    ids=lambda value: str(value),
)
def test_a_moved_seam_is_reported(monkeypatch, module, name):
    """If moto lacks a seam, the start fails and names the module to change."""
    monkeypatch.delattr(module, name)
    with pytest.raises(RuntimeError, match=r"moto_seams/server\.py"):
        server.install()


def test_a_read_never_returns_a_partial_item(pipeline):
    """DynamoDB writes an item atomically, whatever its number of attributes."""
    table, dynamodb = pipeline.outputs["ApiKeyTableName"], pipeline.client("dynamodb")
    names = [f"half {index}" for index in range(25)]
    attributes = {f":a{index}": {"S": "x" * 200} for index in range(40)}
    expression = "SET " + ", ".join(f"a{index} = :a{index}" for index in range(40))

    def write() -> None:
        for name in names:
            dynamodb.update_item(
                TableName=table,
                Key={"KeyId": {"S": name}},
                UpdateExpression=expression,
                ExpressionAttributeValues=attributes,
            )

    writer = threading.Thread(target=write)
    writer.start()
    sizes: set[int] = set()
    while writer.is_alive():
        keys = [{"KeyId": {"S": name}} for name in names]
        answer = dynamodb.batch_get_item(RequestItems={table: {"Keys": keys}})
        sizes |= {len(item) for item in answer["Responses"][table]}
    for name in names:  # they are no keys
        dynamodb.delete_item(TableName=table, Key={"KeyId": {"S": name}})
    assert sizes == {41}


def test_a_connection_serves_several_requests(pipeline):
    """A connection stays open after every kind of request, and no bytes of a body remain."""
    address = urlsplit(pipeline.aws_url)
    connection = HTTPConnection(address.hostname, address.port, timeout=10)
    chunks = (b"x" * 1000 for _ in range(3))
    paths = [
        ("PUT", f"/{pipeline.uploads_bucket}/elsewhere/kept-alive", b"x" * 100_000),
        ("PUT", f"/{pipeline.uploads_bucket}/elsewhere/in-chunks", chunks),
        ("POST", "/2015-03-31/functions/none/invocations", b"a body that nobody reads"),
        ("HEAD", f"/{pipeline.uploads_bucket}/elsewhere/kept-alive", None),
        ("GET", f"/{pipeline.uploads_bucket}/elsewhere/in-chunks", None),
    ]
    credential = f"Credential=test/20260101/{pipeline.region}/s3/aws4_request"
    signed = {"Authorization": f"AWS4-HMAC-SHA256 {credential}, SignedHeaders=host, Signature=0"}
    connection.connect()
    opened, statuses = connection.sock, []
    for method, path, body in paths:
        connection.request(method, path, body, signed)
        answer = connection.getresponse()
        statuses.append((answer.status, len(answer.read())))
        assert connection.sock is opened, f"closed after {method} {path}"
    connection.close()
    assert [status for status, _ in statuses] == [200, 200, 404, 200, 200]
    assert statuses[-1] == (200, 3000)


def test_a_withheld_body_is_requested_once(pipeline):
    """boto3 and curl send a large body only after the server asks for it."""
    address = urlsplit(pipeline.aws_url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as client:
        path = f"/{pipeline.uploads_bucket}/elsewhere/held-back"
        headers = f"Host: {address.netloc}\r\nContent-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n"
        head = f"PUT {path} HTTP/1.1\r\n{headers}\r\n"
        client.sendall(head.encode())
        assert client.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"abc")
        assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
