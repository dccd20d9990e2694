"""Correct two kinds of tasks in the Step Functions engine of moto: SDK integrations and starting an execution.

The names of errors are those of https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html.
"""

from typing import Any

from botocore.exceptions import ClientError
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import state_task_service_aws_sdk
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_aws_sdk import (
    StateTaskServiceAwsSdk,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_sfn import (
    StateTaskServiceSfn,
)


def install() -> None:
    """Correct names that differ from those of AWS.

    Raises:
        RuntimeError: moto no longer has something that this module replaces.
    """
    for owner, name in (
        (StateTaskServiceAwsSdk, "_from_error"),
        (StateTaskServiceAwsSdk, "_normalise_exception_name"),
        (StateTaskServiceSfn, "_from_error"),
        (StateTaskServiceSfn, "_normalise_parameters"),
    ):
        if not callable(getattr(owner, name, None)):
            raise RuntimeError(f"moto moved {owner.__name__}.{name}: moto_seams/service_tasks.py must follow.")
    _correct_sdk()
    _correct_step_functions()


def _correct_sdk() -> None:
    original_failure, original_name = (
        StateTaskServiceAwsSdk._from_error,
        StateTaskServiceAwsSdk._normalise_exception_name,
    )

    def failure(self: Any, env: Any, ex: Exception) -> Any:
        if isinstance(ex, ClientError):  # botocore sets no id for a 5xx without a body, such as that of HEAD
            ex.response["ResponseMetadata"].setdefault("RequestId", "")
        return original_failure(self, env, ex)

    def exception_name(norm_service_name: str, ex: Any) -> str:
        head = isinstance(ex, ClientError) and ex.operation_name == "HeadObject"
        if head and ex.response["Error"]["Code"] == "404":  # the SDK for Java has a class for it, botocore has none
            return "S3.NoSuchKeyException"
        return original_name(norm_service_name, ex)

    StateTaskServiceAwsSdk._from_error = failure  # type: ignore[method-assign]
    StateTaskServiceAwsSdk._normalise_exception_name = staticmethod(exception_name)  # type: ignore[method-assign]
    state_task_service_aws_sdk._SERVICE_ERROR_NAMES["s3"] = "S3"


def _correct_step_functions() -> None:
    original_failure, original_parameters = StateTaskServiceSfn._from_error, StateTaskServiceSfn._normalise_parameters

    def failure(self: Any, env: Any, ex: Exception) -> Any:
        if isinstance(ex, ClientError):  # moto adds "Exception" even to codes that end with it
            ex.response["Error"]["Code"] = ex.response["Error"]["Code"].removesuffix("Exception")
        return original_failure(self, env, ex)

    def lower_camel_case_parameters(self: Any, parameters: dict[str, Any], *rest: Any) -> None:
        original_parameters(self, parameters, *rest)
        for name in list(parameters):  # a workflow has StateMachineArn, the API has stateMachineArn
            parameters[name[0].lower() + name[1:]] = parameters.pop(name)

    StateTaskServiceSfn._from_error = failure  # type: ignore[method-assign]
    StateTaskServiceSfn._normalise_parameters = lower_camel_case_parameters  # type: ignore[method-assign, assignment]
