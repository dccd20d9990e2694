"""image_pipeline.api.routes"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_pipeline import keys
from image_pipeline.api import routes


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/images", ("GET", "POST")),
        ("/images/presigned", ("POST",)),
        ("/images/uploads/a.jpg", ("DELETE",)),
        ("/images/uploads/a/b c.jpg", ("DELETE",)),
        ("/images/uploads/a.jpg/status", ("GET", "HEAD")),
        ("/images/uploads/a/b\n.jpg/status", ("GET", "HEAD")),
        ("/images/uploads/a.jpg/renditions/web", ("GET", "HEAD")),
        ("/images/uploads/a.jpg/renditions/web.webp", ("GET", "HEAD")),
        ("/images/uploads/a.jpg/reprocess", ("POST",)),
    ],
)
def test_a_path_accepts_its_methods(path, methods):
    """Names may contain folders, and a custom domain may add a base path."""
    assert routes.methods(path) == methods
    assert routes.methods(f"/v1{path}") == methods


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "/favicon.ico", "/Images", "/image", "/imagesx", "images"),
        *("/images/", "/images/a.jpg", "/images/a.jpg/status", "/images/presigned/", "/images/presigned/x"),
        *("/images/uploads", "/images/uploads/"),
    ],
)
def test_other_paths_accept_no_method(path):
    """A path with an additional or a missing slash is another path."""
    assert routes.methods(path) == ()


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/images/uploads/images", ("DELETE",)),
        ("/images/uploads/x/images/presigned", ("DELETE",)),
        ("/images/uploads/status", ("DELETE",)),
        ("/images/uploads/reprocess", ("DELETE",)),
        ("/images/uploads/renditions/web", ("DELETE",)),
        ("/images/uploads/a/renditions/", ("DELETE",)),
        ("/images/uploads/a/renditions/b/c", ("DELETE",)),
        ("/images/uploads/a/status/reprocess", ("POST",)),
        ("/images/uploads/a/renditions/status", ("GET", "HEAD")),
        ("/images/uploads/a/renditions/reprocess", ("GET", "HEAD")),
        ("/images/uploads/images/uploads/a/reprocess", ("POST",)),
    ],
)
def test_the_end_of_a_path_determines_its_kind(path, methods):
    """The end of the path determines its kind, for any name."""
    assert routes.methods(path) == methods


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="?"), min_size=1))
def test_generated_paths_are_known(name):
    """Paths that `keys` builds accept GET and HEAD."""
    for path in (keys.status_path(f"uploads/{name}"), keys.rendition_path(f"uploads/{name}", "web")):
        assert routes.methods(path) == ("GET", "HEAD")


def test_a_method_has_its_paths():
    """The paths help a caller that used the wrong one."""
    assert set(routes.paths("POST")) >= {"/images/uploads/{filename}/reprocess", "/images/presigned", "/images"}
    assert routes.paths("PUT") == ("/images/uploads/{filename}/focus",)
    assert routes.paths("PATCH") == ()
