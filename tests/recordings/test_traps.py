"""Every way in which a DDD17 file is known to go wrong, on small files built byte by byte."""

import struct
from pathlib import Path

import h5py
import numpy as np
import pytest
from ddd17_files import (
    HOST_T0,
    NO_TIME,
    Row,
    frame_bytes,
    frames,
    header,
    imu,
    polarity,
    reset,
    special,
    wrap,
    write_file,
)

from eventseg.errors import RecordingError, WindowError
from eventseg.events import SensorSize
from eventseg.recordings import Recording, open_recording
from eventseg.windows import cut_windows, parse_anchor

SENSOR = SensorSize(4, 6)
FULL = 36 + 2 * 4 * 6
WRAP = 2**31


def opened(tmp_path: Path, rows: list[Row], **options: object) -> Recording:
    signals = options.pop("signals", None)
    path = write_file(tmp_path / "rec.hdf5", rows, signals=signals)  # type: ignore[arg-type]
    rec = open_recording(path, **{"sensor": SENSOR, **options})  # type: ignore[arg-type]
    assert_adds_up(rec)
    return rec


def assert_adds_up(rec: Recording) -> None:
    report = rec.report
    for kind, found in report.found.items():
        assert report.kept[kind] + sum(report.skipped.get(kind, {}).values()) == found
    assert rec.n_events == report.kept["events"] == len(rec.events())
    assert rec.n_events == sum(len(part) for part in rec.stream(max_events=3))
    assert len(rec.frames) == report.kept["frames"]
    assert len(rec.imu()) == report.kept["imu"]
    assert len(rec.specials) == report.kept["specials"]


def times(rec: Recording) -> list[int]:
    return rec.events().t.tolist()


def dots(*stamps: int, **options: int) -> Row:
    """Events at pixel (1, 1) at these times."""
    return polarity([(t, 1, 1, 1) for t in stamps], **options)


# Rows and headers ----------------------------------------------------------------------------


def test_invalid_negative_and_outside_events_are_counted(tmp_path: Path) -> None:
    events = [(10, 1, 1, 1), (11, 2, 2, 0, 0), (-5, 1, 1, 1), (12, 6, 0, 1), (13, 0, 4, 1)]
    rec = opened(tmp_path, [polarity([*events, (14, 5, 3, 0)])])
    assert times(rec) == [10, 14]
    assert rec.report.skipped["events"] == {
        "marked invalid": 1,
        "negative time stamp": 1,
        "outside the sensor 6x4": 2,
    }
    assert (rec.t_first_us, rec.t_last_us) == (10, 14)


def test_a_packet_wholly_outside_leaves_no_trace_in_time(tmp_path: Path) -> None:
    rec = opened(tmp_path, [dots(100, 200), polarity([(900_000, 50, 50, 1)])])
    assert (rec.t_last_us, rec.n_events, rec.gaps) == (200, 2, [])


def test_capacity_and_number(tmp_path: Path) -> None:
    rows = [dots(1, 2, 3, capacity=2), dots(11, 12, 13, number=1), dots(21, 22, capacity=50)]
    rec = opened(tmp_path, rows)
    assert times(rec) == [1, 2, 11, 21, 22]


def test_short_payload_keeps_whole_events(tmp_path: Path) -> None:
    host, head, payload = dots(1, 2, 3)
    rec = opened(
        tmp_path, [(host, head, payload[:-5]), dots(9, number=2**31 - 1, capacity=2**31 - 1)]
    )
    assert times(rec) == [1, 2, 9]
    assert rec.report.repaired == {"packets shorter than their header says, whole events kept": 2}


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (header(7, 8, 1), "unknown packet type"),
        (header(-1, 8, 1), "unknown packet type"),
        (header(1, 0, 1), "wrong event size"),
        (header(1, -8, 1), "wrong event size"),
        (header(3, 8, 1), "wrong event size"),
        (header(2, 20, 1), "wrong event size"),
        (header(1, 8, -1), "negative number of events"),
        (header(1, 8, 1, capacity=-4), "negative number of events"),
        (header(1, 8, 1, overflow=-1), "absurd overflow"),
        (header(1, 8, 1, overflow=2**30), "absurd overflow"),
        (header(1, 8, 1)[:-1], "header is not 28 bytes long"),
        (b"", "header is not 28 bytes long"),
        (header(4, 48, 1), "IMU9 packets are not decoded"),
    ],
)
def test_damaged_headers_cost_one_packet(tmp_path: Path, head: bytes, reason: str) -> None:
    rec = opened(tmp_path, [dots(1), (HOST_T0, head, struct.pack("<Ii", 3, 5) * 8), dots(9)])
    assert times(rec) == [1, 9]
    assert rec.report.skipped["packets"] == {reason: 1}
    assert rec.report.found["packets"] == 3


def test_empty_rows_in_the_middle(tmp_path: Path) -> None:
    rec = opened(tmp_path, [(0, b"", b""), dots(1), (HOST_T0, b"", b""), (0, b"", b""), dots(2)])
    assert times(rec) == [1, 2]
    assert rec.report.skipped["packets"] == {"row with a host time but no bytes": 1}


def test_no_row_is_a_whole_block(tmp_path: Path) -> None:
    path = write_file(tmp_path / "r.hdf5", [dots(k) for k in range(300)], n_rows=301)
    with open_recording(path) as rec:
        assert rec.n_events == 300


def test_host_time_from_its_digits(tmp_path: Path) -> None:
    rows = [dots(1_000), reset(host=HOST_T0 + 50_000), dots(10, host=HOST_T0 + 50_010)]
    path = write_file(tmp_path / "r.hdf5", rows, times=False)
    with open_recording(path) as rec:
        assert rec.epochs[1].offset_us == 50_000
        assert rec.report.repaired == {"host times taken from the digits of column 0": 3}


def test_bad_host_digits_are_no_host_time(tmp_path: Path) -> None:
    path = write_file(tmp_path / "r.hdf5", [dots(1), reset(), dots(5)], times=False)
    with h5py.File(path, "r+") as file:
        for row in range(3):
            file["dvs/data"][row, 0] = np.frombuffer(b"12-x", np.uint8)
    with open_recording(path) as rec:
        assert times(rec) == [1, 2]
        assert any("no host time for the epoch" in note for note in rec.report.notes)


# The clock -----------------------------------------------------------------------------------


def test_overflow_makes_time_go_on(tmp_path: Path) -> None:
    rec = opened(tmp_path, [dots(NO_TIME - 1, NO_TIME), wrap(), dots(0, 7, overflow=1)])
    assert times(rec) == [WRAP - 2, WRAP - 1, WRAP, WRAP + 7]
    assert rec.specials.tolist() == [(WRAP - 1, 0, 0)]
    assert len(rec.epochs) == 1


def test_wrap_event_in_a_packet_with_the_new_overflow(tmp_path: Path) -> None:
    rec = opened(tmp_path, [dots(NO_TIME), wrap(overflow=1), dots(0, overflow=1)])
    assert rec.specials["t"].tolist() == [WRAP - 1]


def test_wrap_known_from_the_special_event_only(tmp_path: Path) -> None:
    rows = [dots(NO_TIME - 5), wrap(), dots(0), imu([(3, 1.0)]), dots(8), dots(9, overflow=1)]
    rec = opened(tmp_path, rows)
    assert times(rec) == [WRAP - 6, WRAP, WRAP + 8, WRAP + 9]
    assert rec.imu()["t"].tolist() == [WRAP + 3]
    assert rec.report.repaired == {"wraps of the 31-bit clock known from a special event only": 1}
    assert len(rec.epochs) == 1


def test_wrap_event_ahead_of_the_last_events_before_it(tmp_path: Path) -> None:
    # A container's special events are written in front of its polarity events.
    rec = opened(tmp_path, [wrap(), dots(NO_TIME - 5), dots(0), dots(4)])
    assert times(rec) == [WRAP - 6, WRAP, WRAP + 4]
    assert len(rec.epochs) == 1


def test_reset_begins_an_epoch_placed_by_the_host_clock(tmp_path: Path) -> None:
    rows = [
        dots(5_000_000, host=HOST_T0 + 5_000_900),
        dots(5_500_000, host=HOST_T0 + 5_500_300),  # least latency: 300
        reset(host=HOST_T0 + 6_000_000),
        special([(7, 2, 99)]),
        dots(10, host=HOST_T0 + 6_000_800),
        dots(20, host=HOST_T0 + 6_000_500),  # least: zero lies at 6_000_480 of the host
    ]
    rec = opened(tmp_path, rows)
    assert [(e.first_row, e.offset_us, e.reason) for e in rec.epochs] == [
        (0, 0, "start"),
        (2, 6_000_180, "reset"),
    ]
    assert times(rec) == [5_000_000, 5_500_000, 6_000_190, 6_000_200]
    assert rec.specials.tolist() == [(6_000_180, 1, 0), (6_000_187, 2, 99)]


def test_a_host_clock_set_by_years_is_not_believed(tmp_path: Path) -> None:
    rows = [dots(5_000, host=7_000), reset(host=HOST_T0), dots(10, host=HOST_T0 + 20)]
    rec = opened(tmp_path, rows)
    assert times(rec) == [5_000, 5_001]
    assert [note for note in rec.report.notes if " days before the epoch at row 1" in note]
    hours = [dots(5_000), reset(), dots(10, host=HOST_T0 + 10**12 + 10)]
    assert times(opened(tmp_path, hours)) == [5_000, 10**12 + 10]


def test_epochs_never_overlap(tmp_path: Path) -> None:
    rows = [dots(5_000, host=HOST_T0 + 5_000), reset(), dots(10, host=HOST_T0 + 20)]
    rec = opened(tmp_path, rows)
    assert times(rec) == [5_000, 5_001]
    assert rec.report.repaired == {"epochs moved behind the one before, which they overlapped": 1}


def test_reset_before_anything_is_no_second_epoch(tmp_path: Path) -> None:
    rec = opened(
        tmp_path, [reset(), dots(10), reset(), reset(), dots(4, host=HOST_T0 + 104), reset()]
    )
    assert [epoch.reason for epoch in rec.epochs] == ["start", "reset"]
    assert times(rec) == [10, 104]
    assert rec.specials["t"].tolist() == [0, 100, 100, 105]


def test_large_jump_back_is_a_restart(tmp_path: Path) -> None:
    rows = [dots(9_000_000), dots(50, host=HOST_T0 + 9_000_650), dots(60)]
    rec = opened(tmp_path, rows)
    assert [epoch.reason for epoch in rec.epochs] == ["start", "clock jumped back"]
    assert times(rec) == [9_000_000, 9_000_001, 9_000_011]
    assert (
        "restarts of the clock without a reset event, inferred from a jump" in rec.report.repaired
    )


def test_jump_back_of_a_second_is_disorder(tmp_path: Path) -> None:
    rec = opened(tmp_path, [dots(2_000_000), dots(1_000_000), dots(2_000_010)])
    assert times(rec) == [1_000_000, 2_000_000, 2_000_010]
    assert len(rec.epochs) == 1


def test_small_steps_back_are_sorted_ties_in_file_order(tmp_path: Path) -> None:
    rows = [
        polarity([(100, 0, 0, 1), (90, 1, 0, 1), (110, 2, 0, 1)]),
        polarity([(110, 3, 0, 1), (95, 4, 0, 1), (90, 5, 0, 1)]),
    ]
    rec = opened(tmp_path, rows)
    assert times(rec) == [90, 90, 95, 100, 110, 110]
    assert rec.events().x.tolist() == [1, 5, 4, 0, 2, 3]
    assert rec.report.repaired == {
        "steps back in time between events, put in order by a stable sort": 3
    }


def test_gaps(tmp_path: Path) -> None:
    rows = [dots(0, 50_000), dots(150_000), dots(250_001), dots(300_000, 900_000), dots(600_000)]
    rec = opened(tmp_path, rows)
    assert rec.gaps == [(150_000, 250_001), (300_000, 600_000), (600_000, 900_000)]


def test_gaps_are_those_of_the_events_kept(tmp_path: Path) -> None:
    rows = [polarity([(0, 1, 1, 1), (200_000, 9, 9, 1), (390_000, 1, 1, 1)])]
    assert opened(tmp_path, rows).gaps == [(0, 390_000)]


# Frames --------------------------------------------------------------------------------------


def picture(seed: int, shape: tuple[int, int] = (4, 6)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**16, shape)


def test_several_frames_in_a_packet(tmp_path: Path) -> None:
    bodies = [
        frame_bytes(picture(k), (10 * k, 10 * k + 9, 10 * k + 1, 10 * k + 5), size=FULL)
        for k in (1, 2, 3)
    ]
    rec = opened(tmp_path, [frames(bodies)], sensor=None)
    assert rec.sensor == SENSOR
    assert rec.frames.t_us.tolist() == [15, 25, 35]
    assert rec.frames.t_start_us.tolist() == [10, 20, 30]
    assert rec.frames.t_end_us.tolist() == [19, 29, 39]
    assert rec.frames.exposure_start_us.tolist() == [11, 21, 31]
    for i in range(3):
        np.testing.assert_array_equal(rec.frames.raw(i), picture(i + 1))
        np.testing.assert_array_equal(rec.frames.image(i), picture(i + 1) // 256)
    with pytest.raises(IndexError, match="frame 3 of 3"):
        rec.frames.image(3)


@pytest.mark.parametrize("rotate", [False, True])
def test_part_of_a_frame_is_pasted_at_its_place(tmp_path: Path, rotate: bool) -> None:
    part = frame_bytes(picture(1, (2, 3)), (1, 9, 2, 5), size=FULL, at=(1, 2))
    rec = opened(tmp_path, [frames([part])], rotate180=rotate)
    whole = np.zeros((4, 6))
    whole[1:3, 2:5] = picture(1, (2, 3))
    np.testing.assert_array_equal(rec.frames.raw(0), whole[::-1, ::-1] if rotate else whole)
    row, col, height, width = rec.frames.roi(0)
    assert (row, col, height, width) == ((1, 1, 2, 3) if rotate else (1, 2, 2, 3))
    assert np.all(rec.frames.raw(0)[row : row + height, col : col + width] > 0)


def test_frames_across_a_wrap(tmp_path: Path) -> None:
    body = frame_bytes(picture(1), (NO_TIME - 9, 5, NO_TIME - 4, 2), size=FULL)
    rec = opened(tmp_path, [dots(NO_TIME), frames([body], overflow=1)])
    stamps = rec.frames
    assert stamps.t_start_us.tolist() == [WRAP - 10]
    assert stamps.exposure_start_us.tolist() == [WRAP - 5]
    assert (stamps.t_us.tolist(), stamps.t_end_us.tolist()) == ([WRAP + 2], [WRAP + 5])
    assert not rec.report.repaired


LATE = 50_000_000


@pytest.mark.parametrize(
    ("stamps", "expected", "repaired"),
    [
        ((5, 40, 10, 30), (5, 10, 30, 40), []),
        ((0, 40, 0, 30), (0, 0, 30, 40), []),
        ((5, 40, 0, 0), (5, 40, 40, 40), ["end", "start"]),
        ((0, LATE, 0, 0), (LATE, LATE, LATE, LATE), ["end", "start", "frame"]),
        ((-1, LATE, -1, -1), (LATE, LATE, LATE, LATE), ["end", "start", "frame"]),
        ((LATE, LATE + 9, LATE + 1, LATE + 20), (LATE, LATE + 1, LATE + 9, LATE + 9), ["end"]),
        ((LATE, LATE + 9, LATE + 8, LATE + 7), (LATE, LATE + 7, LATE + 7, LATE + 9), ["start"]),
        ((LATE, 0, LATE + 1, LATE + 7), (LATE, LATE + 1, LATE + 7, LATE + 7), ["no end"]),
    ],
)
def test_insane_stamps(
    tmp_path: Path,
    stamps: tuple[int, int, int, int],
    expected: tuple[int, int, int, int],
    repaired: list[str],
) -> None:
    rec = opened(tmp_path, [frames([frame_bytes(picture(1), stamps, size=FULL)])])
    f = rec.frames
    got = [int(a[0]) for a in (f.t_start_us, f.exposure_start_us, f.exposure_end_us, f.t_end_us)]
    reasons = {
        "end": "frames without a sane exposure end, end of frame taken",
        "start": "frames without a sane exposure start, end of exposure taken",
        "frame": "frames without a sane start, start of exposure taken",
        "no end": "frames without an end stamp, end of exposure taken",
    }
    assert (tuple(got), rec.report.repaired) == (expected, {reasons[k]: 1 for k in repaired})


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"info": 2}, "marked invalid"),
        ({"info": 7}, "not one grey channel"),
        ({"shape": (4, 7)}, "damaged size or position"),
        ({"shape": (-4, 6)}, "damaged size or position"),
        ({"shape": (2**30, 2**30)}, "damaged size or position"),
        ({"at": (-1, 0)}, "damaged size or position"),
        ({"at": (1, 0)}, "outside the sensor 6x4"),
        ({"at": (0, 2**31 - 3)}, "outside the sensor 6x4"),
    ],
)
def test_damaged_frames_are_counted(
    tmp_path: Path, options: dict[str, object], reason: str
) -> None:
    bad = frame_bytes(picture(1), (1, 9, 2, 5), size=FULL, **options)  # type: ignore[arg-type]
    rec = opened(tmp_path, [frames([bad, frame_bytes(picture(2), (11, 19, 12, 15), size=FULL)])])
    assert rec.report.skipped["frames"] == {reason: 1}
    assert rec.frames.t_us.tolist() == [15]
    np.testing.assert_array_equal(rec.frames.raw(0), picture(2))


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("rotate", [False, True])
def test_colour_frames_are_turned_gray(tmp_path: Path, channels: int, rotate: bool) -> None:
    colours = np.random.default_rng(1).integers(0, 2**16, (4, 6, channels))
    size = 36 + 2 * 4 * 6 * channels
    body = frame_bytes(colours, (1, 9, 2, 5), size=size, info=1 | channels << 1, shape=(4, 6))
    rec = opened(tmp_path, [frames([body])], sensor=None, rotate180=rotate)
    assert rec.sensor == SENSOR
    assert rec.report.repaired == {"colour frames, turned gray": 1}
    gray = np.empty((4, 6), np.int64)
    for y in range(4):
        for x in range(6):
            red, green, blue = colours[y, x, :3].tolist()
            gray[y, x] = (299 * red + 587 * green + 114 * blue + 500) // 1000
    np.testing.assert_array_equal(rec.frames.raw(0), gray[::-1, ::-1] if rotate else gray)


def test_no_frames_says_which_were_skipped(tmp_path: Path) -> None:
    bad = frame_bytes(picture(1), (1, 9, 2, 5), size=FULL, info=5)
    rec = opened(tmp_path, [dots(*range(0, 90_000, 1_000)), frames([bad])])
    with pytest.raises(WindowError, match=r"no frames .*1 skipped: not one grey channel"):
        cut_windows(rec, anchor=parse_anchor("frame"), window_us=10_000)


def test_frames_of_one_time_are_one_frame(tmp_path: Path) -> None:
    bodies = [
        frame_bytes(picture(k), (t, t + 9, t + 1, t + 5), size=FULL)
        for k, t in enumerate((10, 40, 10, 10, 70))
    ]
    rec = opened(tmp_path, [frames([body]) for body in bodies])
    assert rec.frames.t_us.tolist() == [15, 45, 75]
    np.testing.assert_array_equal(rec.frames.raw(0), picture(0))
    np.testing.assert_array_equal(rec.frames.raw(2), picture(4))
    assert rec.report.skipped["frames"] == {"same time as the frame before": 2}


def test_frame_without_any_stamp(tmp_path: Path) -> None:
    body = frame_bytes(picture(1), (0, 0, 0, 0), size=FULL)
    rec = opened(tmp_path, [dots(1), frames([body])])
    assert rec.report.skipped["frames"] == {"no time stamp": 1}


def test_frames_out_of_order_are_sorted(tmp_path: Path) -> None:
    rows = [
        frames([frame_bytes(picture(k), (k, k + 9, k + 1, k + 5), size=FULL)]) for k in (70, 20, 40)
    ]
    rec = opened(tmp_path, rows)
    assert rec.frames.t_us.tolist() == [25, 45, 75]
    np.testing.assert_array_equal(rec.frames.raw(0), picture(20))
    assert rec.report.repaired == {"frames out of order, sorted by end of exposure": 1}


def test_cut_frame_packet_keeps_whole_frames(tmp_path: Path) -> None:
    bodies = [frame_bytes(picture(k), (k, k + 9, k + 1, k + 5), size=FULL) for k in (1, 20)]
    host, head, payload = frames(bodies)
    rec = opened(tmp_path, [(host, head, payload[:-1])])
    assert rec.frames.t_us.tolist() == [6]


# Sensor, rotation, signals, inertial samples -------------------------------------------------


@pytest.mark.parametrize(
    ("x", "y", "size"),
    [
        (127, 127, (128, 128)),
        (128, 0, (180, 240)),
        (345, 259, (260, 346)),
        (0, 260, (480, 640)),
        (640, 0, (720, 1280)),
        (1280, 9, (10, 1281)),
    ],
)
def test_sensor_from_the_events(tmp_path: Path, x: int, y: int, size: tuple[int, int]) -> None:
    rec = opened(tmp_path, [polarity([(5, x, y, 1)])], sensor=None)
    assert rec.sensor == size
    assert rec.n_events == 1
    assert any("inferred" in note for note in rec.report.notes)


def test_full_frames_decide_the_sensor(tmp_path: Path) -> None:
    body = frame_bytes(picture(1), (1, 9, 2, 5), size=FULL)
    part = frame_bytes(picture(1, (2, 2)), (1, 9, 2, 5), size=FULL)
    rows = [polarity([(5, 6, 0, 1), (6, 5, 3, 1)]), frames([part, body])]
    rec = opened(tmp_path, rows, sensor=None)
    assert (rec.sensor, rec.n_events) == (SENSOR, 1)
    assert any("1 full frames" in note for note in rec.report.notes)


def test_bad_sensor(tmp_path: Path) -> None:
    path = write_file(tmp_path / "r.hdf5", [dots(1)])
    with pytest.raises(RecordingError, match="must be 1 to"):
        open_recording(path, sensor=SensorSize(0, 5))


def test_rotation_turns_events(tmp_path: Path) -> None:
    rec = opened(tmp_path, [polarity([(1, 0, 0, 1), (2, 5, 1, 0)])], rotate180=True)
    assert (rec.events().x.tolist(), rec.events().y.tolist()) == ([5, 0], [3, 2])
    assert any("180" in note for note in rec.report.notes)


def test_signals(tmp_path: Path) -> None:
    late = HOST_T0 + 2_000
    signals = {
        "vehicle_speed": [(HOST_T0 + 1_000, 3.5), (late, 4.0), (late, 4.5), (HOST_T0 + 500, 9.0)],
        "gear_lever_position": [(late, 99.0)],
        "turbo": [(late, float("nan"))],
        "latitude": [],
    }
    rows = [dots(1_000, host=HOST_T0 + 1_200), dots(1_500, host=HOST_T0 + 1_600)]
    rec = opened(tmp_path, rows, signals=signals)
    speed = rec.signals["vehicle_speed"]
    assert (speed.name, speed.unit, len(speed)) == ("vehicle_speed", "km/h", 4)
    assert speed.t_host_us.tolist() == [HOST_T0 + 500, HOST_T0 + 1_000, late, late]
    assert speed.t_us.tolist() == [400, 900, 1_900, 1_900]  # the least latency is 100 us
    assert speed.value.tolist() == [9.0, 3.5, 4.0, 4.5]
    assert rec.signals["gear_lever_position"].unit == "code"
    assert (rec.signals["turbo"].unit, np.isnan(rec.signals["turbo"].value[0])) == ("", True)
    assert rec.report.skipped["signals"] == {"latitude: no data": 1}
    assert rec.report.repaired == {"values of vehicle_speed out of order, sorted": 1}


def test_damaged_signal_groups(tmp_path: Path) -> None:
    path = write_file(tmp_path / "r.hdf5", [dots(1)])
    with h5py.File(path, "r+") as file:
        file["speed/data"] = np.zeros(7)
        file["text/data"] = np.array([[b"a", b"b"]])
        file.create_group("nothing")
        file["alone"] = 3
    with open_recording(path) as rec:
        assert rec.signals == {}
        assert len(rec.report.skipped["signals"]) == 4


def test_imu_samples(tmp_path: Path) -> None:
    rows = [
        dots(5),
        imu([(30, 1.5), (10, 2.0)]),
        imu([(20, 3.0)], kind=4),
        imu([(20, 4.0), (-1, 0)]),
    ]
    rec = opened(tmp_path, rows)
    samples = rec.imu()
    assert samples["t"].tolist() == [10, 20, 30]
    assert samples["ax"].tolist() == [2.0, 4.0, 1.5]
    assert samples[0].tolist() == (10, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)
    assert rec.imu(10, 30)["t"].tolist() == [10, 20]
    assert rec.report.skipped["imu"] == {"negative time stamp": 1}


def test_report_in_words_and_as_json(tmp_path: Path) -> None:
    rec = opened(tmp_path, [polarity([(10, 1, 1, 1), (9, 1, 1, 1), (11, 1, 1, 1, 0)])])
    lines = rec.report.lines()
    assert "events: 2 of 3 kept" in lines
    assert "  skipped 1: marked invalid" in lines
    assert any(line.startswith("repaired 1: steps back") for line in lines)
    assert rec.report.to_dict()["skipped"] == {"events": {"marked invalid": 1}}
