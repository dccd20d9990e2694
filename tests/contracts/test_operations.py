"""The alarms, the dashboard and docs/operations.md: every fault is reported, with instructions."""

from __future__ import annotations

import io
import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import boto3
import botocore.session
import jmespath
import pytest
from botocore import xform_name
from botocore.stub import Stubber

from image_pipeline import aws, observability
from image_pipeline.errors import REJECTIONS
from local.emulator import template as local_template
from local.emulator.deploy import plan
from tests.asl import MACHINES
from tests.conftest import LISTING_TABLE, ROOT, emf, put_upload
from tests.conftest import watched as calls_of
from tests.functions.conftest import load_handler
from tests.pictures import photo

DOCUMENT = (ROOT / "docs" / "operations.md").read_text()

# The metrics of each AWS namespace, the dimension that identifies the resource, and the type of the resource.
AWS_METRICS = {
    "AWS/Lambda": (
        {"ConcurrentExecutions", "Duration", "Errors", "Invocations", "IteratorAge", "Throttles"},
        "FunctionName",
        "AWS::Lambda::Function",
    ),
    "AWS/States": (
        {
            "ExecutionThrottled",
            "ExecutionTime",
            "ExecutionsAborted",
            "ExecutionsFailed",
            "ExecutionsStarted",
            "ExecutionsSucceeded",
            "ExecutionsTimedOut",
        },
        "StateMachineArn",
        "AWS::StepFunctions::StateMachine",
    ),
    "AWS/SQS": (
        {"ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible", "NumberOfMessagesSent"},
        "QueueName",
        "AWS::SQS::Queue",
    ),
    "AWS/Events": (
        {
            "FailedInvocations",
            "Invocations",
            "InvocationsFailedToBeSentToDlq",
            "InvocationsSentToDlq",
            "TriggeredRules",
        },
        "RuleName",
        "AWS::Events::Rule",
    ),
    "AWS/ApiGateway": (
        {"4xx", "5xx", "Count", "DataProcessed", "IntegrationLatency", "Latency"},
        "ApiId",
        "AWS::ApiGatewayV2::Api",
    ),
}


class Metric(NamedTuple):
    """One series of CloudWatch."""

    namespace: str
    name: str
    dimensions: frozenset[tuple[str, str]]


@pytest.fixture(scope="module")
def stack() -> Any:
    """The template as CloudFormation resolves it."""
    loaded = local_template.load(ROOT / "template.yml", "stack", "eu-west-1")
    plan(loaded, "http://aws", "http://api")
    return loaded


@pytest.fixture(scope="module")
def nested(stack: Any) -> Any:
    """The nested application of alarms and dashboard, with the parameters that the template gives it."""
    return stack.nested["Monitoring"]


def properties(stack: Any, kind: str) -> dict[str, dict[str, Any]]:
    """The resolved properties of every resource of a type, by logical id."""
    return {resource.logical_id: stack.resolve(resource.raw) for resource in stack.resources(kind)}


def series(stack: Any, kind: str) -> set[str]:
    """The value that identifies each resource of a type in its metrics; a Distributed Map has its own label.

    https://docs.aws.amazon.com/step-functions/latest/dg/concepts-examine-map-run.html
    """
    names = {stack.refs[resource.logical_id] for resource in stack.resources(kind)}
    if kind == "AWS::SQS::Queue":
        return {stack.attributes[resource.logical_id, "QueueName"] for resource in stack.resources(kind)}
    if kind == "AWS::StepFunctions::StateMachine":
        for machine in MACHINES:
            maps = [state for state in machine.states.values() if state["Type"] == "Map"]
            assert all(state["ItemProcessor"]["ProcessorConfig"]["Mode"] == "DISTRIBUTED" for state in maps)
            names |= {f"{stack.refs[machine.logical_id]}/{state['Label']}" for state in maps}
    return names


def watched(alarm: dict[str, Any]) -> set[Metric]:
    """The metrics that an alarm evaluates."""
    stats = [query["MetricStat"]["Metric"] for query in alarm.get("Metrics", []) if "MetricStat" in query] or [alarm]
    return {
        Metric(
            stat["Namespace"],
            stat["MetricName"],
            frozenset((dimension["Name"], dimension["Value"]) for dimension in stat["Dimensions"]),
        )
        for stat in stats
    }


@pytest.fixture(scope="module")
def alarms(nested: Any) -> dict[str, dict[str, Any]]:
    return properties(nested, "AWS::CloudWatch::Alarm")


@pytest.fixture(scope="module")
def widgets(nested: Any) -> list[dict[str, Any]]:
    (dashboard,) = properties(nested, "AWS::CloudWatch::Dashboard").values()
    body: dict[str, list[dict[str, Any]]] = json.loads(dashboard["DashboardBody"])
    return body["widgets"]


def rows(widget: dict[str, Any]) -> Iterator[list[str]]:
    """The texts of each metric of a widget; a dot repeats the text of the previous row."""
    above: list[str] = []
    for row in widget["properties"].get("metrics", []):
        texts = [text for text in row if isinstance(text, str)]
        above = [above[index] if text == "." else text for index, text in enumerate(texts)]
        yield above


def dashboard_metrics(widgets: list[dict[str, Any]]) -> dict[Metric, str]:
    """The metrics of the dashboard, with the title of their widget."""
    return {
        Metric(row[0], row[1], frozenset(zip(row[2::2], row[3::2], strict=True))): widget["properties"]["title"]
        for widget in widgets
        for row in rows(widget)
    }


@pytest.fixture
def own_metrics(capsys: pytest.CaptureFixture[str]) -> set[Metric]:
    """Every metric that the code can send, for the stack `stack`."""
    record = {
        "execution": {"startedAt": "2026-11-21T12:00:00Z", "finishedAt": "2026-11-21T12:00:01Z"},
        "image": {"sizeBytes": 1},
        "renditions": [],
    }
    observability.count_success({**record, "status": "COMPLETED"})
    for code in (*REJECTIONS, "States.Timeout"):
        observability.count_failure(code)
    observability.count_cleanup_failure()
    observability.record_oldest_age(0)
    return {
        Metric(directive["Namespace"], metric["Name"], frozenset((name, line[name]) for name in dimensions))
        for line in emf(capsys.readouterr().out)
        for directive in line["_aws"]["CloudWatchMetrics"]
        for dimensions in directive["Dimensions"]
        for metric in directive["Metrics"]
    }


def test_alarms_and_widgets_use_only_existing_metrics(stack, alarms, widgets, own_metrics):
    """An alarm on a metric that does not exist would never be raised."""
    alarm_metrics = set().union(*map(watched, alarms.values()))
    for metric in alarm_metrics | set(dashboard_metrics(widgets)):
        if metric.namespace not in AWS_METRICS:
            assert metric in own_metrics
            continue
        names, dimension, kind = AWS_METRICS[metric.namespace]
        assert metric.name in names
        ((name, value),) = metric.dimensions
        assert name == dimension
        assert value in series(stack, kind)


def test_the_dashboard_shows_every_metric_of_the_application(widgets, own_metrics):
    """Each metric of the code is on the dashboard."""
    assert own_metrics <= set(dashboard_metrics(widgets))


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("FunctionThrottlesAlarm", "ApiThrottlesAlarm", "WebPageThrottlesAlarm"), "AWS::Lambda::Function"),
        (("ExecutionThrottlesAlarm",), "AWS::StepFunctions::StateMachine"),
        (("RunawayExecutionsAlarm",), "AWS::StepFunctions::StateMachine"),
    ],
)
def test_alarms_on_all_functions_or_workflows_include_each_of_them(stack, alarms, names, kind):
    """A new function or workflow must be added to the alarm, which has room for ten metrics."""
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_limits.html: metrics of an alarm
    assert all(len(watched(alarms[name])) <= 10 for name in names)
    values = {value for name in names for metric in watched(alarms[name]) for _, value in metric.dimensions}
    assert values == series(stack, kind)


def test_every_rule_reports_events_that_it_could_not_deliver(stack, alarms):
    """Each rule that starts a workflow has a queue for undelivered events, and an alarm if that fails too."""
    rule_names = {value for metric in watched(alarms["LostEventsAlarm"]) for _, value in metric.dimensions}
    rules = properties(stack, "AWS::Events::Rule")
    assert rule_names == {stack.refs[name] for name, rule in rules.items() if "EventPattern" in rule}
    queue = stack.attributes["UndeliveredEventsQueue", "Arn"]
    for rule in rules.values():
        if "EventPattern" in rule:
            assert [target["DeadLetterConfig"]["Arn"] for target in rule["Targets"]] == [queue]


@pytest.mark.parametrize("widget", ["Throttles", "Concurrency", "Duration of functions", "Errors of functions"])
def test_the_dashboard_shows_every_function(stack, widgets, widget):
    """Each widget that compares functions shows all of them."""
    (chart,) = [candidate for candidate in widgets if candidate["properties"]["title"].startswith(widget)]
    names = {row[3] for row in rows(chart) if row[0] == "AWS/Lambda"}
    assert names == {stack.refs[resource.logical_id] for resource in stack.resources("AWS::Lambda::Function")}


@pytest.mark.parametrize("metric", ["ExecutionsStarted", "ExecutionThrottled"])
def test_the_dashboard_shows_every_workflow(stack, widgets, metric):
    """The widgets also show the parts of a backfill, which are most of its executions."""
    names = {row[3] for widget in widgets for row in rows(widget) if row[:2] == ["AWS/States", metric]}
    assert names == series(stack, "AWS::StepFunctions::StateMachine")


def test_the_dashboard_shows_every_alarm_first(nested, widgets, alarms):
    """The first widget shows the state of every alarm."""
    assert widgets[0]["type"] == "alarm"
    assert set(widgets[0]["properties"]["alarms"]) == {nested.attributes[name, "Arn"] for name in alarms}


def test_the_dashboard_is_one_page_without_overlaps(widgets):
    """The dashboard has 24 columns; widgets do not overlap, and each metric widget states its region."""
    occupied: set[tuple[int, int]] = set()
    for widget in widgets:
        across = range(widget["x"], widget["x"] + widget["width"])
        down = range(widget["y"], widget["y"] + widget["height"])
        places = {(x, y) for x in across for y in down}
        assert across.stop <= 24
        assert not places & occupied
        occupied |= places
        assert widget["type"] == "alarm" or widget["properties"]["region"] == "eu-west-1"
    assert max(y for _, y in occupied) < 30


def test_every_alarm_is_sent_with_instructions(nested, alarms):
    """Each alarm notifies the topic, names its section of the document, and states how it treats missing data."""
    topic = nested.refs["AlarmTopic"]
    for name, alarm in alarms.items():
        assert alarm["AlarmActions"] == [topic], name
        assert alarm.get("OKActions", [topic]) == [topic], name
        assert alarm["TreatMissingData"] in ("breaching", "notBreaching", "ignore"), name
        assert alarm["AlarmDescription"].endswith(f"What to do: docs/operations.md, {name}."), name
        assert len(alarm["AlarmDescription"]) <= 1024, name


def test_alarms_on_incidents_do_not_report_an_end(alarms):
    """Alarms on incidents, such as a lost event, send one email: they have no OK action."""
    once = {name for name, alarm in alarms.items() if "OKActions" not in alarm}
    assert once == {
        "LostEventsAlarm",
        "FailedSettlementsAlarm",
        "TimedOutExecutionsAlarm",
        "FailedDeletionsAlarm",
        "RenditionsNotCleanedAlarm",
    }


def test_a_late_batch_raises_an_alarm(stack, alarms):
    """A batch of nearly a million uploads raises no alarm; the alarm leaves days until SQS deletes messages."""
    alarm = alarms["LateBatchesAlarm"]
    queue = properties(stack, "AWS::SQS::Queue")["BatchQueue"]
    (metric,) = watched(alarm)
    assert metric.name == "ApproximateAgeOfOldestMessage"
    assert metric.dimensions == {("QueueName", stack.attributes["BatchQueue", "QueueName"])}
    runs = json.loads((ROOT / "image_pipeline_cli" / "figures" / "batch.json").read_text())["runs"]
    assert alarm["Threshold"] * min(run["picturesPerSecond"] for run in runs) > 900_000
    assert alarm["Threshold"] > queue["VisibilityTimeout"] * queue["RedrivePolicy"]["maxReceiveCount"]
    assert queue["MessageRetentionPeriod"] - alarm["Threshold"] >= 6 * 86_400


def test_the_dashboard_shows_every_age_that_an_alarm_watches(alarms, widgets):
    """The age of messages, of stream records and of claims is on the dashboard."""
    names = {"ApproximateAgeOfOldestMessage", "IteratorAge", "OldestProcessingSeconds"}
    late = {metric for alarm in alarms.values() for metric in watched(alarm) if metric.name in names}
    assert {metric.name for metric in late} == names
    assert late <= set(dashboard_metrics(widgets))


def test_a_silent_watch_raises_an_alarm(alarms):
    """If WatchRecords reports nothing, one alarm is raised, and no second one."""
    assert {name for name, alarm in alarms.items() if alarm["TreatMissingData"] == "breaching"} == {"SilentWatchAlarm"}
    assert watched(alarms["SilentWatchAlarm"]) == watched(alarms["StuckRecordsAlarm"])


def test_an_expression_uses_every_metric_of_its_alarm(alarms):
    """Each alarm has one result, computed from all of its metrics."""
    for name, alarm in alarms.items():
        queries = alarm.get("Metrics", [])
        results = [query for query in queries if str(query.get("ReturnData", True)).lower() == "true"]
        fetched = {query["Id"] for query in queries if "MetricStat" in query}
        assert len(results) == (1 if queries else 0), name
        for result in results:
            words = set(re.findall(r"\b[a-z]\w*", result["Expression"]))
            assert words == fetched or "METRICS()" in result["Expression"], name


def test_cloudwatch_may_publish_to_the_alarm_topic(nested, alarms):
    """The policies of the topic and of its key allow every alarm; AWS's own key would not allow any."""
    topic = properties(nested, "AWS::SNS::Topic")["AlarmTopic"]
    key = properties(nested, "AWS::KMS::Key")["AlarmKey"]["KeyPolicy"]
    policy = properties(nested, "AWS::SNS::TopicPolicy")["AlarmTopicPolicy"]
    assert topic["KmsMasterKeyId"] == nested.refs["AlarmKey"]
    assert policy["Topics"] == [nested.refs["AlarmTopic"]]
    grants = [(policy["PolicyDocument"], {"sns:Publish"}), (key, {"kms:Decrypt", "kms:GenerateDataKey*"})]
    for document, actions in grants:
        (statement,) = [
            item for item in document["Statement"] if item["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
        ]
        granted = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        assert (statement["Effect"], set(granted)) == ("Allow", actions)
        pattern = statement["Condition"]["ArnLike"]["aws:SourceArn"]
        assert all(fnmatchcase(nested.attributes[name, "Arn"], pattern) for name in alarms)
        assert not fnmatchcase("arn:aws:cloudwatch:eu-west-1:999999999999:alarm:stack-X", pattern)


def test_alarms_and_dashboard_watch_the_resources_that_their_parameters_name(template, monitoring):
    """If two names were swapped, the alarm on one function would report another."""
    parameters = template["Resources"]["Monitoring"]["Properties"]["Parameters"]
    assert parameters.keys() == monitoring["Parameters"].keys()
    for name, value in parameters.items():
        (source,) = value.values()
        if source in template["Parameters"]:
            assert source == name
        elif name == "PipelineStackName":
            assert source == "AWS::StackName"
        else:
            logical_id = re.sub(r"(RuleName|Name|Arn|Id)$", "", name)
            assert source.removesuffix(".QueueName").endswith(logical_id), name


def test_the_stack_has_the_outputs_of_the_nested_application(stack, nested):
    """Scripts find the topic and the dashboard in the outputs of the outer stack."""
    outputs = stack.outputs()
    assert outputs["AlarmTopicArn"] == nested.refs["AlarmTopic"]
    assert outputs["DashboardName"] == nested.refs["Dashboard"]


def test_every_environment_may_deploy_a_nested_application():
    """CloudFormation refuses a template with a nested application without this capability."""
    sections = tomllib.loads((ROOT / "samconfig.toml").read_text())
    capabilities = [
        body["deploy"]["parameters"]["capabilities"].split() for body in sections.values() if isinstance(body, dict)
    ]
    assert capabilities
    assert all({"CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"} <= set(granted) for granted in capabilities)


def test_metrics_survive_every_log_level(template):
    """Lambda treats a metric as a line of level INFO, so its filter must never be stricter than INFO."""
    assert template["Globals"]["Function"]["LoggingConfig"]["ApplicationLogLevel"] == {
        "Fn::If": ["LogsDebug", "DEBUG", "INFO"]
    }
    variables = template["Globals"]["Function"]["Environment"]["Variables"]
    assert variables["POWERTOOLS_LOG_LEVEL"] == {"Ref": "LogLevel"}


def test_metrics_have_the_stack_as_their_dimension(template):
    """Two stacks in one account have separate metrics."""
    variables = template["Globals"]["Function"]["Environment"]["Variables"]
    assert variables["POWERTOOLS_SERVICE_NAME"] == {"Ref": "AWS::StackName"}


# ---- The document


def sections(heading: str) -> list[str]:
    """The headings of level 3 below a heading of level 2."""
    return re.findall(r"^### (.+)$", DOCUMENT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0], re.MULTILINE)


def shell() -> list[str]:
    """Every block of shell commands in the document."""
    return re.findall(r"^```sh\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)


def test_every_alarm_has_its_section_and_every_section_its_alarm(alarms):
    """The heading of a section is the name of its alarm, which the email contains."""
    assert sections("Alarms") == list(alarms)


def test_command_blocks_are_valid_shell():
    """`sh -n` accepts every block of commands."""
    for block in shell():
        check = subprocess.run(["sh", "-n"], input=block, text=True, capture_output=True)
        assert check.returncode == 0, check.stderr + block


def commands() -> list[tuple[str, str, set[str]]]:
    """Service, operation and options of every AWS CLI command in the document."""
    text = re.sub(r"\\\n\s*", "", "\n".join(shell()))
    text = re.sub(r"'[^']*'", "''", text)
    calls = re.findall(r"\baws ([a-z0-9]+) ([a-z0-9-]+)([^|;<>\n]*)", text)
    return [(service, operation, set(re.findall(r"--([a-z-]+)", arguments))) for service, operation, arguments in calls]


OF_THE_CLI = {"cli-binary-format", "query", "output", "max-items", "region", "profile"}
ONLY_IN_THE_CLI = {("logs", "tail"): {"since", "filter-pattern", "follow"}}


@pytest.mark.parametrize(
    ("service", "operation", "options"), commands(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_commands_exist_with_their_options(service, operation, options):
    """botocore's service models know every command and option in the document."""
    if (service, operation) in ONLY_IN_THE_CLI:
        assert options <= ONLY_IN_THE_CLI[service, operation]
        return
    model = botocore.session.Session().get_service_model({"s3api": "s3"}.get(service, service))
    (name,) = [name for name in model.operation_names if xform_name(name, "-") == operation]
    parameters = {xform_name(name, "-") for name in model.operation_model(name).input_shape.members}
    assert options - OF_THE_CLI <= parameters


def test_commands_that_express_refuses_have_an_alternative():
    """Express executions have no history, so the document adds a query of the logs to each such command.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_GetExecutionHistory.html and similar pages
    """
    refused = r"aws stepfunctions .* \"\$\(\w+ ProcessImageStateMachine"
    parts = [part for part in re.split(r"^### ", DOCUMENT, flags=re.MULTILINE) if re.search(refused, part)]
    assert parts
    for part in parts:
        assert "WorkflowType=EXPRESS" in part, part
        assert "filter correlation_id = '$ID'" in part, part


def test_queries_of_the_aws_cli_are_valid_jmespath():
    """The value of each `--query` can be parsed."""
    picks = re.findall(r"--query (?:'([^']*)'|\"([^\"]*)\"|(\w\S*))", "\n".join(shell()))
    assert picks
    for pick in map("".join, picks):
        jmespath.compile(pick)


@pytest.mark.usefixtures("aws", "environment")
def test_lost_stream_changes_can_be_processed_again():
    """The documented query returns stream records in the form that both functions accept."""
    (change,) = json.loads((ROOT / "events" / "publish_outcomes.json").read_text())["Records"]
    arn = change.pop("eventSourceARN")
    change["dynamodb"]["ApproximateCreationDateTime"] = datetime(2026, 11, 21, 12, tzinfo=UTC)
    streams = boto3.client("dynamodbstreams")
    with Stubber(streams) as stub:  # which knows the form of an answer
        stub.add_response("get_records", {"Records": [change]})
        answer = json.loads(json.dumps(streams.get_records(ShardIterator="1"), default=str))  # as the CLI prints it
    (query,) = re.findall(r"get-records [^>]*--query \"([^\"]*)\" >changes\.json", "\n".join(shell()))
    payload = jmespath.search(query.replace("$STREAM", arn), answer)
    with calls_of(aws.client("events"), "events.PutEvents") as published:
        for function in ("publish_outcomes", "index_images"):
            assert load_handler(function)(payload) == {"batchItemFailures": []}
    assert [entry["DetailType"] for call in published for entry in call["Entries"]] == ["ImageCompleted"]
    assert boto3.client("dynamodb").scan(TableName=LISTING_TABLE)["Count"] > 0


def test_names_in_commands_exist(stack):
    """`resource X` is a resource and `output Y` an output of the stack."""
    text = "\n".join(shell())
    resources = re.findall(r"\$\(resource (\w+)", text)
    outputs = re.findall(r"\$\(output (\w+)", text)
    assert set(resources) <= set(stack.document["Resources"])
    assert set(outputs) <= set(stack.document["Outputs"])
    assert resources
    assert outputs


@pytest.mark.usefixtures("aws", "environment")
def test_log_queries_use_only_fields_that_are_logged(own_metrics, monkeypatch):
    """A query of any other field would find nothing."""
    log = io.StringIO()
    monkeypatch.setattr(observability.logger.registered_handler, "stream", log)
    with pytest.raises(LookupError):
        observability.step(lambda *_: {}[0])({"executionId": "1"}, None)
    observability.step(lambda *_: {})({"executionId": "1"}, None)
    load_handler("upload_image")(json.loads((ROOT / "events" / "upload_image.json").read_text()))
    load_handler("validate_image")({"executionId": "1", "upload": put_upload("uploads/a.jpg", photo())})
    load_handler("start_batch")({"Records": [{"messageId": "1", "body": "words"}]})
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    fields = {name for line in lines for name in line} | {"@timestamp", "@log", "@message"}
    fields |= {f"{metric.name}.0" for metric in own_metrics}  # Insights numbers the values of a list
    words = {
        "fields",
        "filter",
        "sort",
        "limit",
        "stats",
        "count",
        "by",
        "desc",
        "as",
        "and",
        "or",
        "like",
        "ispresent",
    }
    for query in re.findall(r"ask \"([^\"]+)\"", "\n".join(shell())):
        bare = re.sub(r"'[^']*'|/[^/]*/", "", query)
        assert set(re.findall(r"@?[A-Za-z_]+(?:\.0)?", bare)) - words <= fields, query
