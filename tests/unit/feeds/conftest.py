"""Fixtures of the feeds."""

import pytest

from image_pipeline import aws as clients


@pytest.fixture
def listing_table(aws):
    """The listing table, and clients that belong to it."""
    clients.client.cache_clear()
    yield
    clients.client.cache_clear()
