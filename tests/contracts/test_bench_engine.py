"""The comparison with other libraries is fair, and its verdicts follow from the figures."""

import ast
import re
from dataclasses import replace
from pathlib import Path

import pytest

from bench.engine import contestants, inputs, report
from bench.engine.inputs import Picture
from bench.engine.measuring import Disturbance
from tests.conftest import ROOT

PLAIN = Picture("x", Path("x.jpeg"), "JPEG", 4000, 3000, profile=False, alpha=False, orientation=1)
PICTURES = {
    "jpeg-12mp": PLAIN,
    "jpeg-12mp-no-exif": PLAIN,
    "jpeg-12mp-p3-turned": replace(PLAIN, profile=True, orientation=6),
    "jpeg-24mp": replace(PLAIN, width=6000, height=4000),
    "jpeg-48mp": replace(PLAIN, width=8000, height=6000),
    "jpeg-12mp-progressive": PLAIN,
    "jpeg-1920px-web": replace(PLAIN, width=1920, height=1440),
    "jpeg-512px": replace(PLAIN, width=512, height=512),
    "png-12mp-photo": replace(PLAIN, format="PNG"),
    "png-20mp-screen": replace(PLAIN, format="PNG", width=5120, height=3840),
    "png-15mp-alpha": replace(PLAIN, format="PNG", width=4480, height=3360, alpha=True),
    "webp-12mp": replace(PLAIN, format="WEBP"),
    "webp-3mp-lossless": replace(PLAIN, format="WEBP", width=2000, height=1500),
    "avif-12mp": replace(PLAIN, format="AVIF"),
    "heic-12mp": replace(PLAIN, format="HEIF"),
    "tiff-12mp-lzw": replace(PLAIN, format="TIFF"),
    "tiff-12mp-raw": replace(PLAIN, format="TIFF"),
    "each alone": replace(PLAIN, format="PNG", profile=True),
    "all together": replace(PLAIN, profile=True, alpha=True, orientation=6),
}
"""The measured images, and some that combine what they have."""


def has_profile(picture):
    return picture.profile


def has_alpha(picture):
    return picture.alpha


def is_turned(picture):
    return picture.orientation != 1


def is_large_jpeg(picture):
    return picture.format == "JPEG" and picture.width >= 4000


def always(_):
    return True


VIPS = {("thumbnail", "size"): always, ("thumbnail", "output_profile"): has_profile, ("jpeg", "keep"): always}
NEEDS = {
    ("engine", "x86_64"): {},
    ("engine", "arm64"): {},
    ("pillow", "idiomatic"): {},
    ("pillow", "tuned"): {
        ("resize", "reducing_gap"): always,
        ("draft", "shrink"): is_large_jpeg,
        ("convert", "profile"): has_profile,
        ("transpose", "orientation"): is_turned,
        ("flatten", "background"): has_alpha,
    },
    ("vips", "idiomatic"): {**VIPS, ("jpeg", "background"): has_alpha},
    ("vips", "one"): {**VIPS, ("jpeg", "background"): has_alpha},
    ("vips", "tuned"): {**VIPS, ("flatten", "background"): has_alpha, ("load", "shrink"): is_large_jpeg},
    ("sharp", "idiomatic"): {("flatten", "background"): has_alpha},
    ("sharp", "one"): {("flatten", "background"): has_alpha},
    ("sharp", "tuned"): {
        ("jpeg", "optimiseCoding"): always,
        ("rotate", "angle"): is_turned,
        ("flatten", "background"): has_alpha,
    },
    ("opencv", "tuned"): {("load", "shrink"): is_large_jpeg},
}
"""For which images a library gets an option, by manner."""
ONLY_WEBP = {
    "vips": {("webp", "keep"), ("webp", "effort")},
    "sharp": {("webp", "effort")},
    "pillow": {("webp", "method")},
}
WRITTEN = {
    "_tutorial": set(),
    "_tuned_pillow": set(),
    "_first_reduction": set(),
    "_on_background": {"mask"},
    "_pillow_file": {"quality"},
    "vips": set(),
    "_idiomatic_vips": set(),
    "_one_vips_decode": set(),
    "_tuned_vips": {"access"},
    "_vips_thumbnail": {"height"},
    "_smaller": {"height", "size"},
    "_vips_file": {"Q"},
    "opencv": {"interpolation"},
}
"""Options that the functions of `worker.py` set themselves: sizes and qualities of the files, and one filter."""
WRITTEN_FOR_SHARP = {"width", "height", "fit", "withoutEnlargement", "quality", "resolveWithObject", "channels"}


def named_options(contestant, picture, job):
    """The options of a contestant as (step, name)."""
    worker = contestants.WORKERS[contestant.worker]
    options = contestants.options(worker, picture, job, contestant.webp_effort)
    return {(step, name) for step, values in options.items() for name in values}


@pytest.mark.parametrize("job", contestants.jobs().values(), ids=lambda job: job.name)
@pytest.mark.parametrize("contestant", contestants.CONTESTANTS, ids=lambda contestant: contestant.name)
def test_no_contestant_gets_an_option_that_its_job_does_not_need(contestant, job):
    """A manner gets exactly what an image needs: nothing for profile, turn, transparency or WebP without one."""
    assert set(inputs.INPUTS) < set(PICTURES)
    worker = contestants.WORKERS[contestant.worker]
    needs = NEEDS[worker.library, worker.manner]
    webp = any(file.format == "webp" for file in job.files)
    for name, picture in PICTURES.items():
        options = named_options(contestant, picture, job)
        only_webp = ONLY_WEBP.get(worker.library, set()) if webp else set()
        assert options - only_webp == {option for option, needed in needs.items() if needed(picture)}, name


def test_only_libvips_gets_a_setting_by_its_environment(monkeypatch):
    """One thread for the tuned libvips and for the decodes of the floor; settings of the shell reach nobody."""
    one_thread = {"VIPS_CONCURRENCY": "1"}
    given_to = {name: worker.environment for name, worker in contestants.WORKERS.items() if worker.environment}
    assert given_to == {"vips, tuned": one_thread}
    assert [worker.environment for worker in contestants.DECODES.values()] == 3 * [one_thread]
    for name in ("VIPS_CONCURRENCY", "VIPS_NOVECTOR", "MALLOC_ARENA_MAX"):
        monkeypatch.setenv(name, "7")
    environments = {name: contestants.environment(worker) for name, worker in contestants.WORKERS.items()}
    settings = {
        name: {key: value for key, value in environment.items() if key.startswith(("VIPS_", "MALLOC_"))}
        for name, environment in environments.items()
    }
    assert settings == {name: worker.environment for name, worker in contestants.WORKERS.items()}


def test_workers_set_no_other_option():
    """What is written in `worker.py` is the size and quality of a file; everything else comes with the request."""
    tree = ast.parse((ROOT / "bench" / "engine" / "worker.py").read_text())
    written = {
        function.name: {
            keyword.arg for call in ast.walk(function) if isinstance(call, ast.Call)
            for keyword in call.keywords if keyword.arg
        }
        for function in tree.body if isinstance(function, ast.FunctionDef) and function.name in WRITTEN
    }  # fmt: skip
    assert written == WRITTEN


def test_the_worker_of_sharp_sets_no_other_option():
    """Each name before a colon in an object is a size, a quality or a part of the pixels."""
    source = (ROOT / "bench" / "engine" / "sharp_worker.mjs").read_text().partition("const make =")[0]
    code = re.sub(r"//.*", "", source)
    assert set(re.findall(r"[{,]\s*(\w+):", code)) <= WRITTEN_FOR_SHARP | {"raw", "data"}
    assert re.findall(r"sharp\.\w+\(.*?\)", code) == ["sharp.cache(false)"]


def test_other_work_is_noticed():
    """The CPU time of children of this process is not that of others; a machine that idles has none."""
    assert Disturbance().cores() >= 0
    assert not report.warning(0.0)
    assert "quiet machine" in report.warning(0.5)


@pytest.mark.parametrize("library", ["vips", "sharp", "pillow"])
def test_a_tuned_peer_has_every_option_that_the_image_needs(library):
    """The options convert the colours, apply the orientation and put transparency on white."""

    def is_tuned(contestant):
        worker = contestants.WORKERS[contestant.worker]
        return (worker.library, worker.manner) == (library, "tuned")

    (contestant,) = filter(is_tuned, contestants.CONTESTANTS)
    picture = replace(PLAIN, profile=True, alpha=True, orientation=6)
    steps = {step for step, _ in named_options(contestant, picture, contestants.jobs()["jpeg"])}
    automatic = {"vips": {"rotate"}, "sharp": {"profile"}, "pillow": set()}[library]
    names = {"thumbnail": "profile", "convert": "profile", "rotate": "rotate", "transpose": "rotate"}
    assert {names.get(step, step) for step in steps} | automatic >= {"profile", "rotate", "flatten"}


@pytest.mark.parametrize(("width", "shrink"), [(1600, 1), (3999, 1), (4000, 2), (6000, 2), (8000, 4), (16000, 8)])
def test_a_shrunk_jpeg_keeps_the_margin(width, shrink):
    """The decoded image is at least 1.25 times as large as the largest file."""
    picture = replace(PLAIN, width=width, height=width * 3 // 4)
    assert contestants.jpeg_shrink(picture, contestants.jobs()["jpeg"]) == shrink


def figures(cpu, ssim=0.97, psnr=35.0):
    return {"cpu": cpu, "wall": cpu, "bytes": 1, "ssim": [0.98, ssim], "psnr": [36.0, psnr]}


def results(**contestant_figures):
    """The results of one picture; underscores in names stand for ", "."""
    by_name = {name.replace("_", ", "): value for name, value in contestant_figures.items()}
    by_name |= {"engine, arm64 path": by_name["engine"]} if "engine, arm64 path" not in by_name else {}
    peak = {contestants.ARM64: 90, **{report.PEERS.get(name, name): 100 for name in by_name}}
    picture = {"jobs": {"jpeg": by_name}, "peak": {"jpeg": peak}}
    picture["memory"] = {"jpeg": {"grown": 50, "predicted": 60}}
    picture["floor"] = {"jpeg": {"decode": 0.05, "encode": 0.02}}
    return {"pictures": {"jpeg-12mp": picture}}


@pytest.mark.parametrize(
    ("peer", "ratio"),
    [
        (figures(0.05), 2.0),
        (figures(0.05, ssim=0.9681), 2.0),
        (figures(0.05, ssim=0.9679), 0.5),
        (figures(0.05, psnr=32.1), 2.0),
        (figures(0.05, psnr=31.9), 0.5),
        ({"cpu": 0.05, "wall": 0.05, "bytes": 1}, 0.5),
        (figures(0.3, ssim=0.99), 0.5),
    ],
    ids=["equal", "almost", "softer", "more error", "colours", "not upright", "better and slower"],
)
def test_the_best_peer_is_the_fastest_of_equal_quality(peer, ratio):
    """A peer counts if no file of it is more than 0.002 SSIM worse, and its colours are those of the engine."""
    (case,) = report.cases(results(engine=figures(0.1), vips_tuned=peer, sharp_tuned=figures(0.2)))
    assert case.ratio() == pytest.approx(ratio)


@pytest.mark.parametrize(("cpu", "met"), [(0.09, True), (0.099, True), (0.1, False)])
def test_a_tie_meets_the_limit_and_a_miss_states_its_size(cpu, met):
    """The limit for JPEG is 0.95 of the best peer, and 5 % more are a tie."""
    run = results(engine=figures(cpu), vips_tuned=figures(0.1))
    target = next(target for target in report.targets(run) if "JPEG, WebP, AVIF" in target.name)
    assert (not target.misses) == met
    assert target.row().endswith("| met |" if met else f"jpeg-12mp, five JPEG sizes {cpu / 0.1:.4g} |")


def test_a_loss_of_quality_at_the_largest_size_is_a_miss():
    """The engine may be 0.002 SSIM below the best peer at 1600 px."""
    worse = figures(0.1)
    worse["ssim"] = [0.975, 0.97]
    run = results(engine=worse, vips_tuned=figures(0.2))
    target = next(target for target in report.targets(run) if target.name.startswith("SSIM"))
    assert target.misses == {"jpeg-12mp, five JPEG sizes": pytest.approx(0.005)}


def test_memory_is_compared_for_each_job():
    """The engine's process needs 1.5 times the memory of the best peer in one job, and grows more than predicted."""
    run = results(engine=figures(0.1), vips_tuned=figures(0.2))
    picture = run["pictures"]["jpeg-12mp"]
    picture["jobs"]["recipes"] = picture["jobs"]["jpeg"]
    picture["floor"]["recipes"] = picture["floor"]["jpeg"]
    picture["peak"]["recipes"] = {**picture["peak"]["jpeg"], "engine": 150}
    picture["memory"]["recipes"] = {"grown": 70, "predicted": 60}
    missed = {target.name: target.misses for target in report.targets(run) if "memory" in target.name}
    assert [list(misses) for misses in missed.values()] == 2 * [["jpeg-12mp, default recipes"]]


def test_the_conclusion_names_formats():
    """A reader sees on which formats the engine is faster, on which slower, and by how much."""
    run = results(engine=figures(0.1), vips_tuned=figures(0.2))
    assert "all JPEG images" in report.conclusion(run)
    run["pictures"]["tiff-12mp-raw"] = results(engine=figures(0.3), vips_tuned=figures(0.2))["pictures"]["jpeg-12mp"]
    assert "slower on 1 TIFF (up to 1.50 times)" in report.conclusion(run)
    assert report.conclusion(run).count(". ") == 2
