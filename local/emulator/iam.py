"""Least privilege, executed: who calls, and whether the template's policies let them.

Every role has an access key of its own. Functions, the workflow engine and rules sign with their role's, and each of
their calls is judged. Signatures are not checked, and calls with any other key, the user's own, are not judged.
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
_REMEMBERED = 10_000

# What roles get from AWS besides what the template says: SAM adds them for logs and tracing.
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
    """A permission that a role has used, or wanted to."""

    role: str
    action: str
    resource: str
    allowed: bool


@dataclass(frozen=True)
class Denial:
    """What a role is told that may not do something."""

    service: str
    message: str

    @property
    def status(self) -> int:
        """The HTTP status with which the service says so."""
        return 403 if self.service in ("s3", "sns", "sqs", "lambda") else 400

    @property
    def code(self) -> str:
        """The code with which the service says so."""
        codes = {"s3": "AccessDenied", "sns": "AuthorizationError", "sqs": "AccessDenied"}
        return codes.get(self.service, "AccessDeniedException")


def access_key(role_arn: str) -> str:
    """Return the id of a role's access key, in the form of a temporary one."""
    return "ASIA" + hashlib.sha256(role_arn.encode()).hexdigest()[:16].upper()


class Guard:
    """Judges calls.

    Args:
        roles: All roles that call.
        resource_policies: The statements of the policies that resources have, by the resource's ARN.

    Raises:
        PolicyError: A policy uses something that is not known here.
    """

    def __init__(self, roles: Iterable[Role], resource_policies: Mapping[str, list[Mapping[str, Any]]]) -> None:
        self._roles = {access_key(role.arn): role for role in roles}
        self._given = {key: _parsed(role.statements) for key, role in self._roles.items()}
        self._held = dict(self._given)
        self._of_resources = {
            arn: policy.parse(statements, actions.SERVICE_CONDITION_KEYS)
            for arn, statements in resource_policies.items()
        }
        self._calls: dict[Call, None] = {}  # a set in order: some calls come again and again
        self._lock = threading.Lock()

    def caller(self, environ: Environ) -> Role | None:
        """Tell the role whose credentials a request carries; None when it is not to be judged."""
        return self._roles.get(actions.access_key_of(environ))

    def judge(self, role: Role, environ: Environ) -> Denial | None:
        """Judge a call; None when it is allowed."""
        service, _ = actions.identify(environ)
        try:
            needs = actions.needs(environ)
        except actions.UnknownCallError as error:
            _LOG.warning("%s: %s", role.logical_id, error)
            return Denial(service, str(error))
        for need in needs:
            verdict = self._decide(role, need)
            if verdict is not policy.Verdict.ALLOWED:
                return Denial(service, _message(role, need, verdict))
        return None

    def allows(self, role: Role, need: policy.Request) -> bool:
        """Judge one permission."""
        return self._decide(role, need) is policy.Verdict.ALLOWED

    def admits(self, service: str, need: policy.Request) -> bool:
        """Judge what a service, such as `events.amazonaws.com`, does by itself: only the resource may allow it."""
        statements = self._of_resources.get(need.resource, ())
        return policy.decide(statements, need, service) is policy.Verdict.ALLOWED

    def restrict(self, logical_id: str, statements: list[Mapping[str, Any]]) -> None:
        """Give a role other policies until `clear`."""
        key = next(key for key, role in self._roles.items() if role.logical_id == logical_id)
        self._held[key] = _parsed(statements)

    def clear(self) -> None:
        """Give every role its own policies again, and forget the calls so far."""
        self._held.update(self._given)
        with self._lock:
            self._calls.clear()

    def calls(self) -> list[dict[str, Any]]:
        """List the permissions that were asked for, each once."""
        with self._lock:
            return [asdict(call) for call in self._calls]

    def _decide(self, role: Role, need: policy.Request) -> policy.Verdict:
        statements = self._held[access_key(role.arn)]
        owner = need.resource.partition("/")[0]  # an object is under its bucket's policy
        # Within one account either side may allow.
        verdict = policy.decide([*statements, *self._of_resources.get(owner, ())], need, role.arn)
        allowed = verdict is policy.Verdict.ALLOWED
        with self._lock:
            self._calls[Call(role.logical_id, need.action, need.resource, allowed)] = None
            if len(self._calls) > _REMEMBERED:
                del self._calls[next(iter(self._calls))]
        if not allowed:
            _LOG.warning("%s may not %s on %s (%s)", role.logical_id, need.action, need.resource, verdict.value)
        return verdict


def _parsed(statements: list[Mapping[str, Any]]) -> tuple[policy.Statement, ...]:
    return policy.parse(statements, actions.CONDITION_KEYS)


def _message(role: Role, need: policy.Request, verdict: policy.Verdict) -> str:
    """Say it as https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html does."""
    user = f"arn:aws:sts::{ACCOUNT_ID}:assumed-role/{role.arn.rpartition('/')[2]}/local"
    explicit = verdict is policy.Verdict.EXPLICITLY_DENIED
    because = "with an explicit deny" if explicit else f"because no policy allows the {need.action} action"
    return f"User: {user} is not authorized to perform: {need.action} on resource: {need.resource} {because}"
