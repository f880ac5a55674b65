"""Damage of DDD17 files outside clock and frames: packets, sensor, signals, inertial samples."""

import struct
from pathlib import Path

import h5py
import numpy as np
import pytest
from ddd17_files import HOST_T0, frame_bytes, frames, header, imu, polarity, write_file
from recordings.trap_fixtures import FULL, SENSOR, dots, opened, picture, times

from eventseg.errors import RecordingError
from eventseg.events import SensorSize
from eventseg.recordings import open_recording

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
