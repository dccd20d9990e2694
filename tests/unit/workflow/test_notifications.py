"""image_pipeline.workflow.notifications"""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from image_pipeline import keys
from image_pipeline.workflow import notifications

IMAGE = {"format": "JPEG", "width": 4000, "height": 3000, "sizeBytes": 1_234_567, "sha256": "0" * 64}
WEB = {"name": "web", "format": "WEBP", "width": 800, "height": 600, "sizeBytes": 999, "key": "thumbnails/a.jpg/0/web"}


def test_the_image_and_each_rendition_are_described():
    """The lines have format, displayed size and bytes in the order of the record, and then the warnings."""
    warnings = [{"code": "ImageWarning", "message": "The end is missing."}]
    described = notifications.describe_image("uploads/a.jpg", IMAGE, [WEB, {**WEB, "name": "small"}], warnings)
    assert described["lines"] == [
        "Image: JPEG, 4000 x 3000 pixels, 1,234,567 bytes",
        "Rendition web: WEBP, 800 x 600 pixels, 999 bytes",
        "Rendition small: WEBP, 800 x 600 pixels, 999 bytes",
        "Warning: The end is missing.",
    ]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50).map(lambda name: keys.UPLOADS_PREFIX + name))
@example("uploads/line\r\nX-Header: 1.jpg")
def test_the_key_has_the_usual_text_and_link(key):
    """The page, the command line and the notification print the same name and the same link."""
    described = notifications.describe_image(key, IMAGE, [], [])
    assert (described["shownKey"], described["statusPath"]) == (keys.printable(key), keys.status_path(key))


@given(st.text())
@example("a\nStatus: https://example.com")
@example("\u202e\x1b[31m\u2028\ud800")
def test_no_text_starts_a_line_of_its_own(text):
    """A warning or a label cannot imitate another part of the notification."""
    image = notifications.describe_image("uploads/a", IMAGE, [], [{"code": "ImageWarning", "message": text}])
    labels = notifications.describe_labels([{"name": text, "confidence": 99.0, "parents": []}], "3.0")
    for line in (*image["lines"], *labels["lines"]):
        assert len(line.splitlines()) == 1
        assert keys.printable(line) == line
    assert len(image["lines"]) == 2
    assert len(labels["lines"]) == 1


@pytest.mark.parametrize(
    ("labels", "line"),
    [
        ([], "Labels: none"),
        ([("Sea", 97.51)], "Labels (3.0): Sea 98 %"),
        ([("Sea", 100.0), ("Open Water", 75.49)], "Labels (3.0): Sea 100 %, Open Water 75 %"),
        ([("Sea", 98.5)], "Labels (3.0): Sea 99 %"),
    ],
)
def test_labels_are_shown_with_their_confidence(labels, line):
    """The lines have whole percent in the order of the record, and the version of the model."""
    entries = [{"name": name, "confidence": confidence, "parents": []} for name, confidence in labels]
    assert notifications.describe_labels(entries, "3.0") == {"lines": [line]}
