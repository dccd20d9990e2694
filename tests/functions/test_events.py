"""events/: the function of each file reaches the outcome in the file's name."""

import hashlib
import json
import re
from functools import cache

import pytest

from image_pipeline import aws as clients
from image_pipeline.errors import PipelineError
from image_pipeline.imaging import resize
from local.emulator.rekognition import detect_labels
from local.samples import samples
from tests.conftest import IMAGE_TABLE, ROOT, THUMBNAILS_BUCKET, UPLOADS_BUCKET, aws_client, put_record, put_upload
from tests.functions.conftest import load_handler

OUTPUTS = {
    "UploadsBucketName": UPLOADS_BUCKET,
    "ThumbnailsBucketName": THUMBNAILS_BUCKET,
    "ImageTableName": IMAGE_TABLE,
}
EVENTS = sorted(path.stem for path in (ROOT / "events").glob("*.json"))
FUNCTIONS = sorted(path.parent.name for path in (ROOT / "functions").glob("*/app.py"))

OUTCOMES = {
    "validate_image": lambda result: result["image"]["format"] == "JPEG",
    "validate_image_not_an_image": "UnsupportedFormatError",
    "validate_image_empty_upload": "EmptyUploadError",
    "validate_image_too_many_bytes": "UploadTooLargeError",
    "validate_image_vanished_upload": "UploadVanishedError",
    "generate_thumbnails": lambda result: (
        {rendition["name"] for rendition in result["renditions"]} >= {"100x100", "640x480"}
    ),
    "generate_thumbnails_replaced_upload": "UploadVanishedError",
    "extract_metadata": lambda result: result["labels"] and result["labelModelVersion"],
    "store_results": lambda result: result["status"] == "COMPLETED",
    "store_results_partial": lambda result: result["status"] == "PARTIAL",
    "clean_renditions": lambda result: result["cleaned"] == 1,
    "watch_records": lambda result: result == {"oldestProcessingSeconds": 0, "settled": 0, "restarted": 0},
    "publish_outcomes": lambda result: result == {"batchItemFailures": []},
    "index_images": lambda result: result == {"batchItemFailures": []},
    "list_images": lambda result: result["statusCode"] == 200,
    "list_images_unknown_status": lambda result: result["statusCode"] == 400,
    "get_status": lambda result: result["statusCode"] == 200,
    "get_status_nested": lambda result: result["statusCode"] == 200,
    "get_status_rendition": lambda result: "/web.webp?" in result["headers"]["location"],
    "get_status_unknown": lambda result: result["statusCode"] == 404,
    "get_status_not_a_key": lambda result: result["statusCode"] == 400,
    "authorize_malformed_key": lambda result: result == {"isAuthorized": False},
    "authorize_unknown_key": lambda result: result == {"isAuthorized": False},
    "delete_upload": lambda result: result["statusCode"] == 202,
    "delete_upload_unknown": lambda result: result["statusCode"] == 404,
    "delete_upload_changed": lambda result: result["statusCode"] == 412,
    "select_backfill": lambda result: (result["listed"], result["selected"], result["selectedBytes"]) == (1, 1, 24680),
    "select_backfill_limited": lambda result: (result["selected"], result["overLimit"]) == (1, 0),
    "start_batch": lambda result: result == {"batchItemFailures": []},
    "start_batch_malformed_message": lambda result: len(result["batchItemFailures"]) == 1,
    "upload_image": lambda result: result["statusCode"] == 202,
    "upload_image_not_an_image": lambda result: result["statusCode"] == 415,
    "presign_upload": lambda result: result["statusCode"] == 200,
    "presign_upload_too_large": lambda result: result["statusCode"] == 413,
    "get_original_unknown": lambda result: result["statusCode"] == 404,
    "get_statuses": lambda result: result["statusCode"] == 200,
    "describe_access": lambda result: json.loads(result["body"])["scopes"] == ["read", "upload", "delete"],
    "serve_page": lambda result: result["headers"]["content-type"] == "text/html; charset=utf-8",
    "serve_page_unknown_file": lambda result: result["statusCode"] == 404,
    "refuse_request": lambda result: (result["statusCode"], result["headers"]["allow"]) == (405, "GET, HEAD, OPTIONS"),
    "refuse_request_unknown_path": lambda result: result["statusCode"] == 404,
    "refuse_request_options": lambda result: (
        (result["statusCode"], result["headers"]["allow"]) == (204, "GET, POST, OPTIONS")
    ),
    "reprocess_upload": lambda result: result["statusCode"] == 202,
    "reprocess_upload_focus": lambda result: result["statusCode"] in (202, 429),
    "reprocess_upload_restore_unknown": lambda result: result["statusCode"] == 404,
    "reprocess_upload_unknown": lambda result: result["statusCode"] == 404,
}


@cache
def event_text(name):
    return (ROOT / "events" / f"{name}.json").read_text()


def event(name):
    return json.loads(re.sub(r"\$\{(\w+)\}", lambda match: OUTPUTS[match[1]], event_text(name)))


def location(picture):
    return {"Bucket": picture["bucket"], "Key": picture["key"]}


def function_of(name):
    return max((folder for folder in FUNCTIONS if name.startswith(folder)), key=len)


_samples = cache(samples)


@pytest.fixture
def _uploaded(name, monkeypatch):
    """Upload the samples that an event mentions, and create the records and the workflow that it needs."""
    mentioned = event_text(name).__contains__
    for sample in filter(lambda sample: mentioned(sample.key), _samples()):
        aws_client("s3").put_object(Bucket=UPLOADS_BUCKET, Key=sample.key, Body=sample.data)
    if name in ("extract_metadata", "clean_renditions"):  # the rendition that one labels and the other deletes
        (coffee,) = [sample for sample in _samples() if sample.key == "uploads/coffee.jpg"]
        aws_client("s3").put_object(**location(event("extract_metadata")["picture"]), Body=coffee.data)
    if mentioned("uploads/empty.jpg"):
        aws_client("s3").put_object(Bucket=UPLOADS_BUCKET, Key="uploads/empty.jpg", Body=b"")
    rendition = {"name": "web", "format": "WEBP", "bucket": THUMBNAILS_BUCKET, "key": "thumbnails/a.jpg/0/web.webp"}
    for key in filter(mentioned, ("uploads/coffee.jpg", "uploads/pets/Chelsea (1).jpg")):
        put_record(key, status="COMPLETED", renditions=[rendition])
    if mentioned("uploads/invoked.jpg"):
        put_record("uploads/invoked.jpg", execution={"id": event("store_results")["executionId"]})
    if function_of(name) in ("reprocess_upload", "start_batch"):
        aws_client("stepfunctions").create_state_machine(
            name="process", definition="{}", roleArn="arn:aws:iam::123456789012:role/r"
        )

    def read_object(bucket, key, _version):
        return aws_client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()

    class StandIn:
        def detect_labels(self, **request):
            _, answer = detect_labels(request, read_object)
            return answer

    real = clients.client
    monkeypatch.setattr(clients, "client", lambda service: StandIn() if service == "rekognition" else real(service))


@pytest.mark.usefixtures("_uploaded")
@pytest.mark.parametrize("name", OUTCOMES)
def test_each_event_has_the_outcome_in_its_name(name):
    """Each event has the outcome that its file name states."""
    expected = OUTCOMES[name]
    if isinstance(expected, str):
        with pytest.raises(PipelineError) as caught:
            load_handler(function_of(name))(event(name))
        assert type(caught.value).__name__ == expected
    else:
        assert expected(load_handler(function_of(name))(event(name)))


def test_every_event_has_an_outcome_and_every_function_an_event():
    """A new file in events/ needs an entry in OUTCOMES, and a new function needs a file."""
    assert set(EVENTS) == OUTCOMES.keys() | {name for name in EVENTS if name.startswith("object_created")}
    assert {function_of(name) for name in OUTCOMES} == set(FUNCTIONS)


def test_the_events_refer_to_the_samples():
    """The etags in the events must match the samples."""
    (coffee,) = [sample for sample in _samples() if sample.key == "uploads/coffee.jpg"]
    for name, part in (("validate_image", "upload"), ("generate_thumbnails", "source")):
        source = event(name)[part]
        assert source["etag"] == hashlib.md5(coffee.data).hexdigest()
        assert source["sizeBytes"] == len(coffee.data)


@pytest.mark.skipif(resize.name() == "pillow", reason="Pillow's own resizer gives other files, so other names")
def test_the_event_of_a_rendition_refers_to_a_key_of_the_local_run():
    """The key must match what the local run writes, which depends on Pillow, engine and recipes."""
    (coffee,) = [sample for sample in _samples() if sample.key == "uploads/coffee.jpg"]
    source = put_upload(coffee.key, coffee.data)
    result = load_handler("generate_thumbnails")({"imageKey": coffee.key, "source": source, "executionId": "1"})
    assert location(event("extract_metadata")["picture"]) == location(result["picture"])
