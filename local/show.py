"""The output of the commands: text for people, JSON lines for programs."""

import json
import sys
from collections import Counter
from typing import Any, Protocol

from rich.console import Console
from rich.text import Text

from image_pipeline import keys
from local.emulator.clients import variables
from local.pipeline import Pipeline
from local.watch import EnteredState, FinishedUpload

_MAX_PARAGRAPHS = 8  # each has about thirty lines
_STYLES = {"COMPLETED": "green", "PARTIAL": "yellow", "FAILED": "red"}


class Display(Protocol):
    """The events that a command reports."""

    def say(self, sentence: str) -> None:
        """Report progress."""

    def ready(self, pipeline: Pipeline) -> None:
        """Report that the pipeline is running."""

    def expect(self, count: int) -> None:
        """Set the number of expected images."""

    def entered(self, state: EnteredState) -> None:
        """Report that an upload entered a state."""

    def ended(self, outcome: FinishedUpload) -> None:
        """Report that an upload has an outcome."""

    def outcomes(self, outcomes: list[FinishedUpload]) -> None:
        """Report all details of outcomes."""

    def invite(self, pipeline: Pipeline, api_key: str) -> None:
        """Explain how to upload more and how to use the API."""

    def verdict(self, count: int, failures: list[str]) -> None:
        """Report whether all outcomes are as expected."""


class TextDisplay:
    """Sentences, coloured on a terminal. If there are many images, each gets one line instead of a paragraph."""

    def __init__(self) -> None:
        self._console = Console(soft_wrap=True, highlight=False)
        self._processing: set[str] = set()
        self._is_brief = False

    def say(self, sentence: str) -> None:
        """Print a sentence."""
        self._print(sentence)

    def ready(self, pipeline: Pipeline) -> None:
        """Print the addresses."""
        self.say(f"Ready. AWS endpoint {pipeline.aws_url}, HTTP API {pipeline.api_url}.\n")

    def expect(self, count: int) -> None:
        """Choose between paragraphs and lines."""
        self._is_brief = count > _MAX_PARAGRAPHS

    def entered(self, state: EnteredState) -> None:
        """Print one line per state, unless there are many images."""
        self._processing.add(state.key)
        self._is_brief = self._is_brief or len(self._processing) > _MAX_PARAGRAPHS
        if not self._is_brief:
            self._print((f"{state.seconds:6.2f} s", "dim"), f"  {keys.printable(state.key)} → {state.name}")

    def ended(self, outcome: FinishedUpload) -> None:
        """Print one line per outcome; if there are many, it includes the reason of a failure."""
        self._processing.discard(outcome.key)
        reason = outcome.record.get("error", {}).get("message", "") if self._is_brief else ""
        self._print(
            (f"{outcome.seconds:6.2f} s", "dim"),
            f"  {keys.printable(outcome.key)} → ",
            _styled(outcome.status),
            (keys.printable(f"  {reason}") if reason else "", "dim"),
        )

    def outcomes(self, outcomes: list[FinishedUpload]) -> None:
        """Print a paragraph per outcome; if there are many, print their number by status."""
        if not self._is_brief:
            self._paragraphs(outcomes)
        elif len(outcomes) > 1:
            counts = Counter(outcome.status for outcome in outcomes)
            self._print("\n", ", ".join(f"{count} {status}" for status, count in sorted(counts.items())), ".")
        self._is_brief = self._is_brief and bool(self._processing)

    def _paragraphs(self, outcomes: list[FinishedUpload]) -> None:
        for outcome in outcomes:
            self._print()
            duration = f" in {outcome.seconds:.2f} s"
            self._print((keys.printable(outcome.key), "bold"), "  ", _styled(outcome.status), duration)
            for name, text in _facts(outcome):
                self._print(f"  {name:<13}{keys.printable(text)}")

    def invite(self, pipeline: Pipeline, api_key: str) -> None:
        """Print example commands."""
        prefix = " ".join(
            f"{name}={value}"
            for name, value in variables(pipeline.aws_url, pipeline.region).items()
            if name != "AWS_ENDPOINT_URL"
        )
        page_url = _page_url(pipeline, api_key)
        page = f"\nOpen the page:\n  {page_url}\n" if page_url else ""
        self.say(
            f"{page}\nUpload more with the AWS CLI:\n"
            f"  {prefix} \\\n"
            f"    aws --endpoint-url {pipeline.aws_url} s3 cp image.jpg s3://{pipeline.uploads_bucket}/uploads/\n"
            f"Check its status, and download a rendition:\n"
            f"  curl {pipeline.api_url}/images/uploads/image.jpg/status\n"
            f"  curl -L -o web.jpg {pipeline.api_url}/images/uploads/image.jpg/renditions/web\n"
            f"Upload over HTTP, list, process again and delete, with an API key that is valid for this run:\n"
            f"  curl --data-binary @image.jpg -H 'x-api-key: {api_key}' '{pipeline.api_url}/images?name=image.jpg'\n"
            f"  curl -H 'x-api-key: {api_key}' '{pipeline.api_url}/images?status=COMPLETED'\n"
            f"  curl -X POST -H 'x-api-key: {api_key}' {pipeline.api_url}/images/uploads/image.jpg/reprocess\n"
            f"  curl -X DELETE -H 'x-api-key: {api_key}' {pipeline.api_url}/images/uploads/image.jpg\n"
            f"Or with the command line, after `pipx install .`:\n"
            f"  image-pipeline list --local\n"
            f"Logs are in {pipeline.run_dir / 'logs'}. Press Ctrl-C to stop.\n"
        )

    def verdict(self, count: int, failures: list[str]) -> None:
        """Print the result."""
        self._print()
        if not failures:
            sentence = (
                "The image has the expected outcome."
                if count == 1
                else f"All {count} images have the expected outcome."
            )
            self._print((sentence, "green"))
        for failure in failures:
            self._print((keys.printable(failure), "red"))

    def _print(self, *parts: str | tuple[str, str]) -> None:
        """Print texts and (text, style) pairs as one line; markup of rich is printed literally."""
        self._console.print(Text.assemble(*parts))


def _styled(status: str) -> tuple[str, str]:
    return status, _STYLES.get(status, "dim")


class JsonLines:
    """One JSON object per line; its `event` is the type."""

    def say(self, sentence: str) -> None:
        """Print nothing: sentences are for people."""

    def ready(self, pipeline: Pipeline) -> None:
        """Write the addresses and outputs."""
        self._write("ready", awsUrl=pipeline.aws_url, apiUrl=pipeline.api_url, outputs=pipeline.outputs)

    def expect(self, count: int) -> None:
        """Print nothing: every outcome is printed in full."""

    def entered(self, state: EnteredState) -> None:
        """Write a state."""
        self._write("state", key=state.key, state=state.name, seconds=state.seconds)

    def ended(self, outcome: FinishedUpload) -> None:
        """Print nothing: the full outcome follows."""

    def outcomes(self, outcomes: list[FinishedUpload]) -> None:
        """Write all details of each outcome."""
        for outcome in outcomes:
            self._write(
                "outcome",
                key=outcome.key,
                status=outcome.status,
                seconds=outcome.seconds,
                statusUrl=outcome.status_url,
                record=outcome.record,
                files=outcome.files,
                notifications=outcome.notifications,
            )

    def invite(self, pipeline: Pipeline, api_key: str) -> None:
        """Write the API key and the link."""
        self._write("invitation", apiKey=api_key, pageUrl=_page_url(pipeline, api_key))

    def verdict(self, count: int, failures: list[str]) -> None:
        """Write the verdict."""
        self._write("verdict", ok=not failures, images=count, failures=failures)

    def _write(self, event: str, **fields: Any) -> None:
        sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
        sys.stdout.flush()


def _page_url(pipeline: Pipeline, api_key: str) -> str | None:
    """Return the link that opens the page and signs in; None without a page. Browsers send a fragment to no server."""
    url = pipeline.outputs.get("WebPageUrl")
    return f"{url}#key={api_key}" if url else None


def _facts(outcome: FinishedUpload) -> list[tuple[str, str]]:
    record = outcome.record
    facts = []
    if outcome.superseded:
        facts.append(("reason", "a newer upload of this name, or an earlier delivery of its event, has the record"))
    if outcome.status == "FAILED":
        error = record["error"]
        facts += [("error", f"{error['code']} in {error['step']}: {error['message']}"), ("what to do", error["hint"])]
    for rendition, path in zip(record.get("renditions", []), outcome.files, strict=True):
        size = f"{rendition['width']} x {rendition['height']}, {rendition['sizeBytes']:,} bytes"
        facts.append((rendition["name"], f"{path} ({rendition['format']}, {size})"))
    if labels := record.get("labels"):
        names = ", ".join(f"{label['name']} {label['confidence']:.0f} %" for label in labels)
        facts.append(("labels", f"{names} (by {record['labelModelVersion']})"))
    facts.append(("status", outcome.status_url))
    for notification in outcome.notifications:
        facts.append(("notification", notification["subject"]))
        facts += [("", f"| {line}") for line in notification["message"].splitlines()]
    return facts
