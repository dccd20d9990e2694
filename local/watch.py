"""Follows uploads through the workflow and tells what it sees, as it happens."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from botocore.exceptions import ClientError

from image_pipeline import keys
from local.pipeline import UPLOADS_MACHINE, WAITING_MACHINE, Execution, Pipeline


@dataclass(frozen=True)
class Entered:
    """An upload has reached a state."""

    key: str
    state: str
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """An upload is through."""

    key: str
    version_id: str | None
    seconds: float
    status_url: str
    status_code: int
    record: dict[str, Any]
    superseded: bool = False
    files: list[str] = field(default_factory=list)
    notifications: list[dict[str, str]] = field(default_factory=list)

    @property
    def status(self) -> str:
        """The record's status; `SUPERSEDED` where it is a newer upload's, `IGNORED` where the workflow left none."""
        if self.superseded:
            return "SUPERSEDED"
        nothing = "IGNORED" if self.status_code == 404 else f"UNKNOWN (the status URL answers {self.status_code})"
        return str(self.record.get("status", nothing))


class Watch:
    """Sees every execution that starts after the watch was made, once, from start to end; ask it again and again."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._told: dict[str, int] = {}
        self._ended = {execution.arn for execution in self._executions()}

    def look(self) -> Iterator[Entered | Outcome]:
        """Tell what has happened since the last look."""
        for execution in self._executions():
            if execution.arn in self._ended or execution.key is None:
                continue
            history = self._pipeline.history(execution)
            told = self._told.get(execution.arn, 0)
            self._told[execution.arn] = len(history)
            for event in history[told:]:
                if "stateEnteredEventDetails" in event:
                    seconds = (event["timestamp"] - history[0]["timestamp"]).total_seconds()
                    yield Entered(execution.key, event["stateEnteredEventDetails"]["name"], seconds)
            if not execution.running:
                self._ended.add(execution.arn)
                if self._has_started_another(execution, history):
                    continue  # which has the outcome
                yield self._outcome(execution, (history[-1]["timestamp"] - history[0]["timestamp"]).total_seconds())

    def _executions(self) -> list[Execution]:
        machines = (WAITING_MACHINE, UPLOADS_MACHINE)
        return [execution for machine in machines for execution in self._pipeline.executions(machine)]

    def _has_started_another(self, execution: Execution, history: list[dict[str, Any]]) -> bool:
        """Whether a wait for content is over without any, so that the empty upload is processed."""
        entered = {each["stateEnteredEventDetails"]["name"] for each in history if "stateEnteredEventDetails" in each}
        waited = execution.state_machine == WAITING_MACHINE and execution.status == "SUCCEEDED"
        return waited and "StartProcessing" in entered

    def _outcome(self, execution: Execution, seconds: float) -> Outcome:
        key = execution.key or ""
        url, status_code, record = self._status(key)
        superseded = record.get("execution", {}).get("id", execution.name) != execution.name
        if superseded:
            record = {}
        return Outcome(
            key=key,
            version_id=execution.version_id,
            seconds=seconds,
            status_url=url,
            status_code=status_code,
            record=record if status_code == 200 else {},
            superseded=superseded,
            files=[self._fetch(rendition) for rendition in record.get("renditions", [])],
            notifications=[
                {"subject": notification.get("Subject", ""), "message": notification["Message"]}
                for notification in self._pipeline.notifications()
                if execution.arn in notification["Message"]
            ],
        )

    def _status(self, key: str) -> tuple[str, int, dict[str, Any]]:
        """The status URL of an upload, and what it answers; 404 for a key that S3 cannot have."""
        try:
            url = f"{self._pipeline.api_url}{keys.status_path(key)}"
        except UnicodeEncodeError:
            return "", 404, {}
        return url, *_get(url)

    def _fetch(self, rendition: dict[str, Any]) -> str:
        """Copy a rendition beside the logs, where a person can open it."""
        folder = self._pipeline.run_dir
        path = (folder / rendition["key"]).resolve()
        if not path.is_relative_to(folder / "thumbnails"):
            return f"s3://{rendition['bucket']}/{rendition['key']}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._pipeline.client("s3").download_file(rendition["bucket"], rendition["key"], str(path))
        except (OSError, ClientError):  # a key may be longer than a file name, and a rendition may be gone again
            return f"s3://{rendition['bucket']}/{rendition['key']}"
        return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _get(url: str) -> tuple[int, dict[str, Any]]:
    try:
        with urlopen(url) as response:  # noqa: S310 (loopback)
            return response.status, json.loads(response.read())
    except HTTPError as error:
        return error.code, json.loads(error.read())
