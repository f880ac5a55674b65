"""Self-contained HTML: one file with its style and its pictures, no scripts and no network."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from eventseg.files.whole import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLE = """
:root { color-scheme: light; --ink: #1b1f24; --soft: #5b6470; --line: #e2dfd8; }
* { box-sizing: border-box; }
body { margin: 0; background: #fbfaf7; color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1200px; margin: 0 auto; padding: 32px 16px 64px; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .3em; }
h2 { font-size: 1.25rem; margin: 40px 0 6px; }
p { max-width: 75ch; margin: .3em 0 .8em; }
.soft { color: var(--soft); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; background: #fff; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 8px; border-bottom: 1px solid var(--line); text-align: right;
  white-space: nowrap; }
th { font-weight: 600; border-bottom: 2px solid var(--line); }
th:first-child, td:first-child, td.words { text-align: left; }
td.words { white-space: normal; min-width: 18em; color: var(--soft); }
.wrapped td, .wrapped th { white-space: normal; min-width: 5em; text-align: left; }
img { display: block; max-width: 100%; height: auto; margin: 8px 0; background: #fff;
  border: 1px solid var(--line); border-radius: 8px; }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(340px, 1fr)); gap: 12px;
  align-items: start; }
.warning { border-left: 4px solid #b45309; padding: 6px 12px; background: #fff7ed; }
"""

_MARKS = re.compile(r"\||<(?=[A-Za-z/!?])|\\(?=[!-/:-@\[-`{-~]|$)")
"""What Markdown takes for the end of a cell, for HTML, or for such an escape."""


def page(title: str, *, lead: str, sections: Sequence[tuple[str, str]]) -> str:
    """Return a complete page.

    Parameters
    ----------
    title, lead : str
        Words; they are escaped.
    sections : sequence of (heading, HTML)
    """
    body = "\n".join(f"<h2>{escape(heading)}</h2>\n{html}" for heading, html in sections)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<h1>{escape(title)}</h1>
<p class="soft">{escape(lead)}</p>
{body}
</main>
</body>
</html>
"""


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    words: bool = False,
    wrapped: bool = False,
) -> str:
    """Return a table; cells are escaped.

    ``words`` sets the last column as text, ``wrapped`` breaks the lines of all cells.
    """
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    lines = []
    for row in rows:
        last = ' class="words"' if words else ""
        cells = [f"<td>{escape(cell)}</td>" for cell in row[:-1]]
        cells.append(f"<td{last}>{escape(row[-1])}</td>")
        lines.append(f"<tr>{''.join(cells)}</tr>")
    kind = "wide wrapped" if wrapped else "wide"
    return f'<div class="{kind}"><table><tr>{head}</tr>{"".join(lines)}</table></div>'


def paragraph(text: str, *, kind: str = "") -> str:
    """Return a paragraph of escaped words, of a class such as ``warning``."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def picture(figure: Figure, *, alternative: str) -> str:
    """Return a figure inside the page, as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return embedded(buffer.getvalue(), alternative=alternative)


def embedded(png: bytes, *, alternative: str) -> str:
    """Return a PNG inside the page."""
    data = base64.b64encode(png).decode()
    return f'<img alt="{escape(alternative)}" src="data:image/png;base64,{data}">'


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown; cells are escaped."""
    lines = ["| " + " | ".join(map(markdown_text, cells)) + " |" for cells in (header, *rows)]
    lines.insert(1, "|" + "---|" * len(header))
    return "\n".join(lines) + "\n"


def markdown_text(text: str) -> str:
    r"""Return a text for one line of Markdown or one cell: it begins no HTML and no further cell.

    >>> print(markdown_text("a|b, <c>, p < 1"))
    a\|b, \<c>, p < 1
    """
    return _MARKS.sub(r"\\\g<0>", " ".join(text.splitlines()))


def write_text(path: Path, text: str) -> None:
    r"""Write a text file by way of a temporary name, UTF-8.

    Bytes of file names that are no UTF-8 become escapes such as ``\\udcff``.
    """
    write_whole(path, lambda file: file.write(text.encode(errors="backslashreplace")))
