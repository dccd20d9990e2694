"""Tell how uploads went, and follow those that are under way."""

import argparse
from collections.abc import Iterator
from typing import Any

from image_pipeline.settings import WorkflowType
from image_pipeline_cli import follow, names, selection, terminal
from image_pipeline_cli.exits import LEFT, OK, PICTURE_FAILED
from image_pipeline_cli.stack import Stack

_CONSOLES = {
    "aws": "console.aws.amazon.com",
    "aws-cn": "console.amazonaws.cn",
    "aws-us-gov": "console.amazonaws-us-gov.com",
}
_JOBS = 8


def status(stack: Stack, options: argparse.Namespace) -> int:
    """Tell what is known of uploads; with `wait` or `watch`, when each has its outcome.

    Returns:
        The exit code.
    """
    selected = selection.select(stack, options.names)
    uploads = follow.uploaded(stack, selected.keys, _JOBS)
    known = follow.read(stack, uploads)
    missing = [image_key for image_key, upload in uploads.items() if upload is None and image_key not in known]
    there = {image_key: upload for image_key, upload in uploads.items() if image_key not in missing}
    is_outcome = follow.judge(stack)
    outcomes, following = follow.Outcomes(there, is_outcome), options.wait or options.watch
    for body in follow.changes(stack, there, options.timeout, is_outcome) if following else known.values():
        known[body["imageKey"]] = body
        outcomes.note(body)
        if options.watch:
            _show(stack, body, options.json)
    bodies = [known[image_key] for image_key in there if image_key in known]
    if options.json and not options.watch:
        terminal.write_json({"statuses": bodies, "missing": [*missing, *selected.empty]})
    elif not options.watch:
        for body in bodies:
            _show(stack, body, as_json=False)
    for image_key in outcomes.open:
        if following or image_key not in known or known[image_key]["status"] != "PROCESSING":
            terminal.complain(f"The newest upload of {image_key} has no outcome yet.")
    for image_key in missing:
        terminal.complain(names.missing(stack, image_key))
    for key in selected.empty:
        terminal.complain(selection.nothing(key))
    code = outcomes.code if following or outcomes.code == PICTURE_FAILED else OK
    return LEFT if missing or selected.empty else code


def _show(stack: Stack, body: follow.Body, as_json: bool) -> None:
    if as_json:
        terminal.write_json(body)
        return
    terminal.say((body["imageKey"], "bold"), "  ", terminal.styled(body["status"]))
    for name, text in _facts(stack, body):
        terminal.say(f"  {name:<12}{text}")


def _facts(stack: Stack, body: follow.Body) -> Iterator[tuple[str, str]]:
    """What is worth a line each: name and text."""
    if error := body.get("error"):
        yield "reason", f"{error['message']} ({error['code']} in {error['step']})"
        yield "what to do", error["hint"]
    if failure := body.get("lastFailure"):
        yield "last try", f"failed at {failure['at']}; the picture is as it was"
        yield "reason", f"{failure['message']} ({failure['code']} in {failure['step']})"
        yield "what to do", failure["hint"]
    for warning in body.get("warnings", []):
        yield "warning", warning["message"] if isinstance(warning, dict) else str(warning)
    if image := body.get("image"):
        yield "picture", _picture(image)
    for rendition in body.get("renditions", []):
        yield rendition["name"], _picture(rendition)
    if labels := body.get("labels"):
        yield "labels", ", ".join(f"{label['name']} {label['confidence']:.0f} %" for label in labels)
    if body.get("stale"):
        yield "stale", "It should have ended long ago; waiting is in vain. Upload the picture again."
    if "previous" in body:
        yield "previous", "The picture before is still there, until this one is through."
    execution = body["execution"]
    yield "started", execution["startedAt"]
    if steps := execution.get("milliseconds"):
        yield "steps", ", ".join(f"{step} {milliseconds:,} ms" for step, milliseconds in steps.items())
    yield "execution", _link(stack, body)


def _picture(facts: dict[str, Any]) -> str:
    return f"{facts['format']}, {facts['width']} x {facts['height']}, {facts['sizeBytes']:,} bytes"


def _link(stack: Stack, body: follow.Body) -> str:
    """Where the execution can be looked at: in the console, or on this machine by its ARN.

    The console finds an Express execution by more than its name, so that one is to be looked for in its workflow.
    """
    deleted = body["status"] == "DELETED"
    machine = stack.outputs["DeleteImageStateMachineArn" if deleted else "ProcessImageStateMachineArn"]
    arn: str = machine.replace(":stateMachine:", ":execution:") + ":" + body["execution"]["id"]
    if stack.local:
        return arn
    _, partition, _, region, *_ = arn.split(":")
    express = stack.workflow is WorkflowType.EXPRESS and not deleted
    place = f"statemachines/view/{machine}" if express else f"v2/executions/details/{arn}"
    return f"https://{_CONSOLES[partition]}/states/home?region={region}#/{place}"
