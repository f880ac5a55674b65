"""The packets of one DDD17 file as rows: open, check the layout, read blocks."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from eventseg.errors import RecordingError
from eventseg.recordings.ddd17.heap import is_plain, locate_block, map_file

HDF5_ERRORS = (OSError, RuntimeError, ValueError, KeyError)
"""What h5py raises on damaged bytes, depending on where they are."""


class RawBlock(NamedTuple):
    """Some rows as they are stored: headers and payloads, uint8 arrays.

    `at` is the first byte of each payload in the file, -1 where it is not known; `damaged` are the
    rows that could not be read.
    """

    headers: list[Any]
    payloads: list[Any]
    at: NDArray[np.int64]
    damaged: list[int]


class PacketFile:
    """The open ``dvs`` group of a recording.

    A forked process opens the file again, so as not to share its parent's handle.

    Parameters
    ----------
    path : Path

    Raises
    ------
    RecordingError
        No such file, not HDF5, truncated, or another layout.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pid = os.getpid()
        self._file: Any = _open(path)
        try:
            self.n_rows = _checked_rows(self._file, path)
            self._plain = is_plain(self._file)
            self._identity = _identity(path.stat())
        except BaseException:
            self.close()
            raise

    @property
    def file(self) -> Any:
        """Return the open :class:`h5py.File` of this process."""
        if self._file is None:
            raise RecordingError(f"{self.path}: the recording is closed; open it again")
        if self._pid != os.getpid():
            self._file.close()  # in this process only
            self._pid, self._file = os.getpid(), _open(self.path)
        return self._file

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._file is not None:
            self._file.close()
        self._file = None

    def host_times(self) -> NDArray[np.int64]:
        """Return the host time of each row in us, int64 (n_rows,), 0 where there is none.

        The digits in column 0 take over where ``dvs/timestamp`` holds nothing.
        """
        times = np.zeros(self.n_rows, np.int64)
        try:
            stored = self.file["dvs/timestamp"][: self.n_rows]
            times[: len(stored)] = stored
        except (*HDF5_ERRORS, TypeError):
            pass  # counted by the caller, row by row
        return times

    def host_digits(self, row: int) -> int:
        """Return the host time of a row from its digits in column 0, or 0."""
        try:
            digits = bytes(self.file["dvs/data"][row, 0])
        except HDF5_ERRORS:
            return 0
        return int(digits) if digits.isdigit() and len(digits) <= 18 else 0

    def block(self, first: int, stop: int) -> RawBlock:
        """Return the rows [first, stop) of one chunk; a row that cannot be read is empty."""
        located = self._located(first, stop)
        if located is not None:
            return located
        data = self.file["dvs/data"]
        nowhere = np.full(stop - first, -1, np.int64)
        try:
            block = data[first:stop, 1:3]
            return RawBlock(list(block[:, 0]), list(block[:, 1]), nowhere, [])
        except HDF5_ERRORS:
            headers, payloads, damaged = [], [], []
            for row in range(first, stop):
                try:
                    header, payload = data[row, 1], data[row, 2]
                except HDF5_ERRORS:
                    header = payload = np.empty(0, np.uint8)
                    damaged.append(row)
                headers.append(header)
                payloads.append(payload)
            return RawBlock(headers, payloads, nowhere, damaged)

    def _located(self, first: int, stop: int) -> RawBlock | None:
        """Return a block as views of the mapped file, or None where h5py is needed."""
        if not self._plain:
            return None
        # Mapped anew for each block: the pages of an old map would count as our memory.
        content = map_file(self.path)
        try:
            found = locate_block(self.file["dvs/data"], content, first, stop)
        except HDF5_ERRORS:
            return None
        if found is None:
            return None
        offsets, sizes = found
        headers, payloads = (
            [
                content[at : at + size]
                for at, size in zip(offsets[:, c].tolist(), sizes[:, c].tolist(), strict=True)
            ]
            for c in (1, 2)
        )
        return RawBlock(headers, payloads, offsets[:, 2], [])

    def events_of(
        self, packets: NDArray[np.void], size: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Return the whole events of some packets as one array of bytes, and where packets start.

        Parameters
        ----------
        packets : structured array (P,)
            Fields ``row number at``, rows ascending.
        size : int
            Bytes of one event.

        Raises
        ------
        RecordingError
            They cannot be read, though they could when the index was built.
        """
        if len(packets) and (packets["at"] < 0).any():
            return joined(self._payloads(packets["row"]), packets["number"], size)
        starts = np.zeros(len(packets) + 1, np.int64)
        np.cumsum(packets["number"], out=starts[1:])
        content = np.empty(int(starts[-1]) * size, np.uint8)
        view = memoryview(content.data)
        bounds = (starts * size).tolist()
        with self._opened() as raw:
            for at, first, stop in zip(
                packets["at"].tolist(), bounds[:-1], bounds[1:], strict=True
            ):
                raw.seek(at)
                if raw.readinto(view[first:stop]) != stop - first:
                    raise self._changed()
        return content, starts

    def frame_of(self, row: int, at: int, first: int, stop: int) -> NDArray[np.uint8]:
        """Return the bytes [first, stop) of the payload of a row, which begins at byte `at`."""
        if at < 0:
            return self._payloads(np.array([row]))[0][first:stop]
        with self._opened() as raw:
            raw.seek(at + first)
            content = raw.read(stop - first)
        if len(content) != stop - first:
            raise self._changed()
        return np.frombuffer(content, np.uint8)

    def _opened(self) -> io.FileIO:
        """Open the file as plain bytes: for one call, so that threads share no position."""
        _ = self.file  # says so if the recording is closed
        try:
            raw = io.FileIO(self.path)
        except OSError as error:
            raise RecordingError(f"{self.path}: cannot be read any more ({error})") from error
        if _identity(os.fstat(raw.fileno())) != self._identity:
            raw.close()
            raise self._changed()
        return raw

    def _changed(self) -> RecordingError:
        return RecordingError(f"{self.path}: changed since it was opened; open it again")

    def _payloads(self, rows: NDArray[np.int64]) -> list[NDArray[np.uint8]]:
        first, stop = int(rows[0]), int(rows[-1]) + 1
        try:
            data = self.file["dvs/data"]
            # A list of rows spares reading the frames that lie between events.
            return list(data[first:stop, 2] if stop - first == len(rows) else data[rows, 2])
        except HDF5_ERRORS as error:
            raise RecordingError(
                f"{self.path}: rows {first} to {stop - 1} cannot be read ({error})"
            ) from error


def joined(
    payloads: list[Any], numbers: NDArray[np.int64], size: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the whole events of some payloads as one array of bytes, and where packets start."""
    starts = np.zeros(len(payloads) + 1, np.int64)
    np.cumsum(numbers, out=starts[1:])
    pieces = [
        payload[: number * size] for payload, number in zip(payloads, numbers.tolist(), strict=True)
    ]
    return np.concatenate(pieces) if pieces else np.empty(0, np.uint8), starts


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns


def _open(path: Path) -> Any:
    if not path.is_file():
        raise RecordingError(f"{path}: no such file")
    try:
        return h5py.File(path, "r", locking="best-effort")
    except OSError as error:
        text = str(error)
        if "truncated" in text:
            raise RecordingError(
                f"{path}: the file is truncated ({text}); copy or download it again"
            ) from error
        if isinstance(error, PermissionError):
            raise RecordingError(f"{path}: no permission to read it") from error
        raise RecordingError(
            f"{path}: not an HDF5 file, or its beginning is damaged; "
            "DDD17 recordings are HDF5 files named rec<seconds>.hdf5"
        ) from error


def _checked_rows(file: Any, path: Path) -> int:
    wanted = "a DDD17 or DDD20 recording has dvs/data with three byte strings a row"
    try:
        data = file.get("dvs/data")
        found = sorted(file)
    except HDF5_ERRORS as error:
        raise RecordingError(f"{path}: the HDF5 file is damaged ({error})") from error
    if not isinstance(data, h5py.Dataset):
        raise RecordingError(f"{path}: no dvs/data among {found}; {wanted}")
    kind = h5py.check_vlen_dtype(data.dtype)
    if data.ndim != 2 or data.shape[1] != 3 or kind != np.uint8:
        raise RecordingError(f"{path}: dvs/data is {data.shape} of {kind or data.dtype}; {wanted}")
    return int(data.shape[0])
