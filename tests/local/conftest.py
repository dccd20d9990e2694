"""One local pipeline for all tests of the local run; each test has keys of its own."""

import itertools
from collections.abc import Iterator

import pytest

from local.pipeline import Pipeline

_numbers = itertools.count()


@pytest.fixture(scope="session")
def shared_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    with Pipeline(tmp_path_factory.mktemp("local"), wait_scale=0.0) as pipeline:
        yield pipeline


@pytest.fixture
def pipeline(shared_pipeline: Pipeline) -> Iterator[Pipeline]:
    yield shared_pipeline
    shared_pipeline.clear()


@pytest.fixture
def folder() -> str:
    """A folder of the uploads bucket that no other test uses."""
    return f"uploads/local-{next(_numbers)}"
