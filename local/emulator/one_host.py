"""Lead browsers to one host name of loopback.

CORS settings and policies of the stack name one origin of the API, as on AWS. A page that is opened as `localhost`
could not upload, and would not share its storage with `127.0.0.1`.
"""

from collections.abc import Iterable

from local.emulator.wsgi import Application, Environ, StartResponse

_HOST = "127.0.0.1"


class OneHost:
    """A WSGI application that redirects browsers from other names; other programs may use any name.

    Args:
        application: Answers all other requests.
        port: The port of the server.
    """

    def __init__(self, application: Application, port: int) -> None:
        self._application = application
        self._host = f"{_HOST}:{port}"

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request. A browser keeps the fragment of the address, which may contain a key."""
        opens_page = environ["REQUEST_METHOD"] == "GET" and "text/html" in environ.get("HTTP_ACCEPT", "")
        if not opens_page or environ["HTTP_HOST"] in (self._host, _HOST):
            return self._application(environ, start_response)
        location = f"http://{self._host}{environ['RAW_URI']}"
        start_response(
            "307 Temporary Redirect", [("Location", location), ("Content-Length", "0"), ("Cache-Control", "no-store")]
        )
        return []
