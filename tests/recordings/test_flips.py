"""Tables and bags that are cut at any place, or have a flipped bit: a report or one error."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from recordings.rosbag_files import (
    PACKET,
    PACKET_FIELDS,
    packet,
    pieces,
    rows,
    some_events,
    write_bag,
    write_db3,
    write_mcap,
)

from eventseg.errors import RecordingError
from eventseg.events import EventStream, SensorSize
from eventseg.recordings import open_recording

SENSOR = SensorSize(24, 40)
EVENTS = some_events(SENSOR, 60)
A_MESSAGE = 15

Row = tuple[int, int, int, int]


def columns() -> np.ndarray:
    return np.stack([getattr(EVENTS, name) for name in "txyp"], axis=1)


def as_npy(path: Path) -> None:
    np.save(path, columns())


def as_npz(path: Path) -> None:
    np.savez_compressed(path, **{name: getattr(EVENTS, name) for name in "txyp"})


def as_csv(path: Path) -> None:
    lines = "".join(f"{t},{x},{y},{p}\n" for t, x, y, p in rows(EVENTS))
    path.write_text("t_us,x,y,p\n" + lines)


def as_h5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for name in "txyp":
            file.create_dataset(f"events/{name}", data=getattr(EVENTS, name), chunks=(15,))


def contents(*, ros1: bool) -> list[bytes]:
    parts: list[EventStream] = pieces(EVENTS, A_MESSAGE)
    return [packet(part, sequence=k, encoding="libcaer", ros1=ros1) for k, part in enumerate(parts)]


def as_db3(path: Path) -> None:
    write_db3(path, contents(ros1=False))


def as_bag(path: Path) -> None:
    write_bag(path, contents(ros1=True), kind=PACKET, fields=PACKET_FIELDS)


def as_mcap(path: Path) -> None:
    write_mcap(path, contents(ros1=False))


WRITERS: dict[str, tuple[Callable[[Path], None], int]] = {
    ".npy": (as_npy, 1),
    ".npz": (as_npz, 0),
    ".csv": (as_csv, 2),
    ".h5": (as_h5, 1),
    ".db3": (as_db3, A_MESSAGE),
    ".bag": (as_bag, A_MESSAGE),
    ".mcap": (as_mcap, A_MESSAGE),
}
"""How a file is written, and most events that a damaged byte among the events changes."""


def outcome(path: Path) -> Counter[Row] | None:
    """Return the events of a damaged file, or None where one line refuses it."""
    try:
        with warnings.catch_warnings():
            # Of a damaged unit or size, which are told.
            warnings.simplefilter("ignore", UserWarning)
            with open_recording(path, sensor=SENSOR) as recording:
                report = recording.report
                for kind, found in report.found.items():
                    skipped = sum(report.skipped.get(kind, {}).values())
                    assert report.kept[kind] + skipped == found
                events = recording.events()
                assert len(events) == recording.n_events == report.kept["events"]
                return Counter(rows(events))
    except RecordingError:
        return None


LONG = (".h5", ".db3", ".bag", ".csv")
"""Files that take long to read so often: cut at every byte in slow tests, else at some places."""


@pytest.mark.parametrize(
    ("suffix", "places"),
    [
        *((suffix, 60 if suffix in LONG else None) for suffix in WRITERS),
        *(pytest.param(suffix, None, marks=pytest.mark.slow) for suffix in LONG),
    ],
)
def test_file_cut_at_any_place(tmp_path: Path, suffix: str, places: int | None) -> None:
    path = tmp_path / f"rec{suffix}"
    WRITERS[suffix][0](path)
    content = path.read_bytes()
    assert outcome(path) == Counter(rows(EVENTS))
    stops = set(range(0, len(content), 1 if places is None else len(content) // places))
    stops |= {at + k for at in range(0, len(content), 4_096) for k in (-1, 0, 1) if at + k >= 0}
    known = set()
    for stop in sorted(stops):
        path.write_bytes(content[:stop])
        found = outcome(path)
        if found is not None:
            wrong = found - Counter(rows(EVENTS))
            # The last number of a text may lack digits, and nothing tells.
            assert wrong.total() <= (suffix == ".csv"), stop
            known.add(found.total())
    assert known or suffix != ".csv"


@pytest.mark.parametrize("flips", [60, pytest.param(1_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("suffix", WRITERS)
def test_a_flipped_bit_changes_what_is_near_it_only(
    tmp_path: Path, suffix: str, flips: int
) -> None:
    """Of bits among the events; one in a header may change the meaning of all of them."""
    path = tmp_path / f"rec{suffix}"
    write, most = WRITERS[suffix]
    write(path)
    content, expected = path.read_bytes(), Counter(rows(EVENTS))
    among = places_of_events(content, suffix)
    bits = np.random.default_rng(7).choice(8 * len(content), flips, replace=False)
    refused = changed = 0
    for bit in bits.tolist():
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        found = outcome(path)
        if found is None:
            refused += 1
        elif bit // 8 in among:
            assert (found - expected).total() <= most, bit
            assert (expected - found).total() <= most, bit
            changed += found != expected
    assert refused < len(bits)
    assert changed or suffix in (".npz", ".bag", ".mcap")


def places_of_events(content: bytes, suffix: str) -> set[int]:
    """Return the bytes of a file that are rows of events."""
    if suffix == ".npy":
        return set(range(len(content) - 60 * 32, len(content)))
    if suffix == ".csv":
        return set(range(content.index(b"\n") + 1, len(content)))
    if suffix == ".h5":
        parts = [getattr(EVENTS, name)[k : k + 15].tobytes() for name in "tx" for k in (0, 15, 30)]
    elif suffix in (".db3", ".bag", ".mcap"):
        parts = [each[-8 * A_MESSAGE :] for each in contents(ros1=suffix == ".bag")]
    else:
        return set()
    places: set[int] = set()
    for part in parts:
        at = content.find(part)
        places |= set(range(at, at + len(part))) if at >= 0 else set()
    return places


def test_a_database_that_is_cut_is_refused_by_its_size(tmp_path: Path) -> None:
    as_db3(tmp_path / "rec.db3")
    content = (tmp_path / "rec.db3").read_bytes()
    (tmp_path / "rec.db3").write_bytes(content[:-1_000])
    words = rf"the file is cut: {len(content) - 1_000:,} of {len(content):,} bytes; copy it again"
    with pytest.raises(RecordingError, match=words):
        open_recording(tmp_path / "rec.db3")
