"""Prediction of a network at one instant: probabilities, label map, file and figure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from eventseg import html
from eventseg.errors import OutputError
from eventseg.files.whole import write_whole
from eventseg.labels.files import write_labels
from eventseg.labels.maps import ClassTable, Labels, paint_labels
from eventseg.networks import InputSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Prediction:
    """Prediction of a network at one instant of a recording.

    Parameters
    ----------
    id : str
        Sample id, as a data set of the same anchor names it.
    t_us : int
        End of the window in us of the sensor's clock.
    frame : int
        Latest frame by then, -1 for none.
    covered : float
        Share of the window that the recording covers.
    input : float32 (C, H, W)
        The network's input.
    probabilities : float32 (K, H, W)
        Class probabilities of the rows that the network sees; they add up to 1 at each pixel.
    classes : ClassTable
    inputs : InputSpec
    events : int, optional
        Number of events in the window; None where the network sees none.
    """

    id: str
    t_us: int
    frame: int
    covered: float
    input: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    classes: ClassTable
    inputs: InputSpec
    events: int | None = None

    @cached_property
    def labels(self) -> Labels:
        """Most probable class of each pixel, uint8 (H, W)."""
        return labels_of(self.probabilities)

    @cached_property
    def confidence(self) -> NDArray[np.float32]:
        """Probability of the most probable class, float32 (H, W)."""
        highest: NDArray[np.float32] = self.probabilities.max(0)
        return highest

    def save(self, path: str | Path, *, probabilities: bool = False) -> Path:
        """Write the labels as an indexed PNG in the colours of the classes.

        Parameters
        ----------
        path : path
        probabilities : bool
            Whether the probabilities are written too, beside the PNG as ``.npz``.

        Raises
        ------
        OutputError
            The file cannot be written, or `path` does not end in ``.png``.
        """
        path = Path(path)
        if path.suffix.lower() != ".png":
            raise OutputError(f"labels are written as PNG: {path} must end in .png")
        if probabilities:
            write_probabilities(path.with_suffix(".npz"), self.probabilities)
        write_labels(path, self.labels, self.classes)
        return path

    def plot(self) -> Figure:
        """Return a figure of the input beside the prediction."""
        from eventseg.plots.tensors import paint_input
        from eventseg.plots.training import figure_panels

        seen = paint_input(self.input, self.inputs)
        return figure_panels(
            [[seen, paint_labels(self.labels, self.classes)]],
            titles=(self.inputs.kind, "prediction"),
            names=[self.id],
            table=self.classes,
        )

    def __repr__(self) -> str:
        height, width = self.labels.shape
        size = f"{width}x{height}, {len(self.classes)} classes"
        return f"Prediction({self.id!r}, {self.t_us} us, {size})"

    def _repr_html_(self) -> str:
        return html.picture(self.plot(), alternative=repr(self))


def labels_of(probabilities: NDArray[np.float32]) -> Labels:
    """Return the most probable class of each pixel, uint8 (H, W), of probabilities (K, H, W)."""
    labels: Labels = probabilities.argmax(0).astype(np.uint8)
    return labels


def write_probabilities(path: Path, probabilities: NDArray[np.float32]) -> None:
    """Write class probabilities (K, H, W) as ``probabilities``, float16, of a compressed NPZ.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    half = probabilities.astype(np.float16)
    write_whole(path, lambda file: np.savez_compressed(file, probabilities=half))
