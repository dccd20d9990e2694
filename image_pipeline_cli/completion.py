"""Shell completion of commands, options and files, generated from the argument parser."""

import argparse

import shtab

SHELLS = ("bash", "zsh", "fish")


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return the completion script for a shell.

    Args:
        parser: The parser of the whole program.
        shell: One of `SHELLS`.
    """
    return shtab.complete(parser, shell)


def complete_files(action: argparse.Action) -> None:
    """Complete an argument with names of files and folders."""
    action.complete = shtab.FILE  # type: ignore[attr-defined]


def complete_folders(action: argparse.Action) -> None:
    """Complete an argument with names of folders."""
    action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
