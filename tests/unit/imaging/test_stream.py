"""image_pipeline.imaging.stream"""

import io

from hypothesis import given
from hypothesis import strategies as st

from image_pipeline.imaging.stream import PartStream


@given(
    st.lists(st.binary(max_size=40), max_size=6),
    st.lists(st.tuples(st.integers(-5, 120), st.integers(-1, 120), st.sampled_from([0, 1, 2])), max_size=10),
)
def test_parts_read_like_one_file(parts, moves):
    """Reads and seeks give the same results as on a file of the joined parts."""
    stream = PartStream(parts)
    file = io.BytesIO(b"".join(parts))
    for offset, count, whence in moves:
        expected = max(0, {0: 0, 1: file.tell(), 2: len(file.getvalue())}[whence] + offset)
        file.seek(expected)
        assert stream.seek(offset, whence) == expected
        assert stream.read(count) == file.read(count)
        assert stream.tell() == file.tell()
