"""Pictures: every pixel of the event image, and figures without global state."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image
from recording_fixtures import write_recording

import eventseg
from eventseg.encoding.tensors import encode
from eventseg.errors import EventsError, OutputError, WindowError
from eventseg.events import EventStream, SensorSize
from eventseg.images import FIGURES
from eventseg.plots.conditions import Line, figure_groups
from eventseg.plots.events import (
    OFF_RGB,
    ON_RGB,
    figure_sample,
    render_events,
    save_figure,
)
from eventseg.plots.moments import figure_moment, figure_windows
from eventseg.recordings import open_recording
from eventseg_cli.main import main

SENSOR = SensorSize(3, 4)


@pytest.mark.parametrize("joined", [True, False])
def test_points_of_joined_groups_stand_at_their_numbers(joined: bool) -> None:
    values = np.array([50.0, 40.0, 30.0])
    lines = [Line(name, values, values - 1, values + 1, [4] * 3) for name in ("one", "two")]
    figure = figure_groups(lines, names=["1", "0.5", "0"], title="", label="", joined=joined)
    one, two = figure.axes[0].lines
    places = [line.get_xdata() for line in (one, two)]
    assert all(np.array_equal(at, np.arange(3)) for at in places) == joined
    assert one.get_marker() != two.get_marker()
    if joined:
        assert one.get_linestyle() != two.get_linestyle()


def stream(events: list[tuple[int, int, int]], sensor: SensorSize = SENSOR) -> EventStream:
    x, y, p = np.array(events, np.int64).reshape(-1, 3).T
    return EventStream.from_arrays(np.arange(len(x)), x, y, p, sensor=sensor, t0_us=0, t1_us=100)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 1)), max_size=40),
    st.booleans(),
)
def test_each_pixel_has_the_colour_of_its_majority(
    events: list[tuple[int, int, int]], with_frame: bool
) -> None:
    frame = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20 if with_frame else None
    picture = render_events(stream(events), frame)
    for y in range(3):
        for x in range(4):
            mine = [p for ex, ey, p in events if (ex, ey) == (x, y)]
            below = 255 if frame is None else int(frame[y, x])
            if not mine:
                expected = (below, below, below)
            elif 2 * sum(mine) == len(mine):
                expected = ON_RGB if mine[-1] else OFF_RGB
            else:
                expected = ON_RGB if 2 * sum(mine) > len(mine) else OFF_RGB
            assert tuple(picture[y, x]) == expected


def test_frame_of_another_size_is_refused_and_the_given_one_kept() -> None:
    frame = np.zeros((3, 4), np.uint8)
    render_events(stream([(1, 1, 1)]), frame)
    assert not frame.any()
    with pytest.raises(EventsError, match="does not fit the sensor 4x3"):
        render_events(stream([]), np.zeros((4, 3), np.uint8))


def test_figure_has_eight_panels_and_six_colour_bars_with_units(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "rec.hdf5")
    with open_recording(path) as recording:
        figure = figure_moment(recording, at=550_000)
    titles = [axes.get_title() for axes in figure.axes]
    assert [title.split(",")[0] for title in titles if title.startswith(("ON", "OFF"))] == [
        f"{sign} {name}" for sign in ("ON", "OFF") for name in ("count", "mean time", "std of time")
    ]
    units = [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()]
    assert sorted(units) == ["events"] * 2 + ["share of the window"] * 4
    assert (
        "rec, 50ms up to 0.55 s; frame 4, whose exposure ended 52.2 ms earlier"
        in figure.get_suptitle()
    )


@pytest.mark.parametrize("number", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_figure_of_hardly_any_events_can_be_saved_twice_the_same(
    tmp_path: Path, number: int
) -> None:
    events = stream([(1, 1, 1)] * number)
    pictures = []
    for name in ("a.png", "b.png"):
        save_figure(figure_sample(events, encode(events)), tmp_path / name)
        pictures.append((tmp_path / name).read_bytes())
    assert pictures[0] == pictures[1]
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size[0] > 2000


def test_cropped_tensor_marks_its_rows_on_the_events() -> None:
    events = stream([(1, 1, 1)])
    cropped = figure_sample(events, encode(events, rows=(1, 3)), row0=1)
    (mark,) = [patch for axes in cropped.axes for patch in axes.patches if patch.get_height() == 2]
    assert mark.get_y() == 0.5


def test_moment_outside_the_recording_is_refused(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "rec.hdf5")
    with open_recording(path) as recording:
        with pytest.raises(WindowError, match=r"nothing is at 3\.000000 s"):
            figure_moment(recording, at=3_000_000)
        with pytest.raises(WindowError, match="longer than rec"):
            figure_moment(recording, window=3_000_000)


def test_windows_of_several_lengths_stand_side_by_side(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "rec.hdf5")
    with open_recording(path) as recording:
        figure = figure_windows(recording, at=550_000, windows=["10ms", 50_000])
        titles = [axes.get_title() for axes in figure.axes]
        for window, title in zip(("10ms", "50ms"), titles[:2], strict=True):
            t1_us = recording.t_first_us + 550_000
            events = recording.events(t1_us - eventseg.parse_duration(window), t1_us)
            assert title == f"{window}, {len(events):,} events"
            assert titles[titles.index(title) + 2].startswith("events a pixel, 0 to ")
        assert (
            "rec, up to 0.55 s; frame 4, whose exposure ended 52.2 ms earlier"
            in figure.get_suptitle()
        )
        with pytest.raises(WindowError, match="at least one window"):
            figure_windows(recording, windows=[])
        with pytest.raises(WindowError, match="longer than rec"):
            figure_windows(recording, windows=["10ms", 3_000_000])
    out = str(tmp_path / "a.png")
    asked = ["view", str(path), "--window", "10ms,50ms", "--out", out, "--json"]
    found = json.loads(CliRunner().invoke(main, asked).stdout)
    assert found["windows"] == ["10ms", "50ms"]
    with Image.open(found["picture"]) as picture:
        assert picture.size[0] > 600


def test_picture_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    events = stream([])
    figure = figure_sample(events, encode(events))
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.png").mkdir()
    for name, reason in (
        ("file/a.png", "file is a file; give a folder"),
        ("a.nonsense", r"a\.nonsense must end in one of \.png, \.pdf, "),
        ("folder.png", "is a folder; give a file"),
    ):
        with pytest.raises(OutputError, match=reason):
            save_figure(figure, tmp_path / name)
        shown = CliRunner().invoke(main, ["view", str(tmp_path), "--out", str(tmp_path / name)])
        assert shown.exit_code == 2
        assert re.search(reason, shown.output)


@pytest.mark.parametrize("ending", FIGURES)
def test_figures_are_written_by_their_ending_into_new_folders(tmp_path: Path, ending: str) -> None:
    figure = Figure(figsize=(0.4, 0.3))
    save_figure(figure, tmp_path / "new" / f"a{ending.upper()}")
    (written,) = (tmp_path / "new").iterdir()
    assert written.stat().st_size > 0
