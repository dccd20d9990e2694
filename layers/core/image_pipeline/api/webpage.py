"""The web page: the files of a folder, with the headers that protect and cache them.

The files have one digest over all of them in their address, so browsers keep them for a year. index.html names the
digest and is checked each time. Nothing here imports boto3 or the logger: the first visitor waits for the imports.
"""

import base64
import gzip
import hashlib
import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from image_pipeline.api import encodings, etags

INDEX = "index.html"

CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
"""The types of the served files by suffix; files with other suffixes are not served."""

ASSET_HEADERS = {"cross-origin-resource-policy": "same-origin", "x-content-type-options": "nosniff"}
"""The security headers of every file. The others protect only documents; a small script would grow by a third."""

_DOCUMENTS = frozenset({".html", ".svg"})  # a browser can open these
_COMMENTED = frozenset({".css", ".js"})
_COMMENT = re.compile(r"^[ \t]*(?:/\*(?:(?!\*/).)*\*/[ \t]*|//[^\n]*)$", re.DOTALL | re.MULTILINE)
_INDENTATION = re.compile(r"^[ \t]+", re.MULTILINE)
_COMPRESSED = frozenset({".css", ".html", ".js", ".json", ".svg"})
_DIGEST_CHARACTERS = 20
_YEAR_SECONDS = 31_536_000
_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")


def security_headers(*, uploads_url: str, renditions_url: str) -> dict[str, str]:
    """Return the headers that limit what the page can do if its code has a fault.

    Args:
        uploads_url: the address of the uploads' bucket, to which the page sends presigned uploads.
        renditions_url: the address of the renditions' bucket, from which the page shows images.
    """
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        # Stable rendition addresses are of this origin; blob: is for a preview of a file before its upload.
        "img-src": f"'self' blob: {_origin(renditions_url)}",
        "connect-src": f"'self' {_origin(uploads_url)}",
        "form-action": "'none'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
        # No text becomes markup or code: https://www.w3.org/TR/trusted-types/
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    return {
        **ASSET_HEADERS,
        "content-security-policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "cross-origin-opener-policy": "same-origin",
        "referrer-policy": "no-referrer",
        "strict-transport-security": f"max-age={_YEAR_SECONDS}",
    }


@dataclass(frozen=True)
class PageFile:
    """One file as it is sent."""

    content_type: str
    content: bytes
    is_compressible: bool
    headers: Mapping[str, str]

    def answer(self, request_headers: Mapping[str, str]) -> dict[str, Any]:
        """Return the response in payload format 2.0: the file, or 304 if the browser has it.

        Args:
            request_headers: the headers of the request, with names in lower case.
        """
        compresses = self.is_compressible and encodings.accepts_gzip(request_headers.get("accept-encoding", ""))
        tag = f'"{self._hash}-gzip"' if compresses else f'"{self._hash}"'  # another representation has another tag
        headers = {**self.headers, "etag": tag}
        if self.is_compressible:
            headers["vary"] = "accept-encoding"
        if etags.matches(request_headers.get("if-none-match", ""), tag):
            return {"statusCode": 304, "headers": headers}
        headers["content-type"] = self.content_type
        if compresses:
            headers["content-encoding"] = "gzip"
        body = base64.b64encode(self._compressed if compresses else self.content).decode()
        return {"statusCode": 200, "headers": headers, "body": body, "isBase64Encoded": True}

    @cached_property
    def _hash(self) -> str:
        # Covers the headers: after a change of the policy, a browser must not keep the file with the old one.
        headers = repr(sorted(self.headers.items())).encode()
        return hashlib.sha256(headers + self.content).hexdigest()[:_DIGEST_CHARACTERS]

    @cached_property
    def _compressed(self) -> bytes:
        return gzip.compress(self.content, mtime=0)


class WebPage:
    """The page of a stack.

    Args:
        folder: contains index.html and all files that it loads.
        placeholders: texts that replace `{{name}}` in index.html; `page` is added, the prefix of all files.
        document_headers: sent with each document.
    """

    def __init__(self, folder: Path, placeholders: Mapping[str, str], document_headers: Mapping[str, str]) -> None:
        contents = _read(folder)
        self.digest = _digest(contents)
        texts = {**placeholders, "page": f"page/{self.digest}/"}
        index = _filled(contents.pop(INDEX).decode(), texts).encode()
        self.index = _file(INDEX, index, document_headers, caching="no-cache")
        forever = f"public, max-age={_YEAR_SECONDS}, immutable"
        self._files = {
            name: _file(name, content, document_headers, caching=forever) for name, content in contents.items()
        }

    def find(self, digest: str, name: str) -> PageFile | None:
        """Return a file by its path relative to the folder.

        Returns:
            None if there is no such file, or if the digest is that of another version of the page: a browser would
            cache this file under it.
        """
        return self._files.get(name) if digest == self.digest else None


def condensed(text: str) -> str:
    """Remove indentation, and comments that have lines of their own: a quarter of the compressed size.

    All other lines keep their numbers. A script must not contain a string of several lines.
    """
    return _INDENTATION.sub("", _COMMENT.sub(lambda match: "\n" * match[0].count("\n"), text))


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _read(folder: Path) -> dict[str, bytes]:
    paths = (path for path in sorted(folder.rglob("*")) if path.suffix in CONTENT_TYPES and path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def _digest(contents: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, content in contents.items():
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:_DIGEST_CHARACTERS]


def _filled(text: str, placeholders: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: html.escape(placeholders[match[1]]), text)


def _file(name: str, content: bytes, document_headers: Mapping[str, str], *, caching: str) -> PageFile:
    suffix = Path(name).suffix
    headers = {**(document_headers if suffix in _DOCUMENTS else ASSET_HEADERS), "cache-control": caching}
    if suffix in _COMMENTED:
        content = condensed(content.decode()).encode()
    return PageFile(CONTENT_TYPES[suffix], content, suffix in _COMPRESSED, headers)
