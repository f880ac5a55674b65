"""Counts and times of a live stream: arrivals, drops, and delays of the labels."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from eventseg.files.texts import counted
from eventseg.prediction.live.packets import PacketCounts

KEPT_TIMES = 10_000
"""Latest labels whose times are kept for the quantiles."""

STEPS = ("encode", "wait", "network", "argmax")
"""Parts of the latency: tensor from the window's sums, waiting for the network, class
probabilities, label map. The rest is filters, sums and the order of packets."""


@dataclass(slots=True)
class StreamSummary:
    """Summary of a live stream, up to date while it runs.

    Parameters
    ----------
    packets : PacketCounts
        Packets and events that came.
    filtered : int
        Events that the filters dropped.
    labels : int
        Label maps that the stream has given out.
    dropped : int
        Windows that were complete and got no labels, since newer ones were there.
    blank : int
        Windows in gaps without events, which get no labels.
    empty : int
        Label maps of windows without any event.
    without_frame : int
        Windows without a frame, for networks that see frames.
    stalls : int
        How often the source was silent for seconds.
    seconds : float
        Time from the first packet to the latest label map.
    """

    packets: PacketCounts = field(default_factory=PacketCounts)
    filtered: int = 0
    labels: int = 0
    dropped: int = 0
    blank: int = 0
    empty: int = 0
    without_frame: int = 0
    stalls: int = 0
    seconds: float = 0.0
    _times: deque[tuple[float, ...]] = field(default_factory=lambda: deque(maxlen=KEPT_TIMES))

    def add(self, latency_ms: float, steps_ms: dict[str, float]) -> None:
        """Take in a label map: its latency and the parts of it."""
        self.labels += 1
        self._times.append((latency_ms, *(steps_ms[step] for step in STEPS)))

    @property
    def rate_hz(self) -> float:
        """Label maps a second."""
        return self.labels / self.seconds if self.seconds > 0 else 0.0

    def quantiles_ms(self) -> dict[str, dict[str, float]]:
        """Return p50, p95 and p99 of the latency and of its parts, of the latest 10,000 labels."""
        if not self._times:
            return {}
        table = np.array(self._times)
        shares = (0.5, 0.95, 0.99)
        return {
            name: {
                f"p{round(100 * q)}": float(value)
                for q, value in zip(shares, np.quantile(table[:, i], shares), strict=True)
            }
            for i, name in enumerate(("latency", *STEPS))
        }

    def to_dict(self) -> dict[str, Any]:
        """Return all as plain values."""
        counts = {
            name: getattr(self, name)
            for name in (
                "filtered", "labels", "dropped", "blank", "empty", "without_frame", "stalls",
                "seconds",
            )
        }  # fmt: skip
        return {
            **asdict(self.packets), **counts, "rate_hz": self.rate_hz,
            "times_ms": self.quantiles_ms(),
        }  # fmt: skip

    def lines(self) -> list[str]:
        """Return the summary in words, without zeros."""
        came, found = self.packets, [
            f"{self.labels:,} label map{'s' * (self.labels != 1)} in {self.seconds:.1f} s, "
            f"{self.rate_hz:.1f} a second",
            f"{counted(self.packets.events, 'event')} in {counted(self.packets.packets, 'packet')}",
        ]  # fmt: skip
        for count, text in (
            (self.dropped, "windows dropped, as newer ones were complete (--queue latest)"),
            (self.blank, "windows left out, in gaps without events"),
            (self.empty, "label maps of windows without any event"),
            (self.without_frame, "windows left out, without a frame that is young enough"),
            (came.late, "events dropped: they came after their time (--lateness)"),
            (came.invalid, "events dropped: pixel, polarity or time that the sensor does not have"),
            (self.filtered, "events dropped by filters"),
            (came.restarts, "restarts of the sensor's clock"),
            (self.stalls, "times the source was silent for seconds"),
        ):
            if count:
                found.append(f"{count:,} {text}")
        if times := self.quantiles_ms():
            found.append(
                "latency "
                + ", ".join(f"{name} {value:.1f} ms" for name, value in times["latency"].items())
                + "; at p50 "
                + ", ".join(f"{step} {times[step]['p50']:.1f} ms" for step in STEPS)
            )
        return found
