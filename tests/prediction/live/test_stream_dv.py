"""Sources of dv-processing: its recordings and network streams, and cameras that are not there."""

from __future__ import annotations

import socket
import subprocess
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from recording_fixtures import SMALL, write_recording
from stream_fixtures import SENSOR, events_at, pixel_network

from eventseg import convert
from eventseg.errors import MissingExtraError, RecordingError
from eventseg.events import SensorSize
from eventseg.prediction import DvSource, Packet, predict, stream
from eventseg.prediction.live.dv import cause_of, open_dv
from eventseg.recordings import open_recording
from eventseg_cli.main import main

SENDER = """
import sys, os, time
import numpy as np
import dv_processing as dv

events = np.load(sys.argv[2])
resolution = (int(sys.argv[3]), int(sys.argv[4]))
stream = dv.io.Stream.EventStream(0, "events", "TEST", resolution)
writer = dv.io.NetworkWriter("127.0.0.1", int(sys.argv[1]), stream)
print("ready", flush=True)
while not writer.getClientCount():
    time.sleep(0.01)
for part in np.array_split(events, 7):
    store = dv.EventStore()
    for t, x, y, p in part.tolist():
        store.push_back(t, x, y, bool(p))
    writer.writeEvents(store)
while writer.getQueuedPacketCount():
    time.sleep(0.01)
sys.stdin.readline()
os._exit(0)  # its destructor waits for the interpreter
"""


def columns_of(packets):
    return {name: np.concatenate([getattr(p, name) for p in packets]) for name in "txyp"}


def all_of(source, *, first_end=lambda: None):
    """Return the packets of a source until its end; `first_end` is called at the first silence."""
    packets, silent = [], False
    while (packet := source.read(0.2)) is not None:
        assert isinstance(packet, Packet)
        packets.append(packet)
        if not len(packet) and not silent:
            silent = True
            first_end()
    return packets


def test_a_recording_of_dv_gives_the_labels_of_predict(tmp_path):
    dv = pytest.importorskip("dv_processing")
    path = tmp_path / "rec.aedat4"
    convert(write_recording(tmp_path / "rec.hdf5"), path)
    source = DvSource(dv.io.MonoCameraRecording(str(path)))
    assert source.sensor == SMALL
    found = columns_of(all_of(source))
    with open_recording(path) as recording:
        expected = recording.events()
    for name in "txyp":
        np.testing.assert_array_equal(found[name], getattr(expected, name))
        assert found[name].dtype == getattr(expected, name).dtype
    network = pixel_network(sensor=SMALL)
    source = DvSource(dv.io.MonoCameraRecording(str(path)))
    live = list(stream(network, source, every="30ms", queue="all", device="cpu"))
    same = list(predict(network, path, every="30ms", device="cpu"))
    assert [p.t_us for p in live] == [p.t_us for p in same]
    for one, other in zip(live, same, strict=True):
        np.testing.assert_array_equal(one.labels, other.labels)


def test_a_network_stream_of_dv_and_its_end(tmp_path):
    pytest.importorskip("dv_processing")
    events = events_at(np.cumsum(np.random.default_rng(0).integers(0, 900, 300)))
    np.save(tmp_path / "events.npy", np.stack([getattr(events, n).astype(int) for n in "txyp"], 1))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-c", SENDER, port, tmp_path / "events.npy", SENSOR.width,
               SENSOR.height]  # fmt: skip
    with subprocess.Popen(
        list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as sender:
        assert sender.stdout.readline() == b"ready\n"
        source = open_dv(f"dv://127.0.0.1:{port}")
        assert source.sensor == SENSOR
        packets = all_of(source, first_end=lambda: sender.communicate(b"\n"))
    for name, values in columns_of(packets).items():
        np.testing.assert_array_equal(values, getattr(events, name))
    source.close()
    assert source.read(0.1) is None


def test_what_dv_cannot_open_is_one_line():
    dv = pytest.importorskip("dv_processing")
    if not dv.io.camera.discover():
        with pytest.raises(RecordingError, match="dv-processing finds no camera: check the cable"):
            open_dv("dv://camera")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(
        RecordingError, match=rf"cannot open dv://127\S+{port}: Connection refused$"
    ):
        open_dv(f"dv://127.0.0.1:{port}")
    for name in ("dv://", "dv://127.0.0.1", "dv://127.0.0.1:99999", "dv://127.0.0.1:5/x"):
        with pytest.raises(
            RecordingError, match="must be dv://camera, dv://camera/SERIAL or dv://"
        ):
            open_dv(name)


class FakeReader:
    """The methods of a reader that are called."""

    def __init__(self, batches, *, events=True, size=(64, 48)):
        self.batches, self.events, self.size = list(batches), events, size

    def getCameraName(self):
        return "DAVIS346_1"

    def isEventStreamAvailable(self):
        return self.events

    def getEventResolution(self):
        return self.size

    def isRunning(self):
        return bool(self.batches)

    def getNextEventBatch(self):
        batch = self.batches.pop(0)
        if isinstance(batch, Exception):
            raise batch
        return batch


@pytest.fixture
def cameras(monkeypatch):
    """dv-processing with two cameras."""
    devices = [SimpleNamespace(serialNumber=serial) for serial in ("0001", "0002")]
    opened = []

    def open_(device):
        opened.append(device.serialNumber)
        return FakeReader([])

    module = ModuleType("dv_processing")
    camera = SimpleNamespace(discover=lambda: devices, open=open_)
    module.io = SimpleNamespace(camera=camera)
    monkeypatch.setitem(sys.modules, "dv_processing", module)
    return SimpleNamespace(devices=devices, opened=opened)


def test_cameras_by_serial_number(cameras):
    assert open_dv("dv://camera").sensor == SensorSize(48, 64)
    open_dv("dv://camera/0002")
    assert cameras.opened == ["0001", "0002"]
    with pytest.raises(RecordingError, match="no camera '3' is connected, there are 0001, 0002"):
        open_dv("dv://camera/3")
    cameras.devices.clear()
    with pytest.raises(RecordingError, match="finds no camera"):
        open_dv("dv://camera")


def test_a_reader_that_fails_and_one_without_events():
    broken = "/project/x.hpp(88): void f()\nRuntimeError: usb: device gone\nStacktrace:\n 0# 0x0"
    source = DvSource(FakeReader([None, RuntimeError(broken)]))
    assert len(source.read(0.0)) == 0
    with pytest.raises(RecordingError, match=r"^dv DAVIS346_1 has failed: usb: device gone$"):
        source.read(0.0)
    with pytest.raises(RecordingError, match="dv DAVIS346_1 sends no events"):
        DvSource(FakeReader([], events=False))
    assert DvSource(FakeReader([], size=None)).sensor is None
    assert cause_of(RuntimeError("")) == "RuntimeError"


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "dv_processing", None)
    with pytest.raises(MissingExtraError, match="need the extra dv: uv sync --extra dv"):
        open_dv("dv://camera")
    result = CliRunner().invoke(main, ["stream", "street-fastscnn", "dv://camera", "--window",
                                       "50ms", "--device", "cpu"])  # fmt: skip
    assert result.exit_code == 1
    assert "need the extra dv" in result.stderr
