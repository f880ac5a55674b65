"""Moment of an input as pictures, and the interface of what gives moments."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from eventseg.labels.maps import ClassTable, Labels
from eventseg.prediction.inputs import PredictedSample

Rgb = NDArray[np.uint8]


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


def gray_rgb(gray: NDArray[np.uint8]) -> Rgb:
    """Return a gray picture in three equal channels."""
    return np.repeat(gray[:, :, None], 3, axis=2)


def lightened(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a frame as it stands below events: light, so that their colours show."""
    return (128 + gray // 2).astype(np.uint8)
