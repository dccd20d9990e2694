"""Whether the stack is as it was deployed, and whether anything waits for an operator."""

import re
from datetime import UTC, datetime, timedelta

from image_pipeline.store import records
from image_pipeline_cli.checks import Check, CheckFailedError, NotCheckedError
from image_pipeline_cli.stack import Stack

_STUCK = timedelta(hours=2)  # retries take little more than one hour; StuckRecordsAlarm has the same limit
_MAX_EXAMPLES = 3
_PENDING = "PendingConfirmation"  # the ARN of a subscription that is not confirmed
_MAIL = {"NotificationEmail": "NotificationTopicArn", "AlarmEmail": "AlarmTopicArn"}
"""The topic of each mail address: outputs by parameter."""
_AGAIN = "For another mail with a link, deploy with an empty address, then with this one again."
_ALARM = re.compile(r"-(\w+Alarm)-")
_DEAD_LETTERS = {
    "UndeliveredEventsQueueUrl": "UndeliveredEventsAlarm",
    "UnpublishedOutcomesQueueUrl": "UnpublishedOutcomesAlarm",
    "UnlistedImagesQueueUrl": "UnlistedImagesAlarm",
    "BatchDeadLetterQueueUrl": "BatchDeadLettersAlarm",
}
"""The section of docs/operations.md about each queue, by output of the stack."""


def event_bridge(stack: Stack) -> str:
    """Check that the uploads bucket sends its events to EventBridge."""
    bucket = stack.outputs["UploadsBucketName"]
    configuration = stack.client("s3").get_bucket_notification_configuration(Bucket=bucket)
    if "EventBridgeConfiguration" not in configuration:
        raise CheckFailedError(
            f"The bucket {bucket} sends no events to EventBridge, so uploads start nothing.",
            "Deploy again, or switch on EventBridge in the properties of the bucket; then reprocess missed uploads.",
        )
    return "The uploads bucket sends its events to EventBridge."


def rules(stack: Stack) -> str:
    """Check that every rule is enabled."""
    events = stack.client("events")
    states = {name: events.describe_rule(Name=name)["State"] for name in stack.resources("AWS::Events::Rule").values()}
    disabled = [name for name, state in states.items() if state == "DISABLED"]
    if disabled:
        raise CheckFailedError(
            f"Disabled: {', '.join(disabled)}.",
            f"Run `aws events enable-rule --name {disabled[0]}`, then reprocess the uploads that were missed.",
        )
    return f"All {len(states)} rules are enabled."


def event_sources(stack: Stack) -> str:
    """Check that Lambda reads the stream of the records and the batch queue."""
    if stack.local:
        raise NotCheckedError(
            "The local run has no event source mappings to ask for; it reads streams and queues itself."
        )
    functions = stack.client("lambda")
    mappings = stack.resources("AWS::Lambda::EventSourceMapping")
    states = {
        logical_id: functions.get_event_source_mapping(UUID=uuid)["State"] for logical_id, uuid in mappings.items()
    }
    stopped = [logical_id for logical_id, state in states.items() if state in ("Disabled", "Disabling")]
    if stopped:
        raise CheckFailedError(
            f"Disabled: {', '.join(stopped)}.",
            f"Run `aws lambda update-event-source-mapping --enabled --uuid {mappings[stopped[0]]}`.",
        )
    return f"All {len(states)} event source mappings are enabled."


def mail(stack: Stack) -> str:
    """Check that the mail addresses of the parameters are subscribed, and that all subscriptions are confirmed.

    SNS deletes a subscription that is not confirmed within 48 hours.
    """
    subscriptions = []
    for parameter, output in _MAIL.items():
        subscribed = _mail_subscriptions(stack, stack.outputs[output])
        address = stack.parameters.get(parameter)
        if address and address not in (entry["Endpoint"] for entry in subscribed):
            raise CheckFailedError(f"{parameter} is {address}, but it is not subscribed.", f"It gets no mail. {_AGAIN}")
        subscriptions += subscribed
    pending = [entry["Endpoint"] for entry in subscriptions if entry["SubscriptionArn"] == _PENDING]
    if pending:
        raise CheckFailedError(
            f"Not confirmed: {', '.join(dict.fromkeys(pending))}.", f"Open the link in the mail from AWS. {_AGAIN}"
        )
    confirmed = dict.fromkeys(entry["Endpoint"] for entry in subscriptions)
    return f"Confirmed: {', '.join(confirmed)}." if confirmed else "No mail address is subscribed."


def _mail_subscriptions(stack: Stack, topic: str) -> list[dict[str, str]]:
    pages = stack.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    return [
        subscription
        for page in pages
        for subscription in page["Subscriptions"]
        if subscription["Protocol"] in ("email", "email-json")
    ]


def dead_letters(stack: Stack) -> str:
    """Check that no event or message waits in a dead-letter queue."""
    sqs = stack.client("sqs")
    waiting = {}
    for output, section in _DEAD_LETTERS.items():
        answer = sqs.get_queue_attributes(
            QueueUrl=stack.outputs[output], AttributeNames=["ApproximateNumberOfMessages"]
        )
        if count := int(answer["Attributes"]["ApproximateNumberOfMessages"]):
            waiting[section] = f"{count} in {output.removesuffix('Url')}"
    if waiting:
        raise CheckFailedError(
            f"Dead letters: {', '.join(waiting.values())}.", f"See {' and '.join(waiting)} in docs/operations.md."
        )
    return "All dead-letter queues are empty."


def alarms(stack: Stack) -> str:
    """Check that the stack has its alarms, and that none is raised."""
    if stack.local:
        raise NotCheckedError("The local run has no alarms.")
    pages = stack.client("cloudwatch").get_paginator("describe_alarms")
    metric_alarms = [
        alarm
        for page in pages.paginate(AlarmNamePrefix=f"{stack.name}-Monitoring-", AlarmTypes=["MetricAlarm"])
        for alarm in page["MetricAlarms"]
    ]
    if not metric_alarms:
        raise CheckFailedError("The stack has no alarms.", "Deploy again; the nested stack Monitoring contains them.")
    raised = [_alarm_name(alarm["AlarmName"]) for alarm in metric_alarms if alarm["StateValue"] == "ALARM"]
    if raised:
        raise CheckFailedError(
            f"Raised: {', '.join(raised)}.",
            f"See {raised[0]} in docs/operations.md for its meaning and what to do.",
        )
    return f"None of {len(metric_alarms)} alarms is raised."


def version(stack: Stack) -> str:
    """Report the deployed version."""
    if stack.local:
        raise NotCheckedError("The local run runs the code of its clone.")
    if "Version" not in stack.outputs:
        raise NotCheckedError("The stack was deployed before it had an output Version.")
    commit = stack.outputs.get("Commit", "unknown")
    return f"Version {stack.outputs['Version']} is deployed, from commit {commit}."


def stuck_records(stack: Stack) -> str:
    """Check that no record has been in PROCESSING for too long."""
    claims = records.oldest_claims(stack.client, stack.outputs["ImageTableName"])
    limit = datetime.now(UTC) - _STUCK
    stuck = sorted(
        (claim["claimedAt"], claim["ImageKey"])
        for claim in claims
        if datetime.fromisoformat(claim["claimedAt"]) < limit
    )
    if stuck:
        examples = ", ".join(f"{image_key!a} since {since}" for since, image_key in stuck[:_MAX_EXAMPLES])
        raise CheckFailedError(
            f"{len(stuck)} or more records are stuck in PROCESSING: {examples}.",
            "See StuckRecordsAlarm in docs/operations.md.",
        )
    return "No record has been in PROCESSING for more than two hours."


def _alarm_name(name: str) -> str:
    match = _ALARM.search(name)
    return match[1] if match else name


EVENT_BRIDGE = Check("EventBridge", event_bridge, ("s3:GetBucketNotification",))
RULES = Check("rules", rules, ("events:DescribeRule", "cloudformation:ListStackResources"))
CHECKS: tuple[Check[Stack], ...] = (
    Check("version", version),
    EVENT_BRIDGE,
    RULES,
    Check("event sources", event_sources, ("lambda:GetEventSourceMapping", "cloudformation:ListStackResources")),
    Check("mail", mail, ("sns:ListSubscriptionsByTopic",)),
    Check("dead letters", dead_letters, ("sqs:GetQueueAttributes",)),
    Check("alarms", alarms, ("cloudwatch:DescribeAlarms",)),
    Check("stuck records", stuck_records, ("dynamodb:Query",)),
)
