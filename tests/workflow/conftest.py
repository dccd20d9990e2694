"""The real workflow on the local engine; only the waits between retries are cut."""

import itertools

import pytest

from local.pipeline import Pipeline

_numbers = itertools.count()


@pytest.fixture(scope="session")
def shared_pipeline(tmp_path_factory):
    """One engine for all tests of the workflow; each test has keys of its own."""
    with Pipeline(tmp_path_factory.mktemp("workflow"), wait_scale=0.0) as pipeline:
        yield pipeline


@pytest.fixture
def pipeline(shared_pipeline):
    """Without the faults and replacements of the test before."""
    yield shared_pipeline
    shared_pipeline.clear()


@pytest.fixture
def key():
    """A key that no other test has."""
    return f"uploads/workflow/{next(_numbers)}.jpg"


@pytest.fixture
def outcome(pipeline):
    """Upload, wait, and tell all that came of it."""
    return lambda key, data: Outcome(pipeline, key, pipeline.upload(key, data))


class Outcome:
    """What one upload led to."""

    def __init__(self, pipeline, key, version_id):
        self.record = pipeline.wait_for(key, version_id)
        (self.execution,) = [each for each in pipeline.executions() if (each.key, each.version_id) == (key, version_id)]
        self.states = pipeline.states_entered(self.execution)
        self.notifications = [
            each for each in pipeline.notifications() if each["MessageAttributes"]["imageKey"]["Value"] == key
        ]

    @property
    def notified(self):
        """The `status` of every notification about this key."""
        return [each["MessageAttributes"]["status"]["Value"] for each in self.notifications]
