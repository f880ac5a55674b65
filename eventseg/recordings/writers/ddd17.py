"""A recording in the layout of DDD17, with all that it has besides events."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventseg.events import EventStream
from eventseg.recordings.base import Recording
from eventseg.recordings.ddd17.writer import DDD17Writer

PIECE_US = 10_000_000
"""Longest stretch of one kind of content that is added before the others catch up."""

REORDER_US = 2 * PIECE_US
"""Longest time that something is added late, with room to spare."""

LATENCY_US = 1_000
"""Time after the last event of a packet at which the host has it."""

NEVER_US = 2**62
"""A time behind all."""

CLOCK_KINDS = 2
"""Special events below are the clock's own, which the writer makes by itself."""


def write_ddd17(
    path: Path,
    recording: Recording,
    spans: Iterable[EventStream],
    *,
    around: tuple[int, int],
    asked: tuple[int, int],
    chosen: NDArray[np.int64],
    zero_us: int,
) -> dict[str, int]:
    """Write a recording; a file of that name is replaced when the new one is complete.

    Parameters
    ----------
    path : Path
    recording : Recording
        Gives all but the events.
    spans : iterable of EventStream
        Consecutive spans of the events.
    around : (int, int)
        Span of inertial samples and special events.
    asked : (int, int)
        Span of vehicle signals, which may begin before the sensor's clock.
    chosen : int64 (F,)
        Numbers of the frames.
    zero_us : int
        Time that becomes 0.

    Returns
    -------
    dict of int
        Frames, inertial samples, special events and vehicle signals written.
    """
    (t0_us, t1_us), frames = around, recording.frames
    # Some recorders leave stamps out: a frame lasts at least as long as its exposure.
    starts = np.minimum(frames.t_start_us, frames.exposure_start_us)
    ends = np.maximum(frames.t_end_us, frames.t_us)
    chosen = chosen[np.argsort(ends[chosen], kind="stable")]
    imu, specials = recording.imu(t0_us, t1_us), recording.specials
    specials = specials[(specials["t"] >= t0_us) & (specials["t"] < t1_us)]
    specials = specials[specials["type"] >= CLOCK_KINDS]
    done = {"frames": 0, "imu": 0, "specials": 0, "signals": 0}
    # The same times of the host as in the source, on which signals are stored.
    lead_us = next((s.t_host_us[0] - s.t_us[0] for s in recording.signals.values()), LATENCY_US)
    with DDD17Writer(
        path,
        sensor=recording.sensor,
        host_t0_us=zero_us + int(lead_us) - LATENCY_US,
        latency_us=LATENCY_US,
        reorder_us=REORDER_US,
    ) as writer:

        def catch_up(until_us: int) -> None:
            """Add all but events that ends before a time, so that nothing comes too late."""
            while (oldest_us := min(waiting_us())) < until_us:
                add_rest(min(until_us, oldest_us + PIECE_US))

        def waiting_us() -> list[int]:
            """Return the time of the next frame, inertial sample and special event."""
            columns = (("frames", ends[chosen]), ("imu", imu["t"]), ("specials", specials["t"]))
            return [
                int(times[done[kind]]) if done[kind] < len(times) else NEVER_US
                for kind, times in columns
            ]

        def add_rest(until_us: int) -> None:
            stop = int(np.searchsorted(ends[chosen], until_us))
            for i in chosen[done["frames"] : stop].tolist():
                row, column, height, width = frames.roi(i)
                writer.add_frame(
                    frames.raw(i)[row : row + height, column : column + width],
                    position=(row, column),
                    t_start_us=int(starts[i]) - zero_us,
                    t_end_us=int(ends[i]) - zero_us,
                    exposure_start_us=int(frames.exposure_start_us[i]) - zero_us,
                    exposure_end_us=int(frames.exposure_end_us[i]) - zero_us,
                )
            done["frames"] = stop
            stop = int(np.searchsorted(imu["t"], until_us))
            samples = imu[done["imu"] : stop].copy()
            samples["t"] -= zero_us
            writer.add_imu(samples)
            done["imu"] = stop
            stop = int(np.searchsorted(specials["t"], until_us))
            part = specials[done["specials"] : stop]
            writer.add_specials(part["t"] - zero_us, part["type"], part["data"])
            done["specials"] = stop

        for span in spans:
            # Few events make a long span.
            first = 0
            while first < len(span):
                stop = int(np.searchsorted(span.t, span.t[first] + PIECE_US))
                catch_up(int(span.t[first]))
                t, x, y, p = (getattr(span, name)[first:stop] for name in "txyp")
                writer.add_events(
                    EventStream.from_arrays(
                        t - zero_us, x, y, p, sensor=recording.sensor, t_unit="us"
                    )
                )
                first = stop
        catch_up(NEVER_US)
        for name, signal in recording.signals.items():
            inside = (signal.t_us >= asked[0]) & (signal.t_us < asked[1])
            if inside.any():
                writer.add_signal(name, signal.t_us[inside] - zero_us, signal.value[inside])
                done["signals"] += 1
    return done
