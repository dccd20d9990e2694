"""Boxes, headers and pixels of HEIF and AVIF."""

import pytest

from image_pipeline.imaging.containers.heif import HeifItems, heif_items
from image_pipeline.imaging.formats.heif import box_orientation
from image_pipeline.imaging.reader import Reader
from tests.corpus import quarters, saved


def test_heif_items_name_the_primary_picture():
    """Its type decides who decodes it."""
    items = heif_items(Reader.of(saved(quarters(), "AVIF")))
    assert items.primary_type == b"av01"
    assert items.properties[b"ispe"][4:12] == bytes((0, 0, 0, 240, 0, 0, 0, 160))


@pytest.mark.parametrize(
    ("order", "turn", "axis", "orientation"),
    [
        ((b"irot", b"imir"), 1, 0, 5),
        ((b"imir", b"irot"), 1, 0, 7),
        ((b"irot", b"imir"), 1, 1, 7),
        ((b"imir", b"irot"), 3, 0, 5),
        ((b"imir", b"irot"), 2, 1, 4),
        ((b"imir",), None, 1, 2),
        ((b"irot",), 3, None, 6),
    ],
)
def test_boxes_are_applied_in_their_order(order, turn, axis, orientation):
    """Turning a mirrored picture is not mirroring a turned one (ISO/IEC 23008-12, 6.5.1)."""
    items = HeifItems(order=order)
    if turn is not None:
        items.properties[b"irot"] = bytes((turn,))
    if axis is not None:
        items.properties[b"imir"] = bytes((axis,))
    assert box_orientation(items) == orientation
