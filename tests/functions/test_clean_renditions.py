"""functions/clean_renditions"""

from tests.conftest import put_record
from tests.unit.test_cleanup import marked, rendition


def test_what_no_record_points_at_is_cleaned(handler):
    """The failed upload's renditions and nothing else."""
    left, other = rendition("uploads/a.jpg", "1"), rendition("uploads/b.jpg", "1")
    put_record("uploads/a.jpg", status="FAILED")
    event = {"imageKey": "uploads/a.jpg", "outcome": "FAILED", "error": "KeyError", "executionId": "execution-1"}
    assert handler(event)["cleaned"] == 1
    assert marked() == {left.version_id}
    assert other.version_id not in marked()
