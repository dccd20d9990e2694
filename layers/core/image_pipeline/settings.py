"""What the deployment decided, read from the environment. `template.yml` sets every variable.

Read inside a handler, never at import, so that a test sets the environment and needs no reload.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from image_pipeline.errors import SettingsError

MEGA = 1_000_000
MEBIBYTE = 1_048_576  # Lambda's "MB" of memory


class WorkflowType(StrEnum):
    """How Step Functions runs the workflow of an upload.

    https://docs.aws.amazon.com/step-functions/latest/dg/choosing-workflow-type.html
    """

    STANDARD = "STANDARD"
    EXPRESS = "EXPRESS"

    @property
    def seconds(self) -> int:
        """No execution is under way for longer: the workflow's `TimeoutSeconds`, or what Express gives at most."""
        return 300 if self is WorkflowType.EXPRESS else 86_400

    @property
    def lost_seconds(self) -> int:
        """By then, whoever should have ended the record has failed to; nobody else tells of the end of Express."""
        return self.seconds + (60 if self is WorkflowType.EXPRESS else 3_600)


@dataclass(frozen=True)
class Settings:
    """The variables in the units that the code counts in."""

    thumbnails_bucket: str
    image_table: str
    max_upload_bytes: int
    max_pixels: int
    render_memory_bytes: int
    image_formats: frozenset[str]
    """Upper-case names; `formats` knows which there are."""
    labels_max: int
    labels_min_confidence: int
    """Percent."""


@dataclass(frozen=True)
class StatusSettings:
    """What the status API needs, and no more: a wrong setting of a step must not silence it."""

    image_table: str
    rendition_url_seconds: int
    workflow: WorkflowType


@dataclass(frozen=True)
class IntakeSettings:
    """What uploads over HTTP need."""

    uploads_bucket: str
    status_api_url: str
    """Without a slash at its end."""
    image_formats: frozenset[str]
    """Upper-case names."""


@dataclass(frozen=True)
class PresignSettings:
    """What signing an upload needs."""

    uploads_bucket: str
    status_api_url: str
    """Without a slash at its end."""
    max_upload_bytes: int
    presigned_upload_seconds: int


@dataclass(frozen=True)
class Machines:
    """The workflows, by ARN."""

    process_image: str
    settle_image: str
    workflow: WorkflowType
    """Of `process_image`."""


def load(environment: Mapping[str, str]) -> Settings:
    """Read and check the settings of the steps.

    Raises:
        SettingsError: naming every variable that is missing or out of range, not just the first.
    """
    with _reading(environment, "Globals.Function.Environment") as given:
        return Settings(
            thumbnails_bucket=given.text("THUMBNAILS_BUCKET"),
            image_table=given.text("IMAGE_TABLE"),
            max_upload_bytes=given.number("MAX_UPLOAD_MEGABYTES", 1, 500) * MEGA,
            max_pixels=given.number("MAX_MEGAPIXELS", 1, 500) * MEGA,
            render_memory_bytes=given.number("RENDER_MEMORY_MEGABYTES", 128, 10_240) * MEBIBYTE,
            image_formats=given.names("IMAGE_FORMATS"),
            labels_max=given.number("LABELS_MAX", 1, 100),
            labels_min_confidence=given.number("LABELS_MIN_CONFIDENCE", 0, 100),
        )


def load_for_status(environment: Mapping[str, str]) -> StatusSettings:
    """Read and check the settings of the status API.

    Raises:
        SettingsError: as `load`.
    """
    with _reading(environment, "Globals.Function.Environment") as given:
        return StatusSettings(
            given.text("IMAGE_TABLE"), given.number("RENDITION_URL_SECONDS", 60, 3600), given.workflow_type()
        )


def load_for_intake(environment: Mapping[str, str]) -> IntakeSettings:
    """Read and check the settings of uploads over HTTP.

    Raises:
        SettingsError: as `load`.
    """
    with _reading(environment, "the function") as given:
        return IntakeSettings(given.text("UPLOADS_BUCKET"), given.text("STATUS_API_URL"), given.names("IMAGE_FORMATS"))


def load_for_presigning(environment: Mapping[str, str]) -> PresignSettings:
    """Read and check the settings of presigned uploads.

    Raises:
        SettingsError: as `load`.
    """
    with _reading(environment, "the function") as given:
        return PresignSettings(
            uploads_bucket=given.text("UPLOADS_BUCKET"),
            status_api_url=given.text("STATUS_API_URL"),
            max_upload_bytes=given.number("MAX_UPLOAD_MEGABYTES", 1, 500) * MEGA,
            presigned_upload_seconds=given.number("PRESIGNED_UPLOAD_SECONDS", 60, 3600),
        )


def load_machines(environment: Mapping[str, str]) -> Machines:
    """Read where the workflows are.

    Raises:
        SettingsError: as `load`.
    """
    with _reading(environment, "the function") as given:
        return Machines(given.text("PROCESS_IMAGE_ARN"), given.text("SETTLE_IMAGE_ARN"), given.workflow_type())


def reprocess_cooldown(environment: Mapping[str, str]) -> int:
    """Read the least time between two reprocess requests for the same upload, in seconds.

    Raises:
        SettingsError: as `load`.
    """
    with _reading(environment, "the function") as given:
        return given.number("REPROCESS_COOLDOWN_SECONDS", 0, 3600)


def required(environment: Mapping[str, str], *names: str) -> tuple[str, ...]:
    """Read variables that only some functions have.

    Raises:
        SettingsError: as `load`.
    """
    with _reading(environment, "the function") as given:
        return tuple(given.text(name) for name in names)


@contextmanager
def _reading(environment: Mapping[str, str], where: str) -> Iterator["_Variables"]:
    given = _Variables(environment)
    yield given
    given.check(where)


class _Variables:
    """Reads variables, and remembers what is wrong with any of them until `check`."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._faults: list[str] = []

    def text(self, name: str) -> str:
        value = self._environment.get(name, "")
        if not value:
            self._faults.append(f"{name} is missing")
        return value

    def number(self, name: str, least: int, most: int) -> int:
        value = self.text(name)
        if value.isascii() and value.isdigit() and least <= int(value) <= most:
            return int(value)
        if value:
            self._faults.append(f"{name} is {value!r}, which is not a whole number from {least} to {most}")
        return least

    def names(self, name: str) -> frozenset[str]:
        return frozenset(each.strip().upper() for each in self.text(name).split(","))

    def workflow_type(self) -> WorkflowType:
        value = self.text("WORKFLOW_TYPE")
        if value in list(WorkflowType):
            return WorkflowType(value)
        if value:
            self._faults.append(f"WORKFLOW_TYPE is {value!r}, which is none of {', '.join(WorkflowType)}")
        return WorkflowType.STANDARD

    def check(self, where: str) -> None:
        if self._faults:
            raise SettingsError(
                f"The environment is not complete: {'; '.join(self._faults)}.",
                f"Set the variables under {where} in template.yml and deploy again.",
            )
