"""Paths and tensor files of a data set folder."""

from __future__ import annotations

import ntpath
import unicodedata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import DatasetError
from eventseg.files.paths import on_disk
from eventseg.files.whole import write_whole

MANIFEST = "manifest.toml"
SAMPLES = "samples.csv"
PARTIAL = "encode.partial.toml"
PARTIAL_SAMPLES = "samples.partial.csv"
PARTIAL_LABELS = "labels.partial"

LIMITS = "limits"
"""Setting of a label set: how its labels differ from those it is named after."""

UNPRINTABLE = ("Cc", "Cs", "Zl", "Zp")
"""Unicode categories that no name may have: controls, half characters, line ends."""

MOST_NAME_BYTES = 240
"""Longest file name: file systems take 255 bytes, and a file being written has a longer one."""

Tensor = NDArray[np.float32]


def tensor_file(root: Path, *, window: str, sample_id: str, store: str) -> Path:
    """Return the path of the tensor of one window of one sample."""
    return _path_in(root, "tensors", window, f"{sample_id}.{store}")


def frame_file(root: Path, *, sample_id: str) -> Path:
    """Return the path of the frame of one sample."""
    return _path_in(root, "frames", f"{sample_id}.png")


def label_file(root: Path, *, labels: str, sample_id: str) -> Path:
    """Return the path of the labels of one set of one sample."""
    return _path_in(root, "labels", labels, f"{sample_id}.png")


def confidence_file(root: Path, *, labels: str, sample_id: str) -> Path:
    """Return the path of the confidence of the labels of one set of one sample."""
    return _path_in(root, "confidence", labels, f"{sample_id}.png")


def checked_name(name: str) -> str:
    """Return a name that may become that of a file or a folder.

    Raises
    ------
    DatasetError
        It is empty or too long, leads to another folder, or holds characters that a file of this
        name, a line of a table or another system could not have.
    """
    reason = None
    if not name or name in (".", "..") or "/" in name or "\\" in name:
        reason = "is empty or leads to another folder"
    elif ntpath.splitdrive(name)[0]:
        reason = "leads to another drive"
    elif any(unicodedata.category(mark) in UNPRINTABLE for mark in name):
        reason = "holds control characters or line breaks, or is not UTF-8"
    elif len(name.encode()) > MOST_NAME_BYTES:
        reason = f"has {len(name.encode())} bytes, more than {MOST_NAME_BYTES}"
    if reason is not None:
        shown = ascii(name) if len(name) < 100 else ascii(name[:100]) + "..."
        raise DatasetError(f"the name {shown} {reason}; rename what it comes from")
    return name


def _path_in(root: Path, *names: str) -> Path:
    """Return the path of a file in a data set, which neither a name nor a link leads out of it."""
    path = root
    for name in names:
        path = on_disk(path / checked_name(name))
        if path.is_symlink() and not path.resolve().is_relative_to(root.resolve()):
            raise DatasetError(
                f"{path} is a link to {path.readlink()}, outside of the data set; copy what it "
                "links to into the data set"
            )
    return path


def write_tensor(path: Path, tensor: Tensor) -> None:
    """Write one tensor as ``.npy``, or compressed as ``.npz`` under the name ``tensor``."""
    if path.suffix == ".npz":
        write_whole(path, lambda file: np.savez_compressed(file, tensor=tensor))
    else:
        write_whole(path, lambda file: np.save(file, tensor, allow_pickle=False))


def read_tensor(path: Path) -> Tensor:
    """Read one tensor, (6, H, W), float32 or the element type that the manifest names.

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
        # NumPy names a way to run what the file holds, which is none for us.
        reason = "it is no array of numbers" if "pickle" in str(error) else error
        raise DatasetError(f"cannot read tensor {path}: {reason}") from error
