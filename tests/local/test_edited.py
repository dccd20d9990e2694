"""Editing a file of the application while `make run` runs."""

import json
import os
import shutil

import pytest

from image_pipeline_cli import backfill
from image_pipeline_cli.commands import main
from local.pipeline import ROOT
from tests.pictures import photo

NEW = """
[recipes.icon]
width = 16
height = 16
fit = "cover"
"""


@pytest.fixture
def application(tmp_path):
    """A copy of the deployed application, which a test may edit."""
    shutil.copy(ROOT / "template.yml", tmp_path)
    for folder in ("statemachine", "functions", "layers", "monitoring"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_a_backfill_selects_images_of_an_edited_recipe(
    pipeline, reconfigure, folder, application, tmp_path, monkeypatch, capsys
):
    """The backfill processes exactly the images of the old recipe again."""
    monkeypatch.setattr(backfill, "_POLL_SECONDS", 0.1)
    key = f"{folder}/beach.jpg"
    recipes = application / "layers" / "core" / "image_pipeline" / "recipes.toml"
    reconfigure(application / "template.yml")
    (tmp_path / "running.json").write_text(json.dumps({**pipeline.facts, "pid": os.getpid()}))

    def names():
        return {rendition["name"] for rendition in pipeline.record(key)["renditions"]}

    def selected():
        options = ["--recipe-changed", "--local", "--run-dir", str(tmp_path), "--json"]
        assert main(["backfill", f"{folder}/", *options]) == 0
        return json.loads(capsys.readouterr().out)["selected"]

    pipeline.upload(key, photo(64, 48))
    assert pipeline.wait_for(key)["status"] == "COMPLETED"
    assert selected() == 0
    recipes.write_text(recipes.read_text().replace('"web"]', '"web", "icon"]').replace("[folders]", NEW + "[folders]"))
    assert selected() == 1
    pipeline.wait_until(lambda: "icon" in names(), "the new rendition")
    assert selected() == 0
