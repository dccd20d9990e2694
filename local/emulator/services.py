"""The services of moto as WSGI applications.

The server of moto makes each service an application of Flask. Its contexts, sessions and signals take as much time as
a small call, so here a request goes to the handler of moto directly.
"""

from collections.abc import Iterable
from typing import Any

from botocore.exceptions import ClientError
from moto import backends
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.core.request import Request
from werkzeug.exceptions import HTTPException
from werkzeug.routing import BaseConverter, Map, Rule
from werkzeug.wrappers import Response

from local.emulator.wsgi import Environ, StartResponse

_METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]


class Service:
    """The WSGI application of a service.

    Args:
        name: The name of the service in moto.
    """

    def __init__(self, name: Any) -> None:
        # The paths do not depend on the region; a service without regions has its backend under the partition.
        by_region: Any = backends.get_backend(name)[DEFAULT_ACCOUNT_ID]
        backend = by_region["us-east-1" if "us-east-1" in by_region else "aws"]
        self._paths = Map(
            [
                Rule(path, endpoint=handler, methods=_METHODS, strict_slashes=False)
                for path, handler in backend.flask_paths.items()
                if path
            ],
            converters={"regex": _AnyCharacter},
        )

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        try:
            handler, _ = self._paths.bind_to_environ(environ).match()
            response = _respond(handler, _Request(environ))
        except HTTPException as error:
            return error.get_response(environ)(environ, start_response)
        return response(environ, start_response)


class _Request(Request):
    from_wsgi_server = True  # the server adds the header Date


class _Response(Response):
    default_mimetype = "text/html"  # as in Flask


class _AnyCharacter(BaseConverter):
    """A part of a path that matches a regular expression; a dot in it also matches a newline, which a key may have."""

    part_isolating = False

    def __init__(self, paths: Map, expression: str) -> None:
        super().__init__(paths)
        self.regex = f"(?s:{expression})"


def _respond(handler: Any, request: Request) -> Response:
    try:
        answer = handler(request, request.raw_url, dict(request.headers))
    except ClientError as error:
        answer = 400, {}, error.response["Error"]["Message"]
    status, headers, content = answer if len(answer) == 3 else (200, {}, answer)
    response = _Response(content, status, headers)
    if request.method == "HEAD" and "content-length" in headers:
        response.headers["Content-Length"] = headers["content-length"]
    return response
