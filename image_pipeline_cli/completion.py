"""Completion of commands, options and files for shells, made from the parser, so that it knows all of them."""

import argparse

import shtab

SHELLS = ("bash", "zsh", "fish")


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Write the script that teaches a shell.

    Args:
        parser: Of the whole program.
        shell: One of `SHELLS`.
    """
    return shtab.complete(parser, shell)


def of_files(action: argparse.Action) -> None:
    """Let an argument be completed with the names of files and folders."""
    action.complete = shtab.FILE  # type: ignore[attr-defined]


def of_folders(action: argparse.Action) -> None:
    """Let an argument be completed with the names of folders."""
    action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
