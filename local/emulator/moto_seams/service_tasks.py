"""Seams in two kinds of tasks of moto's Step Functions engine: SDK integrations, and starting another execution.

The names are those of https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html.
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
    """Replace what moto names differently from AWS.

    Raises:
        RuntimeError: moto no longer has what is replaced.
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
    of_failure, of_exception = StateTaskServiceAwsSdk._from_error, StateTaskServiceAwsSdk._normalise_exception_name

    def failure(self: Any, env: Any, ex: Exception) -> Any:
        if isinstance(ex, ClientError):  # botocore reads no id from a 5xx without a body, as HEAD's are
            ex.response["ResponseMetadata"].setdefault("RequestId", "")
        return of_failure(self, env, ex)

    def exception_name(norm_service_name: str, ex: Any) -> str:
        head = isinstance(ex, ClientError) and ex.operation_name == "HeadObject"
        if head and ex.response["Error"]["Code"] == "404":  # AWS's SDK for Java has a class for it, botocore none
            return "S3.NoSuchKeyException"
        return of_exception(norm_service_name, ex)

    StateTaskServiceAwsSdk._from_error = failure  # type: ignore[method-assign]
    StateTaskServiceAwsSdk._normalise_exception_name = staticmethod(exception_name)  # type: ignore[method-assign]
    state_task_service_aws_sdk._SERVICE_ERROR_NAMES["s3"] = "S3"


def _correct_step_functions() -> None:
    of_failure, of_parameters = StateTaskServiceSfn._from_error, StateTaskServiceSfn._normalise_parameters

    def failure(self: Any, env: Any, ex: Exception) -> Any:
        if isinstance(ex, ClientError):  # moto adds "Exception" to every code, also to one that ends with it
            ex.response["Error"]["Code"] = ex.response["Error"]["Code"].removesuffix("Exception")
        return of_failure(self, env, ex)

    def parameters_as_boto_names_them(self: Any, parameters: dict[str, Any], *rest: Any) -> None:
        of_parameters(self, parameters, *rest)
        for name in list(parameters):  # a workflow writes StateMachineArn, the API itself has stateMachineArn
            parameters[name[0].lower() + name[1:]] = parameters.pop(name)

    StateTaskServiceSfn._from_error = failure  # type: ignore[method-assign]
    StateTaskServiceSfn._normalise_parameters = parameters_as_boto_names_them  # type: ignore[method-assign, assignment]
