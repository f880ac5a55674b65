"""Picture of the same samples: labels, and the predictions of each run on its own input."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from eventseg.errors import TrainingError
from eventseg.evaluation.compare.runs import RunSummary
from eventseg.evaluation.request import recordings_of, windows_of
from eventseg.labels.common import common_table, union_table
from eventseg.labels.maps import Labels, paint_labels
from eventseg.networks import load_network
from eventseg.plots.events import Figure
from eventseg.plots.training import figure_panels
from eventseg.prediction.predictor import network_input, probabilities
from eventseg.sources.source import Source, open_source
from eventseg.splits import SplitRule
from eventseg.training.layout import BEST, RUN, SPLIT
from eventseg.training.parts import parts_of
from eventseg.training.run_record import read_run

SHOWN = 3
"""Samples in the picture."""


def same_samples(
    runs: Sequence[Path], summaries: Sequence[RunSummary]
) -> tuple[Figure | None, str]:
    """Return labels and every run's prediction of the same samples, or why there is no picture.

    Samples are spread over those that chose the best epoch in every run. Each run sees the data
    set that it was trained on, so that runs of other representations, windows or crops stand side
    by side; all label maps are painted in one class table.

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
    if len({str(recordings_of(one["inputs"])) for one in records}) > 1:
        return None, "The runs are of other recordings: no sample is shown for all of them."
    places = [Path(one["data"]) for one in records]
    gone = [place for place in places if not place.exists()]
    if gone:
        return None, f"The data is no longer at {gone[0]}: no sample is shown."
    with ExitStack() as opened:
        sources = []
        for place, summary in zip(places, summaries, strict=True):
            sources.append(open_source(place, label_set=summary.config.labels.set))
            opened.callback(sources[-1].close)
        try:
            shared = _shared(sources, runs, summaries)
        except TrainingError as error:
            return None, f"No sample is shown: {error}."
        if not shared:
            return None, "The runs were judged on other samples: none is shown for all of them."
        spread = np.linspace(0, len(shared) - 1, min(SHOWN, len(shared)))
        names = [shared[round(place)] for place in spread]
        tables = [sources[0].classes]
        maps = [[sources[0].labels(sources[0].ids.index(name)) for name in names]]
        for run, source in zip(runs, sources, strict=True):
            trained = load_network(run / BEST)
            tables.append(trained.classes)
            column: list[Labels] = []
            for name in names:
                i, window = source.ids.index(name), windows_of(trained)[0]
                x = network_input(source, i, inputs=trained.inputs, window=window)
                probability = probabilities(trained, x[None], size=source.size)
                column.append(probability[0].argmax(0).to(torch.uint8).numpy())
            maps.append(column)
    common = common_table(tables) or union_table(tables)
    painted = [
        [paint_labels(common.labels(labels, table), common.classes) for labels in column]
        for table, column in enumerate(maps)
    ]
    figure = figure_panels(
        list(zip(*painted, strict=True)),
        titles=(
            f"labels: {summaries[0].config.labels.set}",
            *(summary.name for summary in summaries),
        ),
        names=names,
        table=common.classes,
    )
    return figure, (
        "Samples that chose the best epoch, each run on its own data set, at the first window of "
        "each, all in one class table."
    )


def _shared(
    sources: Sequence[Source], runs: Sequence[Path], summaries: Sequence[RunSummary]
) -> list[str]:
    """Return the samples that judged every run, in the order of the first."""
    rows = []
    for source, run, summary in zip(sources, runs, summaries, strict=True):
        config = summary.config
        if (run / SPLIT).is_file():  # the file that the settings name may be gone or changed
            config = replace(config, split=SplitRule(file=str(run / SPLIT)))
        _, indices = parts_of(source, config).values()
        rows.append([source.ids[i] for i in indices])
    common = set(rows[0]).intersection(*rows[1:])
    return [name for name in rows[0] if name in common]
