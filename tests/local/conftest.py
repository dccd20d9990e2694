"""What the tests of the local run share."""

import itertools

import pytest

_numbers = itertools.count()


@pytest.fixture
def folder() -> str:
    """A folder of the uploads bucket that no other test uses."""
    return f"uploads/local-{next(_numbers)}"
