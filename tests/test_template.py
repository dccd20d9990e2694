"""template.yml, as it is written and as SAM translates it."""

import json
import re

import pytest
import yaml
from samtranslator.translator.managed_policy_translator import ManagedPolicyLoader
from samtranslator.translator.transform import transform

from image_pipeline import aws
from tests.asl import MACHINES, STATES
from tests.conftest import ROOT, cfn_lint

# One of every partition, and the newest kinds.
REGIONS = ["us-east-1", "eu-central-1", "ap-southeast-2", "us-gov-west-1", "cn-north-1"]


class _NoManagedPolicies(ManagedPolicyLoader):
    """The template names no managed policy, so there is nothing to load."""

    def __init__(self):
        super().__init__(iam_client=None)

    def load(self):
        return {}


@pytest.fixture(scope="session")
def translated(template):
    """The CloudFormation that `sam deploy` sends."""
    source = json.loads(json.dumps(template))
    for body in source["Resources"].values():
        for uri in ("CodeUri", "ContentUri", "DefinitionUri"):
            if uri in body["Properties"]:
                body["Properties"][uri] = "s3://bucket/key"
    return transform(source, {}, _NoManagedPolicies())


def test_cfn_lint_finds_nothing_in_any_partition(translated, tmp_path):
    """As written and as translated, in several regions."""
    path = tmp_path / "translated.yml"
    path.write_text(yaml.safe_dump(translated))
    run = cfn_lint("--regions", *REGIONS, "--", str(ROOT / "template.yml"), str(path))
    assert run.returncode == 0, run.stdout


def test_nothing_is_fixed_to_an_account_a_region_or_a_partition():
    """Two stacks fit in one account, and any account in any region takes one."""
    text = (ROOT / "template.yml").read_text() + "".join(machine.path.read_text() for machine in MACHINES)
    assert not re.search(r"arn:aws(-cn|-us-gov)?:", text)
    assert not re.search(r"\b\d{12}\b", text)
    assert not re.search(r"\b(us|eu|ap|sa|ca|me|af)-(north|south|east|west|central)\w*-\d\b", text)


def test_no_resource_has_a_name_of_its_own(translated):
    """CloudFormation names them, so that a second deployment does not collide."""
    naming = {"BucketName", "TableName", "TopicName", "FunctionName", "RoleName", "StateMachineName", "QueueName"}
    for logical_id, body in translated["Resources"].items():
        if body["Type"] in ("AWS::Lambda::Permission", "AWS::S3::BucketPolicy", "AWS::SNS::Subscription"):
            continue
        assert not naming & body.get("Properties", {}).keys(), logical_id


def test_what_holds_users_data_outlives_the_stack(template):
    """A deleted stack must not take the pictures with it."""
    for logical_id in ("UploadsBucket", "ThumbnailsBucket", "ImageTable"):
        assert template["Resources"][logical_id]["DeletionPolicy"] == "RetainExceptOnCreate"
        assert template["Resources"][logical_id]["UpdateReplacePolicy"] == "Retain"


@pytest.mark.parametrize("bucket", ["UploadsBucket", "ThumbnailsBucket"])
def test_buckets_are_private_encrypted_and_tls_only(template, bucket):
    """No public access, no ACLs, no plain HTTP, nothing left lying about."""
    properties = template["Resources"][bucket]["Properties"]
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(properties["PublicAccessBlockConfiguration"]) == 4
    assert properties["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    assert properties["BucketEncryption"]
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    rule = properties["LifecycleConfiguration"]["Rules"][0]
    assert rule["AbortIncompleteMultipartUpload"]
    assert rule["NoncurrentVersionExpiration"]
    (statement,) = template["Resources"][f"{bucket}Policy"]["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert len(statement["Resource"]) == 2


def test_queues_are_encrypted(template):
    """By SQS itself: with AWS's key for SQS, other services could not send."""
    queues = [body["Properties"] for body in template["Resources"].values() if body["Type"] == "AWS::SQS::Queue"]
    assert queues
    assert all(queue["SqsManagedSseEnabled"] is True for queue in queues)


def statements(translated, role):
    for policy in translated["Resources"][role]["Properties"].get("Policies", []):
        yield from policy["PolicyDocument"]["Statement"]


def roles(translated):
    return [name for name, body in translated["Resources"].items() if body["Type"] == "AWS::IAM::Role"]


def as_list(value):
    return value if isinstance(value, list) else [value]


def test_every_function_has_a_role_of_its_own(translated):
    """What one function may do, no other may."""
    used = [
        json.dumps(body["Properties"]["Role"])
        for body in translated["Resources"].values()
        if body["Type"] == "AWS::Lambda::Function"
    ]
    assert len(used) == len(set(used)) == 7


def test_no_role_has_a_wildcard_action(translated):
    """Every permission is named."""
    for role in roles(translated):
        for statement in statements(translated, role):
            assert not any("*" in action for action in as_list(statement["Action"])), role


def test_every_resource_is_named_unless_the_action_knows_none(translated):
    """`Resource: *` stands only where IAM offers nothing narrower."""
    without_resource = re.compile(r"^(rekognition:DetectLabels|xray:.*|logs:.*)$")
    for role in roles(translated):
        for statement in statements(translated, role):
            if statement["Resource"] == "*":
                assert all(without_resource.match(action) for action in as_list(statement["Action"])), statement


def test_the_services_own_logs_know_nothing_of_people(template):
    """The access log has no client address and no path, the workflow's log no data."""
    access = template["Resources"]["ImageStatusApi"]["Properties"]["AccessLogSettings"]["Format"]
    assert not re.search(r"identity|path|rawPath|userAgent|authorizer", access)
    machines = [body for body in template["Resources"].values() if body["Type"] == "AWS::Serverless::StateMachine"]
    assert machines
    assert not any(body["Properties"]["Logging"]["IncludeExecutionData"] for body in machines)


def test_every_log_ends(template):
    """No log group keeps its logs for ever."""
    groups = [body for body in template["Resources"].values() if body["Type"] == "AWS::Logs::LogGroup"]
    assert groups
    assert all(group["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"} for group in groups)


def test_the_memory_that_admission_counts_with_is_the_renderers(template):
    """A picture that is admitted must fit the function that decodes it."""
    variables = template["Globals"]["Function"]["Environment"]["Variables"]
    for function in ("GenerateThumbnailsFunction", "ExtractMetadataFunction"):
        memory = template["Resources"][function]["Properties"]["MemorySize"]
        assert memory == variables["RENDER_MEMORY_MEGABYTES"]


def test_a_function_gives_up_before_the_workflow_does(template):
    """The function's own error says more than the workflow's timeout."""
    for state in (state for machine in MACHINES for state in machine.tasks.values()):
        function = state["Arguments"].get("FunctionName", "")
        if function:
            logical_id = function.removeprefix("${").removesuffix("Arn}")
            assert template["Resources"][logical_id]["Properties"]["Timeout"] < state["TimeoutSeconds"], logical_id


def test_a_client_gives_up_before_its_function_does(template):
    """A service that does not answer is named, instead of a function that ran out of time."""
    for logical_id in ("ValidateImageFunction", "StoreResultsFunction", "GetStatusFunction"):
        timeout = template["Resources"][logical_id]["Properties"]["Timeout"]
        assert timeout > (aws.CONNECT_SECONDS + aws.READ_SECONDS) * aws.ATTEMPTS, logical_id


def test_failures_only_filters_by_what_the_workflow_sends(template):
    """The subscription asks for the very value that the notice of a failure carries."""
    subscription = template["Resources"]["NotificationEmailSubscription"]
    assert subscription["Condition"] == "HasNotificationEmail"
    condition, policy, otherwise = subscription["Properties"]["FilterPolicy"]["Fn::If"]
    sent = {
        name: STATES[name]["Arguments"]["MessageAttributes"]["status"] for name in ("NotifySuccess", "NotifyFailure")
    }
    assert (condition, otherwise) == ("NotifyFailuresOnly", {"Ref": "AWS::NoValue"})
    assert policy == {"status": [sent["NotifyFailure"]["StringValue"]]}
    assert sent["NotifySuccess"]["StringValue"] not in policy["status"]


def test_outputs_name_everything_a_user_needs(template):
    """Scripts find buckets, table, topic, workflow and API without looking at the console."""
    assert set(template["Outputs"]) >= {
        "UploadsBucketName",
        "ThumbnailsBucketName",
        "ImageTableName",
        "ImageStatusApiEndpoint",
        "NotificationTopicArn",
        *(f"{machine.logical_id}Arn" for machine in MACHINES),
    }


def test_every_parameter_says_what_it_is_for(template):
    """`sam deploy --guided` asks for them one by one."""
    grouped = [
        name
        for group in template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
        for name in group["Parameters"]
    ]
    assert sorted(grouped) == sorted(template["Parameters"])
    for name, body in template["Parameters"].items():
        assert body["Description"].endswith("."), name
