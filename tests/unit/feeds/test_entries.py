"""image_pipeline.feeds.entries"""

from datetime import UTC, datetime

import pytest

from image_pipeline import keys
from image_pipeline.errors import public_error
from image_pipeline.feeds import entries
from tests.conftest import LISTING_TABLE, aws_client
from tests.unit.feeds.listings import list_record, listed_keys, pages, record, rendition

pytestmark = pytest.mark.usefixtures("listing_table")


def test_an_entry_has_the_listed_fields():
    """An entry contains the public fields and the paths to the rest."""
    renditions = [rendition(versionId="v1", etag="0"), rendition("100x100", width=100, height=67)]
    list_record(
        record(
            labels=["Coffee", "Cup"],
            image={"format": "JPEG", "width": 600, "height": 400, "sha256": "0"},
            summary={"thumbhash": "abc", "phash": "0"},
            renditions=renditions,
            exif={"make": "ACME"},
        ),
        1,
    )
    ((image,),) = pages()
    assert image == {
        "imageKey": "uploads/a.jpg",
        "status": "COMPLETED",
        "uploadedAt": "2026-11-21T12:00:00Z",
        "sizeBytes": 46105,
        "format": "JPEG",
        "width": 600,
        "height": 400,
        "thumbhash": "abc",
        "rendition": "100x100",
        "labels": ["Coffee", "Cup"],
        "statusPath": "/images/uploads/a.jpg/status",
        "renditionPath": "/images/uploads/a.jpg/renditions/100x100",
        "renditions": [rendition(versionId="v1"), rendition("100x100", width=100, height=67)],
    }


def test_a_failure_is_listed_with_its_code():
    """An entry contains the code, the message and the hint of the error."""
    list_record(record(status="FAILED", error={"code": "CorruptImageError", "message": "m", "hint": "h"}), 1)
    ((image,),) = pages(status="FAILED")
    assert (image["status"], image["error"]) == ("FAILED", "CorruptImageError")
    assert (image["errorMessage"], image["errorHint"]) == ("m", "h")


def test_no_internal_error_is_stored_in_the_list():
    """The table contains the texts of the status, because its readers need no right to read internal errors."""
    internal = {"code": "States.TaskFailed", "message": "role/secret", "hint": "arn:aws:secret"}
    for name in ("error", "lastFailure"):
        ledger = entries.entries_of(record(**{name: internal}))
        public = public_error(internal)
        assert (ledger["image"]["errorMessage"], ledger["image"]["errorHint"]) == (public["message"], public["hint"])
        assert "secret" not in str(ledger)


def test_an_image_with_a_failed_attempt_is_listed_with_the_failure():
    """An entry contains the code of the failed attempt and the status of the kept image."""
    list_record(record(lastFailure={"code": "UploadArchivedError", "message": "m", "hint": "h"}), 1)
    ((image,),) = pages()
    assert (image["status"], image["lastFailure"]) == ("COMPLETED", "UploadArchivedError")
    assert (image["errorMessage"], image["errorHint"]) == ("m", "h")
    assert "error" not in image


def test_each_image_is_in_the_views_that_show_it():
    """Each image is in the views of its status and of its labels; a deleted image is only in the view DELETED."""
    list_record(record("uploads/done", labels=["Dog", "Straße"], second=1), 1)
    list_record(record("uploads/busy", "PROCESSING", second=2), 1)
    list_record(record("uploads/gone", "DELETED", second=3), 1)
    assert listed_keys() == ["uploads/busy", "uploads/done"]
    assert listed_keys(status="PROCESSING") == ["uploads/busy"]
    assert listed_keys(status="DELETED") == ["uploads/gone"]
    assert listed_keys(label="dOG") == listed_keys(label="STRASSE") == ["uploads/done"]
    assert listed_keys(label="do") == []
    assert listed_keys(label="dog", status="COMPLETED") == ["uploads/done"]
    assert listed_keys(label="dog", status="PROCESSING") == []


def test_entries_that_a_change_makes_obsolete_are_removed():
    """An image is in each of its current views once, and in no earlier view."""
    list_record(record(status="PROCESSING"), 1)
    list_record(record(labels=["Dog"]), 2)
    list_record(record(labels=["Cat"], second=60), 3)
    assert (listed_keys(status="PROCESSING"), listed_keys(label="Dog")) == ([], [])
    assert listed_keys() == listed_keys(label="Cat") == listed_keys(status="COMPLETED") == ["uploads/a.jpg"]


def test_the_previous_image_is_listed_during_processing():
    """A search by label finds an image while a new upload of it is processing."""
    list_record(record(labels=["Dog"]), 1)
    list_record(record(status="PROCESSING", labels=["Dog"]), 2)
    assert listed_keys(label="dog", status="PROCESSING") == ["uploads/a.jpg"]


def test_a_removed_record_leaves_only_an_expiring_ledger():
    """The ledger stays for longer than a change can be delayed."""
    list_record(record(labels=["Dog"]), 1)
    assert list_record(None, 2, "uploads/a.jpg")
    assert listed_keys() == []
    (item,) = aws_client("dynamodb").scan(TableName=LISTING_TABLE)["Items"]
    assert float(item["expiresAt"]["N"]) > datetime.now(UTC).timestamp() + 86_400
    assert not list_record(record(labels=["Dog"]), 1)
    assert listed_keys() == []
    assert list_record(record(), 3)
    assert not any("expiresAt" in item for item in aws_client("dynamodb").scan(TableName=LISTING_TABLE)["Items"])


def test_the_next_change_repairs_a_lost_one():
    """The ledger determines which entries are removed, so a missed change does no harm."""
    list_record(record(labels=["Dog"]), 1)
    list_record(record(status="PROCESSING", second=9), 3)
    assert listed_keys(label="dog") == []


def test_times_in_any_form_sort_as_times():
    """Times sort correctly with and without fractions, and with any offset."""
    for name, given_time in (("c", "2026-11-21T14:00:00.600+02:00"), ("a", "2026-11-21T12:00:00Z")):
        list_record({**record(f"uploads/{name}"), "upload": {"uploadedAt": given_time}}, 1)
    list_record({**record("uploads/b"), "upload": {}, "createdAt": "2026-11-21T12:00:00.500Z"}, 1)
    assert listed_keys() == ["uploads/c", "uploads/b", "uploads/a"]
    assert listed_keys(since="2026-11-21T12:00:00.5Z") == ["uploads/c", "uploads/b"]


@pytest.mark.parametrize("upload", [{}, {"uploadedAt": "yesterday"}, {"uploadedAt": "0001-01-01T00:00+14:00"}])
def test_a_record_without_a_time_is_the_oldest(upload):
    """An invalid time in a record must not block the stream."""
    list_record({"ImageKey": "uploads/odd", "status": "FAILED", "upload": upload}, 1)
    list_record(record(), 1)
    assert listed_keys() == ["uploads/a.jpg", "uploads/odd"]


def test_the_longest_key_and_the_most_labels_fit():
    """A sort key has at most 1,024 bytes; of too many labels, those with the highest confidence are listed."""
    key = keys.UPLOADS_PREFIX + "é" * 508
    list_record(record(key, labels=[f"Old {number}" for number in range(100)]), 1)
    list_record(record(key, labels=[f"New {number}" for number in range(100)]), 2)
    assert listed_keys(label="new 39") == [key]
    assert listed_keys(label="new 40") == listed_keys(label="old 0") == []
    assert len(next(pages())[0]["labels"]) == entries.MAX_LABELS


def test_the_smallest_rendition_has_the_fewest_pixels():
    """Neither the order nor the aspect ratio of the renditions matters."""
    sizes = {"panorama": (300, 50), "square": (200, 200), "tall": (40, 300)}
    renditions = [rendition(name, width=width, height=height) for name, (width, height) in sizes.items()]
    for order in (renditions, renditions[::-1]):
        assert entries.entries_of(record(renditions=order))["image"]["rendition"] == "tall"


def test_an_upload_that_was_deleted_before_it_was_processed_is_listed():
    """The record has no upload, so its position is the time of the record."""
    deleted = {"ImageKey": "uploads/a.jpg", "status": "DELETED", "createdAt": "2026-11-21T12:00:00Z"}
    ledger = entries.entries_of(deleted)
    assert ledger["image"] == {"imageKey": "uploads/a.jpg", "status": "DELETED", "labels": []}
    assert ledger["position"].startswith("2026-11-21T12:00:00.000Z#")


@pytest.mark.parametrize(
    "renditions",
    [
        [],
        [rendition()],
        [rendition(), rendition(image_format="WEBP", versionId="v")],
        [rendition(), {**rendition(), "bucket": "thumbnails-bucket-2"}],
        [rendition(folder="é/"), rendition(folder="ê/"), rendition(folder="")],
        [rendition(), {**rendition(image_format="WEBP"), "frames": 12}],
    ],
)
def test_renditions_are_stored_without_loss(renditions):
    """The common part of their locations is stored once."""
    assert entries.renditions(entries.entries_of(record(renditions=renditions))) == renditions


def test_a_folder_costs_one_entry():
    """A deep path has a bounded number of entries; a deleted image has none in a folder."""

    def views(key, status="COMPLETED"):
        ledger = entries.entries_of(record(key, status))
        return [view.rpartition("#")[0] for view in ledger["partitions"] if view.startswith("folder=")]

    assert views("uploads/x.jpg") == []
    assert views("uploads/a/b/x.jpg") == ["folder=a/", "folder=a/b/"]
    assert views("uploads/a/b/x.jpg", "DELETED") == []
    assert len(views("uploads/" + "a/" * 508)) == entries.MAX_FOLDERS
