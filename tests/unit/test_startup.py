"""image_pipeline.startup"""

import gc

import pytest

from image_pipeline import startup


@pytest.fixture(autouse=True)
def unfrozen():
    yield
    gc.unfreeze()
    gc.enable()


def test_objects_of_the_start_are_never_examined_again():
    """The collector works again afterwards, but without these objects."""
    with startup.no_garbage_collection():
        assert not gc.isenabled()
        kept = [[]]
    assert gc.isenabled()
    assert not any(tracked is kept for tracked in gc.get_objects())


def test_the_collector_works_after_an_error():
    """A process that survives a failed start must not grow forever."""
    with pytest.raises(ImportError), startup.no_garbage_collection():
        raise ImportError
    assert gc.isenabled()
