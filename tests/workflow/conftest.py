"""The real workflow on the local engine."""

import itertools

import pytest

_numbers = itertools.count()


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
