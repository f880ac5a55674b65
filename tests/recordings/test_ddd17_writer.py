"""The writer: what it writes is what the reader gives back, in exactly the original layout."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from eventseg.errors import EventsError, OutputError
from eventseg.events import EventStream, SensorSize
from eventseg.recordings import DDD17Writer, open_recording
from eventseg.recordings.contents import IMU_DTYPE

SENSOR = SensorSize(4, 6)
WRAP = 2**31
HOST = 1_500_000_000_000_000


def random_events(rng: np.random.Generator, t0: int, t1: int, n: int) -> EventStream:
    return EventStream.from_arrays(
        np.sort(rng.integers(t0, t1, n)),
        rng.integers(0, SENSOR.width, n),
        rng.integers(0, SENSOR.height, n),
        rng.integers(0, 2, n),
        sensor=SENSOR,
    )


def headers(path: Path) -> list[tuple[int, ...]]:
    """Type, event size, TSOffset, TSOverflow, capacity, number and valid of each filled row."""
    with h5py.File(path) as file:
        rows = file["dvs/data"][:]
        dtype = "<i2,<i2,<i4,<i4,<i4,<i4,<i4,<i4"
        heads = [np.frombuffer(bytes(row[1]), dtype)[0].tolist() for row in rows if len(row[1])]
    return [(kind, *rest) for kind, _, *rest in heads]


def test_round_trip(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    path = tmp_path / "rec.hdf5"
    events = random_events(rng, 0, 900_000, 5_000)
    after = random_events(rng, 0, 100_000, 700)
    images = rng.integers(0, 2**16, (5, 4, 6)).astype(np.uint16)
    samples = np.zeros(300, IMU_DTYPE)
    for name in IMU_DTYPE.names or ():
        samples[name] = rng.normal(size=300)
    samples["t"] = np.sort(rng.integers(0, 900_000, 300))
    with DDD17Writer(path, sensor=SENSOR, host_t0_us=HOST, latency_us=700) as writer:
        writer.add_events(events)
        writer.add_imu(samples)
        for i, image in enumerate(images):
            t = 100_000 * i
            writer.add_frame(
                image,
                t_start_us=t + 5,
                t_end_us=t + 60,
                exposure_start_us=t + 10,
                exposure_end_us=t + 50,
            )
        writer.add_frame(
            np.full((2, 3), 77, np.uint8),
            t_start_us=600_000,
            t_end_us=600_040,
            exposure_start_us=600_010,
            exposure_end_us=600_030,
            position=(1, 2),
        )
        writer.add_specials([30, 40, 700_000], [14, 16, 2], [29, 33, 2**24 - 1])
        writer.add_signal("vehicle_speed", [0, 500_000, 400_000], [1.0, 3.0, 2.0])
        writer.reset(t_us=1_000_000)
        writer.add_events(after.t, after.x, after.y, after.p)
        writer.add_specials(50, 3)
        writer.add_signal("vehicle_speed", 7, 4.0)
    written = writer.close()

    with open_recording(path) as rec:
        assert rec.sensor == SENSOR
        got = rec.events()
        for name in "xyp":
            both = np.concatenate([getattr(events, name), getattr(after, name)])
            np.testing.assert_array_equal(getattr(got, name), both)
        np.testing.assert_array_equal(got.t, np.r_[events.t, 1_000_000 + after.t])
        reset_row = rec.epochs[1].first_row
        assert [(e.offset_us, e.reason) for e in rec.epochs] == [(0, "start"), (1_000_000, "reset")]
        assert headers(path)[reset_row][:4] == (0, 8, 4, 0)
        np.testing.assert_array_equal(rec.imu(), samples)
        for i, image in enumerate(images):
            np.testing.assert_array_equal(rec.frames.raw(i), image)
        assert rec.frames.image(5).max() == 77
        assert rec.frames.roi(5) == (1, 2, 2, 3)
        assert rec.frames.t_start_us.tolist() == [5, 100_005, 200_005, 300_005, 400_005, 600_000]
        assert rec.frames.exposure_start_us[5] == 600_010
        assert rec.frames.t_us[5] == 600_030
        assert rec.frames.t_end_us[5] == 600_040
        assert rec.specials.tolist() == [
            (30, 14, 29),
            (40, 16, 33),
            (700_000, 2, 2**24 - 1),
            (1_000_000, 1, 0),
            (1_000_050, 3, 0),
        ]
        speed = rec.signals["vehicle_speed"]
        assert speed.t_us.tolist() == [0, 400_000, 500_000, 1_000_007]
        assert speed.value.tolist() == [1.0, 2.0, 3.0, 4.0]
        assert speed.t_host_us[0] == HOST + 700
        assert not rec.report.repaired
        assert rec.report.skipped == {}
    assert (written.n_events, written.n_frames, written.n_imu) == (5_700, 6, 300)
    assert (written.n_specials, written.signals) == (4, {"vehicle_speed": 4})


def test_layout_of_the_original(tmp_path: Path) -> None:
    path = tmp_path / "rec.hdf5"
    rng = np.random.default_rng(2)
    with DDD17Writer(path, sensor=SENSOR, host_t0_us=HOST, latency_us=50) as writer:
        for k in range(4):
            writer.add_events(random_events(rng, k * 10**6, (k + 1) * 10**6, 20_000))
            writer.add_signal("vehicle_speed", k * 10**6, k)
    written = writer.close()
    with h5py.File(path) as file:
        data, stamps = file["dvs/data"], file["dvs/timestamp"]
        assert (data.shape, data.maxshape, data.chunks) == ((2048, 3), (None, 3), (128, 3))
        assert (stamps.shape, stamps.maxshape, stamps.chunks) == ((2048,), (None,), (128,))
        assert h5py.check_vlen_dtype(data.dtype) == np.uint8
        assert stamps.dtype == np.int64
        assert data.compression is None
        assert not file.attrs
        assert not data.attrs
        times = stamps[:]
        n = written.n_rows
        assert n % 128 == 0
        assert np.all(times[:n] > 0)
        assert np.all(np.diff(times[:n]) >= 0)
        assert np.all(times[n:] == 0)
        rows = data[:]
        assert all(int(bytes(rows[i, 0])) == times[i] for i in range(n))
        assert all(len(cell) == 0 for cell in rows[n:].ravel())
        speed = file["vehicle_speed"]
        assert (speed["data"].shape, speed["data"].maxshape) == ((2048, 2), (None, 2))
        assert speed["data"].chunks == (128, 2)
        assert speed["data"][3].tolist() == [HOST + 50 + 3 * 10**6, 3.0]
        assert speed["data"][4:].any() == 0
        assert speed["timestamp"][:5].tolist() == [*speed["data"][:4, 0].astype(int).tolist(), 0]
    heads = headers(path)
    assert {head[:4] for head in heads} == {(1, 8, 4, 0)}
    assert sum(head[5] for head in heads) == 80_000
    assert all(head[4] == head[5] == head[6] for head in heads)


def test_worked_example_bytes(tmp_path: Path) -> None:
    path = tmp_path / "rec.hdf5"
    with DDD17Writer(path, sensor=SensorSize(260, 346)) as writer:
        writer.add_events([1000, 1005], [10, 345], [20, 259], [1, 0])
        writer.add_specials([2000, 2500], [14, 16])
    assert writer.close().n_rows == 2
    with h5py.File(path) as file:
        rows = [[bytes(cell).hex() for cell in row] for row in file["dvs/data"][:2]]
    assert rows[0][1:] == [
        "01000100080000000400000000000000020000000200000002000000",
        "53001400e80300000d04b202ed030000",
    ]
    assert rows[1][1:] == [
        "00000100080000000400000000000000020000000200000002000000",
        "1d000000d007000021000000c4090000",
    ]


def test_packets_are_10_ms_or_8192_events_whatever_the_calls(tmp_path: Path) -> None:
    t = np.sort(np.r_[np.arange(0, 30_000, 3), np.full(20_000, 35_000), 39_999, 40_000])
    zeros = np.zeros_like(t)
    files = []
    for name, size in (("a", 7), ("b", 10_000), ("c", len(t))):
        files.append(tmp_path / name)
        with DDD17Writer(files[-1], sensor=SENSOR) as writer:
            for k in range(0, len(t), size):
                part = slice(k, k + size)
                writer.add_events(t[part], zeros[part], zeros[part], zeros[part])
    assert len({file.read_bytes() for file in files}) == 1
    numbers = [head[5] for head in headers(files[0])]
    assert numbers[:5] == [3_334, 3_333, 3_333, 8192, 8192]
    assert max(numbers) == 8192
    assert len(numbers) == 128


def test_wrap_of_the_31_bit_clock(tmp_path: Path) -> None:
    path = tmp_path / "rec.hdf5"
    t = np.arange(WRAP - 2_000, WRAP + 2_000)
    zeros = np.zeros_like(t)
    with DDD17Writer(path, sensor=SENSOR) as writer:
        writer.add_events(t, zeros, zeros, zeros)
        writer.add_frame(
            np.zeros(SENSOR, np.uint8),
            t_start_us=WRAP - 500,
            t_end_us=WRAP + 500,
            exposure_start_us=WRAP - 400,
            exposure_end_us=WRAP + 400,
        )
    heads = headers(path)
    kinds = [(head[0], head[3]) for head in heads]
    assert kinds == sorted(kinds, key=lambda kind: kind[1])
    assert kinds.count((0, 0)) == 1
    assert kinds.count((2, 1)) == 1
    assert kinds.index((0, 0)) < kinds.index((1, 1))
    with open_recording(path) as rec:
        np.testing.assert_array_equal(rec.events().t, t)
        assert rec.specials.tolist() == [(WRAP - 1, 0, 0)]
        assert rec.frames.exposure_start_us.tolist() == [WRAP - 400]
        assert rec.frames.t_us.tolist() == [WRAP + 400]
        assert len(rec.epochs) == 1


def test_start_beyond_a_wrap_needs_no_wrap_event(tmp_path: Path) -> None:
    with DDD17Writer(tmp_path / "r.hdf5", sensor=SENSOR) as writer:
        writer.add_events([3 * WRAP + 5], [0], [0], [0])
    with open_recording(tmp_path / "r.hdf5") as rec:
        assert rec.events().t.tolist() == [3 * WRAP + 5]
        assert len(rec.specials) == 0


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["events", "events", "frame", "imu", "special", "reset"]),
            st.integers(0, 40_000),
            st.integers(1, 40),
        ),
        min_size=1,
        max_size=25,
    ),
    st.sampled_from([0, WRAP - 100_000]),
    st.sampled_from([0, 30_000, 10**7]),
)
@example(  # a first event far before the others of its packet, where all packets are short
    [("events", 2_025, 30), ("events", 7_888, 4), *[("events", 0, 40)] * 3], 0, 0
)
@example([("events", 8_000, 10), *[("events", 20_000, 10)] * 9], 0, 0)
def test_anything_added_comes_back(
    steps: list[tuple[str, int, int]], start: int, reorder_us: int
) -> None:
    now, zero = start, 0
    times: dict[str, list[int]] = {"events": [], "frame": [], "imu": [], "special": []}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rec.hdf5"
        with DDD17Writer(path, sensor=SENSOR, reorder_us=reorder_us) as writer:
            writer.add_events([now], [0], [0], [1])
            times["events"].append(now)
            for kind, delay, n in steps:
                now += delay
                t = now + 3 * np.arange(n)
                if kind == "reset":
                    writer.reset(t_us=now + 3)
                    zero, now = zero + now + 3, 0
                    writer.add_events([now], [0], [0], [1])
                    times["events"].append(zero)
                    continue
                if kind == "events":
                    writer.add_events(t, t % 6, t % 4, t % 2)
                elif kind == "frame":
                    t = t[:1] + 1  # a frame that ends at 0 has no stamp
                    writer.add_frame(
                        np.full(SENSOR, n, np.uint8),
                        t_start_us=now,
                        t_end_us=now + 1,
                        exposure_start_us=now,
                        exposure_end_us=now + 1,
                    )
                elif kind == "imu":
                    samples = np.zeros(n, IMU_DTYPE)
                    samples["t"] = t
                    writer.add_imu(samples)
                else:
                    writer.add_specials(t, 5)
                times[kind] += (zero + t).tolist()
                now = int(t[-1])
        written = writer.close()
        with open_recording(path, sensor=SENSOR) as rec:
            assert rec.n_events == written.n_events
            assert rec.events().t.tolist() == times["events"]
            assert rec.frames.t_us.tolist() == times["frame"]
            assert rec.imu()["t"].tolist() == times["imu"]
            ours = rec.specials["type"] == 5
            assert rec.specials["t"][ours].tolist() == times["special"]
        assert written.part_block_rows == written.n_rows % 128


def host_and_last_times(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Host time of each filled row, and the time of its last event."""
    with h5py.File(path) as file:
        rows = [bytes(row[2]) for row in file["dvs/data"][:] if len(row[2])]
        host = file["dvs/timestamp"][: len(rows)]
    return host, np.array([int(np.frombuffer(row, "<i4")[-1]) for row in rows])


def test_rows_are_sorted_by_host_time_whatever_is_still_open(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    path = tmp_path / "r.hdf5"
    with DDD17Writer(path, sensor=SENSOR, host_t0_us=HOST, latency_us=3, reorder_us=0) as writer:
        for now in np.cumsum(rng.integers(0, 3_000, 3_000)).tolist():
            if rng.random() < 0.4:
                writer.add_events([now] * 5, [0] * 5, [0] * 5, [1] * 5)
            else:
                writer.add_specials(now, 2)
    host, last = host_and_last_times(path)
    assert len(host) % 128 == 0
    assert np.all(np.diff(host) >= 0)
    assert np.array_equal(host[:-256], HOST + 3 + last[:-256])


def test_cut_packets_have_the_time_of_their_own_last_event(tmp_path: Path) -> None:
    t = np.arange(1_000, 9_000, 20)
    zeros = np.zeros_like(t)
    with DDD17Writer(tmp_path / "r.hdf5", sensor=SENSOR, host_t0_us=HOST, latency_us=3) as writer:
        writer.add_events(t, zeros, zeros, zeros)
        writer.add_specials([2_000], 2)
        writer.add_specials([6_000], 2)
    assert writer.close().n_cuts == 125
    host, last = host_and_last_times(tmp_path / "r.hdf5")
    assert len(host) == 128
    assert np.array_equal(host, HOST + 3 + last)
    assert np.all(np.diff(host) >= 0)


def test_too_few_events_leave_a_part_block(tmp_path: Path) -> None:
    with DDD17Writer(tmp_path / "r.hdf5", sensor=SENSOR) as writer:
        writer.add_events([1, 2, 3], [0, 1, 2], [0, 1, 2], [0, 1, 0])
    written = writer.close()
    assert (written.n_rows, written.n_cuts, written.part_block_rows) == (1, 0, 1)


def test_same_input_same_bytes(tmp_path: Path) -> None:
    def write(path: Path) -> bytes:
        rng = np.random.default_rng(3)
        with DDD17Writer(path, sensor=SENSOR) as writer:
            writer.add_events(random_events(rng, 0, 10**6, 3_000))
            writer.add_signal("vehicle_speed", 5, 1.0)
        return path.read_bytes()

    first = write(tmp_path / "a.hdf5")
    time.sleep(1.1)  # HDF5 time stamps count seconds
    assert write(tmp_path / "b.hdf5") == first


def test_late_rows_are_sorted_within_the_limit_and_refused_beyond(tmp_path: Path) -> None:
    with DDD17Writer(tmp_path / "r.hdf5", sensor=SENSOR, reorder_us=1_000_000) as writer:
        writer.add_events([0, 2_000_000], [0, 0], [0, 0], [0, 0])
        writer.add_specials(1_000_000, 2)
        with pytest.raises(EventsError, match="more than 1000000 us behind the newest"):
            writer.add_specials(999_999, 2)
        with pytest.raises(EventsError, match="must be sorted"):
            writer.add_specials([1_500_000, 1_400_000], 2)
    with h5py.File(tmp_path / "r.hdf5") as file:
        assert np.all(np.diff(file["dvs/timestamp"][:3]) == 1_000_000)


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        (([5, 4], [0, 0], [0, 0], [0, 0]), "backwards"),
        (([5], [6], [0], [0]), "outside the sensor"),
        (([5, 6], [0], [0], [0]), "one length"),
        (([2], [0], [0], [0]), "in time order"),
    ],
)
def test_bad_events(tmp_path: Path, columns: tuple[list[int], ...], match: str) -> None:
    writer = DDD17Writer(tmp_path / "r.hdf5", sensor=SENSOR)
    writer.add_events([3], [0], [0], [0])
    with pytest.raises(EventsError, match=match), writer:
        writer.add_events(*columns)
    assert list(tmp_path.glob("*")) == []


def test_stream_of_another_sensor(tmp_path: Path) -> None:
    other = EventStream.from_arrays([1], [9], [0], [0], sensor=SensorSize(10, 10))
    writer = DDD17Writer(tmp_path / "r.hdf5", sensor=SENSOR)
    with pytest.raises(EventsError, match="outside the sensor"), writer:
        writer.add_events(other)


@pytest.mark.parametrize(
    ("image", "stamps", "position", "match"),
    [
        (np.zeros((4, 6)), (1, 2, 3, 4), (0, 0), "uint8 or uint16"),
        (np.zeros((4, 6, 1), np.uint8), (1, 2, 3, 4), (0, 0), "uint8 or uint16"),
        (np.zeros((4, 7), np.uint8), (1, 2, 3, 4), (0, 0), "does not fit"),
        (np.zeros((4, 6), np.uint8), (1, 2, 3, 4), (1, 0), "does not fit"),
        (np.zeros((4, 6), np.uint8), (1, 3, 2, 4), (0, 0), "must follow each other"),
        (np.zeros((4, 6), np.uint8), (-1, 2, 3, 4), (0, 0), "begins at 0"),
    ],
)
def test_bad_frames(
    tmp_path: Path,
    image: np.ndarray,
    stamps: tuple[int, int, int, int],
    position: tuple[int, int],
    match: str,
) -> None:
    names = ("t_start_us", "exposure_start_us", "exposure_end_us", "t_end_us")
    writer = DDD17Writer(tmp_path / "r.hdf5", sensor=SENSOR)
    with pytest.raises(EventsError, match=match), writer:
        writer.add_frame(image, **dict(zip(names, stamps, strict=True)), position=position)


def test_other_bad_input(tmp_path: Path) -> None:
    with DDD17Writer(tmp_path / "r.hdf5", sensor=SENSOR) as writer:
        writer.add_events([10], [0], [0], [0])
        with pytest.raises(EventsError, match="begins at 0"):
            writer.add_specials(-1, 2)
        with pytest.raises(EventsError, match="types 2 to 127"):
            writer.add_specials(20, 1)
        with pytest.raises(EventsError, match="after the last time"):
            writer.reset(t_us=10)
        with pytest.raises(EventsError, match="need the fields"):
            writer.add_imu(np.zeros(1, [("t", "i8")]))
        with pytest.raises(EventsError, match="of one length"):
            writer.add_signal("vehicle_speed", [1, 2], [1.0])
        with pytest.raises(EventsError, match="cannot be named 'dvs'"):
            writer.add_signal("dvs", 1, 1.0)
    with pytest.raises(OutputError, match="closed"):
        writer.add_events([20], [0], [0], [0])


def test_unwritable_paths(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        DDD17Writer(tmp_path / "missing" / "r.hdf5", sensor=SENSOR)
    with pytest.raises(OutputError, match="is a folder"):
        DDD17Writer(tmp_path, sensor=SENSOR)


def test_nothing_is_left_after_an_exception_and_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "r.hdf5"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), DDD17Writer(path, sensor=SENSOR):
        raise ZeroDivisionError
    assert [file.name for file in tmp_path.glob("*")] == ["r.hdf5"]
    assert path.read_text() == "old"
    with DDD17Writer(path, sensor=SENSOR) as writer:
        writer.add_events([1], [0], [0], [0])
    with open_recording(path) as rec:
        assert rec.n_events == 1
