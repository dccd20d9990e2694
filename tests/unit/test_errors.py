"""image_pipeline.errors"""

import inspect

import pytest

from image_pipeline import errors

CLASSES = [error_class for _, error_class in inspect.getmembers(errors, inspect.isclass)]


@pytest.mark.parametrize("error", CLASSES, ids=lambda error_class: error_class.__name__)
def test_every_error_ends_in_error_and_is_drawn_in_the_tree(error):
    """Names are a contract with the workflow, and the tree at the top of the module lists all of them."""
    assert error.__name__.endswith("Error")
    assert issubclass(error, errors.PipelineError)
    assert error.__name__ in (errors.__doc__ or "")
    assert error.__doc__


def test_public_errors_describe_the_file_only():
    """Internal errors keep their code and step, but not the message, which may name accounts and roles."""
    rejection = {"code": "EmptyUploadError", "message": "No bytes.", "hint": "Upload it again.", "step": "s"}
    assert errors.public_error(rejection) == rejection
    public = errors.public_error({**rejection, "code": "ClientError", "message": "arn:1", "hint": "arn:2"})
    assert (public["code"], public["step"]) == ("ClientError", "s")
    assert public["message"].startswith("The pipeline could not")
    assert "arn:" not in repr(public)


def test_the_text_has_exactly_two_lines():
    """The workflow splits message and hint at the line break, so a value with line breaks must not add one."""
    error = errors.CorruptImageError("The header\nsays\r\n  nonsense.", "Export\tit again.\n")
    assert str(error).split("\n") == ["The header says nonsense.", "Export it again."]
    assert (error.message, error.hint) == ("The header says nonsense.", "Export it again.")
