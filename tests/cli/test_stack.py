"""Commands for a stack on AWS, there or not."""

from __future__ import annotations

import pytest

from image_pipeline_cli.commands import main
from image_pipeline_cli.exits import NO_STACK, OK
from image_pipeline_cli.stack import StackError, deployed
from tests.cli.conftest import MACHINE, PICTURE
from tests.conftest import put_record


def test_a_stack_on_aws_is_uploaded_to_and_asked(stack, tmp_path, capsys):
    """As is the local one; the link leads to the console."""
    (tmp_path / "x.jpg").write_bytes(PICTURE)
    for sentence in ("1 uploaded, 0 skipped", "0 uploaded, 1 skipped"):
        assert main(["upload", str(tmp_path / "x.jpg"), *stack]) == OK
        assert sentence in capsys.readouterr().out
    assert main(["status", "x.jpg", *stack]) == OK
    assert "The newest upload of uploads/x.jpg has no outcome yet." in capsys.readouterr().err
    put_record("uploads/x.jpg")
    assert main(["status", "x.jpg", *stack]) == OK
    arn = "arn:aws:states:eu-west-1:123456789012:execution:process:execution-1"
    link = f"https://console.aws.amazon.com/states/home?region=eu-west-1#/v2/executions/details/{arn}"
    assert link in capsys.readouterr().out


def test_no_credentials_and_no_region_are_told_with_what_to_do(monkeypatch, capsys):
    """In a sentence, before anything else."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert main(["status", "x", "--stack", "pictures"]) == NO_STACK
    assert "aws configure" in capsys.readouterr().err
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert main(["status", "x", "--stack", "pictures"]) == NO_STACK
    assert "--region" in capsys.readouterr().err


def test_a_stack_that_is_not_there_is_told_with_its_region(aws):
    """One may have meant another one."""
    with pytest.raises(StackError, match="There is no stack pictures in eu-central-1: check"):
        deployed("pictures", "eu-central-1")


@pytest.mark.parametrize("stack", ["EXPRESS"], indirect=True)
def test_the_link_of_an_express_execution_leads_to_its_workflow(stack, capsys):
    """The console finds it by more than the record knows."""
    put_record("uploads/x.jpg")
    assert main(["status", "x.jpg", *stack]) == OK
    out = capsys.readouterr().out
    assert f"https://console.aws.amazon.com/states/home?region=eu-west-1#/statemachines/view/{MACHINE}\n" in out
