"""Checks of what the stack has reported about the uploads: the list, outcome events and notifications."""

from collections import Counter
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from image_pipeline import keys
from image_pipeline_cli.checks import Check, CheckFailedError, NotCheckedError
from image_pipeline_cli.verify.session import Outcome, Session
from image_pipeline_cli.verify.temporary import Inbox

_SHOWN = 3
_REQUIRED = {"version", "id", "imageKey", "status", "execution", "statusUrl"}


def check_list(session: Session) -> str:
    """Check that the list has every upload with its status."""
    session.need_key()
    statuses = {image_key: session.status_of(image_key.removeprefix(session.folder)) for image_key in session.sent}
    wanted = {image_key: status for image_key, status in statuses.items() if status}
    listed: dict[str, str] = {}

    def is_complete() -> bool:
        answer = session.call("GET", f"/images?limit=100&prefix={quote(session.folder)}")
        images = session.expect(answer, 200, "GET /images")["images"]
        listed.clear()
        listed.update({image["imageKey"]: image["status"] for image in images})
        return wanted.items() <= listed.items()

    if not session.wait_until(is_complete):
        missing = [image_key for image_key, status in wanted.items() if listed.get(image_key) != status]
        raise CheckFailedError(
            f"{len(missing)} of {len(wanted)} uploads are missing or have an older status: {_shown(missing)}.",
            "See UnlistedImagesAlarm and LateListingAlarm in docs/operations.md.",
        )
    return f"All {len(wanted)} uploads are listed with their status."


def check_events(session: Session) -> str:
    """Check that each outcome was published exactly as the contract says, and no upload was processed twice."""
    inbox = _inbox(session)
    if not session.wait_until(lambda: not _unpublished(session, inbox)):
        missing = _unpublished(session, inbox)
        raise CheckFailedError(
            f"{len(missing)} of {len(session.outcomes)} outcomes were not published: {_shown(missing)}.",
            "See UnpublishedOutcomesAlarm and LateOutcomesAlarm in docs/operations.md; check EventBusName.",
        )
    details = [event["detail"] for event in inbox.events]
    for detail in details:
        if absent := _REQUIRED - detail.keys():
            raise CheckFailedError(
                f"An event about {detail.get('imageKey')!a} has no {', '.join(sorted(absent))}.",
                "Other code is deployed than that of this command: build and deploy again.",
            )
    doubled = _doubled(details)
    if doubled:
        raise CheckFailedError(
            f"More than one outcome of one upload was published: {_shown(doubled)}.",
            "The workflow that is deployed is not that of this command: build and deploy again.",
        )
    return f"All {len(session.outcomes)} outcomes were published."


def check_notifications(session: Session) -> str:
    """Check that subscribers were notified of each outcome, except of deletions."""
    inbox = _inbox(session)
    wanted: Counter[tuple[str, ...]] = Counter(
        (keys.printable(outcome.image_key), "FAILURE" if outcome.status == "FAILED" else "SUCCESS")
        for outcome in session.outcomes
        if outcome.status != "DELETED"
    )

    def missing() -> Counter[tuple[str, ...]]:
        inbox.collect()
        return wanted - Counter(map(_about, inbox.notifications))

    if not session.wait_until(lambda: not missing()):
        absent = missing()
        raise CheckFailedError(
            f"{absent.total()} of {wanted.total()} notifications did not arrive: {_shown([key for key, _ in absent])}.",
            "Check that the roles of the workflows may publish to the topic: deploy again.",
        )
    return f"All {wanted.total()} notifications arrived."


def _inbox(session: Session) -> Inbox:
    if session.inbox is None:
        raise NotCheckedError("The temporary queue could not be created.")
    return session.inbox


def _unpublished(session: Session, inbox: Inbox) -> list[str]:
    """Return the keys of the outcomes that were not published yet."""
    inbox.collect()
    published = {
        (event["detail"]["imageKey"], event["detail-type"], event["detail"]["execution"]["id"])
        for event in inbox.events
    }

    def is_published(outcome: Outcome) -> bool:
        return (outcome.image_key, outcome.detail_type, outcome.execution_id) in published

    return [outcome.image_key for outcome in session.outcomes if not is_published(outcome)]


def _doubled(details: list[dict[str, Any]]) -> list[str]:
    """Return the keys of uploads with more than one outcome; the same outcome may be published again."""
    outcomes = {
        (detail["imageKey"], detail.get("upload", {}).get("versionId"), detail["status"], detail["id"])
        for detail in details
    }
    counts = Counter(outcome[:3] for outcome in outcomes)
    return [image_key for (image_key, _, _), count in counts.items() if count > 1]


def _about(notification: Mapping[str, Any]) -> tuple[str, ...]:
    """Return key and outcome that a notification names; others may publish messages without them."""
    attributes = notification.get("MessageAttributes", {})
    return tuple(str(attributes.get(name, {}).get("Value", "")) for name in ("imageKey", "status"))


def _shown(image_keys: list[str]) -> str:
    more = len(image_keys) - _SHOWN
    return ", ".join(map(ascii, image_keys[:_SHOWN])) + (f" and {more} more" if more > 0 else "")


CHECKS: tuple[Check[Session], ...] = (
    Check("list", check_list),
    Check("outcome events", check_events, ("sqs:ReceiveMessage", "sqs:DeleteMessage")),
    Check("notifications", check_notifications, ("sqs:ReceiveMessage", "sqs:DeleteMessage")),
)
