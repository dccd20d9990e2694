"""`image-pipeline download` against the local pipeline."""

from __future__ import annotations

import pytest

from image_pipeline_cli.download import safe_path
from image_pipeline_cli.exits import INCOMPLETE, OK
from tests.cli.conftest import PICTURE


def test_each_rendition_has_its_own_file(lines, shared_image_name, tmp_path):
    """Renditions are saved beside each other, and the original with them if requested."""
    code, (document,) = lines("download", shared_image_name, "--to", str(tmp_path), "--rendition", "all", "--original")
    assert (code, document["failed"]) == (OK, [])
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} - {"running.json"}
    endings = ["", ".100x100.jpg", ".640x480.jpg", ".web.jpg", ".web.webp"]
    assert files == {shared_image_name + ending for ending in endings}
    assert (tmp_path / shared_image_name).read_bytes() == PICTURE


def test_existing_files_are_not_overwritten(lines, shared_image_name, tmp_path):
    """Only `--force` replaces them."""
    target = tmp_path / shared_image_name
    target.parent.mkdir()
    target.write_text("mine")
    code, (document,) = lines("download", shared_image_name, "--to", str(tmp_path), "--original")
    assert code == INCOMPLETE
    assert str(target) in document["failed"][0]["reason"]
    assert target.read_text() == "mine"
    assert lines("download", shared_image_name, "--to", str(tmp_path), "--original", "--force")[0] == OK
    assert target.read_bytes() == PICTURE


def test_a_failed_download_leaves_no_file(pipeline, lines, shared_image_name, tmp_path):
    """Neither a partial nor a temporary file remains."""
    pipeline.fault("s3", "GetObject", "AccessDenied", -1, status=403)
    pipeline.fault("s3", "HeadObject", "AccessDenied", -1, status=403)
    code, (document,) = lines("download", shared_image_name, "--to", str(tmp_path / "out"), "--original")
    assert (code, document["downloaded"]) == (INCOMPLETE, [])
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


@pytest.mark.parametrize("rendition", ["poster", "../../evil"])
def test_a_missing_rendition_is_reported_with_the_existing_ones(lines, shared_image_name, rendition, tmp_path):
    """No file is written."""
    code, (document,) = lines("download", shared_image_name, "--rendition", rendition, "--to", str(tmp_path / "out"))
    assert code == INCOMPLETE
    assert "100x100, 640x480, web" in document["failed"][0]["reason"]
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
def test_a_path_never_leaves_the_destination_folder(key, path):
    """It has no control characters and none that other systems forbid."""
    assert str(safe_path(key)) == path


def test_long_names_are_shortened_and_stay_unique():
    """The name of a rendition still fits."""
    first, second = (safe_path(f"uploads/{'ü' * 300}{end}") for end in "ab")
    assert first != second
    assert len(first.name.encode()) <= 255 - 64


def test_folders_and_patterns_are_downloaded(unprocessed, pipeline, store_record, lines, name, tmp_path):
    """Each upload is saved in the folders of its key."""
    folder = name.partition("/")[0]
    for upload in (name, f"{folder}/day 2/*"):
        pipeline.upload(f"uploads/{upload}", PICTURE)
        store_record(f"uploads/{upload}")
    for number, (selected, expected) in enumerate([
        (f"{folder}/", {f"{folder}/beach.jpg", f"{folder}/day 2/_"}),
        (f"{folder}/*", {f"{folder}/beach.jpg"}),
        (f"{folder}/**/*", {f"{folder}/beach.jpg", f"{folder}/day 2/_"}),
        (f"{folder}/day 2/*", {f"{folder}/day 2/_"}),
    ]):  # fmt: skip
        to = tmp_path / str(number)
        code, (document,) = lines("download", selected, "--original", "--to", str(to))
        assert (code, document["failed"]) == (OK, [])
        assert {str(path.relative_to(to)) for path in to.rglob("*") if path.is_file()} == expected
    code, (document,) = lines("download", f"{folder}/*.gif", "--to", str(tmp_path / "out"))
    assert (code, document["downloaded"]) == (INCOMPLETE, [])
    assert document["failed"][0]["key"] == f"uploads/{folder}/*.gif"


def test_two_uploads_with_the_same_path_do_not_replace_each_other(
    unprocessed, pipeline, store_record, lines, name, tmp_path
):
    """`--force` replaces earlier files, not those of the same command."""
    folder = name.partition("/")[0]
    other_name = f"{folder}/be:ch.jpg"
    third_name = f"{folder}/be_ch.jpg"
    for upload in (other_name, third_name):
        pipeline.upload(f"uploads/{upload}", PICTURE)
        store_record(f"uploads/{upload}")
    code, (document,) = lines("download", other_name, third_name, "--to", str(tmp_path), "--original", "--force")
    assert code == INCOMPLETE
    assert [entry["key"] for entry in document["downloaded"]] == [f"uploads/{other_name}"]
    assert [failure["key"] for failure in document["failed"]] == [f"uploads/{third_name}"]
