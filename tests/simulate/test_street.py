import hashlib

import h5py
import numpy as np
import pytest
from scipy.ndimage import maximum_filter, minimum_filter

from eventseg.errors import OutputError, RecordingError
from eventseg.events import SensorSize
from eventseg.recordings import open_recording
from eventseg.recordings.truth import Truth, truth_path
from eventseg.simulate.scene.classes import CLASS_NAMES
from eventseg.simulate.scene.scenarios import SCENARIOS, SimulationError
from eventseg.simulate.scene.scenes import scene_of
from eventseg.simulate.street import simulate_street

SENSOR = SensorSize(48, 64)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EVENTSEG_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    out = tmp_path_factory.mktemp("drive") / "drive.hdf5"
    return simulate_street(out, duration_us=400_000, seed=7, sensor=SENSOR, threads=2)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_same_seed_same_bytes_on_one_and_two_threads(tmp_path, drive):
    again = simulate_street(
        tmp_path / "drive.hdf5", duration_us=400_000, seed=7, sensor=SENSOR, threads=1
    )
    assert digest(again.recording) == digest(drive.recording)
    assert digest(again.truth) == digest(drive.truth)
    other = simulate_street(
        tmp_path / "other.hdf5", duration_us=400_000, seed=8, sensor=SENSOR, threads=1
    )
    assert digest(other.recording) != digest(drive.recording)


def test_recording_reads_back_whole(drive):
    with open_recording(drive.recording, sensor=SENSOR) as recording:
        events = recording.events()
        assert len(events) == drive.n_events == recording.n_events > 3000
        assert (np.diff(events.t) >= 0).all()
        assert events.x.max() < SENSOR.width
        assert events.y.max() < SENSOR.height
        assert events.p.mean() == pytest.approx(drive.on_share, abs=1e-9)
        assert 0.3 < drive.on_share < 0.7
        frames = recording.frames
        assert len(frames) == drive.n_frames == 12
        assert (frames.t_start_us <= frames.exposure_start_us).all()
        assert (frames.exposure_start_us < frames.exposure_end_us).all()
        assert (frames.exposure_end_us < frames.t_end_us).all()
        assert 25 < 1e6 / np.diff(frames.t_us).mean() < 35
        assert 20 < frames.image(3).mean() < 220
        assert len(recording.imu()) == 400
        assert recording.imu()["ay"].mean() == pytest.approx(1.0, abs=0.2)
        speed = recording.signals["vehicle_speed"]
        assert len(speed.value) == 4
        assert (speed.value > 3.6 * 2).all()
        assert "steering_wheel_angle" in recording.signals
        assert {14, 15, 16, 17} <= set(recording.specials["type"].tolist())


def test_truth_matches_frames_and_events(drive):
    with Truth(drive.truth) as truth, open_recording(drive.recording, sensor=SENSOR) as recording:
        scene = scene_of(truth)
        assert truth.classes == CLASS_NAMES
        assert truth.sensor == SENSOR
        assert truth.n_events == recording.n_events
        np.testing.assert_array_equal(truth.t_us, recording.frames.t_us)
        for i in (0, 5, 11):
            np.testing.assert_array_equal(truth.label(i), scene(int(truth.t_us[i])).label)
            assert truth.depth(i).shape == SENSOR
            assert truth.flow(i).shape == (2, *SENSOR)
        assert sum(drive.class_share.values()) == pytest.approx(1.0)
        with pytest.raises(RecordingError, match="outside the recording"):
            scene(5)
        with pytest.raises(IndexError):
            truth.label(12)


def test_class_of_an_event_is_the_label_at_its_time_and_pixel(drive):
    with Truth(drive.truth) as truth, open_recording(drive.recording, sensor=SENSOR) as recording:
        scene = scene_of(truth)
        events = recording.events()
        label, signal = truth.events()
        right = inner = 0
        for i in np.random.default_rng(0).choice(np.flatnonzero(signal), 400, replace=False):
            here = scene(int(events.t[i])).label
            y, x = int(events.y[i]), int(events.x[i])
            if maximum_filter(here, 3)[y, x] == minimum_filter(here, 3)[y, x]:
                inner += 1
                right += here[y, x] == label[i]
    assert inner > 50
    assert right >= 0.99 * inner


def test_part_of_the_truth_by_event_number(drive):
    with Truth(drive.truth) as truth:
        label, signal = truth.events()
        part, flags = truth.events(100, 250)
    np.testing.assert_array_equal(part, label[100:250])
    np.testing.assert_array_equal(flags, signal[100:250])
    assert 0.0 < 1.0 - signal.mean() < 0.5
    assert 1.0 - signal.mean() == pytest.approx(drive.noise_share)


@pytest.mark.parametrize("scenario", sorted(SCENARIOS))
def test_every_scenario_runs(tmp_path, scenario):
    shares = []
    summary = simulate_street(
        tmp_path / "out.hdf5",
        duration_us=130_000,
        seed=3,
        scenario=scenario,
        sensor=SENSOR,
        threads=2,
        progress=lambda now: shares.append(now.share),
    )
    assert summary.n_events > 50
    assert summary.n_frames >= 2
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert len(summary.lines()) == 3


def test_wrap_of_the_31_bit_clock(tmp_path):
    summary = simulate_street(
        tmp_path / "wrap.hdf5", duration_us=200_000, seed=3, scenario="wrap", sensor=SENSOR
    )
    with open_recording(summary.recording, sensor=SENSOR) as recording:
        times = recording.events().t
        assert times[0] < 2**31 < times[-1]
        assert recording.n_events == summary.n_events
        with Truth(summary.truth) as truth:
            np.testing.assert_array_equal(truth.t_us, recording.frames.t_us)


def test_clock_reset_keeps_one_clock_in_the_truth(tmp_path):
    plain = simulate_street(tmp_path / "day.hdf5", duration_us=300_000, seed=3, sensor=SENSOR)
    reset = simulate_street(
        tmp_path / "reset.hdf5", duration_us=300_000, seed=3, scenario="clock-reset", sensor=SENSOR
    )
    with (
        open_recording(plain.recording, sensor=SENSOR) as before,
        open_recording(reset.recording, sensor=SENSOR) as after,
        Truth(reset.truth) as truth,
    ):
        assert [epoch.reason for epoch in after.epochs] == ["start", "reset"]
        # The reader knows the gap from the host's clock only, to within the packets' latency.
        assert np.abs(before.events().t - after.events().t).max() <= 10_000
        np.testing.assert_array_equal(before.events().x, after.events().x)
        assert np.abs(truth.t_us - after.frames.t_us).max() <= 10_000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"duration_us": -5}, "too short"),
        ({"duration_us": 0}, "too short"),
        ({"scenario": "mars"}, "choose one of day"),
        ({"seed": -1}, "negative"),
        ({"threads": 0}, "threads"),
        ({"sensor": SensorSize(2, 64)}, "8 to 2048"),
        ({"step_us": 1}, "step"),
    ],
)
def test_bad_numbers_are_refused_before_anything_is_written(tmp_path, change, message):
    arguments = {"duration_us": 50_000, "seed": 1, "sensor": SENSOR} | change
    with pytest.raises(SimulationError, match=message):
        simulate_street(tmp_path / "out.hdf5", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_unwritable_path_is_one_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot write"):
        simulate_street(tmp_path / "file" / "x.hdf5", duration_us=50_000, seed=1, sensor=SENSOR)
    with pytest.raises(OutputError, match="is a folder"):
        simulate_street(tmp_path, duration_us=50_000, seed=1, sensor=SENSOR)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_failure_on_the_way_leaves_nothing(tmp_path):
    def give_up(now):
        if now.share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate_street(
            tmp_path / "out.hdf5", duration_us=200_000, seed=1, sensor=SENSOR, progress=give_up
        )
    assert list(tmp_path.iterdir()) == []


def test_truth_refuses_other_files(tmp_path, drive):
    with pytest.raises(RecordingError, match="cannot read"):
        Truth(tmp_path / "nothing.truth.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(RecordingError, match="no truth file"):
        Truth(tmp_path / "other.h5")
    assert truth_path(drive.recording) == drive.truth


def test_noise_flags_where_nothing_moves(tmp_path):
    """At a standstill without traffic in view, what fires is noise: the sky never changes."""
    summary = simulate_street(
        tmp_path / "still.hdf5",
        duration_us=300_000,
        seed=2,
        scenario="standstill",
        sensor=SENSOR,
        settings={"vibration_deg": 0.0, "wires": 0, "shot_hz": 0.3},
    )
    with Truth(summary.truth) as truth:
        label, signal = truth.events()
        sky = label == CLASS_NAMES.index("sky")
        assert sky.sum() > 20
        assert signal[sky].mean() < 0.1


@pytest.mark.slow
def test_statistics_of_a_full_drive(tmp_path):
    """The figures of the measured prototype, with room: rate, active pixels, balance, noise."""
    summary = simulate_street(tmp_path / "full.hdf5", duration_us=1_500_000, seed=7)
    assert 0.3 < summary.n_events / summary.duration_us < 2.0
    assert 0.4 < summary.on_share < 0.6
    assert 0.01 < summary.noise_share < 0.2
    with open_recording(summary.recording) as recording:
        events = recording.events(recording.t_first_us + 500_000, recording.t_first_us + 550_000)
        active = np.zeros(recording.sensor, bool)
        active[events.y, events.x] = True
        assert 0.08 < active.mean() < 0.4
