"""emulator/policy.py: each supported feature, and an error for every other one."""

from __future__ import annotations

from typing import Any

import pytest

from local.emulator.policy import Decision, PolicyError, Request, decide, parse

OBJECT = "arn:aws:s3:::bucket/uploads/x.jpg"
KEYS = {"aws:securetransport", "s3:prefix", "aws:sourcearn"}


def statement(
    effect: str = "Allow", action: Any = "s3:GetObject", resource: Any = OBJECT, **more: Any
) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def verdict(*statements: dict[str, Any], action="s3:GetObject", resource=OBJECT, context=None, principal="me"):
    return decide(parse(list(statements), KEYS), Request(action, resource, context or {}), principal)


def test_a_call_without_permission_is_denied():
    """Statements deny a call that none of them allows; an empty list denies every call."""
    assert verdict() is Decision.IMPLICITLY_DENIED
    assert verdict(statement(action="s3:PutObject")) is Decision.IMPLICITLY_DENIED
    assert verdict(statement(resource="arn:aws:s3:::bucket/other")) is Decision.IMPLICITLY_DENIED


def test_allowed_calls_succeed():
    """One statement with several actions and resources is enough; it need not be in a list."""
    assert verdict(statement()) is Decision.ALLOWED
    assert verdict(statement(action="s3:PutObject"), statement()) is Decision.ALLOWED
    assert (
        verdict(statement(action=["s3:A", "s3:GetObject"], resource=["arn:aws:s3:::b/*", OBJECT])) is Decision.ALLOWED
    )
    assert decide(parse(statement(), KEYS), Request("s3:GetObject", OBJECT)) is Decision.ALLOWED


@pytest.mark.parametrize("order", [1, -1])
def test_an_explicit_deny_overrides_every_allow(order):
    """The order does not matter."""
    both = [statement(), statement("Deny", "s3:*", "*")][::order]
    assert verdict(*both) is Decision.EXPLICITLY_DENIED


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("s3:GetObject", True),
        ("S3:getobject", True),
        ("s3:Get*", True),
        ("s3:*", True),
        ("*", True),
        ("s3:GetObjec?", True),
        ("s3:GetObject?", False),
        ("s3:GetObjectVersion", False),
        ("s3:Get", False),
        ("dynamodb:*", False),
    ],
)
def test_actions_match_with_wildcards_in_any_case(pattern, matches):
    """`*` matches any text, `?` one character."""
    assert (verdict(statement(action=pattern)) is Decision.ALLOWED) == matches


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        (OBJECT, True),
        ("*", True),
        ("arn:aws:s3:::bucket/*", True),
        ("arn:aws:s3:::bucket/uploads/?.jpg", True),
        ("arn:aws:s3:::*", True),
        ("arn:*:s3:::bucket/uploads/*", True),
        ("arn:aws:s3:::bucket/Uploads/*", False),
        ("arn:aws:s3:::bucket", False),
        ("arn:aws:s3:::bucket/thumbnails/*", False),
        ("arn:aws:s3:*:x:bucket/*", False),
        ("arn:aws:s3:::bucket/uploads/x[.]jpg", False),
    ],
)
def test_resources_match_segment_by_segment(pattern, matches):
    """A wildcard does not cross segments of an ARN; matching is case-sensitive."""
    assert (verdict(statement(resource=pattern)) is Decision.ALLOWED) == matches


@pytest.mark.parametrize(
    ("exceptions", "denied"),
    [
        (OBJECT, False),
        ("arn:aws:s3:::bucket/*", False),
        (["arn:aws:s3:::other/*", OBJECT], False),
        ("arn:aws:s3:::other/*", True),
        (["arn:aws:s3:::other/*", "arn:aws:s3:::bucket/*/y"], True),
    ],
)
def test_not_resource_excludes_resources(exceptions, denied):
    """`NotResource` matches all resources except these."""
    all_but = {"Effect": "Deny", "Action": "s3:*", "NotResource": exceptions}
    assert verdict(statement(), all_but) is (Decision.EXPLICITLY_DENIED if denied else Decision.ALLOWED)
    assert verdict({**all_but, "Effect": "Allow"}) is (Decision.ALLOWED if denied else Decision.IMPLICITLY_DENIED)


def test_a_wildcard_matches_any_key():
    """A wildcard matches colons, slashes and line breaks."""
    for key in ("a:b", "a/b/c", "a\nb", "ü 🦊", ""):
        assert verdict(statement(resource="arn:aws:s3:::b/*"), resource=f"arn:aws:s3:::b/{key}") is Decision.ALLOWED


@pytest.mark.parametrize(
    ("operator", "key", "values", "context", "holds"),
    [
        ("Bool", "aws:SecureTransport", "false", {"aws:securetransport": "true"}, False),
        ("Bool", "aws:SecureTransport", False, {"aws:securetransport": "false"}, True),
        ("Bool", "aws:SecureTransport", "false", {}, False),
        ("StringEquals", "s3:prefix", "uploads/", {"s3:prefix": "uploads/"}, True),
        ("StringEquals", "s3:prefix", ["a", "b"], {"s3:prefix": "b"}, True),
        ("StringEquals", "s3:prefix", "uploads/*", {"s3:prefix": "uploads/x"}, False),
        ("StringLike", "S3:Prefix", "uploads/*", {"s3:prefix": "uploads/x"}, True),
        ("StringLike", "s3:prefix", "uploads/*", {"s3:prefix": "other/x"}, False),
        ("StringLike", "s3:prefix", "*", {}, False),
        ("ArnLike", "aws:SourceArn", "arn:aws:events:*:1:rule/*", {"aws:sourcearn": "arn:aws:events:x:1:rule/r"}, True),
        ("ArnEquals", "aws:SourceArn", "arn:aws:sns:x:1:*", {"aws:sourcearn": "arn:aws:sns:x:1:t"}, True),
        ("ArnEquals", "aws:SourceArn", "arn:aws:sns:*", {"aws:sourcearn": "arn:aws:sns:x:1:t"}, False),
    ],
)
def test_conditions(operator, key, values, context, holds):
    """Each operator has its rule; one of the values must match; a missing key never matches."""
    judged = verdict(statement(Condition={operator: {key: values}}), context=context)
    assert (judged is Decision.ALLOWED) == holds


def test_all_conditions_must_hold():
    """Operators and keys form a conjunction."""
    condition = {"Bool": {"aws:SecureTransport": "true"}, "StringLike": {"s3:prefix": "a/*"}}
    allowed = {"aws:securetransport": "true", "s3:prefix": "a/b"}
    assert verdict(statement(Condition=condition), context=allowed) is Decision.ALLOWED
    assert verdict(statement(Condition=condition), context=allowed | {"s3:prefix": "b"}) is Decision.IMPLICITLY_DENIED


@pytest.mark.parametrize(
    ("principal", "meant"),
    [("*", True), ({"AWS": "*"}, True), ({"AWS": ["you", "me"]}, True), ({"Service": "sns.amazonaws.com"}, False)],
)
def test_a_resource_policy_names_its_principals(principal, meant):
    """A principal is an ARN or `*`."""
    assert (verdict(statement(Principal=principal)) is Decision.ALLOWED) == meant


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"}, "NotAction"),
        (statement(NotResource="*"), "either Resource or NotResource"),
        ({"Effect": "Deny", "Action": "s3:*", "NotResource": []}, "Action, and Resource or NotResource"),
        ({"Effect": "Deny", "Action": "s3:*", "NotResource": "bucket"}, "'bucket'"),
        ({"Effect": "Deny", "Action": "s3:*", "NotResource": "arn:aws:s3:::b/${aws:username}"}, "Policy variables"),
        (statement(NotPrincipal="*"), "NotPrincipal"),
        (statement("allow"), "Effect must be"),
        (statement(action="GetObject"), "'GetObject'"),
        (statement(action=[]), "Action"),
        (statement(resource="bucket"), "'bucket'"),
        (statement(resource="arn:aws:s3"), "'arn:aws:s3'"),
        (statement(resource="arn:aws:s3:::b/${aws:username}"), "Policy variables"),
        (statement(Condition={"StringEquals": {"s3:prefix": "${aws:username}"}}), "Policy variables"),
        (statement(Condition={"NumericLessThan": {"s3:prefix": "1"}}), "NumericLessThan"),
        (statement(Condition={"StringLikeIfExists": {"s3:prefix": "1"}}), "StringLikeIfExists"),
        (statement(Condition={"StringEquals": {"aws:UserId": "x"}}), "aws:UserId"),
        (statement(Principal={"Federated": "x"}), "Federated"),
    ],
)
def test_unsupported_features_are_an_error(body, words):
    """A partially evaluated policy would differ from AWS."""
    with pytest.raises(PolicyError, match=words):
        parse(body, KEYS)
