"""image_pipeline.imaging.focus"""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_pipeline.errors import InvalidRequestError
from image_pipeline.imaging.focus import CENTRE, Point

sides = st.floats(0, 1)
points = st.builds(lambda x, y: Point.from_json({"x": x, "y": y}), sides, sides)


@pytest.mark.parametrize(
    ("text", "x", "y"),
    [("0.3,0.4", 0.3, 0.4), ("0,1", 0, 1), (" .5 , 1.0 ", 0.5, 1), ("1.,0.00004", 1, 0), ("0.123456,0", 0.1235, 0)],
)
def test_reads_two_numbers(text, x, y):
    """Spaces do not matter, and four decimal places are enough."""
    assert Point.parse(text) == Point(x, y)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        "0.3",
        "0.3,",
        "0.3,0.4,0.5",
        "0.3;0.4",
        "1.1,0",
        "-0.1,0",
        "nan,0",
        "inf,0",
        "1e-1,0",
        "٠,0",
        "x" * 9999,
    ],
)
def test_refuses_every_other_text(text):
    """The message contains the shortened value, and the hint contains the rule."""
    with pytest.raises(InvalidRequestError, match="is not a point of the image") as caught:
        Point.parse(text)
    assert "0 to 1" in caught.value.hint
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    "value",
    [None, [], "0.3,0.4", {}, {"x": 0.3}, {"x": 0.3, "y": 0.4, "z": 0}, {"x": True, "y": 0}, {"x": "0.3", "y": 0.4},
     {"x": -0.1, "y": 0}, {"x": 0, "y": 1.1}, json.loads('{"x": NaN, "y": 0}'), {"x": None, "y": None}],
)  # fmt: skip
def test_refuses_every_other_object(value):
    """A point is exactly two numbers from 0 to 1."""
    with pytest.raises(InvalidRequestError, match="is not a point of the image"):
        Point.from_json(value)


def test_negative_zero_is_zero():
    """JSON has a negative zero, but the text of a point cannot have a sign."""
    point = Point.from_json(json.loads('{"x": -0.0, "y": -0.0}'))
    assert str(point) == "0,0"
    assert Point.parse(str(point)) == point


@given(points)
def test_both_forms_keep_the_point(point):
    """A point is the same after it was written and read, as text and as JSON."""
    assert Point.parse(str(point)) == point == Point.from_json(json.loads(json.dumps(point.to_json())))


@pytest.mark.parametrize(
    ("point", "expected"),
    [(CENTRE, (100, 0)), (Point(0, 0), (0, 0)), (Point(1, 1), (200, 0)), (Point(0.4, 0.9), (70, 0))],
)
def test_places_a_crop_around_the_point(point, expected):
    """The point is in the middle of the crop, unless an edge is too near."""
    assert point.place((300, 100), (100, 100)) == expected


@given(points, st.tuples(st.integers(1, 300), st.integers(1, 300)), st.data())
def test_a_crop_is_inside_the_image_and_contains_the_point(point, size, data):
    """This holds for every size of image and crop."""
    crop = tuple(data.draw(st.integers(1, side)) for side in size)
    for share, start, part, whole in zip((point.x, point.y), point.place(size, crop), crop, size, strict=True):
        assert 0 <= start <= whole - part
        assert start - 1 <= share * whole <= start + part + 1
