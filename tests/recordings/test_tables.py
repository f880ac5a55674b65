"""Columns of events in any file: units, orders, conversion, what are no events."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from recordings.table_fixtures import EVENTS, read, rows, table, write_h5

from eventseg.errors import RecordingError
from eventseg.events import SensorSize
from eventseg.recordings import open_recording
from eventseg.recordings.event_columns import empty_columns
from eventseg.recordings.table.columns import PER_US, Meaning, RawColumns, put_events


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
