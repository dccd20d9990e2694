"""image_pipeline.batch.backfills"""

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from image_pipeline.batch import backfills
from image_pipeline.batch.backfills import BackfillFilter, ListedObject
from image_pipeline.errors import StorageUnavailableError
from tests.conftest import BACKFILL_TABLE, IMAGE_TABLE, UPLOADS_BUCKET, aws_client, put_record

LISTED = ListedObject("uploads/a.jpg", 10, 1000.0)


@pytest.mark.parametrize(
    ("backfill_filter", "record", "chosen"),
    [
        (BackfillFilter(), {}, True),
        (BackfillFilter(), {"status": "COMPLETED", "recipeId": "today"}, True),
        (BackfillFilter(), {"status": "PROCESSING"}, False),
        (BackfillFilter(changed_since=1000), {}, True),
        (BackfillFilter(changed_since=1001), {}, False),
        (BackfillFilter(recipe_changed=True), {}, True),
        (BackfillFilter(recipe_changed=True), {"status": "COMPLETED", "recipeId": "today"}, False),
        (BackfillFilter(recipe_changed=True), {"status": "PARTIAL", "recipeId": "yesterday"}, True),
        (BackfillFilter(recipe_changed=True), {"status": "COMPLETED"}, True),
        (BackfillFilter(recipe_changed=True), {"status": "FAILED", "recipeId": "yesterday"}, False),
        (BackfillFilter(recipe_changed=True), {"status": "DELETED", "recipeId": "today"}, True),
        (BackfillFilter(failed_only=True), {"status": "FAILED"}, True),
        (BackfillFilter(failed_only=True), {"status": "FAILED", "error": {"code": "Runtime.ExitError"}}, True),
        (BackfillFilter(failed_only=True), {"status": "FAILED", "error": {"code": "CorruptImageError"}}, False),
        (BackfillFilter(failed_only=True), {"status": "COMPLETED", "recipeId": "yesterday"}, False),
        (BackfillFilter(failed_only=True), {}, False),
        (BackfillFilter(rejected_only=True), {"status": "FAILED", "error": {"code": "UploadTooLargeError"}}, True),
        (BackfillFilter(rejected_only=True), {"status": "FAILED", "error": {"code": "States.Timeout"}}, False),
        (BackfillFilter(rejected_only=True), {"status": "COMPLETED", "recipeId": "yesterday"}, False),
        (BackfillFilter(rejected_only=True), {}, False),
        (BackfillFilter(failed_only=True), {"status": "COMPLETED", "lastFailure": {"code": "Runtime.ExitError"}}, True),
        (
            BackfillFilter(failed_only=True),
            {"status": "PARTIAL", "lastFailure": {"code": "UploadArchivedError"}},
            False,
        ),
        (
            BackfillFilter(rejected_only=True),
            {"status": "COMPLETED", "lastFailure": {"code": "UploadArchivedError"}},
            True,
        ),
        (
            BackfillFilter(rejected_only=True),
            {"status": "COMPLETED", "lastFailure": {"code": "Runtime.ExitError"}},
            False,
        ),
        (
            BackfillFilter(recipe_changed=True),
            {"status": "COMPLETED", "recipeId": "today", "lastFailure": {"code": "X"}},
            False,
        ),
    ],
)
def test_a_filter_chooses_by_time_status_and_recipe(backfill_filter, record, chosen):
    """Uploads in PROCESSING are never selected."""
    assert backfill_filter.selects(LISTED, record, "today") is chosen


def test_folder_markers_are_not_selected():
    """Folder markers are never selected."""
    assert not BackfillFilter().selects(ListedObject("uploads/folder/", 0, 1000.0), {}, "today")


def test_a_selection_reads_the_records(aws):
    """The records of a hundred uploads are compared with the recipes of their folders."""
    objects = [ListedObject(f"uploads/{number}.jpg", 1, 0) for number in range(100)]
    for item in objects[:50]:
        put_record(item.key, status="COMPLETED", recipeId=f"of {item.key}")
    backfill_filter = BackfillFilter(recipe_changed=True)
    chosen = backfills.select(aws_client, IMAGE_TABLE, objects, backfill_filter, lambda key: f"of {key}")
    assert chosen == objects[50:]


def test_a_selection_reads_the_error_of_a_failed_upload(aws):
    """The error code distinguishes rejected files from other failures."""
    for key, code in (("uploads/words.jpg", "UnsupportedFormatError"), ("uploads/unlucky.jpg", "Runtime.ExitError")):
        put_record(key, status="FAILED", error={"code": code, "message": "m", "hint": "h", "step": "s"})
    failure = {"code": "UploadArchivedError", "executionId": "e"}
    put_record("uploads/kept.jpg", status="COMPLETED", lastFailure=failure)
    objects = [ListedObject("uploads/words.jpg", 1, 0), ListedObject("uploads/unlucky.jpg", 1, 0), LISTED]
    for backfill_filter, chosen in (
        (BackfillFilter(rejected_only=True), objects[:1]),
        (BackfillFilter(failed_only=True), objects[1:2]),
    ):
        assert backfills.select(aws_client, IMAGE_TABLE, objects, backfill_filter, str) == chosen
    objects = [ListedObject("uploads/kept.jpg", 1, 0)]
    assert backfills.select(aws_client, IMAGE_TABLE, objects, BackfillFilter(rejected_only=True), str) == objects


def test_an_empty_selection_makes_no_call():
    """DynamoDB rejects a request without keys."""
    assert backfills.select(None, IMAGE_TABLE, [], BackfillFilter(), str) == []


def test_a_backfill_continues_after_a_deployment():
    """An older input lacks newer fields."""
    fields = {"changedSince": 0, "recipeChanged": False, "failedOnly": True}
    assert BackfillFilter.from_json(fields) == BackfillFilter(failed_only=True)
    assert BackfillFilter.from_json({**fields, "failedOnly": False, "rejectedOnly": True}) == BackfillFilter(
        rejected_only=True
    )


def test_omitted_records_are_requested_again(aws, monkeypatch):
    """DynamoDB may leave keys unprocessed, and a missing record would look like a new upload."""
    monkeypatch.setattr(backfills.time, "sleep", lambda _: None)
    table = aws_client("dynamodb")
    item = {"ImageKey": {"S": LISTED.key}, "status": {"S": "PROCESSING"}}
    unprocessed = {IMAGE_TABLE: {"Keys": [{"ImageKey": {"S": LISTED.key}}]}}
    with Stubber(table) as stub:
        stub.add_response("batch_get_item", {"Responses": {IMAGE_TABLE: []}, "UnprocessedKeys": unprocessed})
        stub.add_response("batch_get_item", {"Responses": {IMAGE_TABLE: [item]}})
        assert backfills.select(lambda _: table, IMAGE_TABLE, [LISTED], BackfillFilter(), str) == []
        for _ in range(5):
            stub.add_response("batch_get_item", {"Responses": {IMAGE_TABLE: []}, "UnprocessedKeys": unprocessed})
        with pytest.raises(StorageUnavailableError):
            backfills.select(lambda _: table, IMAGE_TABLE, [LISTED], BackfillFilter(), str)


# ---- The queue and the limit


@pytest.fixture
def stack(aws):
    url = aws_client("sqs").get_queue_url(QueueName="batch-queue")["QueueUrl"]
    return backfills.BackfillResources(bucket=UPLOADS_BUCKET, backfill_table=BACKFILL_TABLE, queue_url=url)


def some(count):
    return [ListedObject(f"uploads/{number}.jpg", 1, 0) for number in range(count)]


def sent(stack):
    sqs = aws_client("sqs")
    bodies = []
    while messages := sqs.receive_message(QueueUrl=stack.queue_url, MaxNumberOfMessages=10).get("Messages", []):
        bodies += [json.loads(message["Body"]) for message in messages]
    return bodies


def test_without_a_limit_all_uploads_are_sent(stack):
    """Without a limit, no count is stored."""
    chosen = some(25)
    assert backfills.enqueue(aws_client, stack, "b", chosen, 0) == chosen
    expected = [{"bucket": UPLOADS_BUCKET, "key": upload.key, "reprocess": True} for upload in chosen]
    assert sorted(sent(stack), key=str) == sorted(expected, key=str)
    assert aws_client("dynamodb").scan(TableName=BACKFILL_TABLE)["Items"] == []


@pytest.mark.parametrize(
    ("most", "expected"), [(1, [1, 0, 0]), (25, [20, 5, 0]), (60, [20, 20, 20]), (50, [20, 20, 10])]
)
def test_the_limit_is_reached_and_never_exceeded(stack, most, expected):
    """A batch may be reduced to the remaining limit; each backfill has its own limit."""
    counts = [len(backfills.enqueue(aws_client, stack, "b", some(20), most)) for _ in range(3)]
    assert counts == expected
    assert len(sent(stack)) == min(60, most)
    assert len(backfills.enqueue(aws_client, stack, "another", some(5), most)) == min(5, most)


def test_concurrent_batches_stay_within_the_limit(stack):
    """The count is conditional, so concurrent batches never exceed the limit."""
    table = aws_client("dynamodb")
    one_by_one = Lock()  # DynamoDB's conditions are atomic, those of moto are not

    class Table:
        def update_item(self, **request):
            with one_by_one:
                return table.update_item(**request)

    def client(service):
        return Table() if service == "dynamodb" else aws_client(service)

    with ThreadPoolExecutor(8) as threads:
        counts = list(threads.map(lambda _: len(backfills.enqueue(client, stack, "b", some(9), 50)), range(16)))
    assert sum(counts) == 50


def test_messages_that_sqs_refuses_are_sent_again(stack, monkeypatch):
    """Only refused messages are sent again; if SQS keeps refusing, the batch fails."""
    monkeypatch.setattr(backfills.time, "sleep", lambda _: None)
    sqs = aws_client("sqs")
    refused = {"Id": "1", "SenderFault": False, "Code": "InternalError"}

    def client(service):
        return sqs if service == "sqs" else aws_client(service)

    with Stubber(sqs) as stub:
        stub.add_response("send_message_batch", {"Successful": [], "Failed": [refused]})
        entry = {
            "Id": "1",
            "MessageBody": json.dumps({"bucket": UPLOADS_BUCKET, "key": "uploads/1.jpg", "reprocess": True}),
        }
        stub.add_response(
            "send_message_batch", {"Successful": [], "Failed": []}, {"QueueUrl": stack.queue_url, "Entries": [entry]}
        )
        assert len(backfills.enqueue(client, stack, "b", some(2), 0)) == 2
        for _ in range(5):
            stub.add_response("send_message_batch", {"Successful": [], "Failed": [{**refused, "Id": "0"}]})
        with pytest.raises(StorageUnavailableError, match="1"):
            backfills.enqueue(client, stack, "b", some(2), 0)


def test_throttling_is_transient_and_a_refusal_is_permanent(stack):
    """The workflow retries transient errors only."""
    sqs = aws_client("sqs")
    for code, expected in (("ThrottlingException", StorageUnavailableError), ("AccessDenied", ClientError)):
        with Stubber(sqs) as stub:
            stub.add_client_error("send_message_batch", code, http_status_code=400)
            with pytest.raises(expected):
                backfills.enqueue(lambda _: sqs, stack, "b", some(1), 0)
