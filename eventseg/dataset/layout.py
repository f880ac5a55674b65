"""Names and places inside a data set folder, and writes that are there whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from eventseg.errors import DatasetError, OutputError
from eventseg.files import TEMPORARY, write_whole

try:
    import fcntl
except ImportError:  # Windows has no advisory locks on folders
    fcntl = None  # type: ignore[assignment]

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


def write_image(path: Path, image: NDArray[np.uint8]) -> None:
    """Write an 8-bit gray image (H, W) as PNG."""
    write_whole(path, lambda file: Image.fromarray(image).save(file, format="PNG"))


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read an 8-bit gray PNG, uint8 (H, W).

    Raises
    ------
    DatasetError
        The file is missing, damaged, or has colours or another depth.
    """
    try:
        content = path.read_bytes()
        # Reading alone does not look at the last checksum, so that values could change unseen.
        Image.open(BytesIO(content), formats=("PNG",)).verify()
        with Image.open(BytesIO(content), formats=("PNG",)) as image:
            if image.mode not in ("L", "P"):
                raise DatasetError(f"image {path} has mode {image.mode}, not 8-bit gray")
            return np.array(image)
    except DatasetError:
        raise
    # A damaged file raises errors of several modules.
    except Exception as error:
        raise DatasetError(f"cannot read image {path}: {error}") from error


def digest_of(path: Path) -> str:
    """Return the SHA-256 digest of a file, computed once for each state of it."""
    status = path.stat()
    return _digest(path, status.st_size, status.st_mtime_ns)


@cache
def _digest(path: Path, _size: int, _mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def temporary_files(root: Path) -> list[Path]:
    """Return the files that a killed run left under a temporary name, sorted."""
    return sorted(path for path in root.rglob(f"*{TEMPORARY}") if path.is_file())


def free_bytes(path: Path) -> int:
    """Return the free space in bytes of the file system that will hold a path."""
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    return shutil.disk_usage(existing).free


@contextlib.contextmanager
def locked(root: Path, *, doing: str = "encoding") -> Iterator[None]:
    """Hold a folder for one writing process; the lock ends with the process and leaves no file.

    Raises
    ------
    OutputError
        Another process writes into the folder.
    """
    if fcntl is None:
        yield
        return
    handle = os.open(root, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise OutputError(f"another process is {doing} into {root}") from error
        yield
    finally:
        os.close(handle)
