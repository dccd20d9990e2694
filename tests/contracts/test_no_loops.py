"""The pipeline cannot start itself. The tests prove this from the template, without running it.

A graph has an edge from each function, workflow and rule to everything that it may start. The graph must have no cycle.
Where the template leaves something open, the graph assumes the worst:

- A write into a bucket may cause any event of that bucket.
- A write into a table passes every filter of the table's stream.
- A role that may publish events may publish any event, except those of AWS.
- Conditions are met, and Deny statements are ignored.
- A pattern matches whatever its fields require, except for the bucket and the workflow.
"""

import json
import re
from dataclasses import replace
from functools import cache
from graphlib import CycleError, TopologicalSorter

import pytest
from moto.events.models import EventPattern

from local.emulator import policy
from local.emulator.actions import CONDITION_KEYS, SERVICE_CONDITION_KEYS
from local.emulator.deploy import plan
from local.emulator.template import ACCOUNT_ID, load
from tests.asl import MACHINES
from tests.conftest import ROOT

TABLE_WRITES = [
    *("dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem"),
    *("dynamodb:PartiQLInsert", "dynamodb:PartiQLUpdate", "dynamodb:PartiQLDelete"),
]
INVOCATIONS = ["lambda:InvokeFunction", "lambda:InvokeAsync", "lambda:InvokeFunctionUrl"]
STARTS = ["states:StartExecution", "states:StartSyncExecution"]
# The executions of a Distributed Map belong to the workflow itself; its `ItemProcessor` defines their states.
MAPS = {"BackfillStateMachine"}
BUS = f"arn:aws:events:eu-central-1:{ACCOUNT_ID}:event-bus/default"
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventBridge.html
OBJECT_EVENTS = [
    *("Object Created", "Object Deleted", "Object ACL Updated", "Object Tags Added", "Object Tags Deleted"),
    *("Object Restore Initiated", "Object Restore Completed", "Object Restore Expired"),
    *("Object Storage Class Changed", "Object Access Tier Changed"),
]
# https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html
STATUSES = ["RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED", "PENDING_REDRIVE"]


@cache
def writes():
    """Every action of S3 that does more than read, in cfn-lint's copy of AWS's list."""
    from cfnlint.data import AdditionalSpecs
    from cfnlint.helpers import load_resource

    names = load_resource(AdditionalSpecs, "Policies.json")["s3"]["Actions"]
    return [f"s3:{name}" for name in names if not name.startswith(("get", "list", "describe"))]


class Deployed:
    """The resolved resources of a template, including those with a condition that is false, after a change of them."""

    def __init__(self, template, change=lambda _: None):
        document = json.loads(json.dumps(template.document))
        for body in document["Resources"].values():
            body.pop("Condition", None)
        change(document["Resources"])
        self._template = replace(template, document=document, refs={}, attributes={})
        stack = plan(self._template, "http://localhost", "http://localhost")
        self.resource_policies = {
            arn: policy.parse(statements, SERVICE_CONDITION_KEYS) for arn, statements in stack.resource_policies.items()
        }
        self.roles = {role.arn: policy.parse(role.statements, CONDITION_KEYS) for role in stack.roles}
        self.functions = self.arns("AWS::Lambda::Function")
        self.workflows = self.arns("AWS::StepFunctions::StateMachine")
        self.buckets = self.arns("AWS::S3::Bucket")
        self.tables = self.arns("AWS::DynamoDB::Table")
        self.queues = self.arns("AWS::SQS::Queue")
        self.rules = self.properties("AWS::Events::Rule")
        self.mappings = self.properties("AWS::Lambda::EventSourceMapping")

    def arns(self, kind):
        return {
            resource.logical_id: self._template.attributes[resource.logical_id, "Arn"]
            for resource in self._resources(kind)
        }

    def properties(self, kind):
        return {resource.logical_id: self._template.resolve(resource.raw) for resource in self._resources(kind)}

    def _resources(self, kind):
        return self._template.resources(kind)

    def holders(self):
        """Each role with the function, workflow or rule that assumes it."""
        held = [(body["Role"], name) for name, body in self.properties("AWS::Lambda::Function").items()]
        held += [(body["RoleArn"], name) for name, body in self.properties("AWS::StepFunctions::StateMachine").items()]
        for name, rule in self.rules.items():
            held += [(target["RoleArn"], name) for target in rule["Targets"] if "RoleArn" in target]
        return held

    def could(self, role, actions, arn):
        """Whether the policies of a role or bucket could allow one of the actions on a resource or on a part of it."""
        statements = [
            replace(statement, resources=("*",), conditions=())
            for statement in (*self.roles[role], *self.resource_policies.get(arn, ()))
            if statement.allows and any(could_mean(resource, arn) for resource in statement.resources)
        ]
        requests = [policy.Request(action, arn) for action in actions] if statements else []
        return any(statement.applies(request, role) for statement in statements for request in requests)

    def triggered(self, event):
        """The rules that may match an event with these known fields."""
        return {
            name
            for name, rule in self.rules.items()
            if "EventPattern" in rule and could_match(rule["EventPattern"], event)
        }

    def published(self):
        """The rules that may match a published event; EventBridge rejects the sources of AWS in published events."""
        return {name for name in self.triggered({}) if not self._of_aws(self.rules[name]["EventPattern"])}

    def _of_aws(self, pattern):
        sources = pattern.get("source", [None])
        return all(isinstance(source, str) and source.startswith("aws.") for source in sources)

    def started(self, rules):
        """The functions and workflows that are targets of rules."""
        arns = {target["Arn"] for rule in rules for target in self.rules[rule]["Targets"]}
        return {name for name, arn in (self.functions | self.workflows).items() if arn in arns}

    def reading(self, source_arn):
        """The functions that a queue, or the stream of a table, invokes."""
        names = {mapping["FunctionName"] for mapping in self.mappings.values() if self._reads(mapping, source_arn)}
        return {name for name in self.functions if self._template.refs[name] in names}

    def _reads(self, mapping, source_arn):
        return mapping["EventSourceArn"].partition("/stream/")[0] == source_arn

    def graph(self):
        """The functions, workflows and rules that each of them may start next."""
        graph = {name: set() for name in self.functions}
        graph |= {name: self.triggered(execution_event(arn)) for name, arn in self.workflows.items()}
        graph |= {name: self.started([name]) for name in self.rules}
        for role, holder in self.holders():
            graph[holder] |= {name for name, arn in self.functions.items() if self.could(role, INVOCATIONS, arn)}
            graph[holder] |= {
                name
                for name, arn in self.workflows.items()
                if self.could(role, STARTS, arn) and not (name == holder and name in MAPS)
            }
            for arn in self.buckets.values():
                if self.could(role, writes(), arn):
                    graph[holder] |= self.triggered(object_event(arn))
            for arn in self.tables.values():
                if self.could(role, TABLE_WRITES, arn):
                    graph[holder] |= self.reading(arn)
            for arn in self.queues.values():
                if self.could(role, ["sqs:SendMessage"], arn):
                    graph[holder] |= self.reading(arn)
            if self.could(role, ["events:PutEvents"], BUS):
                graph[holder] |= self.published()
        return graph


def could_mean(resource, arn):
    """Whether a policy's resource is the ARN or a part of it, or could be by its first wildcard."""
    literal = re.split(r"[*?]", resource)[0]
    return literal.startswith(arn) or (literal != resource and arn.startswith(literal))


def could_match(pattern, event):
    return EventPattern.load(json.dumps(judged(pattern, event))).matches_event(event)


def judged(pattern, event):
    """The part of a pattern whose fields the event has."""
    return {
        name: judged(value, event[name]) if isinstance(value, dict) else value
        for name, value in pattern.items()
        if name in event
    }


def object_event(bucket_arn, **fields):
    return {"source": "aws.s3", "detail": {"bucket": {"name": bucket_arn.rpartition(":")[2]}, **fields}}


def execution_event(workflow_arn, **fields):
    return {"source": "aws.states", "detail": {"stateMachineArn": workflow_arn, **fields}}


@pytest.fixture(scope="module")
def translated():
    return load(ROOT / "template.yml", "image-pipeline", "eu-central-1")


@pytest.fixture(scope="module")
def deployed(translated):
    return Deployed(translated)


def test_no_function_workflow_or_rule_starts_itself(deployed):
    """The graph has no cycle."""
    TopologicalSorter(deployed.graph()).prepare()


def test_functions_and_workflows_that_events_start_cannot_write_uploads(deployed):
    """They cannot put, tag, restore or delete objects; copies and multipart uploads need `s3:PutObject`.

    Only four functions that callers of the API invoke have such permissions.
    """
    uploads = deployed.buckets["UploadsBucket"]
    actions = {
        "putobject",
        "putobjecttagging",
        "restoreobject",
        "deleteobject",
        "deleteobjectversion",
        "replicateobject",
    }
    assert {f"s3:{name}" for name in actions} <= set(writes())
    writers = {
        (holder, action)
        for role, holder in deployed.holders()
        for action in writes()
        if deployed.could(role, [action], uploads)
    }
    assert writers == {
        ("DeleteUploadFunction", "s3:deleteobject"),
        ("ReprocessUploadFunction", "s3:putobject"),
        ("UploadImageFunction", "s3:putobject"),
        ("PresignUploadFunction", "s3:putobject"),
    }
    started = set().union(*deployed.graph().values())
    assert not started & {holder for holder, _ in writers}


def test_the_policy_of_the_uploads_bucket_has_no_allow_statement(deployed):
    """A service that writes logs or reports into the bucket would create uploads."""
    assert not [
        statement for statement in deployed.resource_policies[deployed.buckets["UploadsBucket"]] if statement.allows
    ]


def test_events_of_the_thumbnails_bucket_start_nothing(deployed):
    """The bucket sends no events, and no rule would match them."""
    configurations = {
        name: body.get("NotificationConfiguration") for name, body in deployed.properties("AWS::S3::Bucket").items()
    }
    assert configurations == {
        "UploadsBucket": {"EventBridgeConfiguration": {"EventBridgeEnabled": True}},
        "ThumbnailsBucket": None,
    }
    assert deployed.triggered(object_event(deployed.buckets["ThumbnailsBucket"])) == set()


@pytest.mark.parametrize("key", ["x.jpg", "uploads", "/uploads/x.jpg", "Uploads/x.jpg", "thumbnails/uploads/x.jpg"])
def test_objects_outside_uploads_start_nothing(deployed, key):
    """The uploads bucket may contain other objects."""
    assert deployed.triggered(object_event(deployed.buckets["UploadsBucket"], object={"key": key})) == set()


@pytest.mark.parametrize("kind", OBJECT_EVENTS)
def test_an_upload_starts_its_workflow(deployed, kind):
    """A new upload and a deletion start their workflows; all other events of an object start none."""
    event = object_event(deployed.buckets["UploadsBucket"], object={"key": "uploads/x.jpg"}) | {"detail-type": kind}
    expected = {
        "Object Created": {"ProcessImageStateMachine", "WaitForContentStateMachine"},  # by the size
        "Object Deleted": {"DeleteImageStateMachine"},
    }
    assert deployed.started(deployed.triggered(event)) == expected.get(kind, set())


@pytest.mark.parametrize("status", STATUSES)
def test_only_executions_for_uploads_are_settled(deployed, status):
    """An execution of SettleImage, DeleteImage or Backfill starts nothing when it ends."""
    settled = {"SettleImageStateMachine"} if status in ("FAILED", "TIMED_OUT", "ABORTED") else set()
    started = {
        name: deployed.started(deployed.triggered(execution_event(arn, status=status)))
        for name, arn in deployed.workflows.items()
    }
    assert started == {
        "ProcessImageStateMachine": settled,
        "WaitForContentStateMachine": settled,
        "DeleteImageStateMachine": set(),
        "SettleImageStateMachine": set(),
        "BackfillStateMachine": set(),
    }


def test_no_rule_matches_outcome_events(deployed):
    """An event of the pipeline starts nothing in the pipeline."""
    for kind in ("ImageCompleted", "ImagePartial", "ImageFailed", "ImageDeleted"):
        assert deployed.triggered({"source": "image-pipeline", "detail-type": kind, "detail": {}}) == set()
    assert deployed.published() == set()


def test_a_record_starts_only_the_publisher_and_the_index(deployed):
    """Both functions write neither records nor objects, and their writes start nothing."""
    readers = {"PublishOutcomesFunction", "IndexImagesFunction"}
    assert deployed.reading(deployed.tables["ImageTable"]) == readers
    assert deployed.reading(deployed.tables["ListingTable"]) == set()
    assert {name for reader in readers for name in deployed.graph()[reader]} == set()
    assert readers <= deployed.graph()["ProcessImageStateMachine"]


def test_each_part_of_a_map_calls_only_one_function():
    """A Distributed Map starts executions of its own workflow; each of them only invokes a function."""
    for name in MAPS:
        (machine,) = [machine for machine in MACHINES if machine.logical_id == name]
        (parts,) = [state["ItemProcessor"] for state in machine.states.values() if state["Type"] == "Map"]
        assert parts["ProcessorConfig"]["Mode"] == "DISTRIBUTED"
        assert [state["Resource"] for state in parts["States"].values()] == [
            "arn:${AWSPartition}:states:::lambda:invoke"
        ]


# ---- The graph is complete: nothing else can start a function or a workflow


def test_rules_match_only_events_of_s3_and_step_functions(deployed):
    """The graph contains no events of other services."""
    patterns = [rule["EventPattern"] for rule in deployed.rules.values() if "EventPattern" in rule]
    assert {source for pattern in patterns for source in pattern["source"]} <= {"aws.s3", "aws.states"}


def test_every_role_is_held_by_a_function_a_workflow_or_a_rule(deployed):
    """A pipe, a schedule or a replication would need another role."""
    assert {role for role, _ in deployed.holders()} == set(deployed.roles)


def test_functions_read_only_queues_and_streams_of_the_stack(deployed):
    """Other programs could write into any other queue or table."""
    sources = {*deployed.tables.values(), *deployed.queues.values()}
    for name, mapping in deployed.mappings.items():
        assert mapping["EventSourceArn"].partition("/stream/")[0] in sources, name


def test_only_rules_and_the_api_may_invoke_functions(deployed):
    """No bucket, topic, alarm or log group may invoke a function."""
    rules = set(deployed.arns("AWS::Events::Rule").values())
    for name, permission in deployed.properties("AWS::Lambda::Permission").items():
        assert permission["Principal"] == "apigateway.amazonaws.com" or permission["SourceArn"] in rules, name


# ---- A loop is detected


def allow(role, action, resource):
    """Add a statement to the policy of a role."""

    def change(resources):
        document = resources[role]["Properties"]["Policies"][0]["PolicyDocument"]
        document["Statement"].append({"Effect": "Allow", "Action": action, "Resource": resource})

    return change


def match(rule, **pattern):
    """Replace the pattern of a rule."""

    def change(resources):
        resources[rule]["Properties"]["EventPattern"] = pattern

    return change


UPLOADED, DELETED, ENDED = (
    "ProcessImageStateMachineImageUploaded",
    "DeleteImageStateMachineImageDeleted",
    "SettleImageStateMachineExecutionEnded",
)
LOOPS = {
    "a step may write an upload": allow(
        "StoreResultsFunctionRole", "s3:PutObject", {"Fn::Sub": "${UploadsBucket.Arn}/uploads/*"}
    ),
    "a step may tag uploads": allow("StoreResultsFunctionRole", "s3:Put*", {"Fn::Sub": "${UploadsBucket.Arn}/*"}),
    "a step may delete anything": allow("ValidateImageFunctionRole", "s3:DeleteObject", "*"),
    "a workflow may write into any bucket": allow("ProcessImageStateMachineRole", "s3:PutObject", "arn:aws:s3:::*a*/*"),
    "a step may start its workflow": allow(
        "ExtractMetadataFunctionRole", "states:StartExecution", {"Ref": "ProcessImageStateMachine"}
    ),
    "a function may invoke a version of itself": allow(
        "GetStatusFunctionRole", "lambda:InvokeFunction", {"Fn::Sub": "${GetStatusFunction.Arn}:*"}
    ),
    "a step may call the function that deletes uploads": allow(
        "StoreResultsFunctionRole", "lambda:InvokeFunction", {"Fn::GetAtt": ["DeleteUploadFunction", "Arn"]}
    ),
    "a step may call the function that stores uploads": allow(
        "GenerateThumbnailsFunctionRole", "lambda:InvokeFunction", {"Fn::GetAtt": ["UploadImageFunction", "Arn"]}
    ),
    "a workflow may call the function that signs uploads": allow(
        "ProcessImageStateMachineRole", "lambda:InvokeFunction", {"Fn::GetAtt": ["PresignUploadFunction", "Arn"]}
    ),
    "a workflow may call the function that reprocesses uploads": allow(
        "ProcessImageStateMachineRole", "lambda:InvokeFunction", {"Fn::GetAtt": ["ReprocessUploadFunction", "Arn"]}
    ),
    "the clean-up may delete uploads": allow(
        "CleanRenditionsFunctionRole", "s3:DeleteObjectVersion", {"Fn::Sub": "${UploadsBucket.Arn}/uploads/*"}
    ),
    "SettleImage may call the function that starts it": allow(
        "SettleImageStateMachineRole", "lambda:InvokeFunction", {"Fn::GetAtt": ["WatchRecordsFunction", "Arn"]}
    ),
    "the publisher may write records": allow(
        "PublishOutcomesFunctionRole", "dynamodb:UpdateItem", {"Fn::GetAtt": ["ImageTable", "Arn"]}
    ),
    "the publisher may start SettleImage": allow(
        "PublishOutcomesFunctionRole", "states:StartExecution", {"Ref": "SettleImageStateMachine"}
    ),
    "a step may send itself another batch": allow(
        "StoreResultsFunctionRole", "sqs:SendMessage", {"Fn::GetAtt": ["BatchQueue", "Arn"]}
    ),
    "a workflow may start backfills": allow(
        "ProcessImageStateMachineRole", "states:StartExecution", {"Ref": "BackfillStateMachine"}
    ),
    "the function that starts batches may send messages": allow("StartBatchFunctionRole", "sqs:*", "*"),
    "the index may write records": allow(
        "IndexImagesFunctionRole", "dynamodb:PutItem", {"Fn::GetAtt": ["ImageTable", "Arn"]}
    ),
    "outcome events match a rule": match(UPLOADED, source=["image-pipeline"]),
    "every event matches a rule": match(UPLOADED, account=["123456789012"]),
    "renditions match the rule for uploads": match(
        UPLOADED, source=["aws.s3"], detail={"bucket": {"name": [{"Ref": "ThumbnailsBucket"}]}}
    ),
    "objects of any bucket match the rule for uploads": match(
        UPLOADED, source=["aws.s3"], detail={"object": {"key": [{"prefix": "uploads/"}]}}
    ),
    "deletions of renditions match a rule": match(DELETED, **{"detail-type": ["Object Deleted"]}),
    "every failed execution is settled": match(ENDED, source=["aws.states"], detail={"status": ["FAILED"]}),
    "the end of SettleImage starts ProcessImage": match(
        UPLOADED, source=["aws.states"], detail={"stateMachineArn": [{"Ref": "SettleImageStateMachine"}]}
    ),
}


@pytest.mark.parametrize("change", LOOPS.values(), ids=LOOPS.keys())
def test_a_loop_is_detected(translated, change):
    """One more permission, or one pattern that matches too much, closes a cycle."""
    with pytest.raises(CycleError):
        TopologicalSorter(Deployed(translated, change).graph()).prepare()
