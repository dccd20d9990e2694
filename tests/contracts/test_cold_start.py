"""The modules that a cold start imports, the clients that it creates, and the byte code of the layers."""

import ast
import json
import os
import runpy
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import botocore
import pytest

from bench import cold_start
from tests.conftest import HEAVY, ROOT

FUNCTIONS = sorted(path.parent.name for path in (ROOT / "functions").glob("*/app.py"))
LAYER = ROOT / "layers" / "core"
SERVICES = {"states": "stepfunctions"}
"""botocore's names of services whose actions have another prefix."""
OF_LAMBDA = {"ReadChanges", "FindStream", "KeepUnpublished", "KeepUnlisted", "TakeMessages"}
"""Statements with which Lambda itself reads a stream or a queue."""


def run(function: str, code: str) -> str:
    """Run code in a fresh process with the modules of a function and without the caller's AWS credentials."""
    path = os.pathsep.join((str(ROOT / "functions" / function), str(LAYER)))
    variables = {**cold_start.ENVIRONMENT, "PYTHONPATH": path}
    return subprocess.run(
        [sys.executable, "-c", code], env=variables, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def declared_services(function: str) -> set[str]:
    """The services whose clients a handler creates at import."""
    tree = ast.parse((ROOT / "functions" / function / "app.py").read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "aws.clients"]
    return {argument.value for call in calls for argument in call.args}


def permitted_services(properties: dict) -> set[str]:
    """The services that a function itself may call."""
    statements = [
        statement
        for policy in properties["Policies"]
        for choice in policy["Statement"]
        for statement in (choice["Fn::If"][1:2] if "Fn::If" in choice else [choice])
    ]
    actions = [
        action
        for statement in statements
        if statement["Effect"] == "Allow" and statement["Sid"] not in OF_LAMBDA
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    ]
    services = {action.partition(":")[0] for action in actions}
    return {SERVICES.get(service, service) for service in services}


RARELY = {
    "extract_metadata": {"s3"},  # never: Rekognition reads the rendition with the role of the function
    "generate_thumbnails": {"dynamodb"},  # if the upload replaces another
    "store_results": {"s3"},  # the same
}
"""Services that a function may call, and that most invocations do not call."""


def test_a_function_creates_the_clients_of_the_services_that_it_may_call(template):
    """Each client takes time at import; a missing one would be created during the first invocation."""
    for logical_id, body in template["Resources"].items():
        if body["Type"] == "AWS::Serverless::Function":
            function = body["Properties"]["CodeUri"].removeprefix("functions/")
            expected = permitted_services(body["Properties"]) - RARELY.get(function, set())
            assert declared_services(function) == expected, logical_id


IMPORT_EACH = """
import importlib, json, os, sys
folders, shared = json.loads(sys.argv[1])
for name in shared:
    importlib.import_module(name)
for folder in folders:
    child = os.fork()
    if not child:
        sys.path.insert(0, folder)
        import app
        print(json.dumps([folder, sorted(sys.modules)]), flush=True)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, folder
"""


@cache
def loaded_modules() -> dict[str, set[str]]:
    """The modules that the import of each handler loads, each in a process of its own.

    A process with clients is the copy of one that has imported botocore, which takes most of the time.
    """
    loaded = {}
    for with_clients, shared in ((True, ["botocore.session"]), (False, [])):
        functions = [name for name in FUNCTIONS if bool(declared_services(name)) == with_clients]
        arguments = json.dumps([[str(ROOT / "functions" / name) for name in functions], shared])
        variables = {**cold_start.ENVIRONMENT, "PYTHONPATH": str(LAYER)}
        command = [sys.executable, "-c", IMPORT_EACH, arguments]
        lines = subprocess.run(
            command, env=variables, stdout=subprocess.PIPE, text=True, check=True
        ).stdout.splitlines()
        loaded |= {Path(folder).name: set(modules) for folder, modules in map(json.loads, lines)}
    return loaded


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_does_not_import_slow_modules_without_a_reason(function):
    """No function imports boto3; only functions with clients import botocore, and only two import the engine."""
    loaded = loaded_modules()[function]
    unneeded = {"boto3", "s3transfer"}
    if not declared_services(function):
        unneeded.add("botocore.session")
    if function not in ("generate_thumbnails", "select_backfill"):  # the recipe id depends on the engine
        unneeded |= {"PIL", "image_pipeline.imaging.engine"}
    assert not unneeded & loaded


@pytest.mark.parametrize(
    ("function", "budget"),
    [
        pytest.param("validate_image", 1.4, marks=HEAVY),  # as store_results
        ("generate_thumbnails", 1.8),
        ("store_results", 1.4),
        ("refuse_request", 0.5),
    ],
)
def test_a_start_takes_little_longer_than_one_client(function, budget):
    """The CPU time of a start is a small multiple of the time that botocore needs for one client."""
    codes = ["import app", "import botocore.session; botocore.session.get_session().create_client('s3')"]
    measure = "import time; {}; print(time.process_time())"
    ratios = []
    for _ in range(3):  # a busy machine may disturb a measurement
        start, client = (float(run(function, measure.format(code))) for code in codes)
        ratios.append(start / client)
        if ratios[-1] <= budget:
            break
    assert min(ratios) <= budget


TRIM = ROOT / "layers" / "vendor" / "trim_botocore.py"
DESCRIBE = """
import json, sys
from botocore.session import Session
session = Session()
regions = ["us-east-1", "eu-west-1", "cn-north-1", "us-gov-west-1"]
keys = {"aws_access_key_id": "none", "aws_secret_access_key": "none"}
described, calls = {}, json.loads(sys.argv[1])
for service in calls:
    clients = [session.create_client(service, region_name=region, **keys) for region in regions]
    model = clients[0].meta.service_model
    operations = {name: sorted(model.operation_model(name).input_shape.members) for name in model.operation_names
                  if model.operation_model(name).input_shape}
    operation, parameters = calls[service]
    requests = [client.generate_presigned_url(operation, Params=parameters).partition("?")[0] for client in clients]
    described[service] = [operations, [client.meta.endpoint_url for client in clients], requests]
print(json.dumps([described, sorted(session.get_available_services())]))
"""


@pytest.fixture(scope="module")
def trimmed(tmp_path_factory):
    """A layer with the botocore of this environment, trimmed as `sam build` trims it."""
    folder = tmp_path_factory.mktemp("layer")
    shutil.copytree(Path(botocore.__file__).parent, folder / "botocore", ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([sys.executable, str(TRIM), str(folder)], check=True)
    return folder


def describe(folder: Path) -> list:
    calls = runpy.run_path(str(TRIM))["CALLS"]
    command = [sys.executable, "-c", DESCRIBE, json.dumps(calls)]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return json.loads(subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout)


def test_the_layer_describes_the_services_that_functions_call(trimmed, template):
    """The layer contains no other service, because botocore would look at its files at each start."""
    functions = [body for body in template["Resources"].values() if body["Type"] == "AWS::Serverless::Function"]
    called = set().union(*(permitted_services(body["Properties"]) for body in functions))
    assert {path.name for path in (trimmed / "botocore" / "data").iterdir() if path.is_dir()} == called


def test_a_trimmed_botocore_behaves_as_before(trimmed):
    """Operations, parameters, endpoints and addresses of requests stay the same in all partitions."""
    whole, _ = describe(trimmed.parent)
    described, available = describe(trimmed)
    assert described == whole
    assert available == sorted(described)


def build(target: str, artifacts: object) -> None:
    """Run a target of the layers' makefile as `sam build` does."""
    command = ["make", "--silent", f"--makefile={ROOT / 'layers' / 'Makefile'}", target, f"PYTHON={sys.executable}"]
    subprocess.run(command, cwd=LAYER, env={**os.environ, "ARTIFACTS_DIR": str(artifacts)}, check=True)


def test_the_core_layer_has_valid_byte_code_for_every_module(tmp_path):
    """Lambda cannot write byte code and does not check its age; repeated builds are equal."""
    for name in ("first", "second"):
        build("build-CoreLayer", tmp_path / name)
    package = tmp_path / "first" / "python"
    modules = sorted(package.rglob("*.py"))
    assert len(modules) == len(list((LAYER / "image_pipeline").rglob("*.py")))
    for module in modules:
        (compiled,) = (module.parent / "__pycache__").glob(f"{module.stem}.*.pyc")
        data = compiled.read_bytes()
        assert int.from_bytes(data[4:8], "little") == 1  # PEP 552: a hash that is not checked
        assert f"/opt/python/{module.relative_to(package)}".encode() in data
        assert data == (tmp_path / "second" / compiled.relative_to(tmp_path / "first")).read_bytes()


def test_the_makefile_knows_every_architecture(template):
    """Each architecture has a folder in that of the layer, because a container mounts no other one."""
    for layer in ("VendorLayer", "VipsLayer"):
        body = template["Resources"][layer]
        folder = body["Properties"]["ContentUri"]
        assert body["Metadata"]["WorkingDirectory"] == {"Fn::Sub": f"{folder}/${{Architecture}}"}
        for architecture in template["Parameters"]["Architecture"]["AllowedValues"]:
            platforms = (ROOT / folder / architecture / "platforms").read_text().split()
            suffix = {"x86_64": "_x86_64", "arm64": "_aarch64"}[architecture]
            assert platforms
            assert all(one.startswith("--platform=manylinux") and one.endswith(suffix) for one in platforms)


def test_a_container_follows_the_link_to_the_web_page():
    """`sam build --use-container` mounts the folder of a function, in which the link would lead to nowhere."""
    assert (ROOT / "functions" / "serve_page" / "web").is_symlink()
    settings = tomllib.loads((ROOT / "samconfig.toml").read_text())
    builds = [section["build"]["parameters"] for section in settings.values() if isinstance(section, dict)]
    assert all(build["mount_symlinks"] is True for build in builds)
