"""Columns of events in HDF5: layouts of data sets, forms of the file."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from recordings.table_fixtures import EVENTS, SENSOR, read, rows, table, write_h5

from eventseg.errors import RecordingError
from eventseg.recordings import open_recording
from eventseg.recordings.hdf5.datasets import open_table
from eventseg.recordings.hdf5.objects import Hdf5File
from eventseg.recordings.hdf5.tables import Table
from eventseg.recordings.table.dsec import read_rectify_map


def test_dsec_and_rvt(tmp_path: Path) -> None:
    columns = {
        "events/t": (EVENTS.t - 7_000).astype(np.uint32),
        "events/x": EVENTS.x,
        "events/y": EVENTS.y,
        "events/p": EVENTS.p.astype(np.uint8),
    }
    index = np.zeros(100, np.uint64)
    dsec = {**columns, "t_offset": np.array(7_000), "ms_to_idx": index}
    found, said = read(write_h5(tmp_path / "dsec.h5", dsec, compression="gzip"))
    assert found == rows(EVENTS)
    assert "times begin at t_offset = 7000 us" in said
    path = write_h5(tmp_path / "rvt.h5", columns, chunks=(300,))
    with h5py.File(path, "a") as file:
        file["events"].attrs.update(width=SENSOR.width, height=SENSOR.height)
    found, said = read(path)
    assert "sensor 40x24 from the file" in said
    assert found == [(t - 7_000, x, y, p) for t, x, y, p in rows(EVENTS)]


@pytest.mark.parametrize("libver", ["v108", "latest"])
def test_newer_forms_of_hdf5(tmp_path: Path, libver: str) -> None:
    with h5py.File(tmp_path / "rec.h5", "w", libver=libver) as file:
        for name in "txyp":
            values = getattr(EVENTS, name)
            file.create_dataset(f"events/{name}", data=values, chunks=(300,), compression="gzip")
        file["events"].attrs.update(width=SENSOR.width, height=SENSOR.height)
    found, said = read(tmp_path / "rec.h5")
    assert found == rows(EVENTS)
    assert "sensor 40x24 from the file" in said
    assert "read from a repacked copy" in said
    with h5py.File(tmp_path / "other.h5", "w", libver=libver) as file:
        file["images"] = np.zeros((3, 4))
    with pytest.raises(RecordingError, match="no events among images"):
        open_recording(tmp_path / "other.h5")


def test_filters_of_the_plugin(tmp_path: Path) -> None:
    plugin = pytest.importorskip("hdf5plugin")
    for options in (plugin.Blosc(cname="zstd"), plugin.Zstd()):
        with h5py.File(tmp_path / "rec.h5", "w") as file:
            for name in "txyp":
                values = getattr(EVENTS, name)
                file.create_dataset(f"events/{name}", data=values, chunks=(300,), **options)
        assert read(tmp_path / "rec.h5")[0] == rows(EVENTS)


def test_other_data_sets(tmp_path: Path) -> None:
    mvsec = np.stack(
        [EVENTS.x, EVENTS.y, 1.5e9 + EVENTS.t / 1e6, EVENTS.p * 2.0 - 1], axis=1
    ).astype(np.float64)
    found, _ = read(write_h5(tmp_path / "mvsec.hdf5", {"davis/left/events": mvsec}))
    assert found == [(t + 1_500_000_000_000_000, x, y, p) for t, x, y, p in rows(EVENTS)]
    for name, where, order, kind in (
        ("v2e", "events", "txyp", np.uint32),
        ("ddd20", "event", "txyp", np.uint32),
    ):
        content = {where: table(*order, dtype=kind)}
        assert read(write_h5(tmp_path / f"{name}.h5", content))[0] == rows(EVENTS)
    m3ed = {f"prophesee/left/{name}": getattr(EVENTS, name) for name in "txyp"}
    assert read(write_h5(tmp_path / "m3ed.h5", m3ed))[0] == rows(EVENTS)


@pytest.mark.parametrize("where", ["events/t", "CD/t", "txyp", "xytp", "ptxy"])
@pytest.mark.parametrize("begin_us", [0, 1_468_939_802_000_000])
def test_fractions_are_of_seconds_in_any_layout(tmp_path: Path, where: str, begin_us: int) -> None:
    columns = {name: getattr(EVENTS, name) for name in "xyp"}
    columns["t"] = (EVENTS.t + begin_us) / 1e6
    content = {f"{where[:-1]}{name}": values for name, values in columns.items()}
    if "/" not in where:
        content = {"events": np.stack([columns[name] for name in where], axis=1)}
    found, said = read(write_h5(tmp_path / "rec.h5", content))
    assert found == [(t + begin_us, x, y, p) for t, x, y, p in rows(EVENTS)]
    assert "times have fractions: seconds" in said
    assert ("columns are taken for" in said) == (where in ("xytp", "ptxy"))


@pytest.mark.parametrize("order", ["txyp", "xytp", "xypt", "ptxy"])
@pytest.mark.parametrize("kind", [np.uint32, np.float64])
def test_order_of_a_table_in_hdf5(tmp_path: Path, order: str, kind: type) -> None:
    found, said = read(write_h5(tmp_path / "rec.h5", {"events": table(*order, dtype=kind)}))
    assert found == rows(EVENTS)
    assert ("columns are taken for" in said) == (order != "txyp")
    assert "hardly possible" not in said


def test_a_table_in_hdf5_that_is_not_in_order_keeps_its_columns(tmp_path: Path) -> None:
    mixed = table(*"txyp")[np.random.default_rng(1).permutation(len(EVENTS))]
    found, said = read(write_h5(tmp_path / "rec.h5", {"events": mixed}))
    assert sorted(found) == sorted(rows(EVENTS))
    assert "columns are taken for" not in said


def test_unit_of_a_layout_that_makes_no_sense_is_told(tmp_path: Path) -> None:
    columns = {f"events/{name}": getattr(EVENTS, name) for name in "xyp"}
    found, said = read(write_h5(tmp_path / "ns.h5", {**columns, "events/t": EVENTS.t * 1_000}))
    assert found[0][0] == EVENTS.t[0] * 1_000
    assert "22 events a second, which is hardly possible; is it ns?" in said
    fractions = {**columns, "events/t": (EVENTS.t * 10.0 + 0.25)}
    found, said = read(write_h5(tmp_path / "us.h5", fractions))
    assert [t for t, *_ in found] == (EVENTS.t * 10).tolist()
    assert "seconds" not in said


def test_the_chunks_of_hdf5_are_listed_once(tmp_path: Path, monkeypatch) -> None:
    columns = {f"events/{name}": getattr(EVENTS, name) for name in "txyp"}
    path, opened = write_h5(tmp_path / "a.h5", columns, chunks=(100,)), []

    def counted(file: Hdf5File, name: str) -> Table | None:
        opened.append(name)
        return open_table(file, name)

    monkeypatch.setattr("eventseg.recordings.table.hdf5.open_table", counted)
    assert read(path)[0] == rows(EVENTS)
    assert sorted(set(opened)) == sorted(opened)


def test_other_hdf5_names_what_it_holds(tmp_path: Path) -> None:
    path = write_h5(tmp_path / "other.h5", {"images": np.zeros((3, 4)), "more/x": np.zeros(3)})
    with pytest.raises(RecordingError, match=r"no events among images, more; known are events/"):
        open_recording(path)
    ragged = {f"events/{name}": np.zeros(3 + (name == "p")) for name in "txyp"}
    with pytest.raises(RecordingError, match="must have as many"):
        open_recording(write_h5(tmp_path / "ragged.h5", ragged))


def test_rectify_map_in_a_newer_form_of_hdf5(tmp_path: Path) -> None:
    places = np.random.default_rng(0).random((480, 640, 2)).astype(np.float32)
    with h5py.File(tmp_path / "rectify_map.h5", "w", libver="latest") as file:
        file["rectify_map"] = places
    np.testing.assert_array_equal(read_rectify_map(tmp_path / "rectify_map.h5"), places)
