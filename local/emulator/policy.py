"""Evaluate policies: the part of the IAM policy language that the local run needs.

Everything that is not supported is an error and never ignored, because a partially evaluated policy would allow or deny
other requests than AWS does. The rules are those of
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Any

_ELEMENTS = {"Sid", "Effect", "Principal", "Action", "Resource", "NotResource", "Condition"}


class PolicyError(Exception):
    """A policy uses something that is not supported here; the message says what."""


class Decision(Enum):
    """The result of evaluating policies, in the terms of AWS."""

    ALLOWED = "allowed"
    IMPLICITLY_DENIED = "implicitDeny"
    EXPLICITLY_DENIED = "explicitDeny"


@dataclass(frozen=True)
class Request:
    """A permission that a call needs: action, resource and context."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)
    """Condition keys in lower case."""


@dataclass(frozen=True)
class Condition:
    """A condition on one key, which any of the values meets."""

    operator: str
    key: str
    values: tuple[str, ...]

    def holds(self, context: Mapping[str, str]) -> bool:
        """Return whether the context of a request meets the condition; a missing key never does."""
        present = context.get(self.key)
        return present is not None and any(_OPERATORS[self.operator](value, present) for value in self.values)


@dataclass(frozen=True)
class Statement:
    """One statement of a policy."""

    allows: bool
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    """`*` if the statement has `NotResource`."""
    exceptions: tuple[str, ...] = ()
    """The values of `NotResource`."""
    conditions: tuple[Condition, ...] = ()
    principals: tuple[str, ...] | None = None
    """The principals in the policy of a resource; None in the policy of a role."""

    def applies(self, request: Request, principal: str = "") -> bool:
        """Return whether the statement applies to a request of a principal."""
        return (
            (self.principals is None or any(name in ("*", principal) for name in self.principals))
            and any(_like(action.lower(), request.action.lower()) for action in self.actions)
            and any(_arn_like(resource, request.resource) for resource in self.resources)
            and not any(_arn_like(resource, request.resource) for resource in self.exceptions)
            and all(condition.holds(request.context) for condition in self.conditions)
        )


def decide(statements: Iterable[Statement], request: Request, principal: str = "") -> Decision:
    """Evaluate a request: an explicit deny wins, and a request that no statement allows is denied."""
    effects = {statement.allows for statement in statements if statement.applies(request, principal)}
    if False in effects:
        return Decision.EXPLICITLY_DENIED
    return Decision.ALLOWED if effects else Decision.IMPLICITLY_DENIED


def parse(statements: Any, known_keys: Collection[str]) -> tuple[Statement, ...]:
    """Parse the `Statement` of a policy document whose intrinsic functions are resolved.

    Args:
        statements: One statement or a list of them.
        known_keys: The condition keys of requests, in lower case. A condition on another key would never be true
            without anyone noticing.

    Raises:
        PolicyError: A statement uses something that is not supported here.
    """
    return tuple(_statement(body, known_keys) for body in _list(statements))


def _statement(body: Mapping[str, Any], known_keys: Collection[str]) -> Statement:
    if unknown := sorted(body.keys() - _ELEMENTS):
        raise PolicyError(f"{', '.join(unknown)} in a policy statement is not supported by emulator/policy.py.")
    if body.get("Effect") not in ("Allow", "Deny"):
        raise PolicyError(f"Effect must be Allow or Deny, not {body.get('Effect')!r}.")
    actions = tuple(_list(body.get("Action", [])))
    exceptions = tuple(_list(body.get("NotResource", [])))
    if "Resource" in body and "NotResource" in body:
        raise PolicyError("A policy statement must have either Resource or NotResource.")
    resources = tuple(_list(body.get("Resource", "*" if exceptions else [])))
    for action in actions:
        if not re.fullmatch(r"\*|[\w-]+:[\w*?]+", action):
            raise PolicyError(f"{action!r} is not an action, which has the form service:Name.")
    for resource in (*resources, *exceptions):
        if resource != "*" and (not resource.startswith("arn:") or resource.count(":") < 5):
            raise PolicyError(f"{resource!r} is not a resource, which is an ARN or *.")
        if "${" in resource:
            raise PolicyError(f"Policy variables, as in {resource!r}, are not supported by emulator/policy.py.")
    if not actions or not resources:
        raise PolicyError("A policy statement must have Action, and Resource or NotResource.")
    return Statement(
        allows=body["Effect"] == "Allow",
        actions=actions,
        resources=resources,
        exceptions=exceptions,
        conditions=tuple(_conditions(body.get("Condition", {}), known_keys)),
        principals=_principals(body["Principal"]) if "Principal" in body else None,
    )


def _conditions(block: Mapping[str, Mapping[str, Any]], known_keys: Collection[str]) -> Iterable[Condition]:
    for operator, keys in block.items():
        if operator not in _OPERATORS:
            raise PolicyError(f"The condition operator {operator} is not supported by emulator/policy.py.")
        for key, values in keys.items():
            if key.lower() not in known_keys:
                raise PolicyError(f"The condition key {key} is not supported by emulator/actions.py.")
            yield Condition(operator, key.lower(), tuple(_text(value) for value in _list(values)))


def _principals(principal: Any) -> tuple[str, ...]:
    if principal == "*":
        return ("*",)
    if unknown := sorted(principal.keys() - {"AWS", "Service"}):
        raise PolicyError(f"Principals by {', '.join(unknown)} are not supported by emulator/policy.py.")
    return tuple(name for names in principal.values() for name in _list(names))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _text(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if "${" in text:
        raise PolicyError(f"Policy variables, as in {text!r}, are not supported by emulator/policy.py.")
    return text


@lru_cache(maxsize=8192)
def _like(pattern: str, text: str) -> bool:
    """Match a pattern in which `*` matches any text and `?` one character."""
    return _expression(pattern).fullmatch(text) is not None


@lru_cache(maxsize=1024)
def _expression(pattern: str) -> re.Pattern[str]:
    return re.compile(
        "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern), re.DOTALL
    )


def _arn_like(pattern: str, arn: str) -> bool:
    """Match the six parts of an ARN separately, so that a wildcard does not cross a colon."""
    if pattern == "*":
        return True
    pattern_parts = pattern.split(":", 5)
    arn_parts = arn.split(":", 5)
    return len(pattern_parts) == len(arn_parts) and all(map(_like, pattern_parts, arn_parts))


_OPERATORS: Mapping[str, Callable[[str, str], bool]] = {
    "Bool": lambda value, present: value.lower() == present.lower(),
    "StringEquals": lambda value, present: value == present,
    "StringLike": _like,
    "ArnEquals": _arn_like,  # AWS treats the two alike
    "ArnLike": _arn_like,
}
