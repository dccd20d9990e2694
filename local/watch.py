"""Follow uploads through the workflow and report each state and outcome."""

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
class EnteredState:
    """A state that an upload entered."""

    key: str
    name: str
    seconds: float


@dataclass(frozen=True)
class FinishedUpload:
    """The outcome of an upload."""

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
        """The status of the record; `SUPERSEDED` if it belongs to a newer upload, `IGNORED` if there is no record."""
        if self.superseded:
            return "SUPERSEDED"
        default = "IGNORED" if self.status_code == 404 else f"UNKNOWN (the status URL returns {self.status_code})"
        return str(self.record.get("status", default))


class Watch:
    """Reports each execution that starts after the watch was created, once, from start to end, while it is polled."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._reported: dict[str, int] = {}
        self._ended = {execution.arn for execution in self._executions()}

    def poll(self) -> Iterator[EnteredState | FinishedUpload]:
        """Yield the states and outcomes since the last call."""
        for execution in self._executions():
            if execution.arn in self._ended or execution.key is None:
                continue
            history = self._pipeline.history(execution)
            reported = self._reported.get(execution.arn, 0)
            self._reported[execution.arn] = len(history)
            for event in history[reported:]:
                if "stateEnteredEventDetails" in event:
                    seconds = (event["timestamp"] - history[0]["timestamp"]).total_seconds()
                    yield EnteredState(execution.key, event["stateEnteredEventDetails"]["name"], seconds)
            if not execution.running:
                self._ended.add(execution.arn)
                if self._has_started_another(execution, history):
                    continue  # the other execution has the outcome
                yield self._outcome(execution, (history[-1]["timestamp"] - history[0]["timestamp"]).total_seconds())

    def _executions(self) -> list[Execution]:
        machines = (WAITING_MACHINE, UPLOADS_MACHINE)
        return [execution for machine in machines for execution in self._pipeline.executions(machine)]

    def _has_started_another(self, execution: Execution, history: list[dict[str, Any]]) -> bool:
        """Return whether a wait for content ended without content, so another execution processes the empty upload."""
        entered = {
            event["stateEnteredEventDetails"]["name"] for event in history if "stateEnteredEventDetails" in event
        }
        waited = execution.state_machine == WAITING_MACHINE and execution.status == "SUCCEEDED"
        return waited and "StartProcessing" in entered

    def _outcome(self, execution: Execution, seconds: float) -> FinishedUpload:
        key = execution.key or ""
        url, status_code, record = self._status(key)
        superseded = record.get("execution", {}).get("id", execution.name) != execution.name
        if superseded:
            record = {}
        return FinishedUpload(
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
        """Return the status URL of an upload and its answer; 404 for a key that S3 does not allow."""
        try:
            url = f"{self._pipeline.api_url}{keys.status_path(key)}"
        except UnicodeEncodeError:
            return "", 404, {}
        return url, *_get(url)

    def _fetch(self, rendition: dict[str, Any]) -> str:
        """Save a rendition in the run folder and return its path."""
        folder = self._pipeline.run_dir
        path = (folder / rendition["key"]).resolve()
        if not path.is_relative_to(folder / "thumbnails"):
            return f"s3://{rendition['bucket']}/{rendition['key']}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._pipeline.client("s3").download_file(rendition["bucket"], rendition["key"], str(path))
        except (OSError, ClientError):  # a key may be too long for a file name, and a rendition may be deleted by now
            return f"s3://{rendition['bucket']}/{rendition['key']}"
        return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _get(url: str) -> tuple[int, dict[str, Any]]:
    try:
        with urlopen(url) as response:  # noqa: S310 (loopback)
            return response.status, json.loads(response.read())
    except HTTPError as error:
        return error.code, json.loads(error.read())
