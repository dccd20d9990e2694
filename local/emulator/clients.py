"""boto3 clients for the local endpoint; they never use a profile and never call AWS."""

import os
from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config

DUMMY_KEY = "local"

USER_AGENT = "local"
"""The name of a client. boto3 would compose one of twenty parts anew for each call, which takes longer than signing."""

# Loopback has no transient errors, so few retries suffice.
_CONFIG = Config(user_agent=USER_AGENT, retries={"mode": "standard", "total_max_attempts": 2})


class Clients:
    """Creates and caches a client per service; all share a session, because loading service models is slow.

    Args:
        endpoint_url: The local endpoint.
        region: The region of the stack.
        send: Answers the requests in this process, as a handler of `before-send`; without it, they need a connection.
    """

    def __init__(self, endpoint_url: str, region: str, send: Callable[..., Any] | None = None) -> None:
        self.endpoint_url = endpoint_url
        self.region = region
        self._session = boto3.Session(aws_access_key_id=DUMMY_KEY, aws_secret_access_key=DUMMY_KEY, region_name=region)
        if send:
            self._session.events.register("before-send", send)
        self._clients: dict[tuple[str, str], Any] = {}

    def __call__(self, service: str, access_key: str = DUMMY_KEY) -> Any:
        """Return the client of a service; the access key of a role makes calls with its permissions."""
        if (service, access_key) not in self._clients:
            self._clients[service, access_key] = self.create(service, access_key, _CONFIG)
        return self._clients[service, access_key]

    def create(self, service: str, access_key: str, config: Config) -> Any:
        """Return a new client with its own configuration."""
        return self._session.client(  # type: ignore[call-overload]
            service,
            endpoint_url=self.endpoint_url,
            config=config,
            aws_access_key_id=access_key,
            aws_secret_access_key=DUMMY_KEY,
        )

    def close(self) -> None:
        """Close every connection."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()


def variables(endpoint_url: str, region: str) -> dict[str, str]:
    """Return the environment variables that direct the AWS CLI, SDKs and functions to the local endpoint."""
    return {
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_ACCESS_KEY_ID": DUMMY_KEY,
        "AWS_SECRET_ACCESS_KEY": DUMMY_KEY,
        "AWS_DEFAULT_REGION": region,
    }


def environment(endpoint_url: str, region: str) -> dict[str, str]:
    """Return the environment of this process for another program, with the local endpoint instead of an AWS account."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return inherited | variables(endpoint_url, region)
