"""Find the members of an answer faster.

moto looks for each member of a shape under several names, for example in snake case. It composes these names anew for
each member of each element, which takes three quarters of the time of an answer with the history of an execution. The
names in a dictionary depend only on the shape, so here they are composed once.
"""

from functools import cache
from typing import Any

from moto.core.serialize import AttributePicker, AttributePickerContext


def install() -> None:
    """Remember the names under which members of dictionaries are looked for.

    Raises:
        RuntimeError: moto no longer has something that this module replaces.
    """
    if not callable(getattr(AttributePicker, "get_possible_keys", None)):
        raise RuntimeError("moto moved AttributePicker.get_possible_keys: moto_seams/attributes.py must follow.")

    original: Any = AttributePicker.__call__

    @cache
    def names(picker: Any, providers: tuple[Any, ...], shape: Any, key: str) -> tuple[str, ...]:
        context = AttributePickerContext(obj={}, key=key, shape=shape)
        return tuple(dict.fromkeys(picker(list(providers)).get_possible_keys(context)))

    def pick(self: Any, context: AttributePickerContext) -> Any:
        if type(context.obj) is not dict or self.response_transformers:
            return original(self, context)
        possible_names = names(self.__class__, tuple(self.alias_providers), context.shape, context.key)
        return next((context.obj[name] for name in possible_names if name in context.obj), None)

    AttributePicker.__call__ = pick  # type: ignore[method-assign]
