"""functions/validate_image"""

from contextlib import suppress

import pytest

from image_pipeline import errors
from tests.conftest import put_upload
from tests.pictures import encoded, gradient, photo


def event(stored_as, data, **changes):
    return {"upload": put_upload(stored_as, data) | changes, "executionId": "execution-1"}


@pytest.mark.parametrize("name", ["beach.jpg", "beach", "beach.png", "a b/c+d%25(1).jpg", "Zürich.jpg", "🏝.jpg"])
def test_admits_a_photo_under_any_name(handler, name):
    """The content determines the format, not the name."""
    key = f"uploads/{name}"
    result = handler(event(key, photo(800, 600)))
    assert (result["image"]["format"], result["image"]["width"], result["image"]["height"]) == ("JPEG", 800, 600)
    assert result["source"]["key"] == key
    assert result["source"]["versionId"]


def test_admits_a_png_named_jpg_as_png(handler):
    """The detected format is PNG."""
    assert handler(event("uploads/a.jpg", encoded(gradient(), "PNG")))["image"]["format"] == "PNG"


@pytest.mark.parametrize("data", [photo(), b"words"])
def test_the_version_is_logged_for_every_outcome(handler, caplog, data):
    """The version id connects the logs of a request and of the execution."""
    request = event("uploads/Passport.jpg", data)
    with suppress(errors.UnsupportedFormatError):
        handler(request)
    (line,) = [record for record in caplog.records if hasattr(record, "version_id")]
    assert line.version_id == request["upload"]["versionId"]
    assert "Passport" not in str(vars(line))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_returns_the_size_as_displayed(handler, orientation):
    """The size respects the orientation."""
    image = gradient(80, 60)
    exif = image.getexif()
    exif[0x0112] = orientation
    result = handler(event("uploads/a.jpg", encoded(image, "JPEG", exif=exif)))
    expected = (60, 80) if orientation >= 5 else (80, 60)
    assert (result["image"]["width"], result["image"]["height"]) == expected


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", errors.EmptyUploadError),
        (b"just some words, whatever the name says\n", errors.UnsupportedFormatError),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", errors.UnsupportedFormatError),
        (b"%PDF-1.7\n", errors.UnsupportedFormatError),
        (b"PK\3\4" + bytes(100), errors.UnsupportedFormatError),
        (photo()[:100], errors.CorruptImageError),
    ],
    ids=["empty", "text", "svg", "pdf", "zip", "cut header"],
)
def test_rejects_by_content_with_the_right_name(handler, data, error):
    """Each kind of invalid file has its own error."""
    with pytest.raises(error):
        handler(event("uploads/a.jpg", data))


def test_rejects_more_bytes_than_the_limit_without_reading_them(handler):
    """The announced size is checked before any read."""
    with pytest.raises(errors.UploadTooLargeError):
        handler(event("uploads/a.jpg", photo(), sizeBytes=150_000_001))


def test_rejects_more_pixels_than_the_limit(handler, monkeypatch):
    """The limit is checked with the header only."""
    monkeypatch.setenv("MAX_MEGAPIXELS", "1")
    with pytest.raises(errors.ImageTooLargeError):
        handler(event("uploads/a.png", encoded(gradient(1100, 1000), "PNG")))


def test_rejects_an_upload_that_is_gone(handler):
    """An upload that was deleted before the read is a rejection."""
    with pytest.raises(errors.UploadVanishedError):
        handler(event("uploads/a.jpg", photo(), versionId=None, etag="0" * 32))


def test_returns_the_spelling_of_the_key_that_exists(handler):
    """An event with an encoded key finds the object."""
    result = handler(event("uploads/a b.jpg", photo(), key="uploads/a+b.jpg"))
    assert result["source"]["key"] == "uploads/a b.jpg"


def test_the_list_of_formats_is_a_setting(handler, monkeypatch):
    """Formats that are not listed are rejected, and unknown formats cannot be listed."""
    monkeypatch.setenv("IMAGE_FORMATS", "JPEG,WEBP")
    assert handler(event("uploads/a.jpg", photo()))["image"]["format"] == "JPEG"
    with pytest.raises(errors.UnsupportedFormatError, match="JPEG, WEBP"):
        handler(event("uploads/a.png", encoded(gradient(), "PNG")))
    monkeypatch.setenv("IMAGE_FORMATS", "JPEG,SVG")
    with pytest.raises(errors.SettingsError, match="SVG"):
        handler(event("uploads/a.jpg", photo()))
