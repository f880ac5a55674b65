"""Moments of the inputs of a prediction folder as pictures: frame, events and labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from eventseg.dataset.layout import MANIFEST
from eventseg.dataset.opening import open_dataset
from eventseg.dataset.truth import TRUTH
from eventseg.encoding.representations import mean_std
from eventseg.errors import DatasetError
from eventseg.images import list_pictures, read_picture
from eventseg.labels.maps import ClassTable
from eventseg.plots.events import render_events
from eventseg.plots.tensors import paint_tensor
from eventseg.prediction.folder import PredictionFolder
from eventseg.prediction.inputs import PredictedSample
from eventseg.prediction.moment import Moment, MomentSource, lightened
from eventseg.prediction.recorded_moments import (
    DatasetMoments,
    RecordedMoments,
    check_dataset_labels,
)
from eventseg.recordings.choices import FileChoices
from eventseg.recordings.formats import FORMATS
from eventseg.sources.image_folders import Folder
from eventseg.sources.layouts import open_layout
from eventseg.sources.leagues.league import League

STORED_WINDOW = "50ms"
"""Window of the tensors of image folders."""


@dataclass(frozen=True, eq=False, slots=True)
class FolderMoments:
    """Samples of an image folder, with the labels of one of its sets."""

    folder: Folder
    window: str
    places: Mapping[str, int]

    @classmethod
    def of(cls, folder: Folder, *, window: str | None, label_set: str | None) -> Self:
        """Return the moments of a folder; by default with its own labels.

        Raises
        ------
        DatasetError
            A window of pictures without events.
        TrainingError
            It has no such label set.
        """
        if window is not None and all(item.events is None for item in folder.items):
            raise DatasetError(f"{folder.path} holds no events: leave the window out")
        labelled = folder.with_labels(label_set or TRUTH)
        return cls(labelled, window or STORED_WINDOW, {n: i for i, n in enumerate(folder.ids)})

    @property
    def label_set(self) -> str:
        """Name of the label set."""
        return self.folder.label_set

    @property
    def classes(self) -> ClassTable | None:
        """Classes of the label set."""
        return self.folder.classes

    def moment(self, sample: PredictedSample) -> Moment:
        """Return picture, events and labels of a sample."""
        i = self.places[sample.id]
        frame = events = None
        if self.folder.items[i].image is not None:
            values = self.folder.image(i, colour=True) * 255 + np.float32(0.5)
            frame = np.ascontiguousarray(values.astype(np.uint8).transpose(1, 2, 0))
        if self.folder.items[i].events is not None:
            tensor = self.folder.events(i, self.window, normalise="evsegnet")
            events = paint_tensor(tensor, channels=mean_std.EVSEGNET)
        return Moment(frame, events, self.folder.labels(i) if self.folder.labelled[i] else None)

    def close(self) -> None:
        """Close nothing."""


@dataclass(frozen=True, eq=False, slots=True)
class LeagueMoments:
    """Samples of a league, with the labels of one of its sets."""

    league: League
    window: str
    places: Mapping[str, int]

    @classmethod
    def of(cls, league: League, *, window: str, label_set: str | None) -> Self:
        """Return the moments of an open league; by default with its masks."""
        labelled = league.with_labels(label_set or TRUTH)
        return cls(labelled, window, {name: i for i, name in enumerate(league.ids)})

    @property
    def label_set(self) -> str:
        """Name of the label set."""
        return self.league.label_set

    @property
    def classes(self) -> ClassTable | None:
        """Classes of the label set."""
        return self.league.classes

    def moment(self, sample: PredictedSample) -> Moment:
        """Return frame, events of the window and labels of a sample."""
        i = self.places.get(sample.id)
        if i is None:
            raise DatasetError(f"{self.league.path} has no sample {sample.id} any more")
        rows, frame, below = slice(*self.league.encoding.rows), None, None
        if self.league.samples[i].frame is not None:
            whole = self.league.picture(i, colour=True)
            frame, below = whole[rows], lightened(self.league.picture(i, colour=False))
        events = self.league.live_window(i, self.window, normalise="raw").events
        first_us, _ = self.league.drives[self.league.sequences[i]].limits_us()
        return Moment(
            frame,
            render_events(events, below)[rows],
            self.league.labels(i) if self.league.has_labels(i) else None,
            (int(self.league.t_us[i]) - first_us) / 1e6,
        )

    def close(self) -> None:
        """Close the files of events."""
        self.league.close()


@dataclass(frozen=True, eq=False, slots=True)
class PictureMoments:
    """Pictures without labels."""

    files: Mapping[str, Path]
    classes: None = None
    label_set: None = None

    def moment(self, sample: PredictedSample) -> Moment:
        """Return the picture."""
        return Moment(read_picture(self.files[sample.id], colour=True), None, None)

    def close(self) -> None:
        """Close nothing."""


def open_moments(
    predicted: PredictionFolder, name: str, *, label_set: str | None = None
) -> MomentSource:
    """Open an input of a prediction folder to show its moments.

    Parameters
    ----------
    predicted : PredictionFolder
    name : str
        Name of the input.
    label_set : str, optional
        Label set of a data set, labelled pictures or a league; by default the truth, or the only
        one.

    Raises
    ------
    DatasetError
        The input is gone, or a data set without that label set.
    TrainingError
        Labelled pictures or a league without that label set.
    """
    manifest = predicted.manifest
    entry = next(entry for entry in manifest.inputs if entry["name"] == name)
    path = manifest.input_file(name, predicted.path)
    if not path.exists():
        raise DatasetError(
            f"{path}, which {predicted.path} predicts, is gone; its frames and events cannot be "
            "shown"
        )
    if entry["kind"] == "recording":
        turned = bool(manifest.settings.get("rotate180", False))
        return RecordedMoments.open(
            path,
            entry,
            rotate180=turned,
            sees=label_set in (None, TRUTH),
            choices=FileChoices.from_dict(manifest.settings),
        )
    if entry["kind"] == "data set":
        return DatasetMoments.open(path, window=str(entry["window"]), label_set=label_set)
    folder = open_layout(path)
    if isinstance(folder, League):
        return LeagueMoments.of(folder, window=str(entry["window"]), label_set=label_set)
    if folder is not None:
        return FolderMoments.of(folder, window=None, label_set=label_set)
    files = list_pictures(path).files if path.is_dir() else (path,)
    return PictureMoments({**{f.name: f for f in files}, **{f.stem: f for f in files}})


def check_label_set(paths: Sequence[Path], label_set: str) -> None:
    """Refuse a label set that a data set lacks or no input has, before anything is predicted.

    Raises
    ------
    DatasetError
        A data set without that label set, or no input that can have it.
    TrainingError
        Labelled pictures or a league without that label set.
    """
    possible = False
    for path in paths:
        if (path / MANIFEST).is_file():
            check_dataset_labels(path, open_dataset(path).manifest.labels, label_set)
            possible = True
        elif path.suffix.lower() in FORMATS and not path.is_dir():
            possible |= label_set == TRUTH
        elif (folder := open_layout(path)) is not None:
            try:
                possible |= folder.with_labels(label_set).classes is not None
            finally:
                if isinstance(folder, League):
                    folder.close()
    if not possible:
        raise DatasetError(_no_input_has(label_set))


def _no_input_has(label_set: str) -> str:
    return (
        f"no input has labels {label_set!r}: recordings have the truth beside them alone, and "
        "pictures without labels none; leave the label set out"
    )


def without_label_set(sources: Mapping[str, MomentSource], label_set: str | None) -> list[str]:
    """Return the names of the inputs without the label set that is asked for.

    Raises
    ------
    DatasetError
        None of them has it.
    """
    if label_set is None:
        return []
    lacking = [
        name
        for name, source in sources.items()
        if source.label_set != label_set or source.classes is None
    ]
    if lacking and len(lacking) == len(sources):
        raise DatasetError(_no_input_has(label_set))
    return lacking
