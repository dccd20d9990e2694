"""The rules of docs/architecture.md, "Faults", as a model: how many tries, and which end.

Faults have AWS's names, as a workflow sees them. Of the workflows, only the names of their Tasks are read.
"""

from dataclasses import dataclass, replace

from tests.asl import MACHINES, service_of

ALL_TASKS = [(machine.logical_id.removesuffix("StateMachine"), name) for machine in MACHINES for name in machine.tasks]
BACKFILL_TASKS = [all_task for all_task in ALL_TASKS if all_task[0] == "Backfill"]
"""Tasks of the workflow that processes many images and writes no outcome."""
TASKS = [all_task for all_task in ALL_TASKS if all_task not in BACKFILL_TASKS]
"""Tasks of the workflows that process one image each."""
SERVICES = {
    (machine.logical_id.removesuffix("StateMachine"), name): service_of(state)
    for machine in MACHINES
    for name, state in machine.tasks.items()
}
LAMBDA_TASKS = [task for task in TASKS if SERVICES[task] == "lambda"]
REPEATABLE = ("ValidateImage", "ExtractMetadata", "ReadRecord", "NotifyFailure", "CleanRenditions")
"""Tasks whose second call has no condition: they write nothing, or do the same again."""


@dataclass(frozen=True)
class Fault:
    """A fault in the call of a Task."""

    name: str
    tries: int
    """How often a Task is tried if every call has this fault."""
    errors: tuple[str, ...] = ()
    """As the workflow sees them; empty if no answer comes, which it sees as States.Timeout."""
    effective: bool = False
    """Whether the call has taken effect nevertheless."""
    typical: bool = False
    """Whether `make test` tries it also where a service is not called first."""


THROTTLED = 41  # tries: more than an hour, see test_asl.py
UNNAMED = 24  # about ten minutes
AT_FAULT = 7  # minutes
BROKEN = 2  # one crash may be an accident; a second one is not
FINAL = 1

ANSWERS = {
    "null": None,
    "nothing": {},
    "list": [{"milliseconds": 1}],
    "text": "ok",
    "page": "<!DOCTYPE html><html><body><h1>503 Service Unavailable</h1></body></html>",
    "too large": "x" * 300_000,  # Step Functions accepts 256 KiB
}
"""Invalid answers of a function, by kind."""

FAULTS = {
    "lambda": [
        Fault("throttled", THROTTLED, ("Lambda.TooManyRequestsException",)),
        Fault("its storage throttled", THROTTLED, ("StorageUnavailableError",)),
        Fault(
            "AWS at fault",
            AT_FAULT,
            (
                "Lambda.ServiceException",
                "Lambda.AWSLambdaException",
                "Lambda.SdkClientException",
                "Lambda.ClientExecutionTimeoutException",
            ),
        ),
        Fault("half updated", AT_FAULT, ("Runtime.ImportModuleError",)),
        Fault("crash", BROKEN, ("Runtime.ExitError",)),
        Fault("crash after its work", BROKEN, ("Runtime.ExitError",), effective=True, typical=True),
        Fault("out of memory", BROKEN, ("Runtime.OutOfMemory",)),
        Fault("function out of time", BROKEN, ("Sandbox.Timedout",)),
        Fault("unknown end", BROKEN, ("Lambda.Unknown",)),
        Fault("state out of time", BROKEN),
        Fault("answer lost", BROKEN, effective=True),
        Fault("denied", FINAL, ("Lambda.AccessDeniedException",)),
        Fault("bug", FINAL, ("KeyError",), typical=True),
    ],
    "dynamodb": [
        Fault(
            "throttled",
            THROTTLED,
            (
                "DynamoDB.ThrottlingException",
                "DynamoDB.ProvisionedThroughputExceededException",
                "DynamoDB.RequestLimitExceeded",
                "DynamoDB.RequestLimitExceededException",
            ),
        ),
        Fault(
            "AWS at fault",
            AT_FAULT,
            ("DynamoDB.InternalServerError", "DynamoDB.InternalServerErrorException", "DynamoDB.SdkClientException"),
        ),
        Fault("AWS at fault after its work", AT_FAULT, ("DynamoDB.InternalServerError",), effective=True, typical=True),
        Fault("named after the service", UNNAMED, ("DynamoDB.AmazonDynamoDBException",)),
        Fault("named after it, after its work", UNNAMED, ("DynamoDB.AmazonDynamoDBException",), effective=True),
        Fault("state out of time", AT_FAULT),
        Fault("answer lost", AT_FAULT, effective=True),
        Fault("denied", FINAL, ("DynamoDB.AccessDeniedException",), typical=True),
    ],
    "sns": [
        Fault("throttled", THROTTLED, ("SNS.ThrottledException", "SNS.KMSThrottlingException")),
        Fault("AWS at fault", AT_FAULT, ("SNS.InternalErrorException", "SNS.SdkClientException")),
        Fault("named after the service", UNNAMED, ("SNS.AmazonSNSException",)),
        Fault("state out of time", AT_FAULT),
        Fault("answer lost", AT_FAULT, effective=True, typical=True),
        Fault("denied", FINAL, ("SNS.AuthorizationErrorException",), typical=True),
    ],
    "s3": [
        Fault("named after the service", UNNAMED, ("S3.S3Exception",)),
        Fault("state out of time", AT_FAULT),
        Fault("answer lost", AT_FAULT, effective=True),
    ],
    "states": [
        Fault(
            "throttled",
            THROTTLED,
            (
                "StepFunctions.ThrottlingException",
                "StepFunctions.ExecutionLimitExceededException",
                "StepFunctions.KmsThrottlingException",
            ),
        ),
        Fault("named after the service", UNNAMED, ("StepFunctions.AWSStepFunctionsException",)),
        Fault("state out of time", AT_FAULT),
        Fault("answer lost", AT_FAULT, effective=True, typical=True),
        Fault("denied", FINAL, ("StepFunctions.AccessDeniedException",)),
    ],
}
DENIED = {
    "lambda": "Lambda.AccessDeniedException",
    "dynamodb": "DynamoDB.AccessDeniedException",
    "sns": "SNS.AuthorizationErrorException",
    "s3": "S3.S3Exception",
    "states": "StepFunctions.AccessDeniedException",
}
OF_LABELS = [
    Fault("labels delayed", 9, ("LabelsDelayedError",)),
    Fault("labels refused", FINAL, ("LabelsUnavailableError",)),
]


@dataclass(frozen=True)
class End:
    """The state after all executions have ended."""

    execution: str | None
    """The error of the execution; None if it succeeded."""
    record: str
    notified: tuple[str, ...] = ()
    error: tuple[str, str] | None = None
    """(code, step) of the error in the record."""
    last_failure: tuple[str, str] | None = None
    """(code, step) of the last failed attempt, which kept the image."""
    left: bool = False
    """Whether renditions remain that no record points to."""

    def by(self, error: str) -> "End":
        """Return the same end with the name of an error in place of FAULT."""
        names = {FAULT: error}

        def renamed(failure: tuple[str, str] | None) -> tuple[str, str] | None:
            return failure and (names.get(failure[0], failure[0]), failure[1])

        return replace(
            self,
            execution=names.get(self.execution or "", self.execution),
            error=renamed(self.error),
            last_failure=renamed(self.last_failure),
        )


FAULT = "the fault"

COMPLETED = End(None, "COMPLETED", ("SUCCESS",))
FAILED = End("BrokenError", "FAILED", ("FAILURE",), ("BrokenError", "StoreResults"))
DELETED = End(None, "DELETED")
SETTLED = End(None, "FAILED", ("FAILURE",), ("ExecutionAbortedError", "ProcessImage"))
EMPTY = End(None, "FAILED", ("FAILURE",), ("EmptyUploadError", "ValidateImage"))
UNCHANGED = End(None, "COMPLETED")
"""The end of an upload with the same content as the current image."""
KEPT = End("BrokenError", "COMPLETED", ("FAILURE",), last_failure=("BrokenError", "StoreResults"))
"""A reprocess has failed, and the previous image is kept."""
SETTLED_AND_KEPT = replace(SETTLED, record="COMPLETED", error=None, last_failure=SETTLED.error)


def failed_in(step: str) -> End:
    """The end after a failure of any step except the labels."""
    return End(FAULT, "FAILED", ("FAILURE",), (FAULT, step))


AFTER_A_FAILURE = ("RecordFailure", "KeepPicture", "NotifyFailure", "CleanRenditions")
SOUND = {
    (machine, task): {
        "ProcessImage": FAILED if task in AFTER_A_FAILURE else COMPLETED,
        "DeleteImage": DELETED,
        "SettleImage": SETTLED,
        "WaitForContent": EMPTY,
    }[machine]
    for machine, task in TASKS
}
"""Without a fault, or after one that has passed."""
SOUND |= {
    ("ProcessImage", "AdvanceUpload"): UNCHANGED,
    ("ProcessImage", "KeepPicture"): KEPT,
    ("SettleImage", "KeepPicture"): SETTLED_AND_KEPT,
}

LASTING = {
    ("ProcessImage", "ClaimUpload"): failed_in("ClaimUpload"),
    ("ProcessImage", "ValidateImage"): failed_in("ValidateImage"),
    ("ProcessImage", "GenerateThumbnails"): failed_in("GenerateThumbnails"),
    ("ProcessImage", "AdvanceUpload"): failed_in("AdvanceUpload"),
    ("ProcessImage", "ExtractMetadata"): replace(COMPLETED, record="PARTIAL"),
    ("ProcessImage", "StoreResults"): failed_in("StoreResults"),
    ("ProcessImage", "NotifySuccess"): replace(COMPLETED, notified=()),
    ("ProcessImage", "RecordFailure"): replace(FAILED, error=("BrokenError", "ProcessImage")),  # SettleImage wrote it
    ("ProcessImage", "KeepPicture"): replace(KEPT, last_failure=("BrokenError", "ProcessImage")),  # as above
    # The owner of the record stays unknown, so no second notification is sent.
    ("ProcessImage", "ReadRecord"): replace(COMPLETED, notified=()),
    ("ProcessImage", "NotifyFailure"): replace(FAILED, notified=()),
    ("ProcessImage", "CleanRenditions"): replace(FAILED, left=True),
    # These executions fail and raise an alarm. They are redriven after the fault is fixed.
    ("DeleteImage", "ClaimDeletion"): End(FAULT, "COMPLETED"),
    ("DeleteImage", "CleanRenditions"): End(FAULT, "DELETED", left=True),
    ("SettleImage", "RecordFailure"): End(FAULT, "PROCESSING", left=True),
    ("SettleImage", "KeepPicture"): End(FAULT, "PROCESSING", left=True),
    ("SettleImage", "NotifyFailure"): replace(SETTLED, notified=()),
    ("SettleImage", "CleanRenditions"): replace(SETTLED, execution=FAULT, left=True),
    ("WaitForContent", "ReadUpload"): EMPTY,  # processed without knowing the current object; the outcome is the same
    ("WaitForContent", "StartProcessing"): failed_in("WaitForContent"),  # SettleImage wrote it
}
LASTING_AFTER_THE_WORK = LASTING | {
    ("ProcessImage", "StoreResults"): COMPLETED,  # ReadRecord finds the outcome
    ("ProcessImage", "AdvanceUpload"): UNCHANGED,
    ("ProcessImage", "RecordFailure"): FAILED,
    ("ProcessImage", "KeepPicture"): KEPT,
    ("ProcessImage", "CleanRenditions"): FAILED,
    ("DeleteImage", "ClaimDeletion"): End(FAULT, "DELETED", left=True),
    ("DeleteImage", "CleanRenditions"): End(FAULT, "DELETED"),
    ("SettleImage", "RecordFailure"): End(FAULT, "FAILED", error=SETTLED.error, left=True),
    ("SettleImage", "KeepPicture"): replace(SETTLED_AND_KEPT, execution=FAULT, notified=(), left=True),
    ("SettleImage", "CleanRenditions"): replace(SETTLED, execution=FAULT),
    ("WaitForContent", "StartProcessing"): replace(EMPTY, execution=FAULT),
}


def expected(machine: str, task: str, fault: Fault, tries: int) -> End:
    """Return how a workflow ends if a number of attempts of a Task fail."""
    lasts = tries == fault.tries
    rules = (LASTING_AFTER_THE_WORK if fault.effective else LASTING) if lasts else SOUND
    end = rules[machine, task]
    if fault.effective and task.startswith("Notify"):  # notified at least once: as often as SNS was called
        end = replace(end, notified=SOUND[machine, task].notified * (tries if lasts else tries + 1))
    error = fault.errors[0] if fault.errors else "States.Timeout"
    return end.by(error.removeprefix("States.") if machine == "ProcessImage" else error)


def expected_of_answer(machine: str, task: str, *, too_large: bool) -> End:
    """Return how a workflow ends if a function does nothing and returns an unexpected result."""
    if too_large:  # no Catch matches it
        error = "States.DataLimitExceeded"
        settled = End(error, "FAILED", ("FAILURE",), (error, "ProcessImage"))
        late = replace(LASTING[machine, task], execution=error)
        return late if task == "CleanRenditions" else settled
    if task == "CleanRenditions":  # no state reads its answer
        return replace(SOUND[machine, task], left=True)
    return LASTING[machine, task].by("QueryEvaluationError")
