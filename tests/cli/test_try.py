"""`image-pipeline try` on local files, without a stack."""

from __future__ import annotations

import io
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from image_pipeline.imaging import engine, recipes
from image_pipeline.imaging.formats.limits import RUNTIME_BYTES, Limits
from image_pipeline_cli.commands import main
from image_pipeline_cli.exits import IMAGE_FAILED, INCOMPLETE, OK, USAGE
from image_pipeline_cli.trial import rendering
from tests.conftest import TEMPLATE
from tests.pictures import encoded, gradient

HOSTILE = "<img src=x onerror=alert(1)>\u202e.jpg"

PRESENT = """
[recipes.small]
width = 40
height = 40
[recipes.web]
width = 120
height = 120
"""
TRIED = """
[recipes.small]
width = 40
height = 40
[recipes.web]
width = 120
height = 120
quality = 10
[recipes.shop]
width = 30
height = 30
fit = "cover"
formats = ["webp"]
[folders]
"uploads/shop/" = ["shop"]
"uploads/" = ["small", "web"]
"""


@pytest.fixture
def files(tmp_path: Path) -> Any:
    """A function that runs the command on a folder with these files and returns its exit code and its document."""

    def run(contents: dict[str, bytes], *options: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, Any]:
        for name, text in (("tried.toml", TRIED), ("present.toml", PRESENT)):
            (tmp_path / name).write_text(text)
        (tmp_path / "images").mkdir()
        for name, data in contents.items():
            (tmp_path / "images" / name).write_bytes(data)
        sources = (str(tmp_path / "tried.toml"), "--present", str(tmp_path / "present.toml"))
        code = main(["try", *sources, "--to", str(tmp_path / "out"), "--json", *options, str(tmp_path / "images")])
        return code, json.loads(capsys.readouterr().out)

    return run


def test_every_file_is_rendered_by_both_recipe_files(files, tmp_path, capsys):
    """The renditions are those of the engine; bad files have their reason; the sheet shows all of them."""
    picture = encoded(gradient(300, 200))
    code, document = files({HOSTILE: picture, "text.jpg": b"no image", "cut.jpg": picture[:900]}, capsys=capsys)
    assert code == IMAGE_FAILED
    [image] = document["images"]
    assert image["key"] == f"uploads/images/{HOSTILE}"
    for side, text in (("tried", TRIED), ("present", PRESENT)):
        (tmp_path / "again.toml").write_text(text)
        book = recipes.load(tmp_path / "again.toml").for_key(image["key"])
        expected = engine.render(picture, book, Limits()).renditions
        actual = [
            (rendition["fileName"], rendition["width"], rendition["height"], rendition["sizeBytes"])
            for rendition in image[side]["renditions"]
        ]
        assert actual == [
            (rendition.file_name, rendition.width, rendition.height, len(rendition.data)) for rendition in expected
        ]
    assert {file["code"] for file in document["rejected"]} == {"UnsupportedFormatError", "CorruptImageError"}
    page = Path(document["sheet"]).read_text(encoding="utf-8")
    shown = re.findall(r'src="([^"]+)"', page)
    assert sorted(shown) == sorted(
        str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*") if path.suffix != ".html"
    )
    assert "<img src=x" not in page
    assert "\u202e" not in page
    for rejected in document["rejected"]:
        assert rejected["hint"] in page


def test_lower_quality_shows_in_bytes_similarity_and_dollars(files, capsys):
    """The averages of the tried recipes are below the present ones where they must be."""
    noise = encoded(Image.merge("RGB", [Image.effect_noise((300, 200), 90)] * 3), quality=95)
    code, document = files({"a.jpg": noise}, capsys=capsys)
    assert code == OK
    tried, present = document["averages"]["tried"], document["averages"]["present"]
    assert tried["kilobytes"] < present["kilobytes"]
    assert tried["storageDollars"] < present["storageDollars"]
    assert tried["leastSsim"] < present["leastSsim"] < 1


def test_the_folder_decides_the_recipes(files, capsys):
    """The recipes of the longest matching folder apply, as for an upload."""
    _, document = files({"a.png": encoded(gradient(90, 60), "PNG")}, "--folder", "shop", capsys=capsys)
    [image] = document["images"]
    assert image["key"] == "uploads/shop/images/a.png"
    [rendition] = image["tried"]["renditions"]
    assert (rendition["fileName"], rendition["width"], rendition["height"]) == ("shop.webp", 30, 30)


def test_transparent_pixels_are_compared_on_the_background(files, capsys):
    """The hidden colours of transparent pixels do not count."""
    image = gradient(90, 60, "RGBA")
    image.putalpha(Image.linear_gradient("L").resize((90, 60)))
    _, document = files({"a.png": encoded(image, "PNG")}, capsys=capsys)
    assert document["averages"]["present"]["leastSsim"] > 0.95


def test_text_output_names_every_rendition(tmp_path, capsys):
    """A pipe receives complete lines."""
    (tmp_path / "tried.toml").write_text(TRIED)
    (tmp_path / f"{'long' * 30}.png").write_bytes(encoded(gradient(90, 60), "PNG"))
    arguments = ["try", str(tmp_path / "tried.toml"), str(tmp_path / f"{'long' * 30}.png"), "--jobs", "1"]
    assert main([*arguments, "--to", str(tmp_path / "out")]) == OK
    output = capsys.readouterr().out
    assert "long" * 30 in output
    assert "small.jpg" in output
    assert (tmp_path / "out" / "index.html").as_uri() in output


@pytest.mark.parametrize(
    ("options", "code", "reason"),
    [
        (["--present", "tried.toml"], USAGE, "also the present recipe file"),
        (["--to", "."], USAGE, "not empty"),
        (["--present", "missing.toml"], INCOMPLETE, "missing.toml"),
        (["--present", "broken.toml"], INCOMPLETE, "line 2"),
    ],
)
def test_invalid_arguments_are_rejected_before_work(tmp_path, monkeypatch, capsys, options, code, reason):
    """The message names the invalid argument, and the command writes no file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tried.toml").write_text(TRIED)
    (tmp_path / "broken.toml").write_text("[recipes.a]\nwidth = 0\nheight = 1\n")
    before = sorted(tmp_path.iterdir())
    assert main(["try", "tried.toml", ".", *options]) == code
    assert reason in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


def test_an_unreadable_file_is_reported(files, capsys, tmp_path):
    """The other files are compared, and the exit code reports the missing one."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "gone.jpg").symlink_to(tmp_path / "nowhere")
    code, _ = files({"a.jpg": encoded(gradient(60, 40))}, capsys=capsys)
    assert code == OK
    assert main(["try", str(tmp_path / "tried.toml"), str(tmp_path / "other" / "gone.jpg")]) == INCOMPLETE
    assert "gone.jpg" in capsys.readouterr().err


def test_ideals_are_reduced_from_all_pixels(tmp_path):
    """The reference is Pillow's own reduction of the whole image, which no shortcut has touched."""
    image = Image.merge("RGB", [Image.effect_noise((800, 600), 90)] * 3)
    data = encoded(image, quality=95)
    recipe = recipes.Recipe("a", 100, 100)
    [(_, _, ideal)] = engine.ideals(data, [recipe], Limits())
    with Image.open(io.BytesIO(data)) as decoded:
        expected = decoded.resize((100, 75), Image.Resampling.LANCZOS)
    assert max(abs(a - b) for a, b in zip(ideal.tobytes(), expected.tobytes(), strict=True)) <= 2


def test_the_limits_are_those_of_a_stack_with_the_default_parameters():
    """The command rejects exactly the files that such a stack rejects."""
    limits, parameters = rendering.LIMITS, TEMPLATE["Parameters"]
    memory = TEMPLATE["Resources"]["GenerateThumbnailsFunction"]["Properties"]["MemorySize"]
    assert limits == Limits(
        max_bytes=parameters["MaxUploadMegabytes"]["Default"] * 1_000_000,
        max_pixels=parameters["MaxMegapixels"]["Default"] * 1_000_000,
        memory_bytes=memory * 1024 * 1024 - RUNTIME_BYTES,
    )


def test_a_process_that_ends_is_reported_for_each_file(files, capsys, monkeypatch):
    """A file without a result has an error, even if it was not submitted yet; no traceback is printed."""
    monkeypatch.setattr(rendering, "start_process", end_process)
    contents = {f"{number}.jpg": encoded(gradient(60, 40)) for number in range(9)}
    code, document = files(contents, "--jobs", "1", capsys=capsys)
    assert code == INCOMPLETE
    assert document["images"] == []


def end_process() -> None:
    os._exit(1)
