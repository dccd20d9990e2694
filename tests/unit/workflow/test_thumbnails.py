"""image_pipeline.workflow.thumbnails"""

import pytest

from image_pipeline.imaging.focus import Point
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.recipes import Recipe
from image_pipeline.workflow import labels, thumbnails
from tests.pictures import photo

WHOLE = Recipe("whole", 800, 800, formats=("jpeg",))
CROP = Recipe("crop", 40, 40, fit="cover", formats=("jpeg",))


def make(*recipes, detects_labels=True, point=None):
    return thumbnails.make(photo(400, 300), recipes, Limits(), point, detects_labels=detects_labels)


@pytest.mark.parametrize("detects_labels", [True, False])
def test_a_rendition_of_the_whole_image_is_labelled(detects_labels):
    """No copy is made when Rekognition accepts a rendition."""
    output = make(CROP, WHOLE, detects_labels=detects_labels)
    assert (output.labelled.name, output.copies) == ("whole", ())


def test_a_copy_is_labelled_when_every_rendition_is_cropped():
    """The copy is stored with the renditions, but is not one of them."""
    output = make(CROP)
    assert output.copies == (output.labelled,)
    assert max(output.labelled.width, output.labelled.height) <= labels.LEGIBLE_SIDE
    assert [file.name for file in output.files] == ["crop", output.labelled.name]


def test_no_copy_is_made_when_the_stack_detects_no_labels():
    """A copy costs a decode and a write, and nothing would read it."""
    output = make(CROP, detects_labels=False)
    assert (output.labelled, output.copies) == (None, ())


@pytest.mark.parametrize("point", [Point(0.0, 0.5), None])
def test_the_result_has_the_location_of_each_rendition(point):
    """The record points to the files, and names what the crops show."""
    output = make(CROP, point=point)
    locations = {file.file_name: {"key": f"thumbnails/{file.file_name}"} for file in output.files}
    result = output.result("uploads/a.jpg", locations, ["The point was ignored."])
    assert [rendition["key"] for rendition in result["renditions"]] == ["thumbnails/crop.jpg"]
    assert result["picture"] == locations[output.labelled.file_name]
    assert result["image"]["sizeBytes"] == len(photo(400, 300))
    assert result["focus"] == (point and {"x": 0.0, "y": 0.5})
    assert [warning["message"] for warning in result["warnings"]] == ["The point was ignored."]
