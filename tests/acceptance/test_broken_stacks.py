"""`verify` and `doctor` explain each failure of a stack with one fault."""

from __future__ import annotations

import json
import os
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest

from image_pipeline_cli import checks, local_run
from image_pipeline_cli.checks import Check, State
from image_pipeline_cli.commands import main
from image_pipeline_cli.exits import INCOMPLETE, TIMED_OUT
from image_pipeline_cli.stack import Stack
from image_pipeline_cli.verify import api, changes, command, images, leftovers, preparation, reports, temporary
from image_pipeline_cli.verify.samples import FIRST, BadFile, SampleImage, bad_files
from image_pipeline_cli.verify.session import Session
from image_pipeline_cli.verify.temporary import PREFIX
from local.pipeline import Pipeline
from tests.acceptance.conftest import STACK, inventory
from tests.conftest import HEAVY, ROOT, heavy

pytestmark = pytest.mark.skipif(STACK is not None, reason="only a local stack may be broken")

Break = Callable[[Pipeline], None]
GENERATE = ROOT / "functions" / "generate_thumbnails" / "app.py"
FEWER_RECIPES = f"""
import dataclasses, runpy
from image_pipeline.imaging import recipes
load = recipes.load
recipes.load = lambda: dataclasses.replace(load(), folders={{"uploads/": ("100x100",)}})
lambda_handler = runpy.run_path({str(GENERATE)!r})["lambda_handler"]
"""
NOT_TURNED = f"""
import runpy
from PIL import Image
Image.Image.transpose = lambda image, method: image
lambda_handler = runpy.run_path({str(GENERATE)!r})["lambda_handler"]
"""
UPSIDE_DOWN = f"""
import runpy
from PIL import Image
save = Image.Image.save
Image.Image.save = lambda image, *place, **how: save(image.transpose(Image.Transpose.ROTATE_180), *place, **how)
lambda_handler = runpy.run_path({str(GENERATE)!r})["lambda_handler"]
"""
FIRST_VERSION = f"""
import runpy
from image_pipeline.store import storage
read, uploads = storage.read, {{}}
storage.read = lambda client, source, most: uploads.setdefault(source.key, read(client, source, most))
lambda_handler = runpy.run_path({str(GENERATE)!r})["lambda_handler"]
"""
STORE = f"""
import runpy
store = runpy.run_path({str(ROOT / "functions" / "store_results" / "app.py")!r})["lambda_handler"]

def lambda_handler(event, context):
    change(event["thumbnails"])
    return store(event, context)
"""
OTHER_FACTS = f"""
{STORE}
def change(thumbnails):
    image = thumbnails["image"]
    image["width"], image["height"] = image["height"], image["width"]
"""
OTHER_SIZES = f"""
{STORE}
def change(thumbnails):
    for rendition in thumbnails["renditions"]:
        rendition["sizeBytes"] += 1
"""
WITHOUT_POINT = f"""
import runpy
from image_pipeline.workflow import focus
focus.find = lambda *_: (None, [])
lambda_handler = runpy.run_path({str(GENERATE)!r})["lambda_handler"]
"""
WITHOUT_LAYER = "import a_package_of_another_layer\n"


def without(role: str, sid: str) -> Break:
    """Remove a statement from the policies of a role."""

    def remove(pipeline: Pipeline) -> None:
        statements = pipeline.roles[role]
        kept = [statement for statement in statements if statement.get("Sid") != sid]
        assert len(kept) < len(statements)
        pipeline.restrict(role, kept)

    return remove


def altered(function: str, source: str) -> Break:
    """Replace the code of a function."""
    return lambda pipeline: pipeline.alter(function, source=source)


def answering(function: str, payload: Any) -> Break:
    """Replace a function by one that always answers the same."""
    return lambda pipeline: pipeline.replace(function, lambda _: payload)


def failing(function: str, error: str) -> Break:
    """Replace a function by one that always fails with an error."""

    def fail(_: Any) -> Any:
        raise type(error, (Exception,), {})("Broken by a test.")

    return lambda pipeline: pipeline.replace(function, fail)


@contextmanager
def without_events(pipeline: Pipeline) -> Iterator[None]:
    """Let the uploads bucket send no events."""
    put = partial(pipeline.client("s3").put_bucket_notification_configuration, Bucket=pipeline.uploads_bucket)
    put(NotificationConfiguration={})
    try:
        yield
    finally:
        put(NotificationConfiguration={"EventBridgeConfiguration": {}})


@pytest.fixture(scope="module")
def shared_session(local_stack: Stack) -> Iterator[Session]:
    """A run whose first upload and overwrite are processed. Its uploads stay, because each deletion is processed."""
    session = Session(local_stack, PREFIX + uuid.uuid4().hex[:8], 60.0)
    problems = [result for check in preparation.PREPARATIONS if (result := checks.perform(check, session)).advice]
    images.upload_first(session, 60.0, lambda _: None)
    changes.check_duplicate(session)
    changes.check_overwrite(session)
    assert problems == []
    yield session
    session.created.close()


@pytest.fixture
def session(pipeline: Pipeline, shared_session: Session) -> Iterator[Session]:
    """The shared run; each test starts with an intact stack."""
    shared_session.outcomes.clear()
    yield shared_session
    pipeline.clear()
    shared_session.seconds = 60.0


def fresh(sample: SampleImage = FIRST) -> SampleImage:
    """A sample under a name that was never uploaded."""
    return replace(sample, file_name=f"{uuid.uuid4()}.jpg")


def uploaded(session: Session, sample: SampleImage) -> str:
    """Upload a sample and check it."""
    session.wait([session.put(sample.file_name, sample.encode(), sample.metadata)], [])
    return images.check_sample(session, sample)


def turned(session: Session) -> str:
    """Upload a sample that lies on its side, and check it."""
    return uploaded(session, fresh(images.SAMPLES[0]))


def with_point(session: Session) -> str:
    """Upload the sample with a point, and check it."""
    return uploaded(session, fresh(next(sample for sample in images.SAMPLES if sample.point)))


def first_upload(session: Session) -> str:
    """Check the first upload, which was processed before."""
    return images.check_sample(session, FIRST)


def new_upload(session: Session) -> str:
    """Upload a sample under a new name and check it."""
    return uploaded(session, fresh())


def rejected(session: Session) -> str:
    """Upload a text and check that it is rejected."""
    file: BadFile = next(file for file in bad_files() if file.error == "UnsupportedFormatError")
    session.wait([session.put(file.file_name, file.data)], [])
    return images.check_bad_file(session, file)


def overwritten(session: Session) -> str:
    """Check an overwrite in a run without a duplicate event, which makes the first upload itself."""
    own = replace(session, name=PREFIX + uuid.uuid4().hex[:8], sent={}, outcomes=[], _bodies={})
    try:
        return changes.check_overwrite(own)
    finally:
        preparation.remove_uploads(own)


def reported(check: Callable[[Session], str]) -> Callable[[Session], str]:
    """Upload a sample under a new name, and check at once what was reported about it."""

    def upload_and_check(session: Session) -> str:
        new_upload(session)
        session.seconds = 1.0
        return check(session)

    return upload_and_check


def soon(check: Callable[[Session], str]) -> Callable[[Session], str]:
    """Return the check with a wait of one second, for conditions that never become true."""

    def check_soon(session: Session) -> str:
        session.seconds = 1.0
        return check(session)

    return check_soon


ACCEPTED = {"isAuthorized": True, "context": {}}
PLAIN = {"statusCode": 404, "body": "no"}


@dataclass(frozen=True)
class Case:
    """A broken stack."""

    check: str
    """The name of the check that must fail."""
    damage: Break
    act: Callable[[Session], str]
    """Performs the check."""
    words: tuple[str, ...]
    """Must be in the result."""


CASES = {
    "a step lacks a permission": Case(
        "first upload",
        without("GenerateThumbnailsFunctionRole", "WriteRenditions"),
        new_upload,
        ("FAILED instead of COMPLETED", "in GenerateThumbnails", "deploy again"),
    ),
    "the layer is another one": Case(
        "first upload",
        altered("ValidateImageFunction", WITHOUT_LAYER),
        new_upload,
        ("FAILED instead of COMPLETED", "in ValidateImage", "a layer"),
    ),
    "there are no labels": Case(
        "first upload",
        without("ExtractMetadataFunctionRole", "Label"),
        new_upload,
        ("PARTIAL instead of COMPLETED", "Rekognition does not answer"),
    ),
    "the record has other facts": Case(
        "first upload",
        altered("StoreResultsFunction", OTHER_FACTS),
        new_upload,
        ("The record is wrong: image.width is 160 instead of 240", "build and deploy again"),
    ),
    "the record has other sizes of renditions": Case(
        "first upload",
        altered("StoreResultsFunction", OTHER_SIZES),
        new_upload,
        ("The rendition 100x100 (JPEG) is wrong: the record has another sizeBytes",),
    ),
    "the recipes are others": Case(
        "first upload",
        altered("GenerateThumbnailsFunction", FEWER_RECIPES),
        new_upload,
        ("are 100x100 (JPEG) instead of 100x100 (JPEG), 640x480 (JPEG)", "other recipes"),
    ),
    "orientation is ignored": Case(
        "JPEG, turned by EXIF",
        altered("GenerateThumbnailsFunction", NOT_TURNED),
        turned,
        ("The record is wrong: summary.phash is", "that of another image", "build and deploy again"),
    ),
    "renditions are upside down": Case(
        "JPEG, turned by EXIF",
        altered("GenerateThumbnailsFunction", UPSIDE_DOWN),
        turned,
        ("The rendition 100x100 (JPEG) is wrong: the quarter at the top left is", "(EXIF orientation 6)"),
    ),
    "the point is ignored": Case(
        "wide image with a point",
        altered("GenerateThumbnailsFunction", WITHOUT_POINT),
        with_point,
        ("The record is wrong: focus is None instead of {'x': 0.9, 'y': 0.5}",),
    ),
    "renditions cannot be read": Case(
        "first upload",
        without("GetStatusFunctionRole", "SignRenditionUrls"),
        first_upload,
        ("answers 403", "s3:GetObjectVersion"),
    ),
    "statuses cannot be read": Case(
        "first upload",
        without("GetStatusFunctionRole", "ReadRecords"),
        first_upload,
        ("GET …/status answered 500 instead of 200", "ApiErrorsAlarm"),
    ),
    "a rejection has another reason": Case(
        "text named .jpg",
        failing("ValidateImageFunction", "CorruptImageError"),
        rejected,
        ("FAILED with CorruptImageError instead of FAILED with UnsupportedFormatError",),
    ),
    "uploads over HTTP are denied": Case(
        "upload by POST /images",
        without("UploadImageFunctionRole", "StoreUploads"),
        api.check_post,
        ("POST /images answered 500 instead of 202",),
    ),
    "forms are denied": Case(
        "upload by presigned form",
        without("PresignUploadFunctionRole", "StoreUploads"),
        api.check_form,
        ("S3 answers the form with 403", "s3:PutObject"),
    ),
    "originals are denied": Case(
        "original",
        without("GetOriginalFunctionRole", "SignOriginalUrls"),
        api.check_original,
        ("answers 403", "s3:GetObjectVersion"),
    ),
    "errors have no explanation": Case(
        "API errors",
        answering("RefuseRequestFunction", PLAIN),
        api.check_errors,
        ("GET /nothing answers 404 without a problem document",),
    ),
    "every key is accepted": Case(
        "API keys",
        answering("AuthorizeFunction", ACCEPTED),
        api.check_keys,
        ("GET /images with an invalid key answered 200 instead of 403",),
    ),
    "the first version is rendered again": Case(
        "overwrite",
        altered("GenerateThumbnailsFunction", FIRST_VERSION),
        overwritten,
        ("The record is wrong: image.", "build and deploy again"),
    ),
    "deletions are denied": Case(
        "delete",
        without("DeleteUploadFunctionRole", "DeleteUploads"),
        changes.check_delete,
        ("DELETE … answered 500 instead of 202",),
    ),
    "deletions start nothing": Case(
        "delete",
        lambda pipeline: pipeline.restrict("DeleteImageStateMachineImageDeletedRole", []),
        soon(changes.check_delete),
        ("COMPLETED instead of DELETED", "doctor"),
    ),
    "restorations are denied": Case(
        "restore",
        without("ReprocessUploadFunctionRole", "RestoreUploads"),
        changes.check_restore,
        ("POST …/restore answered 500 instead of 202",),
    ),
    "the list is not updated": Case(
        "list",
        without("IndexImagesFunctionRole", "List"),
        reported(reports.check_list),
        ("are missing or have an older status", "UnlistedImagesAlarm"),
    ),
    "outcomes are not published": Case(
        "outcome events",
        without("PublishOutcomesFunctionRole", "Publish"),
        reported(reports.check_events),
        ("1 of 1 outcomes were not published", "UnpublishedOutcomesAlarm"),
    ),
    "no notification is sent": Case(
        "notifications",
        without("ProcessImageStateMachineRole", "Notify"),
        reported(reports.check_notifications),
        ("1 of 1 notifications did not arrive", "publish to the topic"),
    ),
}


BREADTH = {
    "the first version is rendered again",
    "the point is ignored",
    "the record has other facts",
    "the record has other sizes of renditions",
    "orientation is ignored",
    "statuses cannot be read",
    "a rejection has another reason",
    "uploads over HTTP are denied",
    "originals are denied",
    "deletions are denied",
    "deletions start nothing",
    "restorations are denied",
    "the list is not updated",
    "the layer is another one",
    "no notification is sent",
}
"""Cases that resemble another one; `make test-all` runs them, too."""


@pytest.mark.parametrize("name", [pytest.param(name, marks=HEAVY if name in BREADTH else ()) for name in CASES])
def test_a_broken_stack_fails_with_an_explanation(pipeline, session, name):
    """The result states the problem and the advice."""
    case = CASES[name]
    case.damage(pipeline)
    result = checks.perform(Check(case.check, case.act), session)
    text = f"{result.detail} {result.advice}"
    assert (result.state, [word for word in case.words if word not in text]) == (State.FAILED, []), text


ELSEWHERE = {
    # below
    "EventBridge",
    "rules",
    "leftovers",
    "temporary queue",
    "temporary API keys",
    "other uploads",
    "duplicate event",
    "clean-up",
    # tests/cli/test_verify.py: a wrong rendition of each sample, and a bad file that is accepted
    *(sample.name for sample in images.SAMPLES),
    *(file.name for file in bad_files()),
}


def test_every_check_can_fail():
    """Every check has a broken stack or a test of its own."""
    names = {check.name for check in (*command.PRECONDITIONS, *preparation.PREPARATIONS, *command.CHECKS)}
    names |= {leftovers.LEFTOVERS.name, FIRST.name, preparation.CLEAN_UP.name}
    assert {case.check for case in CASES.values()} | ELSEWHERE == names


@heavy
def test_a_deletion_that_leaves_renditions_fails(pipeline, session):
    """The check reports renditions that still exist after a deletion."""
    session.wait([session.put("replaced.jpg", FIRST.encode())], [])  # an earlier test may have deleted it
    without("DeleteImageStateMachineRole", "InvokeSteps")(pipeline)
    result = checks.perform(Check("delete", soon(changes.check_delete)), session)
    assert "versions of renditions still exist" in result.detail
    assert "FailedDeletionsAlarm" in result.advice


def test_uploads_without_an_outcome_are_counted(pipeline, stack):
    """The check of all uploads fails if they start no execution."""
    session = Session(stack, PREFIX + uuid.uuid4().hex[:8], 0.0)
    with without_events(pipeline):
        result = checks.perform(Check("other uploads", images.upload_all), session)
        temporary.delete_versions(stack, session.bucket, session.folder)
    assert (result.state, "Only 0 of" in result.detail, "doctor" in result.advice) == (
        State.FAILED,
        True,
        True,
    ), result.detail


class Client:
    """A client with other methods."""

    def __init__(self, client: Any, **methods: Callable[..., Any]) -> None:
        self._client = client
        self.__dict__ |= methods

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


def with_methods(session: Session, methods: dict[str, dict[str, Callable[..., Any]]], **outputs: str) -> Session:
    """A run on a stack whose clients have other methods, by service."""
    stack = session.stack
    clients = {service: Client(stack.client(service), **of_service) for service, of_service in methods.items()}
    other = replace(stack, client=lambda name: clients.get(name) or stack.client(name))
    return replace(session, stack=replace(other, outputs={**stack.outputs, **outputs}))


@pytest.mark.parametrize(
    ("name", "output", "words"),
    [
        ("temporary queue", "NotificationTopicArn", ("Topic does not exist", "deploy again")),
        ("temporary API keys", "ApiKeyTableName", ("not found", "deploy again")),
    ],
)
def test_a_deleted_resource_is_named(stack, name, output, words):
    """The check names a missing resource and leaves nothing behind."""
    before = inventory(stack)
    outputs = {**stack.outputs, output: f"{stack.outputs[output]}-deleted"}
    session = Session(replace(stack, outputs=outputs), PREFIX + uuid.uuid4().hex[:8], 0.0)
    (check,) = [check for check in preparation.PREPARATIONS if check.name == name]
    result = checks.perform(check, session)
    text = f"{result.detail} {result.advice}"
    assert (result.state, [word for word in words if word not in text]) == (State.FAILED, []), text
    assert inventory(stack) == before


@pytest.mark.parametrize("check", [leftovers.LEFTOVERS, preparation.CLEAN_UP], ids=lambda check: check.name)
def test_a_failed_clean_up_names_the_remaining_objects(stack, check):
    """The check reports their location; a second run deletes them after the cause is fixed."""
    name = f"{PREFIX}00000001-{uuid.uuid4().hex[:8]}"  # of a run that began in 1970
    bucket, key = stack.outputs["ThumbnailsBucketName"], f"thumbnails/{name}/1.jpg"
    stack.client("s3").put_object(Bucket=bucket, Key=key, Body=b"1")

    def perform(session: Session) -> checks.Result:
        session.created.callback(preparation.remove_uploads, session)
        return checks.perform(check, session.stack if check is leftovers.LEFTOVERS else session)

    session = Session(stack, name, 0.0)
    refused = {"Errors": [{"Key": key, "Code": "AccessDenied", "Message": "Access Denied"}]}
    result = perform(with_methods(session, {"s3": {"delete_objects": lambda **_: refused}}))
    assert (result.state, result.detail) == (State.FAILED, f"1 versions in {bucket} were not deleted: Access Denied.")
    assert f"below thumbnails/{name}/ by hand" in result.advice
    assert perform(session).state is State.OK
    assert key not in inventory(stack)["renditions"]


def test_the_clean_up_waits_for_a_thread_that_is_uploading(pipeline, stack, monkeypatch):
    """After Ctrl-C, threads finish their uploads, which must not stay."""
    sending, waiting, s3 = threading.Event(), threading.Event(), stack.client("s3")

    def put_object(**arguments: Any) -> Any:
        sending.set()
        assert waiting.wait(30)
        return s3.put_object(**arguments)

    def wait_until(condition: Callable[[], bool], *seconds: float) -> bool:
        if condition():
            return True
        waiting.set()
        return Session.wait_until(session, condition, *seconds)

    session = Session(stack, PREFIX + uuid.uuid4().hex[:8], 30.0)
    monkeypatch.setattr(session, "wait_until", wait_until)
    uploading = with_methods(session, {"s3": {"put_object": put_object}})
    thread = threading.Thread(target=uploading.put, args=("empty.jpg", b""))
    with without_events(pipeline):
        thread.start()
        assert sending.wait(30)
        preparation.remove_uploads(session)
        waiting.set()
        thread.join()
        assert f"{session.folder}empty.jpg" not in inventory(stack)["uploads"]


@pytest.mark.parametrize("workflow", ["STANDARD", pytest.param("EXPRESS", marks=HEAVY)])
def test_a_second_execution_of_an_upload_fails(session, workflow):
    """A workflow that does not recognise a duplicate fails, also if its execution starts late and cannot be described.

    A reprocess, as which the duplicate is marked here, may win over its own upload.
    """
    s3, states = session.stack.client("s3"), session.stack.client("stepfunctions")
    late: list[Callable[[], Any]] = []

    def start(*, input: str, **arguments: Any) -> Any:
        event = json.loads(input)
        event["detail"]["reprocess"] = True
        begin = partial(states.start_execution, input=json.dumps(event), **arguments)
        if workflow == "STANDARD":
            return begin()
        late.append(begin)
        return {"executionArn": "unknown"}

    def put(**arguments: Any) -> Any:
        while late:
            late.pop()()
        return s3.put_object(**arguments)

    methods = {"stepfunctions": {"start_execution": start}, "s3": {"put_object": put}}
    broken = with_methods(session, methods, WorkflowType=workflow)
    result = checks.perform(Check("duplicate event", changes.check_duplicate), broken)
    session.wait([session.put(FIRST.file_name, FIRST.encode())], [])  # other tests compare with its last execution
    assert result.detail == "The upload was processed a second time."


def test_the_first_upload_is_repeated_until_s3_sends_events(pipeline, session, monkeypatch):
    """S3 sends no events of the first minutes after a deployment; the command reports the long wait."""
    monkeypatch.setattr(images, "_AGAIN_SECONDS", 0.5)
    s3, bucket = pipeline.client("s3"), pipeline.uploads_bucket
    said: list[str] = []

    def send_events(sentence: str) -> None:
        said.append(sentence)
        on = {"EventBridgeConfiguration": {}}
        s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=on)

    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    session.times.first.clear()
    images.upload_first(session, 60.0, send_events)
    assert "about five minutes" in said[0]
    assert len(session.times.first) == 1


def test_only_the_rule_and_the_topic_may_send_to_the_temporary_queue(pipeline, session):
    """The queue policy allows exactly these two senders."""
    sqs = pipeline.client("sqs")
    url = sqs.get_queue_url(QueueName=session.name)["QueueUrl"]
    policy = json.loads(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]["Policy"])
    senders = {
        (statement["Principal"]["Service"], statement["Condition"]["ArnEquals"]["aws:SourceArn"])
        for statement in policy["Statement"]
    }
    rule = pipeline.client("events").describe_rule(Name=session.name)["Arn"]
    assert senders == {("events.amazonaws.com", rule), ("sns.amazonaws.com", pipeline.outputs["NotificationTopicArn"])}


def run_command(stack: Stack, run_dir: Any, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Run a command on the local stack, check that it leaves nothing behind, and return its exit code and output."""
    before = inventory(stack)
    code = main([*arguments, "--local", "--run-dir", str(run_dir)])
    assert inventory(stack) == before
    return code, capsys.readouterr().out


def test_a_missing_permission_is_not_a_success(pipeline, stack, capsys, monkeypatch):
    """The command names the permission of a skipped check, and its exit code is not 0."""
    monkeypatch.setattr(command, "CHECKS", ())
    pipeline.fault("sqs", "CreateQueue", "AccessDenied", times=-1, status=403)
    code, out = run_command(stack, pipeline.run_dir, capsys, "verify", "--yes")
    assert (code, "Your credentials need sqs:CreateQueue" in out, "OK           first upload" in out) == (
        INCOMPLETE,
        True,
        True,
    ), out


def test_a_bucket_without_events_stops_the_command_before_it_creates_resources(pipeline, stack, capsys):
    """Both commands report that the bucket sends no events."""
    with without_events(pipeline):
        for arguments in (["verify", "--yes"], ["doctor"]):
            code, out = run_command(stack, pipeline.run_dir, capsys, *arguments)
            assert (code, "sends no events to EventBridge" in out) == (INCOMPLETE, True)


@pytest.mark.parametrize(
    "rule",
    ["ProcessImageStateMachineImageUploaded", pytest.param("WatchRecordsFunctionEveryFiveMinutes", marks=HEAVY)],
)
def test_a_disabled_rule_stops_the_command_before_it_creates_resources(pipeline, stack, capsys, rule):
    """Both commands explain how to enable the rule."""
    events, name = pipeline.client("events"), stack.resources("AWS::Events::Rule")[rule]
    events.disable_rule(Name=name)
    try:
        for arguments in (["verify", "--yes"], ["doctor"]):
            code, out = run_command(stack, pipeline.run_dir, capsys, *arguments)
            assert (code, f"aws events enable-rule --name {name}" in out) == (INCOMPLETE, True)
    finally:
        events.enable_rule(Name=name)


def test_a_mail_address_must_be_subscribed_and_confirmed(pipeline, reconfigure, tmp_path, capsys):
    """`doctor` names an address that has not confirmed its subscription, and one whose subscription SNS has deleted."""

    def mail() -> tuple[int, Any]:
        """Return the exit code, which depends on all checks, and the result of the check of mail addresses."""
        (tmp_path / local_run.NOTE_NAME).write_text(json.dumps({**pipeline.facts, "pid": os.getpid()}))
        code = main(["doctor", "--local", "--run-dir", str(tmp_path), "--json"])
        results = json.loads(capsys.readouterr().out)["checks"]
        (result,) = [result for result in results if result["name"] == "mail"]
        return code, result

    reconfigure(NotificationEmail="you@example.com")
    reconfigure(NotificationEmail="me@example.com", AlarmEmail="us@example.com")  # the other subscription ends
    _, result = mail()
    assert (result["state"], result["detail"]) == (State.OK, "Confirmed: me@example.com, us@example.com.")
    sns, topic = pipeline.client("sns"), pipeline.outputs["NotificationTopicArn"]
    new = sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="new@example.com")["SubscriptionArn"]
    code, result = mail()
    assert (code, result["detail"]) == (INCOMPLETE, "Not confirmed: new@example.com.")
    assert "Open the link in the mail from AWS." in result["advice"]
    sns.unsubscribe(SubscriptionArn=new)
    subscriptions = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    (own,) = [entry["SubscriptionArn"] for entry in subscriptions if entry["Protocol"] == "email"]
    sns.unsubscribe(SubscriptionArn=own)
    code, result = mail()
    assert (code, result["detail"]) == (INCOMPLETE, "NotificationEmail is me@example.com, but it is not subscribed.")


def test_uploads_without_an_execution_time_out(pipeline, stack, capsys):
    """`verify` reports the missing outcome; `doctor` finds the events in the dead-letter queue."""
    pipeline.restrict("ProcessImageStateMachineImageUploadedRole", [])
    code, out = run_command(stack, pipeline.run_dir, capsys, "verify", "--yes", "--timeout", "1")
    assert code == TIMED_OUT
    assert "The upload has no outcome." in out
    assert "skipped" in out
    code, out = run_command(stack, pipeline.run_dir, capsys, "doctor")
    assert code == INCOMPLETE
    assert "in UndeliveredEventsQueue" in out
    assert "See UndeliveredEventsAlarm in docs/operations.md." in out
