"""A short fuzz run; `make fuzz` is the long one."""

from tests.fuzz import fuzz


def test_no_damage_gets_through():
    """400 damaged files, the same each time: renditions or errors of ours, in time."""
    ends, wrong = fuzz(seconds=60, seed=20_261_121, most=400)
    assert [(seed, what) for seed, what, _ in wrong] == []
    assert sum(ends.values()) == 400
    assert ends["rendered"] > 20
    assert ends["CorruptImageError"] > 100
