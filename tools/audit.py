"""`make audit`: scan for unsafe settings, known vulnerabilities, secrets, and wrong workflows and scripts.

The scanners have their own virtual environment, because their pinned packages conflict with those of the project.
Accepted findings and their reasons are listed in `.checkov.yaml`, in the metadata of a resource, and in NOT_SECRET. An
unused exception is a finding, too, except in metadata.
"""

import json
import re
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from local.emulator.template import load

ROOT = Path(__file__).parent.parent
SCANNERS = ROOT / ".venv-audit" / "bin"

# Pattern of files, pattern of the line, and why it is not a secret.
NOT_SECRET = [
    ("*", r'"etag": "[0-9a-f]{32}"', "the MD5 of a sample"),
    ("*", r'"sequencer": "[0-9A-Fa-f]+"', "orders the events of a sample"),
    ("*", r'"0055AED6DCD90281E[56]"', "a sequencer"),
    ("events/*", r'"md5OfBody": "[0-9a-f]{32}"', "the MD5 of a sample"),
    ("*", r'"AWS_SECRET_ACCESS_KEY": "(test|bench)"', "moto accepts any"),
    ("*", r'"x-api-key": "not-a-key"', "not a key"),
    ("*", r'API_KEY_TABLE(: !Ref| =|":) "?(ApiKeyTable|api-key-table|keys)', "the name of a table"),
    ("template.yml", r"TakesTokens: !Not", "a condition"),
    ("tests/local/emulator/test_jsonata.py", r"\$hash\('a', 'SHA-256'\)", "the SHA-256 of one letter"),
    ("*requirements*.txt", "^ +--hash=sha256:[0-9a-f]{64}", "the hash of a package"),
    ("tests/releases/*", '^ +"S": ".*([0-9a-f]{16}|[0-9A-F]{18})', "a hash, an id or a sequencer of a sample"),
    ("tests/corpus/animations.json", '^  "frames": "eNr[0-9A-Za-z+/=]+"', "frames of an animation"),
    ("image_pipeline_cli/verify/heic.py", '^    "[0-9A-Za-z+/=]+"', "an image"),
    ("tests/cli/test_commands.py", "ProcessImageStateMachine-", "the name of a state machine"),
    ("tests/unit/feeds/test_listing.py", r'\.digest == "[0-9a-f]{16}"', "the digest of a filter"),
    ("tests/web/test_sign_in.py", '= "header.claims.signature"', "not a token"),
    ("bench/logs.py", '"spanId":"[0-9a-f]{16}"', "the id of a span"),
    ("local/emulator/co*.py", r"TOKEN_(HEADER|VARIABLE) = ", "the name of a header"),
    ("tests/unit/imaging/test_summary.py", r'^ *\(32, 24, (True|False)\): "', "a ThumbHash"),
]

TEMPLATES = [ROOT / "template.yml", ROOT / "monitoring" / "template.yml", ROOT / "cicd" / "roles.yml"]

LAYERS = {
    "layers/vendor": ["x86_64", "aarch64"],
    "layers/vips": ["x86_64", "aarch64"],
    "layers/simd": ["x86_64"],
}
"""The architectures that each layer is deployed for."""

# It has dozens of published vulnerabilities. If the service reports none for it, its other results are meaningless.
CONTROL = "django==1.8"


class AuditError(Exception):
    """A scanner printed no report; the message has its output."""


@dataclass(frozen=True)
class Report:
    """The scope of a scan, its findings, and the reason for anything that was not checked."""

    scope: str = ""
    findings: list[str] = field(default_factory=list)
    unchecked: str = ""


def settings() -> Report:
    """Scan the templates, and the translation of the first, which has the roles and their policies."""
    with tempfile.TemporaryDirectory() as folder:
        translated = Path(folder, "translated.json")
        translated.write_text(json.dumps(load(TEMPLATES[0], "image-pipeline", "eu-central-1").document))
        # Ignore the exceptions in .checkov.yaml, so that the report shows which of them are needed.
        nothing_skipped = ["--skip-check", "CKV_NONE"]
        files = [*TEMPLATES, translated]
        report = report_of(run("checkov", "--output", "json", *nothing_skipped, "--file", *files))
    checked = report["results"]["passed_checks"] + report["results"]["failed_checks"]
    # checkov reports no findings for files that it cannot read.
    if {Path(check["file_abs_path"]) for check in checked} != set(files):
        raise AuditError("checkov could not read every template or its translation; `make lint` shows errors.")
    accepted = set(yaml.safe_load((ROOT / ".checkov.yaml").read_text())["skip-check"])
    failed = report["results"]["failed_checks"]
    findings = {
        f"{check['resource'].rpartition('.')[2]} fails {check['check_id']}: {check['check_name']}."
        for check in failed
        if check["check_id"] not in accepted
    }
    unused = unneeded(".checkov.yaml", accepted - {check["check_id"] for check in failed})
    kinds = len({check["check_id"] for check in checked} - accepted)
    scope = f"{len(TEMPLATES)} templates with {kinds} kinds of checks; .checkov.yaml accepts {len(accepted)} others"
    return Report(scope, sorted(findings) + unused)


def packages() -> Report:
    """Look up known vulnerabilities of the pinned packages."""
    with tempfile.TemporaryDirectory() as folder:
        control = Path(folder, "control.txt")
        control.write_text(
            f"{CONTROL} --hash=sha256:{64 * '0'}\n"
        )  # if one requirement has a hash, each must; nothing is installed
        files = [*sorted(ROOT.glob("layers/*/requirements.txt")), ROOT / "requirements-dev.txt", control]
        command = ["--no-deps", "--disable-pip", "--progress-spinner=off", "--format=json"]
        command += [f"--requirement={path}" for path in files]
        dry_run = run("pip-audit", "--dry-run", *command)
        if dry_run.returncode:
            raise AuditError(f"pip-audit cannot read the requirements: {last_line(dry_run)}")
        process = run("pip-audit", *command)
    if not process.stdout:
        return Report(unchecked=f"the service cannot be reached ({last_line(process)})")
    return vulnerabilities(report_of(process)["dependencies"])


def wheels() -> Report:
    """Download the packages of the layers for each architecture, with their locked hashes."""
    findings = []
    for layer, architectures in LAYERS.items():
        for architecture in architectures:
            platforms = [f"--platform=manylinux_2_{glibc}_{architecture}" for glibc in (28, 17)]
            process = download(*platforms, "--python-version=3.13", f"--requirement={layer}/requirements.txt")
            if process.returncode:
                findings.append(f"{layer} cannot be installed for {architecture}: {last_line(process)}")
    if findings and download("packaging").returncode:
        return Report(unchecked=f"packages cannot be downloaded ({findings[0]})")
    return Report(f"{', '.join(LAYERS)} for Python 3.13 on Linux", findings)


def download(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Download packages, but no source packages, and discard them."""
    with tempfile.TemporaryDirectory() as folder:
        return run("pip", "download", "--quiet", "--only-binary=:all:", f"--dest={folder}", *arguments)


def vulnerabilities(dependencies: list[dict[str, Any]]) -> Report:
    """Read the report of pip-audit, which reports unknown packages as clean."""
    control = CONTROL.partition("==")[0]
    packages_by_name = {package["name"]: package for package in dependencies if "vulns" in package}
    proof = packages_by_name.pop(control, {"vulns": []})["vulns"]
    findings = [
        f"{package['name']} {package['version']} has {vulnerability['id']}, "
        f"fixed in {', '.join(vulnerability['fix_versions']) or 'none'}."
        for package in packages_by_name.values()
        for vulnerability in package["vulns"]
    ]
    if not proof and not findings:
        return Report(unchecked=f"the service reports no vulnerability of {CONTROL}, so its results are incomplete")
    unknown = sorted(package["name"] for package in dependencies if "vulns" not in package)
    return Report(
        f"{len(packages_by_name)} packages",
        findings,
        f"the service does not know {', '.join(unknown)}" if unknown else "",
    )


def secrets() -> Report:
    """Scan every file that git tracks."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    names = [name for name in tracked.stdout.split("\0") if (ROOT / name).is_file()]
    findings = []
    needed: set[str] = set()
    for name, secrets_of_file in report_of(run("detect-secrets", "scan", "--no-verify", *names))["results"].items():
        lines = (ROOT / name).read_text(encoding="utf-8", errors="replace").splitlines()
        for secret in secrets_of_file:
            line = lines[secret["line_number"] - 1]
            exceptions = {text for files, text, _ in NOT_SECRET if fnmatchcase(name, files) and re.search(text, line)}
            needed |= exceptions
            if not exceptions:
                findings.append(f"{name}, line {secret['line_number']}, looks like a secret ({secret['type']}).")
    findings += unneeded("tools/audit.py", {text for _, text, _ in NOT_SECRET} - needed)
    return Report(f"{len(names)} files", findings)


def workflows() -> Report:
    """Scan the workflows of GitHub Actions."""
    findings = []
    for finding in report_of(run("zizmor", "--offline", "--strict-collection", "--format=json", ".github/workflows")):
        location = finding["locations"][0]
        path = location["symbolic"]["key"]["Local"]["verbatim_path"]
        line = location["concrete"]["location"]["start_point"]["row"] + 1
        findings.append(f"{path}, line {line}: {finding['desc']} ({finding['ident']}).")
    shellcheck = f"-shellcheck={SCANNERS / 'shellcheck'}"  # of the scripts in the steps
    for finding in report_of(run("actionlint", "-format={{json .}}", shellcheck, "-pyflakes=")):
        findings.append(f"{finding['filepath']}, line {finding['line']}: {finding['message']} ({finding['kind']}).")
    return Report(".github/workflows", findings)


def scripts() -> Report:
    """Scan the shell scripts; the names of programs in `.ci` have no suffix."""
    paths = [path.relative_to(ROOT) for path in sorted(ROOT.glob(".ci/*"))]
    return Report(
        ".ci",
        [
            f"{finding['file']}, line {finding['line']}: {finding['message']} (SC{finding['code']})."
            for finding in report_of(run("shellcheck", "--format=json", *paths))
        ],
    )


def unneeded(file: str, exceptions: Iterable[str]) -> list[str]:
    """Report exceptions that are no longer needed."""
    return [f"{file} accepts {exception}, which is no longer needed." for exception in sorted(exceptions)]


def run(scanner: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a scanner; its exit code is ignored, because it also reports findings."""
    return subprocess.run([SCANNERS / scanner, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def report_of(process: subprocess.CompletedProcess[str]) -> Any:
    """Parse the output of a scanner."""
    try:
        return json.loads(process.stdout)
    except ValueError:
        raise AuditError(f"{Path(process.args[0]).name} printed no report, but: {process.stderr.strip()}") from None


def last_line(process: subprocess.CompletedProcess[str]) -> str:
    """Return the last line of the error output of a scanner."""
    return textwrap.shorten((process.stderr.strip().splitlines() or ["unknown error"])[-1], 200, placeholder=" …")


def main() -> int:
    """Run every scan and print its report; return 0 if there are no findings."""
    scans = {
        "Settings": settings,
        "Wheels": wheels,
        "Vulnerabilities": packages,
        "Secrets": secrets,
        "Workflows": workflows,
        "Scripts": scripts,
    }
    reports = [print_report(name, scan) for name, scan in scans.items()]
    findings = sum(len(report.findings) for report in reports)
    if findings:
        print(f"The audit has {findings} findings.")
    elif any(report.unchecked for report in reports):
        print("The audit is clean, but incomplete.")
    else:
        print("The audit is clean.")
    return int(findings > 0)


def print_report(name: str, scan: Callable[[], Report]) -> Report:
    """Run one scan and print its report."""
    try:
        result = scan()
    except AuditError as error:
        result = Report(findings=[str(error)])
    if result.scope:
        print(f"{name}: {len(result.findings) or 'no'} findings in {result.scope}.")
    for finding in result.findings:
        print(f"  {finding}")
    if result.unchecked:
        print(f"{name}: NOT CHECKED, {result.unchecked}.")
    return result


if __name__ == "__main__":
    sys.exit(main())
