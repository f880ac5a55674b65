"""The interactive window on a recording, driven without a screen."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.backend_bases import KeyEvent
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from recording_fixtures import write_recording

import eventseg
from eventseg.encoding import encode
from eventseg.encoding.representation import MEAN_STD, parse_representation
from eventseg.errors import OutputError, WindowError
from eventseg.plots.events import render_events
from eventseg.plots.explorer import EVENTS, Explorer, explore
from eventseg_cli.main import main


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    path = write_recording(tmp_path_factory.mktemp("explorer") / "rec.hdf5")
    with eventseg.open_recording(path) as opened:
        yield opened


def explorer(recording, representation=MEAN_STD, **choice):
    figure = Figure(figsize=(6, 4))
    FigureCanvasAgg(figure)
    middle = (recording.t_first_us + recording.t_last_us) // 2
    choice = {"window_us": 20_000, "t1_us": middle, **choice}
    return Explorer(recording, figure, representation=representation, **choice)


def press(shown, key):
    shown.figure.canvas.callbacks.process(
        "key_press_event", KeyEvent("key_press_event", shown.figure.canvas, key)
    )


def expected(recording, shown):
    events = recording.events(shown.t1_us - shown.window_us, shown.t1_us)
    latest = int(np.searchsorted(recording.frames.t_us, shown.t1_us, side="right")) - 1
    return render_events(events, None if latest < 0 else recording.frames.image(latest))


def test_events_of_the_moment_are_shown_over_the_frame(recording):
    shown = explorer(recording)
    assert shown.view == EVENTS
    assert np.array_equal(shown.image, expected(recording, shown))
    assert np.array_equal(shown._shown.get_array(), shown.image)


def test_keys_and_sliders_move_time_and_window(recording):
    shown = explorer(recording)
    begin = shown.t1_us
    press(shown, "right")
    assert shown.t1_us == pytest.approx(begin + 20_000, abs=1)
    press(shown, "shift+left")
    assert shown.t1_us == pytest.approx(begin - 180_000, abs=2) or (
        shown.t1_us == recording.t_first_us + 20_000
    )
    press(shown, "up")
    assert shown.window_us == pytest.approx(40_000, rel=1e-3)
    assert np.array_equal(shown.image, expected(recording, shown))
    for _ in range((recording.t_last_us - shown.t1_us) // 400_000 + 2):
        press(shown, "shift+right")
    assert shown.t1_us == recording.t_last_us + 1
    for _ in range(7):
        press(shown, "down")
    assert shown.window_us == 1_000
    shown._time.set_val(0.05)
    assert shown.t1_us == recording.t_first_us + 50_000
    press(shown, "x")
    assert shown.t1_us == recording.t_first_us + 50_000


@pytest.mark.parametrize("name", ["mean-std", "stack:2", "voxel:3"])
def test_channels_are_those_of_the_encoding(recording, name):
    representation = parse_representation(name)
    shown = explorer(recording, representation)
    tensor = encode(
        recording.events(shown.t1_us - shown.window_us, shown.t1_us), representation=name
    )
    for k, channel in enumerate(representation.all_channels):
        shown._views.set_active(k + 1)
        assert shown.view == channel.name
        order = np.argsort(tensor[k], axis=None)
        light = shown.image.astype(int).sum(-1).ravel()[order]
        assert light[-1] >= light[0]
        assert (shown.image.reshape(-1, 3)[tensor[k].ravel() == 0] == shown.image.reshape(-1, 3)[
            np.flatnonzero(tensor[k].ravel() == 0)[0]]).all()  # fmt: skip


def test_without_a_screen_a_picture_is_named(recording, tmp_path):
    with pytest.raises(OutputError, match="no screen to open a window on"):
        explore(recording)
    with pytest.raises(WindowError, match="must be 1ms to 1s"):
        explore(recording, window="2s")
    with pytest.raises(WindowError, match=r"nothing is at 100\.000000 s"):
        explore(recording, at="100s")
    result = CliRunner().invoke(main, ["view", str(recording.path), "--interactive"])
    assert result.exit_code == 1
    assert "write a picture with --out" in result.output
    both = CliRunner().invoke(
        main, ["view", str(recording.path), "--interactive", "--out", str(tmp_path / "a.png")]
    )
    assert both.exit_code == 2
    for option in ("--from", "--until", "--every"):
        part = ["view", str(recording.path), "--interactive", option, "100ms"]
        refused = CliRunner().invoke(main, part)
        assert refused.exit_code == 2
        assert "are for films" in refused.output
