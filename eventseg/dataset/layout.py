"""Paths and tensor files of a data set folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import DatasetError
from eventseg.files import write_whole

MANIFEST = "manifest.toml"
SAMPLES = "samples.csv"
PARTIAL = "encode.partial.toml"
PARTIAL_SAMPLES = "samples.partial.csv"
PARTIAL_LABELS = "labels.partial"

Tensor = NDArray[np.float32]


def tensor_file(root: Path, *, window: str, sample_id: str, store: str) -> Path:
    """Return where the tensor of one window of one sample lies."""
    return root / "tensors" / window / f"{sample_id}.{store}"


def frame_file(root: Path, *, sample_id: str) -> Path:
    """Return where the frame of one sample lies."""
    return root / "frames" / f"{sample_id}.png"


def label_file(root: Path, *, labels: str, sample_id: str) -> Path:
    """Return where the labels of one set of one sample lie."""
    return root / "labels" / labels / f"{sample_id}.png"


def confidence_file(root: Path, *, labels: str, sample_id: str) -> Path:
    """Return where the confidence of the labels of one set of one sample lies."""
    return root / "confidence" / labels / f"{sample_id}.png"


def write_tensor(path: Path, tensor: Tensor) -> None:
    """Write one tensor as ``.npy``, or compressed as ``.npz`` under the name ``tensor``."""
    if path.suffix == ".npz":
        write_whole(path, lambda file: np.savez_compressed(file, tensor=tensor))
    else:
        write_whole(path, lambda file: np.save(file, tensor, allow_pickle=False))


def read_tensor(path: Path) -> Tensor:
    """Read one tensor, float32 (6, H, W).

    Raises
    ------
    DatasetError
        The file is missing, cut short or no array.
    """
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            tensor: Tensor = loaded["tensor"]
            return tensor
    # A damaged zip or header raises errors of several modules.
    except Exception as error:
        raise DatasetError(f"cannot read tensor {path}: {error}") from error
