"""Real events in the DDD17 layout, against what three independent readers found."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from eventseg.events import SensorSize
from eventseg.recordings import open_recording


def test_davis_events_and_clock(shared_data: Path) -> None:
    with open_recording(shared_data / "events" / "davis346_real_in_ddd_layout.hdf5") as rec:
        events = rec.events()
        assert rec.sensor == SensorSize(260, 346)
        assert rec.name == "davis346_real_in_ddd_layout"
        assert len(events) == rec.n_events == rec.report.kept["events"] == 319_512
        assert (rec.t_first_us, rec.t_last_us) == (11_570_005, 12_080_995)
        assert (events.t[0], events.t[-1]) == (rec.t_first_us, rec.t_last_us)
        assert (events.t0_us, events.t1_us) == (rec.t_first_us, rec.t_last_us + 1)
        assert events.p.mean() == pytest.approx(0.52185, abs=5e-6)
        assert np.all(np.diff(events.t) >= 0)
        assert rec.gaps == []
        assert not rec.report.repaired
        assert [epoch.reason for epoch in rec.epochs] == ["start"]


def test_davis_frames_imu_and_signals(shared_data: Path) -> None:
    path = shared_data / "events" / "davis346_real_in_ddd_layout.hdf5"
    with open_recording(path) as rec:
        frames = rec.frames
        assert len(frames) == 13
        assert np.all(np.diff(frames.t_us) == 40_000)
        assert np.all(frames.exposure_end_us - frames.exposure_start_us == 20_000)
        assert all(frames.roi(i) == (0, 0, 260, 346) for i in range(13))
        with h5py.File(path) as file:
            rows = [row for row in file["dvs/data"][:592] if len(row[2]) == 179_956]
            for i, row in enumerate(rows):
                pixels = bytes(row[2])[36:]
                stored = np.frombuffer(pixels, "<u2").reshape(260, 346)
                np.testing.assert_array_equal(frames.raw(i), stored)
                np.testing.assert_array_equal(frames.image(i), stored // 256)
        assert len(rec.imu()) == 510
        assert set(rec.signals) == {"steering_wheel_angle", "vehicle_speed"}
        assert rec.signals["vehicle_speed"].unit == "km/h"
        assert rec.report.skipped["signals"] == {"latitude: no data": 1}


def test_rollover_is_crossed(shared_data: Path) -> None:
    path = shared_data / "events" / "libcaer_rollover_real_in_ddd_layout.hdf5"
    with open_recording(path) as rec:
        events = rec.events()
        assert rec.sensor == SensorSize(480, 640)
        assert any("640x480" in note for note in rec.report.notes)
        assert len(events) == 334_331
        assert (rec.t_first_us, rec.t_last_us) == (2_146_490_012, 2_148_489_998)
        assert events.p.mean() == pytest.approx(0.54410, abs=5e-6)
        assert np.all(np.diff(events.t) >= 0)
        assert rec.t_first_us < 2**31 < rec.t_last_us
        across = rec.events(2**31 - 500, 2**31 + 500)
        assert across.t[0] < 2**31 <= across.t[-1]
        assert len(rec.frames) == 0


@pytest.mark.parametrize(
    "name", ["davis346_real_in_ddd_layout", "libcaer_rollover_real_in_ddd_layout"]
)
def test_stream_and_random_access_give_the_same(shared_data: Path, name: str) -> None:
    with open_recording(shared_data / "events" / f"{name}.hdf5") as rec:
        whole = rec.events()
        parts = list(rec.stream(max_events=20_000))
        assert max(map(len, parts)) <= 20_000
        for column in "txyp":
            joined = np.concatenate([getattr(part, column) for part in parts])
            np.testing.assert_array_equal(joined, getattr(whole, column))
        middle = (rec.t_first_us + rec.t_last_us) // 2
        some = rec.events(middle, middle + 1_234)
        np.testing.assert_array_equal(some.t, whole.between(middle, middle + 1_234).t)
