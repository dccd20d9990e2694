"""image_pipeline.api.etags"""

import pytest

from image_pipeline.api import etags


@pytest.mark.parametrize(
    ("header", "matches"),
    [
        ('W/"a"', True),
        ('"a"', True),
        ('"b", W/"a"', True),
        ('"b",W/"a","c"', True),
        ("*", True),
        ("", False),
        ('"b"', False),
        ("a", False),
        ('"A"', False),
        ('W/"a', False),
    ],
)
def test_etags_are_compared_as_http_requires(header, matches):
    """RFC 9110, section 13.1.2: the comparison is weak, with any etag of the list."""
    assert etags.matches(header, 'W/"a"') is matches
