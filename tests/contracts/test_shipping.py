"""The workflows of GitHub Actions and the roles in cicd/: steps run with stand-ins for `aws`, `sam` and GitHub."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.emulator.deploy import plan
from local.emulator.iam import MANAGED_POLICIES
from local.emulator.template import load
from tests.conftest import ROOT, TEMPLATE, _CloudFormation, resource_schema

WORKFLOWS = {
    path.stem: yaml.load(path.read_text(), yaml.CSafeLoader) for path in (ROOT / ".github" / "workflows").glob("*.yml")
}
ROLES = yaml.load((ROOT / "cicd" / "roles.yml").read_text(), _CloudFormation)
COMMIT = "5e7ed83"
VARIABLES = {
    "AWS_REGION": "eu-west-1",
    "STACK": "image-pipeline-dev",
    "ARTIFACT_BUCKET": "artifacts",
    "DEPLOY_ROLE": "arn:aws:iam::1:role/deploy",
    "VERIFY_ROLE": "arn:aws:iam::1:role/verify",
    "EXECUTION_ROLE": "arn:aws:iam::1:role/execution",
    "PARAMETERS": "LogRetentionDays=7 ImageFormats=JPEG,PNG",
}

PROGRAMS = {
    # GitHub's tokens are for whom asks with the token of the job.
    "curl": """
assert "Authorization: bearer job-token" in words and words[-1] == "https://token.example/?x=1&audience=sts.amazonaws.com"
print(json.dumps({"value": "signed by GitHub"}))
""",
    # Each role has its own permissions; a stack is the template that was deployed last.
    "aws": """
def must_be(role):
    if os.environ.get("AWS_ACCESS_KEY_ID") != f"key of {role}".replace(" ", "-"):
        sys.exit(f"AccessDenied: {words[:3]} needs the role {role}")

match words[:2]:
    case ["sts", "assume-role-with-web-identity"]:
        token = option("--web-identity-token").removeprefix("file://")
        assert open(token).read() == "signed by GitHub" and option("--output") == "text"
        role = option("--role-arn").rpartition("/")[2]
        print(f"key-of-{role}\\tsecret\\tsession")
    case ["cloudformation", "deploy"]:
        must_be("deploy")
        assert "ACTIONS_ID_TOKEN_REQUEST_TOKEN" not in os.environ and os.environ["AWS_DEFAULT_REGION"] == "eu-west-1"
        assert option("--role-arn") == "arn:aws:iam::1:role/execution" and option("--s3-bucket") == "artifacts"
        template = open(option("--template-file")).read()
        if "refused by CloudFormation" in template:
            sys.exit("Failed to create/update the stack")
        overrides = words[words.index("--parameter-overrides") + 1:] if "--parameter-overrides" in words else []
        log("deployments", {"stack": option("--stack-name"), "template": template, "parameters": overrides})
    case ["s3", "cp"]:
        must_be("deploy")
        source, target = words[-2:]
        local = lambda name: os.path.join(cloud, name.removeprefix("s3://")) if name.startswith("s3://") else name
        if not os.path.exists(local(source)):
            sys.exit("An error occurred (404) when calling the HeadObject operation: Not Found")
        import shutil
        os.makedirs(os.path.dirname(os.path.abspath(local(target))), exist_ok=True)
        shutil.copy(local(source), local(target))
    case _:
        sys.exit(f"unknown: {words}")
""",
    "sam": """
import shutil
match words[0]:
    case "build":
        log("builds", option("--parameter-overrides"))
        os.makedirs(".aws-sam/build", exist_ok=True)
        shutil.copy("template.yml", ".aws-sam/build/template.yaml")
    case "package":
        assert os.environ["AWS_ACCESS_KEY_ID"] == "key-of-deploy" and option("--s3-bucket") == "artifacts"
        shutil.copy(option("--template-file"), option("--output-template-file"))
""",
    # The branch main consists of one commit.
    "git": f'sys.exit(words != ["merge-base", "--is-ancestor", "{COMMIT}", "origin/main"])',
    "make": 'assert words == ["--silent", ".venv/installed"]',
    "gh": 'log("releases", words)',
    # `image-pipeline verify` judges the stack that was deployed last.
    "verify": """
assert os.environ["AWS_ACCESS_KEY_ID"] == "key-of-verify"
assert words == ["-m", "image_pipeline_cli", "verify", "--stack", "image-pipeline-dev", "--yes"]
last = read("deployments")[-1]
log("verifications", last["template"])
sys.exit(1 if "broken" in last["template"] else 0)
""",
}
PRELUDE = """
import json, os, sys
words, cloud = sys.argv[1:], os.environ["CLOUD"]
def option(name): return words[words.index(name) + 1]
def read(name):
    path = os.path.join(cloud, name)
    return [json.loads(line) for line in open(path)] if os.path.exists(path) else []
def log(name, entry):
    with open(os.path.join(cloud, name), "a") as file: file.write(json.dumps(entry) + "\\n")
"""


class Runner:
    """Runs the jobs of a workflow in a copy of the repository's files, as GitHub does, with stand-ins on the path."""

    def __init__(self, folder: Path) -> None:
        self.cloud = folder / "cloud"
        self.cloud.mkdir()
        self.verified = self.cloud / "artifacts" / "verified" / "image-pipeline-dev.yaml"
        self.programs = folder / "bin"
        self.programs.mkdir()
        for name, code in PROGRAMS.items():
            self._write(self.programs / name, code)
        (self.programs / "python3").symlink_to(sys.executable)  # that on the path may be a launcher, which takes long
        self._folder = folder
        self._jobs = 0
        self.output = ""

    def run(
        self, workflow: str, job: str, files: dict[str, bytes] | None = None, **variables: str
    ) -> tuple[bool, Path]:
        """Run a job; return whether it succeeded, and its folder.

        Args:
            workflow: The name of the file.
            job: The name of the job.
            files: Files that actions of GitHub bring.
            variables: Variables of the repository, the environment and GitHub.
        """
        body = WORKFLOWS[workflow]["jobs"][job]
        self._jobs += 1
        folder = self._folder / f"job{self._jobs}"
        folder.mkdir()
        for name in (".ci", "template.yml", "pyproject.toml", "CHANGELOG.md"):
            source = ROOT / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
        (folder / "tests").mkdir()
        (folder / "tests" / "releases").symlink_to(ROOT / "tests" / "releases")
        self._write(folder / ".venv" / "bin" / "python", PROGRAMS["verify"])
        for name, content in (files or {}).items():
            (folder / name).write_bytes(content)
        values = {**VARIABLES, **variables}
        environment = {
            "PATH": f"{self.programs}:{os.environ['PATH']}",
            "CLOUD": str(self.cloud),
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "job-token",
            "ACTIONS_ID_TOKEN_REQUEST_URL": "https://token.example/?x=1",
            "GITHUB_RUN_ID": "7",
            "GITHUB_SHA": COMMIT,
            "GITHUB_REPOSITORY": "owner/name",
            **{name: value for name, value in values.items() if name.startswith("GITHUB_")},
        }
        outcomes: dict[str, str] = {}
        succeeded = True
        for step in body["steps"]:
            if "run" not in step or not _condition(step.get("if", "success()"), succeeded, outcomes):
                continue
            settings = {**body.get("env", {}), **step.get("env", {})}
            process = subprocess.run(
                ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
                cwd=folder,
                env={**environment, **{name: _expression(text, values) for name, text in settings.items()}},
                capture_output=True,
                text=True,
            )
            self.output += process.stdout + process.stderr
            outcomes[step.get("id", step.get("name"))] = "failure" if process.returncode else "success"
            succeeded = succeeded and process.returncode == 0
        return succeeded, folder

    def deploy(self, template: str, **variables: str) -> bool:
        """Run the deployment job with a build whose template is this text."""
        files = {"build.tar.gz": archive({"build/template.yaml": template.encode()})}
        return self.run("deploy-environment", "deploy", files, **variables)[0]

    def read(self, name: str) -> list[Any]:
        path = self.cloud / name
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def _write(self, path: Path, code: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!{sys.executable} -IS\n{PRELUDE}\n{code}")  # without packages, which take long to find
        path.chmod(0o755)


def archive(files: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return data.getvalue()


def _condition(text: str, succeeded: bool, outcomes: dict[str, str]) -> bool:
    """Evaluate the conditions that the workflows use; a condition without a status function requires success."""
    if "failure()" not in text and not succeeded:
        return False
    parts = []
    for part in text.split(" && "):
        if match := re.fullmatch(r"steps\.(\w+)\.outcome == '(\w+)'", part):
            parts.append(outcomes.get(match[1], "skipped") == match[2])
        else:
            parts.append({"success()": succeeded, "failure()": not succeeded}[part])
    return all(parts)


def _expression(text: str, values: dict[str, str]) -> str:
    """Evaluate the expressions that the workflows use in `env`."""

    def value(match: re.Match[str]) -> str:
        name, _, default = match[1].partition(" || ")
        return values.get(name.rpartition(".")[2], "") or default.strip("'")

    return re.sub(r"\$\{\{ (.+?) \}\}", value, str(text))


@pytest.fixture
def runner(tmp_path):
    return Runner(tmp_path)


def test_a_verified_template_is_stored(runner):
    """It is deployed with the parameters of the environment, and a later deployment can be rolled back to it."""
    assert runner.deploy("version 1"), runner.output
    (deployment,) = runner.read("deployments")
    assert deployment["template"] == "version 1"
    assert deployment["parameters"] == ["LogRetentionDays=7", "ImageFormats=JPEG,PNG"]
    assert runner.read("verifications") == ["version 1"]
    assert runner.verified.read_text() == "version 1"


def test_a_failed_verification_rolls_back(runner):
    """The template that was verified last is deployed and verified again; the job fails all the same."""
    assert runner.deploy("version 1")
    assert not runner.deploy("version 2, broken")
    deployed = [entry["template"] for entry in runner.read("deployments")]
    assert deployed == ["version 1", "version 2, broken", "version 1"]
    assert runner.read("verifications") == deployed
    assert not runner.deploy("version 3, broken")
    assert runner.read("deployments")[-1]["template"] == "version 1"


def test_a_first_deployment_cannot_be_rolled_back(runner):
    """The stack stays, and the message says why."""
    assert not runner.deploy("version 1, broken")
    assert len(runner.read("deployments")) == 1
    assert "nothing to roll back to" in runner.output


def test_a_failed_deployment_starts_no_second_update(runner):
    """CloudFormation rolls back by itself; a second update would conflict with it."""
    runner.verified.parent.mkdir(parents=True)
    runner.verified.write_text("version 1")
    assert not runner.deploy("refused by CloudFormation")
    assert runner.read("deployments") == runner.read("verifications") == []


@pytest.mark.parametrize(
    ("text", "words"),
    [("packaged.* B=*", ["packaged.*", "B=*"]), ("", [])],
    ids=["glob", "none"],
)
def test_parameters_of_the_environment_are_deployed(runner, text, words):
    """Each word is one parameter, and a `*` in it is not expanded to file names."""
    assert runner.deploy("version 1", PARAMETERS=text), runner.output
    assert runner.read("deployments")[0]["parameters"] == words


def test_a_build_has_its_commit_and_its_architecture(runner):
    """The stamp changes the built template, so that a roll back also restores the commit."""
    succeeded, folder = runner.run("deploy", "build", ARCHITECTURE="arm64")
    assert succeeded, runner.output
    with tarfile.open(folder / "build.tar.gz") as tar:
        built = yaml.load(tar.extractfile("build/template.yaml"), _CloudFormation)
    assert built["Mappings"]["Release"]["Pipeline"]["Commit"] == COMMIT
    assert runner.read("builds") == ["Architecture=arm64"]
    runner.run("deploy", "build")
    assert runner.read("builds")[1] == "Architecture=x86_64"


def test_a_tag_becomes_a_release(runner):
    """The release has the section of the changelog and a build for each architecture."""
    succeeded, folder = runner.run("release", "build", GITHUB_REF_NAME="v0.1.0")
    assert succeeded, runner.output
    notes = (folder / "notes.md").read_text()
    section = (ROOT / "CHANGELOG.md").read_text().partition("\n## 0.1.0")[2].partition("\n")[2].partition("\n## ")[0]
    assert notes.strip() == section.strip()
    builds = [f"image-pipeline-0.1.0-{architecture}.tar.gz" for architecture in ("arm64", "x86_64")]
    assert sorted(path.name for path in folder.glob("*.tar.gz")) == builds
    files = {name: (folder / name).read_bytes() for name in ["notes.md", *builds]}
    assert runner.run("release", "publish", files, GITHUB_REF_NAME="v0.1.0")[0], runner.output
    (words,) = runner.read("releases")
    assert words[:5] == ["release", "create", "v0.1.0", *builds]


@pytest.mark.parametrize("tag", ["v9.9.9", "v0.1", "vUnreleased"])
def test_a_tag_must_equal_the_version(runner, tag):
    """The project, the changelog and a snapshot contain the same version as the tag."""
    assert not runner.run("release", "build", GITHUB_REF_NAME=tag)[0]


def test_only_a_commit_of_main_becomes_a_release(runner):
    """Anybody who may push a tag could otherwise release what nobody has reviewed."""
    assert not runner.run("release", "build", GITHUB_REF_NAME="v0.1.0", GITHUB_SHA="0000000")[0]
    assert not runner.read("builds")


def test_a_release_needs_a_section_in_the_changelog(tmp_path):
    """An empty section is an error, too."""
    (tmp_path / ".ci").mkdir()
    script = shutil.copy(ROOT / ".ci" / "changelog", tmp_path / ".ci")
    (tmp_path / "CHANGELOG.md").write_text("# Changes\n\n## 2.0.0 - 2026-12-01\n\n## 1.0.0 - 2026-11-01\n\n- First.\n")
    run = lambda version: subprocess.run(["bash", script, version], capture_output=True, text=True)  # noqa: E731
    assert run("1.0.0").stdout.strip() == "- First."
    assert (run("2.0.0").returncode, run("1.0").returncode) == (1, 1)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_pins_its_actions_and_drops_its_permissions(name):
    """Each action is pinned to a commit, and each job has only the permissions that it lists."""
    workflow = WORKFLOWS[name]
    assert workflow["permissions"] in ({}, {"contents": "read"})
    for job in workflow["jobs"].values():
        for used in [step["uses"] for step in job.get("steps", []) if "uses" in step]:
            assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", used), used
    text = json.dumps(workflow)
    assert "secrets." not in text, "there are no stored credentials"


def test_only_jobs_that_deploy_get_a_token():
    """A job that builds runs code of packages, so it has no access to an account."""
    with_token = {
        (name, job)
        for name, workflow in WORKFLOWS.items()
        for job, body in workflow["jobs"].items()
        if "id-token" in body.get("permissions", {})
    }
    assert with_token == {("deploy", "dev"), ("deploy", "prod"), ("deploy-environment", "deploy")}
    assert WORKFLOWS["deploy-environment"]["jobs"]["deploy"]["environment"] == "${{ inputs.environment }}"
    assert WORKFLOWS["deploy"]["jobs"]["prod"]["needs"] == "dev"


def test_the_document_names_every_variable():
    """docs/shipping.md lists all variables that the workflows read."""
    text = "".join(path.read_text() for path in (ROOT / ".github" / "workflows").glob("*.yml"))
    used = set(re.findall(r"\bvars\.(\w+)", text))
    documented = set(re.findall(r"`([A-Z_]+)(?:=\w+)?`", (ROOT / "docs" / "shipping.md").read_text()))
    assert used <= documented
    assert set(VARIABLES) <= used


# ---- cicd/roles.yml


def statements(role: str) -> list[dict[str, Any]]:
    policies = ROLES["Resources"][role]["Properties"]["Policies"]
    return [statement for policy in policies for statement in policy["PolicyDocument"]["Statement"]]


def boundary(name: str) -> list[dict[str, Any]]:
    document: list[dict[str, Any]] = ROLES["Resources"][name]["Properties"]["PolicyDocument"]["Statement"]
    return document


def actions(some: list[dict[str, Any]]) -> set[str]:
    return {action for statement in some for action in as_list(statement["Action"])}


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@pytest.fixture(scope="module")
def resources():
    """The translated resources of the stack, with those of nested applications."""
    parameters = {"NotificationEmail": "a@example.com", "AlarmEmail": "a@example.com"}
    template = load(ROOT / "template.yml", "image-pipeline", "eu-west-1", parameters)
    plan(template, "", "")
    return [body for part in template.with_nested() for body in part.document["Resources"].values()]


NOT_GRANTED = {
    # pattern of actions: why the stack does not need them
    **dict.fromkeys(["ec2:*", "elasticfilesystem:*", "s3files:*"], "no function is in a VPC"),
    **dict.fromkeys(["s3tables:*", "s3:*Metadata*Configuration"], "no bucket has tables of metadata"),
    **dict.fromkeys(["kinesis:*", "firehose:*", "dynamodb:*KinesisStreaming*"], "nothing is sent to Kinesis"),
    **dict.fromkeys(
        ["dynamodb:*Item", "dynamodb:Query", "dynamodb:Scan", "dynamodb:ImportTable", "s3:GetObjectMetadata"],
        "the deployment reads and writes no items",
    ),
    **dict.fromkeys(["dynamodb:*Replica", "iam:CreateServiceLinkedRole"], "no table is global"),
    **dict.fromkeys(["dynamodb:PutResourcePolicy", "dynamodb:DeleteResourcePolicy"], "no table has a policy"),
    "dynamodb:UpdateContributorInsights": "not used",
    **dict.fromkeys(["s3:DeleteObject", "s3:PutObjectAcl", "s3:PutBucketAcl"], "data stays; ACLs are off"),
    **dict.fromkeys(
        [
            *(
                "s3:PutAnalytics*",
                "s3:PutInventory*",
                "s3:PutMetrics*",
                "s3:PutIntelligentTiering*",
                "s3:PutBucketLogging",
            ),
            *("s3:Put*Replication*", "s3:PutBucketWebsite", "s3:DeleteBucketWebsite", "s3:PutAccelerateConfiguration"),
            *("s3:Put*ObjectLock*", "s3:PutBucketAbac"),
        ],
        "no bucket has this setting",
    ),
    **dict.fromkeys(
        [
            *("s3:REST.PUT.OBJECT", "s3:getObject", "s3:DeleteBucketCors", "s3:DeleteBucket[AELMR]*"),
            *("apigateway:*agResource", "lambda:AssociateRuntimeAlias"),
        ],
        "IAM has no such action",
    ),
    **dict.fromkeys(
        ["logs:*IndexPolic*", "logs:*DataProtectionPolicy", "logs:*KmsKey"], "no log group has this setting"
    ),
    **dict.fromkeys(["logs:PutBearerTokenAuthentication", "logs:PutLogGroupDeletionProtection"], "not used"),
    **dict.fromkeys(["logs:*LogStream*", "logs:PutLogEvents", "logs:DeleteResourcePolicy"], "for imports of tables"),
    **dict.fromkeys(["lambda:*CodeSigningConfig", "lambda:PutFunctionScalingConfig"], "no function has this setting"),
    **dict.fromkeys(["lambda:PublishVersion", "lambda:PassCapacityProvider"], "no function has this setting"),
    "sns:PutDataProtectionPolicy": "no topic has one",
    "iam:DeleteRolePermissionsBoundary": "the boundary stays",
    **dict.fromkeys(
        [
            *("kms:CreateGrant", "kms:RevokeGrant", "kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey"),
            *("kms:ListAliases", "kms:DisableKey"),
        ],
        "the key of the alarms is for CloudWatch and SNS only",
    ),
    **dict.fromkeys(["cloudformation:SetStackPolicy", "cloudformation:UpdateTerminationProtection"], "not used"),
}
"""Actions that CloudFormation's handlers can use and these templates do not need."""
ACCESS_LOG = {
    *("logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery"),
    *("logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups"),
}
"""https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging.html; the handlers do not list them."""


def handled(resources: list[dict[str, Any]]) -> set[str]:
    """The actions that the handlers of CloudFormation need for these types, as AWS publishes them."""
    needed: set[str] = set()
    for kind in {body["Type"] for body in resources}:
        handlers = resource_schema(kind)["handlers"]
        for name in ("create", "read", "update", "delete"):
            needed |= set(handlers.get(name, {}).get("permissions", []))
    return needed


def test_cloudformation_has_exactly_the_permissions_for_the_templates(resources):
    """The permissions follow from the types of the resources, except those in NOT_GRANTED."""
    needed = {
        action for action in handled(resources) if not any(fnmatchcase(action, pattern) for pattern in NOT_GRANTED)
    }
    assert actions(statements("ExecutionRole")) == needed | ACCESS_LOG


def test_every_exception_is_needed(resources):
    """A pattern in NOT_GRANTED that matches nothing would hide the next mistake."""
    unused = [pattern for pattern in NOT_GRANTED if not any(fnmatchcase(name, pattern) for name in handled(resources))]
    assert unused == []


def test_cloudformation_changes_only_resources_of_the_stack():
    """Names begin with that of the stack, where AWS names a resource before it exists; tags tell others apart."""
    for statement in statements("ExecutionRole"):
        for resource in as_list(statement["Resource"]):
            if resource != "*" and "ArtifactBucket" not in json.dumps(resource):
                scope = re.search(r"\$\{StackName\}-|\*StateMachine-|/apis|/tags|mapping:", str(resource))
                assert scope, (statement["Sid"], resource)


TAG = "aws:ResourceTag/aws:cloudformation:stack-name"
OF_OTHER_STACKS = {"StringNotEquals": {TAG: {"Ref": "StackName"}}, "Null": {TAG: "false"}}
"""A condition that is true for resources which CloudFormation created for another stack."""


def test_a_tag_separates_resources_of_other_stacks(resources):
    """CloudFormation tags these types of resources, or the template does."""
    for name, sid in (
        ("ExecutionBoundary", "ChangeNothingOfOtherStacks"),
        ("ServiceBoundary", "OnlyWorkflowsOfTheStack"),
    ):
        (deny,) = [statement for statement in boundary(name) if statement["Sid"] == sid]
        assert (deny["Effect"], deny["Resource"], deny["Condition"]) == ("Deny", "*", OF_OTHER_STACKS)
        assert "states:*" in as_list(deny["Action"])
    for kind in ("AWS::StepFunctions::StateMachine", "AWS::ApiGatewayV2::Api", "AWS::XRay::SamplingRule"):
        assert resource_schema(kind)["tagging"]["cloudFormationSystemTags"]
    (key,) = [body["Properties"] for body in resources if body["Type"] == "AWS::KMS::Key"]
    assert key["Tags"] == [{"Key": "stack", "Value": {"Ref": "PipelineStackName"}}]
    (verify,) = [
        statement for statement in statements("VerifyRole") if "states:StartExecution" in as_list(statement["Action"])
    ]
    assert verify["Condition"] == {"StringEquals": {TAG: {"Ref": "StackName"}}}


def test_the_service_boundary_equals_the_grants_of_the_template(resources):
    """A role of the stack can use all its permissions, and no role can get others."""
    granted: set[str] = set()
    for body in resources:
        if body["Type"] == "AWS::IAM::Role":
            assert "PermissionsBoundary" in body["Properties"]
            documents = [policy["PolicyDocument"] for policy in body["Properties"].get("Policies", [])]
            granted |= {action for document in documents for action in allowed(document)}
    granted |= {action for statement in MANAGED_POLICIES.values() for action in statement["Action"]}
    (statement,) = [candidate for candidate in boundary("ServiceBoundary") if candidate["Effect"] == "Allow"]
    assert set(statement["Action"]) == granted


def test_roles_reach_only_data_of_their_stack(resources):
    """Names of data resources begin with the name of the stack, unless the template sets another name."""
    (deny,) = [statement for statement in boundary("ServiceBoundary") if statement["Sid"] == "OnlyDataOfTheStack"]
    services = {
        resource["Fn::Sub"].removeprefix("arn:${AWS::Partition}:").split(":")[0] for resource in deny["NotResource"]
    }
    assert services == {action.split(":")[0] for action in deny["Action"]}
    assert all("${StackName}-" in str(resource) for resource in deny["NotResource"])
    granted = [
        statement["Resource"]
        for body in resources
        if body["Type"] == "AWS::IAM::Role"
        for document in body["Properties"].get("Policies", [])
        for statement in as_list(document["PolicyDocument"]["Statement"])
        if statement.get("Effect") == "Allow"
        and any(fnmatchcase(action, pattern) for action in as_list(statement["Action"]) for pattern in deny["Action"])
    ]
    ids = set(re.findall(r"\$\{(\w+)\.Arn|(?:Ref\W+|GetAtt\W+)(\w+)", json.dumps(granted)))
    assert ids
    for logical_id in {first or second for first, second in ids}:
        names = {"BucketName", "TableName", "FunctionName", "TopicName", "QueueName"}
        assert not names & TEMPLATE["Resources"][logical_id]["Properties"].keys(), logical_id


def allowed(value: Any) -> set[str]:
    """All actions that a policy document allows, also inside of conditions of the template."""
    if isinstance(value, list):
        return {action for item in value for action in allowed(item)}
    if not isinstance(value, dict):
        return set()
    if value.get("Effect") == "Allow":
        return set(as_list(value["Action"]))
    return {action for item in value.values() for action in allowed(item)}


def test_no_role_can_be_created_without_the_boundary():
    """Otherwise a deployed function could get a role that may do everything."""
    execution = ROLES["Resources"]["ExecutionRole"]["Properties"]
    assert execution["PermissionsBoundary"] == {"Ref": "ExecutionBoundary"}
    (deny,) = [
        statement for statement in boundary("ExecutionBoundary") if statement["Sid"] == "CreateNoRoleWithoutBoundary"
    ]
    condition = {"StringNotEquals": {"iam:PermissionsBoundary": {"Ref": "ServiceBoundary"}}}
    assert (deny["Effect"], deny["Resource"], deny["Condition"]) == ("Deny", "*", condition)
    granting = {"iam:CreateRole", "iam:PutRolePolicy", "iam:AttachRolePolicy", "iam:PutRolePermissionsBoundary"}
    assert set(deny["Action"]) == granting


def test_cloudformation_cannot_change_the_roles_and_builds_of_the_deployment():
    """Whatever the name of their stack is."""
    patterns = [
        str(pattern["Fn::Sub"]).replace("${StackName}", "image-pipeline-dev")
        for statement in (*statements("ExecutionRole"), *boundary("ExecutionBoundary"))
        for pattern in as_list(statement["Resource"])
        if statement["Effect"] == "Allow" and ":role/" in str(pattern)
    ]
    assert patterns
    for name in ("DeployRole", "VerifyRole", "ExecutionRole"):
        path = ROLES["Resources"][name]["Properties"]["Path"]
        arn = f"arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:role{path}image-pipeline-dev-roles-{name}-X"
        assert not [pattern for pattern in patterns if fnmatchcase(arn, pattern)]
    (deny,) = [statement for statement in boundary("ExecutionBoundary") if statement["Sid"] == "KeepThisStack"]
    assert (deny["Effect"], deny["Action"], deny["Resource"]) == ("Deny", "cloudformation:*", {"Ref": "AWS::StackId"})
    (deny,) = [statement for statement in boundary("ExecutionBoundary") if statement["Sid"] == "OnlyReadBuilds"]
    assert (deny["Effect"], deny["NotAction"]) == ("Deny", ["s3:GetObject", "s3:GetObjectVersion"])
    assert deny["Resource"] == [{"Fn::GetAtt": "ArtifactBucket.Arn"}, {"Fn::Sub": "${ArtifactBucket.Arn}/*"}]


def test_the_deployment_imports_no_resource():
    """An imported resource would get the properties of the template, such as the policy of a key."""
    (deny,) = [statement for statement in statements("DeployRole") if statement["Effect"] == "Deny"]
    assert (deny["Action"], deny["Resource"]) == ("cloudformation:CreateChangeSet", "*")
    assert deny["Condition"] == {"ForAnyValue:StringLike": {"cloudformation:ImportResourceTypes": "*"}}


def test_the_verification_sends_messages_only_to_its_queues():
    """Otherwise it could send all events of the bus and all notifications to anybody."""
    queues = {"Fn::Sub": "arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}:image-pipeline-verify-*"}
    conditions = {
        action: [
            statement.get("Condition")
            for statement in statements("VerifyRole")
            if action in as_list(statement["Action"])
        ]
        for action in ("events:PutRule", "events:PutTargets", "sns:Subscribe")
    }
    assert conditions == {
        "events:PutRule": [
            {"ForAllValues:StringEquals": {"events:source": "image-pipeline"}, "Null": {"events:source": "false"}}
        ],
        "events:PutTargets": [
            {"ForAllValues:ArnLike": {"events:TargetArn": queues}, "Null": {"events:TargetArn": "false"}}
        ],
        "sns:Subscribe": [{"StringEquals": {"sns:Protocol": "sqs"}, "StringLike": {"sns:Endpoint": queues}}],
    }


@pytest.mark.parametrize(
    ("repository", "fits"),
    [
        *(("anna@123/images@456", True), ("anna/images", True), ("anna_acme@1/my.images@2", True)),
        *(("anna@123/*", False), ("anna@x/images@y", False), ("anna/images:ref:refs/heads/x", False), ("a/b/c", False)),
    ],
)
def test_tokens_with_and_without_ids_are_trusted(repository, fits):
    """The tokens of new repositories contain numeric ids, which are never assigned again."""
    pattern = ROLES["Parameters"]["Repository"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, repository)) is fits


@pytest.mark.parametrize("role", ["DeployRole", "VerifyRole"])
def test_a_role_trusts_one_environment_of_one_repository(role):
    """Exact matches: with a pattern, another repository or branch could fit."""
    trust = ROLES["Resources"][role]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    (statement,) = trust
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert statement["Condition"] == {
        "StringEquals": {
            "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
            "token.actions.githubusercontent.com:sub": {"Fn::Sub": "repo:${Repository}:environment:${Environment}"},
        }
    }


def test_the_deployment_role_only_starts_cloudformation():
    """The role passes one role to CloudFormation and uploads builds."""
    changing = {
        action for action in actions(statements("DeployRole")) if not re.search(r":(Get|List|Describe)", action)
    }
    assert changing == {
        *("cloudformation:CreateChangeSet", "cloudformation:ExecuteChangeSet", "iam:PassRole"),
        *("s3:PutObject", "s3:AbortMultipartUpload"),
    }
    (passed,) = [statement for statement in statements("DeployRole") if statement["Action"] == "iam:PassRole"]
    assert passed["Resource"] == {"Fn::GetAtt": "ExecutionRole.Arn"}


def test_policies_fit_into_the_limits_of_iam():
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html, with room for longer names."""
    size = lambda document: len(json.dumps(document, separators=(",", ":")))  # noqa: E731
    for name, body in ROLES["Resources"].items():
        if body["Type"] == "AWS::IAM::Role":
            assert sum(size(policy["PolicyDocument"]) for policy in body["Properties"]["Policies"]) < 10_240 * 0.9, name
        elif body["Type"] == "AWS::IAM::ManagedPolicy":
            assert size(body["Properties"]["PolicyDocument"]) < 6_144 * 0.9, name
