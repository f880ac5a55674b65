"""Prediction folder opened for reading: label maps, probabilities, samples and a summary."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventseg import html
from eventseg.dataset.layout import checked_name
from eventseg.errors import DatasetError
from eventseg.files.texts import counted, read_csv
from eventseg.files.whole import write_whole
from eventseg.labels.files import read_labels
from eventseg.labels.maps import ClassTable, Labels
from eventseg.prediction.inputs import PredictedSample
from eventseg.prediction.layout import (
    MANIFEST,
    SAMPLES,
    UNFINISHED,
    label_file,
    probability_file,
)
from eventseg.prediction.manifest import PredictionManifest

UNREADABLE = (OSError, ValueError, KeyError, EOFError)


@dataclass(frozen=True, eq=False, slots=True)
class PredictionFolder:
    """Predictions on disk, opened by :func:`open_predictions`.

    Parameters
    ----------
    path : Path
    manifest : PredictionManifest
    samples : tuple of PredictedSample
        In the order of the inputs and of time.
    """

    path: Path
    manifest: PredictionManifest
    samples: tuple[PredictedSample, ...]

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.samples)

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the samples."""
        return tuple(sample.id for sample in self.samples)

    @property
    def classes(self) -> ClassTable:
        """Classes of the labels."""
        return self.manifest.classes

    def labels(self, sample_id: str) -> Labels:
        """Return the label map of a sample, uint8 (H, W).

        Raises
        ------
        LabelError
            The file is missing, damaged, or holds other values than classes.
        """
        return read_labels(label_file(self.path, sample_id), table=self.classes)

    def probabilities(self, sample_id: str) -> NDArray[np.float16]:
        """Return the class probabilities of a sample, float16 (K, H, W).

        Raises
        ------
        DatasetError
            They were not written (``--probabilities``), or the file is damaged.
        """
        path = probability_file(self.path, sample_id)
        if not path.is_file():
            raise DatasetError(f"{path} is missing; predict with --probabilities")
        try:
            with np.load(path, allow_pickle=False) as arrays:
                found: NDArray[np.float16] = arrays["probabilities"]
        except UNREADABLE as error:
            raise DatasetError(f"cannot read {path}: {error}") from error
        return found

    def missing(self) -> list[str]:
        """Return the ids of samples whose label map is not there."""
        return [name for name in self.ids if not label_file(self.path, name).is_file()]

    def summary(self) -> dict[str, Any]:
        """Return counts as JSON holds them: samples, class shares, events a window, skipped."""
        return {
            "predictions": str(self.path),
            "network": self.manifest.network["name"],
            "samples": len(self),
            "settings": dict(self.manifest.settings),
            "inputs": [
                {
                    key: entry[key]
                    for key in ("name", "kind", "samples", "without_frame", "in_gaps")
                    if key in entry
                }
                for entry in self.manifest.inputs
            ],
            "class_shares": self.class_shares(),
            "events_a_window": events_a_window(self.samples),
        }

    def class_shares(self) -> dict[str, float]:
        """Return the share of all pixels that each class has."""
        total = max(1, sum(self.manifest.pixels.values()))
        return {name: count / total for name, count in self.manifest.pixels.items()}

    def lines(self) -> list[str]:
        """Return the summary as lines of text."""
        settings = self.manifest.settings
        events = events_a_window(self.samples)
        lines = [
            f"{self.path}: {counted(len(self), 'label map')} of {self.manifest.network['name']}, "
            f"{counted(len(self.classes), 'class')}, {settings.get('instants', 'samples')}"
        ]
        for entry in self.manifest.inputs:
            left_out = [
                f"{entry[key]:,} {words}"
                for key, words in (
                    ("without_frame", "skipped without a frame"),
                    ("in_gaps", "skipped in gaps between events"),
                )
                if entry.get(key)
            ]
            of = ", ".join([counted(entry["samples"], "sample"), *left_out])
            lines.append(f"  {entry['name']} ({entry['kind']}): {of}")
        shares = sorted(self.class_shares().items(), key=lambda item: -item[1])
        shown = ", ".join(f"{name} {share:.1%}" for name, share in shares if share >= 0.0005)
        lines.append(f"  classes: {shown}")
        if events is not None:
            lines.append(
                f"  events a window: median {events['median']:,.0f}, {events['least']:,} to "
                f"{events['most']:,}; {counted(int(events['empty']), 'window')} without an event"
            )
        part = sum(sample.covered < 1 for sample in self.samples)
        if part:
            lines.append(f"  {part:,} windows reach past the events or into a gap")
        return lines

    def __repr__(self) -> str:
        return (
            f"PredictionFolder({str(self.path)!r}, {counted(len(self), 'sample')}, "
            f"{counted(len(self.classes), 'class')}, of {self.manifest.network['name']})"
        )

    def _repr_html_(self) -> str:
        shares = [(name, f"{share:.2%}") for name, share in self.class_shares().items()]
        return html.paragraph(repr(self)) + html.table(("class", "pixels"), shares)


def open_predictions(path: str | Path) -> PredictionFolder:
    """Open a prediction folder that ``eventseg predict`` or an evaluation has written.

    Raises
    ------
    DatasetError
        No such folder, one that is not complete, or damaged files.

    Examples
    --------
    >>> predicted = predict_into(run.path, "drive.hdf5", "maps", device="cpu")
    >>> open_predictions("maps").ids[0]
    'drive_f000000'
    """
    root = Path(path)
    if not (root / MANIFEST).is_file():
        if (root / UNFINISHED).is_file():
            raise DatasetError(
                f"{root} is not complete: its prediction was stopped; run the same eventseg "
                "predict again to go on"
            )
        raise DatasetError(f"{root} is no prediction folder: it has no {MANIFEST}")
    manifest = PredictionManifest.read(root / MANIFEST)
    samples = read_predicted(root / SAMPLES)
    if len(samples) != manifest.samples:
        raise DatasetError(
            f"{root / SAMPLES} has {len(samples)} samples, the manifest {manifest.samples}; "
            "predict again with --overwrite"
        )
    return PredictionFolder(root, manifest, samples)


def events_a_window(samples: Sequence[PredictedSample]) -> dict[str, float] | None:
    """Return median, least, most events a window and the number of empty windows, if counted."""
    counts = [sample.events for sample in samples if sample.events is not None]
    if not counts:
        return None
    return {
        "median": float(np.median(counts)),
        "least": min(counts),
        "most": max(counts),
        "empty": counts.count(0),
    }


def write_predicted(path: Path, samples: Sequence[PredictedSample]) -> None:
    """Write ``samples.csv``; unknown values stay empty."""
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(PredictedSample._fields)
    for sample in samples:
        table.writerow(["" if value is None else value for value in sample])
    write_whole(path, lambda file: file.write(text.getvalue().encode()))


def read_predicted(path: Path) -> tuple[PredictedSample, ...]:
    """Read ``samples.csv`` of a prediction folder.

    Raises
    ------
    DatasetError
        The file cannot be read, has other columns, or a line that does not parse.
    """
    try:
        lines = read_csv(path)
    except (OSError, ValueError) as error:
        raise DatasetError(f"cannot read {path}: {error}") from error
    if next(iter(lines.values()), None) != list(PredictedSample._fields):
        columns = ",".join(PredictedSample._fields)
        raise DatasetError(f"{path} must begin with the columns {columns}")
    samples = []
    for number, line in list(lines.items())[1:]:
        try:
            sample_id, name, t_us, frame, covered, events = line
            checked_name(sample_id)
            share = float(covered)
            if not math.isfinite(share):
                raise ValueError(f"covered is {covered}")
            samples.append(
                PredictedSample(
                    sample_id,
                    name,
                    int(t_us) if t_us else None,
                    int(frame),
                    share,
                    int(events) if events else None,
                )
            )
        except ValueError as error:
            raise DatasetError(f"{path}, line {number}: {error}") from error
    return tuple(samples)
