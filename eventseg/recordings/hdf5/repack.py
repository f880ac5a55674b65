"""Newer forms of HDF5, repacked by the HDF5 library in a child process with bounds.

The library walks some damaged structures for ever, so it reads a file only where nothing else can:
in a process of its own, for a limited time and with limited memory, into a plain copy.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from eventseg.device import limit_memory
from eventseg.errors import RecordingError

SECONDS: Final = 30
SECONDS_PER_BYTE: Final = 1 / 20_000_000
MEMORY_BYTES: Final = 2**33
ROWS_AT_ONCE: Final = 128
MOST_ROWS: Final = 2**28
BYTES_AT_ONCE: Final = 2**20
"""Bytes of a chunk of a table in the copy."""


def repacked(path: Path, *, follow: bool = False, tables: bool = False) -> Path:
    """Return a plain temporary copy of a recording's datasets; the caller removes it.

    Parameters
    ----------
    path : Path
    follow : bool
        Follow links and storage into other files.
    tables : bool
        Copy all datasets of numbers and their attributes, not only those of a DDD recorder.

    Raises
    ------
    RecordingError
        The library cannot read the file, or does not come to an end.
    """
    handle, name = tempfile.mkstemp(suffix=".hdf5")
    os.close(handle)
    copy = Path(name)
    root = str(Path(__file__).resolve().parents[3])
    paths = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    what = "tables" if tables else "follow" if follow else "stay"
    try:
        seconds = SECONDS + path.stat().st_size * SECONDS_PER_BYTE
        done = subprocess.run(
            [sys.executable, "-m", __name__, str(path), name, what],
            env={**os.environ, "PYTHONPATH": paths},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except BaseException as error:
        copy.unlink(missing_ok=True)
        if isinstance(error, subprocess.TimeoutExpired):
            raise RecordingError(
                f"{path}: damaged: the HDF5 library did not come to an end in {seconds:.0f} s; "
                "copy or download it again"
            ) from error
        if isinstance(error, OSError):
            raise RecordingError(f"{path}: cannot be read ({error})") from error
        raise
    if done.returncode:
        copy.unlink(missing_ok=True)
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        reason = lines[-1] if lines else "it was killed"
        raise RecordingError(f"{path}: the HDF5 library cannot read it ({reason})")
    return copy


def main(source: str, target: str, what: str) -> None:
    """Copy packets and signals, or all tables, into a plain file."""
    import h5py
    import numpy as np

    limit_memory(MEMORY_BYTES)
    follow = what
    with h5py.File(source, "r", locking="best-effort") as old, h5py.File(target, "w") as new:
        if what == "tables":
            with contextlib.suppress(ImportError):
                importlib.import_module("hdf5plugin")
            _copy_tables(h5py, np, old, new)
            return
        for group in list(old):
            for name in ("data", "timestamp"):
                where = f"{group}/{name}"
                try:
                    dataset = old[where] if _is_here(h5py, old, where, follow == "follow") else None
                except (KeyError, OSError, RuntimeError, ValueError):
                    dataset = None
                if not isinstance(dataset, h5py.Dataset) or not dataset.ndim:
                    continue
                if dataset.shape[0] > MOST_ROWS:
                    raise ValueError(f"{where} declares {dataset.shape[0]:,} rows")
                kind = h5py.check_vlen_dtype(dataset.dtype)
                if kind is None and dataset.dtype.kind not in "iuf":
                    continue
                _copy(np, dataset, new, where)


def _copy_tables(h5py: Any, np: Any, old: Any, new: Any) -> None:
    """Copy every dataset of numbers in the file, and attributes of one number or text."""

    def copy(name: str, found: Any) -> None:
        if isinstance(found, h5py.Dataset):
            kinds = [found.dtype[k].kind for k in range(len(found.dtype))] or [found.dtype.kind]
            here = not found.is_virtual and not found.external
            if not set(kinds) <= set("iufb") or not here or not math.prod(found.shape):
                return
            if not found.ndim:
                new[name] = found[()]
                return
            if found.shape[0] > MOST_ROWS * 2**8:
                raise ValueError(f"{name} declares {found.shape[0]:,} rows")
            row_bytes = math.prod(found.shape[1:]) * found.dtype.itemsize
            rows = max(1, min(found.shape[0], BYTES_AT_ONCE // max(1, row_bytes)))
            target = new.create_dataset(
                name, found.shape, found.dtype, chunks=(rows, *found.shape[1:])
            )
            for first in range(0, found.shape[0], rows):
                target[first : first + rows] = found[first : first + rows]
        else:
            new.require_group(name)
        for key, value in found.attrs.items():
            if np.ndim(value) == 0 and not isinstance(value, h5py.Empty):
                with contextlib.suppress(TypeError, ValueError):
                    new[name].attrs[key] = value

    copy("/", old)
    old.visititems(copy)


def _is_here(h5py: Any, file: Any, where: str, follow: bool) -> bool:
    """Return whether a dataset is stored in this file itself, or may be in others."""
    if follow:
        return where in file
    group = where.split("/", maxsplit=1)[0]
    links = [file.get(group, getlink=True), file[group].get(where.split("/")[1], getlink=True)]
    if any(isinstance(link, h5py.ExternalLink) for link in links) or None in links:
        return False
    dataset = file[where]
    return not (isinstance(dataset, h5py.Dataset) and (dataset.is_virtual or dataset.external))


def _copy(np: Any, dataset: Any, new: Any, where: str) -> None:
    import h5py

    shape = dataset.shape
    copy = new.create_dataset(
        where,
        shape,
        dataset.dtype,
        maxshape=(None, *shape[1:]),
        chunks=(ROWS_AT_ONCE, *shape[1:]),
    )
    firsts = {
        first
        for start, stop in _stored(dataset)
        for first in range(start // ROWS_AT_ONCE * ROWS_AT_ONCE, stop, ROWS_AT_ONCE)
    }
    empty = np.empty(0, h5py.check_vlen_dtype(dataset.dtype) or dataset.dtype)
    for first in sorted(firsts):
        stop = min(first + ROWS_AT_ONCE, shape[0])
        try:
            copy[first:stop] = dataset[first:stop]
        except (KeyError, OSError, RuntimeError, ValueError):
            for row in range(first, stop):
                with contextlib.suppress(KeyError, OSError, RuntimeError, ValueError):
                    values = dataset[row]
                    if dataset.dtype.kind == "O":
                        values = [empty if value is None else value for value in values]
                        for column, value in enumerate(values):
                            copy[row, column] = value
                    else:
                        copy[row] = values


def _stored(dataset: Any) -> list[tuple[int, int]]:
    """Return the ranges of rows that are stored."""
    n_rows = dataset.shape[0]
    if dataset.chunks is None or dataset.is_virtual:
        return [(0, n_rows)]
    spans: set[tuple[int, int]] = set()

    def note(chunk: Any) -> None:
        first = chunk.chunk_offset[0]
        spans.add((first, min(first + dataset.chunks[0], n_rows)))

    dataset.id.chunk_iter(note)
    return sorted(spans)


if __name__ == "__main__":
    main(*sys.argv[1:])
