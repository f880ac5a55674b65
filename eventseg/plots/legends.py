"""Names as Matplotlib draws them, and sizes of legends and texts that fit their pictures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.path import Path
from matplotlib.textpath import TextPath

LARGEST_PT, SMALLEST_PT = 8.0, 4.0

HINTED = 1.05
"""Share by which letters are drawn wider than they are designed, on whole pixels."""

HANDLE, GAP, LINE, BORDER = 2.8, 2.0, 1.6, 1.2
"""Matplotlib's defaults in font sizes: handle and space after it, space between columns, height of
a line, and space around the whole."""


DESIGN_PT = 100
"""Size in points in which letters are measured."""


class LegendSize(NamedTuple):
    """Font size in points, columns, and height of a legend in points."""

    font_pt: float
    columns: int
    height_pt: float


def as_written(name: str) -> str:
    r"""Return a name of a user's own for a text of a figure, which shows it as it is.

    Matplotlib takes what stands between two ``$`` for a formula, leaves labels that begin with
    ``_`` out of a legend, and draws no bytes of file names that are no UTF-8.

    >>> as_written("$a$"), as_written("_b"), as_written("\udcff")
    ('\\$a\\$', ' _b', '\\udcff')
    """
    text = name.encode(errors="backslashreplace").decode()
    return " " * text.startswith("_") + text.replace("$", r"\$")


def fit_legend(
    labels: Sequence[str], *, width_pt: float, height_pt: float | None = None
) -> LegendSize:
    """Return the largest letters, and the most columns, with which a legend fits.

    Parameters
    ----------
    labels : sequence of str
    width_pt : float
        Width of the legend in points.
    height_pt : float, optional
        Height that is there; by default any, in which letters shrink for a long name only.

    Returns
    -------
    LegendSize
        Letters of 8 points or less, and no less than 4, where a legend may stick out.
    """
    longest = max((_width_pt(label) for label in labels), default=0.0)
    size = LARGEST_PT
    while True:
        column = longest * size + HANDLE * size
        columns = int((width_pt - BORDER * size + GAP * size) // (column + GAP * size))
        columns = max(1, min(len(labels), columns))
        lines = -(-len(labels) // columns)
        needed_pt = (lines * LINE + BORDER) * size
        fits = columns * (column + GAP * size) - GAP * size + BORDER * size <= width_pt
        if size <= SMALLEST_PT or (fits and (height_pt is None or needed_pt <= height_pt)):
            return LegendSize(size, columns, needed_pt)
        size -= 0.25


def largest_letters(text: str, *, width_pt: float, most: float) -> float:
    """Return the size in points, 4 to `most`, with which the lines of a text fit a width."""
    widest = max(_width_pt(line) for line in text.split("\n"))
    return min(most, max(SMALLEST_PT, width_pt / widest)) if widest else most


def _width_pt(text: str) -> float:
    """Return the width of a text in letters of one point."""
    font = FontProperties(size=DESIGN_PT)
    return HINTED * _width_at(text, font, findfont(font)) / DESIGN_PT if text.strip() else 0.0


@lru_cache(maxsize=4096)
def _width_at(text: str, font: FontProperties, _file: str) -> float:
    """Return the width of the letters of a text; the file of the font may change by settings."""
    path = TextPath((0, 0), as_written(text), prop=font)
    # Outlines end at their control points. Their extents are the same, but found curve by curve.
    return float(np.ptp(path.vertices[path.codes != Path.CLOSEPOLY, 0]))
