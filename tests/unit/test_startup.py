"""image_pipeline.startup"""

import gc

import pytest

from image_pipeline import startup


@pytest.fixture(autouse=True)
def unfrozen():
    yield
    gc.unfreeze()
    gc.enable()


def test_what_a_start_creates_is_never_looked_at_again():
    """The collector works again afterwards, but without these objects."""
    with startup.keeping_everything():
        assert not gc.isenabled()
        kept = [[]]
    assert gc.isenabled()
    assert not any(tracked is kept for tracked in gc.get_objects())


def test_the_collector_works_after_an_error():
    """A process that survives a failed start must not grow for ever."""
    with pytest.raises(ImportError), startup.keeping_everything():
        raise ImportError
    assert gc.isenabled()
