"""Cheap mistakes of predictions, and the change that undoes each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from eventseg.labels.maps import IGNORED, Labels
from eventseg.networks.resizing import resize_nearest
from eventseg.sources.source import Source

Undo = Callable[[Labels], Labels | None]
"""Returns the label map without the mistake; None where it cannot be undone."""

LEAGUE_ROWS = {200: 260, 440: 480}
"""Rows of the sensor by rows of the labels, in the two leagues."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """A mistake that lowers a score and is easily repaired.

    Parameters
    ----------
    key : str
    title : str
        Description of the mistake.
    cure : str
    neighbour : int
        Place of the sample whose prediction belongs to a sample, seen from it; 0 for its own.
    undo : callable, optional
        Change of a label map in the classes of the predictor.
    needs : {"labels", "events", "frame"}
        ``labels`` where label maps alone tell; else the input that is changed to tell.
    """

    key: str
    title: str
    cure: str
    neighbour: int = 0
    undo: Undo | None = None
    needs: Literal["labels", "events", "frame"] = "labels"


def label_mistakes(source: Source, *, classes: int) -> list[Mistake]:
    """Return the mistakes that label maps tell by themselves.

    Parameters
    ----------
    source : Source
    classes : int
        Number of classes of the predictor.
    """
    found = [
        Mistake(
            "one-frame-late",
            "predictions are shifted by one frame: each is of the frame before",
            "give each sample the prediction of the next one, and check how frames are numbered",
            neighbour=1,
        ),
        Mistake(
            "one-frame-early",
            "predictions are shifted by one frame: each is of the frame after",
            "give each sample the prediction of the one before, and check how frames are numbered",
            neighbour=-1,
        ),
        Mistake(
            "ids-one-too-high",
            "class ids are off by one: one too high",
            "subtract 1 from the ids: they were counted from 1, or 0 was void",
            undo=lambda labels: _shifted(labels, -1, classes),
        ),
        Mistake(
            "ids-one-too-low",
            "class ids are off by one: one too low",
            "add 1 to the ids",
            undo=lambda labels: _shifted(labels, 1, classes),
        ),
        Mistake(
            "x-mirrored",
            "x is mirrored",
            "mirror the predictions left to right, or the columns of the events",
            undo=lambda labels: labels[:, ::-1],
        ),
        Mistake(
            "y-mirrored",
            "y is mirrored",
            "mirror the predictions top to bottom, or the rows of the events",
            undo=lambda labels: labels[::-1],
        ),
        Mistake(
            "turned",
            "pictures are turned by 180 degrees",
            "turn the predictions, or read the recording with --rotate180",
            undo=lambda labels: labels[::-1, ::-1],
        ),
    ]
    height = source.size.height
    encoding = source.encoding
    sensor = LEAGUE_ROWS.get(height, height)
    rows = (0, height)
    if encoding is not None and encoding.sensor.height > height:
        sensor, rows = encoding.sensor.height, encoding.rows
    if sensor > height:
        found += [
            Mistake(
                "rows-not-cropped",
                f"rows are not cropped: all {sensor} rows of the sensor were brought to {height}",
                f"predict {sensor} rows and keep rows {rows[0]} to {rows[1] - 1}",
                undo=lambda labels: _uncropped(labels, sensor, rows),
            ),
            Mistake(
                "rows-cropped-elsewhere",
                f"other rows are cropped: the last {height} of {sensor} were kept",
                f"keep rows {rows[0]} to {rows[1] - 1}",
                undo=lambda labels: _moved(labels, sensor - height - rows[0]),
            ),
        ]
    return found


EVENT_MISTAKES = (
    Mistake(
        "polarity-swapped",
        "channels are swapped: ON and OFF events",
        "exchange the polarities of the events, or the channels of the tensor",
        needs="events",
    ),
)

FRAME_MISTAKES = (
    Mistake(
        "colours-swapped",
        "channels are swapped: the order of the colours of the frame",
        "exchange red and blue",
        needs="frame",
    ),
)


def normalisation_mistake(name: str) -> Mistake:
    """Return the mistake of another normalisation than a named one."""
    return Mistake(
        f"normalisation-{name}",
        f"the normalisation is another: {name} gives a better score",
        f"normalise tensors as {name}",
        needs="events",
    )


def _shifted(labels: Labels, by: int, classes: int) -> Labels:
    """Return ids moved by one; what leaves the classes is no prediction, and 255 was -1."""
    lookup = np.full(256, IGNORED, np.uint8)
    ids = np.arange(classes)
    moved = ids + by
    inside = (moved >= 0) & (moved < classes)
    lookup[ids[inside]] = moved[inside]
    if by > 0:
        lookup[IGNORED] = 0
    return lookup[labels]


def _uncropped(labels: Labels, sensor: int, rows: tuple[int, int]) -> Labels:
    whole = resize_nearest(labels, (sensor, labels.shape[1]), rule="centres")
    return whole[rows[0] : rows[1]]


def _moved(labels: Labels, rows: int) -> Labels | None:
    if rows <= 0:
        return None
    moved = np.full_like(labels, IGNORED)
    moved[rows:] = labels[:-rows]
    return moved
