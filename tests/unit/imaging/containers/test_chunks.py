"""image_pipeline.imaging.containers.chunks"""

from itertools import pairwise

from image_pipeline.imaging.containers.chunks import png_chunks, riff_chunks
from image_pipeline.imaging.reader import Reader
from tests.corpus import quarters, saved


def test_png_chunks_come_in_their_order():
    """Chunks from IHDR to IEND are returned in order."""
    chunks = list(png_chunks(Reader.of(saved(quarters(), "PNG"))))
    assert [chunk.kind for chunk in chunks] == [b"IHDR", b"IDAT", b"IEND"]
    assert all(one.end + 12 == two.start for one, two in pairwise(chunks))


def test_riff_chunks_start_at_even_offsets():
    """An odd payload is followed by one byte of padding."""
    data = b"RIFF\0\0\0\0WEBP" + b"ONE \3\0\0\0abc\0" + b"TWO \0\0\0\0"
    assert [(chunk.kind, chunk.length) for chunk in riff_chunks(Reader.of(data))] == [(b"ONE ", 3), (b"TWO ", 0)]
