"""image_pipeline.api.gallery"""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from image_pipeline import aws as clients
from image_pipeline.api import gallery, status

NOW = datetime(2026, 11, 21, 12, 7, 30, tzinfo=UTC)
SIZES = {"100x100.jpg": (100, 75), "web.jpg": (1600, 1200), "web.webp": (1600, 1200), "square.jpg": (90, 90)}


@pytest.fixture(autouse=True)
def _aws(aws):
    clients.client.cache_clear()
    yield
    clients.client.cache_clear()


def rendition(file, width, height):
    name, _, suffix = file.partition(".")
    location = {"bucket": "thumbnails-bucket", "key": f"thumbnails/a.jpg/0123/{file}", "versionId": "v1"}
    return {**location, "name": name, "format": {"jpg": "JPEG"}.get(suffix, "WEBP"), "width": width, "height": height}


def listed_image(**fields):
    """An image as `feeds.listing` returns it."""
    renditions = [rendition(file, *size) for file, size in SIZES.items()]
    return {"imageKey": "uploads/a.jpg", "width": 4000, "height": 3000, "renditions": renditions, **fields}


def with_urls(*images, now=NOW, url_seconds=900):
    return gallery.with_urls(clients.client, images, url_seconds=url_seconds, now=now)


def test_the_urls_are_those_of_the_named_rendition_and_of_the_status():
    """`renditionUrl` has a format that every client can read; `srcsets` has the same form as in the status."""
    (image,) = with_urls(listed_image(rendition="web"))
    assert urlsplit(image["renditionUrl"]).path.endswith("/0123/web.jpg")
    assert "renditions" not in image
    record = status.with_urls(
        clients.client, {"renditions": listed_image()["renditions"], "image": listed_image()}, 900
    )

    def without_queries(srcsets):
        return {
            kind: [(part.split("?")[0], part.split()[-1]) for part in text.split(", ")]
            for kind, text in srcsets.items()
        }

    assert without_queries(image["srcsets"]) == without_queries(record["srcsets"])
    assert list(image["srcsets"]) == ["image/webp", "image/jpeg"]


def test_a_list_prefers_stills():
    """An animation is returned only if no still shows the whole image."""
    moving = [{**rendition(f"m-{width}.webp", width, width * 3 // 4), "frames": 9} for width in (320, 640)]
    square = rendition("square.jpg", 90, 90)
    images = [
        listed_image(rendition="square", renditions=[square, *more])
        for more in (listed_image()["renditions"] + moving, moving)
    ]
    mixed, only = (image["srcsets"] for image in with_urls(*images))
    assert mixed == with_urls(listed_image(rendition="square"))[0]["srcsets"]
    assert [part.split()[-1] for part in only["image/webp"].split(", ")] == ["320w", "640w"]


@pytest.mark.parametrize("url_seconds", [60, 61, 900, 3600])
def test_urls_are_equal_within_a_window_and_valid_for_half_of_their_lifetime(url_seconds):
    """The date of a signature is never in the future, and the URL works for at least half of its lifetime."""
    start = gallery.window_start(NOW, url_seconds)
    window = url_seconds // 2
    moments = [start + timedelta(seconds=second) for second in (-1, 0, 1, window - 1, window)]
    pages = [with_urls(listed_image(rendition="web"), now=now, url_seconds=url_seconds) for now in moments]
    assert pages[0] != pages[1] == pages[2] == pages[3] != pages[4]
    for now, (image,) in zip(moments, pages, strict=True):
        expires = datetime.fromisoformat(image["renditionUrlExpiresAt"])
        assert timedelta(seconds=url_seconds - window) <= expires - now <= timedelta(seconds=url_seconds)
        query = parse_qs(urlsplit(image["renditionUrl"]).query)
        signed = datetime.strptime(query["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        assert signed <= now
        assert signed + timedelta(seconds=int(query["X-Amz-Expires"][0])) == expires


def test_an_image_without_renditions_has_no_url():
    """This applies to a failed image, and to one that an older version listed without renditions."""
    old = {"imageKey": "uploads/a.jpg", "rendition": "100x100", "renditionPath": "/images/…"}
    failed = {"imageKey": "uploads/b.jpg", "status": "FAILED"}
    assert with_urls(old, failed) == [old, failed]


def test_the_largest_page_fits_into_the_answer_of_lambda():
    """A page of a hundred images with long names and all possible renditions is below the limit."""
    folder = "thumbnails/" + "é" * 400
    renditions = [{**rendition(f"w{width}.webp", width, width), "key": f"{folder}/w{width}"} for width in range(1, 33)]
    image = {**listed_image(rendition="w1", width=1, height=1), "renditions": renditions}
    page = with_urls(*[image] * 100)
    assert all("renditionUrl" in image for image in page)
    assert "srcsets" in page[0]
    assert "srcsets" not in page[-1]
    assert len(str(page)) < 6_000_000 / 1.5


def test_an_incomplete_entry_does_not_make_the_list_unreadable():
    """The incomplete image has no URLs; every other image has."""
    odd = [{"imageKey": "uploads/a.jpg", "renditions": [{"name": "small"}]}, {"imageKey": "uploads/b.jpg"}]
    now = datetime(2026, 11, 27, tzinfo=UTC)
    assert [image.keys() for image in gallery.with_urls(clients.client, odd, url_seconds=900, now=now)] == [
        {"imageKey"}
    ] * 2
