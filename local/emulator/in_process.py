"""Let clients of botocore call an application of this process directly.

A connection costs a thread, and both sides write and parse HTTP messages, which takes longer than most calls.
Everything else stays: the client signs the request, and the application answers it as it answers those of its port.
"""

import io
import sys
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import ConnectionClosedError
from moto.core.request import (
    PRESERVED_HEADER_NAMES_ENVIRON_KEY,
    environ_key_for_header,
    should_preserve_original_header_name,
)

from local.emulator.wsgi import Application, Environ, call

Send = Callable[..., AWSResponse]


def sender(application: Application) -> Send:
    """Return a handler for `before-send`, the event of botocore whose handlers may answer a request."""

    def send(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        try:
            status, headers, data = call(application, _environ(request))
        except ConnectionError as error:
            raise ConnectionClosedError(endpoint_url=request.url, error=error) from error
        body: Any = _Body(b"" if request.method == "HEAD" else data)
        fields: Any = dict(headers)
        return AWSResponse(request.url, int(status.partition(" ")[0]), fields, body)

    return send


class _Body(io.BytesIO):
    """The body of an answer, with the method of urllib3 that botocore calls."""

    def stream(self) -> Iterator[bytes]:
        yield self.read()


def _environ(request: AWSPreparedRequest) -> Environ:
    url = urlsplit(request.url)
    target = f"{url.path}?{url.query}" if url.query else url.path
    body = _bytes(request.body)
    environ: Environ = {
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": url.scheme,
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(url.path).decode("latin-1"),
        "QUERY_STRING": url.query,
        "RAW_URI": target,  # not of PEP 3333; moto reads it
        "REMOTE_ADDR": "127.0.0.1",
        "SERVER_NAME": url.hostname,
        "SERVER_PORT": str(url.port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": url.netloc,
    }
    for name, value in request.headers.items():
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        environ[environ_key_for_header(name)] = text
    kept_names = filter(should_preserve_original_header_name, request.headers)
    environ[PRESERVED_HEADER_NAMES_ENVIRON_KEY] = {environ_key_for_header(name): name for name in kept_names}
    return environ | {"CONTENT_LENGTH": str(len(body))}


def _bytes(body: Any) -> bytes:
    content = body.read() if hasattr(body, "read") else body
    return content.encode() if isinstance(content, str) else bytes(content or b"")
