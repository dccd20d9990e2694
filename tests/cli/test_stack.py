"""Commands for a stack on AWS, existing or missing."""

from __future__ import annotations

import json

import pytest

from image_pipeline_cli.commands import main
from image_pipeline_cli.exits import IMAGE_FAILED, NO_STACK, OK
from image_pipeline_cli.stack import StackError, find_on_aws
from tests.cli.conftest import MACHINE, PICTURE
from tests.conftest import put_record


def test_commands_work_on_a_stack_on_aws(stack, tmp_path, capsys):
    """Upload and status work as for the local copy; the status links to the console."""
    (tmp_path / "x.jpg").write_bytes(PICTURE)
    for event in ("uploaded", "skipped"):
        assert main(["upload", str(tmp_path / "x.jpg"), *stack, "--json"]) == OK
        assert json.loads(capsys.readouterr().out.splitlines()[0])["event"] == event
    assert main(["status", "x.jpg", *stack]) == OK
    assert "uploads/x.jpg" in capsys.readouterr().err
    put_record("uploads/x.jpg")
    assert main(["status", "x.jpg", *stack]) == OK
    arn = "arn:aws:states:eu-west-1:123456789012:execution:process:execution-1"
    link = f"https://console.aws.amazon.com/states/home?region=eu-west-1#/v2/executions/details/{arn}"
    assert link in capsys.readouterr().out


def test_missing_credentials_and_region_are_reported(monkeypatch, capsys):
    """The message says how to configure them."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert main(["status", "x", "--stack", "pictures"]) == NO_STACK
    assert "aws configure" in capsys.readouterr().err
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert main(["status", "x", "--stack", "pictures"]) == NO_STACK
    assert "--region" in capsys.readouterr().err


def test_a_missing_stack_is_reported_with_its_region(aws):
    """The region may be wrong."""
    with pytest.raises(StackError, match="pictures in eu-central-1"):
        find_on_aws("pictures", "eu-central-1")


@pytest.mark.parametrize("stack", ["EXPRESS"], indirect=True)
def test_the_link_of_an_express_execution_leads_to_its_state_machine(stack, capsys):
    """The console needs more than the record contains to show the execution."""
    put_record("uploads/x.jpg")
    assert main(["status", "x.jpg", *stack]) == OK
    out = capsys.readouterr().out
    assert f"https://console.aws.amazon.com/states/home?region=eu-west-1#/statemachines/view/{MACHINE}\n" in out


@pytest.mark.parametrize("stack", ["STANDARD", "EXPRESS"], indirect=True)
def test_the_link_of_a_wait_for_content_leads_to_its_execution(stack, capsys):
    """Its execution belongs to another workflow, which is never Express."""
    error = {"code": "States.Timeout", "message": "Too late.", "hint": "Try again.", "step": "WaitForContent"}
    put_record("uploads/x.jpg", status="FAILED", error=error)
    assert main(["status", "x.jpg", *stack]) == IMAGE_FAILED
    arn = "arn:aws:states:eu-west-1:123456789012:execution:process-wait:execution-1"
    assert f"#/v2/executions/details/{arn}\n" in capsys.readouterr().out
