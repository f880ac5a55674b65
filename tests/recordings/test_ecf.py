"""Prophesee's HDF5 with the filter ECF: all kinds of chunks, long runs, damage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from recordings.ecf_files import ALL_PACKED, COLUMNS_PACKED, MASKED, chunk, write_ecf

from eventseg.errors import RecordingError
from eventseg.events import EventStream, SensorSize
from eventseg.recordings import open_recording
from eventseg.recordings.hdf5.ecf import EVENT_DTYPE, unpack_ecf
from eventseg.recordings.hdf5.storage import DamageError

SENSOR = SensorSize(720, 1280)


def rows(events: EventStream) -> list[tuple[int, int, int, int]]:
    return list(zip(*(getattr(events, name).tolist() for name in "txyp"), strict=True))


def some_events(n: int, *, seed: int = 0) -> EventStream:
    """Bursts along rows, long equal runs, pauses of all lengths."""
    rng = np.random.default_rng(seed)
    t = np.cumsum(rng.choice([0, 0, 0, 1, 7, 14, 15, 16, 255, 70_000, 10**9], n)) + 10**6
    y = np.repeat(rng.integers(0, SENSOR.height, n), rng.integers(1, 80, n))[:n]
    x = (rng.integers(0, SENSOR.width - 300, n) // 40 * 40 + np.arange(n) % 300) % SENSOR.width
    p = np.repeat(rng.integers(0, 2, n), rng.integers(1, 300, n))[:n]
    return EventStream.from_arrays(t, x, y, p, sensor=SENSOR, t_unit="us")


@pytest.mark.parametrize("n", [1, 3, 4, 5, 511, 512, 513, 5_000])
def test_chunks_of_all_kinds(tmp_path: Path, n: int) -> None:
    events = some_events(n)
    with open_recording(write_ecf(tmp_path / "rec.h5", events)) as recording:
        assert rows(recording.events()) == rows(events)
        assert recording.sensor == SENSOR
        assert "layout CD/events, as Prophesee writes it" in recording.report.notes
        assert [row for part in recording.stream(max_events=99) for row in rows(part)] == rows(
            events
        )


@pytest.mark.parametrize("kind", [ALL_PACKED, COLUMNS_PACKED, MASKED])
def test_chunk_cut_or_flipped_is_an_error_or_a_chunk(kind: int) -> None:
    written = rows(some_events(60))
    content = chunk(written, kind)
    found = np.frombuffer(unpack_ecf(content), EVENT_DTYPE)
    assert list(zip(*(found[name].tolist() for name in "txyp"), strict=True)) == written
    for stop in range(len(content)):
        with pytest.raises(DamageError):
            unpack_ecf(content[:stop])
    bits = np.random.default_rng(1).choice(8 * len(content), min(8 * len(content), 1_000), False)
    for bit in bits.tolist():
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            again = unpack_ecf(bytes(damaged))
        except DamageError:
            continue
        assert len(again) <= 16 * 2**16
        if bit >= 32:
            assert len(again) == 16 * len(written)


def test_a_chunk_that_is_damaged_costs_itself(tmp_path: Path) -> None:
    written = rows(some_events(2_000))
    path = write_ecf(tmp_path / "rec.h5", some_events(2_000))
    content = path.read_bytes()
    place = content.index(chunk(written[512:1_024], 1)[:40])
    path.write_bytes(content[:place] + b"\xff" * 8 + content[place + 8 :])
    with open_recording(path) as recording:
        assert rows(recording.events()) == written[:512] + written[1_024:]
        assert recording.report.skipped["events"] == {"rows of damaged chunks": 512}
    short = write_ecf(tmp_path / "short.h5", some_events(300))
    content = short.read_bytes()
    place = content.index(chunk(rows(some_events(300)), 0)[:40])
    short.write_bytes(content[:place] + b"\xff" * 8 + content[place + 8 :])
    with pytest.raises(RecordingError, match="skipped 300: rows of damaged chunks") as caught:
        open_recording(short)
    assert "\n" not in str(caught.value)


def test_fields_without_a_filter(tmp_path: Path) -> None:
    import h5py

    events = some_events(300)
    table = np.zeros(300, EVENT_DTYPE)
    for name in "txyp":
        table[name] = getattr(events, name)
    for version in ("earliest", "v110"):
        with h5py.File(tmp_path / "rec.h5", "w", libver=version) as file:
            file.create_dataset("CD/events", data=table, chunks=(64,), compression="gzip")
        with open_recording(tmp_path / "rec.h5", sensor=SENSOR) as recording:
            assert rows(recording.events()) == rows(events)
