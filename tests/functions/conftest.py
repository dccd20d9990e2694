"""Each handler as Lambda runs it: its own app.py, the template's environment, the APIs of moto."""

import importlib.util
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.fixture(autouse=True)
def _pipeline(aws, environment):
    """Every handler runs inside the stack."""


@pytest.fixture
def handler(request):
    """`lambda_handler` of the function that the test module is named after."""
    name = Path(request.fspath).stem.removeprefix("test_")
    spec = importlib.util.spec_from_file_location(f"{name}_app", ROOT / "functions" / name / "app.py")
    app = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(app)
    return lambda event: app.lambda_handler(event, None)
