"""Live labels: packets in, label maps out, by threads that read, encode and predict.

The reader hands packets over in order and never drops one; the encoder keeps the window's sums and
makes a tensor at each instant; the network turns tensors into label maps. Between the two, the
queue has a rule: ``latest`` drops the older of the tensors that wait, ``all`` makes the source
wait. The label maps are those of :func:`eventseg.predict` at the same instants.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eventseg.encoding import LiveWindow
from eventseg.errors import EventsegError, RecordingError
from eventseg.events import EventStream
from eventseg.filters.rules import EventFilter
from eventseg.prediction.live.instants import Instant, Instants
from eventseg.prediction.live.packets import Packet, PacketOrder
from eventseg.prediction.live.queue import Handover
from eventseg.prediction.live.setup import StreamSetup
from eventseg.prediction.live.sources import cause_line
from eventseg.prediction.live.summary import StreamSummary
from eventseg.prediction.prediction import Prediction, labels_of
from eventseg.windows import (
    Anchor,
    Windows,
    format_duration,
    sample_ids,
)

STALL_S = 3.0
"""Silence of a source after which a line says so."""

READ_S = 0.1
"""Longest wait for a packet before the end of the stream is looked for."""

PACKETS_WAITING = 64
TENSORS_WAITING = 1
LABELS_WAITING = 2


@dataclass(frozen=True, eq=False, kw_only=True)
class LivePrediction(Prediction):
    """Prediction at one instant of a live stream.

    Parameters
    ----------
    latency_ms : float
        From the arrival of the packet that completed the window to the label map.
    steps_ms : dict of str to float
        Parts of it: ``encode``, ``wait``, ``network`` and ``argmax``.
    window_events : EventStream, optional
        Events of the window, after filters, where the stream keeps them.
    """

    latency_ms: float
    steps_ms: dict[str, float]
    window_events: EventStream | None = None


@dataclass(frozen=True, eq=False, slots=True)
class _Tensor:
    """Input of the network at one instant."""

    t1_us: int
    frame: int
    covered: float
    events: int | None
    kept: EventStream | None
    x: NDArray[np.float32]
    arrived_s: float
    encode_ms: float
    made_s: float


class LiveStream:
    """Predictions of a live source; iterating runs it, once.

    Parameters
    ----------
    setup : StreamSetup

    Attributes
    ----------
    summary : StreamSummary
        Counts and times, up to date while it runs.
    """

    def __init__(self, setup: StreamSetup) -> None:
        self.setup = setup
        self.order = PacketOrder(setup.encoding.sensor, lateness_us=setup.lateness_us)
        self.summary = StreamSummary(packets=self.order.counts)
        self._packets: Handover[tuple[Packet, float]] = Handover(PACKETS_WAITING, "all")
        self._tensors: Handover[_Tensor] = Handover(TENSORS_WAITING, setup.queue)
        self._labels: Handover[tuple[LivePrediction, float]] = Handover(LABELS_WAITING, "all")
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._threads: list[threading.Thread] = []
        self._first_s: float | None = None

    def __iter__(self) -> Iterator[LivePrediction]:
        """Yield the predictions in order of time, until the source ends."""
        self._warm_up()
        for work, ended in (
            (self._read, self._packets.end),
            (self._encode, self._tensors.end),
            (self._predict, self._labels.end),
        ):
            thread = threading.Thread(target=self._run, args=(work, ended), daemon=True)
            self._threads.append(thread)
            thread.start()
        try:
            while (item := self._labels.take()) is not None:
                # Counted here: the network runs ahead of a caller who stops early.
                prediction, end_s = item
                self.summary.empty += prediction.events == 0
                self.summary.seconds = end_s - (self._first_s or end_s)
                self.summary.add(prediction.latency_ms, prediction.steps_ms)
                yield prediction
        finally:
            self.close()
        if self._error is not None:
            raise self._error
        if not self.order.counts.events:
            self.setup.note(f"{self.setup.name} has ended without an event")

    def run(self, callback: Callable[[LivePrediction], object]) -> StreamSummary:
        """Call a function with each prediction until the source ends, and return the summary."""
        for prediction in self:
            callback(prediction)
        return self.summary

    def close(self) -> None:
        """End the stream and close the source; a second call does nothing."""
        if self._stop.is_set():
            return
        self._stop.set()
        for queue in (self._packets, self._tensors, self._labels):
            queue.stop()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(timeout=5)
        self.setup.close()

    def __repr__(self) -> str:
        setup = self.setup
        window, every = (format_duration(us) for us in (setup.window_us, setup.every_us))
        return f"LiveStream({setup.name}, window {window} every {every}, queue {setup.queue!r})"

    def _warm_up(self) -> None:
        """Encode and predict once: kernels are loaded and memory is taken before packets come."""
        setup = self.setup
        encoding, inputs = setup.encoding, setup.predictor.trained.inputs
        if inputs.kind in ("events", "both"):
            one = np.zeros(1, np.int64), *(np.zeros(1, np.uint16),) * 2, np.zeros(1, np.int8)
            events = EventStream(*one, encoding.sensor, 0, 1)
            if setup.filters:
                events = EventFilter(setup.filters, sensor=encoding.sensor, hot=setup.hot)(events)
            window = LiveWindow(encoding, window_us=setup.window_us)
            window.add(events)
            for t1_us in (1, 2):  # made anew, and moved
                window.tensor(t1_us)
        height, width = encoding.shape[1:]
        labels_of(setup.predictor(np.zeros((inputs.channels, height, width), np.float32)))

    def _run(self, work: Callable[[], None], ended: Callable[[], None]) -> None:
        """Do the work of one thread; an error ends the stream and is raised by the iteration."""
        try:
            work()
        except BaseException as error:
            if self._error is None and not self._stop.is_set():
                self._error = error
            for queue in (self._packets, self._tensors, self._labels):
                queue.stop()
        finally:
            ended()

    def _read(self) -> None:
        setup, noted = self.setup, False
        last_s = time.monotonic()
        while not self._stop.is_set():
            packet = self._next_packet()
            if packet is None:
                return
            if len(packet) or packet.now_us is not None:
                last_s, noted = time.monotonic(), False
                self._packets.put((packet, time.perf_counter()))
                continue
            silent_s = time.monotonic() - last_s
            if setup.timeout_s is not None and silent_s > setup.timeout_s:
                setup.note(f"{setup.name} has been silent for {silent_s:.0f} s: the stream ends")
                return
            if silent_s > STALL_S and not noted:
                noted = True
                self.summary.stalls += 1
                setup.note(f"{setup.name} has been silent for {silent_s:.0f} s")

    def _next_packet(self) -> Packet | None:
        """Return the next packet; whatever else a source of a user's own does is one error."""
        name = self.setup.name
        try:
            packet = self.setup.source.read(READ_S)
        except EventsegError:
            raise
        except Exception as error:
            raise RecordingError(f"{name} has failed: {cause_line(error)}") from error
        if packet is not None and not isinstance(packet, Packet):
            raise RecordingError(
                f"{name} gives a {type(packet).__name__}; read(timeout_s) must return a Packet, or "
                "None at the end"
            )
        return packet

    def _encode(self) -> None:
        setup, order = self.setup, self.order
        window = LiveWindow(setup.encoding, window_us=setup.window_us)
        instants = Instants(every_us=setup.every_us, window_us=setup.window_us)
        keep = None
        if setup.filters:
            keep = EventFilter(setup.filters, sensor=setup.encoding.sensor, hot=setup.hot)

        sees_events = setup.predictor.trained.inputs.kind in ("events", "both")

        def take_in(parts: list[EventStream]) -> None:
            parts = [part for part in parts if len(part)]
            if not parts:
                return
            events = joined_parts(parts)
            instants.see(events.t)
            if sees_events:
                window.add(events if keep is None else keep(events))
            if keep is not None:
                self.summary.filtered = sum(keep.dropped.values())

        arrived_s = 0.0
        while batch := self._packets.take_all():
            parts: list[EventStream] = []
            for packet, arrived_s in batch:
                self._first_s = arrived_s if self._first_s is None else self._first_s
                parts += order.push(packet)
                next_us, complete_us = instants.next_us, order.complete_us
                # Small packets are taken in together, up to the one that completes a window.
                if next_us is not None and complete_us is not None and complete_us < next_us:
                    continue
                take_in(parts)
                parts = []
                due = list(instants.due(complete_us, waiting=order.waiting))
                for instant in due:
                    if setup.queue == "latest" and instant != due[-1] and self._tensors.full:
                        self.summary.dropped += 1
                        continue
                    self._make(window, instant, arrived_s)
            take_in(parts)
            self.summary.blank = instants.blank
        if self._stop.is_set():
            return
        take_in([order.flush()])
        for instant in instants.rest():
            self._make(window, instant, arrived_s)
        self.summary.blank = instants.blank

    def _make(self, window: LiveWindow, instant: Instant, arrived_s: float) -> None:
        """Make the tensor of an instant and hand it over."""
        t1_us, covered = instant
        setup, inputs = self.setup, self.setup.predictor.trained.inputs
        frame = setup.frame_at(t1_us)
        if frame < 0 and inputs.kind != "events":
            self.summary.without_frame += 1
            return
        begin_s = time.perf_counter()
        parts = [] if inputs.kind == "events" else [setup.frame_input(frame)]
        if inputs.kind in ("events", "both"):
            parts.append(window.tensor(t1_us))
        x = parts[0] if len(parts) == 1 else np.concatenate(parts)
        events = window.count if inputs.kind in ("events", "both") else None
        made_s = time.perf_counter()
        kept = window.events() if setup.keep_events and events is not None else None
        encode_ms = 1e3 * (made_s - begin_s)
        self.summary.dropped += self._tensors.put(
            _Tensor(t1_us, frame, covered, events, kept, x, arrived_s, encode_ms, made_s)
        )

    def _predict(self) -> None:
        setup = self.setup
        trained = setup.predictor.trained
        while (tensor := self._tensors.take()) is not None:
            begin_s = time.perf_counter()
            likelihood = setup.predictor(tensor.x)
            found_s = time.perf_counter()
            labels = labels_of(likelihood)
            end_s = time.perf_counter()
            latency_ms = 1e3 * (end_s - tensor.arrived_s)
            steps_ms = {
                "encode": tensor.encode_ms,
                "wait": 1e3 * (begin_s - tensor.made_s),
                "network": 1e3 * (found_s - begin_s),
                "argmax": 1e3 * (end_s - found_s),
            }
            prediction = LivePrediction(
                _id_of(setup, tensor.t1_us, tensor.frame),
                tensor.t1_us,
                tensor.frame,
                tensor.covered,
                tensor.x,
                likelihood,
                trained.classes,
                trained.inputs,
                tensor.events,
                latency_ms=latency_ms,
                steps_ms=steps_ms,
                window_events=tensor.kept,
            )
            vars(prediction)["labels"] = labels  # not to be found a second time
            self._labels.put((prediction, end_s))


def joined_parts(parts: list[EventStream]) -> EventStream:
    """Return events in order as one stream; parts may share a microsecond."""
    if len(parts) == 1:
        return parts[0]
    t, x, y, p = (np.concatenate([getattr(part, name) for part in parts]) for name in "txyp")
    return EventStream(t, x, y, p, parts[0].sensor, parts[0].t0_us, parts[-1].t1_us)


def _id_of(setup: StreamSetup, t1_us: int, frame: int) -> str:
    one = np.array([t1_us])
    window = Windows("", one - setup.window_us, one, one * 0 + frame, one * 0 - 1)
    anchor = Anchor("stride", setup.every_us)
    return sample_ids(setup.sequence, anchor=anchor, windows=window)[0]
