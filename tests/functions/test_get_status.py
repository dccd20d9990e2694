"""functions/get_status"""

import json
from contextlib import contextmanager

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from image_pipeline import aws as clients
from image_pipeline import keys
from tests.conftest import ENVIRONMENT, put_record, put_upload


def event(path, query=None, method="GET", **headers):
    context = {"requestId": "request-1", "http": {"method": method, "path": path}}
    request = {"version": "2.0", "rawPath": path, "requestContext": context}
    if query:
        request["queryStringParameters"] = query
    if headers:
        request["headers"] = {name.replace("_", "-"): value for name, value in headers.items()}
    return request


def test_a_known_upload_is_answered_with_its_record(handler):
    """The response is 200 with the record as JSON."""
    put_record("uploads/Zürich 🏝.jpg")
    answer = handler(event("/images/uploads/Zürich 🏝.jpg/status"))
    body = json.loads(answer["body"])
    assert answer["statusCode"] == 200
    assert (body["imageKey"], body["status"]) == ("uploads/Zürich 🏝.jpg", "PROCESSING")
    assert body["ImageKey"] == body["imageKey"]  # for old clients


def test_an_unknown_upload_is_not_found(handler):
    """The text is part of the documented answers."""
    answer = handler(event("/images/uploads/no.jpg/status"))
    assert answer["statusCode"] == 404
    assert answer["headers"]["content-type"] == "application/problem+json"
    body = json.loads(answer["body"])
    assert body["message"] == body["detail"] == "Image details not found for the given image identifier."


def test_a_path_that_cannot_be_a_key_is_a_bad_request(handler):
    """The response is 400 with the rule and a hint."""
    answer = handler(event("/images/uploads/" + "x" * 2000 + "/status"))
    assert answer["statusCode"] == 400
    assert "\n" not in json.loads(answer["body"])["message"]


@pytest.mark.parametrize("path", ["/images/uploads/a.jpg", "/images/uploads/status", "/images/uploads/a.jpg/reprocess"])
def test_a_path_that_is_not_a_status_refuses_get(handler, path):
    """The response is 405 and contains the status path."""
    answer = handler(event(path))
    assert answer["statusCode"] == 405
    assert answer["headers"]["allow"] == ("POST, OPTIONS" if path.endswith("g/reprocess") else "DELETE, OPTIONS")
    assert "/images/uploads/{filename}/status" in json.loads(answer["body"])["message"]


def test_a_rendition_that_no_recipe_could_name_is_not_found(handler):
    """An impossible rendition name is not found without a read."""
    answer = handler(event("/images/uploads/a.jpg/renditions/no name"))
    assert (answer["statusCode"], "allow" in answer["headers"]) == (404, False)


def test_the_folder_itself_can_be_an_upload(handler):
    """`uploads/` with bytes is a key like any other."""
    put_record("uploads/")
    assert handler(event(keys.status_path("uploads/")))["statusCode"] == 200


@contextmanager
def dynamodb_answers(code, status):
    """Make every read of the table fail with an error of AWS."""
    text = "User: arn:aws:sts::123456789012:assumed-role/stack-GetStatusRole/f is not authorized on table/image-table"
    with Stubber(clients.client("dynamodb")) as stub:
        for _ in range(3):
            stub.add_client_error("get_item", code, text, status)
        yield


def test_an_unavailable_table_is_reported_without_details(handler):
    """The response is 503 without details of AWS."""
    with dynamodb_answers("ThrottlingException", 400):
        answer = handler(event("/images/uploads/a.jpg/status"))
    assert answer["statusCode"] == 503
    body = json.loads(answer["body"])
    assert body["message"] == body["detail"]
    assert "dynamo" not in body["detail"].lower()
    assert "table" not in answer["body"]


def test_a_permanent_error_is_raised(handler):
    """API Gateway then answers 500."""
    with dynamodb_answers("AccessDeniedException", 400), pytest.raises(ClientError):
        handler(event("/images/uploads/a.jpg/status"))


def test_answers_are_neither_cached_nor_displayed_as_pages(handler):
    """Responses must not be cached, and names must not be displayed as HTML."""
    put_record("uploads/known.jpg")
    answers = [handler(event(f"/images/uploads/{name}/status")) for name in ("known.jpg", "unknown.jpg", "x" * 2000)]
    with dynamodb_answers("InternalServerError", 500):
        answers.append(handler(event("/images/uploads/known.jpg/status")))
    assert [answer["statusCode"] for answer in answers] == [200, 404, 400, 503]
    assert answers[0]["headers"].pop("retry-after")  # it is under way
    for answer in answers:
        assert answer["headers"] == {
            "content-type": f"application/{'json' if answer['statusCode'] == 200 else 'problem+json'}",
            "cache-control": "no-store",
            "x-content-type-options": "nosniff",
        }


@pytest.mark.parametrize(
    "variable", sorted(ENVIRONMENT.keys() - {"IMAGE_TABLE", "RENDITION_URL_SECONDS", "WORKFLOW_TYPE"})
)
def test_a_wrong_setting_of_another_function_does_not_affect_the_status(handler, monkeypatch, variable):
    """The status API works even if another function has wrong settings."""
    monkeypatch.setenv(variable, "wrong")
    put_record("uploads/a.jpg")
    assert handler(event("/images/uploads/a.jpg/status"))["statusCode"] == 200


def test_a_settled_status_can_be_revalidated(handler):
    """A client that has the status gets a 304 without a body."""
    put_record("uploads/a.jpg", status="COMPLETED", updatedAt="1")
    first = handler(event("/images/uploads/a.jpg/status"))
    assert first["headers"]["cache-control"] == "private, no-cache"
    again = handler(event("/images/uploads/a.jpg/status", if_none_match=first["headers"]["etag"]))
    assert (again["statusCode"], "body" in again) == (304, False)
    assert again["headers"]["etag"] == first["headers"]["etag"]
    put_record("uploads/a.jpg", status="COMPLETED", updatedAt="2")
    assert handler(event("/images/uploads/a.jpg/status", if_none_match=first["headers"]["etag"]))["statusCode"] == 200


def test_a_pending_status_is_never_cached(handler):
    """The answer has Retry-After, and a 304 is never sent."""
    put_record("uploads/a.jpg")
    answer = handler(event("/images/uploads/a.jpg/status", if_none_match="*"))
    assert (answer["statusCode"], answer["headers"]["cache-control"]) == (200, "no-store")
    assert "etag" not in answer["headers"]
    assert int(answer["headers"]["retry-after"]) > 0


@pytest.mark.parametrize(
    ("query", "raw"),
    [({"wait": "forever"}, ""), ({"versionId": "a b"}, ""), ({"versionId": "a,b"}, "versionId=a&versionId=b")],
)
def test_an_invalid_query_is_a_bad_request(handler, query, raw):
    """An invalid query is rejected before any read."""
    answer = handler(event("/images/uploads/a.jpg/status", query) | {"rawQueryString": raw})
    assert (answer["statusCode"], json.loads(answer["body"])["title"]) == (400, "Bad Request")


def test_a_version_without_a_claim_has_the_previous_image_and_retry_after(handler):
    """A pending response must neither be cached nor answered with 304."""
    previous = put_upload("uploads/a.jpg", b"x")
    put_record("uploads/a.jpg", status="COMPLETED", upload=previous, **PICTURE)
    settled = handler(event("/images/uploads/a.jpg/status", {"versionId": previous["versionId"]}))
    assert "retry-after" not in settled["headers"]
    query = {"versionId": put_upload("uploads/a.jpg", b"y")["versionId"]}
    answer = handler(event("/images/uploads/a.jpg/status", query, if_none_match=settled["headers"]["etag"]))
    assert (answer["statusCode"], json.loads(answer["body"])["upload"]) == (200, previous)
    assert (answer["headers"]["retry-after"], answer["headers"]["cache-control"]) == ("1", "no-store")
    assert "etag" not in answer["headers"]
    redirect = handler(event("/images/uploads/a.jpg/renditions/web", query))
    assert (redirect["statusCode"], redirect["headers"]["cache-control"]) == (302, "no-store")


def test_a_first_upload_without_a_claim_is_404_with_retry_after(handler):
    """Only a version that S3 has is pending."""
    query = {"versionId": put_upload("uploads/a.jpg", b"x")["versionId"]}
    answer = handler(event("/images/uploads/a.jpg/status", query))
    assert (answer["statusCode"], answer["headers"]["retry-after"]) == (404, "1")
    made_up = handler(event("/images/uploads/a.jpg/status", {"versionId": "x"}))
    assert (made_up["statusCode"], "retry-after" in made_up["headers"]) == (404, False)


PICTURE = {
    "image": {"width": 300, "height": 200},
    "renditions": [
        {
            "name": "web", "format": name.upper(), "width": 300, "height": 200, "bucket": "thumbnails-bucket",
            "key": f"thumbnails/a.jpg/0/web.{name}", "versionId": "v1",
        }
        for name in ("png", "webp")
    ],
}  # fmt: skip


def test_a_rendition_path_redirects_to_a_signed_url(handler):
    """The redirect depends on Accept and is cached for less time than the URL works."""
    put_record("uploads/a.jpg", status="COMPLETED", **PICTURE)
    answer = handler(event(keys.rendition_path("uploads/a.jpg", "web"), accept="image/webp,*/*"))
    assert (answer["statusCode"], "body" in answer) == (302, False)
    assert "/thumbnails/a.jpg/0/web.webp?versionId=v1&" in answer["headers"]["location"]
    assert answer["headers"]["cache-control"] == "private, max-age=60"
    assert answer["headers"]["vary"] == "accept"
    plain = handler(event(keys.rendition_path("uploads/a.jpg", "web")))
    assert "/web.png?" in plain["headers"]["location"]


def test_during_a_new_upload_the_previous_rendition_is_served(handler):
    """The redirect to the previous image must not be cached."""
    put_record("uploads/a.jpg", **PICTURE)
    answer = handler(event(keys.rendition_path("uploads/a.jpg", "web.png")))
    assert (answer["statusCode"], answer["headers"]["cache-control"]) == (302, "no-store")


def test_a_missing_rendition_is_404(handler):
    """The answer has Retry-After if the rendition may still appear."""
    put_record("uploads/new.jpg")
    put_record("uploads/bad.jpg", status="FAILED", error={"code": "CorruptImageError"})
    answers = [handler(event(keys.rendition_path(f"uploads/{name}.jpg", "web"))) for name in ("new", "bad", "never")]
    assert [answer["statusCode"] for answer in answers] == [404] * 3
    assert ["retry-after" in answer["headers"] for answer in answers] == [True, False, False]
    assert json.loads(answers[1]["body"])["detail"] == "There is no rendition web; the upload is FAILED."
    put_record("uploads/a.jpg", status="COMPLETED", **PICTURE)
    detail = json.loads(handler(event("/images/uploads/a.jpg/renditions/webb"))["body"])["detail"]
    assert detail.endswith("Its renditions are web, web.png, web.webp.")


def test_head_has_the_headers_of_get(handler):
    """The headers of a status have the same etag and caching, and the same copy gets a 304."""
    put_record("uploads/a.jpg", status="COMPLETED", **PICTURE)
    path = "/images/uploads/a.jpg/status"
    get, head = (handler(event(path, method=method)) for method in ("GET", "HEAD"))
    assert (head["statusCode"], head["headers"]) == (200, get["headers"])
    copy = {"if_none_match": head["headers"]["etag"]}
    assert [handler(event(path, method=method, **copy))["statusCode"] for method in ("GET", "HEAD")] == [304, 304]


def test_head_of_a_rendition_redirects_to_a_url_that_takes_head(handler):
    """S3 signs the method. No cache may answer GET with this redirect."""
    put_record("uploads/a.jpg", status="COMPLETED", **PICTURE)
    path = "/images/uploads/a.jpg/renditions/web"
    get, head = (handler(event(path, method=method)) for method in ("GET", "HEAD"))
    assert (head["statusCode"], head["headers"]["cache-control"]) == (302, "no-store")
    assert head["headers"]["location"].partition("?")[0] == get["headers"]["location"].partition("?")[0]
    assert head["headers"]["location"] != get["headers"]["location"]


@pytest.mark.parametrize("path", ["/images/uploads/no.jpg/status", "/images/uploads/no.jpg/renditions/web"])
def test_head_never_waits(handler, monkeypatch, path):
    """HEAD answers at once, because a wait occupies an execution; an invalid `wait` is still refused."""
    monkeypatch.setattr("image_pipeline.api.waiting.time.sleep", lambda _: pytest.fail("it waits"))
    assert handler(event(path, {"wait": "10"}, "HEAD"))["statusCode"] == 404
    assert handler(event(path, {"wait": "x"}, "HEAD"))["statusCode"] == 400


def test_head_of_another_path_is_refused(handler):
    """The response is 405 and names the methods of the path."""
    answer = handler(event("/images/uploads/a.jpg", method="HEAD"))
    assert (answer["statusCode"], answer["headers"]["allow"]) == (405, "DELETE, OPTIONS")
