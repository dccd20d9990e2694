"""Checks of what the stack has reported about the uploads: the list, outcome events and notifications."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from image_pipeline import keys
from image_pipeline.feeds import outcomes
from image_pipeline_cli import follow
from image_pipeline_cli.checks import Check, CheckFailedError, NotCheckedError
from image_pipeline_cli.verify.session import ObservedOutcome, Session
from image_pipeline_cli.verify.temporary import Inbox

_SHOWN = 3
_OTHER_WORKFLOW = "The workflow that is deployed is not that of this command: build and deploy again."


def check_list(session: Session) -> str:
    """Check that the list has every upload with its status."""
    session.need_key()
    statuses = {image_key: session.status_of(image_key.removeprefix(session.folder)) for image_key in session.sent}
    expected = {image_key: status for image_key, status in statuses.items() if status}
    listed: dict[str, str] = {}

    def is_complete() -> bool:
        answer = session.call("GET", f"/images?limit=100&prefix={quote(session.folder)}")
        images = session.expect(answer, 200, "GET /images")["images"]
        listed.clear()
        listed.update({image["imageKey"]: image["status"] for image in images})
        return expected.items() <= listed.items()

    if not session.wait_until(is_complete):
        missing = [image_key for image_key, status in expected.items() if listed.get(image_key) != status]
        raise CheckFailedError(
            f"{len(missing)} of {len(expected)} uploads are missing or have an older status: {_shown(missing)}.",
            "See UnlistedImagesAlarm and LateListingAlarm in docs/operations.md.",
        )
    return f"All {len(expected)} uploads are listed with their status."


def check_events(session: Session) -> str:
    """Check that each outcome was published, exactly as its record says, and that no upload was processed twice."""
    inbox = _inbox(session)
    if again := _processed_again(session):
        raise CheckFailedError(f"Processed again without a request: {_shown(again)}.", _OTHER_WORKFLOW)
    if not session.wait_until(lambda: not _unpublished(session, inbox)):
        missing = _unpublished(session, inbox)
        raise CheckFailedError(
            f"{len(missing)} of {len(session.outcomes)} outcomes were not published: {_shown(missing)}.",
            "See UnpublishedOutcomesAlarm and LateOutcomesAlarm in docs/operations.md; check EventBusName.",
        )
    details = [event["detail"] for event in inbox.events]
    expected_events = {_identity(event): event for event in _expected_events(session)}
    for detail in details:
        expected = expected_events.get(_identity(detail), detail)
        if names := [name for name in detail.keys() | expected.keys() if detail.get(name) != expected.get(name)]:
            raise CheckFailedError(
                f"An event about {detail['imageKey']!a} differs from its record: {', '.join(sorted(names))}.",
                "Other code is deployed than that of this command: build and deploy again.",
            )
    doubled = _doubled(details)
    if doubled:
        raise CheckFailedError(
            f"More than one outcome of one upload was published: {_shown(doubled)}.", _OTHER_WORKFLOW
        )
    return f"All {len(session.outcomes)} outcomes were published."


def check_notifications(session: Session) -> str:
    """Check that subscribers were notified of each outcome, except of deletions."""
    inbox = _inbox(session)
    expected: Counter[tuple[str, ...]] = Counter(
        (keys.printable(outcome.image_key), "FAILURE" if outcome.status == "FAILED" else "SUCCESS")
        for outcome in session.outcomes
        if outcome.status != "DELETED"
    )

    def missing() -> Counter[tuple[str, ...]]:
        inbox.collect()
        return expected - Counter(map(_about, inbox.notifications))

    if not session.wait_until(lambda: not missing()):
        absent = missing()
        raise CheckFailedError(
            f"{absent.total()} of {expected.total()} notifications did not arrive: "
            f"{_shown([image_key for image_key, _ in absent])}.",
            "Check that the roles of the workflows may publish to the topic: deploy again.",
        )
    return f"All {expected.total()} notifications arrived."


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

    def is_published(outcome: ObservedOutcome) -> bool:
        return (outcome.image_key, outcomes.DETAIL_TYPES[outcome.status], outcome.execution_id) in published

    return [outcome.image_key for outcome in session.outcomes if not is_published(outcome)]


def _processed_again(session: Session) -> list[str]:
    """Return the keys whose record has another execution than that of the last observed outcome."""
    last = session.last_executions()
    bodies = follow.read(session.stack, last).values()
    return [body["imageKey"] for body in bodies if body["execution"]["id"] != last[body["imageKey"]]]


def _expected_events(session: Session) -> Iterator[dict[str, Any]]:
    """Yield the detail of the event of each outcome, as this version of the pipeline publishes it."""
    outputs = session.stack.outputs
    release = {"version": outputs["Version"], "commit": outputs["Commit"]} if "Version" in outputs else {}
    for outcome in session.outcomes:
        event = outcomes.event_of_change(None, outcome.body, outputs["ImageStatusApiEndpoint"], release)
        if event is not None:
            yield json.loads(event.detail)


def _identity(detail: Mapping[str, Any]) -> tuple[str, ...]:
    return detail["imageKey"], detail["status"], detail["execution"]["id"]


def _doubled(details: list[dict[str, Any]]) -> list[str]:
    """Return the keys of uploads with more than one outcome; the same outcome may be published again."""
    published = {
        (detail["imageKey"], detail.get("upload", {}).get("versionId"), detail["status"], detail["execution"]["id"])
        for detail in details
    }
    counts = Counter(outcome[:3] for outcome in published)
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
