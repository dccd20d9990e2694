"""image_pipeline.api.statuses"""

import json

import pytest

from image_pipeline.api import statuses
from image_pipeline.errors import InvalidKeyError, InvalidRequestError


def test_keys_keep_their_order_and_count_once():
    """A repeated key is answered once."""
    assert statuses.parse({"imageKeys": ["uploads/b", "uploads/a", "uploads/b"]}) == ["uploads/b", "uploads/a"]


def test_every_key_of_a_record_is_accepted():
    """Keys in S3 may contain characters that callers of the API cannot choose."""
    names = ["uploads/", "uploads/../x", "uploads//a", "uploads/a\n", "uploads/ü 🏝", "uploads/" + "x" * 1016]
    assert statuses.parse({"imageKeys": names}) == names


@pytest.mark.parametrize("count", [0, 101, 10_000])
def test_the_number_of_keys_is_bounded(count):
    """Repeated keys count, too."""
    with pytest.raises(InvalidRequestError):
        statuses.parse({"imageKeys": ["uploads/a"] * count})


@pytest.mark.parametrize("text", ["", "a", "/uploads/a", "uploads", "uploads/\ud800", "uploads/" + "ü" * 509])
def test_an_impossible_key_is_refused(text):
    """The error contains the position of the key in the list."""
    with pytest.raises(InvalidKeyError, match=r"imageKeys\[0\]"):
        statuses.parse({"imageKeys": [text]})


@pytest.mark.parametrize("text", ["x", "ü", '"', "\\"])
def test_the_size_of_an_answer_is_limited(text):
    """Lambda counts bytes, after the body is escaped."""
    for length in (1_300_000, 2_700_000, 5_600_000):
        body = {"statuses": [text * length]}
        returned = json.dumps({"statusCode": 200, "body": json.dumps(body, ensure_ascii=False)}, ensure_ascii=False)
        if statuses.fits(body):
            assert len(returned.encode()) < 6_291_556
    assert not statuses.fits({"statuses": [text * 5_600_000]})
    assert statuses.fits({"statuses": [text * 1_300_000]})
