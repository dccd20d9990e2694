"""Read and check the settings of the deployment from environment variables, which `template.yml` sets.

Handlers read the settings on each invocation and never at import, so that a test can set the environment without a
reload. Named tuples, because a data class takes eight times as long to create, and every start creates them.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import NamedTuple

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
        """The longest time that an execution can run: the workflow's `TimeoutSeconds`, or the limit of Express."""
        return 300 if self is WorkflowType.EXPRESS else 86_400

    @property
    def lost_seconds(self) -> int:
        """The age at which a record in PROCESSING counts as lost.

        A Standard execution that ends without an outcome starts SettleImage through EventBridge, which needs a grace
        period. Express executions send no such event, so a minute is enough.
        """
        return self.seconds + (60 if self is WorkflowType.EXPRESS else 3_600)


class Settings(NamedTuple):
    """The settings of the workflow's functions, in bytes and pixels."""

    thumbnails_bucket: str
    image_table: str
    max_upload_bytes: int
    max_pixels: int
    render_memory_bytes: int
    image_formats: frozenset[str]
    """Names of the accepted formats, in upper case."""
    detects_labels: bool
    labels_max: int
    labels_min_confidence: int
    """Percent."""


class StatusSettings(NamedTuple):
    """The settings of the status API. A wrong setting of a workflow step must not break it, so it reads no others."""

    image_table: str
    rendition_url_seconds: int
    workflow: WorkflowType


class IntakeSettings(NamedTuple):
    """The settings of uploads over HTTP."""

    uploads_bucket: str
    status_api_url: str
    """Without a trailing slash."""
    image_formats: frozenset[str]
    """Names of the accepted formats, in upper case."""


class PresignSettings(NamedTuple):
    """The settings of presigned uploads."""

    uploads_bucket: str
    status_api_url: str
    """Without a trailing slash."""
    max_upload_bytes: int
    presigned_upload_seconds: int


class AccessSettings(NamedTuple):
    """The settings that callers of the API may know."""

    max_upload_bytes: int
    rendition_url_seconds: int
    status_needs_key: bool


class Machines(NamedTuple):
    """The ARNs of the state machines."""

    process_image: str
    settle_image: str
    workflow: WorkflowType
    """The type of `process_image`."""


def load(environment: Mapping[str, str]) -> Settings:
    """Read and check the settings of the workflow's functions.

    Raises:
        SettingsError: variables are missing or out of range; the message lists all of them.
    """
    with _checked_variables(environment, "Globals.Function.Environment") as variables:
        return Settings(
            thumbnails_bucket=variables.text("THUMBNAILS_BUCKET"),
            image_table=variables.text("IMAGE_TABLE"),
            max_upload_bytes=variables.number("MAX_UPLOAD_MEGABYTES", 1, 500) * MEGA,
            max_pixels=variables.number("MAX_MEGAPIXELS", 1, 500) * MEGA,
            render_memory_bytes=variables.number("RENDER_MEMORY_MEGABYTES", 128, 10_240) * MEBIBYTE,
            image_formats=variables.names("IMAGE_FORMATS"),
            detects_labels=variables.choice("LABELS", "REKOGNITION", "OFF") == "REKOGNITION",
            labels_max=variables.number("LABELS_MAX", 1, 100),
            labels_min_confidence=variables.number("LABELS_MIN_CONFIDENCE", 0, 100),
        )


def load_for_status(environment: Mapping[str, str]) -> StatusSettings:
    """Read and check the settings of the status API.

    Raises:
        SettingsError: as `load`.
    """
    with _checked_variables(environment, "Globals.Function.Environment") as variables:
        return StatusSettings(
            image_table=variables.text("IMAGE_TABLE"),
            rendition_url_seconds=variables.number("RENDITION_URL_SECONDS", 60, 3600),
            workflow=variables.workflow_type(),
        )


def load_for_intake(environment: Mapping[str, str]) -> IntakeSettings:
    """Read and check the settings of uploads over HTTP.

    Raises:
        SettingsError: as `load`.
    """
    with _checked_variables(environment, "the function") as variables:
        return IntakeSettings(
            uploads_bucket=variables.text("UPLOADS_BUCKET"),
            status_api_url=variables.text("STATUS_API_URL"),
            image_formats=variables.names("IMAGE_FORMATS"),
        )


def load_for_presigning(environment: Mapping[str, str]) -> PresignSettings:
    """Read and check the settings of presigned uploads.

    Raises:
        SettingsError: as `load`.
    """
    with _checked_variables(environment, "the function") as variables:
        return PresignSettings(
            uploads_bucket=variables.text("UPLOADS_BUCKET"),
            status_api_url=variables.text("STATUS_API_URL"),
            max_upload_bytes=variables.number("MAX_UPLOAD_MEGABYTES", 1, 500) * MEGA,
            presigned_upload_seconds=variables.number("PRESIGNED_UPLOAD_SECONDS", 60, 3600),
        )


def load_for_access(environment: Mapping[str, str]) -> AccessSettings:
    """Read and check the settings that callers of the API may know.

    Raises:
        SettingsError: as `load`.
    """
    with _checked_variables(environment, "the function") as variables:
        return AccessSettings(
            max_upload_bytes=variables.number("MAX_UPLOAD_MEGABYTES", 1, 500) * MEGA,
            rendition_url_seconds=variables.number("RENDITION_URL_SECONDS", 60, 3600),
            status_needs_key=variables.flag("STATUS_NEEDS_KEY"),
        )


def load_machines(environment: Mapping[str, str]) -> Machines:
    """Read the ARNs of the state machines.

    Raises:
        SettingsError: as `load`.
    """
    with _checked_variables(environment, "the function") as variables:
        return Machines(
            process_image=variables.text("PROCESS_IMAGE_ARN"),
            settle_image=variables.text("SETTLE_IMAGE_ARN"),
            workflow=variables.workflow_type(),
        )


def reprocess_cooldown(environment: Mapping[str, str]) -> int:
    """Read the minimum time between two reprocess requests for one upload, in seconds.

    Raises:
        SettingsError: as `load`.
    """
    with _checked_variables(environment, "the function") as variables:
        return variables.number("REPROCESS_COOLDOWN_SECONDS", 0, 3600)


def rendition_url_seconds(environment: Mapping[str, str]) -> int:
    """Read the lifetime of rendition URLs, in seconds.

    Raises:
        SettingsError: as `load`.
    """
    with _checked_variables(environment, "Globals.Function.Environment") as variables:
        return variables.number("RENDITION_URL_SECONDS", 60, 3600)


def release(environment: Mapping[str, str]) -> dict[str, str]:
    """Read the deployed `version` and `commit`; only those that are known.

    Logs and events contain them and must work without them, so a missing variable is not an error.
    """
    names = {"version": "PIPELINE_VERSION", "commit": "PIPELINE_COMMIT"}
    return {field: environment[name] for field, name in names.items() if environment.get(name)}


def required(environment: Mapping[str, str], *names: str) -> tuple[str, ...]:
    """Read variables that only some functions have, in the given order.

    Raises:
        SettingsError: as `load`.
    """
    with _checked_variables(environment, "the function") as variables:
        return tuple(variables.text(name) for name in names)


@contextmanager
def _checked_variables(environment: Mapping[str, str], location: str) -> Iterator["_Variables"]:
    variables = _Variables(environment)
    yield variables
    variables.check(location)


class _Variables:
    """Reads variables and collects their faults; `check` reports all of them at once."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._faults: list[str] = []

    def text(self, name: str) -> str:
        value = self._environment.get(name, "")
        if not value:
            self._faults.append(f"{name} is missing")
        return value

    def number(self, name: str, minimum: int, maximum: int) -> int:
        value = self.text(name)
        if value.isascii() and value.isdigit() and minimum <= int(value) <= maximum:
            return int(value)
        if value:
            self._faults.append(f"{name} is {value!r}, not a whole number from {minimum} to {maximum}")
        return minimum

    def flag(self, name: str) -> bool:
        value = self.text(name)
        if value not in ("", "true", "false"):
            self._faults.append(f"{name} is {value!r}, not true or false")
        return value == "true"

    def names(self, name: str) -> frozenset[str]:
        return frozenset(item.strip().upper() for item in self.text(name).split(","))

    def choice(self, name: str, *options: str) -> str:
        value = self.text(name)
        if value in options:
            return value
        if value:
            self._faults.append(f"{name} is {value!r}, not one of {', '.join(options)}")
        return options[0]

    def workflow_type(self) -> WorkflowType:
        return WorkflowType(self.choice("WORKFLOW_TYPE", *WorkflowType))

    def check(self, location: str) -> None:
        if self._faults:
            raise SettingsError(
                f"Environment variables are missing or invalid: {'; '.join(self._faults)}.",
                f"Set the variables under {location} in template.yml and deploy again.",
            )
