"""Enforce the policies of roles on their calls.

Every role has its own access key. Functions, the workflow engine and rules sign with the key of their role, and each of
their calls is checked. Signatures are not checked, and calls with any other key, such as that of the user, are allowed.
"""

import hashlib
import logging
import threading
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from local.emulator import actions, policy
from local.emulator.template import ACCOUNT_ID
from local.emulator.wsgi import Environ

_LOG = logging.getLogger(__name__)
_MAX_CALLS = 10_000

# Managed policies that SAM adds to roles for logs and tracing.
_LOGS = {
    "Sid": "AWSLambdaBasicExecutionRole",
    "Effect": "Allow",
    "Action": ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
    "Resource": "*",
}
_TRACES = {
    "Sid": "AWSXRayDaemonWriteAccess",
    "Effect": "Allow",
    "Action": [
        "xray:PutTraceSegments",
        "xray:PutTelemetryRecords",
        "xray:GetSamplingRules",
        "xray:GetSamplingTargets",
        "xray:GetSamplingStatisticSummaries",
    ],
    "Resource": "*",
}
MANAGED_POLICIES: Mapping[str, Mapping[str, Any]] = {
    "service-role/AWSLambdaBasicExecutionRole": _LOGS,
    "AWSXRayDaemonWriteAccess": _TRACES,
    "AWSXrayWriteOnlyAccess": _TRACES,
}


@dataclass(frozen=True)
class Role:
    """A role of the template with the statements of all its policies, resolved."""

    logical_id: str
    arn: str
    statements: list[Mapping[str, Any]]


@dataclass(frozen=True)
class Call:
    """A permission that a role requested."""

    role: str
    action: str
    resource: str
    allowed: bool


@dataclass(frozen=True)
class Denial:
    """The error of a call that is not allowed."""

    service: str
    message: str

    @property
    def status(self) -> int:
        """The HTTP status that the service returns."""
        return 403 if self.service in ("s3", "sns", "sqs", "lambda") else 400

    @property
    def code(self) -> str:
        """The error code that the service returns."""
        codes = {"s3": "AccessDenied", "sns": "AuthorizationError", "sqs": "AccessDenied"}
        return codes.get(self.service, "AccessDeniedException")


def access_key(role_arn: str) -> str:
    """Return the access key of a role, in the format of a temporary key."""
    return "ASIA" + hashlib.sha256(role_arn.encode()).hexdigest()[:16].upper()


class Guard:
    """Checks calls against policies.

    Args:
        roles: The roles of the callers.
        resource_policies: The statements of the policies of resources, by the ARN of the resource.

    Raises:
        PolicyError: A policy uses something that is not supported here.
    """

    def __init__(self, roles: Iterable[Role], resource_policies: Mapping[str, list[Mapping[str, Any]]]) -> None:
        self._roles: dict[str, Role] = {}
        self._original: dict[str, tuple[policy.Statement, ...]] = {}
        self._current: dict[str, tuple[policy.Statement, ...]] = {}
        self._resource_policies: dict[str, tuple[policy.Statement, ...]] = {}
        self._calls: dict[Call, None] = {}  # an ordered set: many calls repeat
        self._lock = threading.Lock()
        self.update(roles, resource_policies)

    def update(self, roles: Iterable[Role], resource_policies: Mapping[str, list[Mapping[str, Any]]]) -> None:
        """Replace the policies. A role that is gone keeps its own: its last calls are still checked."""
        roles_by_key = {access_key(role.arn): role for role in roles}
        statements = {key: _parsed(role.statements) for key, role in roles_by_key.items()}
        self._resource_policies = {
            arn: policy.parse(statements, actions.SERVICE_CONDITION_KEYS)
            for arn, statements in resource_policies.items()
        }
        self._current |= statements
        self._original |= statements
        self._roles |= roles_by_key

    def caller(self, environ: Environ) -> Role | None:
        """Return the role that signed a request; None if its calls are not checked."""
        return self._roles.get(actions.access_key_of(environ))

    def judge(self, role: Role, environ: Environ) -> Denial | None:
        """Check a call; None if it is allowed."""
        service, _ = actions.identify(environ)
        try:
            needs = actions.needs(environ)
        except actions.UnknownCallError as error:
            _LOG.warning("%s: %s", role.logical_id, error)
            return Denial(service, str(error))
        for need in needs:
            decision = self._decide(role, need)
            if decision is not policy.Decision.ALLOWED:
                return Denial(service, _message(role, need, decision))
        return None

    def allows(self, role: Role, need: policy.Request) -> bool:
        """Return whether a role has a permission."""
        return self._decide(role, need) is policy.Decision.ALLOWED

    def admits(self, service: str, need: policy.Request) -> bool:
        """Return whether the policy of a resource allows a service, such as `events.amazonaws.com`, to use it."""
        statements = self._resource_policies.get(need.resource, ())
        return policy.decide(statements, need, service) is policy.Decision.ALLOWED

    def restrict(self, logical_id: str, statements: list[Mapping[str, Any]]) -> None:
        """Replace the policies of a role until `clear`."""
        key = next(key for key, role in self._roles.items() if role.logical_id == logical_id)
        self._current[key] = _parsed(statements)

    def clear(self) -> None:
        """Restore the policies of all roles, and remove the recorded calls."""
        self._current.update(self._original)
        with self._lock:
            self._calls.clear()

    def calls(self) -> list[dict[str, Any]]:
        """List the requested permissions, each once."""
        with self._lock:
            return [asdict(call) for call in self._calls]

    def _decide(self, role: Role, need: policy.Request) -> policy.Decision:
        statements = self._current[access_key(role.arn)]
        owner = need.resource.partition("/")[0]  # the policy of a bucket covers its objects
        # Within an account, the policy of the role or that of the resource may allow.
        decision = policy.decide([*statements, *self._resource_policies.get(owner, ())], need, role.arn)
        allowed = decision is policy.Decision.ALLOWED
        with self._lock:
            self._calls[Call(role.logical_id, need.action, need.resource, allowed)] = None
            if len(self._calls) > _MAX_CALLS:
                del self._calls[next(iter(self._calls))]
        if not allowed:
            _LOG.warning("%s may not %s on %s (%s)", role.logical_id, need.action, need.resource, decision.value)
        return decision


def _parsed(statements: list[Mapping[str, Any]]) -> tuple[policy.Statement, ...]:
    return policy.parse(statements, actions.CONDITION_KEYS)


def _message(role: Role, need: policy.Request, decision: policy.Decision) -> str:
    """Format the error as in https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html."""
    user = f"arn:aws:sts::{ACCOUNT_ID}:assumed-role/{role.arn.rpartition('/')[2]}/local"
    explicit = decision is policy.Decision.EXPLICITLY_DENIED
    reason = "with an explicit deny" if explicit else f"because no policy allows the {need.action} action"
    return f"User: {user} is not authorized to perform: {need.action} on resource: {need.resource} {reason}"
