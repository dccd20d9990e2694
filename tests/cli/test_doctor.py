"""`image-pipeline doctor`: the checks that only AWS can answer. `tests/acceptance` has the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from image_pipeline_cli import checks, prices
from image_pipeline_cli.checks import Check, Result, State
from image_pipeline_cli.doctor import health, quotas
from image_pipeline_cli.doctor.command import CHECKS
from image_pipeline_cli.stack import Stack, StackResource, find_on_aws
from tests.conftest import IMAGE_TABLE, aws_client, put_record

NEED = prices.peak(5)
OUTPUTS = {
    "AlarmTopicArn": "alarms",
    "NotificationTopicArn": "notifications",
    "BatchConcurrency": "5",
    "ProcessImageStateMachineArn": "process",
    "Version": "1.2.0",
    "Commit": "abc1234",
}
RESOURCES = [
    StackResource("GenerateThumbnailsFunction", "AWS::Lambda::Function", "generate"),
    StackResource("IndexImagesEventSourceMapping", "AWS::Lambda::EventSourceMapping", "uuid-1"),
]


class Client:
    """A client of AWS that returns prepared answers, by operation; an error is raised."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self._answers = answers

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(**_: Any) -> Any:
            answer = self._answers[operation]
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call

    def get_paginator(self, operation: str) -> Any:
        return SimpleNamespace(paginate=lambda **_: iter([getattr(self, operation)()]))


def stack_with(answers: dict[str, Any], parameters: dict[str, str] | None = None, **outputs: str) -> Stack:
    return Stack(
        {**OUTPUTS, **outputs},
        lambda _: Client(answers),
        name="pictures",
        parameters=parameters or {},
        list_resources=lambda: RESOURCES,
    )


def result(check: Callable[[Stack], str], stack: Stack) -> Result:
    (registered,) = [candidate for candidate in CHECKS if candidate.run is check]
    return checks.perform(registered, stack)


def denied(operation: str, message: str = "Access Denied") -> ClientError:
    return ClientError({"Error": {"Code": "AccessDeniedException", "Message": message}}, operation)


def subscription(arn: str, protocol: str = "email", address: str = "me@example.com") -> dict[str, str]:
    return {"SubscriptionArn": arn, "Protocol": protocol, "Endpoint": address}


NO_ALARMS = {"NotificationEmail": "me@example.com", "AlarmEmail": ""}
BOTH = {"NotificationEmail": "me@example.com", "AlarmEmail": "us@example.com"}


@pytest.mark.parametrize(
    ("subscriptions", "parameters", "state", "words"),
    [
        ([], {}, State.OK, "No mail address"),
        ([subscription("arn:1")], NO_ALARMS, State.OK, "Confirmed: me@example.com."),
        ([subscription("PendingConfirmation", "sqs")], {}, State.OK, "No mail address"),
        (
            [subscription("arn:1"), subscription("PendingConfirmation")],
            NO_ALARMS,
            State.FAILED,
            "Not confirmed: me@example.com.",
        ),
        ([], NO_ALARMS, State.FAILED, "NotificationEmail is me@example.com, but it is not subscribed."),
        ([subscription("arn:1", "sqs")], NO_ALARMS, State.FAILED, "it is not subscribed"),
        ([subscription("arn:1")], BOTH, State.FAILED, "AlarmEmail is us@example.com, but it is not subscribed."),
        (
            [subscription("arn:1"), subscription("arn:2", address="us@example.com")],
            BOTH,
            State.OK,
            "me@example.com, us@example.com.",
        ),
    ],
)
def test_mail_addresses_must_be_subscribed_and_confirmed(subscriptions, parameters, state, words):
    """Both topics are asked; subscriptions of other protocols do not count."""
    answers = {"list_subscriptions_by_topic": {"Subscriptions": subscriptions}}
    mail = result(health.mail, stack_with(answers, parameters))
    assert (mail.state, words in mail.detail) == (state, True), mail.detail


def alarm(name: str, state: str) -> dict[str, str]:
    return {"AlarmName": f"pictures-Monitoring-1ABC-{name}-XYZ", "StateValue": state}


@pytest.mark.parametrize(
    ("alarms", "state", "words"),
    [
        ([alarm("FailureRateAlarm", "OK"), alarm("LostEventsAlarm", "INSUFFICIENT_DATA")], State.OK, "None of 2"),
        (
            [alarm("FailureRateAlarm", "OK"), alarm("LostEventsAlarm", "ALARM")],
            State.FAILED,
            "Raised: LostEventsAlarm.",
        ),
        ([], State.FAILED, "no alarms"),
    ],
)
def test_raised_and_missing_alarms_are_reported(alarms, state, words):
    """A raised alarm is named like its section in the documents."""
    check_result = result(health.alarms, stack_with({"describe_alarms": {"MetricAlarms": alarms}}))
    assert (check_result.state, words in check_result.detail) == (state, True), check_result.detail


@pytest.mark.parametrize(("state", "ok"), [("Enabled", True), ("Disabled", False)])
def test_event_sources_must_be_enabled(state, ok):
    """A disabled event source lists or publishes nothing; the check names its UUID."""
    check_result = result(health.event_sources, stack_with({"get_event_source_mapping": {"State": state}}))
    assert (check_result.state is State.OK) == ok
    assert ok or "--uuid uuid-1" in check_result.advice


def lambdas(unreserved: int, reserved: int = 0, total: int = 1000) -> dict[str, Any]:
    limits = {"ConcurrentExecutions": total, "UnreservedConcurrentExecutions": unreserved}
    return {
        "get_account_settings": {"AccountLimit": limits},
        "get_function_concurrency": {"ReservedConcurrentExecutions": reserved} if reserved else {},
    }


@pytest.mark.parametrize(
    ("answers", "maximum", "state", "words"),
    [
        (lambdas(NEED["mostFunctions"]), "0", State.OK, f"a batch uses up to {NEED['mostFunctions']}"),
        (lambdas(NEED["mostFunctions"] - 1), "0", State.FAILED, "are not reserved"),
        (lambdas(10, total=10), "0", State.FAILED, "10 of 10"),
        (lambdas(900, reserved=50), "50", State.OK, "900 of 1000"),
        (
            lambdas(900, reserved=50),
            "0",
            State.FAILED,
            "50 are reserved for GenerateThumbnails, but MaxConcurrency is 0",
        ),
        (lambdas(900), "50", State.FAILED, "None are reserved for GenerateThumbnails, but MaxConcurrency is 50"),
    ],
)
def test_the_account_must_allow_the_concurrency_of_a_batch(answers, maximum, state, words):
    """The reserved concurrency must equal `MaxConcurrency`."""
    check_result = result(quotas.lambda_concurrency, stack_with(answers, {"MaxConcurrency": maximum}))
    assert (check_result.state, words in check_result.detail) == (state, True), check_result.detail


def quota(name: str, value: float) -> dict[str, Any]:
    return {"Quotas": [{"QuotaName": name, "Value": value}]}


LABELS = "Transactions per second per account for the operation DetectLabels"
TRANSITIONS = "StateTransition throttle token refill rate per second"
EMPTY: dict[str, Any] = {"Quotas": []}


@pytest.mark.parametrize(
    ("check", "name", "need"),
    [
        (quotas.detect_labels, LABELS, NEED["picturesPerSecond"]),
        (quotas.state_transitions, TRANSITIONS, NEED["picturesPerSecond"] * prices.states_per_image()),
    ],
)
def test_rates_must_allow_the_requests_of_a_batch(check, name, need):
    """The check uses the applied quota, or the default if there is none."""
    for answers, state in (
        ({"list_service_quotas": quota(name, need + 1)}, State.OK),
        ({"list_service_quotas": quota(name, need - 1)}, State.FAILED),
        ({"list_service_quotas": EMPTY, "list_aws_default_service_quotas": quota(name, need + 1)}, State.OK),
        ({"list_service_quotas": EMPTY, "list_aws_default_service_quotas": quota(name, need - 1)}, State.FAILED),
        ({"list_service_quotas": EMPTY, "list_aws_default_service_quotas": quota("Other", 1)}, State.NOT_CHECKED),
    ):
        assert result(check, stack_with(answers)).state is state, answers


def test_irrelevant_rates_are_not_requested():
    """Express executions have no transitions, and a stack without labels does not call Rekognition."""
    assert result(quotas.state_transitions, stack_with({}, WorkflowType="EXPRESS")).state is State.OK
    assert result(quotas.detect_labels, stack_with({}, {"Labels": "OFF"})).state is State.OK


@pytest.mark.parametrize(
    ("check", "operation", "permission"),
    [
        (health.event_bridge, "get_bucket_notification_configuration", "s3:GetBucketNotification"),
        (health.mail, "list_subscriptions_by_topic", "sns:ListSubscriptionsByTopic"),
        (health.alarms, "describe_alarms", "cloudwatch:DescribeAlarms"),
        (quotas.detect_labels, "list_service_quotas", "servicequotas:ListServiceQuotas"),
    ],
)
def test_a_missing_permission_is_named(check, operation, permission):
    """A check without its permission is reported as not checked, not as failed."""
    check_result = result(check, stack_with({operation: denied(operation)}, UploadsBucketName="uploads"))
    assert (check_result.state, permission in check_result.detail) == (State.NOT_CHECKED, True), check_result.detail


def test_the_permission_that_aws_names_is_reported():
    """Of several permissions, the check reports the one that AWS names."""
    message = "User: me is not authorized to perform: lambda:GetAccountSettings because no policy allows it"
    check_result = result(
        quotas.lambda_concurrency, stack_with({"get_account_settings": denied("GetAccountSettings", message)})
    )
    assert check_result.detail == "Your credentials need lambda:GetAccountSettings."


def test_other_errors_are_problems():
    """A throttled call is not a missing permission."""
    error = ClientError({"Error": {"Code": "Throttling", "Message": "Slow down."}}, "DescribeAlarms")
    assert result(health.alarms, stack_with({"describe_alarms": error})).state is State.FAILED


def test_the_deployed_version_is_reported():
    """The check is skipped for an older stack, which has no such output."""
    stack = stack_with({})
    assert result(health.version, stack).detail == "Version 1.2.0 is deployed, from commit abc1234."
    older = replace(stack, outputs={"BatchConcurrency": "5"})
    assert result(health.version, older).state is State.NOT_CHECKED


def test_records_that_stay_in_processing_are_reported(aws):
    """A record is stuck after two hours, which is also the limit of the alarm."""

    stack = Stack({"ImageTableName": IMAGE_TABLE}, aws_client)

    def claim(image_key: str, age: timedelta) -> None:
        put_record(image_key, claimShard="0", claimedAt=(datetime.now(UTC) - age).isoformat())

    claim("uploads/young.jpg", timedelta(minutes=119))
    assert result(health.stuck_records, stack).state is State.OK
    claim("uploads/old.jpg", timedelta(minutes=121))
    check_result = result(health.stuck_records, stack)
    assert check_result.state is State.FAILED
    assert "1 or more records are stuck in PROCESSING: 'uploads/old.jpg'" in check_result.detail


def test_an_unexpected_answer_fails_its_check():
    """The exception becomes the result, so the other checks still run."""

    def read(_: None) -> str:
        return str({}["renditions"])

    check_result = checks.perform(Check("x", read), None)
    assert (check_result.state, "'renditions'" in check_result.detail) == (State.FAILED, True)


def test_a_stack_on_aws_has_parameters_and_resources(aws):
    """Commands find rules and functions by their logical ids."""
    import json

    body = {
        "Parameters": {"MaxConcurrency": {"Type": "Number", "Default": 0}},
        "Resources": {"Queue": {"Type": "AWS::SQS::Queue"}, "Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {"ProcessImageStateMachineArn": {"Value": "process"}},
    }
    parameters: Any = [{"ParameterKey": "MaxConcurrency", "ParameterValue": "7"}]
    formation = aws_client("cloudformation")
    formation.create_stack(StackName="pictures", TemplateBody=json.dumps(body), Parameters=parameters)
    stack = find_on_aws("pictures", "eu-west-1")
    assert (stack.name, stack.parameters) == ("pictures", {"MaxConcurrency": "7"})
    assert stack.resources("AWS::SQS::Queue").keys() == {"Queue"}
    assert "pictures" in stack.resources("AWS::SNS::Topic")["Topic"]
