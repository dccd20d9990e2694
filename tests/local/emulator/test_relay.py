"""emulator/relay.py: forwards requests of containers to the local endpoint."""

import http.client
import ipaddress
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from local.emulator.relay import is_reserved, relay

NETWORK = ipaddress.ip_network("127.0.0.0/29")
NAMES = ["_local", "_LOCAL", "%5flocal", "%5Flocal", "%5f%6c%6f%63%61%6c", "%255flocal", "%25255flocal", "_local;x=y"]
MOTO = ["moto-api", "Moto-API", "moto%2dapi", "moto%252dapi", "%6doto-api"]
WAYS = [
    *("/{}/alter", "/{}", "/{}/", "//{}/alter", "///{}/alter", "/./{}/alter", "/x/../{}/alter", "/x/%2e%2e/{}/alter"),
    *("/x/y/../../{}/alter", "/../{}/alter", "/x/..//{}/alter", "/%2f{}/alter", "/\\{}/alter", "/%5c{}/alter"),
    *("/x/..%2f{}/alter", "/{}?a=b", "/{}#a", "/%20{}/alter"),
]


class Backend:
    """A server on loopback that records requests."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, bytes]] = []
        self.headers: list[tuple[str, str]] = []
        backend = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                backend.requests.append((self.command, self.path, body))
                backend.headers = self.headers.items()
                if self.path == "/hang-up":
                    self.close_connection = True
                    return
                data = b"" if self.command == "HEAD" else b"answered"
                self.send_response(207, "Fine")
                self.send_header("X-From", "backend")
                self.send_header("Content-Length", "8")
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = answer  # noqa: N815

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        self.port = self.server.server_address[1]


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Backend, str]]:
    backend = Backend()
    with relay(NETWORK, backend.port) as host:
        yield backend, host
    backend.server.shutdown()
    backend.server.server_close()


@pytest.fixture
def backend(running: tuple[Backend, str]) -> Backend:
    running[0].requests.clear()
    return running[0]


@pytest.fixture
def host(running: tuple[Backend, str]) -> str:
    return running[1]


def exchange(host: str, sent: bytes) -> bytes:
    """Send bytes, and read until the connection is closed."""
    address, port = host.split(":")
    with socket.create_connection((address, int(port)), 30) as client:
        client.sendall(sent)
        answer = b""
        while piece := client.recv(1 << 16):
            answer += piece
        return answer


def ask(host: str, target: str, method: str = "GET", headers: str = "", body: bytes = b"") -> bytes:
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    head = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{headers}{length}\r\n"
    return exchange(host, head.encode("latin-1") + body)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_forwards_requests_unchanged(backend, host, method):
    """Method, target, headers, body and answer are unchanged."""
    answer = ask(host, "/bucket/a%20b%2Fc?d=%C3%BC", method, "X-Amz-Meta-My_Name: a\r\nx-amz-meta-b:  c\r\n", b"body")
    assert answer.startswith(b"HTTP/1.1 207 Fine\r\n")
    assert b"X-From: backend\r\n" in answer
    assert answer.endswith(b"\r\n\r\n" if method == "HEAD" else b"\r\n\r\nanswered")
    assert backend.requests == [(method, "/bucket/a%20b%2Fc?d=%C3%BC", b"body")]
    assert {("X-Amz-Meta-My_Name", "a"), ("x-amz-meta-b", "c")} <= set(backend.headers)
    assert ("Host", f"127.0.0.1:{backend.port}") in backend.headers


def test_forwards_chunks(backend, host):
    """SDKs send streams in chunks."""
    answer = ask(host, "/a", "PUT", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n")
    assert answer.startswith(b"HTTP/1.1 207 ")
    assert backend.requests == [("PUT", "/a", b"abcde")]


def test_forwards_the_headers_of_pages(backend, host):
    """The endpoint checks pages, so the relay must not remove their headers."""
    ask(host, "/a", headers="Origin: https://evil.example\r\nSec-Fetch-Site: cross-site\r\nReferer: https://a/b\r\n")
    forwarded_headers = {name.lower(): value for name, value in backend.headers}
    assert [forwarded_headers[name] for name in ("origin", "sec-fetch-site", "referer")] == [
        "https://evil.example",
        "cross-site",
        "https://a/b",
    ]


@pytest.mark.parametrize("way", WAYS)
def test_controls_of_tests_are_not_forwarded(backend, host, way):
    """Every spelling of the paths of controls and of the API of moto is refused."""
    for name in (*NAMES, *MOTO):
        for method in ("GET", "POST"):
            answer = ask(host, way.format(name), method, body=b"{}")
            assert answer.startswith(b"HTTP/1.1 403 "), way.format(name)
    assert backend.requests == []


@pytest.mark.parametrize(
    "target", ["http://{}/_local/alter", "http://127.0.0.1/a", "HTTP://{}/a", "//evil/../_local", "*", "{}", "_local/a"]
)
def test_a_target_that_is_not_a_path_is_not_forwarded(backend, host, target):
    """Only proxies accept URLs as targets."""
    answer = ask(host, target.format(host), "POST", body=b"{}")
    assert answer.startswith((b"HTTP/1.1 403 ", b"HTTP/1.1 400 "))
    assert backend.requests == []


SECOND = b"POST /_local/alter HTTP/1.1\r\nHost: HOST\r\nContent-Length: 2\r\n\r\n{}"
FIRST = {
    "keep-alive": b"GET /a HTTP/1.1\r\nHost: HOST\r\nConnection: keep-alive\r\n\r\n",
    "HTTP/1.0": b"GET /a HTTP/1.0\r\nHost: HOST\r\nConnection: keep-alive\r\n\r\n",
    "upgrade": b"GET /a HTTP/1.1\r\nHost: HOST\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "a body of a GET": b"GET /a HTTP/1.1\r\nHost: HOST\r\nContent-Length: 1\r\n\r\nx",
    "expect": b"POST /a HTTP/1.1\r\nHost: HOST\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
    "chunks": b"POST /a HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
    "connect": b"CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "trace": b"TRACE /a HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "both": b"POST /a HTTP/1.1\r\nHost: HOST\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks twice": b"POST /a HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "hidden chunks": b"POST /a HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding : chunked\r\nContent-Length: 0\r\n\r\n",
    "two lengths": b"POST /a HTTP/1.1\r\nHost: HOST\r\nContent-Length: 0\r\nContent-Length: 100\r\n\r\n",
    "a line feed": b"GET /a HTTP/1.1\nHost: HOST\n\n",
    "nothing": b"\r\n",
    "words": b"words\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("first", FIRST.values(), ids=FIRST)
def test_a_connection_forwards_one_request(backend, host, first):
    """Pipelining, keep-alive, smuggling and upgrades forward no second request."""
    exchange(host, (first + SECOND).replace(b"HOST", host.encode()))
    assert not [path for _, path, _ in backend.requests if path != "/a"]
    assert len(backend.requests) <= 1


@pytest.mark.parametrize(
    "hosts",
    [[], ["evil.example"], ["127.0.0.1"], ["{port}"], ["localhost:{port}"], ["{host}", "{host}"], ["{host}.evil"]],
)
def test_another_host_is_refused(backend, host, hosts):
    """A foreign Host header is refused, so DNS rebinding does not work."""
    port = host.partition(":")[2]
    lines = "".join(f"Host: {value.format(host=host, port=port)}\r\n" for value in hosts)
    assert exchange(host, f"GET /a HTTP/1.1\r\n{lines}\r\n".encode()).startswith(b"HTTP/1.1 403 ")
    assert backend.requests == []


def test_a_truncated_body_is_not_forwarded(backend, host):
    """The endpoint could not detect the truncation."""
    address, port = host.split(":")
    for framing in ("Content-Length: 10\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"):
        with socket.create_connection((address, int(port)), 30) as client:
            client.sendall(f"PUT /a HTTP/1.1\r\nHost: {host}\r\n{framing}".encode())
            client.shutdown(socket.SHUT_WR)
            assert client.recv(1000).startswith(b"HTTP/1.1 400 ")
    assert backend.requests == []


def test_closes_the_connection_when_the_endpoint_does(backend, host):
    """A call without a response stays without one."""
    assert ask(host, "/hang-up") == b""
    assert len(backend.requests) == 1


def test_ordinary_targets_are_not_reserved():
    """A key that looks similar to a reserved path is forwarded."""
    for target in (
        *("/", "/bucket/_local/a", "/bucket/x/../_local", "/bucket?prefix=/_local", "/bucket/%2Fmoto-api", "/b/100%25"),
        *("/b/%25252525", "/123456789012/queue", "/2015-03-31/functions/f/invocations"),
    ):
        assert not is_reserved(target), target


def test_refuses_addresses_outside_of_the_bridge(host):
    """The relay is only for containers on the bridge."""
    address, port = host.split(":")
    with socket.create_connection((address, int(port)), 30, source_address=("127.0.0.9", 0)) as client:
        assert client.recv(100) == b""


def test_accepts_the_host_name_that_containers_use(backend):
    """Containers use this name if Docker runs in a virtual machine."""
    with relay(NETWORK, backend.port, "host.docker.internal") as host:
        name, _, port = host.partition(":")
        assert name == "host.docker.internal"
        connection = http.client.HTTPConnection("127.0.0.1", int(port))
        connection.request("GET", "/a", headers={"Host": host})
        assert connection.getresponse().read() == b"answered"
        connection.close()


def test_the_port_is_closed_after_the_invocation(backend):
    """The relay ends with the invocation."""
    with relay(NETWORK, backend.port) as host:
        pass
    address, port = host.split(":")
    with pytest.raises(OSError, match=r"refused|reset"):
        socket.create_connection((address, int(port)), 5)
