"""Run each handler as Lambda does: its own app.py, the template's environment, and moto's AWS APIs."""

import importlib.util
import resource
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.fixture(autouse=True)
def _pipeline(aws, environment):
    """Create the resources of the stack for every test."""


def load_handler(function):
    """Load the `lambda_handler` of a function's folder, which then takes only the event."""
    path = ROOT / "functions" / function / "app.py"
    spec = importlib.util.spec_from_file_location(f"{function}_app", path)
    app = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(app)
    return lambda event: app.lambda_handler(event, None)


@pytest.fixture
def handler(request):
    """The handler of the function that the test module is named after."""
    return load_handler(Path(request.fspath).stem.removeprefix("test_"))


@pytest.fixture(autouse=True)
def _memory_limit():
    """Do not limit the memory of this process, which a handler would otherwise do."""
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    yield
    resource.setrlimit(resource.RLIMIT_DATA, limits)
