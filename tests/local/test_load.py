"""`make load` at a small scale, its checks, and its figures in docs/."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bench.load import __main__ as load
from bench.load import report as load_report
from bench.load.check import LoadFault, Results, Sent, check
from bench.load.mix import Upload, uploads
from bench.report import section
from local.pipeline import UPLOADS_MACHINE, Execution, Pipeline
from tests.conftest import heavy

GOOD = Sent(Upload(0, "uploads/a.jpg", "photo", b"", size=(4, 3)), "v1", 0.0)
BAD = Sent(Upload(1, "uploads/b.jpg", "text", b"", error="UnsupportedFormatError", delivered_twice=True), "v2", 0.0)


def arn(name: str) -> str:
    return f"arn:aws:states:us-east-1:123456789012:execution:image-pipeline-ProcessImageStateMachine:{name}"


def execution(name: str, sent: Sent, status: str = "SUCCEEDED") -> Execution:
    thing = {"key": sent.upload.key, "version-id": sent.version_id}
    started = datetime(2026, 11, 21, tzinfo=UTC)
    return Execution(arn(name), UPLOADS_MACHINE, started, status, {"detail": {"object": thing}}, None, None)


FIRST, SECOND, AGAIN = execution("1", GOOD), execution("2", BAD, "FAILED"), execution("3", BAD)
RECORDS = {
    "uploads/a.jpg": {
        "status": "COMPLETED",
        "upload": {"versionId": "v1"},
        "execution": {"id": "1"},
        "image": {"width": 4, "height": 3},
        "renditions": [{}],
    },
    "uploads/b.jpg": {
        "status": "FAILED",
        "upload": {"versionId": "v2"},
        "execution": {"id": "2"},
        "error": {"code": "UnsupportedFormatError"},
    },
}
RIGHT = Results([FIRST, SECOND, AGAIN], frozenset({arn("1"), arn("2")}), [arn("1"), arn("2")], RECORDS)


@heavy
def test_twenty_concurrent_uploads_have_one_outcome_each(tmp_path):
    """Valid, invalid, overwritten and duplicated uploads stay within the memory bounds."""
    events = []
    with Pipeline(tmp_path) as pipeline:
        figures, faults = load.run(pipeline, 20, lambda event, _: events.append(event))
    # The uploader is this process, which has run other tests before.
    assert [fault for fault in faults if "uploader" not in fault.text] == []
    assert (figures["lost"], figures["doubled"], figures["wrong"]) == (0, 0, 0)
    assert set(figures["uploads"]["kinds"]) == {"photo", "drawing", "text", "empty", "truncated"}
    assert figures["uploads"]["executions"] == 20 + figures["uploads"]["delivered_twice"] == 24
    assert figures["uploads"]["superseded"] >= 4
    assert len(figures["ends"]) == figures["uploads"]["keys"] == 17
    assert 0 < figures["latency"]["p50"] <= figures["latency"]["max"] <= figures["seconds"]
    assert events[0] == "sent"
    assert events[-1] == "checking"
    assert load_report.plot(figures).count("<polyline") == 5


def test_a_correct_run_has_no_fault():
    """A superseded execution needs neither an outcome nor a notification."""
    assert check([GOOD, BAD], RIGHT) == []


@pytest.mark.parametrize(
    ("results", "kind", "words"),
    [
        (
            replace(RIGHT, executions=[SECOND, AGAIN], outcomes=frozenset({arn("2")})),
            "lost",
            "0 executions instead of 1",
        ),
        (replace(RIGHT, executions=[FIRST, SECOND]), "lost", "1 executions instead of 2"),
        (replace(RIGHT, executions=[*RIGHT.executions, execution("4", GOOD)]), "doubled", "2 executions instead of 1"),
        (replace(RIGHT, executions=[*RIGHT.executions, replace(FIRST, event={})]), "doubled", "belongs to no upload"),
        (replace(RIGHT, executions=[replace(FIRST, status="RUNNING"), SECOND, AGAIN]), "lost", "does not end"),
        (replace(RIGHT, outcomes=frozenset({arn("2")}), notified=[arn("2")]), "lost", "no outcome"),
        (
            replace(RIGHT, outcomes=frozenset({arn("1"), arn("2"), arn("3")})),
            "doubled",
            "2 outcomes",
        ),
        (replace(RIGHT, notified=[arn("1")]), "lost", "0 notifications instead of 1"),
        (
            replace(RIGHT, notified=[arn("1"), arn("1"), arn("2")]),
            "doubled",
            "2 notifications instead of 1",
        ),
        (
            replace(RIGHT, notified=[arn("1"), arn("2"), arn("3")]),
            "doubled",
            "1 notifications instead of 0",
        ),
        (
            replace(RIGHT, notified=[arn("1"), arn("2"), arn("9")]),
            "doubled",
            "belongs to no upload",
        ),
        (replace(RIGHT, records={"uploads/a.jpg": RECORDS["uploads/a.jpg"]}), "lost", "has no record"),
        (replace(RIGHT, records={**RECORDS, "uploads/c.jpg": {}}), "doubled", "belongs to no upload"),
    ],
)
def test_a_lost_or_duplicate_outcome_is_a_fault(results, kind, words):
    """The check reports its kind."""
    faults = check([GOOD, BAD], results)
    assert [fault for fault in faults if fault.kind == kind and words in fault.text], faults


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"upload": {"versionId": "v0"}}, "lost"),
        ({"execution": {"id": "9"}}, "wrong"),
        ({"status": "PROCESSING"}, "wrong"),
        ({"image": {"width": 3, "height": 4}}, "wrong"),
        ({"renditions": []}, "wrong"),
        ({"status": "FAILED", "error": {"code": "CorruptImageError"}, "image": {}, "renditions": []}, "wrong"),
    ],
)
def test_a_record_of_another_upload_is_a_fault(change, kind):
    """A record must belong to the newest version, have an outcome, and match the file."""
    records = {**RECORDS, "uploads/a.jpg": RECORDS["uploads/a.jpg"] | change}
    assert [fault.kind for fault in check([GOOD, BAD], replace(RIGHT, records=records))] == [kind]


def test_the_record_belongs_to_the_newest_upload():
    """An overwritten upload may be superseded; the record must belong to the newer one."""
    newer = Sent(replace(GOOD.upload, number=2), "v3", 0.0)
    both = [FIRST, execution("5", newer)]
    record = RECORDS["uploads/a.jpg"] | {"upload": {"versionId": "v3"}, "execution": {"id": "5"}}
    results = Results(both, frozenset({arn("5")}), [arn("5")], {"uploads/a.jpg": record})
    assert check([GOOD, newer], results) == []
    assert check([newer, GOOD], results) == []
    older_won = Results(both, frozenset({arn("1")}), [arn("1")], {"uploads/a.jpg": RECORDS["uploads/a.jpg"]})
    assert {fault.kind for fault in check([GOOD, newer], older_won)} == {"lost"}


def test_a_broken_memory_bound_is_reported():
    """The message has the figure and the bound."""
    bound = {"server": {"all": 800}, "workers": {"all": 10}}
    (text,) = load._over_bounds({"peak": {"server": 900, "workers": 10}, "bound": bound})
    assert "server" in text
    assert "900" in text
    assert "800" in text


def test_the_mix_covers_every_case():
    """The mix has every kind, every overwrite, and a duplicate event of an overwritten upload."""
    planned = uploads(20)
    by_key = {upload.key: upload for upload in planned}
    overwritten = [upload for upload in planned if by_key[upload.key] is not upload]
    assert {(old.kind, by_key[old.key].kind) for old in overwritten} == {
        ("photo", "photo"),
        ("truncated", "photo"),
        ("photo", "truncated"),
    }
    assert any(upload.delivered_twice for upload in overwritten)
    assert any(upload.delivered_twice for upload in planned if upload.error)


@pytest.mark.parametrize(
    ("faults", "code"), [([], load.OK), ([LoadFault("lost", "Upload 0 has no record.")], load.FAILED)]
)
def test_the_exit_code_reports_faults(monkeypatch, tmp_path, capsys, faults, code):
    """Figures are saved only without faults; JSON has the faults."""
    figures = json.loads(load_report.RESULTS.read_text())
    written = []
    monkeypatch.setattr(load, "RUN_DIR", tmp_path)
    monkeypatch.setattr(load.Pipeline, "start", lambda _: None)
    monkeypatch.setattr(load, "run", lambda *_: (figures, faults))
    monkeypatch.setattr(load_report, "write", written.append)
    assert load.main(["--json"]) == code
    assert written == ([] if faults else [figures])
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (result["ok"], len(result["faults"])) == (not faults, len(faults))


def test_figures_in_a_pipe_have_no_colour(capsys):
    """Redirected output is plain text."""
    load_report.LoadText().result(
        json.loads(load_report.RESULTS.read_text()), [LoadFault("lost", "Upload 0 has no record.")]
    )
    out = capsys.readouterr().out
    assert "lost: Upload 0 has no record." in out
    assert "\x1b" not in out


def test_document_and_plot_show_the_figures_of_the_last_run():
    """The figures equal bench/results/load.json."""
    figures = json.loads(load_report.RESULTS.read_text())
    assert section("load") == load_report.table(figures)
    assert load_report.PLOT.read_text() == load_report.plot(figures)
    assert figures["uploads"]["count"] >= load.COUNT
    assert (figures["lost"], figures["doubled"], figures["wrong"]) == (0, 0, 0)
