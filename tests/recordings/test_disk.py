"""The file that takes all that the HDF5 library writes, on a disk that takes less."""

from __future__ import annotations

import errno
import gc
import io
from pathlib import Path

import h5py
import numpy as np
import pytest

from eventseg.errors import OutputError
from eventseg.recordings import truth_pair
from eventseg.recordings.hdf5.disk import Disk


class Small(io.BytesIO):
    """A file in memory that has room for some bytes only."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def write(self, data) -> int:
        if self.tell() + len(data) > self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


def write(file, values: np.ndarray) -> Disk:
    disk = Disk(file)
    with h5py.File(disk, "w") as out:
        for k in range(4):
            out.create_dataset(f"group/{k}", data=values + k, chunks=(100,), compression="gzip")
    return disk


def test_what_is_written_is_read(tmp_path: Path) -> None:
    values = np.arange(5_000)
    with (tmp_path / "x.h5").open("w+b", buffering=0) as file:
        write(file, values).check()
    with h5py.File(tmp_path / "x.h5") as found:
        for k in range(4):
            np.testing.assert_array_equal(found[f"group/{k}"][:], values + k)


@pytest.mark.parametrize("room", [0, 50, 900, 3_000, 20_000])
def test_the_first_refusal_is_kept_and_the_library_sees_none(room: int) -> None:
    whole = Small(2**30)
    write(whole, np.arange(5_000)).check()
    assert len(whole.getvalue()) > 20_000
    for _ in range(5):
        disk = write(Small(room), np.arange(5_000))
        with pytest.raises(OSError, match="No space left"):
            disk.check()
        del disk
        gc.collect()


def test_a_truth_that_cannot_be_sealed_is_one_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(Disk):
        def write(self, data) -> int:
            self._error = OSError(errno.ENOSPC, "No space left on device")
            return len(data)

    def make(target: Path) -> None:
        with truth_pair.finished_pair(target) as (recording, truth):
            recording.write_bytes(b"events")
            with h5py.File(truth, "w") as out:
                out["frames"] = np.arange(3)

    make(tmp_path / "sound.hdf5")
    with h5py.File(tmp_path / "sound.truth.h5") as found:
        assert len(found.attrs["recording_sha256"]) == 64
        np.testing.assert_array_equal(found["frames"][:], np.arange(3))
    monkeypatch.setattr(truth_pair, "Disk", Full)
    with pytest.raises(OutputError, match=r"cannot write .*other\.hdf5: .*No space left"):
        make(tmp_path / "other.hdf5")
    gc.collect()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sound.hdf5", "sound.truth.h5"]
