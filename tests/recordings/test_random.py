"""Random files: against a reader in plain loops, and one way of reading against the other."""

import struct
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import h5py
import naive_ddd17
import numpy as np
import pytest
from ddd17_files import (
    HOST_T0,
    Row,
    frame_bytes,
    frames,
    imu,
    polarity,
    reset,
    special,
    wrap,
    write_file,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventseg.errors import RecordingError
from eventseg.events import SensorSize
from eventseg.recordings import open_recording
from eventseg.recordings.hdf5.heaps import HeapReader
from eventseg.recordings.hdf5.objects import Hdf5File
from eventseg.recordings.hdf5.tables import CELL_DTYPE

SENSOR = SensorSize(4, 6)
FULL = 36 + 2 * 4 * 6
WRAP = 2**31
BATCH = "eventseg.recordings.ddd17.sensor.PACKETS_AT_ONCE"

few = settings(
    max_examples=60,
    deadline=None,
    # The cache folder of the fixture may be shared by all examples: files differ in their path.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

one_event = st.tuples(
    st.integers(-2_000, 20_000),
    st.integers(0, 7),
    st.integers(0, 5),
    st.integers(0, 1),
    st.sampled_from([1, 1, 1, 0]),
)
step = st.tuples(
    st.sampled_from(
        ["events"] * 6 + ["reset", "jump", "wrap", "lone wrap", "imu", "frame", "special"]
    ),
    st.lists(one_event, min_size=1, max_size=6),
    st.integers(0, 30_000),  # how much later than the packet before
    st.integers(0, 5_000),  # latency
)


def rows_of(steps: list[tuple[str, list[tuple[int, ...]], int, int]]) -> list[Row]:
    """Turn steps into packets; clocks wrap, restart and jump where a step says so."""
    rows = [polarity([(WRAP - 60_000, 1, 1, 1)])]
    now, clock_zero, missed = WRAP - 60_000, 0, 0  # sensor time; its zero on the host's clock
    for kind, events, delay, latency in steps:
        now += delay
        if kind in ("reset", "jump"):
            clock_zero, now, missed = clock_zero + now, 3_000, 0
            if kind == "reset":
                rows.append(reset(host=HOST_T0 + clock_zero + latency))
        elif kind == "wrap" and now < WRAP:
            rows.append(wrap(host=HOST_T0 + clock_zero + WRAP))
            now = WRAP + 25_000
        elif kind == "lone wrap" and now < WRAP:
            rows.append(wrap(host=HOST_T0 + clock_zero + WRAP))
            now, missed = WRAP + 25_000, 1
        overflow, stamp = divmod(now, WRAP)
        overflow -= missed if overflow else 0
        host = HOST_T0 + clock_zero + now + 25_000 + latency
        times = [min(max(stamp + event[0], -1), WRAP - 1) for event in events]
        if kind == "imu":
            _, *rest = imu([(max(t, 0), 7) for t in times], overflow=overflow)
            rows.append((host, *rest))
        elif kind == "special":
            rows.append(special([(max(t, 0), 2, 5) for t in times], overflow=overflow, host=host))
        elif kind == "frame":
            picture = np.full((4, 6), 256 * len(rows))
            stamps = (stamp, min(stamp + 900, WRAP - 1), stamp, min(stamp + 500, WRAP - 1))
            body = frame_bytes(picture, stamps, size=FULL)
            rows.append(frames([body], overflow=overflow, host=host))
        else:
            # Every epoch and every wrap begins with an event that counts.
            sound = [(stamp, 1, 1, 1)] + [(t, *e[1:]) for t, e in zip(times, events, strict=True)]
            rows.append(polarity(sound, overflow=overflow, host=host))
    return rows


@few
@given(
    st.lists(step, max_size=14),
    st.sampled_from([1, 2, 5, 1_000]),
    st.sampled_from([1, 2, 100]),
    st.data(),
)
def test_against_the_naive_reader(
    steps: list[tuple[str, list[tuple[int, ...]], int, int]],
    max_events: int,
    batch: int,
    data: st.DataObject,
) -> None:
    with TemporaryDirectory() as folder, patch(BATCH, batch):
        path = write_file(Path(folder) / "rec.hdf5", rows_of(steps), n_rows=64)
        expected = naive_ddd17.read(path, height=4, width=6)
        with open_recording(path, sensor=SENSOR) as rec:
            events = rec.events()
            got = list(zip(*(getattr(events, c).tolist() for c in "txyp"), strict=True))
            assert got == expected.events
            epochs = [(e.first_row, e.offset_us, e.reason) for e in rec.epochs]
            assert epochs == expected.epochs
            f = rec.frames
            stamps = (f.t_us, f.t_start_us, f.t_end_us, f.exposure_start_us)
            assert list(zip(*(s.tolist() for s in stamps), strict=True)) == expected.frames
            assert [(int(s["t"]), int(s["ax"])) for s in rec.imu()] == expected.imu
            # The time of a WRAP is a matter of taste, see the traps.
            assert [s for s in rec.specials.tolist() if s[1]] == [
                s for s in expected.specials if s[1]
            ]
            skipped = sum(rec.report.skipped.get("events", {}).values())
            assert (
                rec.report.kept["events"] + skipped == expected.found == rec.report.found["events"]
            )

            first, last = rec.t_first_us - 5, rec.t_last_us + 5
            t0 = data.draw(st.integers(first, last), label="t0")
            t1 = data.draw(st.integers(t0, last), label="t1")
            part = rec.events(t0, t1)
            rows = list(zip(*(getattr(part, c).tolist() for c in "txyp"), strict=True))
            assert rows == [event for event in expected.events if t0 <= event[0] < t1]
            parts = list(rec.stream(max_events=max_events, t0_us=t0, t1_us=t1))
            for column in "txyp":
                joined = np.concatenate([getattr(p, column) for p in parts])
                np.testing.assert_array_equal(joined, getattr(part, column))
            ends = [t0] + [p.t1_us for p in parts]
            assert [p.t0_us for p in parts] == ends[:-1]
            assert ends[-1] == t1
            for p in parts:
                assert len(p) <= max_events or p.t[0] == p.t[-1]
                assert np.all((p.t >= p.t0_us) & (p.t < p.t1_us))


@few
@given(
    st.lists(
        st.tuples(st.integers(0, 3_000), st.lists(st.integers(0, 900_000), min_size=1, max_size=5)),
        min_size=1,
        max_size=12,
    ),
    st.integers(1, 9),
    st.integers(1, 4),
)
def test_stream_of_disorder(
    packets: list[tuple[int, list[int]]], max_events: int, batch: int
) -> None:
    rows = [
        polarity([(start + t, i % 6, k % 4, 1) for i, t in enumerate(times)])
        for k, (start, times) in enumerate(packets)
    ]
    with TemporaryDirectory() as folder, patch(BATCH, batch):
        path = write_file(Path(folder) / "rec.hdf5", rows, n_rows=16)
        with open_recording(path, sensor=SENSOR) as rec:
            parts = list(rec.stream(max_events=max_events))
            records = np.concatenate([part.to_records() for part in parts])
            np.testing.assert_array_equal(records, rec.events().to_records())
            expected = naive_ddd17.read(path, height=4, width=6).events
            assert records.tolist() == expected


def small_file(path: Path) -> Path:
    body = frame_bytes(np.arange(24).reshape(4, 6), (1, 900, 2, 500), size=FULL)
    rows = [polarity([(k, k % 6, k % 4, 1)]) for k in range(20)]
    rows += [frames([body]), imu([(30, 1.0)]), special([(40, 2, 1)])]
    return write_file(path, rows, signals={"vehicle_speed": [(HOST_T0, 1.0)]}, n_rows=128)


def contents(path: Path) -> tuple[object, ...]:
    with open_recording(path) as rec:
        pictures = [rec.frames.raw(i).tolist() for i in range(len(rec.frames))]
        speed = rec.signals["vehicle_speed"].value.tolist()
        return rec.events().to_records().tolist(), pictures, rec.imu().tolist(), speed


def test_truncation_anywhere_is_one_error(tmp_path: Path) -> None:
    whole = small_file(tmp_path / "whole.hdf5")
    content, expected = whole.read_bytes(), contents(whole)
    offsets = {*range(0, 200, 7), *range(200, len(content), 997), len(content) - 1}
    for length in sorted(offsets):
        cut = tmp_path / "cut.hdf5"
        cut.write_bytes(content[:length])
        with pytest.raises(RecordingError, match=r"cut\.hdf5"):
            contents(cut)
    cut.write_bytes(content)
    assert contents(cut) == expected


def test_unreadable_rows_cost_only_themselves(tmp_path: Path) -> None:
    path = small_file(tmp_path / "whole.hdf5")
    content = bytearray(path.read_bytes())
    heap = content.index(b"GCOL")
    content[heap : heap + 4] = b"XXXX"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=r"no event and no frame.*row unreadable"):
        open_recording(path)


def test_an_unreadable_frame_leaves_the_rest(tmp_path: Path) -> None:
    body = frame_bytes(np.zeros((180, 200)), (1, 900, 2, 500), size=36 + 72_000)
    rows = [polarity([(5, 1, 1, 1)]), frames([body]), polarity([(6, 1, 1, 1)])]
    path = write_file(tmp_path / "rec.hdf5", rows)
    content = bytearray(path.read_bytes())
    heap = content.rindex(b"GCOL")  # more than 64 KiB have a heap of their own
    assert content.count(b"GCOL") > 1
    content[heap : heap + 4] = b"XXXX"
    path.write_bytes(content)
    with open_recording(path) as rec:
        assert rec.events().t.tolist() == [5, 6]
        assert len(rec.frames) == 0
        assert rec.report.skipped["packets"] == {"row unreadable": 1}
        assert (rec.report.found["packets"], rec.report.kept["packets"]) == (3, 2)


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "gzip", "chunks": (128, 3)},
        {"compression": "gzip", "chunks": (50, 3), "shuffle": True},
        {"compression": "lzf", "chunks": (128, 3)},
        {"chunks": (60, 2)},
        {"chunks": None},
    ],
)
@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_other_ways_to_store_the_same(
    tmp_path: Path, options: dict[str, object], libver: str
) -> None:
    path = small_file(tmp_path / "rec.hdf5")
    with h5py.File(path) as file, h5py.File(tmp_path / "o.hdf5", "w", libver=libver) as other:
        for name in ("dvs/timestamp", "vehicle_speed/data"):
            other[name] = file[name][:]
        stored = file["dvs/data"]
        other.create_dataset("dvs/data", data=stored[:], dtype=stored.dtype, **options)
    assert contents(tmp_path / "o.hdf5") == contents(path)


def heap(sizes: list[int]) -> tuple[bytes, list[int]]:
    """A global heap collection, and where its objects begin."""
    body, begins = b"", []
    for number, size in enumerate(sizes, start=1):
        begins.append(16 + len(body) + 16)
        body += struct.pack("<HHIQ", number, 0, 0, size) + bytes(-(-size // 8) * 8)
    body += struct.pack("<HHIQ", 0, 0, 0, 16)
    return b"GCOL" + struct.pack("<IQ", 1, 16 + len(body)) + body, begins


def located(content: bytes, cells: list[tuple[int, int, int]]) -> list[int]:
    """Positions of (address, number, size) in a file of these bytes."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "file.hdf5"
        path.write_bytes(content)
        with patch.object(Hdf5File, "_superblock", return_value=(0, 0)):
            reader = HeapReader(Hdf5File(path))
        rows = [(size, address, number) for address, number, size in cells]
        return reader.locate(np.array(rows, CELL_DTYPE))[0].tolist()


def test_objects_of_a_heap() -> None:
    content, begins = heap([3, 8, 0, 100, 1])
    content = b"12345678" + content
    begins = [begin + 8 for begin in begins]
    cells = [(8, 4, 100), (8, 1, 3), (8, 2, 8), (0, 0, 0), (8, 5, 1)]
    assert located(content, cells) == [begins[3], begins[0], begins[1], 0, begins[4]]
    wrong = [(8, 1, 4), (8, 6, 3), (9, 1, 3), (2**63, 1, 3), (len(content), 1, 3), (8, 0, 16)]
    assert located(content, wrong) == [-1] * len(wrong)


@few
@given(st.data())
def test_damaged_heaps_are_never_left(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(1, 40), min_size=1, max_size=6))
    content = bytearray(heap(sizes)[0])
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
        content[at] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))]
    cells = [(0, i + 1, size) for i, size in enumerate(sizes)]
    for (_, _, size), offset in zip(cells, located(bytes(content), cells), strict=True):
        assert offset == -1 or 32 <= offset <= len(content) - size


def test_a_file_changed_while_open(tmp_path: Path) -> None:
    path = small_file(tmp_path / "rec.hdf5")
    with open_recording(path) as rec:
        with path.open("ab") as file:
            file.write(b"more")
        for read in (rec.events, rec.imu, lambda: rec.frames.raw(0)):
            with pytest.raises(RecordingError, match=r"rec\.hdf5: changed since"):
                read()
