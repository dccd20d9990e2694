"""Roles are restricted to their policies, and every permission of the template is needed."""

from __future__ import annotations

import json
import urllib.request
import uuid
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from image_pipeline.api import apikeys
from image_pipeline.keys import original_path, rendition_prefix, status_path
from local.emulator import policy
from local.emulator.actions import CONDITION_KEYS, read_permission, send_permission
from local.emulator.clients import Clients
from local.emulator.deploy import plan
from local.emulator.iam import Guard, Role, access_key
from local.emulator.template import ACCOUNT_ID, Template, TemplateError, load
from local.pipeline import Execution, Pipeline
from tests.conftest import ROOT, heavy
from tests.pictures import encoded, gradient, photo

# The only place for permissions that no run of the pipeline needs: role, action and why. Patterns are shell's.
UNNEEDED = [
    ("*", "logs:*", "the local engine writes its logs to files, on AWS these deliver them"),
    ("*", "xray:*", "the local engine traces nothing, on AWS these do"),
    ("PublishOutcomes*", "dynamodb:ListStreams", "Lambda asks for it when the mapping is made, and nothing here does"),
    ("IndexImages*", "dynamodb:ListStreams", "as above"),
]
_OPEN = "a reader opens its stream once, before the runs; on AWS, and here without these, it could not"
UNNEEDED += [
    (role, f"dynamodb:{name}", _OPEN)
    for role in ("PublishOutcomes*", "IndexImages*")
    for name in ("DescribeStream", "GetShardIterator")
]
_MAP = "the local engine runs the parts of a map itself, and writes each result as a whole"
UNNEEDED += [("Backfill*", f"states:{name}Execution", _MAP) for name in ("Start", "Describe", "Stop", "Redrive")]
UNNEEDED += [
    ("Backfill*", f"s3:{name}", _MAP) for name in ("GetObject", "ListMultipartUploadParts", "AbortMultipartUpload")
]

PHOTO, OTHER_PHOTO = photo(200, 150), photo(150, 200)


class Permission(NamedTuple):
    """An action on a resource in a statement of a role."""

    role: str
    sid: str
    action: str
    resource: str


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def permissions(pipeline: Pipeline) -> list[Permission]:
    return [
        Permission(role, statement.get("Sid", ""), action, resource)
        for role, statements in pipeline.roles.items()
        for statement in statements
        if statement["Effect"] == "Allow"
        for action in as_list(statement["Action"])
        for resource in as_list(statement["Resource"])
    ]


def without(pipeline: Pipeline, role: str, exclusions: set[Permission]) -> list[dict[str, Any]]:
    """Return the statements of a role without some permissions."""
    kept = [statement for statement in pipeline.roles[role] if statement["Effect"] == "Deny"]
    return kept + [
        {**statement, "Action": action, "Resource": resource}
        for statement in pipeline.roles[role]
        if statement not in kept
        for action in as_list(statement["Action"])
        for resource in as_list(statement["Resource"])
        if Permission(role, statement.get("Sid", ""), action, resource) not in exclusions
    ]


def excused(permission: Permission) -> bool:
    return any(fnmatchcase(permission.role, r) and fnmatchcase(permission.action, a) for r, a, _ in UNNEEDED)


# ---- Runs of the pipeline; together they need every permission. Each returns None or a failure.


class Run:
    """An upload and its results."""

    def __init__(self, pipeline: Pipeline, name: str) -> None:
        self.pipeline = pipeline
        self.key = f"uploads/privilege/{uuid.uuid4()}/{name}"

    def event(self, version: str | None) -> dict[str, Any]:
        event: dict[str, Any] = json.loads((ROOT / "events" / "object_created.json").read_text())
        event["detail"]["bucket"]["name"] = self.pipeline.uploads_bucket
        event["detail"]["object"] |= {"key": self.key, "size": len(PHOTO), "version-id": version}
        head = self.pipeline.client("s3").head_object
        if version is None:
            del event["detail"]["object"]["version-id"]
            event["detail"]["object"]["etag"] = head(Bucket=self.pipeline.uploads_bucket, Key=self.key)["ETag"][1:-1]
        return event

    def upload(self, data: bytes = PHOTO) -> str | None:
        """Upload and wait for the outcome, if the workflow starts."""
        version = self.pipeline.upload(self.key, data)
        self.wait(lambda execution: execution.version_id == version)
        return version

    def wait_for_machine(self, machine: str) -> None:
        """Wait until an execution of this state machine for this upload has ended."""
        self.wait(lambda execution: f":image-pipeline-{machine}" in execution.arn and self.key in str(execution.event))

    def wait(self, condition: Callable[[Execution], bool]) -> None:
        self.pipeline.wait_until(
            lambda: (
                any(condition(execution) and not execution.running for execution in self.pipeline.executions())
                or any(c.action == "states:StartExecution" and not c.allowed for c in self.pipeline.calls())
            ),
            self.key,
        )

    def start(self, event: dict[str, Any], machine: str = "ProcessImage") -> str:
        """Start an execution with an event, and wait for its end."""
        states = self.pipeline.client("stepfunctions")
        arn: str = states.start_execution(
            stateMachineArn=self.pipeline.outputs[f"{machine}StateMachineArn"],
            name=str(uuid.uuid4()),
            input=json.dumps(event),
        )["executionArn"]
        self.pipeline.wait_for_end(arn)
        return arn

    def outcome(self) -> str:
        record = self.pipeline.record(self.key) or {}
        return record.get("error", {}).get("code") or record.get("status", "no record")


def a_photo(pipeline: Pipeline) -> str | None:
    """A photograph gets a rendition URL and a notification."""
    run = Run(pipeline, "photo.jpg")
    run.upload()
    try:
        with urllib.request.urlopen(pipeline.api_url + status_path(run.key)) as answer:
            record = json.loads(answer.read())
        with urllib.request.urlopen(f"{pipeline.api_url}{status_path(run.key)}?versionId=another"):
            pass
        for rendition in record["renditions"]:
            with urllib.request.urlopen(rendition["url"]):
                pass
    except HTTPError as error:
        with error:
            return f"{urlsplit(str(error.url)).path} answers {error.code}"
    except KeyError as error:
        return f"the record has no {error}"
    if not any(run.key in notification["Message"] for notification in pipeline.notifications()):
        return "there was no notification"
    return None if record["status"] == "COMPLETED" else record["status"]


def a_photo_without_version(pipeline: Pipeline) -> str | None:
    """The event has no version, so the etag identifies the content."""
    run = Run(pipeline, "unversioned.jpg")
    pipeline.client("s3").put_object(Bucket=pipeline.uploads_bucket, Key=run.key, Body=PHOTO)
    pipeline.wait_for(run.key)
    event = run.event(None)
    event["detail"]["object"]["sequencer"] = "F1"
    run.start(event)
    execution = next(e for e in pipeline.executions() if e.key == run.key and e.version_id is None)
    return None if execution.status == "SUCCEEDED" else execution.error


def a_photo_that_no_rendition_shows_to_rekognition(pipeline: Pipeline) -> str | None:
    """The image is too small, so a temporary copy is made."""
    run = Run(pipeline, "small.jpg")
    run.upload(photo(60, 40))
    return None if run.outcome() == "COMPLETED" else run.outcome()


def vanished(run: Run) -> str | None:
    outcome = run.outcome()
    return None if outcome == "UploadVanishedError" else f"the upload has vanished, and the record says {outcome}"


def an_upload_gone_before_it_is_validated(pipeline: Pipeline) -> str | None:
    """The object is deleted before the event is processed."""
    run = Run(pipeline, "gone.jpg")
    run.start(run.event(str(uuid.uuid4())))
    return vanished(run)


def an_upload_gone_before_it_is_rendered(pipeline: Pipeline) -> str | None:
    """The object is deleted during processing."""
    run = Run(pipeline, "gone.jpg")

    def validate(event: dict[str, Any]) -> dict[str, Any]:
        return {"source": {**event["upload"], "versionId": str(uuid.uuid4())}, "image": {}, "milliseconds": 1}

    pipeline.replace("ValidateImageFunction", validate)
    run.upload()
    return vanished(run)


def renditions(pipeline: Pipeline, key: str) -> tuple[int, int]:
    """Return the numbers of all and of superseded versions of renditions."""
    s3, bucket = pipeline.client("s3"), pipeline.outputs["ThumbnailsBucketName"]
    versions = s3.list_object_versions(Bucket=bucket, Prefix=rendition_prefix(key)).get("Versions", [])
    tags = [s3.get_object_tagging(Bucket=bucket, Key=v["Key"], VersionId=v["VersionId"])["TagSet"] for v in versions]
    return len(versions), sum(bool(tag) for tag in tags)


def an_overwrite(pipeline: Pipeline) -> str | None:
    """The renditions of the previous image are superseded."""
    run = Run(pipeline, "overwritten.jpg")
    run.upload()
    run.upload(OTHER_PHOTO)
    stored, superseded = renditions(pipeline, run.key)
    return None if stored == 2 * superseded > 0 else f"of {stored} renditions, {superseded} are superseded"


def a_copy_of_what_is_shown(pipeline: Pipeline) -> str | None:
    """A copy of a shown image is not rendered again."""
    run = Run(pipeline, "copied.jpg")
    run.upload()
    run.upload()
    record = pipeline.record(run.key) or {}
    stored, superseded = renditions(pipeline, run.key)
    if not record.get("execution", {}).get("unchanged"):
        return f"the copy was processed: {run.outcome()}"
    return None if stored > superseded == 0 else f"of {stored} renditions, {superseded} are superseded"


def a_picture_that_keeps_its_labels(pipeline: Pipeline) -> str | None:
    """Rekognition fails when the image is processed again."""
    run = Run(pipeline, "labelled.jpg")
    run.upload()
    pipeline.fault("rekognition", "DetectLabels", "AccessDeniedException", times=-1)
    status = through_the_api(pipeline, "POST", f"/images/{run.key}/reprocess")
    if status != 202:
        return f"the API answers {status}"
    run.wait(lambda execution: execution.key == run.key and execution.name.startswith("reprocess_"))
    failure = (pipeline.record(run.key) or {}).get("lastFailure", {}).get("code")
    return failure or (None if run.outcome() == "COMPLETED" else run.outcome())


def an_overwrite_that_fails(pipeline: Pipeline) -> str | None:
    """The previous image is no longer shown."""
    run = Run(pipeline, "overwritten.jpg")
    run.upload()
    run.upload(b"words")
    stored, superseded = renditions(pipeline, run.key)
    return None if stored == superseded > 0 else f"of {stored} renditions, {superseded} are superseded"


def a_deletion(pipeline: Pipeline) -> str | None:
    """After a deletion through S3, the record is DELETED and no rendition is left."""
    run = Run(pipeline, "deleted.jpg")
    run.upload()
    pipeline.client("s3").delete_object(Bucket=pipeline.uploads_bucket, Key=run.key)
    run.wait_for_machine("DeleteImage")
    stored, _ = renditions(pipeline, run.key)
    return None if run.outcome() == "DELETED" and not stored else f"{run.outcome()}, and {stored} renditions are left"


def a_version_deleted_for_good(pipeline: Pipeline) -> str | None:
    """The version of the record is deleted without a delete marker."""
    run = Run(pipeline, "deleted.jpg")
    version = run.upload()
    pipeline.client("s3").delete_object(Bucket=pipeline.uploads_bucket, Key=run.key, VersionId=version)
    run.wait_for_machine("DeleteImage")
    return None if run.outcome() == "DELETED" else run.outcome()


def an_empty_upload(pipeline: Pipeline) -> str | None:
    """The workflow waits for its content and then rejects it."""
    run = Run(pipeline, "empty.jpg")
    pipeline.upload(run.key, b"")
    run.wait_for_machine("WaitForContent")
    run.wait_for_machine("ProcessImage")
    return None if run.outcome() == "EmptyUploadError" else run.outcome()


def waited_for(run: Run, version: str | None) -> str | None:
    """Return whether the wait noticed that the empty version was replaced."""
    event, entity = run.event(version), {"size": 0, "etag": "d41d8cd98f00b204e9800998ecf8427e"}
    event["detail"]["object"] |= entity
    arn = run.start(event, "WaitForContent")
    (execution,) = [execution for execution in run.pipeline.executions() if execution.arn == arn]
    last = run.pipeline.states_entered(execution)[-1]
    return None if last == "UploadReplaced" else f"the wait ended in {last}"


def an_empty_upload_that_got_its_content(pipeline: Pipeline) -> str | None:
    """The wait reads the current object."""
    run = Run(pipeline, "content.jpg")
    run.upload()
    return waited_for(run, str(uuid.uuid4()))


def an_empty_upload_that_is_gone(pipeline: Pipeline) -> str | None:
    """The wait finds no object."""
    return waited_for(Run(pipeline, "gone.jpg"), str(uuid.uuid4()))


def an_aborted_execution(pipeline: Pipeline) -> str | None:
    """The record does not stay PROCESSING, and a notification is sent."""
    run = Run(pipeline, "aborted.jpg")

    def validate(event: dict[str, Any]) -> dict[str, Any]:
        (execution,) = [
            execution for execution in pipeline.executions() if execution.key == run.key and execution.running
        ]
        pipeline.client("stepfunctions").stop_execution(executionArn=execution.arn)
        return {"source": event["upload"], "image": {}, "milliseconds": 1}

    pipeline.replace("ValidateImageFunction", validate)
    run.upload()
    run.wait_for_machine("SettleImage")
    if not any(run.key in notification["Message"] for notification in pipeline.notifications()):
        return "there was no notification"
    return None if run.outcome() == "ExecutionAbortedError" else run.outcome()


def a_lost_record(pipeline: Pipeline) -> str | None:
    """WatchRecords finds the record and settles it."""
    run = Run(pipeline, "lost.jpg")
    run.upload()
    long_ago = {":at": {"S": "2020-01-01T00:00:00Z"}, ":shard": {"S": "0"}, ":status": {"S": "PROCESSING"}}
    pipeline.client("dynamodb").update_item(
        TableName=pipeline.outputs["ImageTableName"],
        Key={"ImageKey": {"S": run.key}},
        UpdateExpression="SET claimedAt = :at, claimShard = :shard, #status = :status",
        ExpressionAttributeNames={"#status": "status"},
        ExpressionAttributeValues=long_ago,
    )
    watch = {"FunctionName": "image-pipeline-WatchRecordsFunction", "Payload": json.dumps({"id": "1"})}
    answer = pipeline.client("lambda").invoke(**watch)
    if "FunctionError" in answer:
        return str(json.loads(answer["Payload"].read()))
    run.wait_for_machine("SettleImage")
    if run.outcome() != "ExecutionTimedOutError":
        return run.outcome()
    stored, superseded = renditions(pipeline, run.key)
    return None if stored == superseded > 0 else f"of {stored} renditions, {superseded} are superseded"


def an_outcome_whose_answer_is_lost(pipeline: Pipeline) -> str | None:
    """The workflow reads the record to find its owner."""
    run = Run(pipeline, "unanswered.jpg")
    lost = {"status": 200, "containing": [run.key, "StoreResultsFunction"], "effective": True}
    pipeline.fault("lambda", "Invoke", "BrokenError", -1, **lost)
    run.upload()
    attributes = [notification["MessageAttributes"] for notification in pipeline.notifications()]
    statuses = [entry["status"]["Value"] for entry in attributes if entry["imageKey"]["Value"] == run.key]
    return None if (run.outcome(), statuses) == ("COMPLETED", ["SUCCESS"]) else f"{run.outcome()}, notified {statuses}"


def an_outcome_that_is_published(pipeline: Pipeline) -> str | None:
    """Each of two outcomes has its event."""
    run = Run(pipeline, "published.jpg")

    def published(count: int) -> bool:
        return sum(event["detail"]["imageKey"] == run.key for event in pipeline.events()) == count

    def denied() -> bool:
        return any(not call.allowed for call in pipeline.calls())

    run.upload(b"words")
    pipeline.wait_until(lambda: published(1) or denied(), run.key)
    run.upload(b"words")
    pipeline.wait_until(lambda: published(2) or denied(), run.key)
    return None if published(2) else "an outcome was not published"


def an_outcome_that_is_given_up(pipeline: Pipeline) -> str | None:
    """An outcome that breaks the function is kept in the queue."""
    url = pipeline.outputs["UnpublishedOutcomesQueueUrl"]
    pipeline.take_messages(url)  # of the runs before
    item = {"ImageKey": {"S": f"uploads/{uuid.uuid4()}"}, "status": {"S": "FAILED"}, "execution": {"M": {}}}
    pipeline.client("dynamodb").put_item(TableName=pipeline.outputs["ImageTableName"], Item=item)
    letters: list[Any] = []

    def settled() -> bool:
        letters.extend(pipeline.take_messages(url))
        return bool(letters) or any(not call.allowed for call in pipeline.calls())

    pipeline.wait_until(settled, "the letter")
    return None if letters else "what was given up is not kept"


def asking(pipeline: Pipeline, method: str, path: str, data: bytes | None, headers: dict[str, str]) -> Any:
    """Return a request with a new key."""
    key = apikeys.create(pipeline.client, table=pipeline.outputs["ApiKeyTableName"], name="a run").text
    return urllib.request.Request(pipeline.api_url + path, data, {"x-api-key": key, **headers}, method=method)


def ask_the_api(pipeline: Pipeline, method: str, path: str, data: bytes | None = None) -> Any:
    """Return the response of the API."""
    with urllib.request.urlopen(asking(pipeline, method, path, data, {})) as answer:
        return json.loads(answer.read())


def through_the_api(pipeline: Pipeline, method: str, path: str, data: bytes | None = None, **headers: str) -> int:
    """Return the status that the API responds with."""
    try:
        with urllib.request.urlopen(asking(pipeline, method, path, data, headers)) as answer:
            status: int = answer.status
    except HTTPError as error:
        with error:
            status = error.code
    return status


def a_deletion_through_the_api(pipeline: Pipeline) -> str | None:
    """The deletion has the condition that the upload is unchanged."""
    run = Run(pipeline, "deleted.jpg")
    run.upload()
    etag = pipeline.client("s3").head_object(Bucket=pipeline.uploads_bucket, Key=run.key)["ETag"]
    status = through_the_api(pipeline, "DELETE", f"/images/{run.key}", **{"if-match": etag})
    if status != 202:
        return f"the API answers {status}"
    run.wait_for_machine("DeleteImage")
    return None if run.outcome() == "DELETED" else run.outcome()


def a_reprocess_through_the_api(pipeline: Pipeline) -> str | None:
    """A reprocess replaces the newest event."""
    run = Run(pipeline, "again.jpg")
    run.upload()
    status = through_the_api(pipeline, "POST", f"/images/{run.key}/reprocess")
    if status != 202:
        return f"the API answers {status}"
    run.wait(lambda execution: execution.key == run.key and execution.name.startswith("reprocess_"))
    return None if run.outcome() == "COMPLETED" else run.outcome()


def a_change_of_nothing(pipeline: Pipeline) -> str | None:
    """Missing and forbidden uploads differ."""
    path = f"/images/{Run(pipeline, 'none.jpg').key}"
    statuses = through_the_api(pipeline, "DELETE", path), through_the_api(pipeline, "POST", f"{path}/reprocess")
    return None if statuses == (404, 404) else f"the API answers {statuses}"


def a_restored_upload(pipeline: Pipeline) -> str | None:
    """Its newest version is copied and processed."""
    run = Run(pipeline, "restored.jpg")
    run.upload()
    pipeline.client("s3").delete_object(Bucket=pipeline.uploads_bucket, Key=run.key)
    run.wait_for_machine("DeleteImage")
    status = through_the_api(pipeline, "POST", f"/images/{run.key}/restore")
    if status != 202:
        return f"the API answers {status}"
    version = pipeline.client("s3").head_object(Bucket=pipeline.uploads_bucket, Key=run.key)["VersionId"]
    run.wait(lambda execution: execution.version_id == version)
    return None if run.outcome() == "COMPLETED" else run.outcome()


def an_original(pipeline: Pipeline) -> str | None:
    """Its URL returns the bytes of the upload, and a missing upload is not forbidden."""
    run = Run(pipeline, "original.jpg")
    pipeline.upload(run.key, PHOTO)
    try:
        answer = ask_the_api(pipeline, "GET", original_path(run.key))
        with urllib.request.urlopen(answer["url"]) as download:
            same = download.read() == PHOTO
    except HTTPError as error:
        with error:
            return f"{urlsplit(str(error.url)).path} answers {error.code}"
    status = through_the_api(pipeline, "GET", original_path(f"{run.key}x"))
    return None if same and status == 404 else f"the API answers {status}"


def statuses_through_the_api(pipeline: Pipeline) -> str | None:
    """The statuses contain rendition URLs that work."""
    run = Run(pipeline, "many.jpg")
    run.upload()
    data = json.dumps({"imageKeys": [run.key]}).encode()
    try:
        answer = ask_the_api(pipeline, "POST", "/images/statuses", data)
        for rendition in answer["statuses"][0]["renditions"]:
            with urllib.request.urlopen(rendition["url"]):
                pass
    except HTTPError as error:
        with error:
            return f"{urlsplit(str(error.url)).path} answers {error.code}"
    return None if not answer["missing"] else "the record is missing"


def renditions_of_a_list(pipeline: Pipeline) -> str | None:
    """The list contains rendition URLs that work."""
    run = Run(pipeline, "shown.jpg")
    run.upload()

    def listed_urls() -> list[str]:
        images = ask_the_api(pipeline, "GET", "/images?status=COMPLETED&limit=100")["images"]
        return [image["renditionUrl"] for image in images if image["imageKey"] == run.key and "renditionUrl" in image]

    try:
        pipeline.wait_until(lambda: bool(listed_urls()), run.key)
        with urllib.request.urlopen(listed_urls()[0]):
            return None
    except HTTPError as error:
        with error:
            return f"{urlsplit(str(error.url)).path} answers {error.code}"


def a_batch(pipeline: Pipeline) -> str | None:
    """The batch has a new upload, an event with a version, a missing upload, and a malformed message."""
    run, sqs, url = Run(pipeline, "batch.jpg"), pipeline.client("sqs"), pipeline.outputs["BatchQueueUrl"]

    letters: list[str] = []

    def executions() -> list[Execution]:
        return [
            execution
            for execution in pipeline.executions()
            if execution.key == run.key and execution.name.startswith("batch_") and not execution.running
        ]

    def is_served() -> bool:
        messages = pipeline.take_messages(pipeline.outputs["BatchDeadLetterQueueUrl"])
        letters.extend(message["Body"] for message in messages)
        return words in letters and len(executions()) == 2

    def denied() -> bool:
        return any(not call.allowed for call in pipeline.calls())

    pipeline.take_messages(url)  # hidden ones, which an earlier run could not delete, may return and be processed, too
    version = run.upload()
    reference = {"bucket": pipeline.uploads_bucket, "key": run.key, "reprocess": True}
    words = f"no JSON, about {run.key}"
    event = run.event(version)
    event["detail"]["object"]["sequencer"] = "F" * 16  # newer than the upload's own
    for body in (reference, event, {**reference, "key": run.key + "x"}, words):
        sqs.send_message(QueueUrl=url, MessageBody=body if body == words else json.dumps(body))
    pipeline.wait_until(lambda: is_served() or denied(), "the batch")
    if denied():
        return "a message was not served"
    if letters.count(words) != 1:
        return f"{letters.count(words)} dead letters"
    return None if run.outcome() == "COMPLETED" else run.outcome()


def a_backfill(pipeline: Pipeline) -> str | None:
    """The backfill covers one upload, with a limit, up to the manifest."""
    run, states = Run(pipeline, "backfill.jpg"), pipeline.client("stepfunctions")
    run.upload()
    arn = states.start_execution(
        stateMachineArn=pipeline.outputs["BackfillStateMachineArn"],
        name=str(uuid.uuid4()),
        input=json.dumps({"prefix": run.key, "maxImages": 10}),
    )["executionArn"]
    status = pipeline.wait_for_end(arn).status
    if any(not call.allowed for call in pipeline.calls()):
        return status
    run.wait(lambda execution: execution.key == run.key and execution.name.startswith("batch_"))
    return None if run.outcome() == "COMPLETED" else run.outcome()


def an_upload_through_the_api(pipeline: Pipeline) -> str | None:
    """The content is in the request."""
    run = Run(pipeline, "http.jpg")
    path = f"/images?name={run.key.removeprefix('uploads/')}"
    status = through_the_api(pipeline, "POST", path, PHOTO, **{"content-type": "image/jpeg"})
    if status != 202:
        return f"the API answers {status}"
    pipeline.wait_for(run.key)
    return None if run.outcome() == "COMPLETED" else run.outcome()


def a_presigned_upload(pipeline: Pipeline) -> str | None:
    """The signature has the permissions of the role of the function."""
    run = Run(pipeline, "signed.jpg")
    upload_request = {"name": run.key.removeprefix("uploads/"), "contentType": "image/jpeg", "method": "PUT"}
    signed = ask_the_api(pipeline, "POST", "/images/presigned", json.dumps(upload_request).encode())
    request = urllib.request.Request(signed["put"]["url"], PHOTO, signed["put"]["headers"], method="PUT")
    try:
        with urllib.request.urlopen(request):
            pass
    except HTTPError as error:
        with error:
            return f"S3 answers {error.code}"
    pipeline.wait_for(run.key)
    return None if run.outcome() == "COMPLETED" else run.outcome()


def denied(pipeline: Pipeline) -> bool:
    """Return whether any call was denied."""
    return any(not call.allowed for call in pipeline.calls())


def an_image_that_is_listed(pipeline: Pipeline) -> str | None:
    """An image is listed during processing and after a failure; old entries are removed."""
    run = Run(pipeline, "listed.jpg")
    key = apikeys.create(pipeline.client, table=pipeline.outputs["ApiKeyTableName"], name="a run").text
    answers: list[int] = []

    def shown(uploaded: str) -> bool:
        request = urllib.request.Request(
            f"{pipeline.api_url}/images?status=FAILED&limit=100", headers={"x-api-key": key}
        )
        try:
            with urllib.request.urlopen(request) as answer:
                images = json.loads(answer.read())["images"]
        except HTTPError as error:
            with error:
                answers.append(error.code)
            return True
        return [image["uploadedAt"] for image in images if image["imageKey"] == run.key] == [uploaded]

    for _ in range(2):
        run.upload(b"words")
        uploaded = (pipeline.record(run.key) or {}).get("upload", {}).get("uploadedAt", "")
        pipeline.wait_until(lambda now=uploaded: shown(now) or denied(pipeline), run.key)
    if answers:
        return f"the API answers {answers}"
    return "a change was not listed" if denied(pipeline) else None


def a_change_that_cannot_be_listed(pipeline: Pipeline) -> str | None:
    """A change that breaks the function is kept in the queue."""
    url = pipeline.outputs["UnlistedImagesQueueUrl"]
    pipeline.take_messages(url)  # of the runs before

    def fail(_: Any) -> None:
        raise KeyError("dynamodb")

    pipeline.replace("IndexImagesFunction", fail)
    item = {"ImageKey": {"S": f"uploads/{uuid.uuid4()}"}, "status": {"S": "PROCESSING"}}
    pipeline.client("dynamodb").put_item(TableName=pipeline.outputs["ImageTableName"], Item=item)
    letters: list[Any] = []

    def settled() -> bool:
        letters.extend(pipeline.take_messages(url))
        return bool(letters) or denied(pipeline)

    pipeline.wait_until(settled, "the letter")
    return None if letters else "what was given up is not kept"


RUNS = [
    a_batch,  # the first, because its queue is asked all the time and by every other run, too
    a_photo,
    a_photo_without_version,
    a_photo_that_no_rendition_shows_to_rekognition,
    an_upload_gone_before_it_is_validated,
    an_upload_gone_before_it_is_rendered,
    an_overwrite,
    a_copy_of_what_is_shown,
    a_picture_that_keeps_its_labels,
    an_overwrite_that_fails,
    a_deletion,
    a_version_deleted_for_good,
    an_empty_upload,
    an_empty_upload_that_got_its_content,
    an_empty_upload_that_is_gone,
    an_aborted_execution,
    a_lost_record,
    an_outcome_whose_answer_is_lost,
    an_outcome_that_is_published,
    an_outcome_that_is_given_up,
    a_deletion_through_the_api,
    a_reprocess_through_the_api,
    a_restored_upload,
    an_original,
    statuses_through_the_api,
    renditions_of_a_list,
    a_change_of_nothing,
    a_backfill,
    an_upload_through_the_api,
    a_presigned_upload,
    an_image_that_is_listed,
    a_change_that_cannot_be_listed,
]


def speaks_of(permission: Permission, action: str, resource: str) -> bool:
    statement = {"Effect": "Allow", "Action": permission.action, "Resource": permission.resource}
    (parsed,) = policy.parse(statement, CONDITION_KEYS)
    return parsed.applies(policy.Request(action, resource))


@heavy  # it runs the pipeline once for each permission
def test_every_permission_is_needed(pipeline):
    """Removing any single permission makes a run fail; exceptions are listed above with a reason."""
    used: dict[Callable[[Pipeline], str | None], list[Any]] = {}
    for run in RUNS:
        pipeline.clear()
        assert run(pipeline) is None, run.__name__
        used[run] = pipeline.calls()
    unneeded = []
    for permission in permissions(pipeline):
        # Only runs that have used it can miss it.
        needing = [
            run
            for run, calls in used.items()
            if any(call.role == permission.role and speaks_of(permission, call.action, call.resource) for call in calls)
        ]
        for run in needing:
            pipeline.clear()
            pipeline.restrict(permission.role, without(pipeline, permission.role, {permission}))
            if failure := run(pipeline):
                denied = [call for call in pipeline.calls() if not call.allowed]
                # An execution of an earlier run may still be active, and may have other denied calls.
                if any(speaks_of(permission, call.action, call.resource) for call in denied):
                    needed = f"{permission.role} needs {permission.action} on {permission.resource}"
                    print(f"{needed} for {run.__name__}: else {failure}")
                    break
        else:
            unneeded.append(permission)
    unlisted = [permission for permission in unneeded if not excused(permission)]
    assert not unlisted, f"no run needs these: {unlisted}"
    stale = [permission for permission in permissions(pipeline) if excused(permission) and permission not in unneeded]
    assert not stale, f"these are listed as unneeded, and a run fails without them: {stale}"
    idle = [entry for entry in UNNEEDED if not any(fnmatchcase(permission.action, entry[1]) for permission in unneeded)]
    assert not idle, f"no role has these any more: {idle}"


def test_nothing_is_denied_in_a_run(pipeline):
    """The template grants every permission that the pipeline needs; calls of the user are not checked."""
    assert a_photo(pipeline) is None
    calls = pipeline.calls()
    assert {call.allowed for call in calls} == {True}
    idle_prefixes = (
        "CleanRenditions",
        "Watch",
        "Delete",
        "Settle",
        "WaitForContent",
        "Reprocess",
        "Authorize",
        "StartBatch",
        "SelectBackfill",
        "Backfill",
        "Upload",
        "Presign",
        "ListImages",
        "GetStatuses",
        "GetOriginal",
        "DescribeAccess",
        "ServePage",
        "RefuseRequest",
    )
    idle = {role for role in pipeline.roles if role.startswith(idle_prefixes)}
    assert {call.role for call in calls} - idle == set(pipeline.roles) - idle


def as_role(pipeline: Pipeline, role: str, service: str) -> Any:
    key = access_key(f"arn:aws:iam::{ACCOUNT_ID}:role/image-pipeline-{role}")
    return Clients(pipeline.aws_url, pipeline.region)(service, key)


@pytest.mark.parametrize(
    ("service", "status", "code", "call"),
    [
        ("s3", 403, "AccessDenied", lambda c, p: c.put_object(Bucket=p.uploads_bucket, Key="uploads/x", Body=b"x")),
        ("s3", 403, "403", lambda c, p: c.head_object(Bucket=p.outputs["ThumbnailsBucketName"], Key="x")),
        (
            "dynamodb",
            400,
            "AccessDeniedException",
            lambda c, p: c.delete_item(TableName=p.outputs["ImageTableName"], Key={"ImageKey": {"S": "x"}}),
        ),
        ("sns", 403, "AuthorizationError", lambda c, _: c.publish(TopicArn="arn:aws:sns:us-east-1:1:t", Message="m")),
        (
            "rekognition",
            400,
            "AccessDeniedException",
            lambda c, _: c.detect_labels(Image={"Bytes": encoded(gradient(100, 100))}),
        ),
        ("lambda", 403, "AccessDeniedException", lambda c, _: c.invoke(FunctionName="f", Payload=b"{}")),
        (
            "stepfunctions",
            400,
            "AccessDeniedException",
            lambda c, p: c.start_execution(stateMachineArn=p.outputs["ProcessImageStateMachineArn"], name="x"),
        ),
        ("sqs", 403, "AccessDenied", lambda c, _: c.list_queues()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_forbidden_call_is_denied_as_on_aws(pipeline, service, status, code, call):
    """Each service has its own error and status; unknown calls are denied, too."""
    with pytest.raises(ClientError) as caught:
        call(as_role(pipeline, "ValidateImageFunctionRole", service), pipeline)
    response = caught.value.response
    assert (response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]) == (status, code)


def test_a_missing_object_is_forbidden_without_the_permission_to_list(pipeline):
    """As in S3, only a caller that may list the bucket gets 404."""
    parameters = {"Bucket": pipeline.uploads_bucket, "Key": "uploads/missing"}
    client = as_role(pipeline, "ValidateImageFunctionRole", "s3")
    with pytest.raises(client.exceptions.NoSuchKey):
        client.get_object(**parameters)
    kept = [
        statement for statement in pipeline.roles["ValidateImageFunctionRole"] if statement["Action"] != "s3:ListBucket"
    ]
    pipeline.restrict("ValidateImageFunctionRole", kept)
    with pytest.raises(ClientError, match="AccessDenied"):
        client.get_object(**parameters)


def test_a_batch_deletion_deletes_only_permitted_objects(pipeline):
    """As in S3, the batch succeeds and lists the denied objects."""
    role, s3, bucket = "CleanRenditionsFunctionRole", pipeline.client("s3"), pipeline.outputs["ThumbnailsBucketName"]
    kept, deletable = "thumbnails/batch/kept", "thumbnails/batch/ü & more"
    versions = {name: s3.put_object(Bucket=bucket, Key=name, Body=b"x")["VersionId"] for name in (kept, deletable)}
    batch = {"Objects": [{"Key": name, "VersionId": version} for name, version in versions.items()]}

    def delete(allowed: str) -> tuple[list[str], list[tuple[str, ...]]]:
        statement = {"Effect": "Allow", "Action": "s3:DeleteObjectVersion", "Resource": f"arn:aws:s3:::{allowed}"}
        pipeline.restrict(role, [statement])
        answer = as_role(pipeline, role, "s3").delete_objects(Bucket=bucket, Delete=batch)
        errors = [(error["Key"], error["VersionId"], error["Code"]) for error in answer["Errors"]]
        return [entry["Key"] for entry in answer.get("Deleted", [])], errors

    denied = [(name, version, "AccessDenied") for name, version in versions.items()]
    assert delete("elsewhere/*") == ([], denied)
    assert delete(f"{bucket}/{deletable}") == ([deletable], denied[:1])
    left = s3.list_object_versions(Bucket=bucket, Prefix="thumbnails/batch/")["Versions"]
    assert [entry["Key"] for entry in left] == [kept]


def test_a_function_writes_only_to_its_own_log_group():
    """SAM grants all log groups by a managed policy, so the role must deny the others."""
    template = load(ROOT / "template.yml", "image-pipeline", "us-east-1")
    stack = plan(template, "", "")
    judge = Guard(stack.roles, {})
    roles = {role.arn: role for role in stack.roles}
    account = f"arn:aws:logs:us-east-1:{ACCOUNT_ID}:log-group"
    groups = {f"{account}:{function.log_group}" for function in stack.functions}
    foreign_groups = {
        f"{account}:/aws/lambda/other",
        f"{account}:other",
        "arn:aws:logs:us-east-1:210987654321:log-group:x",
    }
    assert len(groups) == len(stack.functions)
    for function in stack.functions:
        role, own = roles[function.role], f"{account}:{function.log_group}"
        assert judge.allows(role, policy.Request("logs:CreateLogStream", f"{own}:log-stream:2026/11/27/[1]a"))
        assert judge.allows(role, policy.Request("logs:PutLogEvents", f"{own}:log-stream:2026/11/27/[1]a"))
        for group in groups | foreign_groups - {own}:
            allowed = judge.allows(role, policy.Request("logs:PutLogEvents", f"{group}:log-stream:x"))
            assert allowed == (group == own), f"{role.logical_id} may write to {group}"
            assert not judge.allows(role, policy.Request("logs:CreateLogGroup", group))


def guard(effect: str, condition: dict[str, Any]) -> tuple[Guard, Role]:
    """A guard with a role that may read, and a bucket with a policy."""
    allow = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}
    role = Role("R", f"arn:aws:iam::{ACCOUNT_ID}:role/R", [allow] if effect == "Deny" else [])
    body = {
        "Effect": effect,
        "Principal": "*",
        "Action": "s3:*",
        "Resource": "arn:aws:s3:::b/*",
        "Condition": condition,
    }
    return Guard([role], {"arn:aws:s3:::b": [body]}), role


@pytest.mark.parametrize(("effect", "secure", "allowed"), [("Deny", "false", True), ("Deny", "true", False)])
def test_the_policy_of_a_bucket_is_evaluated_with_that_of_the_role(effect, secure, allowed):
    """A deny of the bucket wins; loopback counts as TLS."""
    judge, role = guard(effect, {"Bool": {"aws:SecureTransport": secure}})
    assert judge.allows(role, read_permission(bucket="b", key="k", version=None, region="us-east-1")) == allowed
    assert judge.calls() == [
        {"role": "R", "action": "s3:GetObject", "resource": "arn:aws:s3:::b/k", "allowed": allowed}
    ]


def test_the_policy_of_a_bucket_can_allow_more_than_the_role():
    """Within an account, either policy is enough."""
    judge, role = guard("Allow", {})
    assert judge.allows(role, read_permission(bucket="b", key="k", version=None, region="us-east-1"))
    assert not judge.allows(role, read_permission(bucket="c", key="k", version=None, region="us-east-1"))


def test_queues_and_topics_have_policies_too():
    """A service needs the policy of the resource, for the named source only."""
    queue, topic = (f"arn:aws:{service}:us-east-1:{ACCOUNT_ID}:s-R" for service in ("sqs", "sns"))
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    service = {**statement, "Principal": {"Service": "events.amazonaws.com"}}
    service["Condition"] = {"ArnEquals": {"aws:SourceArn": "arn:aws:events:us-east-1:1:rule/known"}}
    role = Role("R", f"arn:aws:iam::{ACCOUNT_ID}:role/R", [])
    resources = {
        "Q": {
            "Type": "AWS::SQS::QueuePolicy",
            "Properties": {"Queues": ["http://x/1/s-R"], "PolicyDocument": {"Statement": [service]}},
        },
        "T": {
            "Type": "AWS::SNS::TopicPolicy",
            "Properties": {
                "Topics": [topic],
                "PolicyDocument": {"Statement": {**statement, "Principal": {"AWS": role.arn}}},
            },
        },
    }
    template = Template(ROOT / "template.yml", {"Resources": resources}, {}, "s", "us-east-1")
    judge = Guard([role], plan(template, "", "").resource_policies)
    for source, allowed in (("known", True), ("other", False)):
        need = send_permission(queue, f"arn:aws:events:us-east-1:1:rule/{source}")
        assert judge.admits("events.amazonaws.com", need) == allowed
        assert not judge.admits("sns.amazonaws.com", need)
    assert judge.allows(role, policy.Request("sns:Publish", topic))
    assert not judge.allows(role, policy.Request("sqs:SendMessage", queue))


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        ({"R": {"Type": "AWS::IAM::Role", "Properties": {"ManagedPolicyArns": ["arn:x:policy/Admin"]}}}, "Admin"),
        ({"R": {"Type": "AWS::IAM::Role", "Properties": {"PermissionsBoundary": "arn:x"}}}, "boundary"),
        ({"P": {"Type": "AWS::IAM::Policy", "Properties": {}}}, "^P is a policy"),
    ],
)
def test_unsupported_policies_stop_the_deployment(resources, words):
    """No role may run with policies that are not evaluated."""
    template = Template(ROOT / "template.yml", {"Resources": resources}, {}, "s", "us-east-1")
    with pytest.raises(TemplateError, match=words):
        plan(template, "", "")
