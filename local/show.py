"""What the commands print: sentences for people, JSON lines for programs."""

import json
import sys
from collections import Counter
from dataclasses import asdict
from typing import Any, Protocol

from rich.console import Console
from rich.text import Text

from image_pipeline import keys
from local.clients import variables
from local.pipeline import Pipeline
from local.watch import Entered, Outcome

_SHOWN_IN_FULL = 8  # pictures, of some thirty lines each
_STYLES = {"COMPLETED": "green", "PARTIAL": "yellow", "FAILED": "red"}


class Display(Protocol):
    """Everything that a command has to tell."""

    def say(self, sentence: str) -> None:
        """Tell how things are going."""

    def ready(self, pipeline: Pipeline) -> None:
        """Tell that the pipeline is up."""

    def expect(self, count: int) -> None:
        """Take note of how many pictures are to come."""

    def entered(self, sight: Entered) -> None:
        """Tell that a picture has reached a state."""

    def ended(self, outcome: Outcome) -> None:
        """Tell that a picture is through."""

    def outcomes(self, outcomes: list[Outcome]) -> None:
        """Tell all about pictures that are through."""

    def invite(self, pipeline: Pipeline, api_key: str) -> None:
        """Tell how to upload more, and how to use the API."""

    def verdict(self, count: int, faults: list[str]) -> None:
        """Tell whether everything came out as it should."""


class Words:
    """Sentences; coloured on a terminal, plain in a pipe. More pictures than a few get one line each."""

    def __init__(self) -> None:
        self._console = Console(soft_wrap=True, highlight=False)
        self._under_way: set[str] = set()
        self._is_brief = False

    def say(self, sentence: str) -> None:
        """Print a sentence."""
        self._print(sentence)

    def ready(self, pipeline: Pipeline) -> None:
        """Print the addresses."""
        self.say(f"Ready. AWS endpoint {pipeline.aws_url}, HTTP API {pipeline.api_url}.\n")

    def expect(self, count: int) -> None:
        """Decide between paragraphs and lines."""
        self._is_brief = count > _SHOWN_IN_FULL

    def entered(self, sight: Entered) -> None:
        """Print one line per state, unless there are many pictures."""
        self._under_way.add(sight.key)
        self._is_brief = self._is_brief or len(self._under_way) > _SHOWN_IN_FULL
        if not self._is_brief:
            self._print((f"{sight.seconds:6.2f} s", "dim"), f"  {keys.printable(sight.key)} → {sight.state}")

    def ended(self, outcome: Outcome) -> None:
        """Print one line per end; among many pictures also why one failed."""
        self._under_way.discard(outcome.key)
        reason = outcome.record.get("error", {}).get("message", "") if self._is_brief else ""
        self._print(
            (f"{outcome.seconds:6.2f} s", "dim"),
            f"  {keys.printable(outcome.key)} → ",
            _styled(outcome.status),
            (keys.printable(f"  {reason}") if reason else "", "dim"),
        )

    def outcomes(self, outcomes: list[Outcome]) -> None:
        """Print a paragraph per picture; of many, how many came out how."""
        if not self._is_brief:
            self._paragraphs(outcomes)
        elif len(outcomes) > 1:
            counts = Counter(outcome.status for outcome in outcomes)
            self._print("\n", ", ".join(f"{count} {status}" for status, count in sorted(counts.items())), ".")
        self._is_brief = self._is_brief and bool(self._under_way)

    def _paragraphs(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            self._print()
            took = f" in {outcome.seconds:.2f} s"
            self._print((keys.printable(outcome.key), "bold"), "  ", _styled(outcome.status), took)
            for name, text in _facts(outcome):
                self._print(f"  {name:<13}{keys.printable(text)}")

    def invite(self, pipeline: Pipeline, api_key: str) -> None:
        """Print commands to copy."""
        prefix = " ".join(
            f"{name}={value}"
            for name, value in variables(pipeline.aws_url, pipeline.region).items()
            if name != "AWS_ENDPOINT_URL"
        )
        self.say(
            f"\nUpload more with the AWS CLI:\n"
            f"  {prefix} \\\n"
            f"    aws --endpoint-url {pipeline.aws_url} s3 cp picture.jpg s3://{pipeline.uploads_bucket}/uploads/\n"
            f"Ask how it went:\n"
            f"  curl {pipeline.api_url}/images/uploads/picture.jpg/status\n"
            f"Upload over HTTP, process again, or delete, with an API key that was made for this run:\n"
            f"  curl --data-binary @a.jpg -H 'x-api-key: {api_key}' '{pipeline.api_url}/images?name=picture.jpg'\n"
            f"  curl -X POST -H 'x-api-key: {api_key}' {pipeline.api_url}/images/uploads/picture.jpg/reprocess\n"
            f"  curl -X DELETE -H 'x-api-key: {api_key}' {pipeline.api_url}/images/uploads/picture.jpg\n"
            f"Logs are in {pipeline.run_dir / 'logs'}. Ctrl-C ends it.\n"
        )

    def verdict(self, count: int, faults: list[str]) -> None:
        """Print the last sentence."""
        self._print()
        if not faults:
            whose = "The picture" if count == 1 else f"All {count} pictures"
            self._print((f"{whose} came out as expected.", "green"))
        for fault in faults:
            self._print((keys.printable(fault), "red"))

    def _print(self, *parts: str | tuple[str, str]) -> None:
        """Print texts and (text, style) pairs as one line; rich's markup in them is text."""
        self._console.print(Text.assemble(*parts))


def _styled(status: str) -> tuple[str, str]:
    return status, _STYLES.get(status, "dim")


class JsonLines:
    """One JSON object per line; `event` says of what kind."""

    def say(self, sentence: str) -> None:
        """Sentences are for people."""

    def ready(self, pipeline: Pipeline) -> None:
        """Write the addresses and outputs."""
        self._write("ready", awsUrl=pipeline.aws_url, apiUrl=pipeline.api_url, outputs=pipeline.outputs)

    def expect(self, count: int) -> None:
        """Every picture is told in full."""

    def entered(self, sight: Entered) -> None:
        """Write a state."""
        self._write("state", **asdict(sight))

    def ended(self, outcome: Outcome) -> None:
        """The outcome follows whole."""

    def outcomes(self, outcomes: list[Outcome]) -> None:
        """Write everything about each picture."""
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

    def invite(self, _: Pipeline, api_key: str) -> None:
        """Write the key; programs know how."""
        self._write("invitation", apiKey=api_key)

    def verdict(self, count: int, faults: list[str]) -> None:
        """Write the verdict."""
        self._write("verdict", ok=not faults, pictures=count, faults=faults)

    def _write(self, event: str, **fields: Any) -> None:
        sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
        sys.stdout.flush()


def _facts(outcome: Outcome) -> list[tuple[str, str]]:
    record = outcome.record
    facts = []
    if outcome.status == "FAILED":
        error = record["error"]
        facts += [("error", f"{error['code']} in {error['step']}: {error['message']}"), ("what to do", error["hint"])]
    for rendition, path in zip(record.get("renditions", []), outcome.files, strict=True):
        size = f"{rendition['width']} x {rendition['height']}, {rendition['sizeBytes']:,} bytes"
        facts.append((rendition["name"], f"{path} ({rendition['format']}, {size})"))
    if labels := record.get("labels"):
        named = ", ".join(f"{label['name']} {label['confidence']:.0f} %" for label in labels)
        facts.append(("labels", f"{named} — by {record['labelModelVersion']}"))
    facts.append(("status", outcome.status_url))
    for notification in outcome.notifications:
        facts.append(("mail", notification["subject"]))
        facts += [("", f"| {line}") for line in notification["message"].splitlines()]
    return facts
