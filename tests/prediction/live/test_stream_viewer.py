"""Live streams in the viewer Rerun: what is shown, its recordings, and what cannot be."""

from __future__ import annotations

import math
import socket
import sys
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from recording_fixtures import SMALL, write_recording
from stream_fixtures import TABLE, Given, events_at, packet, pixel_network, save_random_network

from eventseg.errors import MissingExtraError, OutputError
from eventseg.plots.events import render_events
from eventseg.prediction import LiveViewer, predict, stream
from eventseg.recordings import open_recording
from eventseg_cli.main import main

VIEWER = import_module("eventseg.prediction.live.viewer")
TIMES = np.cumsum(np.random.default_rng(0).integers(0, 900, 300))


@dataclass
class Shown:
    """Value that was given to a class of Rerun."""

    name: str
    value: object = None
    settings: dict = field(default_factory=dict)


class FakeStream:
    """The few methods of a recording stream that are called."""

    def __init__(self, name: str) -> None:
        self.calls, self.logged, self.clock = [], [], {}

    def spawn(self, *, default_blueprint) -> None:
        self.calls.append("spawn")

    def save(self, path, *, default_blueprint) -> None:
        self.calls.append("save")
        Path(path).write_bytes(b"RRF2")

    def send_recording_name(self, name) -> None:
        self.calls.append(name)

    def set_time(self, timeline, **value) -> None:
        (self.clock[timeline],) = value.values()

    def log(self, entity, value, *, static=False) -> None:
        self.logged.append((entity, value, None if static else dict(self.clock)))

    def disconnect(self) -> None:
        self.calls.append("disconnect")


@pytest.fixture
def rerun(monkeypatch):
    """Rerun as far as it is used; ``opened`` are the streams."""
    module, blueprint = ModuleType("rerun"), ModuleType("rerun.blueprint")

    def kind(name):
        return lambda value=None, **settings: Shown(name, value, settings)

    for name in (
        "AnnotationContext", "AnnotationInfo", "Image", "Scalars", "SegmentationImage",
        "SeriesLines",
    ):  # fmt: skip
        setattr(module, name, kind(name))
    for name in (
        "Blueprint", "Horizontal", "Spatial2DView", "TimePanel", "TimeSeriesView", "Vertical",
    ):  # fmt: skip
        setattr(blueprint, name, lambda *parts, **settings: SimpleNamespace())
    module.opened = []

    def opened(name):
        module.opened.append(FakeStream(name))
        return module.opened[-1]

    module.RecordingStream = opened
    module.blueprint = blueprint
    monkeypatch.setitem(sys.modules, "rerun", module)
    monkeypatch.setitem(sys.modules, "rerun.blueprint", blueprint)
    with socket.create_server(("127.0.0.1", 0)) as server:  # the viewer that is started
        monkeypatch.setattr(VIEWER, "PORT", server.getsockname()[1])
        monkeypatch.setenv("DISPLAY", ":0")
        module.server = server
        yield module


@pytest.fixture
def no_rerun(monkeypatch):
    monkeypatch.setitem(sys.modules, "rerun", None)


def of(logged, entity):
    return [(value, clock) for name, value, clock in logged if name == entity]


def test_what_is_shown_of_a_replayed_recording(rerun, tmp_path):
    network = pixel_network(sensor=SMALL, window="50ms")
    path = write_recording(tmp_path / "rec.hdf5", frames=4)
    live = stream(
        network, path, every="100ms", speed=math.inf, keep_events=True, device="cpu",
        max_frame_age_us=None,
    )  # fmt: skip
    viewer = LiveViewer(live)
    made = []
    live.run(lambda prediction: (viewer(prediction), made.append(prediction)))
    viewer.close()
    (shown,) = rerun.opened
    assert shown.calls == ["spawn", "rec", "disconnect"]
    maps = of(shown.logged, "labels")
    (context, clock), *maps = maps
    assert clock is None
    assert [info.settings for info in context.value] == [
        {"id": i, "label": name, "color": colour}
        for i, (name, colour) in enumerate(zip(TABLE.names, TABLE.colours, strict=True))
    ]
    assert len(maps) == len(made) > 5
    first_us = made[0].t_us
    with open_recording(path) as recording:
        events = of(shown.logged, "events")
        for (labels, clock), (picture, _), p in zip(maps, events, made, strict=True):
            np.testing.assert_array_equal(labels.value, p.labels)
            assert clock["t_us"] == p.t_us
            assert clock["time"] == np.timedelta64(p.t_us - first_us, "us")
            expected = recording.events(p.t_us - 50_000, p.t_us)
            np.testing.assert_array_equal(picture.value, render_events(expected))
        frames = of(shown.logged, "frame")
        seen = [p.frame for p in made if p.frame >= 0]
        assert len(frames) == len(set(seen)) > 1
        for i, (picture, clock) in zip(sorted(set(seen)), frames, strict=True):
            np.testing.assert_array_equal(picture.value, recording.frames.image(i))
            assert clock["t_us"] == recording.frames.t_us[i]
    (names, _), *latencies = of(shown.logged, "latency")
    assert names.settings["names"] == ["latency ms", "encode", "wait", "network", "argmax"]
    assert [value.value[0] for value, _ in latencies] == [p.latency_ms for p in made]
    (legend, _), *shares = of(shown.logged, "classes")
    assert legend.settings == {"names": list(TABLE.names), "colors": list(TABLE.colours)}
    assert all(value.value.sum() == pytest.approx(100) for value, _ in shares)
    counts = [value.value for value, clock in of(shown.logged, "counts/events") if clock]
    assert counts == [[float(p.events)] for p in made]


def test_networks_of_frames_show_the_frame_that_they_see(rerun, tmp_path):
    path = write_recording(tmp_path / "rec.hdf5")
    network = pixel_network(sensor=SMALL, kind="both")
    live = stream(network, path, every="100ms", speed=math.inf, keep_events=True, device="cpu")
    viewer = LiveViewer(live)
    made = []
    live.run(lambda prediction: (viewer(prediction), made.append(prediction)))
    frames = of(rerun.opened[0].logged, "frame")
    with open_recording(path) as recording:
        for p, (picture, _) in zip(made, frames, strict=True):
            np.testing.assert_array_equal(picture.value[:, :, 0], recording.frames.image(p.frame))


def test_a_stream_without_events_kept_shows_labels_alone(rerun):
    events = events_at(TIMES)
    source = Given([packet(events, slice(None))])
    live = stream(pixel_network(), source, queue="all", device="cpu")
    viewer = LiveViewer(live)
    live.run(viewer)
    shown = {entity for entity, _, clock in rerun.opened[0].logged if clock}
    assert shown == {"labels", "latency", "classes", "counts/rate", "counts/dropped"}


def test_what_the_viewer_refuses_is_one_line(rerun, tmp_path, monkeypatch):
    live = stream(pixel_network(), Given([]), device="cpu")
    with pytest.raises(OutputError, match=r"must end in \.rrd, got .*maps\.png"):
        LiveViewer(live, tmp_path / "maps.png")
    (tmp_path / "a.rrd").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        LiveViewer(live, tmp_path / "a.rrd")

    def no_screen(self, *, default_blueprint):
        raise RuntimeError("no display\nbacktrace")

    with monkeypatch.context() as broken:
        broken.setattr(FakeStream, "spawn", no_screen)
        with pytest.raises(OutputError, match=r"does not start \(no display\); record with --view"):
            LiveViewer(live)
    with monkeypatch.context() as broken:
        broken.setattr(VIEWER.sys, "platform", "linux")
        for name in VIEWER.SCREENS:
            broken.delenv(name, raising=False)
        with pytest.raises(OutputError, match=r"there is no screen: DISPLAY is not set\); record"):
            LiveViewer(live)
    rerun.server.close()
    with pytest.raises(OutputError, match=r"does not start \(Connection refused\)"):
        LiveViewer(live)

    def full(self, path, *, default_blueprint):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(FakeStream, "save", full)
    with pytest.raises(OutputError, match=r"b\.rrd: No space left"):
        LiveViewer(live, tmp_path / "b.rrd")


def test_a_recording_has_its_name_once_it_is_complete(rerun, tmp_path):
    live = stream(pixel_network(), Given([]), device="cpu")
    viewer = LiveViewer(live, tmp_path / "deep" / "a.rrd")
    assert [path.suffix for path in (tmp_path / "deep").iterdir()] == [".tmp"]
    viewer.close()
    viewer.close()
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.rrd"]
    lost = LiveViewer(live, tmp_path / "b.rrd")
    next(tmp_path.glob("b.rrd.*")).unlink()
    with pytest.raises(OutputError, match=r"cannot write .*b\.rrd: No such file"):
        lost.close()


def test_a_missing_package_names_the_extra(no_rerun, tmp_path):
    message = "the viewer needs the extra viewer: uv sync --extra viewer"
    with pytest.raises(MissingExtraError, match=message):
        LiveViewer(stream(pixel_network(), Given([]), device="cpu"))
    recording = write_recording(tmp_path / "rec.hdf5")
    for viewer in ("--viewer", f"--viewer={tmp_path / 'out.rrd'}"):
        result = CliRunner().invoke(main, ["stream", "none.pt", str(recording), viewer])
        assert result.exit_code == 1
        assert message in result.stderr  # before the network is looked for


def test_a_recording_of_rerun_itself(tmp_path):
    pytest.importorskip("rerun")
    chunk = pytest.importorskip("rerun.chunk")
    path = write_recording(tmp_path / "rec.hdf5")
    save_random_network(tmp_path / "best.pt", sensor=SMALL)
    out = tmp_path / "out.rrd"
    result = CliRunner().invoke(
        main,
        ["stream", str(tmp_path / "best.pt"), str(path), "--speed", "max", "--every", "100ms",
         "--device", "cpu", "--threads", "1", "--viewer", str(out)],
        catch_exceptions=False,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    expected = list(predict(tmp_path / "best.pt", path, every="100ms", device="cpu"))
    reader = chunk.RrdReader(str(out))
    assert len(reader.blueprints()) == 1
    found = {}
    entities = set()
    for part in reader.stream():
        batch = part.to_record_batch()
        entities.add(part.entity_path)
        if part.entity_path == "/labels" and not part.is_static:
            times = batch.column("t_us").to_numpy()
            for t_us, content in zip(times, batch.column("SegmentationImage:buffer"), strict=True):
                found[int(t_us)] = np.array(content.values[0].as_py(), np.uint8).reshape(SMALL)
    assert {"/labels", "/events", "/frame", "/latency", "/classes"} <= entities
    assert sorted(found) == [p.t_us for p in expected]
    for p in expected:
        np.testing.assert_array_equal(found[p.t_us], p.labels)
