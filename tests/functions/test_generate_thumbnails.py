"""functions/generate_thumbnails"""

import dataclasses
import hashlib
import json

import pytest

from image_pipeline import aws as clients
from image_pipeline import errors
from image_pipeline.imaging import recipes
from image_pipeline.workflow import labels
from tests.conftest import THUMBNAILS_BUCKET, aws_client, put_record, put_upload, watched
from tests.corpus import animations
from tests.functions.conftest import load_handler
from tests.pictures import encoded, gradient, opened, photo


def event(key, data):
    return {"imageKey": key, "source": put_upload(key, data), "executionId": "execution-1"}


def stored_keys():
    return [item["Key"] for item in aws_client("s3").list_objects_v2(Bucket=THUMBNAILS_BUCKET).get("Contents", [])]


def rendition(result, name, image_format="JPEG"):
    facts = next(
        rendition
        for rendition in result["renditions"]
        if (rendition["name"], rendition["format"]) == (name, image_format)
    )
    data = aws_client("s3").get_object(Bucket=facts["bucket"], Key=facts["key"])
    return facts, opened(data["Body"].read()), data["ContentType"]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((800, 600), {"100x100": (100, 75), "640x480": (640, 480)}),
        ((600, 800), {"100x100": (75, 100), "640x480": (360, 480)}),
        ((50, 30), {"100x100": (50, 30), "640x480": (50, 30)}),
    ],
)
def test_thumbnails_fit_into_their_boxes(handler, size, expected):
    """They keep the aspect ratio and are never enlarged, and the record has the sizes of the files."""
    result = handler(event("uploads/a.jpg", photo(*size)))
    for name, box in expected.items():
        facts, image, content_type = rendition(result, name)
        assert image.size == box == (facts["width"], facts["height"])
        assert content_type == "image/jpeg"
        assert facts["key"].startswith("thumbnails/a.jpg/")


def test_exactly_the_listed_renditions_exist(handler):
    """The returned keys exist, and no others."""
    result = handler(event("uploads/x/a.jpg", photo()))
    assert sorted(rendition["key"] for rendition in result["renditions"]) == sorted(stored_keys())
    assert all(rendition["sizeBytes"] > 0 for rendition in result["renditions"])


def test_an_animation_and_a_set_reach_the_record(monkeypatch, handler, tmp_path):
    """The record has the frames of animated files; a set ends at the width of the original; damage is a warning."""
    text = '[recipes.s]\nwidths = [20, 40, 60]\nformats = ["webp", "png"]\nanimated = true'
    (tmp_path / "recipes.toml").write_text(text)
    book = recipes.load(tmp_path / "recipes.toml")
    monkeypatch.setattr(recipes, "load", lambda: book)
    result = handler(event("uploads/a.gif", animations.ALL["GIF clears"]()))
    files = [[item.get(field) for field in ("name", "format", "width", "frames")] for item in result["renditions"]]
    assert list(map(tuple, files)) == [
        ("s-20", "WEBP", 20, 4), ("s-20", "PNG", 20, None), ("s-40", "WEBP", 40, 4), ("s-40", "PNG", 40, None),
        ("s-60", "WEBP", 48, 4), ("s-60", "PNG", 48, None),
    ]  # fmt: skip
    assert rendition(result, "s-60", "WEBP")[1].n_frames == 4
    assert result["warnings"] == []
    cut_off = handler(event("uploads/b.gif", animations.ALL["GIF cut off in its last frame"]()))
    assert [warning["code"] for warning in cut_off["warnings"]] == ["ImageWarning"]


def test_a_recipe_without_effect_is_logged_once(monkeypatch, caplog, handler):
    """The recipe is allowed, so only the log reports that it has no effect."""
    book = dataclasses.replace(recipes.load(), warnings=("No folder uses the recipe 'hero'.",))
    monkeypatch.setattr(recipes, "load", lambda: book)
    for name in ("a", "b"):
        handler(event(f"uploads/{name}.jpg", photo(60, 40)))
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == list(book.warnings)


def test_the_focus_of_an_upload_is_rendered_and_returned(handler, monkeypatch):
    """The point in the metadata changes the crop; a choice in the record wins if there was a record before."""
    cover = recipes.RecipeBook({"c": recipes.Recipe("c", 50, 50, fit="cover", formats=("png",))})
    monkeypatch.setattr(recipes, "load", lambda: cover)
    data = encoded(gradient(200, 50), "PNG")
    uploaded = put_upload("uploads/a.png", data, {"focus": "0,0"})
    put_record("uploads/a.png", chosenFocus={"point": {"x": 1, "y": 0}, **uploaded})
    request = {"imageKey": "uploads/a.png", "source": uploaded, "executionId": "execution-1"}
    first, again = handler(request | {"overwrites": False}), handler(request | {"overwrites": True})
    assert (first["focus"], again["focus"]) == ({"x": 0, "y": 0}, {"x": 1, "y": 0})
    crops = [rendition(result, "c", "PNG")[1].convert("RGB") for result in (first, again)]
    picture = gradient(200, 50)
    assert list(map(as_bytes, crops)) == [as_bytes(picture.crop((x, 0, x + 50, 50))) for x in (0, 150)]
    assert len({result["renditions"][0]["key"] for result in (first, again)}) == 2


def as_bytes(image):
    return image.tobytes()


def test_a_focus_that_cannot_be_read_is_a_warning(handler):
    """The record says why the point has no effect."""
    data = photo(60, 40)
    source = put_upload("uploads/a.jpg", data, {"focus": "left"})
    result = handler({"imageKey": "uploads/a.jpg", "source": source, "executionId": "execution-1"})
    assert result["focus"] is None
    assert [warning["code"] for warning in result["warnings"]] == ["ImageWarning"]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(handler, orientation):
    """Renditions are upright for all eight orientations."""
    image = gradient(400, 300)
    image.paste((255, 255, 255), (0, 0, 100, 75))
    expected_corner = {1: (0, 0), 2: (1, 0), 3: (1, 1), 4: (0, 1), 5: (0, 0), 6: (1, 0), 7: (1, 1), 8: (0, 1)}
    exif = image.getexif()
    exif[0x0112] = orientation
    _, small, _ = rendition(handler(event("uploads/a.jpg", encoded(image, "JPEG", exif=exif))), "100x100")
    right, bottom = expected_corner[orientation]
    x, y = (small.width - 4) * right + 1, (small.height - 4) * bottom + 1
    assert min(small.convert("RGB").getpixel((x, y))) > 240
    assert small.getexif().get(0x0112, 1) == 1


def test_the_same_upload_gives_the_same_keys_and_bytes(handler):
    """A retry writes the same keys and bytes again, as new versions."""
    first = handler(event("uploads/a.jpg", photo()))
    keys_before = stored_keys()
    second = handler(event("uploads/a.jpg", photo()))
    assert stored_keys() == keys_before
    for old, new in zip(first["renditions"], second["renditions"], strict=True):
        assert old | {"versionId": None} == new | {"versionId": None}


def test_truncated_pixels_have_a_truthful_outcome(handler):
    """A truncated photo is either rejected or processed with a warning."""
    data = photo(2000, 1500)
    try:
        result = handler(event("uploads/a.jpg", data[: len(data) // 2]))
    except errors.CorruptImageError:
        assert stored_keys() == []
    else:
        assert result["warnings"]


def test_reads_the_object_once(handler):
    """The upload is downloaded once for all renditions."""
    request = event("uploads/a.jpg", photo())
    with watched(clients.client("s3"), "s3.GetObject") as calls:
        handler(request)
    assert len(calls) == 1


def test_the_result_contains_the_camera_but_not_the_place(handler):
    """The result contains no GPS data and no serial numbers."""
    image = gradient(200, 150)
    exif = image.getexif()
    exif[0x010F], exif[0x0110] = "ACME", "Rocket 1"
    exif.get_ifd(0x8769)[0xA431] = "SERIAL-4711"
    gps = exif.get_ifd(0x8825)
    gps[1], gps[2] = "N", (47.0, 22.0, 0.0)
    result = handler(event("uploads/a.jpg", encoded(image, "JPEG", exif=exif)))
    assert (result["exif"]["make"], result["exif"]["model"]) == ("ACME", "Rocket 1")
    text = repr(result["exif"]).lower()
    assert not any(word in text for word in ("latitude", "47.", "4711", "serial"))


def test_facts_describe_the_upload(handler):
    """The properties are computed from all bytes of the upload."""
    data = photo(800, 600)
    facts = handler(event("uploads/a.jpg", data))["image"]
    assert (facts["format"], facts["width"], facts["height"], facts["mode"]) == ("JPEG", 800, 600, "RGB")
    assert facts["sizeBytes"] == len(data)
    assert facts["sha256"] == hashlib.sha256(data).hexdigest()


def test_the_lines_of_the_notification_name_the_image_and_every_rendition(handler):
    """The function writes the lines from the record, and the workflow only joins them."""
    result = handler(event("uploads/x/é.jpg", photo(800, 600)))
    notification = result["notification"]
    assert notification["shownKey"] == "uploads/x/é.jpg"
    assert notification["statusPath"] == "/images/uploads/x/%C3%A9.jpg/status"
    first, *rendition_lines = notification["lines"]
    assert f"JPEG, 800 x 600 pixels, {result['image']['sizeBytes']:,} bytes" in first
    for rendition, line in zip(result["renditions"], rendition_lines, strict=True):
        assert rendition["name"] in line
        assert f"{rendition['format']}, {rendition['width']} x {rendition['height']} pixels" in line


@pytest.mark.parametrize(
    ("recipe", "size", "chosen"),
    [
        ({"width": 1600, "height": 1600}, (800, 600), "only.jpg"),
        ({"width": 1600, "height": 1600, "formats": ["webp"]}, (800, 600), "_reduced.jpg"),
        ({"width": 1600, "height": 1600, "fit": "cover"}, (800, 600), "_reduced.jpg"),
        ({"width": 100, "height": 100}, (800, 600), "_reduced.jpg"),
        ({"width": 1600, "height": 1600}, (50, 30), "_reduced.jpg"),
    ],
)
def test_the_image_to_label_exists_within_the_limits(monkeypatch, tmp_path, recipe, size, chosen):
    """The image for Rekognition is a rendition, or a temporary copy."""
    lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in recipe.items())
    (tmp_path / "recipes.toml").write_text(f"[recipes.only]\n{lines}")
    book = recipes.load(tmp_path / "recipes.toml")
    monkeypatch.setattr(recipes, "load", lambda: book)
    result = load_handler("generate_thumbnails")(event("uploads/a.webp", encoded(gradient(*size), "WEBP")))
    location = {"Bucket": result["picture"]["bucket"], "Key": result["picture"]["key"]}
    assert location["Key"].endswith(f"/{chosen}")
    data = aws_client("s3").get_object(**location)["Body"].read()
    image = opened(data)
    assert labels.accepts(image.format, *image.size, len(data))
    of_record = {rendition["key"] for rendition in result["renditions"]}
    tags = aws_client("s3").get_object_tagging(**location)["TagSet"]
    assert (location["Key"] in of_record) == (chosen == "only.jpg") == (tags == [])
    assert {*of_record, location["Key"]} == set(stored_keys())


@pytest.mark.parametrize("recipe_format", ["jpeg", "webp"])
def test_a_stack_without_labels_writes_no_temporary_copy(monkeypatch, tmp_path, recipe_format):
    """No state would read the copy."""
    (tmp_path / "recipes.toml").write_text(f'[recipes.only]\nwidth = 9\nheight = 9\nformats = ["{recipe_format}"]\n')
    book = recipes.load(tmp_path / "recipes.toml")
    monkeypatch.setattr(recipes, "load", lambda: book)
    monkeypatch.setenv("LABELS", "OFF")
    result = load_handler("generate_thumbnails")(event("uploads/a.jpg", photo(800, 600)))
    assert result["picture"] is None
    assert stored_keys() == [rendition["key"] for rendition in result["renditions"]]
