"""image_pipeline.api.encodings"""

import pytest

from image_pipeline.api import encodings


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("gzip, deflate, br, zstd", True),
        ("br;q=1.0, GZIP;q=0.5", True),
        ("gzip;q=0.001", True),
        ("gzip;q=0", False),
        ("br, gzip; q=0.000", False),
        ("identity", False),
        ("notgzip", False),
        ("", False),
    ],
)
def test_gzip_is_accepted_unless_its_weight_is_zero(header, accepted):
    """RFC 9110, section 12.5.3."""
    assert encodings.accepts_gzip(header) == accepted
