"""What the deployment decided, read from the environment. `template.yml` sets every variable.

Read inside a handler, never at import, so that a test sets the environment and needs no reload.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from image_pipeline.errors import SettingsError

MEGA = 1_000_000
MEBIBYTE = 1_048_576  # Lambda's "MB" of memory


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
    rendition_url_seconds: int


def load(environment: Mapping[str, str]) -> Settings:
    """Read and check all settings.

    Raises:
        SettingsError: naming every variable that is missing or out of range, not just the first.
    """
    faults: list[str] = []

    def text(name: str) -> str:
        value = environment.get(name, "")
        if not value:
            faults.append(f"{name} is missing")
        return value

    def number(name: str, least: int, most: int) -> int:
        value = text(name)
        if value.isascii() and value.isdigit() and least <= int(value) <= most:
            return int(value)
        if value:
            faults.append(f"{name} is {value!r}, which is not a whole number from {least} to {most}")
        return least

    settings = Settings(
        thumbnails_bucket=text("THUMBNAILS_BUCKET"),
        image_table=text("IMAGE_TABLE"),
        max_upload_bytes=number("MAX_UPLOAD_MEGABYTES", 1, 500) * MEGA,
        max_pixels=number("MAX_MEGAPIXELS", 1, 500) * MEGA,
        render_memory_bytes=number("RENDER_MEMORY_MEGABYTES", 128, 10_240) * MEBIBYTE,
        image_formats=frozenset(name.strip().upper() for name in text("IMAGE_FORMATS").split(",")),
        labels_max=number("LABELS_MAX", 1, 100),
        labels_min_confidence=number("LABELS_MIN_CONFIDENCE", 0, 100),
        rendition_url_seconds=number("RENDITION_URL_SECONDS", 60, 3600),
    )
    if faults:
        raise SettingsError(
            f"The environment is not complete: {'; '.join(faults)}.",
            "Set the variables under Globals.Function.Environment in template.yml and deploy again.",
        )
    return settings


@dataclass(frozen=True)
class Machines:
    """The workflows, by ARN."""

    process_image: str
    settle_image: str


def load_machines(environment: Mapping[str, str]) -> Machines:
    """Read where the workflows are.

    Raises:
        SettingsError: naming the variables that are missing.
    """
    missing = [name for name in ("PROCESS_IMAGE_ARN", "SETTLE_IMAGE_ARN") if not environment.get(name)]
    if missing:
        raise SettingsError(
            f"The environment is not complete: {' and '.join(missing)} missing.",
            "Set the variables under WatchRecordsFunction in template.yml and deploy again.",
        )
    return Machines(environment["PROCESS_IMAGE_ARN"], environment["SETTLE_IMAGE_ARN"])
