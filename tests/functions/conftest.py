"""Each handler as Lambda runs it: its own app.py, the template's environment, the APIs of moto."""

import importlib.util
import resource
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.fixture(autouse=True)
def _pipeline(aws, environment):
    """Every handler runs inside the stack."""


def load_handler(function):
    """`lambda_handler` of the function in this folder, called with an event alone."""
    path = ROOT / "functions" / function / "app.py"
    spec = importlib.util.spec_from_file_location(f"{function}_app", path)
    app = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(app)
    return lambda event: app.lambda_handler(event, None)


@pytest.fixture
def handler(request):
    """The handler that the test module is named after."""
    return load_handler(Path(request.fspath).stem.removeprefix("test_"))


@pytest.fixture(autouse=True)
def _memory_limit():
    """A handler that limits its memory does so for its own process, which is this one."""
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    yield
    resource.setrlimit(resource.RLIMIT_DATA, limits)
