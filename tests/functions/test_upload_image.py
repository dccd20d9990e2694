"""functions/upload_image"""

import base64
import json

from image_pipeline.keys import status_path
from tests.conftest import UPLOADS_BUCKET, aws_client, put_upload
from tests.pictures import photo

PHOTO = photo(60, 40)


def event(data=PHOTO, name="a/ü?.jpg", **headers):
    return {
        "headers": headers,
        "queryStringParameters": {"name": name},
        "body": base64.b64encode(data).decode(),
        "isBase64Encoded": True,
        "requestContext": {"requestId": "request-1", "authorizer": {"lambda": {"keyId": "key-1"}}},
    }


def test_an_image_is_stored_and_its_status_path_returned(handler, caplog):
    """The response is 202, and the log contains the caller but no file name."""
    answer = handler(event())
    stored = aws_client("s3").get_object(Bucket=UPLOADS_BUCKET, Key="uploads/a/ü?.jpg")
    path = status_path("uploads/a/ü?.jpg")
    assert (answer["statusCode"], answer["headers"]["location"]) == (202, path)
    assert json.loads(answer["body"]) == {
        "imageKey": "uploads/a/ü?.jpg",
        "status": "PROCESSING",
        "statusUrl": f"https://api.example{path}",
        "versionId": stored["VersionId"],
        "sizeBytes": len(PHOTO),
        "contentType": "image/jpeg",
    }
    assert (stored["Body"].read(), stored["ContentType"]) == (PHOTO, "image/jpeg")
    (line,) = [record for record in caplog.records if record.getMessage() == "upload stored"]
    assert (line.caller, line.size_bytes, line.version_id) == ("key-1", len(PHOTO), stored["VersionId"])


def test_a_refused_request_stores_nothing(handler):
    """Each error is a problem document with its own status code."""
    refused = [
        (event(b""), 400),
        (event(name="../x.jpg"), 400),
        (event(**{"if-match": "*"}), 400),
        (event(b"words"), 415),
        (event(PHOTO + b"\0" * 4_500_000), 413),
    ]
    for request, status in refused:
        answer = handler(request)
        assert (answer["statusCode"], answer["headers"]["content-type"]) == (status, "application/problem+json")
        assert json.loads(answer["body"])["status"] == status
    assert "Contents" not in aws_client("s3").list_objects_v2(Bucket=UPLOADS_BUCKET)


def test_if_none_match_protects_an_existing_upload(handler):
    """The response is 412, and the existing upload stays."""
    version = put_upload("uploads/a.jpg", b"x")["versionId"]
    assert handler(event(name="a.jpg", **{"if-none-match": "*"}))["statusCode"] == 412
    assert aws_client("s3").head_object(Bucket=UPLOADS_BUCKET, Key="uploads/a.jpg")["VersionId"] == version
    assert handler(event(name="b.jpg", **{"if-none-match": "*"}))["statusCode"] == 202


def test_a_format_that_the_deployment_leaves_out_is_refused(handler, monkeypatch):
    """The parameter ImageFormats applies to uploads over HTTP."""
    monkeypatch.setenv("IMAGE_FORMATS", "PNG,GIF")
    assert handler(event())["statusCode"] == 415
