"""The part of IAM's policy language that this needs: what a policy says of a request.

Pure. Whatever it does not know is an error, never ignored: a policy that is half understood would allow or deny
something else than AWS. The rules are those of
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Any

_KNOWN = {"Sid", "Effect", "Principal", "Action", "Resource", "NotResource", "Condition"}


class PolicyError(Exception):
    """A policy uses something that is not known here; the message says what."""


class Verdict(Enum):
    """What policies say of a request, in AWS's words."""

    ALLOWED = "allowed"
    IMPLICITLY_DENIED = "implicitDeny"
    EXPLICITLY_DENIED = "explicitDeny"


@dataclass(frozen=True)
class Request:
    """One permission that a call needs: the action, on what, under which circumstances."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)
    """Condition keys in lower case."""


@dataclass(frozen=True)
class Condition:
    """One key of one operator: any of the values will do."""

    operator: str
    key: str
    values: tuple[str, ...]

    def holds(self, context: Mapping[str, str]) -> bool:
        """Whether the request's context meets it; a key that the request does not have never does."""
        present = context.get(self.key)
        return present is not None and any(_OPERATORS[self.operator](value, present) for value in self.values)


@dataclass(frozen=True)
class Statement:
    """One statement of a policy."""

    allows: bool
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    """Of `NotResource`: any."""
    exceptions: tuple[str, ...] = ()
    """Of `NotResource`: these are not meant."""
    conditions: tuple[Condition, ...] = ()
    principals: tuple[str, ...] | None = None
    """Of a resource's policy: who is meant. A role's policy means the role."""

    def applies(self, request: Request, principal: str = "") -> bool:
        """Whether it speaks of this request, made by this principal's ARN."""
        return (
            (self.principals is None or any(each in ("*", principal) for each in self.principals))
            and any(_like(action.lower(), request.action.lower()) for action in self.actions)
            and any(_arn_like(resource, request.resource) for resource in self.resources)
            and not any(_arn_like(resource, request.resource) for resource in self.exceptions)
            and all(condition.holds(request.context) for condition in self.conditions)
        )


def decide(statements: Iterable[Statement], request: Request, principal: str = "") -> Verdict:
    """Judge a request: one Deny outweighs everything, and what nothing allows is denied."""
    effects = {statement.allows for statement in statements if statement.applies(request, principal)}
    if False in effects:
        return Verdict.EXPLICITLY_DENIED
    return Verdict.ALLOWED if effects else Verdict.IMPLICITLY_DENIED


def parse(statements: Any, known_keys: Collection[str]) -> tuple[Statement, ...]:
    """Read the `Statement` of a policy document, resolved.

    Args:
        statements: One statement or a list of them.
        known_keys: The condition keys that requests come with, in lower case. A condition on another one would
            never hold, and nobody would notice.

    Raises:
        PolicyError: There is something that is not known here.
    """
    return tuple(_statement(body, known_keys) for body in _list(statements))


def _statement(body: Mapping[str, Any], known_keys: Collection[str]) -> Statement:
    if unknown := sorted(body.keys() - _KNOWN):
        raise PolicyError(f"{', '.join(unknown)} in a policy statement is not known to emulator/policy.py.")
    if body.get("Effect") not in ("Allow", "Deny"):
        raise PolicyError(f"Effect must be Allow or Deny, not {body.get('Effect')!r}.")
    actions, exceptions = tuple(_list(body.get("Action", []))), tuple(_list(body.get("NotResource", [])))
    if "Resource" in body and "NotResource" in body:
        raise PolicyError("A policy statement has either Resource or NotResource.")
    resources = tuple(_list(body.get("Resource", "*" if exceptions else [])))
    for action in actions:
        if not re.fullmatch(r"\*|[\w-]+:[\w*?]+", action):
            raise PolicyError(f"{action!r} is no action: service:Name is one.")
    for resource in (*resources, *exceptions):
        if resource != "*" and (not resource.startswith("arn:") or resource.count(":") < 5):
            raise PolicyError(f"{resource!r} is no resource: an ARN or * is one.")
        if "${" in resource:
            raise PolicyError(f"Policy variables, as in {resource!r}, are not known to emulator/policy.py.")
    if not actions or not resources:
        raise PolicyError("A policy statement needs Action, and Resource or NotResource.")
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
            raise PolicyError(f"The condition operator {operator} is not known to emulator/policy.py.")
        for key, values in keys.items():
            if key.lower() not in known_keys:
                raise PolicyError(f"The condition key {key} is not known to emulator/actions.py.")
            yield Condition(operator, key.lower(), tuple(_text(value) for value in _list(values)))


def _principals(principal: Any) -> tuple[str, ...]:
    if principal == "*":
        return ("*",)
    if unknown := sorted(principal.keys() - {"AWS", "Service"}):
        raise PolicyError(f"Principals by {', '.join(unknown)} are not known to emulator/policy.py.")
    return tuple(name for names in principal.values() for name in _list(names))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _text(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if "${" in text:
        raise PolicyError(f"Policy variables, as in {text!r}, are not known to emulator/policy.py.")
    return text


def _like(pattern: str, text: str) -> bool:
    """Match with `*` for any text and `?` for one character."""
    return _expression(pattern).fullmatch(text) is not None


@lru_cache(maxsize=1024)
def _expression(pattern: str) -> re.Pattern[str]:
    return re.compile("".join({"*": ".*", "?": "."}.get(each, re.escape(each)) for each in pattern), re.DOTALL)


def _arn_like(pattern: str, arn: str) -> bool:
    """Match part by part, so that a wildcard stays within one of an ARN's six parts."""
    if pattern == "*":
        return True
    parts, others = pattern.split(":", 5), arn.split(":", 5)
    return len(parts) == len(others) and all(map(_like, parts, others))


_OPERATORS: Mapping[str, Callable[[str, str], bool]] = {
    "Bool": lambda value, present: value.lower() == present.lower(),
    "StringEquals": lambda value, present: value == present,
    "StringLike": _like,
    "ArnEquals": _arn_like,  # AWS treats the two alike
    "ArnLike": _arn_like,
}
