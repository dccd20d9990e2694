"""Every Task of every workflow for one image × every fault: the workflow ends as the rules say.

test_backfill.py tries the workflow for many images. Each case is an image of its own: uploaded over an older one,
deleted, or left behind by an aborted execution. The real workflows and functions process it.
"""

import json
import os
import uuid
from dataclasses import replace
from functools import cache

import pytest

from image_pipeline.imaging import engine, recipes
from image_pipeline.keys import rendition_key
from tests.conftest import HEAVY, WITH_OUTCOME
from tests.pictures import photo
from tests.workflow.conftest import deletion, ended, put, put_item, renditions, repair, start, uploaded
from tests.workflow.rules import (
    AFTER_A_FAILURE,
    ANSWERS,
    AT_FAULT,
    BROKEN,
    COMPLETED,
    DELETED,
    DENIED,
    FAILED,
    FAULT,
    FAULTS,
    FINAL,
    LAMBDA_TASKS,
    LASTING,
    OF_LABELS,
    REPEATABLE,
    SERVICES,
    SOUND,
    TASKS,
    THROTTLED,
    UNNAMED,
    End,
    expected,
    expected_of_answer,
)

PHOTO = photo(96, 80)  # as small as Rekognition takes it
OPERATIONS = {
    "lambda": ("lambda", "Invoke"),
    "dynamodb": ("dynamodb", "UpdateItem"),
    "sns": ("sns", "Publish"),
    "s3": ("s3", "HeadObject"),
    "states": ("stepfunctions", "StartExecution"),
}
"""What boto3 calls a service, and the operation that a Task asks it for."""
ACTIONS = {
    "lambda": "lambda:InvokeFunction",
    "dynamodb": "dynamodb:UpdateItem",
    "sns": "sns:Publish",
    "s3": "s3:GetObject",
    "states": "states:StartExecution",
}


class Case:
    """One image that a workflow processes."""

    def __init__(self, pipeline, machine, task, name, end, calls, *, broken=None):
        self.pipeline, self.machine, self.task, self.name = pipeline, machine, task, name
        self.end, self.calls = end, calls
        self.word = uuid.uuid4().hex
        self.key = f"uploads/faults/{self.word}.jpg"
        self.arn, self.execution = "", None
        self.put_older_image()
        if machine == "ProcessImage" and task in AFTER_A_FAILURE if broken is None else broken:
            self.fail("lambda", "StoreResults", "BrokenError", 1)
        if task == "ReadRecord":
            self.fail("lambda", "StoreResults", "BrokenError", 1, effective=True)

    def put_older_image(self):
        """Store the previous image; its rendition stays while the record refers to it."""
        same = self.task == "AdvanceUpload"
        of_photo = engine.content_id(PHOTO, recipes.load().for_key(self.key))
        key = rendition_key(self.key, of_photo if same else "0" * 16, "small.jpg")
        bucket = self.pipeline.outputs["ThumbnailsBucketName"]
        version = self.pipeline.client("s3").put_object(Bucket=bucket, Key=key, Body=b"small")["VersionId"]
        self.put_record(
            status="COMPLETED",
            uploadOrder="00".ljust(64, "0"),
            execution=WITH_OUTCOME["execution"],
            image={},
            labels=[],
            renditions=[{"name": "small", "width": 1, "height": 1, "bucket": bucket, "key": key, "versionId": version}],
            createdAt="2020-01-01T12:00:00Z",
            updatedAt="2020-01-01T12:00:00Z",
        )

    def put_record(self, **fields):
        put_item(self.pipeline, {"ImageKey": self.key} | fields)

    def fail(self, service, task, error, times, *, effective=False):
        """Let the next calls of a Task for this image fail; with an empty error, they get no answer."""
        words = [self.word]
        marks = {
            "RecordFailure": '"FAILED"',
            "StartProcessing": "waited_",
            "KeepPicture": '":lastFailure"',
            "AdvanceUpload": '"unchanged"',
            "ReadRecord": '"#status, #execution"',
        }  # of a call that others make, too
        words += [f"{task}Function"] if service == "lambda" else [marks[task]] if task in marks else []
        status = 200 if service == "lambda" and not error.startswith("Lambda.") else 503 if service == "s3" else 0
        service, operation = OPERATIONS[service]
        operation = "GetItem" if task == "ReadRecord" else operation
        which = {"times": times, "containing": words, "effective": effective}
        if error:
            code = error if status == 200 else error.split(".")[1]
            self.pipeline.fault(service, operation, code, status=status, **which)
        else:
            self.pipeline.hang(service, operation, **which)

    def event(self):
        """Return the event that starts the workflow."""
        if self.machine == "DeleteImage":
            return deletion(self.pipeline, self.key)
        settles = self.machine == "SettleImage"
        if settles:
            event = uploaded(self.pipeline, self.key)
        else:
            event = put(self.pipeline, self.key, PHOTO if self.machine == "ProcessImage" else b"")
        if self.task == "KeepPicture":
            self.have_been_processed(event)
        if not settles:
            return event
        self.leave_unfinished(event)
        return ended(self.pipeline, event, f"lost-{self.word}", "ABORTED")

    def have_been_processed(self, event):
        """Store the previous image as the outcome of this upload, which is then reprocessed."""
        event["detail"]["reprocess"] = True
        entity = event["detail"]["object"]
        upload = {name: entity[name] for name in ("key", "etag", "sequencer")}
        upload |= {"bucket": self.pipeline.uploads_bucket, "versionId": entity.get("version-id")}
        upload |= {"sizeBytes": entity["size"], "uploadedAt": event["time"]}
        order = entity["sequencer"].ljust(64, "0")
        self.put_record(**self.pipeline.record(self.key) | {"upload": upload, "uploadOrder": order})

    def leave_unfinished(self, event):
        """Store the state after an execution was aborted that had written its renditions."""
        record = self.pipeline.record(self.key)
        record |= {
            "previousStatus": record["status"],
            "previousUpload": record.get("upload"),
            "previousExecution": record["execution"],
            "status": "PROCESSING",
            "uploadOrder": event["detail"]["object"]["sequencer"].ljust(64, "0"),
            "execution": {"id": f"lost-{self.word}", "startedAt": "2020-01-01T12:00:00Z"},
            "claimShard": "0",
            "claimedAt": "2020-01-01T12:00:00Z",
        }
        self.put_record(**record)
        bucket, key = self.pipeline.outputs["ThumbnailsBucketName"], rendition_key(self.key, "1" * 16, "small.jpg")
        self.pipeline.client("s3").put_object(Bucket=bucket, Key=key, Body=b"new")

    def start(self):
        self.arn = self.pipeline.client("stepfunctions").start_execution(
            stateMachineArn=self.pipeline.outputs[f"{self.machine}StateMachineArn"],
            name=self.word,
            input=json.dumps(self.event()),
        )["executionArn"]

    def redrive(self):
        """Continue at the failed state with the variables of the failed execution."""
        failed, variables = "", {}
        for event in self.history():
            failed = event.get("stateEnteredEventDetails", {}).get("name", failed)
            variables |= event.get("stateExitedEventDetails", {}).get("assignedVariables", {})
        self.arn = self.pipeline.client("stepfunctions").start_execution(
            stateMachineArn=redriver(self.pipeline, self.machine, failed, tuple(variables)),
            name=self.word,
            input=json.dumps({name: json.loads(text) for name, text in variables.items()}),
        )["executionArn"]

    def history(self):
        states = self.pipeline.client("stepfunctions")
        return states.get_execution_history(executionArn=self.arn, maxResults=1000)["events"]

    def wait(self):
        """Wait for the end of the execution and, if it failed, for the settlement of its record."""
        self.execution = self.pipeline.wait_for_end(self.arn, 60)
        failed = self.execution.status != "SUCCEEDED"
        if self.machine == "WaitForContent":
            self.pipeline.wait_until(self.is_processed, f"what {self.name} of {self.task} has started", 60)
        if failed and self.machine in ("ProcessImage", "WaitForContent"):
            self.pipeline.wait_until(self.is_settled, f"{self.name} of {self.task} to be settled", 60)

    def is_processed(self):
        executions = self.pipeline.executions("ProcessImageStateMachine")
        return not any(execution.running for execution in executions if execution.key == self.key)

    def is_settled(self):
        return any(
            execution.event["detail"]["executionArn"] == self.arn and not execution.running
            for execution in self.pipeline.executions("SettleImageStateMachine")
        )

    def differences(self, notifications):
        """Return each difference as the observed and the planned value."""
        end, observed = self.end, self.observed(notifications)
        planned = {
            "execution": end.execution,
            "record": end.record,
            "error": end.error,
            "last failure": end.last_failure,
            "notified": end.notified,
            "calls": self.calls,
            "left": end.left,
            "shows deleted renditions": False,
            "in the index": end.record == "PROCESSING",
        }
        return {name: (observed[name], planned[name]) for name in planned if observed[name] != planned[name]}

    def observed(self, notifications):
        record = self.pipeline.record(self.key)
        kept, every = renditions(self.pipeline, self.key)
        shown = {rendition["versionId"] for rendition in record.get("renditions", [])}
        failures = {name: record.get(name) for name in ("error", "lastFailure")}
        code_and_step = {name: failure and (failure["code"], failure["step"]) for name, failure in failures.items()}
        return {
            "execution": self.execution.error,
            "record": record["status"],
            "error": code_and_step["error"],
            "last failure": code_and_step["lastFailure"],
            "notified": tuple(
                notification["MessageAttributes"]["status"]["Value"]
                for notification in notifications
                if notification["MessageAttributes"]["imageKey"]["Value"] == self.key
            ),
            "calls": self.count_calls(),
            "left": bool(kept.keys() - shown) or (record["status"] == "DELETED" and bool(every)),
            "shows deleted renditions": not shown <= kept.keys(),
            "in the index": bool({"claimShard", "claimedAt", "previousStatus"} & record.keys()),
        }

    def count_calls(self):
        """Return how often the Task was called."""
        state, calls = "", 0
        for event in self.history():
            state = event.get("stateEnteredEventDetails", {}).get("name", state)
            calls += event["type"] == "TaskScheduled" and state == self.task
        return calls


@cache
def redriver(pipeline, machine, failed, variables):
    """Return a workflow that starts at a failed state: moto does not implement RedriveExecution."""
    states = pipeline.client("stepfunctions")
    of = states.describe_state_machine(stateMachineArn=pipeline.outputs[f"{machine}StateMachineArn"])
    definition = json.loads(of["definition"]) | {"StartAt": "Redrive"}
    restored = {name: f"{{% $states.input.{name} %}}" for name in variables}
    definition["States"]["Redrive"] = {"Type": "Pass", "Assign": restored, "Next": failed}
    return states.create_state_machine(
        name=f"redriven-{uuid.uuid4()}", definition=json.dumps(definition), roleArn=of["roleArn"]
    )["stateMachineArn"]


def wrong(pipeline, cases):
    """Return a line for each case that has differences."""
    sent = pipeline.notifications()
    return "\n".join(f"{case.name}: {differences}" for case in cases if (differences := case.differences(sent)))


def check(pipeline, cases):
    """Run the workflows of all cases at once, then redrive the failures that no state catches."""
    for case in cases:
        case.start()
    for case in cases:
        case.wait()
    assert not (lines := wrong(pipeline, cases)), lines
    repair(pipeline)
    redriven = redrivable(cases)
    for case in redriven:
        case.end, case.calls = SOUND[case.machine, case.task], 1
        case.redrive()
    for case in redriven:
        case.wait()
    assert not (lines := wrong(pipeline, redriven)), "redriven\n" + lines


def redrivable(cases):
    """Return the failures that no state catches; `make test` redrives one of those that left the same state."""
    settled = ("ProcessImage", "WaitForContent")
    failed = [case for case in cases if case.machine not in settled and case.end.execution]
    if "HEAVY" in os.environ:
        return failed
    return list({replace(case.end, execution=None): case for case in failed}.values())


@pytest.fixture
def quiet_pipeline(quiet_pipeline):
    yield quiet_pipeline
    s3, bucket = quiet_pipeline.client("s3"), quiet_pipeline.outputs["ThumbnailsBucketName"]
    listed = s3.list_object_versions(Bucket=bucket, Prefix="thumbnails/faults/").get("Versions", [])
    if versions := [{"Key": version["Key"], "VersionId": version["VersionId"]} for version in listed]:
        s3.delete_objects(Bucket=bucket, Delete={"Objects": versions})  # moto copies all of a bucket to list some of it


def is_first_of_service(machine, task):
    """Return whether no earlier Task of any workflow calls the same service."""
    return (machine, task) == next(other for other in TASKS if SERVICES[other] == SERVICES[machine, task])


def faults_of(machine, task):
    """Return the faults to try at a Task, and how many calls of each fail.

    HEAVY tries every fault at every Task: once with each of its names, and in all calls. `make test` tries all faults
    where a service is called first. Elsewhere it tries one lasting fault, because each Task has its own end, and one
    passing fault whose call has done its work, because each Task recognises that in its own way. All Tasks have the
    same retries, which test_asl.py compares. It computes how long throttling is retried, so that only calls of Lambda
    are throttled for so long here; those of other services are throttled once with each name.
    """
    faults = FAULTS[SERVICES[machine, task]] + (OF_LABELS if task == "ExtractMetadata" else [])
    if "HEAVY" in os.environ:
        return [(fault, tries) for fault in faults for tries in {len(fault.errors or ("",)), fault.tries}]
    first = is_first_of_service(machine, task)
    lasting = [fault for fault in faults if first or (fault.typical and not fault.effective) or fault in OF_LABELS]
    again = [fault for fault in faults if fault.typical and fault.effective and (first or task not in REPEATABLE)]
    if SERVICES[machine, task] != "lambda":
        lasting = [fault for fault in lasting if fault.tries != THROTTLED]
    passing = [*faults[:first], *again]
    return [*((fault, fault.tries) for fault in lasting), *((fault, len(fault.errors or ("",))) for fault in passing)]


def answers_of(machine, task):
    """Return the kinds of invalid answers to try at a Task: all at one of them, and an empty answer at the others."""
    if "HEAVY" in os.environ or task == "ValidateImage":
        return list(ANSWERS)
    return ["nothing", "too large"] if (machine, task) == LAMBDA_TASKS[0] else ["nothing"]


each_task = pytest.mark.parametrize(("machine", "task"), TASKS)
each_lambda_task = pytest.mark.parametrize(
    ("machine", "task"),
    # no state reads the answer of CleanRenditions
    [
        pytest.param(*other, marks=HEAVY if other[1] == "CleanRenditions" and other != LAMBDA_TASKS[0] else ())
        for other in LAMBDA_TASKS
    ],
)


def test_every_task_has_expectations():
    """The rules contain every Task of every workflow."""
    assert LASTING.keys() == set(TASKS)


@each_task
def test_failed_calls_end_as_the_rules_define(quiet_pipeline, machine, task):
    """A transient fault leaves no trace; a permanent fault has the end in the rules."""
    cases, service = [], SERVICES[machine, task]
    for fault, tries in faults_of(machine, task):
        first_error, *other_errors = fault.errors or ("",)
        lasts = tries == fault.tries
        calls = tries if lasts else tries + 1
        name = f"{fault.name}, {'lasting' if lasts else 'passing'}"
        case = Case(quiet_pipeline, machine, task, name, expected(machine, task, fault, tries), calls)
        for error in other_errors:  # one retrier counts all names of a fault
            case.fail(service, task, error, 1, effective=fault.effective)
        case.fail(service, task, first_error, tries - len(other_errors), effective=fault.effective)
        cases.append(case)
    check(quiet_pipeline, cases)


@each_lambda_task
def test_an_invalid_answer_fails_its_step(quiet_pipeline, machine, task):
    """The step is not retried, and every upload has an outcome."""
    cases = []
    for name in answers_of(machine, task):
        end = expected_of_answer(machine, task, too_large=name == "too large")
        cases.append(Case(quiet_pipeline, machine, task, name, end, FINAL))
    answers = {case.word: ANSWERS[case.name] for case in cases}
    quiet_pipeline.replace(
        f"{task}Function", lambda event: next(answers[word] for word in answers if word in json.dumps(event))
    )
    check(quiet_pipeline, cases)


@pytest.mark.parametrize(
    ("machine", "task", "role", "error"),
    [
        pytest.param(
            *(machine, task, f"{machine}StateMachineRole", DENIED[SERVICES[machine, task]]),
            marks=() if is_first_of_service(machine, task) else HEAVY,
        )
        for machine, task in TASKS
        # denied with the claim, and with RecordFailure: the same action
        if (machine, task) != ("ProcessImage", "RecordFailure") and task not in ("KeepPicture", "AdvanceUpload")
    ]
    + [
        pytest.param(
            *(machine, task, f"{task}FunctionRole", "ClientError" if task == "StoreResults" else "AccessDenied"),
            marks=() if is_first_of_service(machine, task) or task == "StoreResults" else HEAVY,
        )
        for machine, task in LAMBDA_TASKS
    ],
)
def test_a_missing_permission_ends_after_one_try(quiet_pipeline, machine, task, role, error):
    """The upload has an outcome, whether the workflow or its function lacks the permission."""
    end = LASTING[machine, task]
    if task == "ClaimUpload":
        end = replace(end, error=(FAULT, "ProcessImage"))  # nor may it record the failure: SettleImage does
    calls = UNNAMED if error == "S3.S3Exception" else 1  # a denial has no name of its own there
    case = Case(quiet_pipeline, machine, task, role, end.by(error), calls)
    called = (
        f"arn:aws:lambda:*:*:function:image-pipeline-{task}Function" if SERVICES[machine, task] == "lambda" else "*"
    )
    action = "dynamodb:GetItem" if task == "ReadRecord" else ACTIONS[SERVICES[machine, task]]
    denial = {"Effect": "Deny", "Action": action, "Resource": called}
    of_workflow = role.endswith("StateMachineRole")
    quiet_pipeline.restrict(role, [*quiet_pipeline.roles[role], denial] if of_workflow else [])
    check(quiet_pipeline, [case])


@pytest.mark.parametrize("error", ["Timeout", "QueryEvaluationError"])
def test_an_error_named_after_the_service_is_notified_once(quiet_pipeline, error):
    """The execution has sent the notification, and the settlement writes only the record."""
    end = End(error, "FAILED", ("FAILURE",), (error, "ProcessImage"))
    case = Case(quiet_pipeline, "ProcessImage", "ValidateImage", error, end, BROKEN if error == "Timeout" else FINAL)
    if error == "Timeout":
        case.fail("lambda", "ValidateImage", "", BROKEN)
    quiet_pipeline.replace("ValidateImageFunction", lambda _: {})
    case.fail("dynamodb", "RecordFailure", "DynamoDB.AccessDeniedException", 1)
    check(quiet_pipeline, [case])


@pytest.mark.parametrize(
    ("fault", "calls"),
    [
        ("AccessDeniedException", FINAL),
        pytest.param("InternalServerError", AT_FAULT, marks=HEAVY),
        pytest.param("ThrottlingException", THROTTLED, marks=HEAVY),
    ],
)
def test_a_failure_that_cannot_be_recorded_is_settled_later(quiet_pipeline, fault, calls):
    """If neither the execution nor its settlement can write, WatchRecords settles the record and notifies again."""
    end = replace(FAILED, record="PROCESSING", error=None, left=True)
    case = Case(quiet_pipeline, "ProcessImage", "RecordFailure", fault, end, calls)
    case.fail("dynamodb", "RecordFailure", f"DynamoDB.{fault}", -1)
    check(quiet_pipeline, [case])
    case.put_record(**quiet_pipeline.record(case.key) | {"claimedAt": "2020-01-01T12:00:00.000Z"})
    case.end = replace(FAILED, notified=("FAILURE",) * 2, error=("ExecutionTimedOutError", "ProcessImage"))
    watcher = {"FunctionName": "image-pipeline-WatchRecordsFunction", "Payload": json.dumps({"id": "1"})}
    quiet_pipeline.client("lambda").invoke(**watcher)

    def settled():
        executions = quiet_pipeline.executions("SettleImageStateMachine")
        return [
            execution for execution in executions if execution.name.startswith("lost_") and case.word in execution.name
        ]

    quiet_pipeline.wait_until(lambda: any(not execution.running for execution in settled()), case.name)
    assert not (lines := wrong(quiet_pipeline, [case])), lines


@pytest.mark.parametrize("next_machine", ["ProcessImage", "DeleteImage"])
def test_leftovers_are_cleaned_by_the_next_execution(quiet_pipeline, next_machine):
    """The next upload of the key, or its deletion, removes them."""
    case = Case(quiet_pipeline, "ProcessImage", "CleanRenditions", "left", replace(FAILED, left=True), FINAL)
    case.fail("lambda", "CleanRenditions", "KeyError", 1)
    check(quiet_pipeline, [case])
    case.machine, case.word = next_machine, uuid.uuid4().hex
    if next_machine == "ProcessImage":
        case.task, case.end = "StoreResults", replace(COMPLETED, notified=("FAILURE", "SUCCESS"))
    else:
        case.end = replace(DELETED, notified=("FAILURE",))
    check(quiet_pipeline, [case])


@pytest.mark.parametrize(
    ("error", "calls"), [("KeyError", FINAL), pytest.param("StorageUnavailableError", THROTTLED, marks=HEAVY)]
)
def test_a_superseded_execution_that_cannot_clean_ends_superseded(quiet_pipeline, error, calls):
    """The deletion of an upload is not a fault of the execution, which sends no notification."""
    end = End(None, "DELETED", left=True)
    case = Case(quiet_pipeline, "ProcessImage", "CleanRenditions", error, end, calls, broken=False)

    def validate(event):
        start(quiet_pipeline, deletion(quiet_pipeline, case.key), "DeleteImage")
        case.fail("lambda", "CleanRenditions", error, calls)
        return {"source": event["upload"], "milliseconds": 1}

    quiet_pipeline.replace("ValidateImageFunction", validate)
    check(quiet_pipeline, [case])
