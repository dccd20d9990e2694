"""Whether the quotas of the account allow what the parameters of the stack ask for.

The need at a `BatchConcurrency` is what the simulation in `bench/batch` has measured; `figures/batch.json` has it.
"""

from collections.abc import Mapping
from typing import Any

from image_pipeline.settings import WorkflowType
from image_pipeline_cli import prices
from image_pipeline_cli.checks import Check, CheckFailedError, NotCheckedError
from image_pipeline_cli.stack import Stack

_UNRESERVED = 100  # https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
_LIST_QUOTAS = ("servicequotas:ListServiceQuotas", "servicequotas:ListAWSDefaultServiceQuotas")
_NOT_LOCAL = "The local run has no quotas."


def lambda_concurrency(stack: Stack) -> str:
    """Check that functions can run as often at once as a batch needs, and that the reservation is the parameter's."""
    if stack.local:
        raise NotCheckedError(_NOT_LOCAL)
    functions = stack.client("lambda")
    limits = functions.get_account_settings()["AccountLimit"]
    total = limits["ConcurrentExecutions"]
    unreserved = limits["UnreservedConcurrentExecutions"]
    maximum = int(stack.parameters.get("MaxConcurrency", 0))
    name = stack.resources("AWS::Lambda::Function").get("GenerateThumbnailsFunction", "")
    reserved = functions.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions", 0)
    if reserved != maximum:
        raise CheckFailedError(
            f"{reserved or 'None'} are reserved for GenerateThumbnails, but MaxConcurrency is {maximum}.",
            "The reservation was changed by hand: deploy again.",
        )
    need = _peak(stack)["mostFunctions"]
    if unreserved < need:
        raise CheckFailedError(
            f"{unreserved} of {total} concurrent executions are not reserved; a batch uses up to {need}.",
            f"Ask AWS for {need + maximum + _UNRESERVED} or more concurrent executions, or lower BatchConcurrency.",
        )
    return f"{unreserved} of {total} concurrent executions are not reserved; a batch uses up to {need}."


def detect_labels(stack: Stack) -> str:
    """Check that Rekognition accepts as many images as a batch sends."""
    if stack.parameters.get("Labels") == "OFF":
        return "Labels is OFF: Rekognition is not called."
    return _check_rate(stack, "rekognition", ("DetectLabels",), _peak(stack)["picturesPerSecond"], "DetectLabels calls")


def state_transitions(stack: Stack) -> str:
    """Check that Step Functions accepts as many state transitions as a batch makes."""
    if stack.workflow is WorkflowType.EXPRESS:
        return "Express executions have no limit of state transitions."
    need = _peak(stack)["picturesPerSecond"] * prices.states_per_image()
    return _check_rate(stack, "states", ("StateTransition", "refill rate"), need, "state transitions")


def _check_rate(stack: Stack, service: str, words: tuple[str, ...], need: float, operations: str) -> str:
    if stack.local:
        raise NotCheckedError(_NOT_LOCAL)
    rate = _quota(stack, service, words)
    if rate < need:
        raise CheckFailedError(
            f"The account may make {rate:,.0f} {operations} per second; a batch makes up to {need:,.0f}.",
            f"Ask AWS for more {operations}, or lower BatchConcurrency; until then, images wait longer.",
        )
    return f"The account may make {rate:,.0f} {operations} per second; a batch makes up to {need:,.0f}."


def _quota(stack: Stack, service: str, words: tuple[str, ...]) -> float:
    """Return the smallest quota whose name contains all words. Some quotas are listed only by their default."""
    client = stack.client("service-quotas")
    for operation in ("list_service_quotas", "list_aws_default_service_quotas"):
        values = [
            float(quota["Value"])
            for page in client.get_paginator(operation).paginate(ServiceCode=service)
            for quota in page["Quotas"]
            if all(word.lower() in quota["QuotaName"].lower() for word in words)
        ]
        if values:
            return min(values)
    raise NotCheckedError(f"Service Quotas lists no quota of {service} named {' … '.join(words)}.")


def _peak(stack: Stack) -> Mapping[str, Any]:
    return prices.peak(int(stack.outputs["BatchConcurrency"]))


CHECKS: tuple[Check[Stack], ...] = (
    Check("Lambda concurrency", lambda_concurrency, ("lambda:GetAccountSettings", "lambda:GetFunctionConcurrency")),
    Check("Rekognition quota", detect_labels, _LIST_QUOTAS),
    Check("state transitions", state_transitions, _LIST_QUOTAS),
)
