"""`make audit` reports a check that could not run as not checked, never as clean."""

from subprocess import CompletedProcess

import pytest

from tools import audit

CONTROL = {"name": "django", "version": "1.8", "vulns": [{"id": "PYSEC-2016-1", "fix_versions": ["1.8.10"]}]}
CLEAN = {"name": "pillow", "version": "13.0.0", "vulns": []}
UNKNOWN = {"name": "pi-heif", "skip_reason": "Dependency not found on PyPI and could not be audited"}


def test_packages_without_known_vulnerabilities_are_clean():
    """The control package is not counted, because the project does not use it."""
    assert audit.vulnerabilities([CONTROL, CLEAN]) == audit.Report("1 packages")


def test_a_vulnerability_is_reported_with_its_fixed_version():
    """A finding has the package, the vulnerability and the version that fixes it."""
    bad = {**CLEAN, "vulns": [{"id": "PYSEC-2026-7", "fix_versions": ["13.0.1"]}, {"id": "X-1", "fix_versions": []}]}
    assert audit.vulnerabilities([bad, CONTROL]).findings == [
        "pillow 13.0.0 has PYSEC-2026-7, fixed in 13.0.1.",
        "pillow 13.0.0 has X-1, fixed in none.",
    ]


@pytest.mark.parametrize("control", [{"name": "django", "skip_reason": "not found"}, {**CONTROL, "vulns": []}])
def test_packages_are_unchecked_if_the_service_has_no_list(control):
    """A service that does not report the control package has no list, or an empty one."""
    report = audit.vulnerabilities([control, CLEAN])
    assert (report.scope, report.findings) == ("", [])
    assert "django==1.8" in report.unchecked


def test_packages_that_the_service_does_not_know_are_unchecked():
    """A package without an answer is reported as unchecked, and the others as clean."""
    report = audit.vulnerabilities([CONTROL, CLEAN, UNKNOWN])
    assert report.scope == "1 packages"
    assert "pi-heif" in report.unchecked


def test_an_unreachable_service_is_reported_as_not_checked(monkeypatch, capsys):
    """The output has the reason, and the audit does not fail."""
    monkeypatch.setattr(
        audit, "run", lambda _, *words: CompletedProcess(words, int("--dry-run" not in words), "", "No route")
    )
    assert audit.print_report("Vulnerabilities", audit.packages).findings == []
    assert capsys.readouterr().out == "Vulnerabilities: NOT CHECKED, the service cannot be reached (No route).\n"


def test_a_scanner_without_a_report_is_a_finding(monkeypatch):
    """A scanner that crashes causes a finding with its output."""
    monkeypatch.setattr(audit, "run", lambda scanner, *_: CompletedProcess([scanner], 0, "", "Traceback\nOops"))
    (finding,) = audit.print_report("Workflows", audit.workflows).findings
    assert "zizmor" in finding
    assert "Traceback\nOops" in finding


def test_the_scanners_of_workflows_and_scripts_name_file_and_line(monkeypatch):
    """The output of every scanner is converted to a file, a line and a message."""
    shell = '{"file": ".ci/run", "line": 3, "code": 2086, "message": "Quote it"}'
    lint = '{"filepath": ".github/workflows/ci.yml", "line": 7, "message": "unknown key", "kind": "syntax-check"}'
    answers = {"zizmor": "[]", "actionlint": f"[{lint}]", "shellcheck": f"[{shell}]"}
    monkeypatch.setattr(audit, "run", lambda scanner, *_: CompletedProcess([scanner], 1, answers[scanner], ""))
    assert audit.workflows().findings == [".github/workflows/ci.yml, line 7: unknown key (syntax-check)."]
    assert audit.scripts().findings == [".ci/run, line 3: Quote it (SC2086)."]


def downloads(monkeypatch, works):
    """Make `pip download` succeed for the arguments that `works` accepts."""

    def run(_, *words):
        return CompletedProcess(words, int(not works(words)), "", "No matching distribution found")

    monkeypatch.setattr(audit, "run", run)


def test_a_missing_wheel_of_a_layer_is_a_finding(monkeypatch):
    """Without a locked wheel for its architecture, a layer cannot be built."""
    downloads(monkeypatch, lambda words: not any("aarch64" in word for word in words))
    findings = audit.wheels().findings
    assert all("aarch64" in finding for finding in findings)
    assert [layer for layer in ("vendor", "vips", "simd") if f"layers/{layer}" in "".join(findings)] == [
        "vendor",
        "vips",
    ]


def test_layers_are_unchecked_if_the_registry_is_unreachable(monkeypatch):
    """If no package can be downloaded, the audit cannot judge the lock files."""
    downloads(monkeypatch, lambda _: False)
    report = audit.wheels()
    assert (report.scope, report.findings) == ("", [])
    assert "No matching distribution" in report.unchecked


def test_layers_with_wheels_for_each_architecture_are_clean(monkeypatch):
    """The report lists the layers that were checked."""
    downloads(monkeypatch, lambda _: True)
    report = audit.wheels()
    assert (report.findings, report.unchecked) == ([], "")
    assert "layers/vendor" in report.scope
