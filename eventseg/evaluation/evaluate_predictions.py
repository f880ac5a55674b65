"""From a folder of label maps and a data set to a report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from eventseg.errors import DatasetError, EventsegError, LabelError
from eventseg.evaluation.baselines import baselines_or_note
from eventseg.evaluation.counting import row_of
from eventseg.evaluation.evaluate import Protocol
from eventseg.evaluation.evaluation import Evaluation
from eventseg.evaluation.label_maps import LabelMaps, open_label_maps, some
from eventseg.evaluation.report.warning import warning_of
from eventseg.evaluation.report.write import write_report
from eventseg.evaluation.request import FOLDER, classes_word, split_word
from eventseg.evaluation.saved_predictions import NATIVE
from eventseg.evaluation.scored_split import split_source
from eventseg.events import SensorSize
from eventseg.files.whole import check_folder
from eventseg.labels.maps import (
    IGNORED,
    ClassTable,
    Labels,
    load_class_table,
    merge_labels,
    paint_labels,
)
from eventseg.labels.tables import described
from eventseg.networks.resizing import nearest
from eventseg.prediction.scored import ScoredBatch
from eventseg.recordings.progress import Progress, Report, no_report
from eventseg.sources.selection import merge_into, part, truth_of
from eventseg.sources.source import Source, open_source


def evaluate_predictions(
    predictions: str | Path,
    data: str | Path,
    *,
    labels: str | None = None,
    classes: str | None = None,
    split: str | None = None,
    split_file: str | Path = "",
    size: SensorSize | None = None,
    network_classes: str | None = None,
    baselines: bool = True,
    out: str | Path | None = None,
    progress: Report = no_report,
) -> Evaluation:
    """Score a folder of label maps against the labels of a data set, and write the report.

    A folder that an evaluation wrote gives the scores of that evaluation, to the last digit.

    Parameters
    ----------
    predictions : path
        Prediction folder, or a folder of label PNG whose names are sample ids.
    data : path
        Data set folder or image folder.
    labels : str, optional
        Label set to score against; by default the one of the evaluation that wrote the folder, else
        the truth.
    classes : str, optional
        Class table that truth and predictions are merged into first; by default the predictions'.
    split : str, optional
        Part of the data; by default that of the evaluation that wrote the folder, else ``test``.
    split_file : path
        Split file, CSV with the columns id or recording, and split; by default the split of the
        data.
    size : SensorSize, optional
        Size that is scored at; by default as the folder was scored, else that of the labels.
    network_classes : str, optional
        Class table of label PNG without a manifest.
    baselines : bool
        Whether the baselines that need no network are scored too.
    out : path, optional
        Folder of the report; by default one in the prediction folder.
    progress : callable
        Called after every sample.

    Returns
    -------
    Evaluation

    Raises
    ------
    DatasetError
        Samples of the part without a prediction, two predictions of one sample, or one of another
        size than its labels; all by name.
    LabelError, TrainingError
        Classes that do not fit, or a part without samples.

    Examples
    --------
    >>> summary = predict_into(run.path, "drives", "scored", split="test", device="cpu")
    >>> evaluate_predictions("scored", "drives").rows[0].name
    'run'
    """
    given = load_class_table(network_classes) if network_classes else None
    maps = open_label_maps(predictions, classes=given)
    label_set = labels or str(maps.settings.get("labels", "truth"))
    if maps.settings.get("own_split") and not split_file:
        raise DatasetError(
            f"{maps.path} was scored in a split that is not that of the data: give it with "
            "--split, as split.csv in the folder of the run"
        )
    source, notes = split_source(open_source(data, label_set=label_set), split_file=split_file)
    try:
        table = load_class_table(classes) if classes else maps.classes
        protocol = _protocol(maps, split=split, size=size)
        scored_as = f"{label_set}-{protocol.split}-{protocol.name}"
        changes = [] if baselines else ["nobaselines"]
        if split_file:
            changes.append(split_word(source))
            scored_as += f"-{changes[-1]}"
        folder = Path(out or _report_folder(maps, source, label_set, protocol, table, changes))
        check_folder(folder)
        indices, note = _paired(maps, source, protocol)
        row = row_of(
            _scored(maps, source, indices, protocol, table, progress),
            source,
            name=maps.name,
            window=maps.window,
            classes=table,
            resize=protocol.resize,
        )
        rows = [replace(row, note="; ".join(filter(None, (row.note, note))))]
        if baselines:
            found, missing = baselines_or_note(
                source, protocol=protocol, classes=table, window=_window(maps)
            )
            rows, notes = rows + found, [*notes, *missing]
        about = {
            **maps.about,
            "data": source.path.resolve().name,
            "label set": label_set,
            "scored as": scored_as,
            "data digests": source.digests,
        }
        page = write_report(
            folder,
            rows,
            protocol=protocol,
            about=about,
            panels=lambda sample: _panels(maps, source, sample, protocol, table),
            warning=warning_of(None, source, protocol, label_set),
            notes=notes,
        )
    finally:
        source.close()
    return Evaluation(page, rows, [], [*notes, *([note] if note else [])])


def _protocol(maps: LabelMaps, *, split: str | None, size: SensorSize | None) -> Protocol:
    """Return the protocol of the evaluation that wrote the folder, with its differences."""
    settings = maps.settings
    base = Protocol.named(settings.get("protocol", "clean"))
    stored = str(settings.get("scored_size", NATIVE))
    scored: tuple[int, int] | None = None
    if size is not None:
        scored = (size.height, size.width)
    elif stored != NATIVE:
        width, _, height = stored.partition("x")
        scored = (int(height), int(width))
    # A prediction of all samples has no part of its own.
    own = str(settings["split"]) if "scored_size" in settings else "test"
    resize = settings.get("scored_resize", base.resize)
    return replace(base, split=split or own, size=scored, resize=resize)


def _window(maps: LabelMaps) -> str | None:
    """Return the window whose covered share decides which samples are scored."""
    return maps.window if maps.sees_events and maps.window != "-" else None


def _paired(maps: LabelMaps, source: Source, protocol: Protocol) -> tuple[NDArray[np.int64], str]:
    """Return the samples of the part, int64 (N,), and a note on predictions of no sample."""
    indices = part(
        source, split=protocol.split, window=_window(maps), min_covered=protocol.min_covered
    )
    known = set(source.ids)
    unpaired = [name for name in maps.files if name not in known]
    if len(unpaired) == len(maps.files):
        raise DatasetError(
            f"none of the {len(maps.files):,} predictions in {maps.path} is of a sample of "
            f"{source.path}: they are named {some(unpaired)}, samples {some(list(source.ids))}"
        )
    missing = [source.ids[i] for i in indices.tolist() if source.ids[i] not in maps.files]
    if missing:
        raise DatasetError(
            f"{len(missing):,} of the {len(indices):,} samples of split {protocol.split} have no "
            f"prediction in {maps.path}: {some(missing)}; predict them, or score another --split"
        )
    note = f"{len(unpaired):,} predictions are of no sample of the data: {some(unpaired)}"
    return indices, note if unpaired else ""


def _scored(
    maps: LabelMaps,
    source: Source,
    indices: NDArray[np.int64],
    protocol: Protocol,
    classes: ClassTable,
    progress: Report,
) -> Iterator[ScoredBatch]:
    """Yield the samples as the label maps predict them."""
    merges = merge_into(maps.classes, classes), merge_into(source.classes, classes)
    if merges[0] is not None and all(new >= len(classes) for new in merges[0]):
        raise LabelError(
            f"none of the predicted classes is scored. Predicted: {described(maps.classes)}; "
            f"scored: {described(classes)}"
        )
    for number, i in enumerate(indices.tolist(), start=1):
        truth, labels = _pair(maps, source, i, protocol, merges)
        yield ScoredBatch.of_labels(i, truth, labels, classes=len(classes))
        progress(Progress(maps.name, number, len(indices), "sample"))


def _pair(
    maps: LabelMaps,
    source: Source,
    i: int,
    protocol: Protocol,
    merges: tuple[tuple[int, ...] | None, tuple[int, ...] | None],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return truth and prediction of a sample, int64 (H, W), at the size that is scored at.

    Raises
    ------
    DatasetError
        A prediction that is neither of this size nor of that of the labels.
    """
    name = source.ids[i]
    predicted: Labels = maps.labels(name)
    if merges[0] is not None:
        predicted = merge_labels(predicted, merges[0])
    truth = truth_of(source, i, merge=merges[1]).long()
    labels, size = torch.from_numpy(predicted).long(), protocol.size or tuple(truth.shape)
    scored = (int(size[0]), int(size[1]))
    if labels.shape not in (torch.Size(scored), truth.shape):
        height, width = labels.shape
        raise DatasetError(
            f"the prediction {maps.files[name]} is {width}x{height}, its labels are "
            f"{truth.shape[1]}x{truth.shape[0]}, scored at {scored[1]}x{scored[0]}; predict at one "
            "of these sizes"
        )
    both = (
        each if each.shape == torch.Size(scored) else nearest(each, scored, rule=protocol.resize)
        for each in (truth, labels)
    )
    return next(both), next(both)


def _report_folder(
    maps: LabelMaps,
    source: Source,
    label_set: str,
    protocol: Protocol,
    classes: ClassTable,
    changes: list[str],
) -> Path:
    """Return the folder of a report; its name has the words of the changes last."""
    parts = [source.path.resolve().name, label_set, protocol.split, protocol.name]
    if protocol.size is not None and protocol.size != Protocol.named(protocol.name).size:
        parts.append(str(SensorSize(*protocol.size)))
    if classes.names != maps.classes.names:
        parts.append(classes_word(classes.names))
    return maps.path / (FOLDER + "-".join([*parts, *changes]))


def _panels(
    maps: LabelMaps, source: Source, sample: str, protocol: Protocol, classes: ClassTable
) -> list[NDArray[np.uint8]]:
    """Return the frame, truth and prediction of a sample as pictures; events have no frame."""
    i = source.ids.index(sample)
    merges = merge_into(maps.classes, classes), merge_into(source.classes, classes)
    pair = _pair(maps, source, i, protocol, merges)
    truth, labels = (each.to(torch.uint8).numpy() for each in pair)
    shown = np.where(truth == IGNORED, truth, labels)
    painted = [paint_labels(each, classes) for each in (truth, shown)]
    return [frame_picture(source, i, painted[0]), *painted]


def frame_picture(source: Source, i: int, like: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the frame of a sample, uint8 (H, W, 3); white where it has none."""
    try:
        values = source.image(i, colour=True)
    except EventsegError:
        return np.full_like(like, 255)
    return np.ascontiguousarray((values * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0))
