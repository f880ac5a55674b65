"""Picture of the same samples: labels, and the predictions of each run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from eventseg.evaluation.compare.runs import RunSummary
from eventseg.evaluation.request import recordings_of, windows_of
from eventseg.labels.maps import ClassTable, paint_labels
from eventseg.networks import load_network
from eventseg.plots.events import Figure
from eventseg.plots.training import figure_panels
from eventseg.prediction.predictor import network_input, probabilities
from eventseg.sources.source import open_source
from eventseg.training.parts import parts_of
from eventseg.training.run_folder import BEST, RUN, read_run

SHOWN = 3
"""Samples in the picture."""


def same_samples(
    runs: Sequence[Path], summaries: Sequence[RunSummary]
) -> tuple[Figure | None, str]:
    """Return labels and every run's prediction of the same samples, or why there is no picture.

    Samples are spread over those that chose the best epoch in every run.

    Parameters
    ----------
    runs : sequence of Path
        Run folders.
    summaries : sequence of RunSummary
        Caption of each column.

    Returns
    -------
    Figure or None, str
        The picture, and words on it.
    """
    records = [read_run(run / RUN) for run in runs]
    data, label_set = Path(records[0]["data"]), summaries[0].config.labels.set
    if len({str(recordings_of(one["inputs"])) for one in records}) > 1:
        return None, "The runs are of other recordings: no sample is shown for all of them."
    if not data.is_dir():
        return None, f"The data is no longer at {data}: no sample is shown."
    shared = _shared(data, summaries)
    if not shared:
        return None, "The runs were judged on other samples: none is shown for all of them."
    places = np.linspace(0, len(shared) - 1, min(SHOWN, len(shared)))
    names = [shared[round(place)] for place in places]
    source = open_source(data, label_set=label_set)
    try:
        indices = [source.ids.index(name) for name in names]
        tables = [source.classes]
        rows = [[paint_labels(source.labels(i), source.classes)] for i in indices]
        for run in runs:
            trained = load_network(run / BEST)
            tables.append(trained.classes)
            for row, i in zip(rows, indices, strict=True):
                window = windows_of(trained)[0]
                x = network_input(source, i, inputs=trained.inputs, window=window)
                probability = probabilities(trained, x[None], size=source.size)
                prediction = probability[0].argmax(0).to(torch.uint8).numpy()
                row.append(paint_labels(prediction, trained.classes))
        figure = figure_panels(
            rows,
            titles=(f"labels: {label_set}", *(summary.name for summary in summaries)),
            names=names,
            table=_all_classes(tables),
        )
    finally:
        source.close()
    return figure, "Samples that chose the best epoch, at the first window of each run."


def _shared(data: Path, summaries: Sequence[RunSummary]) -> list[str]:
    """Return the samples that judged every run, in the order of the first."""
    rows = []
    for summary in summaries:
        source = open_source(data, label_set=summary.config.labels.set)
        try:
            _, indices = parts_of(source, summary.config).values()
            rows.append([source.ids[i] for i in indices])
        finally:
            source.close()
    common = set(rows[0]).intersection(*rows[1:])
    return [name for name in rows[0] if name in common]


def _all_classes(tables: Sequence[ClassTable]) -> ClassTable:
    """Return the classes of all tables, each name and colour once."""
    pairs = dict.fromkeys(
        pair for table in tables for pair in zip(table.names, table.colours, strict=True)
    )
    return ClassTable(tuple(name for name, _ in pairs), tuple(colour for _, colour in pairs))
