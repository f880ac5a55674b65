"""Two sets of label maps of the same frames, in the classes that both merge into."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import LabelError
from eventseg.labels.maps import ClassTable, Labels, merge_labels, merge_of, table_of
from eventseg.labels.tables import described

Read = Callable[[str], NDArray[np.uint8]]


@dataclass(frozen=True, eq=False, slots=True)
class LabelMaps:
    """Label maps by the id of their frame.

    Parameters
    ----------
    name : str
        Name of the label set, or of the folder.
    classes : ClassTable
        Class table of the ids in the maps.
    read : callable
        Gives the labels of a frame, uint8 (H, W).
    confidence : callable, optional
        Gives how sure they are, uint8 (H, W), 255 times a probability.
    """

    name: str
    classes: ClassTable
    read: Read
    confidence: Read | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Pair:
    """Labels and the reference they are compared with.

    Parameters
    ----------
    labels, other : LabelMaps
    classes : ClassTable
        Classes that both are merged into.
    ids, sequences : tuple of str (N,)
        Frames that both have, and the recording of each.
    left_out : int
        Frames of the part that one of the two does not have.
    frame : callable, optional
        Gives the picture of a frame, uint8 (H, W).
    times_us : int64 (N,), optional
        Time of each frame on the clock of its recording; None where times are unknown.
    """

    labels: LabelMaps
    other: LabelMaps
    classes: ClassTable
    ids: tuple[str, ...]
    sequences: tuple[str, ...]
    left_out: int = 0
    frame: Read | None = None
    times_us: NDArray[np.int64] | None = None

    def maps(self, name: str) -> tuple[Labels, Labels]:
        """Return the labels of a frame and the other's, merged, uint8 (H, W) each.

        Raises
        ------
        LabelError
            Two sizes, or ids outside the class table.
        """
        matches = []
        for side in (self.labels, self.other):
            try:
                matches.append(merge_labels(side.read(name), merge_of(side.classes, self.classes)))
            except LabelError as error:
                raise LabelError(f"{side.name}, {name}: {error}") from error
        labels, other = matches
        if labels.shape != other.shape:
            raise LabelError(
                f"{name} is {size_text(labels)} in {self.labels.name} and {size_text(other)} in "
                f"{self.other.name}; bring them to one size"
            )
        return labels, other


def common_classes(labels: ClassTable, other: ClassTable) -> ClassTable:
    """Return the one of two class tables that the other merges into.

    Raises
    ------
    LabelError
        Neither merges into the other.
    """
    for source, target in ((other, labels), (labels, other)):
        # Older manifests hold no merges; those of the package's tables are in their files.
        known = target if target.merges else table_of(target.names)
        try:
            merge_of(source, known)
        except LabelError:
            continue
        return known
    raise LabelError(
        "the classes do not merge into each other; name a class table that both merge into with "
        f"--classes: {described(labels)}; {described(other)}"
    )


def size_text(image: NDArray[np.uint8]) -> str:
    """Return the size of a picture in words."""
    return f"{image.shape[1]}x{image.shape[0]}"
