"""The arguments of the command; apart, so that no other command loads the engine."""

import argparse
import os
from pathlib import Path

from image_pipeline.imaging import recipes
from image_pipeline_cli import completion, names


def add_options(sub: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    recipe_file = sub.add_argument("recipes", type=Path, metavar="RECIPES", help="the recipe file to try")
    paths = sub.add_argument(
        "paths", nargs="+", type=names.path, metavar="FOLDER", help="a folder with images, a file, or a pattern"
    )
    present = sub.add_argument(
        "--present",
        type=Path,
        default=recipes.default_file(),
        metavar="RECIPES",
        help="the recipe file to compare with (default: the one of this version)",
    )
    for action in (recipe_file, paths, present):
        completion.complete_files(action)
    sub.add_argument(
        "--folder",
        type=names.folder,
        default="uploads/",
        help="the folder below uploads/ in which the images would be, which decides the recipes",
    )
    to = sub.add_argument(
        "--to", type=Path, metavar="DIR", help="new folder for renditions and contact sheet (default: a temporary one)"
    )
    completion.complete_folders(to)
    sub.add_argument(
        "--jobs", type=names.number, default=os.cpu_count() or 1, help="number of processes (default %(default)s)"
    )
    sub.add_argument("--json", action="store_true", help="print one JSON object at the end")
