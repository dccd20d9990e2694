"""Scopes: what a caller may do, and in which folder.

API Gateway checks the key or token of a request and passes on what it contains. The functions enforce it, because API
Gateway knows neither the folder of a form upload nor the name in a JSON body.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from image_pipeline import keys
from image_pipeline.errors import InvalidKeyError, NotPermittedError

READ, UPLOAD, DELETE = "read", "upload", "delete"
SCOPES = (READ, UPLOAD, DELETE)


class Access(NamedTuple):
    """The rights of a caller."""

    scopes: frozenset[str] = frozenset(SCOPES)
    folder: str | None = None
    """The folder whose uploads the caller may use, such as `uploads/shop/`; None for all uploads."""

    @classmethod
    def from_fields(cls, scopes: str | None, folder: str | None) -> "Access":
        """Create the rights from their texts. Missing scopes mean all rights, because earlier releases had no scopes.

        Args:
            scopes: scopes, separated by spaces as in a token (RFC 6749, section 3.3); unknown ones permit nothing.
            folder: the key prefix of a folder.
        """
        known_scopes = frozenset(SCOPES) if scopes is None else frozenset(scopes.split(" ")) & frozenset(SCOPES)
        return cls(known_scopes, folder)

    def to_fields(self) -> dict[str, str]:
        """Return the limits of the rights as texts, `scopes` and `folder`; empty for all rights."""
        scopes = {} if self.scopes == frozenset(SCOPES) else {"scopes": " ".join(sorted(self.scopes))}
        return scopes | ({} if self.folder is None else {"folder": self.folder})

    def allows(self, image_key: str) -> bool:
        """Return whether the caller may use an upload with this key, which need not exist."""
        if self.folder is None:
            return True
        # S3 takes `..` literally, but clients of a signed URL may resolve it.
        return image_key.startswith(self.folder) and ".." not in image_key.split("/")

    def check(self, image_key: str) -> None:
        """Check that the caller may use an upload with this key, which need not exist.

        Raises:
            NotPermittedError: the key is outside the folder of the caller.
        """
        if not self.allows(image_key):
            raise self._outside()

    def narrow(self, image_keys: Iterable[str]) -> tuple[str, ...]:
        """Return the keys that the caller may use, of those that a path may mean.

        Raises:
            NotPermittedError: all of them are outside the folder of the caller.
        """
        allowed = tuple(filter(self.allows, image_keys))
        if not allowed:
            raise self._outside()
        return allowed

    def narrow_list(self, parameters: Mapping[str, str]) -> Mapping[str, str]:
        """Return the query parameters of a list, limited to the folder of the caller.

        Raises:
            InvalidKeyError: the prefix is not a folder.
            NotPermittedError: the prefix is outside the folder of the caller.
        """
        if self.folder is None:
            return parameters
        prefix = keys.UPLOADS_PREFIX + keys.folder(parameters.get("prefix", self.folder))
        if not self.allows(prefix):
            raise self._outside()
        return {**parameters, "prefix": prefix}

    def _outside(self) -> NotPermittedError:
        return NotPermittedError(
            f"The key of this request is limited to the folder {self.folder!a}.",
            "Name an upload in this folder, or use another key.",
        )


def authorize(event: Mapping[str, Any], scope: str, *, needs_key: bool = False) -> Access:
    """Check that the caller has a scope, and return its rights.

    Args:
        event: the request, in payload format 2.0.
        scope: the scope that the request needs.
        needs_key: whether to refuse a request without a key. Otherwise it has all rights, because template.yml decides
            which routes need a key, and API Gateway then lets no other request through.

    Raises:
        NotPermittedError: the caller has no key, or its key does not have the scope.
    """
    access = _access(event)
    if access is None and not needs_key:
        return Access()
    if access is None:
        raise _anonymous()
    if scope not in access.scopes:
        rights = f"It has {', '.join(sorted(access.scopes))}" if access.scopes else "It has no scope of this API"
        raise NotPermittedError(
            f"The key or token of this request does not have the scope `{scope}`. {rights}.",
            f"Use a key with the scope `{scope}`.",
        )
    return access


def authenticate(event: Mapping[str, Any]) -> Access:
    """Return the rights of a caller, whatever they are.

    Args:
        event: the request, in payload format 2.0.

    Raises:
        NotPermittedError: the caller has no key.
    """
    access = _access(event)
    if access is None:
        raise _anonymous()
    return access


def folder_key(text: str) -> str:
    """Return the key prefix of a folder: `uploads/shop/` for `shop`, `shop/`, `uploads/shop` or `uploads/shop/`.

    Raises:
        InvalidKeyError: the text is not the name of a folder below `uploads/`.
    """
    name = (text.removesuffix("/") + "/").removeprefix(keys.UPLOADS_PREFIX).removesuffix("/")
    if not name:
        raise InvalidKeyError(f"{text[:80]!a} is not a folder below uploads/.", "Use a folder such as shop/.")
    return keys.key_for_name(keys.UPLOADS_PREFIX + name) + "/"


def _anonymous() -> NotPermittedError:
    return NotPermittedError("The request has no API key and no token.", "Send the header x-api-key.")


def _access(event: Mapping[str, Any]) -> Access | None:
    """Return the rights that API Gateway passes on; None without a key and a token."""
    authorizer = event["requestContext"].get("authorizer") or {}
    if key := authorizer.get("lambda"):
        return Access.from_fields(key.get("scopes"), key.get("folder"))
    if token := authorizer.get("jwt"):
        return Access.from_fields(token["claims"].get("scope"), None)
    return None
