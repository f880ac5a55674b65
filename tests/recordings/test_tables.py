"""Columns of events in HDF5, NumPy files and text: layouts, units, orders, damage."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from eventseg.errors import RecordingError
from eventseg.events import EventStream, SensorSize
from eventseg.recordings import open_recording
from eventseg.recordings.event_columns import empty_columns
from eventseg.recordings.hdf5.datasets import open_table
from eventseg.recordings.hdf5.objects import Hdf5File
from eventseg.recordings.hdf5.tables import Table
from eventseg.recordings.table.columns import PER_US, Meaning, RawColumns, put_events
from eventseg.recordings.table.dsec import read_rectify_map

SENSOR = SensorSize(24, 40)


def some_events(n: int = 2_000, *, first_us: int = 7_000) -> EventStream:
    rng = np.random.default_rng(2)
    t = first_us + np.sort(rng.integers(0, 90_000, n))
    x, y = rng.integers(0, SENSOR.width, n), rng.integers(0, SENSOR.height, n)
    return EventStream.from_arrays(t, x, y, rng.integers(0, 2, n), sensor=SENSOR)


EVENTS = some_events()


def rows(events: EventStream) -> list[tuple[int, int, int, int]]:
    return list(zip(*(getattr(events, name).tolist() for name in "txyp"), strict=True))


def read(path: Path, **options) -> tuple[list[tuple[int, int, int, int]], str]:
    with open_recording(path, **options) as recording:
        report = recording.report
        for kind, found in report.found.items():
            assert report.kept[kind] + sum(report.skipped.get(kind, {}).values()) == found
        assert rows(recording.events()) == [
            row for part in recording.stream(max_events=333) for row in rows(part)
        ]
        return rows(recording.events()), "\n".join(report.lines())


def write_h5(path: Path, content: dict[str, np.ndarray], **options) -> Path:
    with h5py.File(path, "w") as file:
        for name, values in content.items():
            file.create_dataset(name, data=values, **(options if values.ndim else {}))
    return path


def table(*names: str, dtype=np.int64) -> np.ndarray:
    return np.stack([getattr(EVENTS, name).astype(dtype) for name in names], axis=1)


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


def test_names_of_arrays(tmp_path: Path) -> None:
    parts = {"ts_ns": EVENTS.t * 1_000 + 999, "xs": EVENTS.x, "ys": EVENTS.y, "pol": EVENTS.p > 0}
    np.savez_compressed(tmp_path / "rec.npz", **parts, width=40, height=24)
    found, said = read(tmp_path / "rec.npz")
    assert found == rows(EVENTS)
    assert "sensor 40x24 from the file" in said
    fields = np.zeros(len(EVENTS), [("x", "<u2"), ("timestamp", "<i8"), ("y", "<u2"), ("p", "?")])
    fields["x"], fields["y"], fields["p"] = EVENTS.x, EVENTS.y, EVENTS.p
    fields["timestamp"] = EVENTS.t
    np.save(tmp_path / "rec.npy", fields)
    assert read(tmp_path / "rec.npy")[0] == rows(EVENTS)


@pytest.mark.parametrize("order", ["txyp", "xytp", "xypt", "ptxy"])
def test_order_follows_from_the_numbers(tmp_path: Path, order: str) -> None:
    np.save(tmp_path / "rec.npy", table(*order))
    found, said = read(tmp_path / "rec.npy")
    assert found == rows(EVENTS)
    assert f"columns are taken for {', '.join(order)}" in said
    np.savetxt(tmp_path / "rec.txt", table(*order), fmt="%d")
    assert read(tmp_path / "rec.txt")[0] == rows(EVENTS)


def test_texts_of_several_tools(tmp_path: Path) -> None:
    lines = rows(EVENTS)
    texts = {
        "uzh": "".join(f"{t // 10**6}.{t % 10**6:06d}000 {x} {y} {p}\n" for t, x, y, p in lines),
        "e2vid": "40 24\n" + "".join(f"{t / 1e6:.6f} {x} {y} {p}\n" for t, x, y, p in lines),
        "prophesee": "".join(f"{x},{y},{p},{t}\r\n" for t, x, y, p in lines),
        "dv": "\ufefftimestamp, x, y, polarity\n"
        + "".join(f"{t}, {x}, {y}, {p}\n" for t, x, y, p in lines),
        "named ns": "t_ns;x;y;p\n"
        + "".join(f"{t * 1000};{x};{y};{2 * p - 1}\n" for t, x, y, p in lines),
        "exponents": "# by hand\n"
        + "".join(f"{t / 1e6:.9e}\t{x}\t{y}\t{p}\n" for t, x, y, p in lines).rstrip("\n"),
    }
    for name, text in texts.items():
        path = tmp_path / f"{name}.csv"
        path.write_bytes(text.encode())
        found, said = read(path)
        assert found == lines, name
        assert ("sensor 40x24 from the file" in said) == (name == "e2vid")


def test_long_text_is_read_in_blocks_of_whole_lines(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("eventseg.recordings.table.text.BLOCK_BYTES", 1_000)
    np.savetxt(tmp_path / "rec.csv", table(*"txyp"), fmt="%d", delimiter=",")
    found, said = read(tmp_path / "rec.csv")
    assert found == rows(EVENTS)
    blocks = int(said.partition("packets: ")[2].partition(" of")[0])
    assert blocks > 20


def test_nanoseconds_since_1970_keep_their_digits(tmp_path: Path) -> None:
    begin = 1_643_243_628_737_093
    lines = "".join(f"{(begin + t) * 1000 + 7} {x} {y} {p}\n" for t, x, y, p in rows(EVENTS))
    (tmp_path / "rec.txt").write_text("t_ns x y p\n" + lines)
    assert [t for t, *_ in read(tmp_path / "rec.txt")[0]] == (EVENTS.t + begin).tolist()
    short = "".join(f"{begin + t}.007 {x} {y} {p}\n" for t, x, y, p in rows(EVENTS))
    (tmp_path / "us.txt").write_text("t_us x y p\n" + short)
    assert [t for t, *_ in read(tmp_path / "us.txt")[0]] == (EVENTS.t + begin).tolist()


@pytest.mark.parametrize(
    ("begin_us", "per_us"),
    [
        (1_468_939_802_000_000, 1e-6),
        (1_468_939_802_000_000, 1),
        (1_468_939_802_000_000, 1e-3),
        (12_000_000_000, 1e-6),
        (12_000_000_000, 1),
        (5_000_000_000_000, 1),
        (-40_000, 1e-6),
    ],
)
def test_the_default_format_of_numpy_keeps_microseconds(
    tmp_path: Path, begin_us: int, per_us: float
) -> None:
    t = (EVENTS.t + begin_us) / round(1 / per_us)
    columns = [t, *(getattr(EVENTS, name).astype(float) for name in "xyp")]
    named = "t_ms x y p" if per_us == 1e-3 else ""
    np.savetxt(tmp_path / "rec.txt", np.stack(columns, axis=1), header=named)
    found, said = read(tmp_path / "rec.txt")
    assert found == [(t + begin_us, x, y, p) for t, x, y, p in rows(EVENTS)]
    assert "skipped" not in said.partition("events:")[2].partition("\n")[0]


@pytest.mark.parametrize("separator", [",", ";", "\t", ", "])
@pytest.mark.parametrize("quotes", ["", '"'])
@pytest.mark.parametrize("first", [0, 0.5])
def test_index_without_a_name_is_left_out(
    tmp_path: Path, separator: str, quotes: str, first: float
) -> None:
    names = ["", "t", "x", "y", "p"]
    lines = [[first + k, *row] for k, row in enumerate(rows(EVENTS))]
    text = [separator.join(f"{quotes}{name}{quotes}" for name in names)]
    text += [separator.join(map(str, line)) for line in lines]
    (tmp_path / "rec.csv").write_text("\n".join(text) + "\n")
    found, said = read(tmp_path / "rec.csv")
    assert found == rows(EVENTS)
    assert "the first column, which has no name, is left out" in said


def test_names_that_are_empty(tmp_path: Path) -> None:
    lines = rows(EVENTS)
    full = "".join(f"{t},{x},5,{y},{p}\n" for t, x, y, p in lines)
    (tmp_path / "between.csv").write_text("t,x,,y,p\n" + full)
    with pytest.raises(RecordingError, match="must be the first four columns"):
        open_recording(tmp_path / "between.csv")
    less = "".join(f",{t},{x},{y},{p},\n" for t, x, y, p in lines)
    (tmp_path / "without.csv").write_text(",t,x,y,p,\n" + less)
    assert read(tmp_path / "without.csv")[0] == lines
    aligned = "".join(f"{t:9} {x:4} {y:4} {p:2}\n" for t, x, y, p in lines)
    (tmp_path / "aligned.txt").write_text(f"{'t':>9} {'x':>4} {'y':>4} {'p':>2}\n" + aligned)
    assert read(tmp_path / "aligned.txt")[0] == lines


def test_damaged_lines_are_counted(tmp_path: Path) -> None:
    lines = [f"{t},{x},{y},{p}" for t, x, y, p in rows(EVENTS)]
    bad = ["", "1,2,3", "a,b,c,d", "5,6,7,8x", "-,1,1,1", "1e,1,1,1", "9" * 30 + ",1,1,1"]
    (tmp_path / "rec.csv").write_text("\n".join([*lines[:1_000], *bad, *lines[1_000:]]) + "\n\n")
    found, said = read(tmp_path / "rec.csv")
    assert found == rows(EVENTS)
    assert f"skipped {len(bad) - 1}: lines that are no four numbers" in said


def test_places_and_times_that_cannot_be(tmp_path: Path) -> None:
    t = EVENTS.t.astype(float) / 1e6
    x = EVENTS.x.astype(float)
    t[3], t[4], x[5], x[6], x[7] = np.nan, np.inf, -1, 2.5, np.nan
    np.savez(tmp_path / "rec.npz", t=t, x=x, y=EVENTS.y, p=EVENTS.p)
    found, said = read(tmp_path / "rec.npz")
    assert found == [row for i, row in enumerate(rows(EVENTS)) if i not in (3, 4, 5, 6, 7)]
    assert "skipped 5: without a time or a place" in said


@pytest.mark.parametrize("kinds", ["u4 u2 u2 u1", "i8 i8 i4 i1", "f8 f8 f4 f8", "u8 i2 u8 ?"])
@pytest.mark.parametrize("unit", ["s", "us", "ns"])
def test_rows_of_any_type_are_converted_one_by_one(kinds: str, unit: str) -> None:
    rng = np.random.default_rng(1)
    odd = [0, 1, 39, 40, 127, 2**15, 2**16 + 3, 2**31, -1, -(2**15), 2**62, 0.5, np.nan, np.inf]
    table = rng.integers(0, 100, (300, 4)).astype(object)
    for row in range(0, 300, 3):
        table[row, rng.integers(4)] = odd[rng.integers(len(odd))]
    with np.errstate(all="ignore"):
        raw = RawColumns(
            *(
                np.array([_stored(value, kind) for value in table[:, k]], kind)
                for k, kind in enumerate(kinds.split())
            )
        )
    factor, divisor = PER_US[unit]
    expected, outside = [], 0
    for t, x, y, p in zip(raw.t, raw.x, raw.y, raw.p, strict=True):
        if isinstance(t, np.floating):
            sound = abs(t * (factor / divisor)) < 2**61
            us = int(np.rint(t * (factor / divisor))) if sound else 0
        else:
            us = int(t) * factor // divisor
            sound = abs(int(t)) < 2**61 // factor
        if sound and all(0 <= place < 2**15 and int(place) == place for place in (x, y)):
            inside = x < 40 and y < 24
            outside += not inside
            expected += [(us + 7, int(x), int(y), int(p > 0))] if inside else []
    room = empty_columns(len(raw))
    written = put_events(raw, Meaning(unit, 7), room, SensorSize(24, 40))
    events = room[: written.kept]
    found = list(zip(*(getattr(events, name).tolist() for name in "txyp"), strict=True))
    assert (found, written.outside) == (expected, outside)
    assert written.kept + written.outside + written.senseless == len(raw)
    assert (written.x_max, written.y_max) == (int(events.x.max()), int(events.y.max()))


def _stored(value, kind: str):
    """A number as near as a type can hold it."""
    dtype = np.dtype(kind)
    if dtype.kind == "f":
        return value
    if dtype.kind == "b":
        return bool(value > 0)
    limits = np.iinfo(dtype)
    return int(min(max(np.nan_to_num(float(value)), limits.min), limits.max // 2))


def test_unsorted_rows_are_put_in_order(tmp_path: Path) -> None:
    order = np.random.default_rng(1).permutation(len(EVENTS))
    parts = {name: getattr(EVENTS, name)[order] for name in "txyp"}
    np.savez(tmp_path / "rec.npz", **parts)
    assert sorted(read(tmp_path / "rec.npz")[0]) == sorted(rows(EVENTS))


def test_sides_that_may_be_swapped_are_told(tmp_path: Path) -> None:
    parts = {name: getattr(EVENTS, name) for name in "tp"}
    np.savez(tmp_path / "rec.npz", **parts, x=EVENTS.y, y=EVENTS.x)
    assert "are the two swapped?" in read(tmp_path / "rec.npz")[1]


@pytest.mark.parametrize(("unit", "scale"), [("s", 1e-6), ("us", 1), ("ns", 1_000)])
def test_unit_follows_from_the_rate(tmp_path: Path, unit: str, scale: float) -> None:
    t = EVENTS.t * scale
    parts = {name: getattr(EVENTS, name) for name in "xyp"}
    np.savez(tmp_path / "rec.npz", t=t if unit == "s" else t.astype(np.int64), **parts)
    found, said = read(tmp_path / "rec.npz")
    assert found == rows(EVENTS)
    assert unit in said


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.npz", {"a": EVENTS.t, "x": EVENTS.x}, "no arrays t, x, y and p among 'a', 'x'"),
        ("b.npz", {**dict.fromkeys("xyp", EVENTS.x), "t": EVENTS.t[:5]}, "must be of one length"),
        ("c.npz", {**dict.fromkeys("xyp", EVENTS.x), "t": np.array(["a"])}, "must be numbers"),
        ("d.npy", np.zeros((5, 3)), "holds no events"),
        ("e.npy", np.arange(40).reshape(10, 4) % 7, "cannot be told apart"),
        ("f.npy", np.array([{}], object), "no file of NumPy|objects"),
    ],
)
def test_what_are_no_events_is_one_line(tmp_path: Path, name: str, content, words: str) -> None:
    if isinstance(content, dict):
        np.savez(tmp_path / name, **content)
    else:
        np.save(tmp_path / name, content, allow_pickle=True)
    with pytest.raises(RecordingError, match=words) as caught:
        open_recording(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("extra", [b"\xa6", b"\xe4\xf6", b"\xff\xfe"])
def test_a_name_of_a_column_that_is_no_utf8_is_a_name(tmp_path: Path, extra: bytes) -> None:
    path = tmp_path / "rec.csv"
    path.write_bytes(b"t,x,y,p," + extra + b"\n1000,0,3,1,7\n1366,15,11,0,7\n")
    with open_recording(path, sensor=SENSOR) as recording:
        assert recording.events().x.tolist() == [0, 15]
    path.write_bytes(extra + b",t,x,y,p\n7,1000,0,3,1\n7,1366,15,11,0\n")
    with pytest.raises(RecordingError, match="must be the first four columns"):
        open_recording(path, sensor=SENSOR)


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


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".csv", ".h5", "packed.npz"])
def test_file_that_shrinks_while_open(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rec{suffix}"
    if path.suffix == ".npz":
        save = np.savez_compressed if "packed" in suffix else np.savez
        save(path, **{name: getattr(EVENTS, name) for name in "txyp"})
    elif suffix == ".npy":
        np.save(path, table(*"txyp"))
    elif suffix == ".csv":
        np.savetxt(path, table(*"txyp"), fmt="%d")
    else:
        write_h5(path, {f"events/{name}": getattr(EVENTS, name) for name in "txyp"})
    with open_recording(path) as recording:
        path.write_bytes(path.read_bytes()[:2_000])
        if suffix == "packed.npz":
            assert len(recording.events()) == len(EVENTS)  # it is in memory
            return
        with pytest.raises(RecordingError) as caught:
            recording.events()
        assert "\n" not in str(caught.value)


def test_an_archive_that_is_not_compressed_is_read_in_parts(tmp_path: Path, monkeypatch) -> None:
    parts = {name: getattr(EVENTS, name) for name in "xyp"}
    np.savez(tmp_path / "a.npz", t=EVENTS.t, height=24, width=40, **parts)
    np.savez_compressed(tmp_path / "b.npz", t=EVENTS.t, height=24, width=40, **parts)
    assert read(tmp_path / "a.npz") == read(tmp_path / "b.npz")
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[200] ^= 1  # a bit of the first time
    (tmp_path / "c.npz").write_bytes(content)
    with pytest.raises(RecordingError, match=r"damaged: Bad CRC-32 for file 't\.npy'"):
        open_recording(tmp_path / "c.npz")
    monkeypatch.setattr("eventseg.recordings.table.arrays.MOST_BYTES", 1_000)
    assert len(read(tmp_path / "a.npz")[0]) == len(EVENTS)
    with pytest.raises(RecordingError, match="bytes unpacked"):
        open_recording(tmp_path / "b.npz")


def test_an_archive_that_would_fill_the_memory_is_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("eventseg.recordings.table.arrays.MOST_BYTES", 10_000)
    np.savez_compressed(tmp_path / "bomb.npz", t=np.zeros(5_000, np.int64))
    assert (tmp_path / "bomb.npz").stat().st_size < 1_000
    with pytest.raises(RecordingError, match=r"bytes unpacked, more than 10,000"):
        open_recording(tmp_path / "bomb.npz")


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".csv", ".h5"])
def test_unit_that_a_caller_gives(tmp_path: Path, suffix: str) -> None:
    """Milliseconds of few events, which the rate does not tell."""
    path = tmp_path / f"rec{suffix}"
    t = np.arange(50, dtype=np.int64) * 7
    rest = {name: getattr(EVENTS, name)[:50] for name in "xyp"}
    columns = np.stack([t, *rest.values()], axis=1)
    if suffix == ".npz":
        np.savez(path, t=t, **rest)
    elif suffix == ".npy":
        np.save(path, columns)
    elif suffix == ".csv":
        np.savetxt(path, columns, fmt="%d", delimiter=",", header="t,x,y,p", comments="")
    else:
        write_h5(path, {"t": t, **rest})
    for unit, factor in (("ms", 1_000), ("us", 1), ("s", 1_000_000)):
        found, said = read(path, time_unit=unit)
        assert [row[0] for row in found] == (t * factor).tolist()
        assert f"times in {unit}, as asked" in said
    with pytest.raises(RecordingError, match="unit of time 'minutes' is none of s, ms, us, ns"):
        open_recording(path, time_unit="minutes")


def test_a_unit_that_makes_no_sense_is_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "rec.npz", **{name: getattr(EVENTS, name) for name in "txyp"})
    _, said = read(tmp_path / "rec.npz", time_unit="s")
    assert "0.022 events a second, which is hardly possible; is it us?" in said
    (tmp_path / "rec.raw").write_bytes(b"% evt 3.0\n" + bytes(64))
    with pytest.raises(RecordingError, match="leave --time-unit out"):
        open_recording(tmp_path / "rec.raw", time_unit="s")


def test_rectify_map_in_a_newer_form_of_hdf5(tmp_path: Path) -> None:
    places = np.random.default_rng(0).random((480, 640, 2)).astype(np.float32)
    with h5py.File(tmp_path / "rectify_map.h5", "w", libver="latest") as file:
        file["rectify_map"] = places
    np.testing.assert_array_equal(read_rectify_map(tmp_path / "rectify_map.h5"), places)
