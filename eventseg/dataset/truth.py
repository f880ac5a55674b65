"""The truth beside a simulated recording, as the label set ``truth`` of a data set."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import DatasetError
from eventseg.files.digests import digest_of
from eventseg.labels.maps import ClassTable, table_of
from eventseg.recordings import Recording
from eventseg.recordings.truth import Truth, truth_path
from eventseg.recordings.truth_pair import is_anothers

TRUTH = "truth"
"""Name of the label set."""


@dataclass(frozen=True, slots=True)
class FoundTruth:
    """A truth file that belongs to a recording: its digest and its classes."""

    sha256: str
    classes: ClassTable


@dataclass(frozen=True, eq=False, slots=True)
class TrueLabels:
    """Label maps of the frames of a recording, turned as the recording is."""

    truth: Truth
    rotate180: bool

    def of_frame(self, frame: int) -> NDArray[np.uint8]:
        """Return the labels of a frame, uint8 (H, W), 255 ignored."""
        labels = self.truth.label(frame)
        return np.ascontiguousarray(labels[::-1, ::-1]) if self.rotate180 else labels


def find_truth(recording: Recording) -> FoundTruth | None:
    """Return the truth file beside a recording, or None.

    The truth of ``drive.hdf5`` is none of ``drive.raw``, which is beside it.

    Raises
    ------
    RecordingError
        The file there is no truth file.
    DatasetError
        It is the truth of another recording.
    """
    path = truth_path(recording.path)
    if not path.is_file() or is_anothers(path, recording.path):
        return None
    with Truth(path) as truth:
        if not truth.belongs_to(recording.path):
            raise DatasetError(
                f"the truth beside recording {recording.name} has changed or is that of another "
                f"recording ({path} holds another digest than that of {recording.path.name}): they "
                "do not belong together; run the simulate or convert that wrote them again, with "
                "--overwrite, or move the truth away"
            )
        has, needs = (len(truth.t_us), truth.sensor), (len(recording.frames), recording.sensor)
        if has != needs:
            raise DatasetError(
                f"{path} has {has[0]} frames of {has[1]}, {recording.path.name} has {needs[0]} of "
                f"{needs[1]}: they do not belong together; move the truth away or simulate again"
            )
        events = recording.report.found["events"]
        if truth.n_events != events:
            raise DatasetError(
                f"{path} has {truth.n_events:,} events, {recording.path.name} has {events:,}: they "
                "do not belong together; move the truth away or simulate again"
            )
        return FoundTruth(digest_of(path), _class_table(truth, path))


def _class_table(truth: Truth, path: Path) -> ClassTable:
    """Return the classes of a truth file, in the colours that its recipe has of an own table."""
    table = truth.recipe.get("class_table")
    if table is None:
        return table_of(truth.classes)
    try:
        colours = tuple((int(r), int(g), int(b)) for r, g, b in table["colours"])
        if len(colours) != len(truth.classes) or not all(0 <= v < 256 for c in colours for v in c):
            raise ValueError("colours that fit no class")
        return ClassTable(truth.classes, colours, str(table["name"]))
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{path} holds a class table that is damaged: {error}") from error


@contextlib.contextmanager
def true_labels(recording: Path, *, rotate180: bool) -> Iterator[TrueLabels]:
    """Open the label maps beside a recording."""
    with Truth(truth_path(recording)) as truth:
        yield TrueLabels(truth, rotate180)
