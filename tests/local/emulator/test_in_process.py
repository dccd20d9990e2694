"""emulator/in_process.py: clients call an application without a connection, and neither side sees a difference."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from local.emulator.clients import Clients
from local.emulator.http_server import serve
from local.emulator.in_process import sender
from local.emulator.wsgi import Environ, StartResponse

OF_A_CONNECTION = {
    *("HTTP_ACCEPT_ENCODING", "REMOTE_PORT", "REQUEST_URI", "SERVER_SOFTWARE"),
    *("werkzeug.socket", "wsgi.errors", "wsgi.input"),
}
"""Variables that only a connection has, or that differ for each one. No application reads them except the socket."""

CALLS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "a form": ("sns", "publish", {"TopicArn": "arn:aws:sns:us-east-1:1:t", "Message": "é = ü & 1"}),
    "a key with any character": ("s3", "head_object", {"Bucket": "b", "Key": "a é//%20+?\n&=.jpg", "VersionId": "v"}),
    "a prefix": ("s3", "list_objects_v2", {"Bucket": "b", "Prefix": "a é&=/"}),
    "bytes": ("s3", "put_object", {"Bucket": "b", "Key": "k", "Body": b"\0\xff", "Metadata": {"a_b": "x"}}),
    "json": ("dynamodb", "get_item", {"TableName": "t", "Key": {"k": {"S": "é"}}}),
}


class Recorder:
    """An application that records requests, and answers each with the same status, headers and body."""

    def __init__(self, status: str = "200 OK", body: bytes = b"", headers: Iterable[tuple[str, str]] = ()) -> None:
        self.requests: list[tuple[Environ, bytes]] = []
        self._answer = status, list(headers), body

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        facts = {name: value for name, value in environ.items() if name not in OF_A_CONNECTION}
        self.requests.append((facts, body))
        status, headers, data = self._answer
        start_response(status, headers)
        return [data]


def both(application: Any) -> tuple[Clients, Clients]:
    """Clients with a connection, and clients without one."""
    url = f"http://127.0.0.1:{serve(application, 0)}"
    return Clients(url, "us-east-1"), Clients(url, "us-east-1", sender(application))


@pytest.mark.parametrize(("service", "operation", "arguments"), CALLS.values(), ids=CALLS)
def test_the_application_receives_the_request_of_a_connection(monkeypatch, service, operation, arguments):
    """The environment and the body are those that the server would have read."""
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: datetime(2026, 1, 2, tzinfo=UTC))
    monkeypatch.setattr("uuid.uuid4", lambda: "an-id")
    application = Recorder(body=b"{}" if service == "dynamodb" else b"<Answer><PublishResult/></Answer>")
    for clients in both(application):
        getattr(clients(service), operation)(**arguments)
        clients.close()
    (connected, body), (direct, direct_body) = application.requests
    assert direct_body == body
    assert direct == {"CONTENT_LENGTH": "0"} | connected


def test_the_client_receives_the_answer_of_a_connection():
    """Status, headers and a streamed body arrive; an answer to HEAD has no body."""
    application = Recorder(body=b"content", headers=[("Content-Length", "7"), ("ETag", '"e"'), ("x-amz-meta-a", "b")])
    for clients in both(application):
        answer = clients("s3").get_object(Bucket="b", Key="k")
        assert (answer["Body"].read(3), answer["Body"].read()) == (b"con", b"tent")
        assert (answer["ETag"], answer["Metadata"], answer["ContentLength"]) == ('"e"', {"a": "b"}, 7)
        assert clients("s3").head_object(Bucket="b", Key="k")["ContentLength"] == 7
        clients.close()


def test_an_error_of_the_service_is_raised():
    """The client parses an error as it does that of a connection."""
    application = Recorder("400 Error", b'{"__type": "TableInUseException", "message": "no"}')
    for clients in both(application):
        with pytest.raises(ClientError, match=r"\(TableInUseException\).*: no"):
            clients("dynamodb").get_item(TableName="t", Key={"k": {"S": "a"}})
        clients.close()


def test_a_request_without_an_answer_is_a_closed_connection():
    """An application that closes the connection has the same effect without one."""

    def close(_: Environ, __: StartResponse) -> Iterable[bytes]:
        raise ConnectionAbortedError

    for clients in both(close):
        with pytest.raises(ConnectionClosedError):
            clients("s3").head_bucket(Bucket="b")
        clients.close()
