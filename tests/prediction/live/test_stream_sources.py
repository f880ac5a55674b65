"""Sources and outputs of live streams: bytes, sockets, files, and the command."""

from __future__ import annotations

import json
import os
import re
import runpy
import socket
import struct
import subprocess
import sys
import threading
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from recording_fixtures import SMALL, write_recording
from stream_fixtures import SENSOR, Given, events_at, packet, pixel_network, save_random_network
from training_fixtures import SENSOR as STREET

from eventseg.errors import NetworkError, OutputError, RecordingError
from eventseg.labels.files import read_labels
from eventseg.prediction import Packet, predict, stream
from eventseg.prediction.live.byte_sources import StandardInput, TcpSource, UdpSource
from eventseg.prediction.live.outputs import LABEL_HEADER, LabelFolder, LabelSender
from eventseg.prediction.live.sources import open_packet_source
from eventseg.prediction.live.wire import Unpacker, header, pack_events, pack_time
from eventseg_cli.main import main

DOCS = Path(__file__).resolve().parents[3] / "docs"
EVENTS = events_at(np.cumsum(np.random.default_rng(0).integers(0, 900, 300)))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A random network on events, with the encoding of a small sensor."""
    return save_random_network(tmp_path_factory.mktemp("stream") / "best.pt", sensor=SMALL)


def taken(source) -> Packet:
    packets = []
    while (found := source.read(0.05)) is not None:
        packets.append(found)
    columns = (np.concatenate([getattr(p, name) for p in packets]) for name in "txyp")
    return Packet(*columns)


def assert_events(found: Packet) -> None:
    for name in "txyp":
        np.testing.assert_array_equal(getattr(found, name), getattr(EVENTS, name))


@given(data=st.data(), with_header=st.booleans(), rest=st.integers(0, 15))
@settings(max_examples=40)
def test_bytes_in_any_pieces_are_the_events(data, with_header, rest):
    content = header(SENSOR) * with_header + pack_events(EVENTS) + pack_time(10**6) + b"?" * rest
    edges = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=6)))
    unpacker, packets = Unpacker(), []
    for a, b in zip([0, *edges], [*edges, len(content)], strict=True):
        packets.append(unpacker.feed(content[a:b]))
    columns = (np.concatenate([getattr(p, name) for p in packets]) for name in "txyp")
    assert_events(Packet(*columns))
    assert max(p.now_us for p in packets if p.now_us is not None) == 10**6
    assert (unpacker.sensor, unpacker.truncated) == (SENSOR if with_header else None, rest)


def test_a_header_without_pixels_is_refused():
    with pytest.raises(RecordingError, match="sensor of 0x4 pixels"):
        Unpacker().feed(struct.pack("<8sHH4x", b"EVSTREAM", 0, 4))


def test_standard_input(monkeypatch):
    read, write = os.pipe()
    notes = []
    source = StandardInput(notes.append, descriptor=read)

    def send():
        with os.fdopen(write, "wb") as file:
            file.write(header(SENSOR) + pack_events(EVENTS) + b"1234567")

    threading.Thread(target=send).start()
    source.begin()
    assert source.sensor == SENSOR
    assert_events(taken(source))
    assert source.read(0.01) is None
    assert notes == ["the last 7 bytes of standard input are no complete event of 16 bytes and "
                     "were dropped"]  # fmt: skip
    os.close(read)


def test_tcp_and_a_stream_over_it():
    notes = []
    source = TcpSource("127.0.0.1", 0, notes.append)
    assert len(source.read(0.01)) == 0

    def send():
        with socket.create_connection(("127.0.0.1", source.port)) as connection:
            connection.sendall(header(SENSOR))
            for i in range(0, len(EVENTS), 7):
                part = packet(EVENTS, slice(i, i + 7))
                connection.sendall(pack_events(events_like(part)))

    def events_like(part):
        return type(EVENTS)(part.t, part.x, part.y, part.p, SENSOR, 0, 0)

    threading.Thread(target=send).start()
    source.begin()
    live = stream(pixel_network(), source, every=30_000, queue="all", device="cpu")
    made = {p.t_us: p.labels for p in live}
    direct = stream(
        pixel_network(), Given([packet(EVENTS, slice(None))]), every=30_000, queue="all",
        device="cpu",
    )  # fmt: skip
    expected = {p.t_us: p.labels for p in direct}
    assert made.keys() == expected.keys()
    for t_us, labels in expected.items():
        np.testing.assert_array_equal(made[t_us], labels)


def test_udp():
    notes = []
    found = {}

    def run():
        found["source"] = open_packet_source("udp://127.0.0.1:47391", note=notes.append)
        found["events"] = taken(found["source"])

    thread = threading.Thread(target=run)
    thread.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        while "source" not in found:
            sender.sendto(header(SENSOR), ("127.0.0.1", 47391))
        sender.sendto(pack_events(EVENTS)[: 16 * 200], ("127.0.0.1", 47391))
        sender.sendto(pack_events(EVENTS)[16 * 200 :] + b"abc", ("127.0.0.1", 47391))
        sender.sendto(b"", ("127.0.0.1", 47391))
    thread.join(timeout=10)
    assert_events(found["events"])
    assert found["source"].sensor == SENSOR
    assert "ends with 3 bytes that are no complete event" in notes[1]
    found["source"].close()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tcp://192.168.0.3:5", "must be tcp://HOST:PORT with HOST one of localhost"),
        ("udp://127.0.0.1", "must be udp://HOST:PORT"),
        ("tcp://127.0.0.1:99999999", "must be tcp://HOST:PORT with a PORT of 0 to 65535"),
        ("nothing.hdf5", "there is no source 'nothing.hdf5'; give a recording, - for"),
    ],
)
def test_names_of_no_source(name, message):
    with pytest.raises(RecordingError, match=message):
        open_packet_source(name, note=print)


def test_a_port_in_use_and_a_sender_that_never_comes():
    source = TcpSource("127.0.0.1", 0, print)
    with pytest.raises(RecordingError, match="cannot listen on 127"):
        TcpSource("127.0.0.1", source.port, print)
    with pytest.raises(RecordingError, match=r"has sent nothing for 0\.01 s"):
        source.begin(0.01)
    source.close()


def test_a_silent_source_is_noted_and_ends_after_the_timeout(monkeypatch):
    monkeypatch.setattr(import_module("eventseg.prediction.live.stream"), "STALL_S", 0.05)
    notes = []

    class Quiet(Given):
        def read(self, timeout_s):
            return next(self.packets, packet(EVENTS, slice(0, 0)))

    source = Quiet([packet(EVENTS, slice(None))])
    live = stream(
        pixel_network(), source, queue="all", timeout_s=0.3, device="cpu", note=notes.append
    )
    assert len(list(live)) > 3
    assert live.summary.stalls == 1
    assert "has been silent" in notes[0]
    assert notes[1].endswith(": the stream ends")


def test_label_maps_on_a_socket_and_a_reader_that_goes():
    server = socket.create_server(("127.0.0.1", 0))
    address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
    sender = LabelSender(address)
    reader, _ = server.accept()
    live = stream(pixel_network(), Given([packet(EVENTS, slice(None))]), queue="all", device="cpu")
    first, *rest = live
    sender(first)
    with reader.makefile("rb") as file:
        magic, t_us, height, width, classes, zero, latency = LABEL_HEADER.unpack(file.read(32))
        labels = np.frombuffer(file.read(height * width), np.uint8).reshape(height, width)
    assert (magic, t_us, classes, zero) == (b"EVLABELS", first.t_us, 3, 0)
    assert latency == first.latency_ms
    np.testing.assert_array_equal(labels, first.labels)
    reader.close()
    server.close()
    with pytest.raises(OutputError, match=r"reader on tcp://127.* is gone after \d+ label maps"):
        for _ in range(1000):
            for prediction in rest:
                sender(prediction)
    sender.close()
    with pytest.raises(OutputError, match="nobody listens on tcp"):
        LabelSender(address)


def test_the_command_writes_what_predict_writes(checkpoint, tmp_path):
    recording = write_recording(tmp_path / "rec.hdf5")
    maps = tmp_path / "maps"
    result = CliRunner().invoke(
        main,
        ["stream", str(checkpoint), str(recording), "--speed", "max", "--every", "100ms", "--out",
         str(maps), "--device", "cpu", "--threads", "1", "--json"],
        catch_exceptions=False,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    expected = list(predict(checkpoint, recording, every="100ms", device="cpu"))
    assert [line["id"] for line in lines[:-1]] == [p.id for p in expected]
    for line, prediction in zip(lines, expected, strict=False):
        np.testing.assert_array_equal(read_labels(maps / f"{line['id']}.png"), prediction.labels)
        assert sum(line["shares"].values()) == pytest.approx(1)
    summary = lines[-1]["summary"]
    assert (summary["labels"], summary["events"]) == (len(expected), 4_000)
    assert set(summary["times_ms"]) == {"latency", "encode", "wait", "network", "argmax"}


def test_the_command_in_words_and_its_errors(checkpoint, tmp_path):
    recording = write_recording(tmp_path / "rec.hdf5")

    def run(*arguments):
        return CliRunner().invoke(main, ["stream", *map(str, arguments), "--device", "cpu"])

    # So slow that a busy machine, which leaves out windows, makes three maps before the end.
    shown = run(checkpoint, recording, "--speed", "0.2x", "--count", "3", "--threads", "1")
    assert shown.exit_code == 0, shown.output
    assert re.match(r"3 label maps in .* a second", shown.stdout)
    assert "latency p50" in shown.stdout
    for arguments, message in (
        ((checkpoint, "none.hdf5"), "error: there is no source 'none.hdf5'"),
        ((tmp_path, recording), "is no run folder"),
        ((checkpoint, recording, "--speed", "fast"), "must be a factor such as 1x"),
        ((checkpoint, recording, "--send", "tcp://127.0.0.1:1"), "nobody listens on tcp"),
        ((checkpoint, recording, "--hot-from", recording), "was trained with all pixels"),
        ((checkpoint, recording, "--out", recording), "is a file; give a folder"),
    ):
        failed = run(*arguments)
        assert failed.exit_code in (1, 2)
        assert message in failed.output
        assert "Traceback" not in failed.output


@pytest.mark.slow
def test_a_broken_pipe_is_one_line(checkpoint, tmp_path):
    recording = write_recording(tmp_path / "rec.hdf5")
    command = [
        sys.executable, "-c", "from eventseg_cli.main import main; main()", "stream",
        str(checkpoint), str(recording), "--speed", "max", "--every", "5ms", "--json", "--device",
        "cpu", "--quiet",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline().startswith(b"{")
        process.stdout.close()
        errors = process.stderr.read().decode()
        assert process.wait(timeout=60) == 1
    assert re.fullmatch(
        r"error: the reader of the output is gone after [\d,]+ label maps\n", errors
    ), errors


@pytest.mark.parametrize(("scheme", "kind"), [("tcp", TcpSource), ("udp", UdpSource)])
def test_the_sender_of_the_docs(scheme, kind):
    source = kind("127.0.0.1", 0, print)
    found = {}

    def listen():
        source.begin(10)
        found["events"] = taken(source)

    thread = threading.Thread(target=listen)
    thread.start()
    sender = runpy.run_path(str(DOCS / "send_events.py"))
    target = f"{scheme}://127.0.0.1:{source.port}"
    sender["main"](["--to", target, "--seconds", "0.01", "--rate", "1e6", "--size", "64x48"])
    thread.join(timeout=10)
    source.close()
    assert len(found["events"]) == 10_000
    assert source.sensor == STREET
    assert (np.diff(found["events"].t) >= 0).all()


def test_the_sender_of_the_docs_waits_for_a_listener(monkeypatch):
    sender = runpy.run_path(str(DOCS / "send_events.py"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setitem(sender["connected"].__globals__, "WAIT_S", 0)
    with pytest.raises(SystemExit, match=f"nobody listens on 127.0.0.1:{port}: start eventseg"):
        sender["connected"]("127.0.0.1", port)


def test_the_driver_of_the_docs(tmp_path):
    text = (DOCS / "streaming.md").read_text()
    code = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[-1]
    (tmp_path / "driver.py").write_text(code)
    source = open_packet_source(f"{tmp_path / 'driver.py'}:open_camera", note=print)
    assert len(source.read(0.1)) == 0
    (tmp_path / "broken.py").write_text("class Half:\n    read = None\ndef no_usb():\n    1 / 0\n")
    for name, message in (
        ("no_usb", r"broken\.py:no_usb has failed: ZeroDivisionError: division by zero$"),
        ("Half", r"broken\.py:Half returns a Half without close; return an object with read"),
    ):
        with pytest.raises(RecordingError, match=message):
            open_packet_source(f"{tmp_path / 'broken.py'}:{name}", note=print)
    with pytest.raises(NetworkError, match="the network sees both"):
        stream(pixel_network(kind="both"), f"{tmp_path / 'driver.py'}:open_camera", device="cpu")
    assert LabelFolder(tmp_path / "maps").folder == tmp_path / "maps"
