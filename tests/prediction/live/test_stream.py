"""Live streams: the label maps of `predict` at the same instants, whatever packets do."""

from __future__ import annotations

import math
import threading
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from recording_fixtures import write_recording
from stream_fixtures import SENSOR, Given, MemoryRecording, events_at, packet, pixel_network

import eventseg
from eventseg.errors import CheckpointError, EventsError, NetworkError, RecordingError, WindowError
from eventseg.events import SensorSize
from eventseg.prediction import Packet, predict, stream
from eventseg.prediction.live.packets import RESTART_US, PacketOrder


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def same(live, predictions, *, inputs: bool = True) -> None:
    made, expected = list(live), list(predictions)
    assert [p.t_us for p in made] == [p.t_us for p in expected]
    for one, other in zip(made, expected, strict=True):
        np.testing.assert_array_equal(one.labels, other.labels)
        np.testing.assert_array_equal(one.probabilities, other.probabilities)
        np.testing.assert_array_equal(one.input, other.input)
        assert (one.id, one.covered, one.frame) == (other.id, other.covered, other.frame) or (
            one.id.startswith("live_t")
        )


@st.composite
def times(draw):
    """Draw times with bursts, gaps on either side of 100 ms and equal times."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    n = draw(st.integers(25, 150))
    rare = rng.choice([30_000, 100_000, 100_001, 450_000], n)
    kind = rng.random(n)
    steps = np.where(kind < 0.3, 0, np.where(kind < 0.95, rng.integers(1, 3_000, n), rare))
    return draw(st.sampled_from([0, 1, 11_570_005, 2**31 - 500, 2**40])) + np.cumsum(steps)


def cut(events, data) -> list[Packet]:
    edges = data.draw(st.lists(st.integers(0, len(events)), max_size=20))
    edges = sorted({0, *edges, len(events)})
    return [packet(events, slice(a, b)) for a, b in pairwise(edges)]


REPRESENTATIONS = ["mean-std", "count-latest", "voxel:3"]


@given(t=times(), data=st.data())
@settings(max_examples=20)
def test_labels_are_those_of_predict_for_any_packets(t, data):
    events = events_at(t)
    name = data.draw(st.sampled_from(REPRESENTATIONS))
    filters = data.draw(st.sampled_from([(), ("refractory:1ms",), ("background:4ms",)]))
    own = {} if name == "mean-std" else {"normalise": "raw"}
    network = pixel_network(representation=name, filters=filters, **own)
    window, every = data.draw(st.sampled_from([(20_000, 7_000), (5_000, 13_000), (150_000, 9_000)]))
    recording = MemoryRecording(events)
    if recording.t_last_us - recording.t_first_us < window:
        return
    expected = predict(network, recording, every=every, window=window, device="cpu")
    live = stream(
        network, Given(cut(events, data)), every=every, window=window, queue="all", device="cpu"
    )
    same(live, expected)
    assert live.summary.packets.events == len(events)
    assert live.summary.labels == len(expected)
    assert live.summary.blank == expected.windows.left_out
    assert (live.summary.dropped, live.summary.packets.late) == (0, 0)
    replay = stream(
        network, recording, every=every, window=window, speed=math.inf, device="cpu",
        packet=data.draw(st.sampled_from([1_000, 40_000])),
    )  # fmt: skip
    same(replay, predict(network, recording, every=every, window=window, device="cpu"))


@given(t=times(), data=st.data())
@settings(max_examples=20)
def test_packets_within_the_lateness_are_put_in_order(t, data):
    events = events_at(np.sort(t))
    lateness = 50_000
    # Every event may come late, by less than the lateness.
    delay = np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, lateness, len(t))
    order = np.argsort(events.t + delay, kind="stable")
    size = data.draw(st.integers(1, 9))
    packets = [packet(events, order[i : i + size]) for i in range(0, len(t), size)]
    live = stream(
        pixel_network(), Given(packets), every=11_000, queue="all", lateness=lateness, device="cpu"
    )
    made = {p.t_us: p.labels for p in live}
    assert live.summary.packets.late == 0
    # Equal times may change places, which changes no sum.
    if events.t[-1] - events.t[0] < 20_000:
        return
    expected = predict(pixel_network(), MemoryRecording(events), every=11_000, device="cpu")
    assert made.keys() == {p.t_us for p in expected}
    for prediction in expected:
        np.testing.assert_array_equal(made[prediction.t_us], prediction.labels)


@given(t=times(), data=st.data())
@settings(max_examples=20)
def test_events_from_the_past_are_dropped_and_counted(t, data):
    events = events_at(t)
    moves = data.draw(st.permutations(range(len(t)))) if data.draw(st.booleans()) else None
    order = np.arange(len(t)) if moves is None else np.array(moves)
    order = order[:60]
    size = data.draw(st.integers(1, 9))
    packets, kept, latest = [], [], None
    for i in range(0, len(order), size):
        chosen = np.sort(order[i : i + size])
        # Within a second, or the clock has restarted.
        if latest is not None and events.t[chosen].max() < latest - RESTART_US:
            continue
        packets.append(packet(events, order[i : i + size]))
        kept += [j for j in chosen.tolist() if latest is None or events.t[j] >= latest]
        latest = max(events.t[chosen].max(), -(2**62) if latest is None else latest)
    live = stream(
        pixel_network(), Given(packets), every=11_000, window=15_000, queue="all", device="cpu"
    )
    made = list(live)
    assert live.summary.packets.late == sum(map(len, packets)) - len(kept)
    selected = packet(events, np.array(kept))
    recording = MemoryRecording(events_at(selected.t))
    recording._events = type(events)(
        selected.t, selected.x, selected.y, selected.p, SENSOR,
        int(selected.t[0]), int(selected.t[-1]) + 1,
    )  # fmt: skip
    if selected.t[-1] - selected.t[0] < 15_000:
        return
    same(made, predict(pixel_network(), recording, every=11_000, window=15_000, device="cpu"))


@given(first=times(), second=times(), data=st.data())
@settings(max_examples=12)
def test_time_goes_on_after_the_clock_restarts(first, second, data):
    first = first + 2 * RESTART_US
    restarted = second - second[0]
    whole = events_at(np.concatenate([first, first[-1] + 1 + restarted]))
    sent = type(whole)(
        np.concatenate([first, restarted]), whole.x, whole.y, whole.p, SENSOR, 0, 2**62
    )
    size, n = data.draw(st.integers(1, 30)), len(first)
    if restarted[min(size, len(restarted)) - 1] > first[-1] - RESTART_US - 1:
        return
    edges = [*range(0, n, size), *range(n, len(whole), size), len(whole)]
    packets = [packet(sent, slice(a, b)) for a, b in pairwise(edges)]
    live = stream(pixel_network(), Given(packets), every=9_000, queue="all", device="cpu")
    made = list(live)
    assert live.summary.packets.restarts == 1
    if whole.t[-1] - whole.t[0] >= 20_000:
        same(made, predict(pixel_network(), MemoryRecording(whole), every=9_000, device="cpu"))


def test_time_marks_end_windows_while_nothing_moves():
    events = events_at([0, 5_000, 12_000])
    quiet = [Packet(*(column[:0] for column in (events.t, events.x, events.y, events.p)), now_us=us)
             for us in (20_000, 40_000, 60_000, 300_000)]  # fmt: skip
    live = stream(
        pixel_network(), Given([packet(events, slice(None)), *quiet]), every=10_000, queue="all",
        device="cpu",
    )  # fmt: skip
    made = list(live)
    # Until 100 ms of silence a quiet scene is seen, then a gap.
    assert [p.t_us for p in made] == [10_000, 20_000, 30_000, 40_000, 50_000, 60_000]
    assert [p.events for p in made] == [2, 3, 1, 0, 0, 0]
    assert live.summary.empty == 3
    assert live.summary.blank == 24


def test_the_latest_rule_drops_old_windows_and_counts_them():
    events = events_at(np.arange(0, 1_000_000, 500))
    free, network = threading.Event(), pixel_network()

    class Waiting(type(network.network)):
        calls = 0

        def heads(self, x):
            self.calls += 1
            if self.calls > 1:  # the first is the warm-up
                free.wait()
            return super().heads(x)

    slow = Waiting(6, 3).eval()
    live = stream(
        type(network)(slow, network.blueprint, network.inputs, network.classes),
        Given([packet(events, slice(i, i + 40)) for i in range(0, len(events), 40)]),
        every=10_000, queue="latest", device="cpu",
    )  # fmt: skip
    threading.Timer(0.3, free.set).start()
    made = [p.t_us for p in live]
    assert made[-1] == 1_000_000
    assert made == sorted(made)
    assert len(made) + live.summary.dropped == 100
    assert live.summary.dropped > 50
    assert live.summary.labels == len(made)


def test_a_caller_who_stops_early_gets_the_summary_of_what_it_got():
    # The window before the stop is empty, those after it are not: none of them may count.
    events = events_at([0, 1, 2, 25_000, *range(100_000, 300_000, 500)])
    given = [packet(events, slice(0, 4)), packet(events, slice(4, None))]
    live = stream(pixel_network(window="5ms"), Given(given), every=5_000, queue="all", device="cpu")
    made, ready = [], threading.Event()
    for prediction in live:
        made.append(prediction)
        ready.wait(0.05)  # the network runs ahead meanwhile
        if len(made) == 3:
            break
    live.close()
    assert live.summary.labels == 3
    assert live.summary.empty == sum(p.events == 0 for p in made) > 0
    latencies = [p.latency_ms for p in made]
    assert live.summary.quantiles_ms()["latency"]["p50"] == pytest.approx(np.median(latencies))


@pytest.mark.parametrize(
    "packets", [6_000, pytest.param(1_000_000, marks=pytest.mark.slow)], ids=str
)
def test_memory_is_flat(packets):
    """A day in packets, its time compressed, with bursts, late packets and restarted clocks."""

    class Day:
        sensor = SENSOR

        def __init__(self):
            self.k = 0
            self.events = events_at(np.arange(8))

        def read(self, timeout_s):
            self.k += 1
            if self.k == packets // 2:
                tracemalloc.start()
            if self.k > packets:
                return None
            late = 400 if self.k % 97 == 0 else 0
            t = np.sort((self.k % 200_000) * 86 + 10 * np.arange(8)) - late
            return Packet(t, self.events.x, self.events.y, self.events.p)

        def close(self):
            pass

    live = stream(
        pixel_network(window="2ms", filters=("refractory:1ms",)), Day(), every=8_600, queue="all",
        device="cpu",
    )  # fmt: skip
    labels = sum(1 for _ in live)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert live.summary.packets.packets == packets
    assert labels == live.summary.labels > packets // 120
    assert live.summary.packets.late > packets // 100
    assert peak < 8_000_000


def test_networks_of_frames_need_a_recording():
    network = pixel_network(kind="both")
    with pytest.raises(NetworkError, match="sees both and Given sends events alone"):
        stream(network, Given([]), device="cpu")
    with pytest.raises(NetworkError, match=r"sees both and memory has no frames; stream a record"):
        stream(network, MemoryRecording(events_at(np.arange(50_000))), device="cpu")


def test_what_is_not_the_sensors_is_dropped_and_counted():
    t = np.arange(6)
    bad = Packet(
        np.array([0, 1, 2, 3, 2**62, 5]), np.array([0, 6, 0, 0, 0, 1], np.uint16),
        np.array([0, 0, 4, 0, 0, 1], np.uint16), np.array([0, 1, 1, 2, 1, 1], np.int8),
    )  # fmt: skip
    live = stream(pixel_network(), Given([bad]), every=10, queue="all", device="cpu")
    assert len(list(live)) == 1
    assert live.summary.packets.invalid == 4
    assert len(t) == live.summary.packets.events
    assert "4 events dropped: pixel" in "\n".join(live.summary.lines())


def test_records_of_other_types_become_packets_without_wrapping():
    records = np.array(
        [(1, -1, 2, -1), (2, 70_000, 3, 1), (3, 4, 1, 9)],
        dtype=[("t", "<u4"), ("x", "<i4"), ("y", "<i4"), ("p", "<i4")],
    )
    found = Packet.from_records(records)
    assert found.x.tolist() == [65_535, 65_535, 4]
    assert found.p.tolist() == [0, 1, 2]
    order = PacketOrder(SENSOR)
    assert order.push(found) == []
    assert order.counts.invalid == 3
    with pytest.raises(EventsError, match="lack the fields"):
        Packet.from_records(records[["t", "x"]])
    with pytest.raises(EventsError, match="field t must hold integers"):
        Packet.from_records(records.astype([("t", "f8"), ("x", "u2"), ("y", "u2"), ("p", "u1")]))


def test_packets_of_other_integers_hold_no_negative_pixels_and_no_times_that_wrap():
    def pushed(t):
        columns = np.array([[2, 3, -1, 2], [0, 1, 1, -2]], np.int32)
        return order.push(Packet(np.array(t, np.int32), *columns, np.ones(4, np.bool_)))

    order = PacketOrder(SENSOR)
    end_us = 2**31 - 5
    (first,) = pushed([end_us, end_us + 1, end_us + 2, end_us + 3])
    assert [column.dtype for column in (first.t, first.x, first.y, first.p)] == [
        np.int64, np.uint16, np.uint16, np.int8,
    ]  # fmt: skip
    assert first.x.tolist() == [2, 3]
    assert order.counts.invalid == 2
    _, second = pushed([0, 10, 11, 12])  # the clock has restarted
    assert second.t.tolist() == [end_us + 2, end_us + 12]


def test_a_clock_that_jumps_to_the_end_of_time_is_one_error():
    events = events_at([0])
    ends = [2**61 - 1, 0, 2**61 - 1, 0, 2**61 - 1, 0, 2**61 - 1]
    packets = [Packet(np.array([t]), events.x, events.y, events.p) for t in ends]
    with pytest.raises(RecordingError, match="run out of 64 bits"):
        list(stream(pixel_network(), Given(packets), every=10**9, queue="all", device="cpu"))


def test_errors_of_threads_reach_the_caller_and_the_source_is_closed():
    class Broken(Given):
        def read(self, timeout_s):
            raise RecordingError("the cable is out")

    source = Broken([])
    with pytest.raises(RecordingError, match="the cable is out"):
        list(stream(pixel_network(), source, device="cpu"))
    assert source.closed == 1
    for failing, message in (
        (lambda _: 1 / 0, "^Broken has failed: ZeroDivisionError: division by zero$"),
        (lambda _: "rubbish", r"^Broken gives a str; read\(timeout_s\) must return a Packet"),
        (lambda _: Packet(np.arange(2), np.arange(3), np.arange(2), np.arange(2)), "one length"),
        (lambda _: Packet(*[np.zeros(2)] * 4), "column t of a packet must hold integers"),
    ):
        source = Broken([])
        source.read = failing
        with pytest.raises((RecordingError, EventsError), match=message):
            list(stream(pixel_network(), source, device="cpu"))
        assert source.closed == 1
    source = Given([packet(events_at(np.arange(0, 10**6, 100)), slice(None))])
    live = stream(pixel_network(), source, queue="all", device="cpu")
    for _ in live:
        break
    live.close()
    assert source.closed == 1


def test_a_source_that_ends_at_once_is_noted():
    notes = []
    assert list(stream(pixel_network(), Given([]), device="cpu", note=notes.append)) == []
    assert notes == ["Given has ended without an event"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"every": 0}, "every must be positive"),
        ({"window": -5}, "duration must be positive"),
        ({"queue": "some"}, "queue must be latest or all"),
        ({"speed": 0.0}, "speed must be above 0"),
        ({"lateness": -1}, "lateness must be 0 or more"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(WindowError, match=message):
        stream(pixel_network(), Given([]), device="cpu", **settings)


def test_another_sensor_and_hot_pixels_are_noted(tmp_path):
    notes = []
    network = pixel_network(rows=(0, 3), filters=("hot:3",), representation="voxel:3",
                            normalise="raw")  # fmt: skip
    other = SensorSize(8, 9)
    events = events_at(np.arange(0, 50_000, 100), sensor=other)
    live = stream(
        network, Given([packet(events, slice(None))], other), queue="all", device="cpu",
        note=notes.append,
    )  # fmt: skip
    assert next(iter(live)).labels.shape == (8, 9)
    assert any(
        "9x8, the network was trained on rows 0 to 2 of 6x4: all its 8" in note for note in notes
    )
    assert any("hot pixels are not dropped" in note for note in notes)
    assert any("voxel:3 is encoded again" in note for note in notes)
    with pytest.raises(CheckpointError, match=r"is no run folder"):
        stream(tmp_path, Given([]), device="cpu")
    with pytest.raises(CheckpointError, match="there is no run folder"):
        stream(tmp_path / "none", Given([]), device="cpu")


@pytest.mark.parametrize("kind", ["gray", "both"])
def test_networks_of_frames_see_the_frames_of_predict(kind, tmp_path):
    path = write_recording(tmp_path / "rec.hdf5")
    with eventseg.open_recording(path) as recording:
        network = pixel_network(kind=kind, sensor=recording.sensor)
        live = list(stream(network, recording, every="15ms", speed=math.inf, queue="all"))
        expected = list(predict(network, recording, every="15ms", device="cpu"))
    assert len(live) == len(expected) > 10
    assert len({each.frame for each in live}) > 3
    for one, other in zip(live, expected, strict=True):
        assert (one.t_us, one.frame) == (other.t_us, other.frame)
        assert np.array_equal(one.labels, other.labels)


def test_frames_of_a_stream_may_be_shifted(tmp_path):
    path = write_recording(tmp_path / "rec.hdf5")
    with eventseg.open_recording(path, shift_frames_us=20_000) as recording:
        network = pixel_network(kind="both", sensor=recording.sensor)
        expected = list(predict(network, recording, every="15ms", device="cpu"))
    settings = {"every": "15ms", "speed": math.inf, "queue": "all", "device": "cpu"}
    same(stream(network, path, shift_frames="20ms", **settings), expected, inputs=False)
    unmoved = list(stream(network, path, **settings))
    assert [each.frame for each in unmoved] != [each.frame for each in expected]
    with pytest.raises(RecordingError, match="no recording: leave --shift-frames out"):
        stream(network, "tcp://127.0.0.1:0", shift_frames="20ms", device="cpu")
