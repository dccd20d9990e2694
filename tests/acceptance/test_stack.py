"""A stack passes every check of `image-pipeline verify` and `doctor`: the local run, or one on AWS."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from image_pipeline_cli.doctor.command import CHECKS as DOCTOR_CHECKS
from image_pipeline_cli.exits import INTERRUPTED, OK
from image_pipeline_cli.verify import command, preparation
from image_pipeline_cli.verify.images import FIRST_CHECK
from tests.acceptance.conftest import STACK, Target, inventory

NAMES = [check.name for check in (*command.PRECONDITIONS, FIRST_CHECK, *command.CHECKS, preparation.CLEAN_UP)]


def start(target: Target, *arguments: str) -> subprocess.Popen[str]:
    """Start a command on the target."""
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "image_pipeline_cli", *arguments, *target.options],
        env=target.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def document(target: Target, *arguments: str) -> tuple[int, Any]:
    """Run a command with `--json`; its exit code and its document."""
    process = start(target, *arguments, "--json")
    out, errors = process.communicate()
    assert out, errors
    return process.returncode, json.loads(out)


@pytest.fixture(scope="module")
def proof(target: Target) -> tuple[int, Any]:
    """The result of `verify`."""
    return document(target, "verify", "--yes")


@pytest.mark.parametrize("name", NAMES)
def test_the_stack_passes(proof, name):
    """Each check of `verify` is OK."""
    (result,) = [check for check in proof[1]["checks"] if check["name"] == name]
    assert (result["state"], result["advice"]) == ("OK", ""), result["detail"]


def test_the_whole_proof_succeeds(proof):
    """The exit code is 0, every check is there, and the times are measured."""
    code, body = proof
    assert (code, [check["name"] for check in body["checks"]]) == (OK, NAMES)
    assert 0 < body["times"]["p50"] <= body["times"]["p95"]
    assert body["times"].keys() == {"p50", "p95", "cold", "warm"}


def test_a_healthy_stack_has_no_problems(target):
    """`doctor` finds nothing, and says what it could not check."""
    code, body = document(target, "doctor")
    assert (code, [check["name"] for check in body["checks"]]) == (OK, [check.name for check in DOCTOR_CHECKS])
    assert {check["state"] for check in body["checks"]} <= {"OK", "NOT CHECKED"}


@pytest.mark.skipif(STACK is not None, reason="lists everything in the account")
def test_ctrl_c_leaves_nothing_behind(stack, local_target):
    """Whatever has been created until then is removed, and the exit code is that of an interruption."""
    before = inventory(stack)
    process = start(local_target, "verify", "--yes")
    assert process.stdout is not None
    for line in process.stdout:
        if "first upload" in line:
            assert inventory(stack) != before
            os.kill(process.pid, signal.SIGINT)
            break
    out, errors = process.communicate()
    assert (process.returncode, "Traceback" in errors) == (INTERRUPTED, False), errors
    assert "Everything that this run created was removed." in out
    assert inventory(stack) == before
