"""functions/extract_metadata"""

import pytest
from botocore.stub import Stubber

from image_pipeline import aws as clients
from image_pipeline import errors
from tests.conftest import THUMBNAILS_BUCKET

ANSWER = {"Labels": [{"Name": "Sea", "Confidence": 97.5, "Parents": []}], "LabelModelVersion": "3.0"}


@pytest.fixture
def rekognition():
    """A stub of Rekognition; botocore checks its responses against the service model."""
    with Stubber(clients.client("rekognition")) as stub:
        yield stub
        stub.assert_no_pending_responses()


EVENT = {"picture": {"bucket": THUMBNAILS_BUCKET, "key": "thumbnails/a.jpg/0/web.jpg"}, "executionId": "execution-1"}


def test_rekognition_reads_the_image_from_s3(handler, rekognition):
    """The function does not download the image."""
    reference = {"Bucket": THUMBNAILS_BUCKET, "Name": "thumbnails/a.jpg/0/web.jpg"}
    rekognition.add_response(
        "detect_labels", ANSWER, {"Image": {"S3Object": reference}, "MaxLabels": 10, "MinConfidence": 75}
    )
    result = handler(EVENT)
    assert result["labels"] == [{"name": "Sea", "confidence": 97.5, "parents": []}]
    assert result["labelModelVersion"] == "3.0"
    assert result["warnings"] == []
    assert result["notification"] == {"lines": ["Labels (3.0): Sea 98 %"]}


@pytest.mark.parametrize(("detects", "picture"), [("OFF", EVENT["picture"]), ("OFF", None), ("REKOGNITION", None)])
def test_a_stack_without_labels_makes_no_call(monkeypatch, handler, rekognition, detects, picture):
    """This also holds for executions that started before the parameter changed; there are no labels and no warning."""
    monkeypatch.setenv("LABELS", detects)
    result = handler({**EVENT, "picture": picture})
    assert (result["labels"], result["labelModelVersion"], result["warnings"]) == ([], None, [])
    assert result["notification"] == {"lines": []}


@pytest.mark.parametrize(
    ("code", "error"),
    [("ThrottlingException", errors.LabelsDelayedError), ("AccessDeniedException", errors.LabelsUnavailableError)],
)
def test_the_workflow_knows_transient_errors(handler, rekognition, code, error):
    """The workflow decides about retries by the name of the error."""
    rekognition.add_client_error("detect_labels", code, http_status_code=400)
    with pytest.raises(error):
        handler(EVENT)
