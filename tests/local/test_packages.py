"""The packages that the local run imports once for all functions."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from local.emulator import template
from local.emulator.deploy import plan
from local.emulator.workers import Function, _environment, shared_environment
from local.pipeline import PACKAGES, ROOT

IMPORT = """
import importlib, json, os, sys
import psutil

class Recorder(type(os.environ)):
    def __getitem__(self, name):
        read.add(name)
        return super().__getitem__(name)

    def __iter__(self):
        raise AssertionError("all variables are read")

read = set()
os.environ.__class__ = Recorder
for name in sys.argv[1:]:
    importlib.import_module(name)
names = {name.partition(".")[0] for name in sys.modules}
print(json.dumps({"read": sorted(read), "threads": psutil.Process().num_threads(), "names": sorted(names)}))
"""


@pytest.fixture(scope="module")
def functions() -> list[Function]:
    loaded = template.load(ROOT / "template.yml", "stack", "eu-west-1", {})
    return plan(loaded, "http://aws", "http://api").functions


@pytest.fixture(scope="module")
def imported() -> Any:
    """What happened during the imports, in a process of its own."""
    command = [sys.executable, "-I", "-c", IMPORT, *PACKAGES]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def test_imports_read_no_variable_that_differs_between_functions(functions, imported):
    """All functions get the packages as imported with the variables that they share."""
    assert imported["read"]
    names = {name for function in functions for name in _environment(function, {}, str(ROOT))}
    different = names - shared_environment(functions, {}, ROOT).keys()
    assert different
    assert not different & set(imported["read"])


def test_imports_start_no_thread(imported):
    """A thread would not exist in the processes of functions."""
    assert imported["threads"] == 1


def test_no_function_brings_a_module_of_the_same_name(functions, imported):
    """Such a function would need a new interpreter."""
    folders = [folder for function in functions for folder in (function.code, *function.layers)]
    own = {path.name.partition(".")[0] for folder in folders for path in folder.iterdir()}
    assert "app" in own
    assert not own & (sys.stdlib_module_names | set(imported["names"]) - {"__main__"})
