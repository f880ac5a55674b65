"""Moments of the inputs of a prediction folder as pictures: frame, events and labels."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from eventseg.dataset.reader import EventDataset, open_dataset
from eventseg.dataset.truth import TRUTH, TrueLabels, find_truth, true_labels
from eventseg.encoding.representations import mean_std
from eventseg.errors import DatasetError, RecordingError
from eventseg.events import SensorSize
from eventseg.images import list_pictures, read_picture
from eventseg.labels.maps import ClassTable, Labels
from eventseg.plots.events import render_events
from eventseg.plots.tensors import paint_tensor
from eventseg.prediction.folder import PredictionFolder
from eventseg.prediction.inputs import PredictedSample
from eventseg.recordings import Recording, open_recording
from eventseg.recordings.choices import NO_CHOICES, FileChoices
from eventseg.sources.image_folders import Folder
from eventseg.sources.layouts import open_layout
from eventseg.sources.leagues.league import League
from eventseg.windows import parse_duration

Rgb = NDArray[np.uint8]

STORED_WINDOW = "50ms"
"""Window of the tensors of image folders."""


class Moment(NamedTuple):
    """A moment of an input: pictures uint8 (H, W, 3) and labels uint8 (H, W), None where missing.

    ``seconds`` is the time after the first event of a recording.
    """

    frame: Rgb | None
    events: Rgb | None
    labels: Labels | None
    seconds: float | None = None


class MomentSource(Protocol):
    """Moments of one input."""

    @property
    def classes(self) -> ClassTable | None:
        """Classes of its labels; None where it has none."""

    @property
    def label_set(self) -> str | None:
        """Name of its labels; None where it has none."""

    def moment(self, sample: PredictedSample) -> Moment:
        """Return a moment of a sample."""

    def close(self) -> None:
        """Close the files."""


@dataclass(frozen=True, eq=False, slots=True)
class RecordedMoments:
    """Moments of a recording; labels are the truth beside it, at its frames."""

    recording: Recording
    rows: tuple[int, int]
    window_us: int
    truth: TrueLabels | None
    classes: ClassTable | None
    files: ExitStack
    label_set: str = TRUTH

    @classmethod
    def open(
        cls,
        path: Path,
        entry: Mapping[str, Any],
        *,
        rotate180: bool,
        sees: bool,
        choices: FileChoices = NO_CHOICES,
    ) -> Self:
        """Open a recording by its entry in the manifest; `sees` whether it gives labels."""
        width, _, height = str(entry["size"]).partition("x")
        row0, row1 = entry["rows"]
        with ExitStack() as files:
            recording = files.enter_context(
                open_recording(
                    path,
                    sensor=SensorSize(int(height), int(width)),
                    rotate180=rotate180,
                    **choices.arguments,
                )
            )
            found = find_truth(recording) if sees else None
            truth = (
                files.enter_context(true_labels(recording.path, rotate180=rotate180))
                if found is not None
                else None
            )
            classes = None if found is None else found.classes
            window_us = parse_duration(str(entry["window"]))
            return cls(
                recording, (int(row0), int(row1)), window_us, truth, classes, files.pop_all()
            )

    def moment(self, sample: PredictedSample) -> Moment:
        """Return frame, events of the window and, at the time of the frame, its labels."""
        assert sample.t_us is not None  # a recording has times
        rows, frames = slice(*self.rows), self.recording.frames
        image = frames.image(sample.frame) if sample.frame >= 0 else None
        window = self.recording.events(sample.t_us - self.window_us, sample.t_us)
        below = None if image is None else _lightened(image)
        labels = None
        if self.truth is not None and sample.frame >= 0:
            at_frame = int(frames.t_us[sample.frame]) == sample.t_us
            labels = self.truth.of_frame(sample.frame)[rows] if at_frame else None
        return Moment(
            None if image is None else _rgb(image[rows]),
            render_events(window, below)[rows],
            labels,
            (sample.t_us - self.recording.t_first_us) / 1e6,
        )

    def close(self) -> None:
        """Close recording and truth."""
        self.files.close()


@dataclass(frozen=True, eq=False, slots=True)
class DatasetMoments:
    """Moments of a data set, with the labels of one of its sets."""

    dataset: EventDataset
    window: str
    label_set: str | None
    places: Mapping[str, int]

    @classmethod
    def open(cls, path: Path, *, window: str, label_set: str | None) -> Self:
        """Open a data set; without a label set that is asked for with the truth, or the only one.

        Raises
        ------
        DatasetError
            It has no such label set.
        """
        dataset = open_dataset(path)
        known = dataset.manifest.labels
        if label_set is not None and label_set not in known:
            raise DatasetError(
                f"{path} has no label set {label_set!r}; it has {', '.join(known) or 'none'}"
            )
        usual = TRUTH if TRUTH in known else next(iter(known), None)
        places = {name: i for i, name in enumerate(dataset.ids)}
        return cls(dataset, window, label_set or usual, places)

    @property
    def classes(self) -> ClassTable | None:
        """Classes of the label set."""
        return None if self.label_set is None else self.dataset.manifest.labels[self.label_set]

    def moment(self, sample: PredictedSample) -> Moment:
        """Return frame, events of the window and labels, as far as the data set has them."""
        i = self.places.get(sample.id)
        if i is None:
            raise DatasetError(f"{self.dataset.path} has no sample {sample.id} any more")
        rows = slice(*self.dataset.manifest.settings.rows)
        image = self.dataset.frame(i) if self.dataset.samples.frame[i] >= 0 else None
        labels = None
        if self.label_set is not None:
            with suppress(DatasetError):  # not every sample has labels
                labels = self.dataset.labels(i, self.label_set)[rows]
        t_us = self.dataset.samples.t_us[i]
        first_us = self.dataset.manifest.recording(self.dataset.samples.recording[i]).t_first_us
        return Moment(
            None if image is None else _rgb(image[rows]),
            self._events(i, image),
            labels,
            (int(t_us) - first_us) / 1e6,
        )

    def close(self) -> None:
        """Close the recordings of the data set."""
        self.dataset.close()

    def _events(self, i: int, image: NDArray[np.uint8] | None) -> Rgb | None:
        """Return the events of a window, from the recording or else from the tensor."""
        rows, below = slice(*self.dataset.manifest.settings.rows), None
        if image is not None:
            below = _lightened(image)
        try:
            events = self.dataset.events_of(i, self.dataset.window_of(i, self.window))
        except (DatasetError, RecordingError):
            settings = self.dataset.manifest.settings
            if settings.store == "none" or self.window not in self.dataset.windows:
                return None
            encoding = settings.encoding
            return paint_tensor(
                self.dataset.tensor(i, self.window, normalise=encoding.normalise),
                channels=encoding.channels,
                below=None if below is None else below[rows],
            )
        return render_events(events, below)[rows]


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
            frame, below = whole[rows], _lightened(self.league.picture(i, colour=False))
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
        raise DatasetError(
            f"no input has labels {label_set!r}: recordings have the truth beside them alone, and "
            "pictures without labels none; leave the label set out"
        )
    return lacking


def _rgb(gray: NDArray[np.uint8]) -> Rgb:
    return np.repeat(gray[:, :, None], 3, axis=2)


def _lightened(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a frame as it stands below events: light, so that their colours show."""
    return (128 + gray // 2).astype(np.uint8)
