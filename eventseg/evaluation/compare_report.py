"""Runs side by side as a table, beside published rows, with one picture of the same samples."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from eventseg.errors import TrainingError
from eventseg.evaluation.compare import RunSummary, group_seeds, read_run_summary
from eventseg.evaluation.inference import network_input, probabilities
from eventseg.evaluation.page import markdown, page, paragraph, picture, table, write_text
from eventseg.labels import paint_labels
from eventseg.networks import load_network
from eventseg.plots import Figure
from eventseg.plots_training import figure_panels
from eventseg.training.config import TrainConfig, load_config, recipe_names
from eventseg.training.recipes import load_recipe
from eventseg.training.run_folder import BEST, RUN, read_run
from eventseg.training.samples import class_table_of, parts_of
from eventseg.training.sources import open_source

ALWAYS = "evsegnet-paper"
"""Recipe whose published rows stand beside every comparison."""

PUBLISHED_HEADER = ("published", "network", "setting", "split", "scores, %", "cost", "comparable")

SHOWN = 3
"""Samples in the picture."""


def compare_runs(runs: Sequence[str | Path], *, out: str | Path) -> tuple[Path, str]:
    """Write ``compare.md`` and ``compare.html`` of runs into a folder.

    Parameters
    ----------
    runs : sequence of path
        Run folders; the evaluations inside them are shown too.
    out : path

    Returns
    -------
    Path, str
        The page, and the tables in Markdown.

    Raises
    ------
    TrainingError
        No run, or one that cannot be read.
    """
    if not runs:
        raise TrainingError("give one or more run folders")
    summaries = [read_run_summary(run) for run in runs]
    header, rows = run_rows(group_seeds(summaries))
    published = published_rows(summaries)
    words = "\n".join(
        [
            "Validation mIoU is of the best epoch, over the classes that occur, in per cent.\n",
            markdown(header, rows),
            markdown(PUBLISHED_HEADER, published),
        ]
    )
    sections = [
        ("Runs", table(header, rows)),
        ("Published", table(PUBLISHED_HEADER, published, words=True)),
    ]
    figure = _same_samples([Path(run) for run in runs], summaries)
    if figure is not None:
        sections.insert(1, ("Same samples", picture(figure, alternative="predictions of each run")))
    else:
        reason = "The runs have other data, parts or classes: no sample is shown for all of them."
        sections.insert(1, ("Same samples", paragraph(reason, kind="soft")))
    lead = "Validation mIoU is of the best epoch, over the classes that occur, in per cent."
    root = Path(out)
    write_text(root / "compare.md", words)
    write_text(root / "compare.html", page("Runs side by side", lead=lead, sections=sections))
    return root / "compare.html", words


def run_rows(runs: Sequence[RunSummary]) -> tuple[tuple[str, ...], list[list[str]]]:
    """Return header and text cells of the table of our runs, one a group of seeds."""
    scored = sorted({name for run in runs for name in run.scored})
    header = (
        "run", "seeds", "network", "input", "windows", "labels", "parameters", "best epoch",
        "val mIoU", *(f"mIoU {name}" for name in scored), "training", "peak memory",
    )  # fmt: skip
    rows = [
        [
            run.name, str(len(run.val_miou)), run.config.network.name, _input(run.config),
            ", ".join(run.config.input.windows) if _sees_events(run.config) else "-",
            run.config.labels.set, f"{run.parameters:,}", run.best_epoch, _spread(run.val_miou),
            *(_spread(run.scored.get(name, ())) for name in scored),
            f"{run.train_s:,.0f} s", f"{run.peak_memory_mib:,.0f} MiB",
        ]
        for run in runs
    ]  # fmt: skip
    return header, rows


def published_rows(runs: Sequence[RunSummary]) -> list[list[str]]:
    """Return the published rows of EV-SegNet and of the recipes of the runs' networks."""
    networks = {run.config.network.name for run in runs}
    same_data = all(run.published_data for run in runs)
    rows = []
    for name in recipe_names():
        network = load_config(name).network.name
        if name != ALWAYS and network not in networks:
            continue
        recipe = load_recipe(name)
        for row in recipe.published:
            setting = ", ".join(f"{key} {value}" for key, value in row.setting.items())
            numbers = ", ".join(f"{key} {value:g}" for key, value in row.scores.items())
            costs = ", ".join(f"{key} {value:g}" for key, value in row.costs.items())
            comparable = same_data and name == ALWAYS
            rows.append(
                [recipe.title, network, setting or "-", row.split, numbers or "-", costs or "-",
                 "same data, labels of another teacher" if comparable else "not comparable"]
            )  # fmt: skip
    return rows


def _input(config: TrainConfig) -> str:
    kind = config.input.kind
    return f"{kind}, {config.input.fusion} fusion" if kind == "both" else kind


def _sees_events(config: TrainConfig) -> bool:
    return config.input.kind in ("events", "both")


def _spread(values: Sequence[float]) -> str:
    """Return a number, or mean and sample deviation of several."""
    if not values:
        return "-"
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{statistics.fmean(values):.2f} ± {statistics.stdev(values):.2f}"


def _same_samples(runs: Sequence[Path], summaries: Sequence[RunSummary]) -> Figure | None:
    """Return truth and every run's prediction of the same samples, None where they differ."""
    held = [read_run(run / RUN) for run in runs]
    alike = {
        (summary.data, str(one["parts"])) for summary, one in zip(summaries, held, strict=True)
    }
    if len(alike) > 1 or not Path(held[0]["data"]).is_dir():
        return None
    config = summaries[0].config
    source = open_source(held[0]["data"], label_set=config.labels.set)
    try:
        _, judging = parts_of(source, config).values()
        places = np.linspace(0, len(judging) - 1, min(SHOWN, len(judging)))
        chosen = [int(judging[round(place)]) for place in places]
        classes, _ = class_table_of(source, config)
        rows = [[paint_labels(source.labels(i), source.classes)] for i in chosen]
        for run in runs:
            trained = load_network(run / BEST)
            windows = trained.inputs.windows
            for row, i in zip(rows, chosen, strict=True):
                x = network_input(source, i, inputs=trained.inputs, window=windows[0])
                with torch.inference_mode():
                    found = probabilities(trained, x[None], size=source.size)
                prediction = found[0].argmax(0).to(torch.uint8).numpy()
                row.append(paint_labels(prediction, trained.classes))
        return figure_panels(
            rows, titles=("labels", *(summary.name for summary in summaries)),
            names=[source.ids[i] for i in chosen], table=classes,
        )  # fmt: skip
    finally:
        source.close()
