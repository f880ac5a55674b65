"""Contact sheet of a prediction folder, a data set or a run: some samples in rows."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventseg.dataset.layout import MANIFEST as DATASET_MANIFEST
from eventseg.dataset.opening import dataset_folders, open_dataset
from eventseg.dataset.truth import TRUTH
from eventseg.errors import DatasetError
from eventseg.labels.common import CommonTable, common_table, union_table
from eventseg.labels.maps import ClassTable, Labels, paint_labels
from eventseg.networks.resizing import resize_nearest
from eventseg.plots.events import Figure
from eventseg.plots.film_frame import paint_error, wrong_share
from eventseg.plots.training import figure_panels
from eventseg.prediction.checkpoint_file import find_checkpoint
from eventseg.prediction.folder import PredictionFolder, open_predictions
from eventseg.prediction.inputs import PredictedSample
from eventseg.prediction.instants import window_us_of
from eventseg.prediction.layout import RUN, is_prediction_folder
from eventseg.prediction.moment import Moment, MomentSource
from eventseg.prediction.moments import (
    STORED_WINDOW,
    FolderMoments,
    LeagueMoments,
    open_moments,
    without_label_set,
)
from eventseg.prediction.prediction import labels_of
from eventseg.prediction.predictor import Predictor, network_input, predictor
from eventseg.prediction.recorded_moments import DatasetMoments
from eventseg.sources.layouts import open_layout
from eventseg.sources.leagues.league import League
from eventseg.sources.recorded import EventSource
from eventseg.sources.split_file import read_split_file, splits_of_run
from eventseg.windows import format_duration, to_us

Rgb = NDArray[np.uint8]

SHOWN = 6
"""Samples of a sheet by default."""


@dataclass(frozen=True, eq=False, slots=True)
class _Row:
    """A sample of a sheet: its moment and prediction, each with the table of its labels."""

    id: str
    moment: Moment
    labels_table: ClassTable | None
    predicted: Labels | None
    predicted_table: ClassTable | None


def contact_sheet(
    path: str | Path,
    *,
    samples: Sequence[str] = (),
    count: int = SHOWN,
    split: str | None = None,
    labels: str | None = None,
    run: str | Path | None = None,
    window: str | int | None = None,
    device: str = "auto",
) -> Figure:
    """Return a figure of some samples: frame, events, labels, prediction and wrong pixels.

    Parameters
    ----------
    path : path
        Prediction folder, data set folder, image folder, or run folder, which shows the data that
        it was trained on.
    samples : sequence of str
        Ids of the samples to show; by default `count` of them, spread over all.
    count : int
    split : str, optional
        Part of a data set to choose from, by the split of the run where it has one of its own; of
        a run folder by default ``test``.
    labels : str, optional
        Label set; by default the truth, or the only one.
    run : path, optional
        Run folder or checkpoint that predicts the samples of a data set.
    window : str or int, optional
        Window of the events of a data set, where it has several.
    device : str

    Raises
    ------
    DatasetError
        A folder of another kind, samples or a label set of a data set that are not there, or a
        run, split or window for predictions, which are shown as they were made.
    TrainingError
        Pictures or a league without that label set.
    CheckpointError, NetworkError, WindowError
        A run that cannot predict the data.

    Examples
    --------
    >>> figure = contact_sheet("drives", count=2, run=run.path, window="50ms", device="cpu")
    """
    root = Path(path)
    if count < 1:
        raise DatasetError(f"a contact sheet shows 1 sample or more, not {count}")
    if is_prediction_folder(root):
        asked = {"run": run, "split": split, "window": window}
        if given := [name for name, value in asked.items() if value is not None]:
            raise DatasetError(
                f"{root} holds predictions, which are shown as they were made: leave "
                f"{' and '.join(given)} out"
            )
        rows = _of_predictions(open_predictions(root), samples, count, labels)
    else:
        if not (root / DATASET_MANIFEST).is_file() and open_layout(root) is None:
            _check_is_run(root)
            file = find_checkpoint(root)
            if file.data is None or not file.data.exists():
                raise DatasetError(
                    f"the data that {root} was trained on is no longer at {file.data}; give the "
                    "data with --run RUN"
                )
            root, run, split = file.data, run or path, split or "test"
        chosen = None if run is None else predictor(run, device=device)
        run_split = None if run is None else find_checkpoint(run).split_file
        rows = _of_data(root, samples, count, split, labels, chosen, window, run_split)
    return _figure(rows)


def _check_is_run(root: Path) -> None:
    """Raise a DatasetError for a folder that is none of those that a sheet shows."""
    if (root / RUN).is_file() or any(root.glob("*.pt")):
        return
    several = dataset_folders(root)
    hint = f"; it holds data sets, such as {several[0]}" if several else ""
    raise DatasetError(f"{root} is no data set, image folder, run or prediction folder{hint}")


def _of_predictions(
    folder: PredictionFolder, samples: Sequence[str], count: int, labels: str | None
) -> list[_Row]:
    by_id = {sample.id: sample for sample in folder.samples}
    rows = []
    with ExitStack() as files:
        sources: dict[str, MomentSource] = {}
        for name in _picked(list(by_id), samples, count, of=str(folder.path)):
            sample = by_id[name]
            if sample.input not in sources:
                sources[sample.input] = open_moments(folder, sample.input, label_set=labels)
                files.callback(sources[sample.input].close)
            source = sources[sample.input]
            moment = source.moment(sample)
            rows.append(_Row(name, moment, source.classes, folder.labels(name), folder.classes))
        without_label_set(sources, labels)
    return rows


def _of_data(
    root: Path,
    samples: Sequence[str],
    count: int,
    split: str | None,
    labels: str | None,
    chosen: Predictor | None,
    window: str | int | None,
    run_split: Path | None,
) -> list[_Row]:
    folder = open_layout(root)
    moments: DatasetMoments | FolderMoments | LeagueMoments
    if folder is None:
        length = _window(root, chosen, window)
        moments = DatasetMoments.open(root, window=length, label_set=labels)
        source = EventSource(moments.dataset, moments.label_set or TRUTH)
    elif isinstance(folder, League):
        asked = window or "50ms"
        length = format_duration(
            to_us(asked) if chosen is None else window_us_of(chosen.trained.inputs, window)
        )
        source = folder  # type: ignore[assignment]
        moments = LeagueMoments.of(folder, window=length, label_set=labels)
    else:
        length = STORED_WINDOW if window is None else format_duration(to_us(window))
        source = folder  # type: ignore[assignment]
        moments = FolderMoments.of(
            folder, window=None if window is None else length, label_set=labels
        )
    rows = []
    try:
        if chosen is not None:
            chosen.trained.inputs.check_encoding(source.encoding, source=str(root))
        of_run = None
        if run_split is not None:
            of_run = splits_of_run(source, read_split_file(run_split))
        splits = dict(zip(source.ids, of_run or source.splits, strict=True))
        names = [name for name in source.ids if split in (None, splits[name])]
        for name in _picked(names, samples, count, of=f"{root}{f', {split}' if split else ''}"):
            i = source.ids.index(name)
            moment = moments.moment(PredictedSample(name, root.name, None, -1, 1.0, None))
            predicted = table = None
            if chosen is not None:
                x = network_input(source, i, inputs=chosen.trained.inputs, window=length)
                predicted, table = labels_of(chosen(x.numpy())), chosen.trained.classes
            rows.append(_Row(name, moment, moments.classes, predicted, table))
    finally:
        moments.close()
    return rows


def _window(root: Path, chosen: Predictor | None, window: str | int | None) -> str:
    """Return the window that is shown: the given one, the network's, or the data set's first."""
    if chosen is not None:
        return format_duration(window_us_of(chosen.trained.inputs, window))
    with open_dataset(root) as dataset:
        return dataset.windows[0] if window is None else dataset.window_name(window)


def _picked(names: Sequence[str], samples: Sequence[str], count: int, *, of: str) -> list[str]:
    """Return the samples that are asked for, or some spread over all."""
    if samples:
        known = set(names)
        unknown = [name for name in samples if name not in known]
        if unknown:
            some = ", ".join(names[:3])
            raise DatasetError(f"{of} has no sample {unknown[0]!r}; it has {some}, ...")
        return list(samples)
    if not names:
        raise DatasetError(f"{of} has no sample to show")
    places = np.linspace(0, len(names) - 1, min(count, len(names))).round().astype(int)
    return [names[place] for place in places]


def _figure(rows: Sequence[_Row]) -> Figure:
    tables = [t for row in rows for t in (row.labels_table, row.predicted_table) if t is not None]
    places = {table: place for place, table in enumerate(dict.fromkeys(tables))}
    known = list(places)
    merged = common_table(known) if known else None
    common = merged or (union_table(known) if known else None)
    titles: dict[str, None] = {}
    pictures = [_pictures(row, common, places, errors=merged is not None) for row in rows]
    for shown, _ in pictures:
        titles |= dict.fromkeys(shown)
    size = next(picture.shape for shown, _ in pictures for picture in shown.values())
    blank = np.full(size, 255, np.uint8)
    return figure_panels(
        [[shown.get(title, blank) for title in titles] for shown, _ in pictures],
        titles=list(titles),
        names=[
            row.id + (f"\n{share:.1%} wrong" if share is not None else "")
            for row, (_, share) in zip(rows, pictures, strict=True)
        ],
        table=common.classes if common else ClassTable((), ()),
    )


def _pictures(
    row: _Row, common: CommonTable | None, places: dict[ClassTable, int], *, errors: bool
) -> tuple[dict[str, Rgb], float | None]:
    """Return the pictures of a sample by title, and the share of wrong pixels where it is known."""
    shown: dict[str, Rgb] = {}
    if row.moment.frame is not None:
        shown["frame"] = row.moment.frame
    if row.moment.events is not None:
        shown["events"] = row.moment.events
    if common is None:
        return shown, None
    truth = predicted = None
    if row.moment.labels is not None and row.labels_table is not None:
        truth = common.labels(row.moment.labels, places[row.labels_table])
        shown["labels"] = paint_labels(truth, common.classes)
    if row.predicted is not None and row.predicted_table is not None:
        predicted = common.labels(row.predicted, places[row.predicted_table])
        shown["prediction"] = paint_labels(predicted, common.classes)
    if truth is None or predicted is None or not errors:
        return shown, None
    if predicted.shape != truth.shape:
        predicted = resize_nearest(predicted, (truth.shape[0], truth.shape[1]), rule="centres")
    shown["wrong pixels"] = paint_error(predicted, truth, below=row.moment.frame)
    return shown, wrong_share(predicted, truth)
