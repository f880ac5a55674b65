"""Independent readers of the package index read what ours reads; they are in the group bench."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from recordings.aedat2_files import davis_events, header2, packed
from recordings.aedat3_files import event_rows, header3, write_aedat3
from recordings.ecf_files import ALL_PACKED, COLUMNS_PACKED, MASKED, write_ecf
from recordings.es_files import atis_records, dvs_records, header_es
from recordings.prophesee_files import EVT2, EVT3, write_dat, write_raw
from recordings.test_ecf import some_events

from eventseg.events import EventStream, SensorSize
from eventseg.recordings import open_recording


def bursts() -> EventStream:
    rng = np.random.default_rng(1)
    t = np.repeat(np.sort(rng.integers(5_000, 300_000, 400)), 4)
    y = np.repeat(rng.integers(0, 480, 400), 4)
    x = (rng.integers(0, 620, 400)[:, None] + np.arange(0, 12, 3)).ravel()
    return EventStream.from_arrays(t, x, y, np.repeat(rng.integers(0, 2, 400), 4), sensor=SIZE)


SIZE = SensorSize(480, 640)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # its open files
@pytest.mark.parametrize("kind", [EVT2, EVT3, "vectors", "DAT"])
def test_evutils_reads_the_same(tmp_path: Path, kind: str) -> None:
    io = pytest.importorskip("evutils.io")
    path = tmp_path / ("rec.dat" if kind == "DAT" else "rec.raw")
    if kind == "DAT":
        write_dat(path, bursts())
    else:
        write_raw(
            path, bursts(), name=EVT3 if kind == "vectors" else kind, vectors=kind == "vectors"
        )
    theirs = io.EventReader(path).read_all()
    with open_recording(path) as recording:
        ours = recording.events()
    for name in "txyp":
        np.testing.assert_array_equal(getattr(ours, name), np.asarray(theirs[name]), err_msg=name)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("version", [2, 3])
def test_evutils_reads_the_same_aedat(tmp_path: Path, version: int) -> None:
    """Of AEDAT 2 it returns the addresses as they stand: not mirrored, rows from the bottom."""
    io = pytest.importorskip("evutils.io")
    path = tmp_path / "rec.aedat"
    if version == 2:
        path.write_bytes(header2("Davis640") + packed(davis_events(bursts(), SIZE)))
    else:
        write_aedat3(path, event_rows(bursts()), begin=header3("DAVIS640"))
    theirs = io.EventReader(path).read_all()
    with open_recording(path) as recording:
        ours = recording.events()
    x, y = np.asarray(theirs["x"]).astype(int), np.asarray(theirs["y"]).astype(int)
    if version == 2:
        x, y = SIZE.width - 1 - x, SIZE.height - 1 - y
    for name, column in (("t", theirs["t"]), ("x", x), ("y", y), ("p", theirs["p"])):
        np.testing.assert_array_equal(getattr(ours, name), np.asarray(column), err_msg=name)


@pytest.mark.parametrize("kind", [1, 2])
def test_event_stream_reads_the_same(tmp_path: Path, kind: int) -> None:
    theirs = pytest.importorskip("event_stream")
    path = tmp_path / "rec.es"
    records = dvs_records(bursts()) if kind == 1 else atis_records(bursts())
    path.write_bytes(header_es(kind, SIZE) + records)
    with theirs.Decoder(str(path)) as decoder:
        found = np.concatenate(list(decoder))
    on = "on" if kind == 1 else "polarity"
    if kind == 2:
        found = found[~found["exposure"]]
    with open_recording(path) as recording:
        ours = recording.events()
    for name, column in (("t", "t"), ("x", "x"), ("y", "y"), ("p", on)):
        np.testing.assert_array_equal(getattr(ours, name), found[column], err_msg=name)


@pytest.mark.parametrize("kind", ["all packed", "columns packed", "masked"])
def test_evlib_reads_the_same_ecf(tmp_path: Path, kind: str) -> None:
    """It refuses some chunks, of which the published decoder reads all: those of other steps."""
    evlib = pytest.importorskip("evlib")
    code = {"all packed": ALL_PACKED, "columns packed": COLUMNS_PACKED, "masked": MASKED}[kind]
    path = write_ecf(tmp_path / "rec.h5", some_events(3_000), kind=code)
    theirs = evlib.load_events(str(path)).collect()
    with open_recording(path) as recording:
        ours = recording.events()
    t = theirs["t"].dt.total_microseconds().to_numpy()
    polarity = theirs["polarity"].to_numpy() > 0
    columns = {"t": t, "x": theirs["x"].to_numpy(), "y": theirs["y"].to_numpy(), "p": polarity}
    for name, column in columns.items():
        np.testing.assert_array_equal(getattr(ours, name), column, err_msg=name)
