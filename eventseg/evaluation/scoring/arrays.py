"""Predictions as arrays: label maps, logits or probabilities, from files and from callables."""

from __future__ import annotations

import math
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.lib import format as npy
from numpy.typing import NDArray

from eventseg.errors import LabelError
from eventseg.labels.maps import IGNORED, ClassTable, Labels, shown_ids, unknown_labels
from eventseg.networks import TrainedNetwork
from eventseg.prediction.predictor import network_input, probabilities
from eventseg.sources.source import Source

TOLERANCE = 1e-2
"""Largest distance from 1 of the sum of a pixel's probabilities, as half precision has."""

Kind = Literal["labels", "logits", "probabilities"]


@dataclass(frozen=True, eq=False, slots=True)
class Prediction:
    """Prediction of one sample.

    Parameters
    ----------
    labels : uint8 (H, W)
        Classes of the predictor, 255 where nothing is predicted.
    probabilities : float32 (K, H, W), optional
        Probability of each class, of sum 1; None of a plain label map.
    kind : {"labels", "logits", "probabilities"}
        The array as given.
    coloured : bool
        Whether a picture held colours of the class table instead of ids.
    sha256 : str
        Digest of the file, empty where there is none.
    """

    labels: Labels
    probabilities: NDArray[np.float32] | None = None
    kind: Kind = "labels"
    coloured: bool = False
    sha256: str = ""


def sample_prediction(
    trained: TrainedNetwork, window: str, device: torch.device, source: Source, i: int
) -> Prediction:
    """Return the prediction of a network for a sample, at the size of its input in one pass."""
    trained.network.to(device).eval()
    x = network_input(source, i, inputs=trained.inputs, window=window)
    size = (int(x.shape[-2]), int(x.shape[-1]))
    found = probabilities(trained, x[None].to(device), size=size)[0].cpu().numpy()
    return Prediction(found.argmax(0).astype(np.uint8), found, "probabilities")


def read_array(path: Path, content: bytes) -> NDArray[Any]:
    """Return the array of the bytes of a ``.npy`` file.

    Raises
    ------
    LabelError
        No such file of NumPy, or one that is cut off.
    """
    file = BytesIO(content)
    try:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, by_column, dtype = read(file)
        if dtype.hasobject:
            raise ValueError("it holds Python objects")
        # A damaged header must not ask for memory that the file cannot fill.
        held, needed = len(content) - file.tell(), math.prod(shape) * dtype.itemsize
        if held != needed:
            raise ValueError(f"it has {held:,} bytes of values, its header says {needed:,}")
        flat = np.frombuffer(content, dtype, offset=file.tell())
        return flat.reshape(shape, order="F" if by_column else "C")
    except (ValueError, EOFError, TypeError) as error:
        raise LabelError(f"cannot read predictions {path}: {error}; write them again") from error


def prediction_of(
    array: NDArray[Any],
    *,
    classes: ClassTable,
    values: Literal["auto", "logits", "probabilities"],
    what: str,
    sha256: str = "",
) -> Prediction:
    """Return the prediction that an array holds.

    Parameters
    ----------
    array : integer (H, W), or float (K, H, W) or (H, W, K)
        Class ids, 255 for no prediction; or logits or probabilities of the K classes.
    classes : ClassTable
    values : {"auto", "logits", "probabilities"}
        Meaning of floats. With ``auto`` they are probabilities where all are from 0 to 1 and sum
        to 1, and logits where any is outside.
    what : str
        Name of the array in errors.

    Raises
    ------
    LabelError
        Another shape or type, ids outside the classes, numbers that are not finite, or
        probabilities that do not sum to 1.
    """
    if np.issubdtype(array.dtype, np.integer) or array.dtype == np.bool_:
        return Prediction(_ids(array, classes, what), sha256=sha256)
    if not np.issubdtype(array.dtype, np.floating):
        raise LabelError(f"{what} is {array.dtype}; give integer class ids or float scores")
    if array.ndim == 2:
        raise LabelError(
            f"{what} is {array.dtype} {array.shape}: class ids are integers; convert them to uint8"
        )
    scores = _class_first(array, classes, what)
    if not np.isfinite(scores).all():
        raise LabelError(f"{what} holds numbers that are not finite; give finite scores")
    low, high = float(scores.min(initial=0)), float(scores.max(initial=0))
    if values == "logits" or (values == "auto" and not 0 <= low <= high <= 1):
        raised = np.exp(scores - scores.max(0))
        return Prediction(
            scores.argmax(0).astype(np.uint8), raised / raised.sum(0), "logits", sha256=sha256
        )
    sums = scores.sum(0)
    worst = float(sums.flat[int(np.abs(sums - 1).argmax())])
    if low < 0 or abs(worst - 1) > TOLERANCE:
        raise LabelError(
            f"{what} has probabilities that do not sum to 1: the sum of a pixel is {worst:.4g}, "
            f"the least value {low:.4g}; normalise them, or say that they are logits with "
            "--values logits"
        )
    return Prediction(scores.argmax(0).astype(np.uint8), scores, "probabilities", sha256=sha256)


def _ids(array: NDArray[Any], classes: ClassTable, what: str) -> Labels:
    if array.ndim != 2:
        raise LabelError(f"{what} is {array.dtype} {array.shape}; class ids are (height, width)")
    low, high = int(array.min(initial=0)), int(array.max(initial=0))
    if low < 0 or high > IGNORED:
        raise LabelError(
            f"{what} holds {low if low < 0 else high}; allowed are 0 to {len(classes) - 1} and "
            f"{IGNORED} for no prediction"
        )
    labels: Labels = np.ascontiguousarray(array, np.uint8)
    unknown = unknown_labels(labels, len(classes))
    if unknown:
        raise LabelError(
            f"{what} holds {shown_ids(unknown)}; {classes.name or 'the class table'} has "
            f"0 to {len(classes) - 1} and {IGNORED} for no prediction"
        )
    return labels


def _class_first(array: NDArray[Any], classes: ClassTable, what: str) -> NDArray[np.float32]:
    if array.ndim == 4 and len(array) == 1:
        array = array[0]
    if array.ndim == 3 and len(array) == len(classes):
        return np.ascontiguousarray(array, np.float32)
    if array.ndim == 3 and array.shape[-1] == len(classes):
        return np.ascontiguousarray(np.moveaxis(array, -1, 0), np.float32)
    raise LabelError(
        f"{what} has the shape {array.shape}; scores of {len(classes)} classes are "
        f"({len(classes)}, height, width)"
    )
