"""How every AWS client is made, and which of its errors pass by themselves."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    HTTPClientError,
    IncompleteReadError,
    ResponseStreamingError,
)

from image_pipeline.errors import StorageUnavailableError

# The workflow does the long waiting; a client only bridges a hiccup, and gives up before its function does, so that
# the error names the service that does not answer. Seconds are for the connection and for each silence while reading.
CONNECT_SECONDS = 2
READ_SECONDS = 5
ATTEMPTS = 2
CLIENT_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
    connect_timeout=CONNECT_SECONDS,
    read_timeout=READ_SECONDS,
    tcp_keepalive=True,
)

# API Gateway waits 10 seconds for an authorizer: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
HURRIED_CONFIG = CLIENT_CONFIG.merge(Config(connect_timeout=1, read_timeout=3))

# botocore's defaults still sign URLs the old way and for the global endpoint, which answers a new bucket's URLs with a
# redirect that breaks the signature.
SIGNING_CONFIG = CLIENT_CONFIG.merge(Config(signature_version="s3v4", s3={"addressing_style": "virtual"}))

Client = Callable[[str], Any]
"""Gives the boto3 client of a service: a function's own, or that of whoever runs a command."""

AwsError = (ClientError, BotoCoreError)

_NO_ANSWER = (ConnectionError, HTTPClientError, IncompleteReadError, ResponseStreamingError)

_TRANSIENT_CODES = frozenset(
    {
        "InternalError",
        "InternalServerError",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
    }
)


@cache
def client(service: str) -> Any:
    """The client of a service, made once."""
    return boto3.client(service, config=CLIENT_CONFIG)  # type: ignore[call-overload]


@cache
def hurried_client(service: str) -> Any:
    """The client of a service that gives up within 8 seconds."""
    return boto3.client(service, config=HURRIED_CONFIG)  # type: ignore[call-overload]


@cache
def signing_client(service: str) -> Any:
    """The client of S3 that signs URLs and forms for others to use."""
    return boto3.client(service, config=SIGNING_CONFIG)  # type: ignore[call-overload]


def code_of(error: ClientError | BotoCoreError) -> str:
    """The error's name: AWS's code, or the class where no answer came."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "Unknown"))
    return type(error).__name__


def is_transient(error: ClientError | BotoCoreError) -> bool:
    """True when the same call may work later: throttled, AWS's fault, or no answer."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return code_of(error) in _TRANSIENT_CODES or status >= 500
    return isinstance(error, _NO_ANSWER)


@contextmanager
def named_errors(service: str, hint: str = "Try again.") -> Iterator[None]:
    """Give what passes by itself a name of ours; every other error goes on as it is.

    Args:
        service: whose calls are made, for the message.
        hint: what to do.

    Raises:
        StorageUnavailableError: a call was not served.
    """
    try:
        yield
    except AwsError as error:
        if is_transient(error):
            raise StorageUnavailableError(f"{service} did not serve the call: {code_of(error)}.", hint) from error
        raise
