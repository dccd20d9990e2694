"""Checks of outcomes: images must be processed to the right pixels, and other files must be rejected."""

import io
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

from PIL import Image

from image_pipeline.imaging import recipes
from image_pipeline_cli import parallel
from image_pipeline_cli.checks import Check, CheckFailedError, NotCheckedError
from image_pipeline_cli.verify import facts, http, pixels
from image_pipeline_cli.verify.samples import FIRST, SAMPLES, BadFile, SampleImage, bad_files
from image_pipeline_cli.verify.session import NO_OUTCOME, Session

_JOBS = 8
_AGAIN_SECONDS = 20.0
"""Time between two tries of the first upload."""
_OTHER_CODE = "Other code is deployed than that of this command: build and deploy again."
_LONG_WAIT = (
    "No outcome yet. After a first deployment, S3 needs about five minutes until it sends events. "
    "Waiting for up to {seconds:.0f} more seconds …"
)


def first_check(seconds: float, say: Callable[[str], None]) -> Check[Session]:
    """Return the check of the first upload.

    Args:
        seconds: The longest wait for its outcome.
        say: Reports a long wait to the user.
    """

    def upload_and_check(session: Session) -> str:
        if not _is_accepted(session, FIRST):
            raise NotCheckedError("ImageFormats excludes JPEG, and most checks upload a JPEG.")
        upload_first(session, seconds, say)
        return check_sample(session, FIRST)

    return Check(FIRST.name, upload_and_check, ("s3:PutObject", "dynamodb:BatchGetItem"))


def upload_first(session: Session, seconds: float, say: Callable[[str], None]) -> None:
    """Upload the first image repeatedly until it has an outcome or the time is over.

    S3 needs about five minutes until it sends events of a new bucket, and never sends those of earlier uploads.
    """
    deadline = time.monotonic() + seconds
    while True:
        sent = session.put(FIRST.file_name, FIRST.encode())
        session.wait([sent], session.times.first, min(_AGAIN_SECONDS, deadline - time.monotonic()))
        if session.has_outcome(sent):
            session.outcomes.clear()  # the rule of the inbox is new, and may not match events at once
            return
        if time.monotonic() >= deadline:
            return
        say(_LONG_WAIT.format(seconds=deadline - time.monotonic()))


def upload_all(session: Session) -> str:
    """Upload all other files at once, and wait for their outcomes."""
    uploads = list(parallel.run(lambda file: session.put(*file), list(_files()), _JOBS))
    session.wait(uploads, session.times.together)
    count = sum(map(session.has_outcome, uploads))
    if count < len(uploads):
        raise CheckFailedError(
            f"Only {count} of {len(uploads)} files that were uploaded at once have an outcome.", NO_OUTCOME
        )
    return f"All {count} files that were uploaded at once have an outcome."


def _files() -> Iterator[tuple[str, bytes, dict[str, str]]]:
    """Yield name, content and metadata of each file that can be made on this machine."""
    for sample in SAMPLES:
        with suppress(NotCheckedError):
            yield sample.file_name, sample.encode(), sample.metadata
    for file in bad_files():
        yield file.file_name, file.data, {}


def check_sample(session: Session, sample: SampleImage) -> str:
    """Check the outcome of a sample, unless the stack does not accept its format."""
    sample.encode()  # says why if it cannot be made on this machine
    if not _is_accepted(session, sample):
        body = session.outcome(sample.file_name)
        return _rejected(body, "UnsupportedFormatError") + " ImageFormats excludes its format."
    return check_image(session, sample)


def check_image(session: Session, sample: SampleImage) -> str:
    """Check the record of an image, its status over HTTP, and the pixels of all its renditions."""
    body = session.outcome(sample.file_name)
    require_success(body)
    _check_facts(session, "record", body, sample)
    status = session.status(sample.file_name)
    _check_facts(session, "status", status, sample)
    return _check_renditions(status, sample)


def _is_accepted(session: Session, sample: SampleImage) -> bool:
    formats = session.stack.parameters.get("ImageFormats")
    return formats is None or sample.image_format in formats.split(",")


def _check_facts(session: Session, name: str, body: dict[str, Any], sample: SampleImage) -> None:
    if problem := facts.complaint(body, sample, session.stack.parameters):
        raise CheckFailedError(f"The {name} is wrong: {problem}.", _OTHER_CODE)


def _check_renditions(status: dict[str, Any], sample: SampleImage) -> str:
    """Check that the renditions are those of the recipes, and compare their pixels with the upload."""
    book = recipes.without_repeats(recipes.load().for_key(status["imageKey"]), *sample.size)
    expected = {(recipe.name, name.upper()): (recipe, name) for recipe in book for name in recipe.formats}
    renditions = {(rendition["name"], rendition["format"]): rendition for rendition in status["renditions"]}
    if expected.keys() != renditions.keys():
        raise CheckFailedError(
            f"The renditions are {_names(renditions)} instead of {_names(expected)}.",
            "The stack was deployed with other recipes: deploy again, or run this command from the deployed commit.",
        )
    for names, (recipe, output_format) in expected.items():
        rendition = renditions[names]
        answer = http.send("GET", rendition["url"])
        if answer.status != 200:
            raise CheckFailedError(
                f"The URL of the rendition {_names([names])} answers {answer.status}.",
                "The role of GetStatus may lack s3:GetObjectVersion on the renditions: deploy again.",
            )
        problem = pixels.complaint(answer.body, recipe, output_format, sample) or _difference(rendition, answer.body)
        if problem:
            lying = f" (EXIF orientation {sample.orientation})" if sample.orientation > 1 else ""
            raise CheckFailedError(
                f"The rendition {_names([names])} is wrong: {problem}{lying}.",
                "Other code, packages or recipes are deployed than those of this command: build and deploy again.",
            )
    return f"The record and {len(expected)} renditions are right."


def _difference(rendition: dict[str, Any], data: bytes) -> str:
    """Say how the record of a rendition differs from its file; empty if it does not."""
    with Image.open(io.BytesIO(data)) as image:
        actual = {"width": image.width, "height": image.height, "sizeBytes": len(data)}
    names = [name for name, value in actual.items() if rendition[name] != value]
    return f"the record has another {' and '.join(names)}" if names else ""


def check_bad_file(session: Session, file: BadFile) -> str:
    """Check that a file was rejected for the right reason."""
    return _rejected(session.outcome(file.file_name), file.error)


def require_success(body: dict[str, Any]) -> None:
    """Raise unless an image was processed with labels.

    Raises:
        CheckFailedError: It was not; the detail has the reason in the record.
    """
    if body["status"] == "COMPLETED":
        return
    if body["status"] == "PARTIAL":
        reasons = "; ".join(warning["message"] for warning in body.get("warnings", []))
        raise CheckFailedError(
            f"PARTIAL instead of COMPLETED: {reasons}", "See 'Rekognition does not answer' in docs/operations.md."
        )
    error = body.get("error", {})
    raise CheckFailedError(
        f"{body['status']} instead of COMPLETED: {error.get('message')} ({error.get('code')} in {error.get('step')})",
        "See FailureRateAlarm in docs/operations.md. If a role, a layer or code was changed by hand, deploy again.",
    )


def _rejected(body: dict[str, Any], code: str) -> str:
    actual_code = body.get("error", {}).get("code", "no error")
    if (body["status"], actual_code) != ("FAILED", code):
        raise CheckFailedError(f"{body['status']} with {actual_code} instead of FAILED with {code}.", _OTHER_CODE)
    return f"It was rejected with {code}."


def _names(names: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{name} ({output_format})" for name, output_format in sorted(names)) or "none"


def _sample_check(sample: SampleImage) -> Check[Session]:
    return Check(sample.name, lambda session: check_sample(session, sample))


def _bad_file_check(file: BadFile) -> Check[Session]:
    return Check(file.name, lambda session: check_bad_file(session, file))


CHECKS: tuple[Check[Session], ...] = (
    Check("other uploads", upload_all, ("s3:PutObject", "dynamodb:BatchGetItem")),
    *map(_sample_check, SAMPLES),
    *map(_bad_file_check, bad_files()),
)
