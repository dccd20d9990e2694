"""One run of `verify`: upload, wait for outcomes, read statuses, and remember what must have been reported."""

import math
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from image_pipeline import keys
from image_pipeline_cli import follow
from image_pipeline_cli.checks import CheckFailedError, NotCheckedError
from image_pipeline_cli.stack import Stack
from image_pipeline_cli.verify import http
from image_pipeline_cli.verify.temporary import Inbox

NO_OUTCOME = "Run `image-pipeline doctor`; see UndeliveredEventsAlarm and StuckRecordsAlarm in docs/operations.md."
"""The advice for uploads without an outcome."""
_POLL_SECONDS = 0.25


@dataclass(frozen=True)
class Sent:
    """An upload that was sent."""

    image_key: str
    version: follow.Version
    at: float
    """The time before it was sent, on the monotonic clock."""
    is_empty: bool = False
    """Whether it has no content."""


@dataclass(frozen=True)
class ObservedOutcome:
    """An outcome that was observed in the record, and that must have been reported."""

    body: follow.Body

    @property
    def image_key(self) -> str:
        """The key of its upload."""
        return str(self.body["imageKey"])

    @property
    def status(self) -> str:
        """Its status."""
        return str(self.body["status"])

    @property
    def execution_id(self) -> str:
        """The execution that has brought it."""
        return str(self.body["execution"]["id"])


@dataclass
class Times:
    """Seconds from an upload until its outcome was observed."""

    first: list[float] = field(default_factory=list)
    """For the first upload, for which most functions start cold."""
    together: list[float] = field(default_factory=list)
    """For the uploads that were sent at the same time."""
    alone: list[float] = field(default_factory=list)
    """For later uploads, which were sent one after the other."""

    def percentile(self, percent: int) -> float:
        """Return a percentile of all uploads, by the nearest rank."""
        seconds = sorted([*self.first, *self.together, *self.alone])
        return seconds[math.ceil(len(seconds) * percent / 100) - 1]

    def sentence(self) -> str:
        """Describe the times, for people."""
        warm = f", warm {statistics.median(self.alone):.1f} s" if self.alone else ""
        return (
            f"From upload to outcome: p50 {self.percentile(50):.1f} s, p95 {self.percentile(95):.1f} s; "
            f"cold {self.first[0]:.1f} s{warm}."
        )

    def to_json(self) -> dict[str, float]:
        """Return the times in seconds; those that were not measured are left out."""
        if not self.first:
            return {}
        times = {"p50": self.percentile(50), "p95": self.percentile(95), "cold": self.first[0]}
        if self.alone:
            times["warm"] = statistics.median(self.alone)
        return {name: round(seconds, 3) for name, seconds in times.items()}


@dataclass
class Session:
    """What the checks of a run share."""

    stack: Stack
    name: str
    """The name of its folder, and of everything that it creates."""
    seconds: float
    """The longest wait for an outcome."""
    created: ExitStack = field(default_factory=ExitStack)
    """Removes what the run has created."""
    inbox: Inbox | None = None
    """None if it could not be created."""
    key: str = ""
    """An API key; empty if the stack takes none."""
    limited_key: str = ""
    """An API key that may only read, and only in the folder."""
    under_way: set[str] = field(default_factory=set)
    """The keys that threads are uploading; after Ctrl-C, they still finish."""
    sent: dict[str, Sent] = field(default_factory=dict)
    """The newest upload of each key."""
    outcomes: list[ObservedOutcome] = field(default_factory=list)
    """All outcomes that the inbox must have received."""
    times: Times = field(default_factory=Times)
    _bodies: dict[Sent, follow.Body] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """The folder of its uploads, with a trailing slash."""
        return f"{keys.UPLOADS_PREFIX}{self.name}/"

    @property
    def bucket(self) -> str:
        """The bucket of the uploads."""
        return self.stack.outputs["UploadsBucketName"]

    def put(self, name: str, data: bytes, metadata: Mapping[str, str] | None = None) -> Sent:
        """Upload through S3."""
        image_key = self.folder + name
        at = time.monotonic()
        self.under_way.add(image_key)
        try:
            answer = self.stack.client("s3").put_object(
                Bucket=self.bucket, Key=image_key, Body=data, Metadata=dict(metadata or {})
            )
            return self.remember(name, answer.get("VersionId"), answer["ETag"], at, is_empty=not data)
        finally:
            self.under_way.discard(image_key)

    def remember(self, name: str, version_id: str | None, etag: str, at: float, *, is_empty: bool = False) -> Sent:
        """Remember an upload, so that its outcome is waited for and it is removed at the end."""
        sent = Sent(self.folder + name, follow.Version(version_id, etag.strip('"')), at, is_empty)
        self.sent[sent.image_key] = sent
        return sent

    def wait(self, uploads: Iterable[Sent], times: list[float], seconds: float | None = None) -> None:
        """Wait until each upload has an outcome; uploads without one are left out.

        Args:
            uploads: The uploads.
            times: Receives the seconds of each upload whose image was processed.
            seconds: The longest wait.
        """
        is_outcome = follow.outcome_test(self.stack)
        pending = {upload.image_key: upload for upload in uploads if upload not in self._bodies}
        deadline = time.monotonic() + (self.seconds if seconds is None else seconds)
        while pending:
            for body in follow.read(self.stack, pending).values():
                upload = pending[body["imageKey"]]
                if is_outcome(body, upload.version):
                    self._end(upload, body, times)
                    del pending[upload.image_key]
            if not pending or time.monotonic() > deadline:
                return
            time.sleep(_POLL_SECONDS)

    def _end(self, upload: Sent, body: follow.Body, times: list[float]) -> None:
        self._bodies[upload] = body
        self.outcomes.append(ObservedOutcome(body))
        if body["status"] != "FAILED":
            times.append(time.monotonic() - upload.at)

    def has_outcome(self, upload: Sent) -> bool:
        """Return whether the outcome of an upload was observed."""
        return upload in self._bodies

    def status_of(self, name: str) -> str:
        """Return the observed status of the newest upload of a name; empty if it has no outcome."""
        upload = self.sent.get(self.folder + name)
        return str(self._bodies[upload]["status"]) if upload in self._bodies else ""

    def outcome(self, name: str) -> follow.Body:
        """Return the outcome of the newest upload of a name.

        Raises:
            CheckFailedError: It has none.
            NotCheckedError: It was not uploaded.
        """
        upload = self.sent.get(self.folder + name)
        if upload is None:
            raise NotCheckedError("It was not uploaded.")
        if upload not in self._bodies:
            raise CheckFailedError("The upload has no outcome.", NO_OUTCOME)
        return self._bodies[upload]

    def last_executions(self) -> dict[str, str]:
        """Return the execution that has brought the last observed outcome of each key."""
        bodies = [*self._bodies.values(), *(outcome.body for outcome in self.outcomes)]
        return {body["imageKey"]: body["execution"]["id"] for body in bodies}

    def wait_until(self, condition: Callable[[], bool], seconds: float | None = None) -> bool:
        """Poll until a condition is true; False after these seconds, or after the longest wait."""
        deadline = time.monotonic() + (self.seconds if seconds is None else seconds)
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    # The HTTP API

    def call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        key: str | None = None,
    ) -> http.Answer:
        """Send a request to the API, with the key of this run or with another one; an empty key is not sent."""
        sent_key = self.key if key is None else key
        header = {"x-api-key": sent_key} if sent_key else {}
        return http.send(
            method, self.stack.outputs["ImageStatusApiEndpoint"] + path, body, {**header, **(headers or {})}
        )

    def need_key(self) -> None:
        """Raise unless this run has an API key.

        Raises:
            NotCheckedError: It has none.
        """
        if not self.key:
            raise NotCheckedError("This run has no API key: the stack takes tokens (JwtIssuer), or it was not created.")

    def expect(self, answer: http.Answer, status: int, request: str) -> dict[str, Any]:
        """Return the JSON of an answer.

        Raises:
            CheckFailedError: The answer has another status.
        """
        if answer.status != status:
            detail = answer.json.get("detail") or answer.json.get("message") or "no explanation"
            raise CheckFailedError(
                f"{request} answered {answer.status} instead of {status}: {detail}",
                "See ApiErrorsAlarm in docs/operations.md; deploy again if a role or a route was changed by hand.",
            )
        return answer.json

    def status(self, name: str) -> dict[str, Any]:
        """Read a status over HTTP.

        Raises:
            CheckFailedError: The API does not answer with the status of the newest upload.
            NotCheckedError: Statuses need a token, which this command does not have.
        """
        image_key = self.folder + name
        if not self.key and self.stack.parameters.get("StatusNeedsKey") == "true":
            raise NotCheckedError("Statuses need a token (JwtIssuer), and this command has none.")
        body = self.expect(self.call("GET", keys.status_path(image_key)), 200, "GET …/status")
        expected = self.sent[image_key].version.version_id
        actual = body.get("upload", {}).get("versionId")
        if actual != expected:
            raise CheckFailedError(
                f"GET …/status describes the version {actual} instead of {expected}.",
                "See StuckRecordsAlarm in docs/operations.md.",
            )
        return body
