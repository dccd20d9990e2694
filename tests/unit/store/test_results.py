"""image_pipeline.store.results"""

import pytest

from image_pipeline.store import results

WARNING = {"code": "LabelsUnavailableError", "message": "No.", "hint": "Later."}
OLD = [{"name": "Sea", "confidence": 97.5, "parents": []}]
NEW = [{"name": "Dog", "confidence": 80.0, "parents": []}]
THUMBNAILS = {"image": {"sha256": "a" * 64}, "warnings": [{"code": "ImageWarning", "message": "Odd."}]}
LABELLED = {"status": "COMPLETED", "image": {"sha256": "a" * 64}, "labels": OLD, "labelModelVersion": "2.0"}


def test_new_labels_replace_the_old_ones():
    """New labels replace all older ones."""
    metadata = {"labels": NEW, "labelModelVersion": "3.0", "warnings": []}
    fields = results.label_fields(THUMBNAILS, metadata, LABELLED)
    assert (fields["status"], fields["labels"], fields["labelModelVersion"]) == ("COMPLETED", NEW, "3.0")
    assert fields["warnings"] == THUMBNAILS["warnings"]


def test_labels_of_the_same_bytes_replace_missing_labels():
    """The image keeps its labels, and the warning says so."""
    fields = results.label_fields(THUMBNAILS, {"warnings": [WARNING]}, LABELLED)
    assert (fields["status"], fields["labels"], fields["labelModelVersion"]) == ("COMPLETED", OLD, "2.0")
    odd, warning = fields["warnings"]
    assert odd == THUMBNAILS["warnings"][0]
    assert (warning["code"], warning["hint"]) == (WARNING["code"], WARNING["hint"])
    assert warning["message"].startswith("No. ")
    assert "kept" in warning["message"]


@pytest.mark.parametrize(
    "previous",
    [
        None,
        {**LABELLED, "status": "PARTIAL", "labels": []},
        {**LABELLED, "status": "FAILED"},
        {**LABELLED, "status": None},
        {**LABELLED, "image": {"sha256": "b" * 64}},
        {**LABELLED, "image": {}},
        {**LABELLED, "labels": [], "labelModelVersion": None},
        {"status": "DELETED"},
    ],
)
def test_without_labels_of_the_same_bytes_the_image_is_partial(previous):
    """The labels of other bytes do not apply."""
    fields = results.label_fields(THUMBNAILS, {"warnings": [WARNING]}, previous)
    assert fields == {
        "status": "PARTIAL",
        "labels": [],
        "labelModelVersion": None,
        "warnings": [*THUMBNAILS["warnings"], WARNING],
    }


def test_missing_digests_are_not_equal():
    """Without digests, the bytes of two images may differ."""
    fields = results.label_fields({"image": {}, "warnings": []}, {"warnings": [WARNING]}, {**LABELLED, "image": {}})
    assert fields["status"] == "PARTIAL"


def test_the_outcome_has_the_results_and_the_times_of_all_steps():
    """A reader sees what the steps found, and how long each took, this one included."""
    thumbnails = {
        **THUMBNAILS,
        "exif": {"make": "ACME"},
        "renditions": [],
        "summary": {},
        "recipeId": "r",
        "focus": None,
    }
    event = {
        "thumbnails": thumbnails,
        "metadata": {"labels": NEW, "labelModelVersion": "3.0", "warnings": []},
        "executionId": "execution-1",
        "startedAt": "2026-11-20T12:00:01.000Z",
        "milliseconds": {"ValidateImage": 12},
    }
    fields = results.outcome_fields(event, None, finished_at="2026-11-20T12:00:02.000Z", milliseconds=7)
    assert fields["execution"] == {
        "id": "execution-1",
        "startedAt": "2026-11-20T12:00:01.000Z",
        "finishedAt": "2026-11-20T12:00:02.000Z",
        "milliseconds": {"ValidateImage": 12, "StoreResults": 7},
    }
    assert fields["updatedAt"] == fields["execution"]["finishedAt"]
    assert {name: fields[name] for name in thumbnails if name != "warnings"} == {
        name: value for name, value in thumbnails.items() if name != "warnings"
    }
    assert (fields["status"], fields["labels"]) == ("COMPLETED", NEW)
