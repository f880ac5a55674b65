"""Description of a recording, as a plain dict and as lines of text."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventseg.files.texts import counted
from eventseg.recordings.base import Recording
from eventseg.recordings.contents import Signal

RATE_BIN_US = 10_000
"""Bin of the peak event rate."""

BARS = 20
BAR_WIDTH = 40
EIGHTHS = " ▏▎▍▌▋▊▉"


def describe_recording(recording: Recording) -> dict[str, Any]:
    """Return the contents of a recording, after one pass over its events in constant memory.

    Returns
    -------
    dict
        Ready for JSON. Times in us of the sensor's clock, rates in events or frames a second;
        ``histogram`` has the events of equal parts of the recording.
    """
    first_us, last_us = recording.t_first_us, recording.t_last_us
    # All bins, so that a quiet stretch counts as one; an hour has 360,000 of them.
    bins = np.zeros((last_us - first_us) // RATE_BIN_US + 1, np.int64)
    parts = np.zeros(BARS, np.int64)
    on = 0
    for part in recording.stream():
        after_us = part.t - first_us
        bins += np.bincount(after_us // RATE_BIN_US, minlength=len(bins))
        parts += np.bincount(after_us * BARS // (last_us + 1 - first_us), minlength=BARS)
        on += int(np.count_nonzero(part.p))
    total = int(bins.sum())
    duration_s = (last_us + 1 - first_us) / 1e6
    width, height = recording.sensor.width, recording.sensor.height
    return {
        "file": recording.path.name,
        "size_bytes": recording.path.stat().st_size,
        "sensor": {"width": width, "height": height},
        "t_first_us": first_us,
        "t_last_us": last_us,
        "duration_s": duration_s,
        "events": total,
        "on_share": on / total if total else None,
        "rate_mean": total / duration_s,
        "rate_peak": int(bins.max()) * 1_000_000 / RATE_BIN_US,
        "rate_peak_bin_us": RATE_BIN_US,
        "frames": _frames(recording),
        "imu_samples": len(recording.imu()),
        "specials": {
            str(kind): count for kind, count in sorted(Counter(recording.specials["type"]).items())
        },
        "signals": {
            name: _signal(signal)
            for name, signal in sorted(recording.signals.items())
            if np.isfinite(signal.value).any()
        },
        "gaps": [{"t0_us": int(t0_us), "t1_us": int(t1_us)} for t0_us, t1_us in recording.gaps],
        "epochs": [
            {
                "first_row": int(epoch.first_row),
                "offset_us": int(epoch.offset_us),
                "reason": epoch.reason,
            }
            for epoch in recording.epochs
        ],
        "report": recording.report.to_dict(),
        "histogram": parts.tolist(),
    }


def _signal(signal: Signal) -> dict[str, Any]:
    finite = signal.value[np.isfinite(signal.value)]
    return {
        "unit": signal.unit,
        "count": len(signal.value),
        "min": float(finite.min()),
        "max": float(finite.max()),
    }


def _frames(recording: Recording) -> dict[str, Any]:
    frames = recording.frames
    if not len(frames.t_us):
        return {"count": 0}
    exposure = frames.exposure_end_us - frames.exposure_start_us
    span_us = int(frames.t_us[-1] - frames.t_us[0])
    return {
        "count": len(frames.t_us),
        "rate": (len(frames.t_us) - 1) * 1e6 / span_us if span_us else None,
        "exposure_end_us": [int(frames.t_us[0]), int(frames.t_us[-1])],
        "frame_end_us": [int(frames.t_end_us.min()), int(frames.t_end_us.max())],
        "exposure_us": _three(exposure),
        "read_out_us": _three(frames.t_end_us - frames.exposure_end_us),
        "interval_us": _three(np.diff(frames.t_us)) if len(frames.t_us) > 1 else None,
    }


def _three(values: NDArray[np.int64]) -> dict[str, float]:
    return {
        "min": float(values.min()),
        "median": float(np.median(values)),
        "max": float(values.max()),
    }


def recording_lines(info: dict[str, Any], *, report: list[str]) -> list[str]:
    """Return a description of a recording as lines for people, with the reading report's lines."""
    start_us, sensor = info["t_first_us"], info["sensor"]
    share = "" if info["on_share"] is None else f", {info['on_share']:.2%} ON"
    lines = [
        f"{info['file']}  {info['size_bytes']:,} bytes",
        f"sensor    {sensor['width']}x{sensor['height']}",
        f"time      {start_us:,} to {info['t_last_us']:,} us, {info['duration_s']:.6f} s",
        f"events    {info['events']:,}{share}",
        f"rate      {_rate(info['rate_mean'])} mean, {_rate(info['rate_peak'])} peak "
        f"in {info['rate_peak_bin_us'] // 1000} ms",
        *_frame_lines(info["frames"]),
        f"imu       {counted(info['imu_samples'], 'sample')}",
    ]
    if info["specials"]:
        kinds = ", ".join(f"{n:,} of type {kind}" for kind, n in info["specials"].items())
        lines.append(f"specials  {kinds}")
    lines.append(f"signals   {len(info['signals'])} with data")
    for name, signal in info["signals"].items():
        values = f"{signal['min']:g} to {signal['max']:g} {signal['unit']}".rstrip()
        lines.append(f"  {name:<32} {signal['count']:>9,} values, {values}")
    lines.append(f"gaps      {len(info['gaps'])} longer than 100 ms without events")
    for gap in info["gaps"][:10]:
        at_s, long_s = (gap["t0_us"] - start_us) / 1e6, (gap["t1_us"] - gap["t0_us"]) / 1e6
        lines.append(f"  {long_s:.3f} s at {at_s:.3f} s")
    if len(info["gaps"]) > 10:
        lines.append(f"  ... and {len(info['gaps']) - 10} more")
    resets = [epoch for epoch in info["epochs"] if epoch["reason"] != "start"]
    lines.append(f"clock     {len(resets)} resets or jumps")
    lines += [
        f"  {epoch['reason']} at row {epoch['first_row']:,}, offset {epoch['offset_us']:,} us"
        for epoch in resets
    ]
    lines += ["reading report", *(f"  {line}" for line in report)]
    return [*lines, "events over time", *histogram_lines(info["histogram"], info["duration_s"])]


def histogram_lines(counts: list[int], duration_s: float) -> list[str]:
    """Return horizontal bars of Unicode eighths, one a part of the recording, with its rate."""
    most = max(counts, default=0)
    part_s = duration_s / max(1, len(counts))
    lines = []
    for index, count in enumerate(counts):
        eighths = round(count / most * BAR_WIDTH * 8) if most else 0
        bar = "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()
        rate = _rate(count / part_s)
        lines.append(f"  {index * part_s:>9.2f} s  {bar:<{BAR_WIDTH}}  {rate:>12}")
    return lines


def _frame_lines(frames: dict[str, Any]) -> list[str]:
    if not frames["count"]:
        return ["frames    0"]
    rate = "" if frames["rate"] is None else f", {frames['rate']:.3f} a second"
    interval = frames["interval_us"]
    return [
        f"frames    {frames['count']:,}{rate}",
        *(
            f"  {words:<16} {first:,} to {last:,} us"
            for words, (first, last) in (
                ("end of exposure", frames["exposure_end_us"]),
                ("end of frame", frames["frame_end_us"]),
            )
        ),
        *(
            f"  {words:<16} {low:,.0f} to {high:,.0f} us, median {middle:,.0f}"
            for words, (low, middle, high) in (
                ("exposure", frames["exposure_us"].values()),
                ("read-out", frames["read_out_us"].values()),
                *([("interval", interval.values())] if interval else []),
            )
        ),
    ]


def _rate(events_a_second: float) -> str:
    for limit, unit in ((1e6, "Mev/s"), (1e3, "kev/s")):
        if events_a_second >= limit:
            return f"{events_a_second / limit:.2f} {unit}"
    return f"{events_a_second:.0f} ev/s"
