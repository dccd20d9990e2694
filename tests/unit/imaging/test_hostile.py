"""A short fuzz run; `make fuzz` runs the long one."""

import tracemalloc

from tests.conftest import examples
from tools.fuzz import MOST_ADMISSION_BYTES, fuzz, sources


def test_damaged_files_are_rendered_or_rejected():
    """The damage is the same in each run."""
    figures = fuzz(seconds=60, seed=20_261_121, most=300)
    assert [(seed, problem) for seed, problem, _ in figures.failures] == []
    assert figures.outcomes["rendered"] > 10
    assert figures.outcomes["CorruptImageError"] > 50


def test_admission_stays_within_its_memory():
    """The memory of admission is bounded, whatever the structure of the file."""
    sources()  # tracing would make their creation several times slower
    tracemalloc.start()
    try:
        figures = fuzz(seconds=60, seed=20_261_127, most=examples(150))
    finally:
        tracemalloc.stop()
    assert 0 < figures.admission_bytes < MOST_ADMISSION_BYTES
    assert figures.failures == []
