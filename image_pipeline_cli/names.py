"""Resolve a user-typed name to an upload key, and suggest close matches."""

import argparse
import difflib

from image_pipeline import keys
from image_pipeline.errors import InvalidRequestError
from image_pipeline_cli.stack import Stack

_COMPARED_NAMES = 1000  # as many as one request lists
_MAX_SUGGESTIONS = 3


def key(name: str) -> str:
    """Return the key of an upload, whose name may start with `uploads/` or not.

    Raises:
        InvalidRequestError: S3 does not allow such a key.
    """
    full = name if name.startswith(keys.UPLOADS_PREFIX) else keys.UPLOADS_PREFIX + name
    if not keys.is_upload(full):
        raise InvalidRequestError(
            f"The name {name[:80]!a} is invalid: a key must be UTF-8 and at most {keys.MAX_KEY_BYTES:,} bytes long.",
            "Check the name.",
        )
    return full


def prefix(text: str) -> str:
    """Validate a prefix of keys, for argparse."""
    if not text.startswith(keys.UPLOADS_PREFIX):
        raise argparse.ArgumentTypeError(f"{text!a} does not start with {keys.UPLOADS_PREFIX}")
    return _valid_key(text)


def path(text: str) -> str:
    """Validate a local path, for argparse: an empty one would mean the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("a path must not be empty; use . for the current folder")
    return text


def folder(text: str) -> str:
    """Validate a destination folder, for argparse, and return its key."""
    parts = [part for part in _valid_key(text).split("/") if part]
    if {".", ".."} & set(parts):
        raise argparse.ArgumentTypeError(f"{text!a} must not contain . or ..")
    return "/".join(parts) + "/"


def _valid_key(text: str) -> str:
    try:
        return key(text)
    except InvalidRequestError as error:
        raise argparse.ArgumentTypeError(error.message) from error


def number(text: str) -> int:
    """Validate a positive whole number, for argparse."""
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!a} is not a whole number of 1 or more")
    return int(text)


def not_found(stack: Stack, image_key: str) -> str:
    """Return the message that an upload does not exist, with similar names."""
    folder_key = image_key[: image_key.rfind("/") + 1]
    answer = stack.client("s3").list_objects_v2(
        Bucket=stack.outputs["UploadsBucketName"], Prefix=folder_key, MaxKeys=_COMPARED_NAMES
    )
    existing = [entry["Key"].removeprefix(folder_key) for entry in answer.get("Contents", [])]
    similar = difflib.get_close_matches(image_key.removeprefix(folder_key), existing, _MAX_SUGGESTIONS)
    suggestions = " or ".join(ascii(folder_key + name) for name in similar)
    return f"There is no {image_key!a}. {f'Did you mean {suggestions}?' if similar else 'Check the name.'}"
