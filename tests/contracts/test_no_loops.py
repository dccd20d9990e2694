"""Nothing that the pipeline does can start the pipeline again: proved from the template, without running anything.

What each function, workflow and rule may start is drawn as a graph, and the graph has no cycle. Where the template does
not say enough, the worst is assumed: a write into a bucket may cause any event of that bucket, a write into a table
passes any filter of its stream, who may publish events may publish any but AWS's, conditions hold, Denies do not count,
and what a pattern asks beyond the bucket or the workflow is so.
"""

import copy
import json
import re
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter

import pytest
from cfnlint.data import AdditionalSpecs
from cfnlint.helpers import load_resource
from moto.events.models import EventPattern

from local.emulator import policy
from local.emulator.actions import CONDITION_KEYS, SERVICE_CONDITION_KEYS
from local.emulator.deploy import plan
from local.emulator.template import ACCOUNT_ID, load
from tests.asl import MACHINES
from tests.conftest import ROOT

# Every action of S3 that does more than read, in cfn-lint's copy of AWS's list.
WRITES = [
    f"s3:{name}"
    for name in load_resource(AdditionalSpecs, "Policies.json")["s3"]["Actions"]
    if not name.startswith(("get", "list", "describe"))
]
TABLE_WRITES = [
    *("dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem"),
    *("dynamodb:PartiQLInsert", "dynamodb:PartiQLUpdate", "dynamodb:PartiQLDelete"),
]
INVOCATIONS = ["lambda:InvokeFunction", "lambda:InvokeAsync", "lambda:InvokeFunctionUrl"]
STARTS = ["states:StartExecution", "states:StartSyncExecution"]
# A Distributed Map's executions are executions of the workflow itself; what they do is in its `ItemProcessor`.
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


class Deployed:
    """The resources of a template, resolved, whether their conditions hold or not."""

    def __init__(self, template):
        document = copy.deepcopy(template.document)
        for body in document["Resources"].values():
            body.pop("Condition", None)
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
        return {each.logical_id: self._template.attributes[each.logical_id, "Arn"] for each in self._resources(kind)}

    def properties(self, kind):
        return {each.logical_id: self._template.resolve(each.raw) for each in self._resources(kind)}

    def _resources(self, kind):
        return self._template.resources(kind)

    def holders(self):
        """Who acts with which role."""
        held = [(body["Role"], name) for name, body in self.properties("AWS::Lambda::Function").items()]
        held += [(body["RoleArn"], name) for name, body in self.properties("AWS::StepFunctions::StateMachine").items()]
        for name, rule in self.rules.items():
            held += [(target["RoleArn"], name) for target in rule["Targets"] if "RoleArn" in target]
        return held

    def may(self, role, actions, arn):
        """Whether a role's policies, or the bucket's, could allow any of the actions on it or on anything in it."""
        return any(
            replace(statement, resources=("*",), conditions=()).applies(policy.Request(action, arn), role)
            for statement in (*self.roles[role], *self.resource_policies.get(arn, ()))
            if statement.allows and any(may_mean(resource, arn) for resource in statement.resources)
            for action in actions
        )

    def triggered(self, event):
        """The rules that may match an event of which this much is known."""
        return {
            name
            for name, rule in self.rules.items()
            if "EventPattern" in rule and may_match(rule["EventPattern"], event)
        }

    def published(self):
        """The rules that may match what is not of AWS; EventBridge lets nobody publish in its name."""
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
        """What each function, workflow and rule may start next."""
        graph = {name: set() for name in self.functions}
        graph |= {name: self.triggered(execution_event(arn)) for name, arn in self.workflows.items()}
        graph |= {name: self.started([name]) for name in self.rules}
        for role, holder in self.holders():
            graph[holder] |= {name for name, arn in self.functions.items() if self.may(role, INVOCATIONS, arn)}
            graph[holder] |= {
                name
                for name, arn in self.workflows.items()
                if self.may(role, STARTS, arn) and not (name == holder and name in MAPS)
            }
            for arn in self.buckets.values():
                if self.may(role, WRITES, arn):
                    graph[holder] |= self.triggered(object_event(arn))
            for arn in self.tables.values():
                if self.may(role, TABLE_WRITES, arn):
                    graph[holder] |= self.reading(arn)
            for arn in self.queues.values():
                if self.may(role, ["sqs:SendMessage"], arn):
                    graph[holder] |= self.reading(arn)
            if self.may(role, ["events:PutEvents"], BUS):
                graph[holder] |= self.published()
        return graph


def may_mean(resource, arn):
    """Whether a policy's resource is the ARN or in it, or could be by what its first wildcard stands for."""
    literal = re.split(r"[*?]", resource)[0]
    return literal.startswith(arn) or (literal != resource and arn.startswith(literal))


def may_match(pattern, event):
    return EventPattern.load(json.dumps(judged(pattern, event))).matches_event(event)


def judged(pattern, event):
    """The part of a pattern that asks what is known of the event."""
    return {
        name: judged(value, event[name]) if isinstance(value, dict) else value
        for name, value in pattern.items()
        if name in event
    }


def object_event(bucket_arn, **known):
    return {"source": "aws.s3", "detail": {"bucket": {"name": bucket_arn.rpartition(":")[2]}, **known}}


def execution_event(workflow_arn, **known):
    return {"source": "aws.states", "detail": {"stateMachineArn": workflow_arn, **known}}


@pytest.fixture(scope="module")
def translated():
    return load(ROOT / "template.yml", "image-pipeline", "eu-central-1")


@pytest.fixture(scope="module")
def deployed(translated):
    return Deployed(translated)


def test_nothing_starts_itself(deployed):
    """From no function, workflow or rule does a way lead back to it."""
    TopologicalSorter(deployed.graph()).prepare()


def test_nothing_that_an_event_starts_can_write_to_the_uploads_bucket(deployed):
    """Nor tag, restore, delete or reconfigure anything there; copies and multipart uploads are PutObject.

    Who can is started by callers of the API alone.
    """
    uploads = deployed.buckets["UploadsBucket"]
    asked = {"putobject", "putobjecttagging", "restoreobject", "deleteobject", "deleteobjectversion", "replicateobject"}
    assert {f"s3:{name}" for name in asked} <= set(WRITES)
    writers = {
        (holder, action)
        for role, holder in deployed.holders()
        for action in WRITES
        if deployed.may(role, [action], uploads)
    }
    assert writers == {
        ("DeleteUploadFunction", "s3:deleteobject"),
        ("ReprocessUploadFunction", "s3:putobject"),
        ("UploadImageFunction", "s3:putobject"),
        ("PresignUploadFunction", "s3:putobject"),
    }
    started = set().union(*deployed.graph().values())
    assert not started & {holder for holder, _ in writers}


def test_the_policy_of_the_uploads_bucket_allows_nothing(deployed):
    """Not even a service of AWS, whose logs and reports would be uploads."""
    assert not [each for each in deployed.resource_policies[deployed.buckets["UploadsBucket"]] if each.allows]


def test_nothing_in_the_thumbnails_bucket_starts_anything(deployed):
    """The bucket tells nobody, and no rule would match: whatever is written, tagged or deleted there."""
    configurations = {
        name: body.get("NotificationConfiguration") for name, body in deployed.properties("AWS::S3::Bucket").items()
    }
    assert configurations == {
        "UploadsBucket": {"EventBridgeConfiguration": {"EventBridgeEnabled": True}},
        "ThumbnailsBucket": None,
    }
    assert deployed.triggered(object_event(deployed.buckets["ThumbnailsBucket"])) == set()


@pytest.mark.parametrize("key", ["x.jpg", "uploads", "/uploads/x.jpg", "Uploads/x.jpg", "thumbnails/uploads/x.jpg"])
def test_nothing_outside_uploads_starts_anything(deployed, key):
    """The uploads bucket has room for other things."""
    assert deployed.triggered(object_event(deployed.buckets["UploadsBucket"], object={"key": key})) == set()


@pytest.mark.parametrize("kind", OBJECT_EVENTS)
def test_an_upload_starts_its_workflow(deployed, kind):
    """The rules are judged as they are meant, so what should start something does, and nothing else."""
    event = object_event(deployed.buckets["UploadsBucket"], object={"key": "uploads/x.jpg"}) | {"detail-type": kind}
    expected = {
        "Object Created": {"ProcessImageStateMachine", "WaitForContentStateMachine"},  # by the size
        "Object Deleted": {"DeleteImageStateMachine"},
    }
    assert deployed.started(deployed.triggered(event)) == expected.get(kind, set())


@pytest.mark.parametrize("status", STATUSES)
def test_only_an_execution_for_an_upload_is_settled(deployed, status):
    """What settles or deletes starts nothing, however it ends."""
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


def test_no_rule_listens_to_our_own_events(deployed):
    """What is told of outcomes starts nothing here, whatever it says."""
    for kind in ("ImageCompleted", "ImagePartial", "ImageFailed", "ImageDeleted"):
        assert deployed.triggered({"source": "image-pipeline", "detail-type": kind, "detail": {}}) == set()
    assert deployed.published() == set()


def test_a_record_starts_what_tells_of_it_and_nothing_else(deployed):
    """Those functions may write neither records nor objects, and what they write starts nothing."""
    readers = {"PublishOutcomesFunction", "IndexImagesFunction"}
    assert deployed.reading(deployed.tables["ImageTable"]) == readers
    assert deployed.reading(deployed.tables["ListingTable"]) == set()
    assert {name for reader in readers for name in deployed.graph()[reader]} == set()
    assert readers <= deployed.graph()["ProcessImageStateMachine"]


def test_the_parts_of_a_map_start_no_workflow():
    """What may start itself calls one function in each of its parts, and nothing else."""
    for name in MAPS:
        (machine,) = [each for each in MACHINES if each.logical_id == name]
        (parts,) = [state["ItemProcessor"] for state in machine.states.values() if state["Type"] == "Map"]
        assert parts["ProcessorConfig"]["Mode"] == "DISTRIBUTED"
        assert [state["Resource"] for state in parts["States"].values()] == [
            "arn:${AWSPartition}:states:::lambda:invoke"
        ]


# ---- The graph is whole: there is no other way to start a function or a workflow


def test_rules_look_only_at_buckets_and_workflows(deployed):
    """Other events, which anything might cause, are not drawn."""
    patterns = [rule["EventPattern"] for rule in deployed.rules.values() if "EventPattern" in rule]
    assert {source for pattern in patterns for source in pattern["source"]} <= {"aws.s3", "aws.states"}


def test_every_role_is_held_by_a_function_a_workflow_or_a_rule(deployed):
    """A pipe, a schedule or a replication would need a role as well."""
    assert {role for role, _ in deployed.holders()} == set(deployed.roles)


def test_functions_read_only_our_queues_and_the_streams_of_our_tables(deployed):
    """What is in others anybody may have written."""
    sources = {*deployed.tables.values(), *deployed.queues.values()}
    for name, mapping in deployed.mappings.items():
        assert mapping["EventSourceArn"].partition("/stream/")[0] in sources, name


def test_only_rules_and_the_api_may_invoke_functions(deployed):
    """No bucket, topic, alarm or log group starts one."""
    rules = set(deployed.arns("AWS::Events::Rule").values())
    for name, permission in deployed.properties("AWS::Lambda::Permission").items():
        assert permission["Principal"] == "apigateway.amazonaws.com" or permission["SourceArn"] in rules, name


# ---- A loop would be seen


def allow(role, action, resource):
    """Give a role one permission more."""

    def change(resources):
        document = resources[role]["Properties"]["Policies"][0]["PolicyDocument"]
        document["Statement"].append({"Effect": "Allow", "Action": action, "Resource": resource})

    return change


def look_at(rule, **pattern):
    """Let a rule match something else."""

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
    "a step may call what deletes uploads": allow(
        "StoreResultsFunctionRole", "lambda:InvokeFunction", {"Fn::GetAtt": ["DeleteUploadFunction", "Arn"]}
    ),
    "a step may call what stores uploads": allow(
        "GenerateThumbnailsFunctionRole", "lambda:InvokeFunction", {"Fn::GetAtt": ["UploadImageFunction", "Arn"]}
    ),
    "a workflow may call what signs uploads": allow(
        "ProcessImageStateMachineRole", "lambda:InvokeFunction", {"Fn::GetAtt": ["PresignUploadFunction", "Arn"]}
    ),
    "a workflow may call what processes an upload again": allow(
        "ProcessImageStateMachineRole", "lambda:InvokeFunction", {"Fn::GetAtt": ["ReprocessUploadFunction", "Arn"]}
    ),
    "the clean-up may delete uploads": allow(
        "CleanRenditionsFunctionRole", "s3:DeleteObjectVersion", {"Fn::Sub": "${UploadsBucket.Arn}/uploads/*"}
    ),
    "the watch may start the workflow that starts it": allow(
        "SettleImageStateMachineRole", "lambda:InvokeFunction", {"Fn::GetAtt": ["WatchRecordsFunction", "Arn"]}
    ),
    "what tells of records may write them": allow(
        "PublishOutcomesFunctionRole", "dynamodb:UpdateItem", {"Fn::GetAtt": ["ImageTable", "Arn"]}
    ),
    "what tells of outcomes may start what makes them": allow(
        "PublishOutcomesFunctionRole", "states:StartExecution", {"Ref": "SettleImageStateMachine"}
    ),
    "a step may send itself another batch": allow(
        "StoreResultsFunctionRole", "sqs:SendMessage", {"Fn::GetAtt": ["BatchQueue", "Arn"]}
    ),
    "a workflow may start backfills": allow(
        "ProcessImageStateMachineRole", "states:StartExecution", {"Ref": "BackfillStateMachine"}
    ),
    "what starts batches may send them": allow("StartBatchFunctionRole", "sqs:*", "*"),
    "what lists images may write records": allow(
        "IndexImagesFunctionRole", "dynamodb:PutItem", {"Fn::GetAtt": ["ImageTable", "Arn"]}
    ),
    "our own events are looked at": look_at(UPLOADED, source=["image-pipeline"]),
    "every event is looked at": look_at(UPLOADED, account=["123456789012"]),
    "renditions are uploads": look_at(
        UPLOADED, source=["aws.s3"], detail={"bucket": {"name": [{"Ref": "ThumbnailsBucket"}]}}
    ),
    "any bucket will do": look_at(UPLOADED, source=["aws.s3"], detail={"object": {"key": [{"prefix": "uploads/"}]}}),
    "deletions of renditions are looked at": look_at(DELETED, **{"detail-type": ["Object Deleted"]}),
    "every execution is settled": look_at(ENDED, source=["aws.states"], detail={"status": ["FAILED"]}),
    "an ended execution starts the next": look_at(
        UPLOADED, source=["aws.states"], detail={"stateMachineArn": [{"Ref": "SettleImageStateMachine"}]}
    ),
}


@pytest.mark.parametrize("change", LOOPS.values(), ids=LOOPS.keys())
def test_a_loop_would_be_seen(translated, change):
    """One permission too many or one pattern too wide is enough."""
    broken = replace(translated, document=copy.deepcopy(translated.document))
    change(broken.document["Resources"])
    with pytest.raises(CycleError):
        TopologicalSorter(Deployed(broken).graph()).prepare()
