"""Masks of the leagues: ids in 8-bit gray, indexed, or in three equal channels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from eventseg.errors import DatasetError, LabelError
from eventseg.events import SensorSize
from eventseg.images import SIGNATURE, open_png
from eventseg.labels.files import read_labels
from eventseg.labels.maps import ClassTable, Labels, shown_ids, unknown_labels

RGB = 2
"""Kind of pixels in the header of a PNG."""


def read_mask(path: Path, *, size: SensorSize, classes: ClassTable) -> Labels:
    """Read a mask as ids, uint8 (H, W), 255 ignored.

    Three equal channels are ids too: the demo of ESS reads its masks so. Colours are not looked up:
    in the colours of that demo two classes are the same.

    Raises
    ------
    DatasetError
        The file is missing, damaged, of another size, in colours, or has ids of no class.
    """
    try:
        labels = _ids(path)
    except LabelError as error:
        raise DatasetError(str(error)) from error
    if labels.shape != tuple(size):
        raise DatasetError(
            f"{path} is {labels.shape[1]}x{labels.shape[0]}; masks of this league are {size}"
        )
    if unknown := unknown_labels(labels, len(classes)):
        raise DatasetError(
            f"{path} holds the ids {shown_ids(unknown)}; {classes.name} has 0 to "
            f"{len(classes) - 1} and 255 for ignored"
        )
    return labels


def _ids(path: Path) -> Labels:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise LabelError(f"cannot read {path}: {error.strerror or error}") from error
    if content.startswith(SIGNATURE) and len(content) > 25 and content[25] == RGB:
        channels = np.asarray(open_png(content, path))
        if channels.ndim != 3 or (channels != channels[..., :1]).any():
            raise LabelError(
                f"{path} is in colours; masks of this league hold ids in gray, or in three equal "
                "channels"
            )
        return np.ascontiguousarray(channels[..., 0])
    return read_labels(path)
