"""Create what a run needs, and remove everything at its end."""

import time
from collections.abc import Callable

from image_pipeline.api import scopes
from image_pipeline.keys import THUMBNAILS_PREFIX
from image_pipeline.store import records
from image_pipeline_cli import checks
from image_pipeline_cli.checks import Check, CheckFailedError, Result, State
from image_pipeline_cli.verify import temporary
from image_pipeline_cli.verify.session import Session

_SETTLE_SECONDS = 30.0
_QUIET_SECONDS = 3.0
_ENDED = ("DELETED", "FAILED")


def prepare(session: Session, report: Callable[[Result], object]) -> None:
    """Create the queue and the keys; report what cannot be created. The checks that need it are then not performed."""
    session.created.callback(remove_uploads, session)  # the slowest, so it runs last
    for check in PREPARATIONS:
        result = checks.perform(check, session)
        if result.state is not State.OK:
            report(result)


def remove_uploads(session: Session) -> None:
    """Delete the uploads with all versions, their renditions and their records.

    Raises:
        CheckFailedError: An execution may still write something.
    """
    stack = session.stack
    seconds = min(_SETTLE_SECONDS, session.seconds)
    is_settled = session.wait_until(lambda: not session.under_way, seconds)
    temporary.delete_versions(stack, session.bucket, session.folder)
    is_settled &= session.wait_until(lambda: _have_ended(session), seconds)
    temporary.delete_versions(stack, stack.outputs["ThumbnailsBucketName"], f"{THUMBNAILS_PREFIX}{session.name}/")
    _delete_records(session)
    if any(not session.has_outcome(upload) for upload in session.sent.values()):
        is_settled &= session.wait_until(_is_quiet(session), seconds)
    if not is_settled:
        raise CheckFailedError(
            "The workflow has not ended for all uploads.",
            f"Later, remove what remains in {session.folder} with `image-pipeline delete {session.name}/`.",
        )


def _have_ended(session: Session) -> bool:
    """Return whether the workflow has ended for each upload.

    One that is deleted before it is claimed fails. An empty one that is deleted while it waits for its content gets no
    record.
    """
    statuses = _statuses(session)
    return all(
        statuses[image_key] in _ENDED if image_key in statuses else upload.is_empty
        for image_key, upload in session.sent.items()
    )


def _is_quiet(session: Session) -> Callable[[], bool]:
    """Return a condition that holds when no record has been written for some seconds; it deletes those that have been.

    When an execution fails without a record, SettleImage writes one a moment later.
    """
    quiet_since = time.monotonic()

    def is_quiet() -> bool:
        nonlocal quiet_since
        if _statuses(session):
            _delete_records(session)
            quiet_since = time.monotonic()
        return time.monotonic() - quiet_since > _QUIET_SECONDS

    return is_quiet


def _statuses(session: Session) -> dict[str, str]:
    """Return the statuses of the uploads that have a record, by key."""
    table = session.stack.outputs["ImageTableName"]
    item_keys = [records.item_key(image_key) for image_key in session.sent]
    items = records.read_many(
        session.stack.client, table, item_keys, attributes=["ImageKey", "status"], consistent=True
    )
    return {item["ImageKey"]: item["status"] for item in items}


def _delete_records(session: Session) -> None:
    dynamodb = session.stack.client("dynamodb")
    table = session.stack.outputs["ImageTableName"]
    for image_key in session.sent:
        dynamodb.delete_item(TableName=table, Key=records.item_key(image_key))


def _create_inbox(session: Session) -> str:
    session.inbox = session.created.enter_context(temporary.inbox(session.stack, session.name, session.folder))
    return session.name


def _create_keys(session: Session) -> str:
    if session.stack.parameters.get("JwtIssuer"):
        return "The stack takes tokens instead of keys."
    read_folder = scopes.Access(frozenset({scopes.READ}), session.folder)
    session.key = session.created.enter_context(temporary.api_key(session.stack, session.name, scopes.Access()))
    session.limited_key = session.created.enter_context(temporary.api_key(session.stack, session.name, read_folder))
    return session.name


def _clean_up(session: Session) -> str:
    session.created.close()
    return "Everything that this run created was removed."


PREPARATIONS: tuple[Check[Session], ...] = (
    Check("temporary queue", _create_inbox, ("sqs:CreateQueue", "events:PutRule", "sns:Subscribe")),
    Check("temporary API keys", _create_keys, ("dynamodb:PutItem",)),
)
CLEAN_UP = Check("clean-up", _clean_up, ("s3:ListBucketVersions", "s3:DeleteObjectVersion", "dynamodb:DeleteItem"))
