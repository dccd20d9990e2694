"""Speed up what moto does for every request."""

import string
from functools import lru_cache
from typing import Any

from moto import backends
from moto.core import responses, utils
from moto.core.base_backend import BackendDict
from moto.moto_api._internal.moto_random import MotoRandom
from moto.moto_server.werkzeug_app import DomainDispatcherApplication
from moto.sqs import models as sqs_models


def install() -> None:
    """Look up modules, services, models and names of moto only once.

    Raises:
        RuntimeError: moto no longer has something that this module replaces.
    """
    pure: list[tuple[Any, str]] = [
        (utils, "create_loader"),  # a new one would search hundreds of folders again for each service
        (DomainDispatcherApplication, "get_backend_for_host"),
        (responses, "camelcase_to_underscores"),
        (responses, "method_names_from_class"),
        (sqs_models, "camelcase_to_underscores"),
    ]
    for owner, name in [*pure, (BackendDict, "_create_account_specific_backend"), (MotoRandom, "get_random_string")]:
        if not callable(getattr(owner, name, None)):
            raise RuntimeError(f"moto moved {name} out of {owner.__name__}: moto_seams/server.py must follow.")
    if not callable(getattr(backends, "list_of_moto_modules", None)):
        raise RuntimeError("moto moved backends.list_of_moto_modules: moto_seams/server.py must follow.")
    modules = frozenset(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: modules
    for owner, name in pure:
        setattr(owner, name, lru_cache(getattr(owner, name)))
    BackendDict.__getitem__ = _existing_first(BackendDict.__getitem__)  # type: ignore[method-assign]
    MotoRandom.get_random_string = _random_string  # type: ignore[method-assign, assignment]


def _existing_first(get: Any) -> Any:
    """Return the backends of an account without the lock and the search with which moto creates them."""

    def existing_or_new(self: BackendDict[Any], account: str) -> Any:
        return self.get(account) or get(self, account)

    return existing_or_new


def _random_string(random: MotoRandom, length: int = 20, include_digits: bool = True, lower_case: bool = False) -> str:
    """Return characters as moto does, which draws them one by one; each answer has an id of 52."""
    characters = string.ascii_letters + (string.digits if include_digits else "")
    text = "".join(random.choices(characters, k=length))
    return text.lower() if lower_case else text
