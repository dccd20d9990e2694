"""Send HTTP requests: to the API with or without a key, and to the URLs that it signs."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPMessage, HTTPResponse
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from image_pipeline_cli.checks import CheckFailedError

_SECONDS = 60  # API Gateway answers within 30


@dataclass(frozen=True)
class Answer:
    """The answer to a request."""

    status: int
    headers: Mapping[str, str]
    """By name in lower case."""
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body as a JSON object; an empty object if the body is something else."""
        try:
            document = json.loads(self.body)
        except ValueError:
            return {}
        return document if isinstance(document, dict) else {}


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        """Return the redirect itself as the answer."""


_OPENER = build_opener(_NoRedirects)


def send(method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Answer:
    """Send a request and return the answer, whatever its status is.

    Raises:
        CheckFailedError: There is no answer.
    """
    request = Request(url, data=body, headers=dict(headers or {}), method=method)  # noqa: S310 (URLs of the stack)
    try:
        with _OPENER.open(request, timeout=_SECONDS) as response:
            return _answer(response)
    except HTTPError as error:
        with error:
            return _answer(error)
    except (URLError, OSError) as error:
        raise CheckFailedError(
            f"{method} {url.partition('?')[0]} has no answer: {error}.", "Check the network."
        ) from error


def form(fields: Mapping[str, str], file_name: str, data: bytes) -> tuple[bytes, str]:
    """Return the body and the content type of a form with one file, which comes last."""
    boundary = uuid.uuid4().hex
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{file_name}"\r\n\r\n'.encode()
    return b"".join(
        [*parts, head, data, f"\r\n--{boundary}--\r\n".encode()]
    ), f"multipart/form-data; boundary={boundary}"


def _answer(response: HTTPResponse | HTTPError) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status or 0, headers, response.read())
