"""Moments of recordings and data sets as pictures: frame, events and labels."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from eventseg.dataset.opening import open_dataset
from eventseg.dataset.reader import EventDataset
from eventseg.dataset.truth import TRUTH, TrueLabels, find_truth, true_labels
from eventseg.errors import DatasetError, RecordingError
from eventseg.events import SensorSize
from eventseg.labels.maps import ClassTable
from eventseg.plots.events import render_events
from eventseg.plots.tensors import paint_tensor
from eventseg.prediction.inputs import PredictedSample
from eventseg.prediction.moment import Moment, Rgb, gray_rgb, lightened
from eventseg.recordings import Recording, open_recording
from eventseg.recordings.choices import NO_CHOICES, FileChoices
from eventseg.windows import parse_duration


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
        below = None if image is None else lightened(image)
        labels = None
        if self.truth is not None and sample.frame >= 0:
            at_frame = int(frames.t_us[sample.frame]) == sample.t_us
            labels = self.truth.of_frame(sample.frame)[rows] if at_frame else None
        return Moment(
            None if image is None else gray_rgb(image[rows]),
            render_events(window, below)[rows],
            labels,
            (sample.t_us - self.recording.t_first_us) / 1e6,
        )

    def close(self) -> None:
        """Close recording and truth."""
        self.files.close()


def check_dataset_labels(path: Path, known: Collection[str], label_set: str) -> None:
    """Raise a DatasetError where a data set has no such label set."""
    if label_set not in known:
        raise DatasetError(
            f"{path} has no label set {label_set!r}; it has {', '.join(known) or 'none'}"
        )


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
        if label_set is not None:
            check_dataset_labels(path, known, label_set)
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
            None if image is None else gray_rgb(image[rows]),
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
            below = lightened(image)
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
