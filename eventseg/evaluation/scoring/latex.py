"""The tables of a score as LaTeX: rows for a paper, in the style of booktabs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from eventseg.evaluation.compare.formats import latex_text
from eventseg.evaluation.rows import Row

HEAD = r"""% Made by eventseg score. Needs \usepackage{booktabs}; compile it as it is with
%   pdflatex '\documentclass{article}\usepackage{booktabs}\begin{document}\input{scores.tex}
%   \end{document}'
"""


def latex_tables(rows: Sequence[Row], *, caption: str) -> str:
    r"""Return two tables: scores of every row with intervals, and the IoU of each class.

    Parameters
    ----------
    rows : sequence of Row
        All in the same classes.
    caption : str
        Words on data and protocol; they are escaped.
    """
    scores = [
        [
            latex_text(row.name),
            latex_text(row.window),
            f"{len(row.ids)}",
            _percent(row.scores.pixel_accuracy),
            _percent(row.scores.miou_present),
            _interval(row),
            _percent(row.scores.miou_all),
        ]
        for row in rows
    ]
    header = ["predictor", "window", "samples", "accuracy", "mIoU", r"95\,\%", "mIoU, all"]
    names = rows[0].classes.names
    of_classes = [
        [latex_text(name), *(_percent(row.scores.iou[k]) for row in rows)]
        for k, name in enumerate(names)
    ]
    means = ["mean of those present", *(_percent(row.scores.miou_present) for row in rows)]
    return HEAD + "\n".join(
        [
            _table("llrrrrr", header, scores, caption=f"Scores in per cent. {caption}"),
            _table(
                "l" + "r" * len(rows),
                ["class", *(latex_text(row.name) for row in rows)],
                [*of_classes, means],
                caption=f"IoU of each class in per cent. {caption}",
            ),
        ]
    )


def _table(
    columns: str, header: Sequence[str], lines: Sequence[Sequence[str]], caption: str
) -> str:
    body = [" & ".join(line) + r" \\" for line in (header, *lines)]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{latex_text(caption)}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            body[0],
            r"\midrule",
            *body[1:],
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _interval(row: Row) -> str:
    found = row.interval()
    return "--" if found is None else f"{_percent(found.low)}--{_percent(found.high)}"


def _percent(value: float) -> str:
    return "--" if math.isnan(value) else f"{100 * value:.2f}"
