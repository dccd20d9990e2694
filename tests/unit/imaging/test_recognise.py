"""image_pipeline.imaging.formats.recognise"""

from hypothesis import given
from hypothesis import strategies as st

from image_pipeline.imaging.formats.recognise import sniff


@given(st.binary(max_size=300))
def test_any_bytes_have_a_name(data):
    """A message can always say what was found."""
    assert sniff(data)
