"""Conversion: the same events in each format that is written, and what is lost is said."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings.contract import SENSOR, written_events, written_frames

from eventseg.errors import EventsError, OutputError, RecordingError
from eventseg.events import EventStream, SensorSize
from eventseg.recordings import DDD17Writer, Recording, open_recording
from eventseg.recordings.choices import FileChoices
from eventseg.recordings.contents import IMU_DTYPE
from eventseg.recordings.progress import Progress
from eventseg.recordings.table.dsec import DsecEvents
from eventseg.recordings.writers import convert as module
from eventseg.recordings.writers.convert import WRITTEN, convert
from eventseg_cli.main import main

REAL = Path(__file__).parents[2] / "shared/data/events/davis346_emlb_demo-01.aedat4"


def rows(recording: Recording, *, shift_us: int = 0) -> list[tuple[int, int, int, int]]:
    events = recording.events()
    t = (events.t + shift_us).tolist()
    return list(zip(t, *(getattr(events, name).tolist() for name in "xyp"), strict=True))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording with three frames, inertial samples, a special event and a signal."""
    path = tmp_path_factory.mktemp("source") / "rec.hdf5"
    ends_us, images = written_frames()
    imu = np.zeros(5, IMU_DTYPE)
    imu["t"] = [10_000, 20_000, 30_000, 300_000, 600_000]
    imu["ax"] = [0.5, 1, 2, 3, 4]
    with DDD17Writer(path, sensor=SENSOR) as writer:
        writer.add_events(written_events())
        for end, image in zip(ends_us, images, strict=True):
            writer.add_frame(
                image,
                t_start_us=end - 9_000,
                exposure_start_us=end - 8_000,
                exposure_end_us=end,
                t_end_us=end + 1_000,
            )
        writer.add_imu(imu)
        writer.add_specials([40_000], 2, 9)
        writer.add_signal("vehicle_speed", [1_000], [3.5])
    return path


@pytest.mark.parametrize("suffix", [".hdf5", ".aedat4"])
def test_a_turned_recording_is_the_one_that_is_opened_turned(
    source: Path, tmp_path: Path, suffix: str
) -> None:
    made = convert(source, tmp_path / f"out{suffix}", rotate180=True)
    with (
        open_recording(source, rotate180=True) as turned,
        open_recording(source) as before,
        open_recording(made.path, sensor=SENSOR) as after,
    ):
        assert rows(after) == rows(turned) != rows(before)
        for i in range(3):
            np.testing.assert_array_equal(after.frames.raw(i), before.frames.raw(i)[::-1, ::-1])


@pytest.mark.parametrize("suffix", WRITTEN)
def test_events_are_the_same_in_each_format(source: Path, tmp_path: Path, suffix: str) -> None:
    shares = []
    made = convert(source, tmp_path / f"out{suffix}", progress=lambda now: shares.append(now.share))
    with open_recording(source) as before, open_recording(made.path, sensor=SENSOR) as after:
        assert rows(after, shift_us=made.shift_us) == rows(before)
        assert made.events == before.n_events
        assert [*shares] == sorted(shares)
        assert shares[-1] == 1
        if suffix == ".aedat4":
            assert made.lost == {"vehicle signals": 1, "numbers of special events": 1}
            assert after.specials["type"].tolist() == before.specials["type"].tolist()
            after.specials.flags.writeable = True
            after.specials["data"] = before.specials["data"]
        if suffix in (".hdf5", ".aedat4"):
            assert made.lost.pop("numbers of special events", 1) == 1
            assert made.lost == ({} if suffix == ".hdf5" else {"vehicle signals": 1})
            assert made.signals == (suffix == ".hdf5")
            assert (made.frames, made.imu, made.specials) == (3, 5, 1)
            for name in ("t_start_us", "t_end_us", "exposure_start_us", "exposure_end_us"):
                found, there = (getattr(each.frames, name) for each in (after, before))
                np.testing.assert_array_equal(found, there)
            for i in range(3):
                np.testing.assert_array_equal(after.frames.raw(i), before.frames.raw(i))
            np.testing.assert_array_equal(after.imu(), before.imu())
            np.testing.assert_array_equal(after.specials, before.specials)
        else:
            assert made.lost == {
                "frames": 3, "inertial samples": 5, "special events": 1, "vehicle signals": 1,
            }  # fmt: skip


@pytest.mark.parametrize("suffix", WRITTEN)
def test_a_part_is_that_part(source: Path, tmp_path: Path, suffix: str) -> None:
    made = convert(source, tmp_path / f"out{suffix}", begin_us=50_000, end_us=200_000)
    with open_recording(source) as before, open_recording(made.path, sensor=SENSOR) as after:
        t0_us = before.t_first_us
        expected = before.events(t0_us + 50_000, t0_us + 200_000)
        assert [t for t, *_ in rows(after, shift_us=made.shift_us)] == expected.t.tolist()
        frames = before.frames.t_us - t0_us
        inside = int(((frames >= 50_000) & (frames < 200_000)).sum())
        assert made.frames + made.lost.get("frames", 0) == inside == 1


@pytest.mark.skipif(not REAL.is_file(), reason="needs the real recordings")
@pytest.mark.parametrize("suffix", WRITTEN)
def test_real_recording_and_back(tmp_path: Path, suffix: str) -> None:
    made = convert(REAL, tmp_path / f"out{suffix}")
    sensor = SensorSize(260, 346)
    with open_recording(REAL) as before, open_recording(made.path, sensor=sensor) as after:
        events, again = before.events(), after.events()
        assert len(again) == 319_512
        np.testing.assert_array_equal(again.t + made.shift_us, events.t)
        for name in "xyp":
            np.testing.assert_array_equal(getattr(again, name), getattr(events, name))
        if suffix in (".hdf5", ".aedat4"):
            assert (len(after.frames), len(after.imu())) == (13, 510)
            shifted = after.frames.t_us + made.shift_us
            np.testing.assert_array_equal(shifted, before.frames.t_us)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 40_000_000),
            st.integers(0, SENSOR.width - 1),
            st.integers(0, SENSOR.height - 1),
            st.integers(0, 1),
        ),
        min_size=1,
        max_size=60,
    ),
    st.integers(0, 10**9),
)
@settings(max_examples=40, deadline=None)
def test_evt3_keeps_any_events(tmp_path_factory, found, begin_us: int) -> None:
    """Pauses of more than the 16.8 s that its clock has, runs of neighbours, equal times."""
    folder = tmp_path_factory.mktemp("evt3")
    ordered = sorted(found, key=lambda row: row[0])
    columns = np.array(ordered, np.int64).T
    names = dict(zip("xyp", columns[1:], strict=True))
    np.savez(folder / "rec.npz", t_us=columns[0] + begin_us, **names)
    made = convert(folder / "rec.npz", folder / "rec.raw", sensor=SENSOR)
    with open_recording(made.path) as after:
        assert rows(after, shift_us=made.shift_us) == [(t + begin_us, *row) for t, *row in ordered]


def test_ms_index_of_hdf5_points_at_each_millisecond(source: Path, tmp_path: Path, monkeypatch):
    import h5py

    monkeypatch.setattr(module, "EVENTS_AT_ONCE", 137)
    convert(source, tmp_path / "out.h5")
    with h5py.File(tmp_path / "out.h5") as file:
        t, index, first = file["events/t"][:], file["ms_to_idx"][:], int(file["first_ms"][()])
        assert int(file["t_offset"][()]) == first * 1_000 == 1_000
    expected = np.searchsorted(t, np.arange(len(index) - 1) * 1_000)
    np.testing.assert_array_equal(index, [*expected, len(t)])


@pytest.mark.parametrize("t0_us", [0, 5_000_000, 1_643_243_628_737_093, -150_000])
def test_readers_of_dsec_find_events_by_time(tmp_path: Path, monkeypatch, t0_us: int) -> None:
    monkeypatch.setattr(module, "EVENTS_AT_ONCE", 137)
    number = np.arange(700)
    columns = {"t_us": t0_us + number * 777, "x": number % 16, "y": number % 12, "p": number % 2}
    np.savez(tmp_path / "rec.npz", **columns, width=SENSOR.width, height=SENSOR.height)
    made = convert(tmp_path / "rec.npz", tmp_path / "out.h5")
    with (
        open_recording(tmp_path / "rec.npz") as before,
        open_recording(made.path) as after,
        contextlib.closing(DsecEvents(made.path, rectification="none")) as slices,
    ):
        assert rows(after) == rows(before)
        for first in (0, 1, 100_000, 333_333):
            span = (t0_us + first, t0_us + first + 50_000)
            there, found = before.events(*span), slices.events(*span)
            for name in "txyp":
                np.testing.assert_array_equal(getattr(found, name), getattr(there, name))


def test_what_cannot_be_written_leaves_nothing(source: Path, tmp_path: Path, monkeypatch) -> None:
    for name, words in (
        ("out.bag", r"'\.bag' is none that is written: \.hdf5"),
        ("rec.raw", "is there already; give another name, or --overwrite"),
    ):
        if name == "rec.raw":
            (tmp_path / name).write_bytes(b"mine")
        with pytest.raises(OutputError, match=words):
            convert(source, tmp_path / name)
    with pytest.raises(RecordingError, match=r"no events in that part; it lasts 0\.6"):
        convert(source, tmp_path / "late.raw", begin_us=10**9)
    with pytest.raises(OutputError, match="is the source itself"):
        convert(source, source, overwrite=True)
    np.savez(tmp_path / "wide.npz", t=[5, 6], x=[3_000, 1], y=[1, 2], p=[0, 1])
    with pytest.raises(OutputError, match="EVT3 holds at most 2048"):
        convert(tmp_path / "wide.npz", tmp_path / "wide.raw")

    def broken(*_arguments, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_evt3", broken)
    with pytest.raises(OutputError, match="No space left"):
        convert(source, tmp_path / "full.raw")
    left = {path.name for path in tmp_path.iterdir()} - {"cache"}
    assert left == {"rec.raw", "wide.npz"}
    assert (tmp_path / "rec.raw").read_bytes() == b"mine"


def test_times_of_a_host_clock_are_refused_by_the_writer_at_once(tmp_path: Path) -> None:
    t = np.array([1_643_243_628_737_093])
    with (
        pytest.raises(EventsError, match="subtract the first time"),
        DDD17Writer(tmp_path / "rec.hdf5", sensor=SENSOR) as writer,
    ):
        writer.add_events(t, [1], [2], [0])
    assert not list(tmp_path.iterdir())


def test_no_special_events_are_no_error(tmp_path: Path) -> None:
    with DDD17Writer(tmp_path / "rec.hdf5", sensor=SENSOR) as writer:
        writer.add_events([1], [2], [3], [1])
        writer.add_specials([], [], [])


def test_command(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep/out.csv"
    done = CliRunner().invoke(main, ["convert", str(source), str(out), "--to", "100ms"])
    assert done.exit_code == 0, done.output
    assert "lost, as the format has no place for them: 1 frames" in done.stdout
    more = ["--overwrite", "--json"]
    done = CliRunner().invoke(main, ["convert", str(source), str(out), *more])
    assert json.loads(done.stdout)["lost"]["frames"] == 3
    refused = CliRunner().invoke(main, ["convert", str(source), str(tmp_path / "x.bag")])
    assert refused.exit_code == 1
    assert len(refused.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("suffix", WRITTEN)
def test_a_stopped_conversion_leaves_nothing(source: Path, tmp_path: Path, suffix: str) -> None:
    def stop(now: Progress) -> None:
        if now.stage == "convert":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(source, tmp_path / f"out{suffix}", progress=stop)
    assert list(tmp_path.glob("out*")) == []


def test_what_a_killed_conversion_left_is_removed(source: Path, tmp_path: Path) -> None:
    names = ("a.raw.1.tmp", ".a.raw.1.part", "a.raw.2.tmp", "b.raw.1.tmp", "a.raw.notes.tmp")
    old, part, new, other, foreign = (tmp_path / name for name in names)
    for path in (old, part, new, other, foreign):
        path.write_bytes(b"half")
    for path in (old, part, other, foreign):
        os.utime(path, (0, 0))
    convert(source, tmp_path / "a.raw")
    # The newer one may be that of another process, and the others are of other files.
    left = sorted(path.name for path in tmp_path.glob("*.raw*"))
    assert left == ["a.raw", new.name, foreign.name, other.name]


@pytest.mark.parametrize("t0_s", [0.0, 0.2, 1_506_000_000.0])
@pytest.mark.parametrize("suffix", [".hdf5", ".aedat4"])
def test_a_picture_before_the_first_event_stays(tmp_path: Path, t0_s: float, suffix: str) -> None:
    """Pictures of MVSEC have one time, which is the zero of the new file for the first of them."""
    import h5py

    height, width = SENSOR
    number = np.arange(60)
    images = (
        np.full((4, height, width), 1, np.uint8) * np.arange(1, 5, dtype=np.uint8)[:, None, None]
    )
    events = np.stack(
        [number % width, number % height, t0_s + 0.1 + number * 1e-3, number % 2 * 2 - 1]
    )
    with h5py.File(tmp_path / "mvsec.h5", "w") as file:
        file["davis/left/events"] = events.T
        file["davis/left/image_raw"] = images
        file["davis/left/image_raw_ts"] = t0_s + np.arange(4) * 0.05
    for shift_us in (0, -200_000):
        made = convert(
            tmp_path / "mvsec.h5",
            tmp_path / f"out{suffix}",
            choices=FileChoices(shift_frames_us=shift_us),
            overwrite=True,
        )
        with (
            open_recording(tmp_path / "mvsec.h5", shift_frames_us=shift_us) as before,
            open_recording(made.path, sensor=SENSOR) as after,
        ):
            assert len(after.frames) == made.frames == 4
            np.testing.assert_array_equal(after.frames.t_us + made.shift_us, before.frames.t_us)
            for i in range(4):
                np.testing.assert_array_equal(after.frames.raw(i), before.frames.raw(i))
            assert rows(after, shift_us=made.shift_us) == rows(before)


@pytest.mark.parametrize("pause_s", [0, 90])
def test_quiet_recordings_and_pauses_of_minutes_are_written(tmp_path: Path, pause_s: int) -> None:
    """Few events make one span of minutes, and in a pause nothing but the rest comes."""
    number = np.arange(300)
    t = number * 500_000 + (number >= 150) * pause_s * 1_000_000
    imu = np.zeros(int(t[-1]) // 1_000_000 + 5, IMU_DTYPE)
    imu["t"] = np.arange(len(imu)) * 1_000_000
    with DDD17Writer(tmp_path / "rec.hdf5", sensor=SENSOR, reorder_us=10**10) as writer:
        columns = (t, number % 16, number % 12, number % 2)
        writer.add_events(EventStream.from_arrays(*columns, sensor=SENSOR, t_unit="us"))
        for end in imu["t"].tolist()[1:]:
            stamps = {"t_start_us": end, "exposure_start_us": end}
            image = np.full(SENSOR, end // 1_000_000 % 256, np.uint8)
            writer.add_frame(image, exposure_end_us=end, t_end_us=end, **stamps)
        writer.add_imu(imu)
        writer.add_specials(imu["t"], 2, 9)
    made = convert(tmp_path / "rec.hdf5", tmp_path / "out.hdf5")
    with open_recording(tmp_path / "rec.hdf5") as before, open_recording(made.path) as after:
        assert rows(after) == rows(before)
        np.testing.assert_array_equal(after.frames.t_us, before.frames.t_us)
        last_us = before.frames.t_us[-1] + 1
        np.testing.assert_array_equal(after.imu(0, last_us), before.imu(0, last_us))
        np.testing.assert_array_equal(after.frames.raw(99), before.frames.raw(99))


@pytest.mark.parametrize("suffix", [".hdf5", ".aedat4"])
@pytest.mark.parametrize(("begin_us", "end_us"), [(0, None), (0, 400_000), (400_000, None)])
def test_samples_before_the_first_event_and_after_the_last_stay(
    tmp_path: Path, suffix: str, begin_us: int, end_us: int | None
) -> None:
    imu = np.zeros(200, IMU_DTYPE)
    imu["t"] = np.arange(200) * 10_000
    with DDD17Writer(tmp_path / "rec.hdf5", sensor=SENSOR) as writer:
        writer.add_imu(imu)
        writer.add_specials([100_000, 600_000, 1_900_000], 2)
        writer.add_events(
            np.arange(500_000, 1_500_000, 1_000), [1] * 1_000, [2] * 1_000, [0] * 1_000
        )
    made = convert(
        tmp_path / "rec.hdf5", tmp_path / f"out{suffix}", begin_us=begin_us, end_us=end_us
    )
    assert made.lost == {}
    # Times count from the first event; an end that is given cuts all contents.
    t0_us, t1_us = (500_000 + begin_us if begin_us else 0), (500_000 + (end_us or 10**7))
    with open_recording(tmp_path / "rec.hdf5") as before, open_recording(made.path) as after:
        for name, there, found in (
            ("imu", before.imu(), after.imu()),
            ("specials", before.specials, after.specials),
        ):
            inside = there["t"][(there["t"] >= t0_us) & (there["t"] < t1_us)]
            assert found["t"].tolist() == inside.tolist(), name
    made = convert(tmp_path / "rec.hdf5", tmp_path / "out.raw")
    assert made.lost == {"inertial samples": 200, "special events": 3}


def test_samples_of_another_clock_are_counted(tmp_path: Path) -> None:
    """A driver may leave the stamps of one sensor at zero."""
    import h5py

    with h5py.File(tmp_path / "mvsec.h5", "w") as file:
        file["davis/left/events"] = [[1, 2, 1_506_000_000.0 + i * 1e-3, 1] for i in range(50)]
        file["davis/left/imu"] = np.ones((3, 6))
        file["davis/left/imu_ts"] = [0.0, 0.001, 1_506_000_000.01]
    made = convert(tmp_path / "mvsec.h5", tmp_path / "out.hdf5")
    assert (made.events, made.imu, made.lost) == (50, 1, {"inertial samples": 2})


@pytest.mark.parametrize("suffix", WRITTEN)
def test_events_at_negative_times_are_the_same_in_each_format(tmp_path: Path, suffix: str) -> None:
    t = np.arange(-150_000, 150_000, 1_000)
    number = np.arange(len(t))
    size = {"width": SENSOR.width, "height": SENSOR.height}
    np.savez(tmp_path / "rec.npz", t_us=t, x=number % 16, y=number % 12, p=number % 2, **size)
    made = convert(tmp_path / "rec.npz", tmp_path / f"out{suffix}", overwrite=True)
    with (
        open_recording(tmp_path / "rec.npz") as before,
        open_recording(made.path, sensor=SENSOR) as after,
    ):
        assert rows(after, shift_us=made.shift_us) == rows(before)
    if suffix in (".hdf5", ".aedat4"):
        assert made.shift_us == -150_000
        assert "  times are 150,000 us more than in the source" in made.lines()


@pytest.mark.parametrize("begin_us", [0, 100_000])
@pytest.mark.parametrize("shift_us", [0, -50_000])
def test_vehicle_signals_stay(tmp_path: Path, begin_us: int, shift_us: int) -> None:
    """A frame before the clock's zero moves all times; signals may begin before all."""
    t = np.arange(-20_000, 420_000, 7_000)
    with DDD17Writer(tmp_path / "rec.hdf5", sensor=SENSOR) as writer:
        writer.add_events(written_events())
        writer.add_frame(
            written_frames()[1][0],
            t_start_us=20_000,
            exposure_start_us=20_000,
            exposure_end_us=25_000,
            t_end_us=25_000,
        )
        writer.add_signal("vehicle_speed", t, t * 0.5)
        writer.add_signal("steering_wheel_angle", [2_000], [-7.0])
    made = convert(
        tmp_path / "rec.hdf5",
        tmp_path / "out.hdf5",
        begin_us=begin_us,
        choices=FileChoices(shift_frames_us=shift_us),
        rotate180=True,
    )
    with open_recording(tmp_path / "rec.hdf5") as before, open_recording(made.path) as after:
        t0_us = before.t_first_us + begin_us if begin_us else -(10**9)
        assert len(after.signals) == made.signals == 1 + (begin_us == 0)
        for name, signal in after.signals.items():
            source = before.signals[name]
            inside = source.t_us >= t0_us
            np.testing.assert_array_equal(signal.value, source.value[inside])
            np.testing.assert_array_equal(signal.t_us + made.shift_us, source.t_us[inside])
            np.testing.assert_array_equal(signal.t_host_us, source.t_host_us[inside])


@pytest.mark.parametrize("suffix", WRITTEN)
def test_the_size_of_the_sensor_stays(tmp_path: Path, suffix: str) -> None:
    number = np.arange(500)
    columns = {"t_us": number * 1_000, "x": number % 100, "y": number % 50, "p": number % 2}
    np.savez(tmp_path / "rec.npz", **columns, width=640, height=480)
    made = convert(tmp_path / "rec.npz", tmp_path / f"out{suffix}")
    told = suffix != ".csv"
    with open_recording(made.path, sensor=None if told else SensorSize(480, 640)) as after:
        assert after.sensor == SensorSize(480, 640)
        assert len(after.events()) == 500
    hint = any("give --sensor 640x480" in line for line in made.lines())
    assert hint == (suffix == ".csv")


@pytest.mark.parametrize("width", [0, -5, 2**40, 1.5, "wide"])
def test_a_senseless_size_of_the_sensor_is_not_taken(tmp_path: Path, width: object) -> None:
    import h5py

    with DDD17Writer(tmp_path / "rec.hdf5", sensor=SensorSize(480, 640)) as writer:
        writer.add_events([1, 2], [3, 4], [5, 6], [0, 1])
    with h5py.File(tmp_path / "rec.hdf5", "r+") as file:
        file["dvs"].attrs["width"] = width
    with open_recording(tmp_path / "rec.hdf5") as recording:
        assert any("inferred" in note for note in recording.report.notes)
