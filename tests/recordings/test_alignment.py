"""Alignment of events and frames: planted shifts are found, what tells nothing is said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from eventseg.errors import RecordingError
from eventseg.events import EventStream, SensorSize
from eventseg.recordings import DDD17Writer, open_recording
from eventseg.recordings.alignment import align
from eventseg_cli.main import main

SENSOR = SensorSize(48, 64)
REAL = Path(__file__).parents[2] / "shared/data/events/davis346_emlb_demo-01.aedat4"


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bars that move to the right by a pixel every 2 ms, with an event at each step of an edge."""
    path = tmp_path_factory.mktemp("bars") / "bars.hdf5"
    period, step_us = 32, 2_000

    def picture(t_us: float) -> np.ndarray:
        phase = (np.arange(SENSOR.width) - t_us / step_us) % period
        row = np.where(phase < period / 2, 200, 40)
        return np.broadcast_to(row, SENSOR).astype(np.uint8)

    rows = []
    for k in range(1, 400):
        before, now = picture((k - 1) * step_us), picture(k * step_us)
        y, x = np.nonzero(before != now)
        rows.append((np.full(len(x), k * step_us), x, y, now[y, x] > before[y, x]))
    t, x, y, p = (np.concatenate(column) for column in zip(*rows, strict=True))
    with DDD17Writer(path, sensor=SENSOR) as writer:
        writer.add_events(EventStream.from_arrays(t, x, y, p, sensor=SENSOR))
        for k in range(8):
            middle = 150_000 + 62_000 * k
            writer.add_frame(
                picture(middle),
                t_start_us=middle - 1_000,
                exposure_start_us=middle - 1_000,
                exposure_end_us=middle + 1_000,
                t_end_us=middle + 1_000,
            )
    return path


def shifted(recording, shift_us: int):
    frames = recording.frames
    names = ("t_start_us", "t_end_us", "exposure_start_us", "exposure_end_us")
    recording.frames = replace(frames, **{name: getattr(frames, name) + shift_us for name in names})
    return recording


# Edges repeat every 32 ms: a range below half of it holds one best shift.
@pytest.mark.parametrize("planted_us", [-10_000, 0, 7_500, 10_000])
def test_planted_shifts_are_found(bars: Path, planted_us: int) -> None:
    with open_recording(bars) as recording:
        found = align(shifted(recording, -planted_us), range_us=15_000, window_us=10_000)
    assert abs(found.offset_us - planted_us) <= 2_500
    assert found.interval_us[0] <= found.offset_us <= found.interval_us[1]
    assert found.certain
    assert found.pixels == (0, 0)


def test_a_shift_in_space_is_found(bars: Path, tmp_path: Path) -> None:
    with (
        open_recording(bars) as recording,
        DDD17Writer(tmp_path / "moved.hdf5", sensor=SENSOR) as writer,
    ):
        events = recording.events()
        inside = events.x >= 2
        columns = (getattr(events, name)[inside] for name in "tyxp")
        t, y, x, p = columns
        writer.add_events(EventStream.from_arrays(t, x - 2, y, p, sensor=SENSOR))
        for i in range(len(recording.frames)):
            names = ("t_start_us", "t_end_us", "exposure_start_us", "exposure_end_us")
            stamps = {name: int(getattr(recording.frames, name)[i]) for name in names}
            writer.add_frame(recording.frames.raw(i), **stamps)
    with open_recording(tmp_path / "moved.hdf5") as recording:
        # In space alone: along the motion, place and time stand for each other.
        found = align(recording, range_us=0, window_us=10_000, most_pixels=3)
    assert found.pixels == (0, -2)


@pytest.mark.skipif(not REAL.is_file(), reason="needs the real recordings")
@pytest.mark.parametrize("planted_us", [0, 50_000])
def test_planted_shift_of_a_real_camera_is_found(planted_us: int) -> None:
    with open_recording(REAL) as recording:
        # Half a second leaves few frames with events all about them.
        found = align(shifted(recording, -planted_us), range_us=75_000)
    assert planted_us - 2_500 <= found.offset_us <= planted_us + 12_500
    assert found.pixels == (0, 0)


def test_what_tells_nothing_is_an_error(bars: Path, tmp_path: Path) -> None:
    with open_recording(bars) as recording:
        with pytest.raises(RecordingError, match="0 of 8 frames have events all about them"):
            align(recording, range_us=600_000)
        recording.frames = type(recording.frames).none(SENSOR)
        with pytest.raises(RecordingError, match="has no frames to align"):
            align(recording)


def test_command_writes_the_curve(bars: Path, tmp_path: Path) -> None:
    words = ["align", str(bars), "--range", "20ms", "--window", "10ms", "--out"]
    done = CliRunner().invoke(main, [*words, str(tmp_path / "curve.png")])
    assert done.exit_code == 0, done.output
    assert "as on sound recordings" in done.stdout
    assert (tmp_path / "curve.png").stat().st_size > 5_000
    done = CliRunner().invoke(main, [*words[:-1], "--json"])
    found = json.loads(done.stdout)
    assert found["certain"] is True
    assert len(found["shifts_us"]) == len(found["agreement"]) == 17
