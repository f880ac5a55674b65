"""The tables of an evaluation as text cells, and the rules by which its figures are read."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from eventseg.evaluation.evaluate import Protocol
from eventseg.evaluation.rows import Row, has_mean_pixels
from eventseg.metrics.instances import RULE_IIOU
from eventseg.metrics.scores import RULE_ALL, RULE_PRESENT

HEADER = (
    "predictor",
    "window",
    "samples",
    "accuracy",
    "mIoU present",
    "95 % interval",
    "mIoU all",
    "Jaccard micro",
    "Jaccard weighted",
    "ignored",
    "note",
)


class Table(NamedTuple):
    """A table with its title; one column a predictor and window."""

    title: str
    header: tuple[str, ...]
    lines: list[list[str]]


def summary_rows(rows: Sequence[Row]) -> list[list[str]]:
    """Return one line of text cells a row, as :data:`HEADER`."""
    lines = []
    for row in rows:
        scores, interval = row.scores, row.interval()
        lines.append(
            [
                row.name,
                row.window,
                f"{len(row.ids):,}",
                percent(scores.pixel_accuracy),
                f"{percent(scores.miou_present)} ({scores.classes_present} classes)",
                "too few blocks"
                if interval is None
                else f"{percent(interval.low)} to {percent(interval.high)}",
                percent(scores.miou_all),
                percent(scores.jaccard_micro),
                percent(scores.jaccard_weighted),
                "-" if row.ignored_share is None else percent(row.ignored_share),
                note_of(row, first=rows[0]),
            ]
        )
    return lines


def note_of(row: Row, *, first: Row) -> str:
    """Return the note of a row: its own, the limit of its interval, other samples than the first.

    Parameters
    ----------
    row : Row
    first : Row
        First row of the same table.
    """
    notes = [row.note, row.interval_scope]
    if row.sample_set != first.sample_set:
        common = len(set(row.ids) & set(first.ids))
        notes.append(f"other samples than the first row: {common:,} in common")
    return "; ".join(filter(None, notes))


def rules_of(rows: Sequence[Row]) -> dict[str, str]:
    """Return how each figure of the rows is to be read, by its name."""
    rules = {
        "mIoU present": f"{RULE_PRESENT} (Jaccard macro)",
        "mIoU all": RULE_ALL,
        "Jaccard micro": "right pixels over all that are true or predicted, all classes at once",
        "Jaccard weighted": "mean IoU, each class weighted by its true pixels",
        "ignored": "share of the pixels that the labels ignore; no score counts them",
        "95 % interval": (
            f"of mIoU present; bootstrap over {rows[0].blocks}, since frames of one drive resemble "
            "each other"
        ),
    }
    if rows[0].scores.categories:
        rules["category mIoU"] = f"errors inside a category are none; {RULE_PRESENT}"
    instances = rows[0].instances
    if instances is not None:
        sizes = (
            "those of the training images of Cityscapes, brought to the size that is scored at"
            if has_mean_pixels(rows[0].classes)
            else "those of the instances that are scored"
        )
        rules["iIoU"] = (
            f"{RULE_IIOU}; mean sizes are {sizes}; over the {instances.images:,} samples with "
            "instance ids"
        )
    return rules


def class_tables(rows: Sequence[Row]) -> list[Table]:
    """Return IoU, Dice and accuracy of each class, one line a class."""
    names, pixels = rows[0].classes.names, rows[0].scores.truth_pixels
    tables = [
        _table("IoU", "class", names, rows, lambda row: row.scores.iou),
        _table("Dice", "class", names, rows, lambda row: row.scores.dice),
        _table("Accuracy", "class", names, rows, lambda row: row.scores.accuracy),
    ]
    counted = [[*line, f"{count:,}"] for line, count in zip(tables[0].lines, pixels, strict=True)]
    return [Table("IoU", (*tables[0].header, "true pixels"), counted), *tables[1:]]


def group_tables(rows: Sequence[Row]) -> list[Table]:
    """Return IoU of each category and iIoU of each class, each where it is scored."""
    tables = []
    if rows[0].scores.categories:
        tables.append(
            _table(
                "IoU of categories",
                "category",
                (*rows[0].scores.categories, "category mIoU"),
                rows,
                lambda row: (*row.scores.categories.values(), row.scores.category_miou),
            )
        )
    instances = rows[0].instances
    if instances is not None:
        table = _table("iIoU", "class", (*rows[0].classes.names, "mean"), rows, _iiou)
        counts = [*instances.instances.tolist(), int(instances.instances.sum())]
        lines = [
            [*line, f"{count:,}"]
            for line, count in zip(table.lines, counts, strict=True)
            if set(line[1:]) != {percent(math.nan)}
        ]
        tables.append(Table("iIoU", (*table.header, "instances"), lines))
    return tables


def percent(value: float) -> str:
    """Return a share in per cent, two decimals."""
    return "-" if math.isnan(value) else f"{100 * value:.2f}"


def size_of(protocol: Protocol) -> str:
    """Return the size that is scored at in words."""
    return (
        "native size"
        if protocol.size is None
        else f"scored at {protocol.size[1]}x{protocol.size[0]}"
    )


def column_of(row: Row) -> str:
    """Return the name of a row where it is a column."""
    return f"{row.name} {row.window}".removesuffix(" -")


def _table(
    title: str,
    first: str,
    names: Sequence[str],
    rows: Sequence[Row],
    values: Callable[[Row], Sequence[float]],
) -> Table:
    columns = [values(row) for row in rows]
    lines = [
        [name, *(percent(value) for value in line)]
        for name, *line in zip(names, *columns, strict=True)
    ]
    return Table(title, (first, *map(column_of, rows)), lines)


def _iiou(row: Row) -> tuple[float, ...]:
    scores = row.instance_scores
    assert scores is not None  # one row has instances as soon as all have: they are of the data
    return (*scores.iiou, scores.mean)
