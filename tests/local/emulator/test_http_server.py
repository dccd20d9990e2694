"""emulator/http_server.py: reads complete requests."""

import socket
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from local.emulator.http_server import serve
from tests.local.emulator.test_request_body import AMBIGUOUS, CHUNKS, WHOLE


@pytest.fixture(scope="module")
def bodies() -> list[bytes]:
    """The bodies that the application received."""
    return []


@pytest.fixture(scope="module")
def port(bodies: list[bytes]) -> int:
    """The port of a server whose application records bodies."""

    def remember(environ, start_response):
        bodies.append(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
        start_response("202 Accepted", [])
        return [b"stored"]

    return serve(remember, 0)


def exchange(port: int, sent: bytes) -> bytes:
    """Send bytes, close the sending side, and read to the end."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := client.recv(1 << 16):
            answer += piece
        return answer


@pytest.mark.parametrize(("head", "body", "content"), WHOLE.values(), ids=WHOLE)
def test_the_application_receives_complete_bodies(port, bodies, head, body, content):
    """Bodies of every framing are complete."""
    bodies.clear()
    assert exchange(port, b"POST /a HTTP/1.1\r\nHost: a\r\n" + head + body).startswith(b"HTTP/1.1 202 ")
    assert bodies == [content]


@pytest.mark.parametrize(
    ("head", "body"),
    [
        *((head, body[:-1]) for head, body, _ in WHOLE.values() if body),
        *((head, b"hello") for head in AMBIGUOUS.values()),
        *((WHOLE["chunks"][0], body) for body in CHUNKS.values()),
    ],
)
def test_malformed_requests_do_not_reach_the_application(port, bodies, head, body):
    """Malformed requests get 400, and following bytes are not taken for a request."""
    bodies.clear()
    answer = exchange(port, b"POST /a HTTP/1.1\r\nHost: a\r\n" + head + body)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1
    assert bodies == []


@pytest.mark.parametrize("target", [b"http://a/b", b"http://[", b"*", b"a:80", b"b"])
def test_a_target_that_is_not_a_path_is_refused(port, bodies, target):
    """Only proxies accept URLs as targets."""
    bodies.clear()
    assert exchange(port, b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert bodies == []


def test_an_internal_error_of_the_server_is_a_500(caplog):
    """The log has the error, and the connection stays open."""
    port = serve(lambda *_: 1 / 0, 0)
    with pytest.raises(HTTPError) as caught:
        urlopen(f"http://127.0.0.1:{port}/x")
    with caught.value:
        assert caught.value.code == 500
    assert "ZeroDivisionError" in caplog.text
