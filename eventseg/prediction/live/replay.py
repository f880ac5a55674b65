"""A recording as a source of live events, at its own pace."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np

from eventseg.events import EventStream, SensorSize
from eventseg.prediction.live.packets import Packet
from eventseg.recordings import Recording

PACKET_US = 10_000
"""Length of the packets of a replayed recording, as cameras send them."""

MOST_IN_PACKET = 1 << 16
"""Most events of a packet of a replayed recording."""


class Replay:
    """Packets of a recording, as from a camera: each when its last event has happened.

    Parameters
    ----------
    recording : Recording
    speed : float
        Factor of the pace; infinity for no waiting.
    packet_us : int
        Length of the packets.
    """

    def __init__(
        self, recording: Recording, *, speed: float = 1.0, packet_us: int = PACKET_US
    ) -> None:
        self.recording = recording
        self.sensor: SensorSize = recording.sensor
        self._speed = speed
        self._packets = _packets(recording, packet_us)
        self._begin_s: float | None = None
        self._ended = threading.Event()

    def read(self, timeout_s: float) -> Packet | None:  # noqa: ARG002 - it is never silent
        """Return the next packet, at its time; None at the end."""
        events = next(self._packets, None)
        if events is None or self._ended.is_set():
            return None
        if self._speed != np.inf:
            now_s = time.monotonic()
            self._begin_s = now_s if self._begin_s is None else self._begin_s
            since_s = (events.t1_us - self.recording.t_first_us) / 1e6 / self._speed
            if self._ended.wait(max(0.0, self._begin_s + since_s - now_s)):
                return None
        return Packet(events.t, events.x, events.y, events.p)

    def close(self) -> None:
        """End the replay; the recording stays open."""
        self._ended.set()


def _packets(recording: Recording, packet_us: int) -> Iterator[EventStream]:
    """Yield the events of a recording in spans of a length, without those of no event."""
    for piece in recording.stream(max_events=1 << 20):
        if not len(piece):
            continue
        origin_us = recording.t_first_us
        number = (piece.t - origin_us) // packet_us
        cuts = np.flatnonzero(np.diff(number)) + 1
        for lo, hi in zip([0, *cuts.tolist()], [*cuts.tolist(), len(piece)], strict=True):
            for first in range(lo, hi, MOST_IN_PACKET):
                part = slice(first, min(first + MOST_IN_PACKET, hi))
                t = piece.t[part]
                columns = (t, piece.x[part], piece.y[part], piece.p[part])
                yield EventStream(*columns, piece.sensor, int(t[0]), int(t[-1]) + 1)
