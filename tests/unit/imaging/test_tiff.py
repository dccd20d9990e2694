"""Directories, headers and pixels of TIFF."""

from image_pipeline.imaging.containers.tiff import Tiff
from image_pipeline.imaging.formats.admission import admit
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.reader import Budget, Reader
from tests.corpus import SIZE, quarters, saved


def test_tiff_directories_may_not_go_round_in_circles():
    """A link back is followed once at most by whoever counts pages."""
    data = bytearray(saved(quarters(), "TIFF"))
    first = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[first : first + 2], "little")
    data[first + 2 + 12 * count :][:4] = b""
    link = first + 2 + 12 * count
    data[link : link + 4] = first.to_bytes(4, "little")
    header = admit(Reader.of(bytes(data)), Limits())
    assert (header.width, header.height) == SIZE
    assert header.frames <= 2


def test_only_values_that_are_asked_for_are_read():
    """A directory of a thousand entries that point at the same text costs its table, not a thousand texts."""
    text = b"x" * 60_000
    rows = b"".join(
        tag.to_bytes(2, "big") + b"\0\2" + len(text).to_bytes(4, "big") + b"\0\0\0\x08" for tag in range(1000)
    )
    block = b"MM\0*" + (8 + len(text)).to_bytes(4, "big") + text + b"\x03\xe8" + rows + bytes(4)
    budget = Budget()
    tiff = Tiff(Reader.of(block, budget))
    directory = tiff.directory(tiff.first)
    assert directory.text(999) == text
    assert Budget().bytes - budget.bytes < len(text) + len(rows) + 100
