"""image_pipeline.api.status"""

import re
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_pipeline import aws as clients
from image_pipeline import keys, settings
from image_pipeline.api import status
from tests.conftest import ENVIRONMENT, THUMBNAILS_BUCKET, put_record

pytestmark = pytest.mark.usefixtures("aws")
SETTINGS = settings.load_for_status(ENVIRONMENT)


def find(path, config=SETTINGS):
    return status.find(clients.client, keys.image_keys(path), config)


def test_every_rendition_has_a_url():
    """Each rendition has a URL and the time at which it expires."""
    rendition = {"name": "100x100", "bucket": THUMBNAILS_BUCKET, "key": "thumbnails/a.jpg/0/100x100.jpg"}
    put_record("uploads/a.jpg", status="COMPLETED", renditions=[rendition, rendition])
    record = status.with_urls(clients.client, find("/images/uploads/a.jpg/status"), 900)
    assert [rendition["name"] for rendition in record["renditions"]] == ["100x100", "100x100"]
    for rendition in record["renditions"]:
        assert "/thumbnails/a.jpg/0/100x100.jpg?" in rendition["url"]
        lifetime = datetime.fromisoformat(rendition["urlExpiresAt"]) - datetime.now(UTC)
        assert timedelta(seconds=890) < lifetime <= timedelta(seconds=900)


def test_a_record_without_renditions_is_answered_too():
    """A failed upload has a status like any other."""
    put_record("uploads/a.jpg", status="FAILED", error={"code": "EmptyUploadError"})
    assert find("/images/uploads/a.jpg/status")["error"] == {"code": "EmptyUploadError"}


def test_an_unknown_upload_has_no_status():
    """An unknown upload is not an error here; the API answers 404."""
    assert find("/images/uploads/a.jpg/status") is None


def test_the_raw_spelling_wins_over_the_decoded_one():
    """Two uploads whose names differ only in their encoding are distinct."""
    put_record("uploads/a%2Bb.jpg", status="FAILED")
    put_record("uploads/a+b.jpg", status="COMPLETED")
    assert find("/images/uploads/a%2Bb.jpg/status")["ImageKey"] == "uploads/a%2Bb.jpg"
    assert find("/images/uploads/a+b.jpg/status")["ImageKey"] == "uploads/a+b.jpg"


def test_a_path_that_came_encoded_twice_is_found():
    """A `?` must be encoded twice to pass through API Gateway."""
    put_record("uploads/what?.jpg")
    assert find("/images/uploads/what%3F.jpg/status")["ImageKey"] == "uploads/what?.jpg"


def test_internal_errors_are_hidden_from_callers():
    """Errors of AWS contain accounts and roles, so callers do not see them; rejections are shown in full."""
    internal = {
        "code": "ClientError",
        "message": "User: arn:aws:sts::1:assumed-role/x is not authorized",
        "hint": "h",
        "step": "s",
    }
    put_record("uploads/a.jpg", status="FAILED", error=internal)
    error = find("/images/uploads/a.jpg/status")["error"]
    assert (error["code"], error["step"]) == ("ClientError", "s")
    assert "arn:" not in repr(error)
    rejection = {"code": "CorruptImageError", "message": "Broken at byte 7.", "hint": "Export it again.", "step": "s"}
    put_record("uploads/b.jpg", status="FAILED", error=rejection)
    assert find("/images/uploads/b.jpg/status")["error"] == rejection


def test_a_failed_attempt_is_shown_as_an_error():
    """A rejection of a failed attempt is shown in full, an internal error without details."""
    failure = {"code": "CorruptImageError", "message": "Broken.", "hint": "Export it again.", "step": "ValidateImage"}
    failure |= {"executionId": "e2", "at": "2026-11-21T12:00:03.000Z"}
    put_record("uploads/a.jpg", status="COMPLETED", lastFailure=failure)
    assert find("/images/uploads/a.jpg/status")["lastFailure"] == failure
    put_record("uploads/a.jpg", status="COMPLETED", lastFailure={**failure, "code": "KeyError", "hint": "arn:aws:x"})
    public = find("/images/uploads/a.jpg/status")["lastFailure"]
    assert {name: public[name] for name in ("code", "step", "executionId", "at")} == {
        **{name: failure[name] for name in ("step", "executionId", "at")},
        "code": "KeyError",
    }
    assert "arn:" not in repr(public)


PICTURE = {
    "image": {"width": 1},
    "renditions": [{"name": "100x100", "bucket": THUMBNAILS_BUCKET, "key": "k", "versionId": "v1"}],
    "labels": [],
    "warnings": [],
}


def test_the_previous_image_is_separate_from_the_new_one():
    """A reader sees either the previous or the new image, never a mixture."""
    put_record("uploads/a.jpg", **PICTURE, upload={"etag": "new"})
    record = status.with_urls(clients.client, find("/images/uploads/a.jpg/status"), 900)
    assert record["status"] == "PROCESSING"
    assert record["upload"] == {"etag": "new"}
    assert not PICTURE.keys() & record.keys()
    assert record["previous"].keys() == PICTURE.keys() | {"srcsets"}
    assert "versionId=v1" in record["previous"]["renditions"][0]["url"]


@pytest.mark.parametrize("outcome", ["COMPLETED", "PARTIAL"])
def test_a_finished_image_has_no_previous(outcome):
    """The record of a finished image contains only that image."""
    put_record("uploads/a.jpg", **PICTURE | {"status": outcome})
    record = status.with_urls(clients.client, find("/images/uploads/a.jpg/status"), 900)
    assert "previous" not in record
    assert "versionId=v1" in record["renditions"][0]["url"]


@pytest.mark.parametrize(("hours", "stale"), [(23, False), (25, True)])
def test_a_record_without_a_running_execution_is_stale(hours, stale):
    """A polling client learns that no outcome will come."""
    started = (datetime.now(UTC) - timedelta(hours=hours)).isoformat()
    put_record("uploads/a.jpg", execution={"id": "e", "startedAt": started})
    assert find("/images/uploads/a.jpg/status").get("stale", False) is stale


@pytest.mark.parametrize(("minutes", "stale"), [(4, False), (6, True)])
def test_an_express_execution_is_stale_much_earlier(minutes, stale):
    """An Express execution runs for at most five minutes."""
    started = (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat()
    put_record("uploads/a.jpg", execution={"id": "e", "startedAt": started})
    express = settings.load_for_status({**ENVIRONMENT, "WORKFLOW_TYPE": "EXPRESS"})
    assert find("/images/uploads/a.jpg/status", express).get("stale", False) is stale


@pytest.mark.parametrize(("age", "expected"), [(-5, "1"), (0, "1"), (10, "5"), (500, "60"), (90_000, "60")])
def test_the_retry_delay_grows_with_the_processing_time(age, expected):
    """The delay has whole seconds, from 1 to 60."""
    started = (datetime.now(UTC) - timedelta(seconds=age)).isoformat()
    assert status.retry_after({"execution": {"startedAt": started}}) == expected


# ---- Tags


def test_a_tag_changes_with_the_record_and_with_time(monkeypatch):
    """While an etag is valid, the URLs in the response work for at least half of their lifetime."""
    monkeypatch.setattr(time, "time", lambda: 1800.0)
    record = {"status": "COMPLETED", "updatedAt": "1"}
    tag = status.etag(record, 900)
    assert re.fullmatch(r'W/"[0-9a-f]{32}"', tag)
    assert status.etag({**record, "updatedAt": "2"}, 900) != tag
    monkeypatch.setattr(time, "time", lambda: 1800 + 449.9)
    assert status.etag(record, 900) == tag
    monkeypatch.setattr(time, "time", lambda: 1800 + 450.0)
    assert status.etag(record, 900) != tag


# ---- What a page shows


def rendition(name, format_name, width, height):
    file_name = f"{name}.{format_name.lower().replace('jpeg', 'jpg')}"
    key = f"thumbnails/a.jpg/0/{file_name}"
    return {
        "name": name, "format": format_name, "width": width, "height": height, "bucket": THUMBNAILS_BUCKET, "key": key,
    }  # fmt: skip


RENDITIONS = [
    rendition("web", "JPEG", 1600, 1067),
    rendition("web", "WEBP", 1600, 1067),
    rendition("web", "AVIF", 1600, 1067),
    rendition("640x480", "JPEG", 640, 427),
    rendition("avatar", "JPEG", 96, 96),
    rendition("only", "WEBP", 800, 533),
]


def choose(record, name, accept):
    return status.choose_rendition(record, name=name, accept=accept)


RECORD = {"status": "COMPLETED", "image": {"width": 3000, "height": 2000}, "renditions": RENDITIONS}


def test_srcsets_are_ready_for_a_picture_element():
    """Formats with small files and narrow renditions come first; crops are left out."""
    record = status.with_urls(clients.client, RECORD, 900)
    urls = {(rendition["name"], rendition["format"]): rendition["url"] for rendition in record["renditions"]}
    assert list(record["srcsets"].items()) == [
        ("image/avif", f"{urls['web', 'AVIF']} 1600w"),
        ("image/webp", f"{urls['only', 'WEBP']} 800w, {urls['web', 'WEBP']} 1600w"),
        ("image/jpeg", f"{urls['640x480', 'JPEG']} 640w, {urls['web', 'JPEG']} 1600w"),
    ]
    assert not any(re.search(r"[\s,]", url) for url in urls.values())


@given(st.integers(1, 20_000), st.integers(1, 20_000), st.fractions(0, 1))
def test_a_smaller_image_has_the_same_shape_although_its_sides_are_rounded(width, height, scale):
    """Rounding changes each side by at most half a pixel."""
    small = {"width": max(1, round(width * scale)), "height": max(1, round(height * scale))}
    if round(width * scale) and round(height * scale):
        assert status._same_shape({"width": width, "height": height}, small)


@pytest.mark.parametrize(
    ("width", "height", "is_same"),
    [
        (101, 99, True),
        (51, 50, True),
        (51, 49, True),  # 51 × 99 − 49 × 101 = 100, half of 101 + 99: the most that rounding explains
        (50, 50, True),
        (101, 98, False),  # one row is missing
        (50, 48, False),
        (99, 99, False),
    ],
)
def test_a_crop_of_one_pixel_has_another_shape(width, height, is_same):
    """Rounding explains half a pixel and no more; a cropped rendition must not be in a srcset."""
    rendition = {"width": width, "height": height}
    assert status._same_shape({"width": 101, "height": 99}, rendition) is is_same


def test_an_image_of_unknown_size_has_no_shape():
    """The record of an older version may lack the size."""
    assert status._same_shape({}, {"width": 1, "height": 1}) is False


@pytest.mark.parametrize(
    ("accept", "name", "file_name"),
    [
        ("image/avif,image/webp,image/apng,*/*;q=0.8", "web", "web.avif"),
        ("IMAGE/WEBP , */*", "web", "web.webp"),
        ("image/avif;q=0, image/webp;q=0.5", "web", "web.webp"),
        ("image/avif; q=0.0,*/*", "web", "web.jpg"),
        ("image/*,*/*;q=0.5", "web", "web.jpg"),
        ("", "web", "web.jpg"),
        ("", "web.avif", "web.avif"),
        ("image/webp", "web.jpg", "web.jpg"),
        ("", "only", "only.webp"),
        ("image/webp", "640x480", "640x480.jpg"),
    ],
)
def test_a_rendition_has_a_format_that_the_browser_accepts(accept, name, file_name):
    """AVIF and WEBP are chosen only if the client accepts them, or if there is no other format."""
    assert choose(RECORD, name, accept)["key"].endswith(f"/{file_name}")


NARROW = {
    "status": "COMPLETED",
    "image": {"width": 500, "height": 300},
    "renditions": [
        rendition("hero-320", "JPEG", 320, 192),
        rendition("hero-320", "WEBP", 320, 192),
        rendition("hero-640", "JPEG", 500, 300),
        rendition("hero-640", "WEBP", 500, 300),
        rendition("a-b-10", "PNG", 10, 6),
    ],
}
"""A set whose widths were 320, 640 and 1280."""


@pytest.mark.parametrize(
    ("name", "accept", "file_name"),
    [
        ("hero-640", "", "hero-640.jpg"),
        ("hero-1280", "", "hero-640.jpg"),
        ("hero-1280", "image/webp", "hero-640.webp"),
        ("hero-1280.webp", "", "hero-640.webp"),
        ("hero", "", "hero-640.jpg"),
        ("hero.webp", "", "hero-640.webp"),
        ("a-b", "", "a-b-10.png"),
        ("hero-500", "", None),  # the set has none between
        ("hero-1280.avif", "", None),
        ("a-b-20", "", None),  # a-b ends below the width of the original, so 20 was never one of its widths
        ("a", "", None),
        ("her", "", None),
        ("", "", None),
    ],
)
@pytest.mark.parametrize("wrap", [lambda record: record, lambda record: {"status": "PROCESSING", "previous": record}])
def test_links_to_a_set_work_for_narrow_originals(name, accept, file_name, wrap):
    """The name of a set, and a width beyond that of the original, mean its widest rendition; nothing else does."""
    chosen = choose(wrap(NARROW), name, accept)
    assert (chosen and chosen["key"].rpartition("/")[2]) == file_name


def test_an_animation_is_not_mixed_with_stills():
    """A browser may choose any width of a type, so a type has either animations or stills; animations come first."""
    moving = [{**rendition(f"m-{width}", "WEBP", width, width * 2 // 3), "frames": 9} for width in (300, 600)]
    record = {**RECORD, "renditions": [*RENDITIONS, *moving]}
    srcsets = status.with_urls(clients.client, record, 900)["srcsets"]
    assert list(srcsets) == ["image/webp", "image/avif", "image/jpeg"]
    assert re.findall(r"/([\w-]+)\.webp\S* (\d+)w", srcsets["image/webp"]) == [("m-300", "300"), ("m-600", "600")]


def test_a_set_is_in_one_srcset():
    """Each type has every width once: the width of the file, not that in the name."""
    srcsets = status.with_urls(clients.client, NARROW, 900)["srcsets"]
    assert [part.rpartition(" ")[2] for part in srcsets["image/webp"].split(", ")] == ["320w", "500w"]


@pytest.mark.parametrize("record", [RECORD, {"status": "PROCESSING", "previous": RECORD}])
def test_an_unknown_rendition_is_answered_with_the_existing_ones(record):
    """The detail lists every name of every rendition once."""
    detail = status.missing_rendition(record, "webb")
    names = detail.partition("renditions are ")[2].removesuffix(".").split(", ")
    assert names[:4] == ["web", "640x480", "avatar", "only"]
    assert len(names) == len(set(names)) == 10
    assert all(choose(record, name, "") for name in names)


def test_an_image_without_renditions_is_answered_with_its_status():
    """The detail contains the status."""
    assert status.missing_rendition({"status": "FAILED"}, "web") == "There is no rendition web; the upload is FAILED."


def test_during_a_new_upload_the_previous_rendition_is_returned():
    """Without a previous image or a rendition of that name, the result is None."""
    record = {"status": "PROCESSING", "previous": RECORD}
    assert choose(record, "avatar", "") == RENDITIONS[4]
    assert choose({"status": "PROCESSING"}, "avatar", "") is None
    assert choose(RECORD, "other", "") is None


@pytest.mark.parametrize(("seconds", "age"), [(60, 30), (119, 59), (900, 60), (3600, 60)])
def test_a_redirect_is_kept_for_less_than_its_url_works(seconds, age):
    """A cached redirect expires long before its URL, and a new image appears within a minute."""
    assert status.redirect_caching(seconds) == f"private, max-age={age}"
