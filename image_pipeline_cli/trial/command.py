"""The command: find the files, render them in parallel, and print the comparison."""

import argparse
import multiprocessing
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from pathlib import Path
from typing import Any

from image_pipeline.errors import InvalidRequestError
from image_pipeline.imaging import recipes
from image_pipeline_cli import files, terminal
from image_pipeline_cli.exits import IMAGE_FAILED, INCOMPLETE, OK
from image_pipeline_cli.files import LocalFile
from image_pipeline_cli.trial import rendering, sheet
from image_pipeline_cli.trial.rendering import Measured, Rejected, TrialRendition
from image_pipeline_cli.trial.totals import Totals, add_up

RenderResult = dict[Path, Measured] | Rejected


def try_recipes(options: argparse.Namespace) -> int:
    """Render local files by two recipe files, and compare the renditions.

    Returns:
        The exit code.

    Raises:
        SettingsError: A recipe file is invalid.
        InvalidRequestError: The recipe files are the same file, or the destination folder contains files.
    """
    sources = (options.recipes.resolve(), options.present.resolve())
    _check(sources, options.to)
    local_files, skipped = files.find(options.paths, options.folder)
    for path in skipped:
        terminal.complain(f"{path.path} {path.reason}.")
    if not local_files:
        terminal.complain("There is no file to render.")
        return INCOMPLETE
    folder = options.to or Path(tempfile.mkdtemp(prefix="image-pipeline-try-"))
    folder.mkdir(parents=True, exist_ok=True)
    places = {file: {source: f"{number}/{side}" for source, side in zip(sources, ("new", "present"), strict=True)}
              for number, file in enumerate(local_files, 1)}  # fmt: skip
    folders = {file: {source: folder / place for source, place in places[file].items()} for file in local_files}
    results = dict(_render(folders, options.jobs, hidden=options.json))
    finished = [(file, results[file]) for file in local_files if file in results]
    page = sheet.write(folder, sources, finished, places)
    _report(finished, sources, page, options)
    missing = len(local_files) - len(finished) + sum(path.is_error for path in skipped)
    rejected = any(isinstance(result, Rejected) for _, result in finished)
    return INCOMPLETE if missing else IMAGE_FAILED if rejected else OK


def _check(sources: Sequence[Path], folder: Path | None) -> None:
    """Refuse arguments with which nothing could be compared, before anything is rendered."""
    if len(set(sources)) < len(sources):
        raise InvalidRequestError(
            f"{sources[0]} is also the present recipe file.", "Copy it, change the copy, and try the copy."
        )
    for source in sources:
        for warning in recipes.load(source).warnings:
            terminal.complain(warning)
    if folder is not None and folder.exists() and any(folder.iterdir()):
        raise InvalidRequestError(f"The folder {folder} is not empty.", "Choose a new folder for --to.")


def _render(
    folders: Mapping[LocalFile, Mapping[Path, Path]], jobs: int, *, hidden: bool
) -> Iterator[tuple[LocalFile, RenderResult]]:
    """Yield the result of each file as it comes. A file that cannot be read is reported and has none."""
    context = multiprocessing.get_context("spawn")
    with (
        terminal.bar("Rendering", len(folders), hidden=hidden) as bar,
        ProcessPoolExecutor(min(jobs, len(folders)), context, rendering.start_process) as pool,
    ):
        futures = {_submit(pool, file, of_file): file for file, of_file in folders.items()}
        try:
            for future in as_completed(futures):
                if (result := _result(future, futures[future])) is not None:
                    yield futures[future], result
                bar.advance(1)
        finally:
            pool.shutdown(cancel_futures=True)


def _submit(pool: ProcessPoolExecutor, file: LocalFile, folders: Mapping[Path, Path]) -> Future[RenderResult]:
    """Start to render a file; a pool that has lost a process accepts none, which is the result of the file."""
    try:
        return pool.submit(rendering.render, file, folders)
    except BrokenProcessPool as error:
        refused: Future[RenderResult] = Future()
        refused.set_exception(error)
        return refused


def _result(future: Future[RenderResult], file: LocalFile) -> RenderResult | None:
    try:
        return future.result()
    except BrokenProcessPool:
        terminal.complain(f"{file.path} was not rendered: a process ended, usually for lack of memory. Use --jobs 1.")
    except ModuleNotFoundError as error:
        terminal.complain(f"{file.path} needs the package {error.name}: install the command with its extra, `.[try]`.")
    except (OSError, MemoryError) as error:
        terminal.complain(f"{file.path} was not rendered: {error or 'it needs too much memory'}.")
    return None


def _report(
    results: Sequence[tuple[LocalFile, RenderResult]], sources: Sequence[Path], page: Path, options: argparse.Namespace
) -> None:
    measured = [(file, result) for file, result in results if not isinstance(result, Rejected)]
    totals = [add_up([result[source] for _, result in measured]) for source in sources] if measured else []
    if options.json:
        terminal.write_json(_document(results, sources, totals, page))
        return
    terminal.table(_COLUMNS, _rows(measured, sources))
    for file, result in results:
        if isinstance(result, Rejected):
            terminal.say(terminal.styled("FAILED"), f"  {file.path}  {result.message} {result.hint}")
    if totals:
        terminal.say("")
        terminal.table(("average of an image", "tried", "present", "change"), _summary(*totals))
    terminal.say("")
    terminal.say(f"Contact sheet: {page.resolve().as_uri()}")


_COLUMNS = ("image", "rendition", "size", "kB", "SSIM", "present: size", "kB", "SSIM")


def _rows(
    measured: Iterable[tuple[LocalFile, Mapping[Path, Measured]]], sources: Sequence[Path]
) -> Iterator[list[str]]:
    """Yield a row for each rendition that one of the recipe files makes."""
    for file, result in measured:
        sides = [{rendition.file_name: rendition for rendition in result[source].renditions} for source in sources]
        label = str(file.path)
        for name in dict.fromkeys(name for side in sides for name in side):
            yield [label, name, *(text for side in sides for text in _describe(side.get(name)))]
            label = ""


def _describe(rendition: TrialRendition | None) -> tuple[str, str, str]:
    if rendition is None:
        return "–", "", ""
    return (
        f"{rendition.width} × {rendition.height}",
        f"{rendition.size_bytes / 1000:,.1f}",
        _decimals(rendition.ssim, 4),
    )


def _summary(tried: Totals, present: Totals) -> Iterator[list[str]]:
    rows = (
        ("files", "files", 1),
        ("kB", "kilobytes", 1),
        ("SSIM, mean", "ssim", 4),
        ("SSIM, least", "least_ssim", 4),
        ("CPU time of the engine, ms", "milliseconds", 0),
        ("dollars to process a million, Standard, without labels", "dollars", 2),
        ("dollars to store the renditions of a million for a month", "storage_dollars", 2),
    )
    for title, name, places in rows:
        new = getattr(tried, name)
        old = getattr(present, name)
        yield [title, _decimals(new, places), _decimals(old, places), _change(new, old, is_ratio="ssim" not in name)]


def _change(new: float | None, old: float | None, *, is_ratio: bool) -> str:
    if new is None or not old:
        return ""
    return f"{new / old - 1:+.1%}" if is_ratio else f"{new - old:+.4f}"


def _decimals(number: float | None, places: int) -> str:
    return "not compared" if number is None else f"{number:,.{places}f}"


def _document(
    results: Sequence[tuple[LocalFile, RenderResult]], sources: Sequence[Path], totals: Sequence[Totals], page: Path
) -> dict[str, Any]:
    sides = ("tried", "present")
    images, rejected = [], []
    for file, result in results:
        place = {"path": str(file.path), "key": file.key}
        if isinstance(result, Rejected):
            rejected.append({**place, **asdict(result)})
        else:
            images.append(place | {side: _json(result[source]) for side, source in zip(sides, sources, strict=True)})
    sums = {side: _camel_case(asdict(total)) for side, total in zip(sides, totals, strict=False)}
    return {"images": images, "rejected": rejected, "averages": sums, "sheet": str(page.resolve())}


def _json(measured: Measured) -> dict[str, Any]:
    renditions = [_camel_case(asdict(rendition)) for rendition in measured.renditions]
    return {"seconds": measured.seconds, "renditions": renditions, "warnings": measured.warnings}


def _camel_case(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name[0] + name.title().replace("_", "")[1:]: value for name, value in fields.items()}
