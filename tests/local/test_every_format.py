"""One file of every format, from upload to status."""

import pytest

from tests.corpus import GOOD

FORMATS = sorted({good.format for good in GOOD})


@pytest.mark.parametrize("image_format", FORMATS)
def test_a_file_of_every_format_becomes_renditions(pipeline, folder, image_format):
    """Each gets thumbnails, web renditions, labels and metadata; the content decides the format, not the name."""
    good = next(sample for sample in GOOD if sample.format == image_format)
    key = f"{folder}/{image_format}.{'png' if image_format == 'JPEG' else 'jpg'}"
    pipeline.upload(key, good.make())
    record = pipeline.wait_for(key)
    assert record["status"] == "COMPLETED", record
    assert record["image"]["format"] == image_format
    assert {rendition["name"] for rendition in record["renditions"]} == {"100x100", "640x480", "web"}
    assert record["labels"]
    assert record["summary"]["thumbhash"]
