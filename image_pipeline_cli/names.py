"""What people call an upload → its key; and who was meant when there is none of that name."""

import argparse
import difflib

from image_pipeline import keys
from image_pipeline.errors import InvalidRequestError
from image_pipeline_cli.stack import Stack

_LOOKED_AT = 1000  # names in the same folder: one request
_SUGGESTED = 3


def key(name: str) -> str:
    """Give the key of an upload, which may be named with or without `uploads/`.

    Raises:
        InvalidRequestError: no object of S3 can have it.
    """
    full = name if name.startswith(keys.UPLOADS_PREFIX) else keys.UPLOADS_PREFIX + name
    if not keys.is_upload(full):
        raise InvalidRequestError(
            f"The name {name[:80]!a} cannot be one: a key is UTF-8 of at most {keys.MAX_KEY_BYTES:,} bytes.",
            "Check the name.",
        )
    return full


def prefix(text: str) -> str:
    """Check what keys begin with, for argparse."""
    if not text.startswith(keys.UPLOADS_PREFIX):
        raise argparse.ArgumentTypeError(f"{text!a} does not begin with {keys.UPLOADS_PREFIX}")
    return _possible(text)


def path(text: str) -> str:
    """Check a path on this machine, for argparse: an empty one would be the folder that one is in."""
    if not text:
        raise argparse.ArgumentTypeError("'' names no file and no folder; for the one that you are in, say .")
    return text


def folder(text: str) -> str:
    """Check a folder to upload to, for argparse, and give its key."""
    parts = [part for part in _possible(text).split("/") if part]
    if {".", ".."} & set(parts):
        raise argparse.ArgumentTypeError(f"{text!a} is no folder of the bucket: leave out . and ..")
    return "/".join(parts) + "/"


def _possible(text: str) -> str:
    try:
        return key(text)
    except InvalidRequestError as error:
        raise argparse.ArgumentTypeError(error.message) from error


def number(text: str) -> int:
    """Check a number of one or more, for argparse."""
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!a} is not a whole number of 1 or more")
    return int(text)


def missing(stack: Stack, image_key: str) -> str:
    """Say that there is no such upload, and which names are like it."""
    place = image_key[: image_key.rfind("/") + 1]
    answer = stack.client("s3").list_objects_v2(
        Bucket=stack.outputs["UploadsBucketName"], Prefix=place, MaxKeys=_LOOKED_AT
    )
    there = [each["Key"].removeprefix(place) for each in answer.get("Contents", [])]
    near = difflib.get_close_matches(image_key.removeprefix(place), there, _SUGGESTED)
    hint = f"Did you mean {' or '.join(ascii(place + name) for name in near)}?" if near else "Check the name."
    return f"There is no {image_key!a}. {hint}"
