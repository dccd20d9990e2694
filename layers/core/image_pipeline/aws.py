"""Create every AWS client, and tell transient AWS errors from permanent ones.

A function that calls AWS takes `client: Client` as its first parameter: the result of `clients` in a Lambda function,
the client factory of a profile on the command line.

Clients come from botocore: boto3 adds only conveniences that no function uses, and its import makes a start slower. In
Lambda it is the botocore of the layer, which describes only the services that functions call (`trim_botocore.py`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from image_pipeline.errors import StorageUnavailableError
from image_pipeline.startup import no_garbage_collection

with no_garbage_collection():
    from botocore.config import Config
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        ConnectionError,
        HTTPClientError,
        IncompleteReadError,
        ResponseStreamingError,
    )
    from botocore.session import Session, get_session

# The workflow makes the long retries. A client retries once and gives up before its function times out, so that the
# error names the service that does not answer. Both times are in seconds.
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
AUTHORIZER_CONFIG = CLIENT_CONFIG.merge(Config(connect_timeout=1, read_timeout=3))

# By default botocore signs URLs with the old signature and for the global endpoint. For a new bucket, that endpoint
# redirects, which invalidates the signature. In us-east-1, only the last option selects the regional endpoint, which is
# the address of the buckets in the template and in the policy of the web page.
S3_CONFIG = CLIENT_CONFIG.merge(
    Config(signature_version="s3v4", s3={"addressing_style": "virtual", "us_east_1_regional_endpoint": "regional"})
)

REKOGNITION_CONFIG = CLIENT_CONFIG.merge(Config(read_timeout=20))  # detecting labels takes longer than reading a record

_CONFIGS = {"s3": S3_CONFIG, "rekognition": REKOGNITION_CONFIG}

Client = Callable[[str], Any]
"""Returns the client of a service, by botocore's name such as `s3`."""

AwsError = (ClientError, BotoCoreError)

_NO_RESPONSE = (ConnectionError, HTTPClientError, IncompleteReadError, ResponseStreamingError)

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
    """Return the client of a service; it is created once."""
    return _session().create_client(service, config=_CONFIGS.get(service, CLIENT_CONFIG))


@cache
def authorizer_client(service: str) -> Any:
    """Return a client that gives up within 8 seconds, before API Gateway stops waiting for the authorizer."""
    return _session().create_client(service, config=AUTHORIZER_CONFIG)


@cache
def _session() -> Session:
    """Return the session of all clients; they share the descriptions of endpoints and the credentials."""
    return get_session()


def clients(*services: str, create: Client = client) -> Client:
    """Create clients, and return the function that returns them.

    A handler calls this at import, because the first invocation would otherwise wait for it.

    Args:
        services: the services that nearly every invocation calls. Clients of others are created when they are needed.
        create: creates a client.
    """
    with no_garbage_collection():
        for service in services:
            create(service)
    return create


def code_of(error: ClientError | BotoCoreError) -> str:
    """Return AWS's error code, or the class name of an error without a response."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "Unknown"))
    return type(error).__name__


def is_transient(error: ClientError | BotoCoreError) -> bool:
    """Return whether the same call may succeed later: it was throttled, AWS failed, or no response arrived."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return code_of(error) in _TRANSIENT_CODES or status >= 500
    return isinstance(error, _NO_RESPONSE)


@contextmanager
def translate_errors(service: str, hint: str = "Try again.") -> Iterator[None]:
    """Raise StorageUnavailableError for transient AWS errors; re-raise all others.

    Args:
        service: the service that is called, for the message.
        hint: what the reader of the error should do.

    Raises:
        StorageUnavailableError: AWS throttled the call, failed, or could not be reached.
    """
    try:
        yield
    except AwsError as error:
        if is_transient(error):
            raise StorageUnavailableError(f"{service} request failed: {code_of(error)}.", hint) from error
        raise
