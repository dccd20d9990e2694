"""Look for what no test sees: unsafe settings, known vulnerabilities, secrets, unsafe workflows. For `make audit`.

The scanners have a virtual environment of their own, because their pins are not ours. Exceptions have their reasons in
`.checkov.yaml` for the templates and in NOT_SECRET for secrets; one that nothing needs any more is to be mended, too.
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

# Which files (a shell's pattern), what is in the line, and why it is no secret.
NOT_SECRET = [
    ("*", r'"etag": "[0-9a-f]{32}"', "the MD5 of a sample"),
    ("*", r'"sequencer": "[0-9A-Fa-f]+"', "orders the events of a sample"),
    ("*", r'"0055AED6DCD90281E[56]"', "a sequencer"),
    ("events/*", r'"md5OfBody": "[0-9a-f]{32}"', "the MD5 of a sample"),
    ("*", r'"AWS_SECRET_ACCESS_KEY": "(test|bench)"', "moto takes any"),
    ("*", r'"x-api-key": "not-a-key"', "as it says"),
    ("*", r'API_KEY_TABLE(: !Ref| =) "?(ApiKeyTable|api-key-table)', "the name of a table"),
    ("template.yml", r"TakesTokens: !Not", "a condition"),
    ("tests/local/emulator/test_jsonata.py", r"\$hash\('a', 'SHA-256'\)", "the SHA-256 of one letter"),
    ("*requirements*.txt", "^ +--hash=sha256:[0-9a-f]{64}", "the hash of a package"),
    ("tests/releases/*", '^ +"S": ".*([0-9a-f]{16}|[0-9A-F]{18})', "a hash, an id or a sequencer of a sample"),
    ("local/co*.py", r"TOKEN_(HEADER|VARIABLE) = ", "the name of a header"),
    ("tests/unit/imaging/test_summary.py", r'^ *\(32, 24, (True|False)\): "', "a ThumbHash"),
]

TEMPLATES = [ROOT / "template.yml", ROOT / "monitoring" / "template.yml"]

LAYERS = {"layers/vendor": ["x86_64", "aarch64"], "layers/simd": ["x86_64"]}
"""The architectures that each layer is deployed for."""

# Has dozens of published vulnerabilities: a service that knows of none is not asked about ours.
CONTROL = "django==1.8"


class AuditError(Exception):
    """A scanner gave no report; the message says what it gave instead."""


@dataclass(frozen=True)
class Report:
    """What was looked at, what is to be mended, and what could not be looked at: sentences or parts of them."""

    scope: str = ""
    findings: list[str] = field(default_factory=list)
    unchecked: str = ""


def settings() -> Report:
    """Scan the templates, and what SAM makes of the first: only there are the roles and their policies."""
    with tempfile.TemporaryDirectory() as folder:
        translated = Path(folder, "translated.json")
        translated.write_text(json.dumps(load(TEMPLATES[0], "image-pipeline", "eu-central-1").document))
        # In place of the exceptions in .checkov.yaml, so that the report tells which of them are needed.
        nothing_skipped = ["--skip-check", "CKV_NONE"]
        files = [*TEMPLATES, translated]
        report = report_of(run("checkov", "--output", "json", *nothing_skipped, "--file", *files))
    checked = report["results"]["passed_checks"] + report["results"]["failed_checks"]
    # checkov calls clean what it cannot read.
    if {Path(each["file_abs_path"]) for each in checked} != set(files):
        raise AuditError("checkov could not read every template, or what SAM makes of one: `make lint` says more.")
    excepted = set(yaml.safe_load((ROOT / ".checkov.yaml").read_text())["skip-check"])
    failed = report["results"]["failed_checks"]
    findings = {
        f"{each['resource'].rpartition('.')[2]} fails {each['check_id']}: {each['check_name']}."
        for each in failed
        if each["check_id"] not in excepted
    }
    outlived = unneeded(".checkov.yaml", excepted - {each["check_id"] for each in failed})
    kinds = len({each["check_id"] for each in checked} - excepted)
    scope = f"{len(TEMPLATES)} templates by {kinds} kinds of checks, besides {len(excepted)} that .checkov.yaml excepts"
    return Report(scope, sorted(findings) + outlived)


def packages() -> Report:
    """Look up the pinned packages in PyPI's list of known vulnerabilities."""
    with tempfile.TemporaryDirectory() as folder:
        control = Path(folder, "control.txt")
        control.write_text(
            f"{CONTROL} --hash=sha256:{64 * '0'}\n"
        )  # where one has a hash, each must; nothing is installed
        files = [*sorted(ROOT.glob("layers/*/requirements.txt")), ROOT / "requirements-dev.txt", control]
        command = ["--no-deps", "--disable-pip", "--progress-spinner=off", "--format=json"]
        command += [f"--requirement={path}" for path in files]
        listed = run("pip-audit", "--dry-run", *command)
        if listed.returncode:
            raise AuditError(f"pip-audit cannot read the requirements: {last_line(listed)}")
        done = run("pip-audit", *command)
    if not done.stdout:
        return Report(unchecked=f"the service cannot be reached ({last_line(done)})")
    return vulnerabilities(report_of(done)["dependencies"])


def wheels() -> Report:
    """Download the packages of the layers for each architecture, as far as their hashes are locked."""
    findings = []
    for layer, architectures in LAYERS.items():
        for architecture in architectures:
            platforms = [f"--platform=manylinux_2_{glibc}_{architecture}" for glibc in (28, 17)]
            done = download(*platforms, "--python-version=3.13", f"--requirement={layer}/requirements.txt")
            if done.returncode:
                findings.append(f"{layer} cannot be installed for {architecture}: {last_line(done)}")
    if findings and download("packaging").returncode:
        return Report(unchecked=f"no package can be downloaded ({findings[0]})")
    return Report(f"{', '.join(LAYERS)} for Python 3.13 on Linux", findings)


def download(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Download packages, but none that would have to be built, and throw them away."""
    with tempfile.TemporaryDirectory() as folder:
        return run("pip", "download", "--quiet", "--only-binary=:all:", f"--dest={folder}", *arguments)


def vulnerabilities(dependencies: list[dict[str, Any]]) -> Report:
    """Read pip-audit's report, which calls clean what the service does not know."""
    control = CONTROL.partition("==")[0]
    known = {each["name"]: each for each in dependencies if "vulns" in each}
    proof = known.pop(control, {"vulns": []})["vulns"]
    findings = [
        f"{each['name']} {each['version']} has {found['id']}, mended in {', '.join(found['fix_versions']) or 'none'}."
        for each in known.values()
        for found in each["vulns"]
    ]
    if not proof and not findings:
        return Report(unchecked=f"the service knows no vulnerability of {CONTROL}, so it has no list")
    unknown = sorted(each["name"] for each in dependencies if "vulns" not in each)
    return Report(
        f"{len(known)} packages", findings, f"the service does not have {', '.join(unknown)}" if unknown else ""
    )


def secrets() -> Report:
    """Scan every file that git tracks."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    names = [name for name in listed.stdout.split("\0") if (ROOT / name).is_file()]
    findings, needed = [], set()
    for name, found in report_of(run("detect-secrets", "scan", "--no-verify", *names))["results"].items():
        lines = (ROOT / name).read_text(encoding="utf-8", errors="replace").splitlines()
        for each in found:
            line = lines[each["line_number"] - 1]
            excuses = {text for files, text, _ in NOT_SECRET if fnmatchcase(name, files) and re.search(text, line)}
            needed |= excuses
            if not excuses:
                findings.append(f"{name}, line {each['line_number']}, looks like a secret ({each['type']}).")
    findings += unneeded("tools/audit.py", {text for _, text, _ in NOT_SECRET} - needed)
    return Report(f"{len(names)} files", findings)


def workflows() -> Report:
    """Scan what runs on GitHub."""
    findings = []
    for found in report_of(run("zizmor", "--offline", "--strict-collection", "--format=json", ".github/workflows")):
        place = found["locations"][0]
        path = place["symbolic"]["key"]["Local"]["verbatim_path"]
        line = place["concrete"]["location"]["start_point"]["row"] + 1
        findings.append(f"{path}, line {line}: {found['desc']} ({found['ident']}).")
    return Report(".github/workflows", findings)


def unneeded(file: str, exceptions: Iterable[str]) -> list[str]:
    """Name the exceptions that have outlived their reason."""
    return [f"{file} excepts {exception}, and nothing needs it any more." for exception in sorted(exceptions)]


def run(scanner: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a scanner; its exit code also says whether it has found something, so it is not looked at."""
    return subprocess.run([SCANNERS / scanner, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def report_of(done: subprocess.CompletedProcess[str]) -> Any:
    """Parse what a scanner printed."""
    try:
        return json.loads(done.stdout)
    except ValueError:
        raise AuditError(f"{Path(done.args[0]).name} gave no report, but said: {done.stderr.strip()}") from None


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    """What a scanner said last of its trouble."""
    return textwrap.shorten((done.stderr.strip().splitlines() or ["it does not say why"])[-1], 200, placeholder=" …")


def main() -> int:
    """Run every scan and tell what it says; 0 when nothing is to be mended."""
    scans = {
        "Settings": settings,
        "Wheels": wheels,
        "Vulnerabilities": packages,
        "Secrets": secrets,
        "Workflows": workflows,
    }
    reports = [tell(name, scan) for name, scan in scans.items()]
    to_mend = sum(len(report.findings) for report in reports)
    if to_mend:
        print(f"The audit has found {to_mend} to mend.")
    elif any(report.unchecked for report in reports):
        print("The audit is clean, as far as it could check.")
    else:
        print("The audit is clean.")
    return int(to_mend > 0)


def tell(name: str, scan: Callable[[], Report]) -> Report:
    """Run one scan and print its report."""
    try:
        report = scan()
    except AuditError as error:
        report = Report(findings=[str(error)])
    if report.scope:
        print(f"{name}: {len(report.findings) or 'nothing'} to mend in {report.scope}.")
    for finding in report.findings:
        print(f"  {finding}")
    if report.unchecked:
        print(f"{name}: NOT CHECKED, {report.unchecked}.")
    return report


if __name__ == "__main__":
    sys.exit(main())
