"""IoU of each class: our runs beside published rows that give it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from eventseg.evaluation.compare.published import PUBLISHED_ON
from eventseg.evaluation.compare.runs import RunSummary
from eventseg.evaluation.compare.scores import Evaluation, by_length, spread
from eventseg.training.config.config import load_config, recipe_names
from eventseg.training.config.recipes import load_recipe


class ClassColumn(NamedTuple):
    """Column of a table of classes: its title, and IoU in percent by class as text."""

    title: str
    iou: Mapping[str, str]


def class_rows(
    runs: Sequence[RunSummary], chosen: Evaluation | None
) -> tuple[tuple[str, ...], list[list[str]]]:
    """Return header and text cells of the IoU of each class, a column a run and window.

    Of the evaluation that the table of runs shows. Classes without true pixels in every column
    are left out; beside ours stand published rows of the same network that give the IoU of
    classes of these names.

    Parameters
    ----------
    runs : sequence of RunSummary
    chosen : Evaluation or None
    """
    ours = [
        ClassColumn(
            f"{run.name} {window}".removesuffix(" -"),
            _of_seeds([dict(score.per_class) for score in scores]),
        )
        for run in runs
        if chosen is not None
        for window, scores in sorted(
            run.scored.get(chosen, {}).items(), key=lambda item: by_length(item[0])
        )
    ]
    ours = [column for column in ours if column.iou]
    published = [column for column in _published(runs) if _names(ours) & column.iou.keys()]
    columns = [*ours, *(published if ours else _published(runs))]
    names = dict.fromkeys(name for column in columns for name in column.iou)
    lines = [[name, *(column.iou.get(name, "-") for column in columns)] for name in names]
    lines = [line for line in lines if set(line[1:]) != {"-"}]
    return ("class", *(column.title for column in columns)), lines


def same_data_note(runs: Sequence[RunSummary]) -> list[str]:
    """Return the sentence that says which published columns are of the same data."""
    titles = [column.title for column in _published(runs)]
    if not titles:
        return []
    same = [
        load_recipe(name).title
        for name in _recipes(runs)
        if any(run.published_data == PUBLISHED_ON.get(name) != "" for run in runs)
        and any(row.per_class for row in load_recipe(name).published)
    ]
    return [
        "Columns that begin with 'published' are of the reports, in whole per cent; "
        + (f"of the same data: {', '.join(same)}." if same else "not of the same data as ours.")
    ]


def _names(columns: Sequence[ClassColumn]) -> set[str]:
    return {name for column in columns for name in column.iou}


def _of_seeds(seeds: Sequence[Mapping[str, float]]) -> dict[str, str]:
    """Return the IoU of each class, or mean and deviation over seeds."""
    names = dict.fromkeys(name for seed in seeds for name in seed)
    return {name: spread([seed[name] for seed in seeds if name in seed]) for name in names}


def _recipes(runs: Sequence[RunSummary]) -> list[str]:
    networks = {run.config.network.name for run in runs}
    return [name for name in recipe_names() if load_config(name).network.name in networks]


def _published(runs: Sequence[RunSummary]) -> list[ClassColumn]:
    """Return the published rows with class IoU of the recipes of the runs' networks."""
    columns = []
    for name in _recipes(runs):
        recipe = load_recipe(name)
        for row in recipe.published:
            if row.per_class:
                iou = {key: f"{value:g}" for key, value in row.per_class.items()}
                columns.append(ClassColumn(f"published: {recipe.title}, {row.split}", iou))
    return columns
