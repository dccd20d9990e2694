"""Show the status of uploads, and follow uploads that are processing."""

import argparse
from collections.abc import Iterator
from typing import Any

from image_pipeline.settings import WorkflowType
from image_pipeline_cli import follow, names, selection, terminal
from image_pipeline_cli.exits import IMAGE_FAILED, INCOMPLETE, OK
from image_pipeline_cli.stack import Stack

CONSOLES = {
    "aws": "console.aws.amazon.com",
    "aws-cn": "console.amazonaws.cn",
    "aws-eusc": "console.amazonaws-eusc.eu",
    "aws-us-gov": "console.amazonaws-us-gov.com",
}
_PROCESS_IMAGE = "ProcessImageStateMachineArn"
_JOBS = 8


def status(stack: Stack, options: argparse.Namespace) -> int:
    """Show the status of uploads; with `wait` or `watch`, follow each until it has an outcome.

    Returns:
        The exit code.
    """
    selected = selection.select(stack, options.names)
    newest = follow.newest_uploads(stack, selected.keys, _JOBS)
    bodies_by_key = follow.read(stack, newest)
    missing = [image_key for image_key, version in newest.items() if version is None and image_key not in bodies_by_key]
    targets = {image_key: version for image_key, version in newest.items() if image_key not in missing}
    is_outcome = follow.outcome_test(stack)
    outcomes = follow.Outcomes(targets, is_outcome)
    following = options.wait or options.watch
    for body in follow.changes(stack, targets, options.timeout, is_outcome) if following else bodies_by_key.values():
        bodies_by_key[body["imageKey"]] = body
        outcomes.record(body)
        if options.watch:
            _show(stack, body, options.json)
    bodies = [bodies_by_key[image_key] for image_key in targets if image_key in bodies_by_key]
    if options.json and not options.watch:
        terminal.write_json({"statuses": bodies, "missing": [*missing, *selected.empty]})
    elif not options.watch:
        for body in bodies:
            _show(stack, body, as_json=False)
    for image_key in outcomes.pending:
        if following or image_key not in bodies_by_key or bodies_by_key[image_key]["status"] != "PROCESSING":
            terminal.complain(f"The newest upload of {image_key} has no outcome yet.")
    for image_key in missing:
        terminal.complain(names.not_found(stack, image_key))
    for key in selected.empty:
        terminal.complain(selection.no_match(key))
    code = outcomes.code if following or outcomes.code == IMAGE_FAILED else OK
    return INCOMPLETE if missing or selected.empty else code


def _show(stack: Stack, body: follow.Body, as_json: bool) -> None:
    if as_json:
        terminal.write_json(body)
        return
    terminal.say((body["imageKey"], "bold"), "  ", terminal.styled(body["status"]))
    for name, text in _facts(stack, body):
        terminal.say(f"  {name:<14}{text}")


def _facts(stack: Stack, body: follow.Body) -> Iterator[tuple[str, str]]:
    """Yield the facts to print, one per line: name and text."""
    if error := body.get("error"):
        yield "reason", f"{error['message']} ({error['code']} in {error['step']})"
        yield "what to do", error["hint"]
    if failure := body.get("lastFailure"):
        yield "last attempt", f"failed at {failure['at']}; the previous image was kept"
        yield "reason", f"{failure['message']} ({failure['code']} in {failure['step']})"
        yield "what to do", failure["hint"]
    for warning in body.get("warnings", []):
        yield "warning", warning["message"] if isinstance(warning, dict) else str(warning)
    if image := body.get("image"):
        yield "image", _describe(image)
    for rendition in body.get("renditions", []):
        yield rendition["name"], _describe(rendition)
    if labels := body.get("labels"):
        yield "labels", ", ".join(f"{label['name']} {label['confidence']:.0f} %" for label in labels)
    if body.get("stale"):
        yield "stale", "The execution exceeded its maximum time and has no outcome. Upload the image again."
    if "previous" in body:
        yield "previous", "The previous image is shown while this upload is processing."
    execution = body["execution"]
    yield "started", execution["startedAt"]
    if steps := execution.get("milliseconds"):
        yield "steps", ", ".join(f"{step} {milliseconds:,} ms" for step, milliseconds in steps.items())
    yield "execution", _link(stack, body)


def _describe(facts: dict[str, Any]) -> str:
    return f"{facts['format']}, {facts['width']} x {facts['height']}, {facts['sizeBytes']:,} bytes"


def _link(stack: Stack, body: follow.Body) -> str:
    """Return the console URL of an execution, or its ARN on this machine.

    The console needs more than the name of an Express execution, so the URL leads to its state machine.
    """
    output = _workflow_output(body)
    machine = stack.outputs[output]
    arn: str = machine.replace(":stateMachine:", ":execution:") + ":" + body["execution"]["id"]
    if stack.local:
        return arn
    _, partition, _, region, *_ = arn.split(":")
    express = stack.workflow is WorkflowType.EXPRESS and output == _PROCESS_IMAGE
    place = f"statemachines/view/{machine}" if express else f"v2/executions/details/{arn}"
    return f"https://{CONSOLES[partition]}/states/home?region={region}#/{place}"


def _workflow_output(body: follow.Body) -> str:
    """Return the name of the output with the ARN of the workflow whose execution the record names."""
    if body["status"] == "DELETED":
        return "DeleteImageStateMachineArn"
    is_waiting = body.get("error", {}).get("step") == "WaitForContent"  # it ended before process_image was started
    return "WaitForContentStateMachineArn" if is_waiting else _PROCESS_IMAGE
