"""Write the contact sheet: a page without scripts that shows the renditions of both recipe files side by side."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from image_pipeline import keys
from image_pipeline_cli.files import LocalFile
from image_pipeline_cli.trial.rendering import Measured, Rejected, TrialRendition

NAME = "index.html"

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { margin: 0 auto; max-width: 1600px; padding: 16px 24px; }
h1 { font-size: 20px; }
h2 { font-size: 16px; margin: 40px 0 8px; overflow-wrap: anywhere; }
.pair { display: grid; gap: 16px; grid-template-columns: repeat(2, minmax(0, 1fr)); margin-bottom: 16px; }
figure { margin: 0; }
img { display: block; height: auto; max-height: 80vh; max-width: 100%; width: auto;
  background: repeating-conic-gradient(#8883 0 25%, #0000 0 50%) 0 0 / 16px 16px; }
figcaption, p { color: light-dark(#555, #aaa); font-variant-numeric: tabular-nums; margin: 4px 0; }
.rejected { color: light-dark(#b00020, #ff8a80); }
"""


def write(
    folder: Path,
    sources: Sequence[Path],
    results: Sequence[tuple[LocalFile, Mapping[Path, Measured] | Rejected]],
    folder_of: Mapping[LocalFile, Mapping[Path, str]],
) -> Path:
    """Write the sheet.

    Args:
        folder: The folder that contains the renditions.
        sources: The recipe files, in the order of the columns.
        results: The files and what became of them.
        folder_of: Where the renditions of a file are, relative to `folder`, by recipe file.

    Returns:
        The path of the page.
    """
    parts = [_head(sources)]
    for file, result in results:
        parts.append(f"<h2>{_text(str(file.path))}</h2>")
        if isinstance(result, Rejected):
            parts.append(f'<p class="rejected">{_text(result.message)} {_text(result.hint)}</p>')
        else:
            parts += _pairs([result[source] for source in sources], [folder_of[file][source] for source in sources])
    page = folder / NAME
    page.write_text("\n".join([*parts, "</html>\n"]), encoding="utf-8")
    return page


def _head(sources: Sequence[Path]) -> str:
    titles = ("Tried", "Present")
    names = "".join(
        f"<strong>{title}: {_text(str(source))}</strong>" for title, source in zip(titles, sources, strict=True)
    )
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>Contact sheet</title>\n'
        '<meta name="viewport" content="width=device-width">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src 'self' file:; "
        "style-src 'unsafe-inline'\">\n"
        f'<style>{_STYLE}</style>\n<h1>Contact sheet</h1>\n<div class="pair">{names}</div>'
    )


def _pairs(columns: Sequence[Measured], folders: Sequence[str]) -> Iterator[str]:
    """Yield a row for each rendition, with an empty cell where a recipe file does not make it."""
    sides = [{rendition.file_name: rendition for rendition in column.renditions} for column in columns]
    for name in dict.fromkeys(name for renditions in sides for name in renditions):
        cells = (_cell(renditions.get(name), folder) for renditions, folder in zip(sides, folders, strict=True))
        yield f'<div class="pair">{"".join(cells)}</div>'


def _cell(rendition: TrialRendition | None, folder: str) -> str:
    if rendition is None:
        return "<p>not made</p>"
    size = f"{rendition.width} × {rendition.height}, {rendition.size_bytes / 1000:,.1f} kB"
    similarity = "" if rendition.ssim is None else f", SSIM {rendition.ssim:.4f}"
    return (
        f'<figure><img src="{quote(f"{folder}/{rendition.file_name}")}" width="{rendition.width}" '
        f'height="{rendition.height}" loading="lazy" alt="">'
        f"<figcaption>{_text(rendition.file_name)}: {size}{similarity}</figcaption></figure>"
    )


def _text(text: str) -> str:
    return escape(keys.printable(text))
