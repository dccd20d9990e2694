"""image_pipeline.imaging.formats.placement"""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from image_pipeline.imaging.containers.heif import Property
from image_pipeline.imaging.engine import _TURNS
from image_pipeline.imaging.formats.placement import Placement
from image_pipeline.imaging.reader import BrokenContainerError, Reader
from tests.corpus.heif import clap, imir, irot

SIZE = (7, 5)
TURNS = {
    irot(0): None,
    irot(1): Image.Transpose.ROTATE_90,
    irot(2): Image.Transpose.ROTATE_180,
    irot(3): Image.Transpose.ROTATE_270,
    imir(0): Image.Transpose.FLIP_TOP_BOTTOM,
    imir(1): Image.Transpose.FLIP_LEFT_RIGHT,
}


def step(box):
    """The property of a whole box."""
    return Property(box[4:8], Reader.of(box[8:]), True)


def placed(*boxes, size=SIZE):
    """The placement after some steps."""
    placement = Placement(0, 0, *size)
    for box in boxes:
        placement = placement.then(step(box))
    return placement


@settings(deadline=None)
@given(st.data())
def test_any_steps_equal_one_crop_and_one_rotation(data):
    """The result equals that of applying the steps one by one with Pillow."""
    image = Image.frombytes("L", SIZE, bytes(range(35)))
    boxes = []
    expected = image
    for _ in range(data.draw(st.integers(0, 5))):
        if data.draw(st.booleans()):
            box = data.draw(st.sampled_from(list(TURNS)))
            expected = expected if TURNS[box] is None else expected.transpose(TURNS[box])
        else:
            width, height = (data.draw(st.integers(1, side)) for side in expected.size)
            left = data.draw(st.integers(0, expected.width - width))
            top = data.draw(st.integers(0, expected.height - height))
            box = clap(width, height, left, top, expected.size)
            expected = expected.crop((left, top, left + width, top + height))
        boxes.append(box)
    placement = placed(*boxes)
    actual = image.crop(placement.box)
    turn = _TURNS.get(placement.orientation)
    actual = actual if turn is None else actual.transpose(turn)
    assert (actual.size, actual.tobytes()) == (expected.size, expected.tobytes())


@pytest.mark.parametrize(
    ("boxes", "orientation"),
    [
        ((irot(1), imir(0)), 5),
        ((imir(0), irot(1)), 7),
        ((irot(1), imir(1)), 7),
        ((imir(0), irot(3)), 5),
        ((imir(1), irot(2)), 4),
        ((imir(1),), 2),
        ((irot(3),), 6),
    ],
)
def test_steps_are_applied_in_their_order(boxes, orientation):
    """The order of rotation and mirroring matters (ISO/IEC 23008-12, 6.5.1)."""
    assert placed(*boxes).orientation == orientation


@pytest.mark.parametrize(
    ("numbers", "box"),
    [
        ((10, 1, 10, 1, 0, 1, 0, 1), (45, 45, 55, 55)),
        ((11, 1, 11, 1, 0, 1, 0, 1), (44, 44, 55, 55)),  # half a pixel to the left and up, as libheif does
        ((21, 2, 10, 1, 0, 1, 0, 1), (44, 45, 55, 55)),
        ((200, 1, 200, 1, 0, 1, 0, 1), (0, 0, 100, 100)),
        ((50, 1, 50, 1, 50, 1, -50, 1), (75, 0, 100, 25)),
        ((50, 1, 50, 1, 75, 1, 0, 1), None),
        ((0, 1, 50, 1, 0, 1, 0, 1), None),
        ((50, 0, 50, 1, 0, 1, 0, 1), None),
        ((50, 1, 50, 1, 0, 0, 0, 1), None),
        ((2**32 - 1, 1, 2**32 - 1, 1, -(2**31), 1, 2**31 - 1, 1), (0, 49, 49, 100)),
    ],
)
def test_crops_are_limited_to_the_image(numbers, box):
    """A crop between pixels is rounded, one over the edge is limited, and an empty one is an error."""
    crop = Property(b"clap", Reader.of(struct.pack(">IIIIiIiI", *numbers)), True)
    if box is None:
        with pytest.raises(BrokenContainerError, match="crop"):
            Placement(0, 0, 100, 100).then(crop)
    else:
        assert Placement(0, 0, 100, 100).then(crop).box == box


def test_a_crop_that_is_cut_off_is_an_error():
    """A crop property that is too short is rejected."""
    with pytest.raises(BrokenContainerError):
        Placement(0, 0, 9, 9).then(Property(b"clap", Reader.of(bytes(31)), True))
