"""Published rows of the leagues beside a score, and whether it may stand beside them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from eventseg.evaluation.report.sections import Section
from eventseg.evaluation.report.tables import Table, percent
from eventseg.evaluation.rows import Row
from eventseg.files.texts import read_toml
from eventseg.labels.maps import load_class_table
from eventseg.sources.leagues.league import League
from eventseg.sources.source import Source

FILE = Path(__file__).with_name("league_rows.toml")
"""Leagues and their published rows."""


@cache
def _content() -> dict[str, Any]:
    return read_toml(FILE)


def league_of(source: Source, row: Row) -> str:
    """Return the league whose classes and size a score has, ``ddd17`` or ``dsec``, or ``""``."""
    for name, league in _content()["leagues"].items():
        table = load_class_table(league["classes"])
        if row.classes.names == table.names and tuple(source.size) == tuple(league["size"]):
            return str(name)
    return ""


def published_section(source: Source, row: Row) -> Section | None:
    """Return the published rows of the league whose classes and size are scored, None without.

    There are none beside scores against other labels than the masks of a league.

    Parameters
    ----------
    source : Source
    row : Row
        Row of the predictions under the first protocol.
    """
    name = league_of(source, row)
    if not name:
        return None
    if isinstance(source, League) and source.label_set not in source.tables:
        return None  # published are scores against its masks
    league = _content()["leagues"][name]
    counts, samples = league["samples"], len(row.ids)
    if samples in counts:
        of = f"the {samples:,} samples are as many as one reading of the league has"
        comparable = f"{of}: comparable if they are the same"
    else:
        said = " or ".join(f"{count:,}" for count in counts)
        comparable = f"not comparable: {samples:,} samples, the league has {said}"
    lines: list[dict[str, str | int | float]] = [_line("this score", "-", [], "this report")]
    found = row.scores
    lines[0] |= {"miou": 100 * found.miou_all, "accuracy": 100 * found.pixel_accuracy}
    lines += [
        _line(one["method"], one["input"], one[name], one["source"])
        for one in _content()["rows"]
        if name in one
    ]
    lines.sort(key=lambda line: -float(line["miou"]))
    return Section(
        key="published",
        title=f"Beside the published rows of {league['title']}, %",
        note=(
            f"{comparable}; mIoU over all {len(row.classes)} classes, where an absent class counts "
            "0, as the league's loaders have it; second hand: a later paper's table says it; most "
            "published checkpoints were chosen on the test part, and the labels are those of a "
            "network that saw the frames"
        ),
        facts={"league": league["title"], "comparable": samples in counts},
        lines=lines,
        table=Table(
            "Published rows",
            ("method", "input", "mIoU", "accuracy", "said by"),
            [
                [
                    str(line["method"]),
                    str(line["input"]),
                    percent(float(line["miou"]) / 100),
                    percent(float(line["accuracy"]) / 100),
                    str(line["source"]),
                ]
                for line in lines
            ],
        ),
    )


def _line(method: str, kind: str, scores: list[float], source: str) -> dict[str, Any]:
    known = [*scores, float("nan"), float("nan")][:2]
    return {
        "method": method,
        "input": kind,
        "miou": float(known[0]),
        "accuracy": float(known[1]),
        "source": source,
    }
