"""image_pipeline.api.originals"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_pipeline.api import intake, originals
from image_pipeline.errors import UploadNotFoundError
from tests.conftest import UPLOADS_BUCKET, aws_client, put_upload


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\\"), min_size=1))
def test_the_header_preserves_every_name(name):
    """The header is ASCII without control characters, and its extended name (RFC 8187) equals the file name."""
    header = originals.disposition(name)
    assert header.isascii()
    assert header.isprintable()
    assert intake._file_name(header) == name


def test_the_plain_name_needs_no_escape():
    """The plain name has no escapes and percent signs, because clients read them differently."""
    assert originals.disposition('a"\\%41ü;.jpg').split("; filename*")[0] == 'attachment; filename="a___41_;.jpg"'
    assert originals.disposition("") == "attachment"


@pytest.mark.usefixtures("aws")
def test_a_missing_original_is_not_signed():
    """A deleted upload has no URL, although its versions remain."""
    put_upload("uploads/a", b"x")
    assert "versionId=" in originals.sign(aws_client, bucket=UPLOADS_BUCKET, image_key="uploads/a", seconds=60)["url"]
    aws_client("s3").delete_object(Bucket=UPLOADS_BUCKET, Key="uploads/a")
    with pytest.raises(UploadNotFoundError):
        originals.sign(aws_client, bucket=UPLOADS_BUCKET, image_key="uploads/a", seconds=60)
