"""`image-pipeline download` against the local pipeline."""

from __future__ import annotations

import pytest

from image_pipeline_cli.download import safe_path
from image_pipeline_cli.exits import LEFT, OK
from tests.cli.conftest import PICTURE


def test_all_renditions_are_downloaded_under_names_of_their_own(lines, picture, tmp_path):
    """Those of one upload beside each other, and the original where it is asked for."""
    code, (found,) = lines("download", picture, "--to", str(tmp_path), "--rendition", "all", "--original")
    assert (code, found["failed"]) == (OK, [])
    made = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} - {"running.json"}
    endings = ["", ".100x100.jpg", ".640x480.jpg", ".web.jpg", ".web.webp"]
    assert made == {picture + ending for ending in endings}
    assert (tmp_path / picture).read_bytes() == PICTURE


def test_files_that_are_there_are_not_overwritten(lines, picture, tmp_path):
    """Unless that is what one wants; then the whole file is replaced."""
    target = tmp_path / picture
    target.parent.mkdir()
    target.write_text("mine")
    code, (found,) = lines("download", picture, "--to", str(tmp_path), "--original")
    assert (code, found["failed"][0]["reason"]) == (LEFT, f"{target} is there already; --force replaces it.")
    assert target.read_text() == "mine"
    assert lines("download", picture, "--to", str(tmp_path), "--original", "--force")[0] == OK
    assert target.read_bytes() == PICTURE


def test_a_broken_download_leaves_nothing(pipeline, lines, picture, tmp_path):
    """Neither half a file nor a temporary one."""
    pipeline.fault("s3", "GetObject", "AccessDenied", -1, status=403)
    pipeline.fault("s3", "HeadObject", "AccessDenied", -1, status=403)
    code, (found,) = lines("download", picture, "--to", str(tmp_path / "out"), "--original")
    assert (code, found["downloaded"]) == (LEFT, [])
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


@pytest.mark.parametrize("rendition", ["poster", "../../evil"])
def test_a_rendition_that_is_not_there_is_told_with_those_that_are(lines, picture, rendition, tmp_path):
    """Nothing is written."""
    code, (found,) = lines("download", picture, "--rendition", rendition, "--to", str(tmp_path / "out"))
    assert code == LEFT
    assert "but 100x100, 640x480, web." in found["failed"][0]["reason"]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("uploads/a/b.jpg", "a/b.jpg"),
        ("uploads/../../etc/passwd", "_/_/etc/passwd"),
        ("uploads//etc/passwd", "_/etc/passwd"),
        ("uploads/./a//b", "_/a/_/b"),
        ('uploads/C:\\x|y?*<>".jpg', "C__x_y_____.jpg"),
        ("uploads/a\x1b[2J\u202e.jpg", "a_[2J_.jpg"),
        ("uploads/ü 😀.jpg", "ü 😀.jpg"),
    ],
)
def test_no_name_leads_out_of_the_folder(key, path):
    """Nor does it say anything to a terminal, or mean something on another system."""
    assert str(safe_path(key)) == path


def test_long_names_are_cut_and_stay_apart():
    """There is room for the name of a rendition."""
    one, other = (safe_path(f"uploads/{'ü' * 300}{end}") for end in "ab")
    assert one != other
    assert len(one.name.encode()) <= 255 - 64


def test_folders_and_patterns_are_downloaded(pipeline, lines, picture, tmp_path):
    """Each upload below the folder of its name, with all that it has."""
    folder = picture.partition("/")[0]
    pipeline.wait_for(f"uploads/{folder}/day 2/*", pipeline.upload(f"uploads/{folder}/day 2/*", PICTURE))
    for number, (name, expected) in enumerate([
        (f"{folder}/", {f"{folder}/beach.jpg", f"{folder}/day 2/_"}),
        (f"{folder}/*", {f"{folder}/beach.jpg"}),
        (f"{folder}/**/*", {f"{folder}/beach.jpg", f"{folder}/day 2/_"}),
        (f"{folder}/day 2/*", {f"{folder}/day 2/_"}),
    ]):  # fmt: skip
        to = tmp_path / str(number)
        code, (found,) = lines("download", name, "--original", "--to", str(to))
        assert (code, found["failed"]) == (OK, [])
        assert {str(path.relative_to(to)) for path in to.rglob("*") if path.is_file()} == expected
    code, (found,) = lines("download", f"{folder}/*.gif", "--to", str(tmp_path / "out"))
    assert (code, found["downloaded"]) == (LEFT, [])
    assert found["failed"][0]["key"] == f"uploads/{folder}/*.gif"
