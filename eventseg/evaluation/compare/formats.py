"""Tables of a comparison as Markdown, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Literal, NamedTuple

from eventseg.html import markdown, markdown_text

Format = Literal["md", "csv", "latex"]

SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    # Behind the end of a row they would be an argument of it.
    "[": "{[}",
    "*": "{*}",
}
"""Letters that LaTeX writes otherwise."""


class ComparedTable(NamedTuple):
    """A table of a comparison: title, header, text cells, and sentences below it."""

    title: str
    header: tuple[str, ...]
    rows: list[list[str]]
    lines: Sequence[str]


def as_markdown(tables: Sequence[ComparedTable], *, reading: Sequence[str]) -> str:
    """Return all tables as Markdown, with the sentences on how to read them first."""
    return "\n".join(
        [
            "# Runs side by side\n",
            *(f"{markdown_text(line)}\n" for line in reading),
            *(
                f"## {markdown_text(title)}\n\n{markdown(header, rows)}"
                + "".join(f"\n{markdown_text(line)}\n" for line in lines if lines is not reading)
                for title, header, rows, lines in tables
            ),
        ]
    )


def as_csv(tables: Sequence[ComparedTable]) -> str:
    """Return all tables as CSV; the first column names the table, an empty line parts them.

    Examples
    --------
    >>> table = ComparedTable("Runs", ("run", "mIoU"), [["a, b", "50.00"]], [])
    >>> print(as_csv([table]), end="")
    table,run,mIoU
    Runs,"a, b",50.00
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    for number, (title, header, rows, _) in enumerate(tables):
        if number:
            text.write("\n")
        writer.writerow(["table", *header])
        writer.writerows([title, *row] for row in rows)
    return text.getvalue()


def as_latex(tables: Sequence[ComparedTable]) -> str:
    r"""Return all tables as LaTeX: ``table`` and ``tabular``, with rules of ``booktabs``.

    Examples
    --------
    >>> table = ComparedTable("Runs", ("run", "mIoU"), [["a_1", "50.00"]], [])
    >>> r"a\_1 & 50.00 \\" in as_latex([table])
    True
    """
    parts = [r"% needs \usepackage{booktabs}"]
    for title, header, rows, _ in tables:
        numeric = [all(_is_number(row[column]) for row in rows) for column in range(len(header))]
        parts += [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{latex_text(title)}}}",
            rf"\begin{{tabular}}{{{''.join('r' if right else 'l' for right in numeric)}}}",
            r"\toprule",
            _latex_line(header),
            r"\midrule",
            *map(_latex_line, rows),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    return "\n".join(parts) + "\n"


def latex_text(text: str) -> str:
    r"""Return a text as LaTeX writes it.

    Examples
    --------
    >>> print(latex_text("50 % ± 1_a"))
    50 \% $\pm$ 1\_a
    """
    return "".join(SPECIAL.get(letter, letter) for letter in " ".join(text.splitlines()))


def _latex_line(cells: Sequence[str]) -> str:
    return " & ".join(map(latex_text, cells)) + r" \\"


def _is_number(cell: str) -> bool:
    return cell == "-" or all(letter in "0123456789.,+-± " for letter in cell)
