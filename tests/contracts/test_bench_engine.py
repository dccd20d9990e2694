"""The comparison with other libraries is fair, and its verdicts follow from the figures."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from bench.engine import contestants, report
from bench.engine.inputs import Picture

PLAIN = Picture("x", Path("x.jpeg"), "JPEG", 4000, 3000, profile=False, alpha=False, orientation=1)
NEEDS = {
    ("thumbnail", "output_profile"): lambda picture: picture.profile,
    ("convert", "profile"): lambda picture: picture.profile,
    ("rotate", "angle"): lambda picture: picture.orientation != 1,
    ("transpose", "orientation"): lambda picture: picture.orientation != 1,
    ("flatten", "background"): lambda picture: picture.alpha,
    ("jpeg", "background"): lambda picture: picture.alpha,
    ("load", "shrink"): lambda picture: picture.format == "JPEG" and picture.width >= 4000,
    ("draft", "shrink"): lambda picture: picture.format == "JPEG" and picture.width >= 4000,
}
"""The pictures that need an option."""
ALWAYS = {("thumbnail", "size"), ("jpeg", "keep"), ("jpeg", "optimiseCoding"), ("resize", "reducing_gap")}
ONLY_WEBP = {("webp", "keep"), ("webp", "effort"), ("webp", "method")}


def named_options(contestant, picture, job):
    """The options of a contestant as (step, name)."""
    worker = contestants.WORKERS[contestant.worker]
    options = contestants.options(worker, picture, job, contestant.webp_effort)
    return {(step, name) for step, values in options.items() for name in values}


@pytest.mark.parametrize("job", contestants.jobs().values(), ids=lambda job: job.name)
@pytest.mark.parametrize("contestant", contestants.CONTESTANTS, ids=lambda contestant: contestant.name)
def test_no_contestant_gets_an_option_that_its_job_does_not_need(contestant, job):
    """Each option is known here, and the image or the job needs it."""
    webp = any(file.format == "webp" for file in job.files)
    pictures = product(("JPEG", "PNG"), (1600, 4000), (False, True), (False, True), (1, 6))
    for image_format, width, profile, alpha, orientation in pictures:
        picture = Picture("x", Path("x"), image_format, width, width * 3 // 4, profile, alpha, orientation)
        for option in named_options(contestant, picture, job) - ALWAYS - (ONLY_WEBP if webp else set()):
            assert NEEDS[option](picture), (contestant.name, option, picture)


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
    picture = {"jobs": {"jpeg": by_name}, "peak": peak, "predicted": 120}
    picture["floor"] = {"jpeg": {"decode": 0.05, "encode": 0.02}}
    return {"pictures": {"jpeg-12mp": picture}}


@pytest.mark.parametrize(
    ("peer", "ratio"),
    [
        (figures(0.05), 2.0),
        (figures(0.05, ssim=0.9681), 2.0),
        (figures(0.05, ssim=0.9679), 0.5),
        (figures(0.05, psnr=33.9), 0.5),
        ({"cpu": 0.05, "wall": 0.05, "bytes": 1}, 0.5),
        (figures(0.3, ssim=0.99), 0.5),
    ],
    ids=["equal", "almost", "softer", "colours", "not upright", "better and slower"],
)
def test_the_best_peer_is_the_fastest_of_equal_quality(peer, ratio):
    """A peer counts if no file of it is more than 0.002 SSIM or 1 dB worse."""
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
    assert target.misses == {"jpeg-12mp": pytest.approx(0.005)}
