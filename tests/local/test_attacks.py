"""Attackers of the local run: web pages in the user's browser, containers, and other programs of the machine.

A page chooses the request, and the browser adds the origin: the tests send the headers of browsers. A refused request
must have no effect, so the tests check effects and not only answers.
"""

from __future__ import annotations

import itertools
import json
import os
import socket
import stat
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import boto3
import psutil
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from image_pipeline.api import apikeys
from local.emulator.configuration import CONTROL_PATH, TOKEN_HEADER
from local.lock import Lock
from local.pipeline import Pipeline
from tests.conftest import HEAVY, crossed
from tests.local.conftest import PAGE
from tests.pictures import encoded, gradient

PICTURE = encoded(gradient(24, 16))
SOURCE = "import pathlib\ndef lambda_handler(event, context):\n    pathlib.Path({!r}).write_text('owned')\n"
SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/s3/aws4_request"}
FOREIGN_ORIGINS = [
    *("https://evil.example", "null", "", "https://page.example.evil.example", "https://page.example:8443"),
    *("http://page.example", "https://page.exampl", "https://evil.example/https://page.example", "file://"),
    *("HTTPS://PAGE.EXAMPLE", "https://page.example, https://evil.example", "http://localhost:3001", "*"),
    *("http://127.0.0.1", "https://127.0.0.1:{api}", "http://127.0.0.1:{aws}", "http://127.0.0.1:{api}.evil.example"),
]
FOREIGN_HOSTS = [
    *("evil.example", "evil.example:{port}", "127.0.0.1.evil.example:{port}", "127.0.0.1", "localhost", "s3"),
    *("127.0.0.1:{other}", "0.0.0.0:{port}", "0:{port}", "127.1:{port}", "2130706433:{port}", "[::]:{port}"),
    *("localhost.evil.example:{port}", "127.0.0.1:{port}@evil.example", "evil.example@127.0.0.1:{port}", "", ":{port}"),
    *("127.0.0.1:0{port}", "localhost:{port}/", "a.b.localhost:{port}", "bucket.evil.example:{port}"),
    *("localhost.:{port}", "moto-api.amazonaws.com:{port}", "bucket.s3.amazonaws.com:{port}"),
    *("host.docker.internal:{port}", "evil.example#bucket.localhost:{port}", "bucket.localhost:{port}.evil.example"),
]  # fmt: skip
REFERERS = [None, "https://evil.example/", "", "null", "about:blank", "http://[", f"{PAGE}.evil/"]
OWN_HOSTS = ["127.0.0.1:{port}", "localhost:{port}", "LocalHost:{port}", "[::1]:{port}"]


class Answer(NamedTuple):
    """An answer on its own connection."""

    status: int
    headers: dict[str, str]
    body: bytes


@pytest.fixture(scope="module")
def key(open_to_pages: Pipeline) -> str:
    """An API key that the attacker may know; it must not help a foreign page."""
    return apikeys.create(open_to_pages.client, table=open_to_pages.outputs["ApiKeyTableName"], name="attacks").text


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port
    return port


def ports(pipeline: Pipeline) -> dict[str, int]:
    return {"aws": port_of(pipeline.aws_url), "api": port_of(pipeline.api_url)}


def send(port: int, data: bytes) -> Answer:
    """Send raw bytes, and read one answer to its end."""
    with socket.create_connection(("127.0.0.1", port), 60) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        received = b""
        while piece := client.recv(1 << 16):
            received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return Answer(int(status.split(" ")[1]), headers, body)


def ask(
    port: int, method: str, target: str, headers: dict[str, str] | None = None, body: bytes = b"", host: str = ""
) -> Answer:
    request_headers = {"Host": host or f"127.0.0.1:{port}", **(headers or {}), "Connection": "close"}
    if body:
        request_headers["Content-Length"] = str(len(body))
    lines = "".join(f"{name}: {value}\r\n" for name, value in request_headers.items())
    return send(port, f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + body)


def stored(pipeline: Pipeline) -> set[str]:
    answer = pipeline.client("s3").list_object_versions(Bucket=pipeline.uploads_bucket)
    return {version["Key"] for version in answer.get("Versions", [])}


def attacks(pipeline: Pipeline, key: str) -> list[tuple[int, str, str, dict[str, str], bytes]]:
    """Requests that would have an effect if they were accepted: port, method, target, headers, body."""
    aws, api = ports(pipeline).values()
    bucket = pipeline.uploads_bucket
    text = {"Content-Type": "text/plain"}
    return [
        (aws, "PUT", f"/{bucket}/uploads/attack.jpg", text | SIGNED, PICTURE),
        (aws, "GET", f"/{bucket}/elsewhere/secret", SIGNED, b""),
        (aws, "GET", "/", {}, b""),
        (aws, "POST", "/moto-api/reset", text, b""),
        (aws, "POST", f"{CONTROL_PATH}alter", text, b"{}"),
        (api, "POST", "/images?name=attack.jpg", {"x-api-key": key, "Content-Type": "image/jpeg"}, PICTURE),
        (api, "GET", "/images", {"x-api-key": key}, b""),
    ]


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
def test_pages_of_other_origins_are_refused(open_to_pages, key, origin):
    """Every request is refused, with and without Sec-Fetch-Site; pages cannot read the answer."""
    first, origin = origin == FOREIGN_ORIGINS[0] or "HEAVY" in os.environ, origin.format(**ports(open_to_pages))
    for port, method, target, headers, body in attacks(open_to_pages, key):
        for site in ("cross-site", "same-site", "same-origin", "none", None) if first else ("same-origin", None):
            request_headers = headers | {"Origin": origin} | ({} if site is None else {"Sec-Fetch-Site": site})
            answer = ask(port, method, target, request_headers, body)
            assert answer.status == 403, (target, request_headers)
            assert not [name for name in answer.headers if name.startswith("access-control")]
    assert "uploads/attack.jpg" not in stored(open_to_pages)


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
def test_preflights_of_other_origins_are_refused(open_to_pages, origin):
    """The browser then does not send the request."""
    origin = origin.format(**ports(open_to_pages))
    for port, target in zip(
        ports(open_to_pages).values(), (f"/{open_to_pages.uploads_bucket}/uploads/a", "/images"), strict=True
    ):
        preflight = {"Origin": origin, "Access-Control-Request-Method": "PUT", "Sec-Fetch-Mode": "cors"}
        answer = ask(port, "OPTIONS", target, preflight)
        assert answer.status == 403
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("fetched", "referer"),
    crossed(
        [
            dict(zip(("Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest"), values, strict=True))
            for values in (
                ("cross-site", "no-cors", "image"),
                ("cross-site", "no-cors", "script"),
                ("cross-site", "no-cors", "empty"),
                ("cross-site", "navigate", "document"),
                ("cross-site", "navigate", "iframe"),
                ("cross-site", "websocket", "websocket"),
                ("Cross-Site", "no-cors", "image"),
                ("", "no-cors", "image"),
                ("none, cross-site", "no-cors", "image"),
                ("unheard-of", "no-cors", "image"),
            )
        ],
        [None, "https://evil.example/", "", "null", "about:blank", "http://[", "{page}.evil/"],
    ),
)
def test_images_and_links_of_other_sites_are_refused(open_to_pages, key, fetched, referer):
    """Requests of images and links have no Origin, and must not have an effect either."""
    request_headers = fetched | ({} if referer is None else {"Referer": referer})
    for port, method, target, headers, body in attacks(open_to_pages, key):
        assert ask(port, method, target, headers | request_headers, body).status == 403, (method, target)
    assert "uploads/attack.jpg" not in stored(open_to_pages)


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_other_hosts_are_refused(open_to_pages, key, host):
    """With DNS rebinding, the browser would treat the answers as those of the page."""
    for port, method, target, headers, body in attacks(open_to_pages, key):
        other = ports(open_to_pages)["aws" if port == ports(open_to_pages)["api"] else "api"]
        request_headers = headers | {"Host": host.format(port=port, other=other)}
        sites = ({}, {"Sec-Fetch-Site": "same-origin"}, {"Origin": PAGE})
        for site in sites if host == FOREIGN_HOSTS[0] or "HEAVY" in os.environ else sites[:1]:
            assert ask(port, method, target, request_headers | site, body).status == 403, (method, target)
    assert "uploads/attack.jpg" not in stored(open_to_pages)


def test_a_request_must_have_one_host(open_to_pages, key):
    """Two hosts, or none, would be ambiguous."""
    for port, own in itertools.product(ports(open_to_pages).values(), ("127.0.0.1:{}", "localhost:{}")):
        host = own.format(port)
        for lines in ("", f"Host: {host}\r\nHost: evil.example\r\n", f"Host: evil.example\r\nHost: {host}\r\n"):
            answer = send(port, f"GET /images HTTP/1.1\r\n{lines}Connection: close\r\n\r\n".encode())
            assert answer.status in (400, 403), lines
        whole = f"GET http://{host}/images HTTP/1.1\r\nHost: {host}\r\n\r\n"
        assert send(port, whole.encode()).status == 400


@pytest.mark.parametrize("host", OWN_HOSTS)
def test_the_names_of_loopback_are_hosts(open_to_pages, host):
    """The user may write any of them."""
    aws, api = ports(open_to_pages).values()
    assert ask(aws, "GET", "/", host=host.format(port=aws)).status == 200
    assert ask(api, "GET", "/images/uploads/x.jpg/status", host=host.format(port=api)).status == 404


PATHS = [
    *("/_local/{}", "//_local/{}", "/%5flocal/{}", "/%5Flocal/{}", "/_LOCAL/{}", "/./_local/{}", "/x/../_local/{}"),
    *("/_local//{}", "/_local/../_local/{}", "/_local/{}?x=y", "/%2f_local/{}", "/_local%2f{}"),
]
CONTROLS = {
    "alter": {"logical_id": "ValidateImageFunction", "source": SOURCE, "timeout": None, "memory": None},
    "replace": {"function": "ValidateImageFunction", "url": "http://127.0.0.1:1/"},
    "fault": {"service": "dynamodb", "operation": "GetItem", "times": -1, "containing": [], "error_code": "E"},
    "restrict": {"logical_id": "ValidateImageFunctionRole", "statements": []},
    "time_out": {"execution": "arn:aws:states:us-east-1:123456789012:execution:a:b"},
    "calls": {},
    "clear": {},
    "executions": {"position": 0, "seconds": 0},
}


@pytest.mark.parametrize("path", PATHS)
def test_a_run_outside_of_tests_has_no_controls(open_to_pages, tmp_path, path):
    """No path runs code, injects faults or replaces functions."""
    mark = tmp_path / "mark"
    commands = CONTROLS if path == PATHS[0] or "HEAVY" in os.environ else ("alter", "clear")
    for command in commands:
        body = json.dumps(CONTROLS[command]).replace("{!r}", repr(str(mark))).encode()
        for port, method in itertools.product(ports(open_to_pages).values(), ("POST", "GET")):
            answer = ask(port, method, path.format(command), {"Content-Type": "text/plain", TOKEN_HEADER: ""}, body)
            assert answer.status >= 400, command
        if command != "executions":  # even its parent has no other control
            headers = {TOKEN_HEADER: open_to_pages._token}
            assert ask(port_of(open_to_pages.aws_url), "POST", f"{CONTROL_PATH}{command}", headers, body).status == 404
    assert open_to_pages.record("uploads/never.jpg") is None
    invoked = open_to_pages.client("lambda").invoke(FunctionName="image-pipeline-ValidateImageFunction", Payload=b"{}")
    assert json.loads(invoked["Payload"].read())["errorType"] == "KeyError"
    assert not mark.exists()


def test_the_controls_of_a_test_require_its_token(pipeline, tmp_path):
    """A missing, wrong, partial or misplaced token gets 403 without an effect."""
    mark, token = tmp_path / "mark", pipeline._token
    tokens = [None, "", "x", token[:-1], token + "x", token.swapcase(), f"{token},{token}", f'"{token}"', "\xff"]
    for (command, request), request_headers in itertools.product(CONTROLS.items(), tokens):
        body = json.dumps(request).replace("{!r}", repr(str(mark))).encode()
        headers = {} if request_headers is None else {TOKEN_HEADER: request_headers}
        for path in (f"{CONTROL_PATH}{command}", f"{CONTROL_PATH}{command}?{TOKEN_HEADER}={token}"):
            assert ask(port_of(pipeline.aws_url), "POST", path, headers, body).status == 403, (command, request_headers)
    assert pipeline.record("uploads/never.jpg") is None
    assert not mark.exists()


def test_a_foreign_page_cannot_use_a_token(pipeline):
    """A page is refused even if it knows the token."""
    headers = {TOKEN_HEADER: pipeline._token}
    for page in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Host": "evil.example"}):
        assert ask(port_of(pipeline.aws_url), "POST", f"{CONTROL_PATH}clear", headers | page).status == 403


def test_unknown_controls_are_not_found(pipeline):
    """Other paths and methods get 404."""
    headers, port = {TOKEN_HEADER: pipeline._token}, port_of(pipeline.aws_url)
    for method, command in (
        ("POST", "nothing"),
        ("POST", ""),
        ("GET", "clear"),
        ("POST", "__init__"),
        ("PUT", "calls"),
    ):
        assert ask(port, method, f"{CONTROL_PATH}{command}", headers, b"{}").status == 404


def test_replaced_functions_answer_only_their_pipeline(pipeline):
    """A replaced function is Python of the test, behind a port of its own."""
    called: list[Any] = []
    pipeline.replace("ValidateImageFunction", lambda event: called.append(event))
    assert pipeline._callbacks
    port = pipeline._callbacks.server_address[1]
    for token in (None, "", "x"):
        headers = {} if token is None else {TOKEN_HEADER: token}
        assert ask(port, "POST", "/ValidateImageFunction", headers, b"{}").status == 403
    assert called == []


def test_a_token_is_not_disclosed(pipeline):
    """The token is passed over standard input, and is in no argument, variable, file or log."""
    token = pipeline._token
    assert token not in repr(pipeline._configuration)
    for process in [psutil.Process(pipeline.pid), *psutil.Process(pipeline.pid).children(recursive=True)]:
        assert token not in " ".join(process.cmdline())
        assert token not in json.dumps(process.environ())
    for path in pipeline.run_dir.rglob("*"):
        assert not path.is_file() or token.encode() not in path.read_bytes(), path


MOTO = ["/moto-api", "/moto-api/", "/moto-api/reset", "/moto-api/data.json", "/moto-api/config", "/moto-api/lib.js",
        "/moto-api/recorder/start-recording", "/moto-api/seed?a=42", "/moto-api/state-manager/set-transition",
        "//moto-api/reset", "/%6doto-api/reset", "/moto%2dapi/reset", "/latest/meta-data/", "/favicon.ico"]  # fmt: skip


@pytest.mark.parametrize("path", MOTO)
def test_the_api_of_moto_is_not_available(open_to_pages, path):
    """A request must not reset, record or configure the emulator."""
    open_to_pages.upload("elsewhere/kept", b"kept")
    for method in ("GET", "POST", "PUT"):
        assert ask(ports(open_to_pages)["aws"], method, path, {"Content-Type": "application/json"}, b"{}").status >= 400
    answer = open_to_pages.client("s3").get_object(Bucket=open_to_pages.uploads_bucket, Key="elsewhere/kept")
    assert answer["Body"].read() == b"kept"


@pytest.mark.parametrize(
    ("service", "call", "arguments"),
    [
        ("batch", "describe_compute_environments", {}),
        ("batch", "submit_job", {"jobName": "a", "jobQueue": "a", "jobDefinition": "a"}),
        ("lambda", "list_functions", {}),
        ("cloudformation", "list_stacks", {}),
        ("codebuild", "list_projects", {}),
        ("ecs", "list_clusters", {}),
        pytest.param("ec2", "describe_instances", {}, marks=HEAVY),  # its model takes long to read
        ("iam", "list_users", {}),
        ("ssm", "describe_parameters", {}),
    ],
)
def test_unused_services_are_not_available(open_to_pages, service, call, arguments):
    """Some services of moto start containers that a request names."""
    client = boto3.client(
        service,
        endpoint_url=open_to_pages.aws_url,
        region_name="us-east-1",
        config=Config(retries={"total_max_attempts": 1}),
    )
    with pytest.raises(ClientError) as caught:
        getattr(client, call)(**arguments)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


def test_every_port_is_on_loopback(open_to_pages):
    """No process listens where another machine could connect."""
    for process in [psutil.Process(open_to_pages.pid), *psutil.Process(open_to_pages.pid).children(recursive=True)]:
        for connection in process.net_connections():
            if connection.status == psutil.CONN_LISTEN:
                assert connection.laddr.ip == "127.0.0.1"


def test_files_of_a_run_are_readable_only_by_its_user(tmp_path):
    """Other users of the machine cannot read images, logs and addresses."""
    run_dir = tmp_path / "run"
    with Lock(run_dir) as lock:
        lock.note({"awsUrl": "http://127.0.0.1:1"})
        assert stat.S_IMODE(run_dir.stat().st_mode) == 0o700
        assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in run_dir.iterdir()} == {
            "running.json": 0o600,
            "lock": 0o600,
        }


CUT = {
    "half of its length": lambda data: (f"Content-Length: {len(data)}", data[: len(data) // 2]),
    "all but a byte": lambda data: (f"Content-Length: {len(data)}", data[:-1]),
    "nothing of it": lambda data: (f"Content-Length: {len(data)}", b""),
    "no last chunk": lambda data: ("Transfer-Encoding: chunked", b"%x\r\n%s\r\n" % (len(data), data)),
    "half a chunk": lambda data: ("Transfer-Encoding: chunked", b"%x\r\n%s" % (len(data), data[: len(data) // 2])),
    "no end of the trailers": lambda data: ("Transfer-Encoding: chunked", b"%x\r\n%s\r\n0\r\n" % (len(data), data)),
}


@pytest.mark.parametrize("cut", CUT.values(), ids=CUT)
def test_a_truncated_body_is_not_stored(open_to_pages, key, cut):
    """Both ports answer 400."""
    framing, body = cut(PICTURE)
    for port, target, method in (
        (ports(open_to_pages)["api"], "/images?name=cut.jpg", "POST"),
        (ports(open_to_pages)["aws"], f"/{open_to_pages.uploads_bucket}/uploads/cut.jpg", "PUT"),
    ):
        head = f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nx-api-key: {key}\r\n"
        head += f"Authorization: {SIGNED['Authorization']}\r\n"
        answer = send(port, f"{head}Content-Type: image/jpeg\r\n{framing}\r\n\r\n".encode() + body)
        assert answer.status == 400
    assert "uploads/cut.jpg" not in stored(open_to_pages)


def test_a_body_in_chunks_is_stored_completely(open_to_pages, key):
    """Both ports accept it, as on AWS."""
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (PICTURE[:100], PICTURE[100:])) + b"0\r\n\r\n"
    headers = {"x-api-key": key, "Content-Type": "image/jpeg", "Transfer-Encoding": "chunked"}
    aws, api = ports(open_to_pages).values()
    bucket = open_to_pages.uploads_bucket
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    for port, start in (
        (api, "POST /images?name=chunks.jpg"),
        (aws, f"PUT /{bucket}/uploads/chunks%20of%20s3.jpg"),
    ):
        answer = send(port, f"{start} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{lines}\r\n".encode() + chunks)
        assert answer.status in (200, 202)
    for name in ("chunks.jpg", "chunks of s3.jpg"):
        stored_object = open_to_pages.client("s3").get_object(Bucket=bucket, Key=f"uploads/{name}")
        assert stored_object["Body"].read() == PICTURE


@pytest.mark.parametrize(
    "body",
    [
        b"a;chunk-signature=0\r\n0123456789\r\n",
        b"a;chunk-signature=0\r\n01234",
        b"5;chunk-signature=0\r\n01234\r\n0;chunk-signature=0\r\n\r\n",
        b"f;chunk-signature=0\r\n0123456789abcde\r\n0;chunk-signature=0\r\n\r\n",
        b"0123456789",
        b"",
    ],
)
def test_truncated_signed_chunks_are_not_stored(open_to_pages, body):
    """SDKs add a second framing with the total length."""
    target, port = f"/{open_to_pages.uploads_bucket}/uploads/cut.jpg", ports(open_to_pages)["aws"]
    headers = {
        "Content-Encoding": "aws-chunked",
        "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "x-amz-decoded-content-length": "10",
        **SIGNED,
    }
    answer = ask(port, "PUT", target, headers, body)
    assert (answer.status, b"IncompleteBody" in answer.body) == (400, True)
    assert "uploads/cut.jpg" not in stored(open_to_pages)
    whole = b"a;chunk-signature=0\r\n0123456789\r\n0;chunk-signature=0\r\n\r\n"
    kept = target.replace("uploads/cut.jpg", "elsewhere/whole")
    assert ask(port, "PUT", kept, headers, whole).status == 200
    stored_object = open_to_pages.client("s3").get_object(Bucket=open_to_pages.uploads_bucket, Key="elsewhere/whole")
    assert stored_object["Body"].read() == b"0123456789"
