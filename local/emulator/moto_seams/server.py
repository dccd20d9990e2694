"""Allow keys with any character in the server of moto, and cache its lookups."""

from functools import lru_cache
from typing import Any

from moto import backends
from moto.core import responses
from moto.core.utils import method_names_from_class
from moto.moto_server import werkzeug_app
from moto.moto_server.utilities import RegexConverter


def install() -> None:
    """Accept keys with any character, and look up the modules and methods of moto only once.

    Raises:
        RuntimeError: moto no longer has something that this module replaces.
    """
    if getattr(werkzeug_app, "RegexConverter", None) is None:
        raise RuntimeError("moto moved RegexConverter out of werkzeug_app: moto_seams/server.py must follow.")
    if not callable(getattr(backends, "list_of_moto_modules", None)):
        raise RuntimeError("moto moved backends.list_of_moto_modules: moto_seams/server.py must follow.")
    if not callable(getattr(responses, "method_names_from_class", None)):
        raise RuntimeError("moto moved responses.method_names_from_class: moto_seams/server.py must follow.")
    werkzeug_app.RegexConverter = _AnyCharacter  # type: ignore[attr-defined]
    modules = frozenset(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: modules
    # Not one of its public names.
    responses.method_names_from_class = lru_cache(method_names_from_class)  # type: ignore[attr-defined]


class _AnyCharacter(RegexConverter):
    """A part of a path with any characters; the converter of moto stops at a newline."""

    def __init__(self, url_map: Any, *items: Any) -> None:
        super().__init__(url_map, *items)
        self.regex = f"(?s:{self.regex})"
