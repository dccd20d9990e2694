"""template.yml as it is written, and as SAM translates it."""

import json
import os
import re
import tomllib

import pytest
import yaml
from moto.events.models import EventPattern

from image_pipeline import aws
from image_pipeline.api import presign
from image_pipeline.api.waiting import MAX_WAIT_SECONDS
from image_pipeline.feeds.outcomes import DETAIL_TYPES
from image_pipeline_cli.status import CONSOLES
from local.emulator import cors
from local.emulator import template as local_template
from local.emulator.deploy import plan
from tests.asl import MACHINES, STATES
from tests.conftest import ROOT, cfn_lint, resource_schema

# One region of each partition; more in long runs.
REGIONS = ["us-east-1", "us-gov-west-1", "cn-north-1"]
if "HEAVY" in os.environ:
    REGIONS += ["eu-central-1", "ap-southeast-2"]


@pytest.fixture(scope="session")
def translated(template):
    """The CloudFormation template that `sam deploy` sends."""
    from samtranslator.translator.managed_policy_translator import ManagedPolicyLoader
    from samtranslator.translator.transform import transform

    class NoManagedPolicies(ManagedPolicyLoader):
        """The template names no managed policy, so there is nothing to load."""

        def __init__(self):
            super().__init__(iam_client=None)

        def load(self):
            return {}

    source = json.loads(json.dumps(template))
    for body in source["Resources"].values():
        for uri in ("CodeUri", "ContentUri", "DefinitionUri"):
            if uri in body["Properties"]:
                body["Properties"][uri] = "s3://bucket/key"
        if body["Type"] == "AWS::Serverless::Application":
            body["Properties"]["Location"] = "https://bucket.s3.amazonaws.com/key"
    return transform(source, {}, NoManagedPolicies())


def test_cfn_lint_accepts_the_templates_in_every_partition(translated, tmp_path):
    """The templates are valid in several regions, translated by cfn-lint and, if HEAVY, by `sam`.

    It knows the actions of IAM, too.
    """
    paths = [ROOT / "template.yml", ROOT / "monitoring" / "template.yml", ROOT / "cicd" / "roles.yml"]
    if "HEAVY" in os.environ:
        paths.append(tmp_path / "translated.yml")
        paths[-1].write_text(yaml.safe_dump(translated))
    run = cfn_lint("--regions", *REGIONS, "--", *map(str, paths))
    assert run.returncode == 0, run.stdout


def test_the_templates_contain_no_account_region_or_partition():
    """The stack can be deployed to any account and region, also twice."""
    files = [ROOT / "template.yml", ROOT / "monitoring" / "template.yml", *(machine.path for machine in MACHINES)]
    text = "".join(path.read_text() for path in files)
    assert not re.search(r"arn:aws(-cn|-us-gov)?:", text)
    assert not re.search(r"\b\d{12}\b", text)
    assert not re.search(r"\b(us|eu|ap|sa|ca|me|af)-(north|south|east|west|central)\w*-\d\b", text)


def test_cloudformation_names_every_resource(translated, monitoring):
    """A fixed name would collide in a second deployment.

    One workflow must know its own name, and permissions name layers and the dashboard; all begin with that of the
    stack.
    """
    naming = {
        "AlarmName",
        "DashboardName",
        "BucketName",
        "TableName",
        "TopicName",
        "FunctionName",
        "RoleName",
        "StateMachineName",
        "QueueName",
        "LayerName",
    }
    for logical_id, body in (translated["Resources"] | monitoring["Resources"]).items():
        if body["Type"] in (
            "AWS::Lambda::EventSourceMapping",
            "AWS::Lambda::Permission",
            "AWS::S3::BucketPolicy",
            "AWS::SNS::Subscription",
        ):
            continue
        if logical_id in ("BackfillStateMachine", "Dashboard") or body["Type"] == "AWS::Lambda::LayerVersion":
            (name,) = naming & body["Properties"].keys()
            assert re.match(r"\$\{(AWS::|Pipeline)StackName\}-", body["Properties"][name]["Fn::Sub"]), logical_id
            continue
        assert not naming & body.get("Properties", {}).keys(), logical_id


def test_resources_with_user_data_outlive_the_stack(template):
    """Buckets and tables stay when the stack is deleted."""
    for logical_id in ("UploadsBucket", "ThumbnailsBucket", "ImageTable", "ApiKeyTable"):
        assert template["Resources"][logical_id]["DeletionPolicy"] == "RetainExceptOnCreate"
        assert template["Resources"][logical_id]["UpdateReplacePolicy"] == "Retain"


def replaced_by(kind):
    """The properties of a type whose change makes CloudFormation replace the resource."""
    schema = resource_schema(kind)
    return {path.removeprefix("/properties/") for path in schema["createOnlyProperties"]}


def test_a_change_of_the_workflow_type_ends_no_execution(translated):
    """The previous state machine and its role stay; without a fixed name, both state machines can exist."""
    machine = translated["Resources"]["ProcessImageStateMachine"]
    values = {name: machine["Properties"].get(name) for name in replaced_by(machine["Type"])}
    assert values == {"StateMachineType": {"Ref": "WorkflowType"}, "StateMachineName": None}
    assert machine["UpdateReplacePolicy"] == "Retain"
    assert machine["Properties"]["RoleArn"] == {"Fn::GetAtt": ["ProcessImageStateMachineRole", "Arn"]}
    role = translated["Resources"]["ProcessImageStateMachineRole"]
    assert "Condition" not in role
    assert not replaced_by(role["Type"]) & role["Properties"].keys()
    assert not re.search("WorkflowType|IsExpress", json.dumps(role))


@pytest.mark.parametrize("bucket", ["UploadsBucket", "ThumbnailsBucket"])
def test_buckets_are_private_encrypted_and_tls_only(template, bucket):
    """The buckets have no public access, no ACLs and no plain HTTP, and remove incomplete uploads and old versions."""
    properties = template["Resources"][bucket]["Properties"]
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(properties["PublicAccessBlockConfiguration"]) == 4
    assert properties["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    assert properties["BucketEncryption"]
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    rules = properties["LifecycleConfiguration"]["Rules"]
    for action in ("AbortIncompleteMultipartUpload", "NoncurrentVersionExpiration"):
        assert any(action in rule for rule in rules)
    (statement,) = template["Resources"][f"{bucket}Policy"]["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert len(statement["Resource"]) == 2


def test_queues_are_encrypted(template):
    """The queues use SQS-managed keys; with AWS's KMS key for SQS, other services could not send messages."""
    queues = [body["Properties"] for body in template["Resources"].values() if body["Type"] == "AWS::SQS::Queue"]
    assert queues
    assert all(queue["SqsManagedSseEnabled"] is True for queue in queues)


def statements(translated, role, effect="Allow"):
    """The statements of a role, including those that depend on a parameter."""
    for policy in translated["Resources"][role]["Properties"].get("Policies", []):
        for statement in policy["PolicyDocument"]["Statement"]:
            branches = statement["Fn::If"][1:] if "Fn::If" in statement else [statement]
            yield from (branch for branch in branches if branch.get("Effect") == effect)


def roles(translated):
    return [name for name, body in translated["Resources"].items() if body["Type"] == "AWS::IAM::Role"]


def as_list(value):
    return value if isinstance(value, list) else [value]


def test_every_function_has_a_role_of_its_own(translated):
    """No two functions share a role."""
    used = [
        json.dumps(body["Properties"]["Role"])
        for body in translated["Resources"].values()
        if body["Type"] == "AWS::Lambda::Function"
    ]
    assert used
    assert len(used) == len(set(used))


def test_the_fallback_function_has_no_permissions(translated):
    """Anyone can call the function, so it may only write its log and its trace."""
    role = translated["Resources"]["RefuseRequestFunctionRole"]["Properties"]
    common = [
        set(map(json.dumps, translated["Resources"][name]["Properties"]["ManagedPolicyArns"]))
        for name in roles(translated)
        if name.endswith("FunctionRole")
    ]
    assert set(map(json.dumps, role["ManagedPolicyArns"])) <= set.intersection(*common)
    assert not list(statements(translated, "RefuseRequestFunctionRole"))


def test_every_function_writes_only_to_its_log_group(translated):
    """SAM allows each role to write to every log group of the account; a Deny statement removes this."""
    for body in translated["Resources"].values():
        if body["Type"] == "AWS::Lambda::Function":
            group = body["Properties"]["LoggingConfig"]["LogGroup"]["Ref"]
            (role, _) = body["Properties"]["Role"]["Fn::GetAtt"]
            (denial,) = statements(translated, role, "Deny")
            assert (denial["Action"], denial["NotResource"]) == ("logs:*", {"Fn::GetAtt": f"{group}.Arn"})


def test_only_functions_of_the_workflow_are_traced_at_a_low_rate(template):
    """Lambda traces the first invocation in each second of every function with active tracing."""
    functions = {
        name: body for name, body in template["Resources"].items() if body["Type"] == "AWS::Serverless::Function"
    }
    workflow = template["Resources"]["ProcessImageStateMachine"]["Properties"]
    called = {name for name in functions if f"{name}Arn" in workflow["DefinitionSubstitutions"]}
    active = {name for name, body in functions.items() if body["Properties"].get("Tracing") == "Active"}
    assert workflow["Tracing"] == {"Enabled": True}
    assert active == called


@pytest.mark.parametrize(("rate", "mode"), [("0", "PassThrough"), ("0.05", "PassThrough"), ("1", "Active")])
def test_the_trace_rate_is_that_of_the_parameter(rate, mode):
    """The sampling rule applies only to executions of this stack, and X-Ray accepts its name."""
    loaded = local_template.load(ROOT / "template.yml", "a-stack-with-a-long-name", "eu-west-1", {"TraceRate": rate})
    (rule,) = loaded.resources("AWS::XRay::SamplingRule")
    sampling = rule.raw["SamplingRule"]
    assert (loaded.resolve(sampling["FixedRate"]), sampling["ReservoirSize"]) == (rate, 0)
    assert sampling["ResourceARN"] == {"Ref": "ProcessImageStateMachine"}
    assert len(loaded.resolve(sampling["RuleName"])) <= 32
    (listing,) = [
        resource
        for resource in loaded.resources("AWS::Lambda::Function")
        if resource.logical_id == "ListImagesFunction"
    ]
    assert loaded.resolve(listing.raw["TracingConfig"]) == {"Mode": mode}


def test_services_may_act_only_for_this_stack(translated, monitoring):
    """The principal of another account's rule or alarm is the same; only the source differs."""
    documents = [
        body["Properties"].get("PolicyDocument", body["Properties"].get("KeyPolicy"))
        for body in (*translated["Resources"].values(), *monitoring["Resources"].values())
        if body["Type"].endswith("Policy") or body["Type"] == "AWS::KMS::Key"
    ]
    admitting = [
        statement
        for document in documents
        for statement in document["Statement"]
        if "Service" in statement["Principal"]
    ]
    assert admitting
    for statement in admitting:
        conditions = {key.lower() for keys in statement["Condition"].values() for key in keys}
        assert conditions & {"aws:sourcearn", "aws:sourceaccount"}, statement["Sid"]
    for name, body in translated["Resources"].items():
        if body["Type"] == "AWS::Lambda::Permission":
            assert {"SourceArn", "SourceAccount"} & body["Properties"].keys(), name


def test_no_role_has_a_wildcard_action(translated):
    """Each action is listed by its full name."""
    for role in roles(translated):
        for statement in statements(translated, role):
            assert not any("*" in action for action in as_list(statement["Action"])), role


def test_statements_name_their_resources_if_the_action_supports_it(translated):
    """`Resource: *` appears only for actions without resource-level permissions."""
    without_resource = re.compile(r"^(rekognition:DetectLabels|xray:.*|logs:.*)$")
    for role in roles(translated):
        for statement in statements(translated, role):
            if statement["Resource"] == "*":
                assert all(without_resource.match(action) for action in as_list(statement["Action"])), statement


def test_logs_of_aws_contain_no_personal_data(template):
    """The access log has no client address and no path, and the workflow's log has no data."""
    access = template["Resources"]["ImageStatusApiStage"]["Properties"]["AccessLogSettings"]["Format"]
    assert not re.search(r"identity|path|rawPath|userAgent|authorizer", access)
    machines = [body for body in template["Resources"].values() if body["Type"] == "AWS::Serverless::StateMachine"]
    assert machines
    assert not any(body["Properties"]["Logging"]["IncludeExecutionData"] for body in machines)


def test_only_a_final_status_invokes_the_publisher(template):
    """The filter of the stream accepts every outcome, and neither claims nor removals."""
    (only,) = template["Resources"]["PublishOutcomesEventSourceMapping"]["Properties"]["FilterCriteria"]["Filters"]
    pattern = EventPattern.load(only["Pattern"])

    def invokes(name, **images):
        return pattern.matches_event({"eventName": name, "dynamodb": {"Keys": {"ImageKey": {"S": "k"}}, **images}})

    final, other = ({"status": {"S": status}} for status in ("COMPLETED", "PROCESSING"))
    for status in DETAIL_TYPES:
        assert invokes("INSERT", NewImage={"status": {"S": status}})
        assert invokes("MODIFY", NewImage={"status": {"S": status}}, OldImage=other)
    assert not invokes("INSERT", NewImage=other)
    assert not invokes("MODIFY", NewImage=other, OldImage=final)
    assert not invokes("REMOVE", OldImage=final)


def test_every_change_invokes_the_index(template):
    """The stream has no filter, because the expiry of a record must remove its entry."""
    assert "FilterCriteria" not in template["Resources"]["IndexImagesEventSourceMapping"]["Properties"]


@pytest.mark.parametrize(
    ("mapping", "queue"), [("PublishOutcomes", "UnpublishedOutcomesQueue"), ("IndexImages", "UnlistedImagesQueue")]
)
def test_lost_stream_changes_can_be_read_for_half_a_day(template, mapping, queue):
    """Lambda gives up after half a day at most, and the stream keeps changes for one day."""
    properties = template["Resources"][f"{mapping}EventSourceMapping"]["Properties"]
    assert properties["MaximumRecordAgeInSeconds"] <= 43_200
    assert properties["MaximumRetryAttempts"] > 0
    assert properties["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert properties["DestinationConfig"]["OnFailure"]["Destination"] == {"Fn::GetAtt": f"{queue}.Arn"}
    assert template["Resources"]["ImageTable"]["Properties"]["StreamSpecification"] == {
        "StreamViewType": "NEW_AND_OLD_IMAGES"
    }


def test_every_log_group_has_a_retention(template):
    """No log group keeps its logs forever."""
    groups = [body for body in template["Resources"].values() if body["Type"] == "AWS::Logs::LogGroup"]
    assert groups
    assert all(group["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"} for group in groups)


def test_admission_knows_the_memory_of_the_rendering_function(template):
    """An image that is admitted must fit into the memory of the function that decodes it."""
    variables = template["Globals"]["Function"]["Environment"]["Variables"]
    memory = template["Resources"]["GenerateThumbnailsFunction"]["Properties"]["MemorySize"]
    assert memory == variables["RENDER_MEMORY_MEGABYTES"]


def test_a_function_times_out_before_its_state(template):
    """The timeout of the function says more than that of the workflow."""
    for state in (state for machine in MACHINES for state in machine.tasks.values()):
        function = state["Arguments"].get("FunctionName", "")
        if function:
            logical_id = function.removeprefix("${").removesuffix("Arn}")
            assert template["Resources"][logical_id]["Properties"]["Timeout"] < state["TimeoutSeconds"], logical_id


def test_a_client_times_out_before_its_function(template):
    """The error then contains the service that did not respond."""
    calls = {
        "ValidateImageFunction": (1, aws.CLIENT_CONFIG),
        "ExtractMetadataFunction": (1, aws.REKOGNITION_CONFIG),
        "StoreResultsFunction": (1, aws.CLIENT_CONFIG),
        "GetStatusFunction": (1, aws.CLIENT_CONFIG),
        "GetStatusesFunction": (1, aws.CLIENT_CONFIG),
        "GetOriginalFunction": (1, aws.CLIENT_CONFIG),
        "DeleteUploadFunction": (2, aws.CLIENT_CONFIG),
        "UploadImageFunction": (1, aws.CLIENT_CONFIG),
        "ListImagesFunction": (1, aws.CLIENT_CONFIG),
        "AuthorizeFunction": (1, aws.AUTHORIZER_CONFIG),
    }
    for logical_id, (count, config) in calls.items():
        timeout = template["Resources"][logical_id]["Properties"]["Timeout"]
        waits = MAX_WAIT_SECONDS if logical_id == "GetStatusFunction" else 0
        assert timeout > waits + count * (config.connect_timeout + config.read_timeout) * aws.ATTEMPTS, logical_id


API_GATEWAY_SECONDS, AUTHORIZER_SECONDS = 30, 10
# https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html


def routes(template):
    return {
        body["Properties"]["RouteKey"]: body["Properties"]
        for body in template["Resources"].values()
        if body["Type"] == "AWS::ApiGatewayV2::Route"
    }


PAGE_ROUTES = {f"{method} {path}" for method in ("GET", "HEAD") for path in ("/", "/page/{digest}/{file+}")}


def test_every_route_but_the_status_needs_a_key(template):
    """The status needs a key if the parameter says so; any new route is protected or fails this test.

    The files of the web page need no key, because the page asks for it. The fallback route needs none, because
    refusals are public and a preflight request of a browser cannot have a key.
    """
    key_or_token = {"Fn::If": ["TakesTokens", {"Ref": "TokenAuthorizer"}, {"Ref": "KeyAuthorizer"}]}
    kind = {"Fn::If": ["TakesTokens", "JWT", "CUSTOM"]}
    for route, properties in routes(template).items():
        if route == "$default":
            assert (properties["AuthorizationType"], "AuthorizerId" in properties) == ("NONE", False)
            assert properties["Target"] == {"Fn::Sub": "integrations/${RefuseRequestIntegration}"}
            continue
        if route in PAGE_ROUTES:
            assert (properties["AuthorizationType"], "AuthorizerId" in properties) == ("NONE", False)
            assert properties["Target"] == {"Fn::Sub": "integrations/${ServePageIntegration}"}
            continue
        protected = (properties["AuthorizationType"], properties["AuthorizerId"]) == (kind, key_or_token)
        if route.startswith(("GET /images/uploads/", "HEAD /images/uploads/")) and not route.endswith("/original"):
            assert properties["AuthorizationType"] == {"Fn::If": ["StatusIsProtected", kind, "NONE"]}
            assert properties["AuthorizerId"]["Fn::If"][:2] == ["StatusIsProtected", key_or_token]
        else:
            assert protected, route


def of_type(template, kind):
    """The properties of the resources of a type, by logical id."""
    return {name: body["Properties"] for name, body in template["Resources"].items() if body["Type"] == kind}


def test_anonymous_requests_do_not_use_up_the_throttle_of_key_holders(template):
    """Only the routes that can be open to everyone have their own limits."""
    routes = of_type(template, "AWS::ApiGatewayV2::Route")
    (stage,) = of_type(template, "AWS::ApiGatewayV2::Stage").values()
    open_routes = {route["RouteKey"] for route in routes.values() if "NONE" in json.dumps(route["AuthorizationType"])}
    paths = ("/images/uploads/{filename}/status", "/images/uploads/{filename+}")
    status_routes = {f"{method} {path}" for method in ("GET", "HEAD") for path in paths}
    assert open_routes == {*status_routes, *PAGE_ROUTES, "$default"}
    limits = {"ThrottlingRateLimit": {"Ref": "StatusRateLimit"}, "ThrottlingBurstLimit": {"Ref": "StatusBurstLimit"}}
    page_limits = {"Fn::If": ["HasWebPage", limits, {"Ref": "AWS::NoValue"}]}
    assert stage["RouteSettings"] == {route: page_limits if route in PAGE_ROUTES else limits for route in open_routes}
    assert stage["DefaultRouteSettings"] == {
        "ThrottlingRateLimit": {"Ref": "ApiRateLimit"},
        "ThrottlingBurstLimit": {"Ref": "ApiBurstLimit"},
    }


def test_a_route_exists_before_the_stage_sets_its_limits(template):
    """API Gateway refuses a stage whose settings contain an unknown route."""
    routes = of_type(template, "AWS::ApiGatewayV2::Route")
    for logical_id, stage in of_type(template, "AWS::ApiGatewayV2::Stage").items():
        limited = {name for name, route in routes.items() if route["RouteKey"] in stage["RouteSettings"]}
        assert len(limited) == len(stage["RouteSettings"])
        conditional = {name for name in limited if "Condition" in template["Resources"][name]}
        assert set(template["Resources"][logical_id]["DependsOn"]) == limited - conditional
        condition, text, _ = stage["Description"]["Fn::If"]
        assert set(re.findall(r"\$\{(\w+)\}", text["Fn::Sub"])) == conditional
        assert {template["Resources"][name]["Condition"] for name in conditional} == {condition}


def test_without_the_web_page_its_routes_do_not_exist():
    """A path of the page is then an unknown path, and all other routes stay."""
    on, off = (
        plan(
            local_template.load(ROOT / "template.yml", "stack", "eu-west-1", {"WebPage": value}),
            "http://aws",
            "http://api",
        )
        for value in ("ON", "OFF")
    )
    assert {route.key for route in on.routes} - {route.key for route in off.routes} == PAGE_ROUTES
    assert ("WebPageUrl" in on.outputs, "WebPageUrl" in off.outputs) == (True, False)


def test_the_concurrency_of_anonymous_callers_can_be_limited(template):
    """Reserved concurrency is off by default, because it reduces that of the account's other functions."""
    reserved = template["Resources"]["GetStatusFunction"]["Properties"]["ReservedConcurrentExecutions"]
    assert reserved == {"Fn::If": ["HasStatusConcurrency", {"Ref": "StatusConcurrency"}, {"Ref": "AWS::NoValue"}]}
    assert template["Conditions"]["HasStatusConcurrency"] == {
        "Fn::Not": [{"Fn::Equals": [{"Ref": "StatusConcurrency"}, 0]}]
    }
    assert template["Parameters"]["StatusConcurrency"]["Default"] == 0


def test_every_route_leads_to_a_function_that_the_api_may_call(template):
    """Each function has an integration and a permission, and ends before API Gateway's timeout."""
    resources = template["Resources"]
    for route, properties in routes(template).items():
        integration = properties["Target"]["Fn::Sub"].removeprefix("integrations/${").removesuffix("}")
        function = integration.removesuffix("Integration") + "Function"
        assert resources[integration]["Properties"]["IntegrationUri"] == {"Fn::GetAtt": f"{function}.Arn"}
        permitted = [
            permission["SourceArn"]["Fn::Sub"].partition("${ImageStatusApi}")[2]
            for permission in of_type(template, "AWS::Lambda::Permission").values()
            if permission["FunctionName"] == {"Ref": function}
        ]
        fixed, variable, _ = route.replace(" ", "").partition("{")
        assert "/*/" + fixed + ("*" if variable else "") in permitted
        assert resources[function]["Properties"]["Timeout"] < API_GATEWAY_SECONDS


def test_the_authorizer_times_out_before_api_gateway(template):
    """Its results are cached for at most five minutes, after which a revoked key stops working."""
    authorizer = template["Resources"]["KeyAuthorizer"]["Properties"]
    assert template["Resources"]["AuthorizeFunction"]["Properties"]["Timeout"] <= AUTHORIZER_SECONDS
    assert authorizer["EnableSimpleResponses"] is True
    assert authorizer["AuthorizerResultTtlInSeconds"] <= 300


def test_only_the_authorizer_reads_keys(translated):
    """No role of the stack may write keys: operators create them with their own permissions."""
    allowed = [
        (role, statement["Action"])
        for role in roles(translated)
        for statement in statements(translated, role)
        if "ApiKeyTable" in json.dumps(statement["Resource"])
    ]
    assert allowed == [("AuthorizeFunctionRole", "dynamodb:GetItem")]
    table = translated["Resources"]["ApiKeyTable"]["Properties"]
    assert table["SSESpecification"] == {"SSEEnabled": True}
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}


def test_the_failure_filter_matches_failure_notifications_only(template):
    """The subscription filters by the attribute that NotifyFailure sends."""
    subscription = template["Resources"]["NotificationEmailSubscription"]
    assert subscription["Condition"] == "HasNotificationEmail"
    condition, policy, otherwise = subscription["Properties"]["FilterPolicy"]["Fn::If"]
    attributes = {
        name: STATES[name]["Arguments"]["MessageAttributes"]["status"] for name in ("NotifySuccess", "NotifyFailure")
    }
    assert (condition, otherwise) == ("NotifyFailuresOnly", {"Ref": "AWS::NoValue"})
    assert policy == {"status": [attributes["NotifyFailure"]["StringValue"]]}
    assert attributes["NotifySuccess"]["StringValue"] not in policy["status"]


def test_functions_and_layers_use_one_version_of_python(template):
    """The makefile of the layers installs packages for the runtime of the functions."""
    python = template["Globals"]["Function"]["Runtime"]
    assert f"PYTHON := {python}\n" in (ROOT / "layers" / "Makefile").read_text()
    for body in template["Resources"].values():
        if body["Type"] == "AWS::Serverless::LayerVersion":
            assert (body["Metadata"]["BuildMethod"], body["Properties"]["CompatibleRuntimes"]) == ("makefile", [python])
        assert body.get("Properties", {}).get("Runtime", python) == python


def test_outputs_name_the_resources_that_scripts_need(template):
    """Scripts find buckets, table, topic, workflows and API without the console."""
    assert set(template["Outputs"]) >= {
        "UploadsBucketName",
        "ThumbnailsBucketName",
        "ImageTableName",
        "ImageStatusApiEndpoint",
        "NotificationTopicArn",
        *(f"{machine.logical_id}Arn" for machine in MACHINES),
    }


def test_template_and_command_line_know_the_same_consoles(template):
    """Notifications and `image-pipeline status` lead to the same page."""
    consoles = {partition: row["Host"] for partition, row in template["Mappings"]["Console"].items()}
    assert consoles == CONSOLES


def test_the_template_has_the_version_of_the_project(template):
    """Outputs, logs and events contain the version and the commit."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert template["Mappings"]["Release"]["Pipeline"] == {"Version": project["version"], "Commit": "unknown"}
    variables = template["Globals"]["Function"]["Environment"]["Variables"]
    for name in ("Version", "Commit"):
        value = {"Fn::FindInMap": ["Release", "Pipeline", name]}
        assert template["Outputs"][name]["Value"] == value
        assert variables[f"PIPELINE_{name.upper()}"] == value


def test_every_parameter_has_a_description(template):
    """`sam deploy --guided` shows the parameters one by one, and the console shows them in groups."""
    grouped = [
        name
        for group in template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
        for name in group["Parameters"]
    ]
    assert sorted(grouped) == sorted(template["Parameters"])
    for name, body in template["Parameters"].items():
        assert body["Description"].endswith("."), name


API_ORIGIN = "http://api.local"
PAGES = "https://a.example,https://b.example"


@pytest.mark.parametrize(
    ("parameters", "origins"),
    [
        ({"WebPage": "OFF"}, []),
        ({}, [API_ORIGIN]),
        ({"WebPage": "OFF", "CorsOrigins": PAGES}, PAGES.split(",")),
        ({"CorsOrigins": PAGES}, [API_ORIGIN, *PAGES.split(",")]),
    ],
)
def test_buckets_accept_requests_of_the_configured_pages(parameters, origins):
    """The CORS rules allow the methods and headers of presigned uploads and of reads of renditions."""
    loaded = local_template.load(ROOT / "template.yml", "stack", "eu-west-1", parameters)
    plan(loaded, "http://aws.local", API_ORIGIN)
    needs = {
        "UploadsBucket": (set(presign.METHODS), {"content-type", "if-none-match", presign.CHECKSUM}),
        "ThumbnailsBucket": ({"GET", "HEAD"}, {"range"}),
    }
    for bucket in loaded.resources("AWS::S3::Bucket"):
        methods, headers = needs[bucket.logical_id]
        rules = cors.bucket_rules(loaded.resolve(bucket.raw))
        assert [origin for rule in rules for origin in rule["AllowedOrigins"]] == origins
        for rule in rules:
            assert set(rule["AllowedMethods"]) == methods
            assert headers <= set(rule["AllowedHeaders"])


def test_the_api_accepts_requests_of_pages(template):
    """The CORS settings allow the methods of all routes and the headers that they read."""
    api = template["Resources"]["ImageStatusApi"]["Properties"]["CorsConfiguration"]["Fn::If"][1]
    assert {"content-type", "content-disposition", "if-none-match", "x-api-key"} <= set(api["AllowHeaders"])
    methods = {route.partition(" ")[0] for route in routes(template) if " " in route}
    assert methods <= set(api["AllowMethods"])


def test_the_api_depends_on_no_resource(template):
    """The CORS rules of the buckets use the address of the API, so the reverse would be a cycle."""
    api = json.dumps(template["Resources"]["ImageStatusApi"])
    references = set(re.findall(r'"(?:Ref|Fn::GetAtt)": "(\w+)', api)) | set(re.findall(r"\$\{(\w+)", api))
    assert not references & template["Resources"].keys()
