"""image_pipeline.imaging.containers.boxes"""

import struct

import pytest

from image_pipeline.imaging.containers.boxes import boxes, children
from image_pipeline.imaging.reader import BrokenContainerError, CutOffError, Reader
from tests.corpus.heif import box


def test_broken_boxes_are_reported():
    """The message contains the box and the problem."""
    with pytest.raises(BrokenContainerError, match="box b'abcd' of 7 bytes at byte 0"):
        list(boxes(Reader.of(b"\0\0\0\7abcd")))
    with pytest.raises(BrokenContainerError, match="abcd"):
        list(boxes(Reader.of(b"\0\0\0\x10abcd")))
    long = struct.pack(">I4sQ", 1, b"abcd", 20) + b"body"
    assert [(entry.kind, entry.body.size) for entry in boxes(Reader.of(long + b"\0\0\0\0last12"))] == [
        (b"abcd", 4),
        (b"last", 2),
    ]


def test_a_duplicate_box_is_rejected():
    """Readers would choose different boxes; duplicates of other kinds are ignored."""
    reader = Reader.of(box(b"aaaa") + box(b"free") * 2 + box(b"bbbb"))
    assert set(children(reader, 0, frozenset({b"aaaa", b"bbbb"}))) == {b"aaaa", b"bbbb"}
    with pytest.raises(BrokenContainerError, match="two free boxes"):
        children(reader, 0, frozenset({b"free"}))


def test_a_box_ends_within_its_parent():
    """A box must be within the box that contains it."""
    outer = Reader.of(box(b"aaaa") + bytes(100)).part(0, 12)
    assert [entry.kind for entry in boxes(outer)] == [b"aaaa"]
    with pytest.raises(CutOffError):
        list(boxes(Reader.of(struct.pack(">I4s", 20, b"aaaa") + bytes(100)).part(0, 16)))
