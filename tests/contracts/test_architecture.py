"""The folders show the architecture; these tests hold the rules about imports, names and documents."""

import ast
import gc
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import ROOT

CORE = ROOT / "layers" / "core" / "image_pipeline"
FUNCTIONS = sorted(path.parent.name for path in (ROOT / "functions").glob("*/app.py"))

# The packages of the core that a package may import; all of them may import the modules at the root.
PACKAGES: dict[str, set[str]] = {
    "imaging": set(),
    "store": set(),
    "workflow": {"imaging"},
    "api": {"imaging", "store"},
    "feeds": {"store"},
    "batch": {"store"},
}
USES_AWS = {"aws", "store", "workflow", "api", "feeds", "batch"}
"""Packages and root modules that may import boto3; the rest is plain Python."""


@cache
def python_files(*folders):
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


@cache
def nodes(path):
    """The nodes of a file that the rules are about: to find them in all files takes seconds."""
    kinds = (
        ast.Import,
        ast.ImportFrom,
        ast.FunctionDef,
        ast.AsyncFunctionDef,
        ast.ClassDef,
        ast.arg,
        ast.Assign,
        ast.Call,
    )
    return [
        node
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, kinds) or (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
    ]


@pytest.fixture(scope="module", autouse=True)
def _keep_the_nodes():
    gc.disable()  # it would look through all nodes again and again, which takes longer than to parse the files
    yield
    gc.enable()
    nodes.cache_clear()  # they take hundreds of megabytes


@cache
def imports(path):
    """Every module that a file imports, with its dotted name."""
    names = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def core_files():
    return [path for path in python_files("layers/core/image_pipeline") if path.stem != "__init__"]


def module_name(path):
    """`imaging.engine` for layers/core/image_pipeline/imaging/engine.py."""
    return ".".join(path.relative_to(CORE).with_suffix("").parts)


MODULES = {module_name(path): path for path in core_files()}


def own_imports(path):
    """Core modules that a core module imports."""
    names = {name.removeprefix("image_pipeline.") for name in imports(path) if name.startswith("image_pipeline.")}
    return names & MODULES.keys()


def package(module):
    """The package of a module; empty for a module at the root."""
    return module.partition(".")[0] if "." in module else ""


@pytest.mark.parametrize("module", MODULES)
def test_packages_import_only_the_packages_in_the_table(module):
    """The root imports no package; every other package imports the root and the packages that PACKAGES lists."""
    allowed = {"", package(module)} | PACKAGES.get(package(module), set())
    assert package(module) in {"", *PACKAGES}, f"{package(module)} is not in PACKAGES"
    assert {package(other) for other in own_imports(MODULES[module])} <= allowed


def test_core_has_no_import_cycle():
    """No module of the core imports itself through other modules, not even within a package."""
    graph = {module: own_imports(path) - {module} for module, path in MODULES.items()}
    while graph:
        free = {module for module, imported in graph.items() if not imported & graph.keys()}
        assert free, f"cycle among {sorted(graph)}"
        graph = {module: imported for module, imported in graph.items() if module not in free}


@pytest.mark.parametrize("module", [name for name in MODULES if name.partition(".")[0] not in USES_AWS])
def test_image_modules_do_not_import_boto3(module):
    """Only the packages and modules in USES_AWS import boto3 or botocore."""
    assert not {name.split(".")[0] for name in imports(MODULES[module])} & {"boto3", "botocore"}


@pytest.mark.parametrize("name", PACKAGES)
def test_package_markers_are_empty(name):
    """A package's `__init__.py` imports nothing, so that a cold start loads only the modules it needs."""
    assert (CORE / name / "__init__.py").read_text() == ""


@pytest.mark.parametrize("name", FUNCTIONS)
def test_handlers_contain_only_wiring(name):
    """A handler has few statements and imports neither another function nor the local run."""
    path = ROOT / "functions" / name / "app.py"
    text = path.read_text()
    (handler,) = [node for node in ast.parse(text).body if getattr(node, "name", "") == "lambda_handler"]
    assert sum(isinstance(node, ast.stmt) for node in ast.walk(handler) if node is not handler) <= 12
    assert "def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:" in text
    assert not {module.split(".")[0] for module in imports(path)} & {"functions", "local", "tests", "boto3", *FUNCTIONS}


USERS = {
    "local/emulator": set(),
    "image_pipeline_cli": {"image_pipeline"},
    "local": {"image_pipeline", "image_pipeline_cli"},
    "tools": {"image_pipeline", "image_pipeline_cli", "local", "tests"},
}
"""Packages of the project that a package beside the application may import, besides itself."""


@pytest.mark.parametrize("folder", USERS)
def test_packages_beside_the_application_import_downwards(folder):
    """The emulator imports no package of the project; the command line does not import the local run."""
    project = {"image_pipeline", "image_pipeline_cli", "local", "tests", "bench", "tools", "functions"}
    emulator = ROOT / "local" / "emulator"
    for path in python_files(folder):
        if folder == "local" and path.is_relative_to(emulator):
            continue
        own = folder.replace("/", ".")
        foreign = {name for name in imports(path) if not f"{name}.".startswith(f"{own}.")}
        assert {name.split(".")[0] for name in foreign} & project <= USERS[folder], path


def test_the_emulator_contains_no_name_of_this_application(template):
    """The emulator runs any template: its code contains no resource, parameter or key prefix of this one."""
    words_of_aws = {"EventBusName", "Labels", "PermissionsBoundary", "Version"}
    names = {*template["Resources"], *template["Parameters"], *template["Outputs"]} - words_of_aws
    for path in python_files("local/emulator"):
        text = path.read_text()
        assert not names & set(re.findall(r"\w+", text)), path
        assert not re.search(r"\b(uploads|thumbnails)/", text), path


def test_only_moto_seams_patch_moto():
    """Only modules in `moto_seams` patch moto."""
    for path in python_files("local", "image_pipeline_cli", "bench", "tools"):
        from_moto = {
            alias.asname or alias.name
            for node in nodes(path)
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("moto")
            for alias in node.names
        }
        patched = {
            target.value.id
            for node in nodes(path)
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name)
        }
        assert path.parent.name == "moto_seams" or not from_moto & patched, path


def test_the_application_does_not_import_the_local_run():
    """No module in functions/ or layers/ imports the local run or a tool."""
    for path in python_files("functions", "layers"):
        assert not {module.split(".")[0] for module in imports(path)} & {
            "local",
            "tests",
            "bench",
            "tools",
            "image_pipeline_cli",
            "moto",
        }


def test_every_function_folder_is_a_function_of_the_template(template):
    """A folder in snake_case has a function in PascalCase with its handler and its log group."""
    functions = {
        logical_id: body["Properties"]
        for logical_id, body in template["Resources"].items()
        if body["Type"] == "AWS::Serverless::Function"
    }
    pascal = {"".join(word.capitalize() for word in name.split("_")): name for name in FUNCTIONS}
    assert set(functions) == {f"{name}Function" for name in pascal}
    for name, folder in pascal.items():
        assert functions[f"{name}Function"]["CodeUri"] == f"functions/{folder}"
        assert functions[f"{name}Function"]["LoggingConfig"]["LogGroup"] == {"Ref": f"{name}LogGroup"}


TESTED_WITH = {"fax": "tiff", "result": "render", "runs": "bmp", "samples": "tiff", "values": "tiff"}
"""Modules that only one other module or format uses, and whose tests are in its file."""


@pytest.mark.parametrize("module", MODULES)
def test_unit_tests_mirror_the_core(module):
    """Each module has a test file in the same package; a format has one test file for all its modules."""
    *packages, name = module.split(".")
    folder = ROOT / "tests" / "unit" / Path(*packages)
    files = [folder / f"test_{TESTED_WITH.get(name, name)}.py"]
    if len(packages) == 2:
        files.append(folder.parent / f"test_{TESTED_WITH.get(name, name.split('_')[0])}.py")
    assert any(file.exists() for file in files)


def test_the_top_level_contains_only_the_designed_folders():
    """A new folder at the top level needs an entry here."""
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}
    assert folders - {"__pycache__"} <= {
        "statemachine", "functions", "layers", "events", "monitoring",
        "tests", "local", "bench", "image_pipeline_cli", "tools", "web", "docs", "cicd",
    }  # fmt: skip


UNCLEAR_NAMES = {
    *("told", "asked", "wanted", "found", "named", "seen", "heard", "made", "given", "gone", "begun", "mended"),
    *("each", "others", "ours", "theirs", "what", "who", "where"),
}
"""Participles and pronouns, which do not say what a value is."""


def defined_names(path):
    """(line, name) of every variable, parameter, function and class that a file defines."""
    for node in nodes(path):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name


def test_names_are_nouns_and_verbs():
    """A value has a noun as its name, and a function a verb or the noun of its result."""
    paths = python_files("bench", "functions", "image_pipeline_cli", "layers/core", "local", "tests", "tools")
    unclear = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in paths
        for line, name in defined_names(path)
        if name in UNCLEAR_NAMES
    ]
    assert not unclear, "\n".join(unclear)


@pytest.mark.parametrize("path", python_files("tests"), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_test_has_a_docstring(path):
    """The docstring of a test states the rule that the test holds."""
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            assert ast.get_docstring(node), f"{path.name}: {node.name} has no docstring"


def test_no_test_sleeps():
    """Tests wait for conditions."""
    for path in python_files("tests"):
        calls = [node.func for node in nodes(path) if isinstance(node, ast.Call)]
        assert not [call for call in calls if isinstance(call, ast.Attribute) and call.attr == "sleep"], path


def test_every_test_has_a_time_limit(pytestconfig):
    """A test that hangs ends with an error that names it."""
    assert pytestconfig.pluginmanager.hasplugin("timeout")
    assert float(pytestconfig.getini("timeout")) > 0


DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
UP_TO_DATE = [path for path in DOCUMENTS if path.name != "CHANGELOG.md"]
"""Documents about today; the list of changes also names what is gone."""


def anchors(path):
    """The anchors of a document's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_are_valid(path):
    """The target of every link exists, with its heading."""
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", path.read_text()):
        if not re.match(r"[a-z]+:", target):
            file = path.parent / target if target else path
            assert file.exists(), f"{path.name} links to {target}"
            assert not anchor or anchor in anchors(file), f"{path.name} links to {target}#{anchor}"


def test_files_and_folders_that_documents_name_exist():
    """Every path in a document exists in the tree."""
    folders = "statemachine|functions|layers|events|monitoring|tests|local|bench|image_pipeline_cli|tools|docs"
    for path in UP_TO_DATE:
        for name in re.findall(rf"`((?:{folders})/[\w./-]*)`", path.read_text()):
            assert (ROOT / name).exists() or (ROOT / "tests" / name).exists(), f"{path.name} names {name}"


def test_documents_name_only_existing_make_targets():
    """Every `make x` in a document is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for path in UP_TO_DATE:
        commands = set(re.findall(r"`make ([a-z-]+)", path.read_text()))
        commands |= set(re.findall(r"^make ([a-z-]+)", path.read_text(), re.MULTILINE))
        assert commands <= targets, f"{path.name} names {sorted(commands - targets)}"


def test_parameters_of_the_template_are_documented(template):
    """The table in docs/configuration.md has exactly the parameters of the template, with their defaults."""
    document = (ROOT / "docs" / "configuration.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| `?([^|`]*?)`? \|", document, re.MULTILINE))
    defaults = {name: str(body.get("Default", "")) for name, body in template["Parameters"].items()}
    assert rows == {name: default or "(empty)" for name, default in defaults.items()}


def test_binary_files_are_small_and_in_known_folders():
    """Binary files are images of tests and samples, or releases; each is below 600 kB."""
    folders = ("tests/corpus", "tests/unit/imaging/golden", "tests/releases", "local/samples", "docs", "bench")
    allowed = [Path(folder) for folder in folders]
    import subprocess

    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.split(b"\0")
    for name in filter(None, tracked):
        path = Path(name.decode())
        full = ROOT / path
        if full.is_file() and b"\0" in full.read_bytes()[:4096]:
            assert any(path.is_relative_to(folder) for folder in allowed), f"{path} is binary"
            assert full.stat().st_size < 600_000


def test_an_assignment_computes_one_value():
    """A tuple of calls on one line hides what each name is: `config, key = load(environment), event["imageKey"]`."""
    for path in python_files("functions", "layers/core", "image_pipeline_cli", "local"):
        for node in nodes(path):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple):
                values = node.value.elts if isinstance(node.value, ast.Tuple) else []
                calls = [call for value in values for call in ast.walk(value) if isinstance(call, ast.Call)]
                assert not calls, f"{path.relative_to(ROOT)}:{node.lineno} assigns several values"


def test_a_class_of_the_core_has_its_own_name():
    """A reader who meets a name knows what it is, whatever module imports it."""
    names = Counter(
        node.name.lstrip("_") for path in core_files() for node in nodes(path) if isinstance(node, ast.ClassDef)
    )
    assert not [name for name, count in names.items() if count > 1]
