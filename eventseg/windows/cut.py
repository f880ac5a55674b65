"""Cutting a recording into windows: around frames, in strides, or by EV-SegNet's rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import WindowError
from eventseg.splits import EVSEGNET_BIN_US, evsegnet_rows
from eventseg.windows.anchors import Anchor, to_anchor
from eventseg.windows.durations import check_window, format_duration, to_us
from eventseg.windows.recording import FileOrder, Timed
from eventseg.windows.windows import Windows

Times = NDArray[np.int64]

MAX_FRAME_AGE_US = 1_000_000
"""Age from which on a frame no longer shows what a window's events saw, by default."""

MOST_WINDOWS = 2**24
"""Most windows of one recording: 23 hours of 5 ms steps."""


def cut_windows(
    recording: Timed,
    *,
    anchor: str | Anchor,
    window_us: str | int,
    longest_us: int | None = None,
    max_frame_age_us: int | None = MAX_FRAME_AGE_US,
) -> Windows:
    """Return the windows of one length that an anchor places on a recording.

    ========== ==========================================================================
    frame      ``[t - w, t)`` for every frame, t its end of exposure
    centre     ``[t - w // 2, t - w // 2 + w)`` for every frame
    stride     ``[t - w, t)`` for t = first event + stride, + 2 strides, ... until all events
               are passed; each goes with the latest frame exposed by t
    evsegnet   bins of one length from the first packet on (an event, or a frame's end), each
               with the last frame that the file holds before the packet with the first event
               at or past the bin's end; bins before the first frame have none and are left out;
               for a format without packets, bins begin at the first event and each goes with
               the latest frame whose end-of-frame stamp is not after the bin's end. The
               published rows where the recording is one of the seven. Bins shorter than
               50 ms: the first of each 50 ms
    ========== ==========================================================================

    Parameters
    ----------
    recording : Recording
        Anything with ``name``, ``t_first_us``, ``t_last_us`` and ``frames``.
    anchor : str or Anchor
        All kinds but ``count``, whose windows depend on the events: see
        :func:`eventseg.encoding.one_pass.encode_counted`.
    window_us : str or int
        Length of every window in us, or a duration such as ``50ms``.
    longest_us : int, optional
        Length of the longest window of the same samples. A sample is left out, and counted, if
        its longest window is in a gap between events.
    max_frame_age_us : int or None
        Largest age of a frame at a window's end, for ``stride`` and ``evsegnet``; an older one
        is no partner of the window. None for any age.

    Raises
    ------
    WindowError
        No frames where the anchor needs them, a window longer than the recording, a stride whose
        first window begins after the last event, more windows than 2^24, or a length the
        ``evsegnet`` protocol does not define.

    Examples
    --------
    >>> windows = cut_windows(recording, anchor=parse_anchor("frame"), window_us=50_000)
    >>> len(windows) == len(recording.frames)
    True
    """
    anchor, window_us = to_anchor(anchor), check_window(to_us(window_us))
    frames = recording.frames
    longest_us = max(window_us, longest_us or 0)
    span_us = recording.t_last_us + 1 - recording.t_first_us
    if window_us > span_us:
        raise WindowError(
            f"a window of {format_duration(window_us)} is longer than {recording.name}, "
            f"which lasts {span_us / 1e6:.6f} s: give a shorter one"
        )
    if anchor.kind != "stride" and len(frames.t_us) == 0:
        raise WindowError(
            f"{recording.name} has no frames to anchor windows at{_skipped_frames(recording)}; "
            "use --anchor stride:50ms"
        )
    stretches = _stretches(recording)
    if anchor.kind in ("frame", "centre"):
        centred = anchor.kind == "centre"
        ends = frames.t_us.astype(np.int64)
        last = ends + (longest_us - longest_us // 2) * centred
        blank = _in_gap(last - longest_us, last, stretches)
        ends += (window_us - window_us // 2) * centred
        kept = np.flatnonzero(~blank)
        return _windows(window_us, ends[kept], kept, left_out=int(blank.sum()))
    if anchor.kind == "stride":
        steps = -(-span_us // anchor.value)
        first = recording.t_first_us + anchor.value
        if first - longest_us > recording.t_last_us:
            raise WindowError(
                f"steps of {format_duration(anchor.value)} place no window of "
                f"{format_duration(longest_us)} within {recording.name}, which lasts "
                f"{span_us / 1e6:.6f} s: take shorter steps"
            )
        numbers = _numbers(first, anchor.value, steps, longest_us=longest_us, stretches=stretches)
        ends = first + anchor.value * numbers
        latest = np.searchsorted(frames.t_us, ends, side="right") - 1
        frame, stale = _fresh(latest, frames.t_us, ends, max_frame_age_us)
        left_out = steps - len(numbers)
        return _windows(window_us, ends, frame, left_out=left_out, stale=stale)
    if anchor.kind == "evsegnet":
        return _evsegnet(recording, window_us, stretches, max_frame_age_us)
    raise WindowError("windows of a fixed count are cut while encoding, not from times alone")


def _evsegnet(
    recording: Timed, window_us: int, stretches: Times, max_frame_age_us: int | None
) -> Windows:
    """Return the bins of the original export, as its code cuts them (``docs/encoding.md``)."""
    order: FileOrder | None = getattr(recording, "file_order", None)
    start_us = recording.t_first_us if order is None else order.start_us
    rows = evsegnet_rows(recording.name, window_us=window_us)
    bins = max(0, -(-(recording.t_last_us + 1 - start_us) // window_us))
    if rows is None:
        step = max(1, EVSEGNET_BIN_US // window_us)
        count = -(-bins // step)
        numbers = _numbers(
            start_us + window_us,
            step * window_us,
            count,
            longest_us=window_us,
            stretches=stretches,
        )
        rows, left_out = step * numbers, count - len(numbers)
    else:
        # A file cut short has fewer bins than the published ranges name.
        rows = rows[rows < bins]
        ends = start_us + (rows + 1) * window_us
        blank = _in_gap(ends - window_us, ends, stretches)
        rows, left_out = rows[~blank], int(blank.sum())
    ends = start_us + (rows + 1) * window_us
    t_end_us = recording.frames.t_end_us
    if order is None:
        by_end = np.argsort(t_end_us, kind="stable")
        latest = np.searchsorted(t_end_us[by_end], ends, side="right") - 1
    else:
        # The row is written when a packet brings the first event at or past its end.
        by_end = np.argsort(order.frame, kind="stable")
        never = np.iinfo(np.int64).max
        closing = np.r_[order.packet, never][np.searchsorted(order.latest_us, ends)]
        latest = np.searchsorted(order.frame[by_end], closing) - 1
    known = latest >= 0
    ends, rows = ends[known], rows[known]
    frame, stale = _fresh(by_end[latest[known]], t_end_us, ends, max_frame_age_us)
    return _windows(window_us, ends, frame, rows, left_out=left_out, stale=stale)


def _windows(
    window_us: int,
    ends: Times,
    frame: Times,
    row: Times | None = None,
    *,
    left_out: int = 0,
    stale: int = 0,
) -> Windows:
    """Return windows by their ends."""
    return Windows(
        format_duration(window_us),
        ends - window_us,
        ends,
        frame.astype(np.int64),
        np.full(len(ends), -1, np.int64) if row is None else row,
        left_out,
        stale,
    )


def _stretches(recording: Timed) -> Times:
    """Return first and last event of the stretches between the recording's gaps, int64 (S, 2)."""
    gaps = np.array(getattr(recording, "gaps", ()), np.int64).reshape(-1, 2)
    starts = np.r_[recording.t_first_us, gaps[:, 1]]
    return np.stack([starts, np.r_[gaps[:, 0], recording.t_last_us]], axis=1)


def _in_gap(t0_us: Times, t1_us: Times, stretches: Times) -> NDArray[np.bool_]:
    """Return which windows lie in a gap between two stretches of events."""
    latest = np.searchsorted(stretches[:, 0], t1_us) - 1
    meets = (latest >= 0) & (stretches[latest, 1] >= t0_us)
    blank: NDArray[np.bool_] = ~meets & (t1_us > stretches[0, 0]) & (t0_us <= stretches[-1, 1])
    return blank


def _numbers(
    first_us: int, step_us: int, count: int, *, longest_us: int, stretches: Times
) -> Times:
    """Return the k in [0, count) whose window, ending at first + k step, meets a stretch."""
    low = np.maximum((stretches[:, 0] - first_us) // step_us + 1, 0)
    high = np.minimum((stretches[:, 1] + longest_us - first_us) // step_us + 1, count)
    low[0], high[-1] = 0, count  # windows before the first and after the last event stay
    low[1:] = np.maximum(low[1:], np.maximum.accumulate(high)[:-1])
    counts = np.maximum(high - low, 0)
    if counts.sum() > MOST_WINDOWS:
        raise WindowError(
            f"steps of {format_duration(step_us)} give {counts.sum():,} windows; at most "
            f"{MOST_WINDOWS:,} are allowed: take longer steps"
        )
    begins = np.repeat(low - np.cumsum(counts) + counts, counts)
    return begins + np.arange(counts.sum(), dtype=np.int64)


def _fresh(frame: Times, frame_us: Times, ends: Times, max_age_us: int | None) -> tuple[Times, int]:
    """Return the frames with -1 for those too old at the windows' ends, and how many are."""
    if max_age_us is None or not len(frame_us):
        return frame, 0
    stale = (frame >= 0) & (ends - frame_us[frame] > max_age_us)
    return np.where(stale, -1, frame), int(stale.sum())


def _skipped_frames(recording: Timed) -> str:
    """Return why a recording's frames were left out, in brackets; empty where there were none."""
    report = getattr(recording, "report", None)
    skipped = report.skipped.get("frames", {}) if report is not None else {}
    reasons = ", ".join(f"{count:,} skipped: {reason}" for reason, count in skipped.items())
    return f" ({reasons})" if reasons else ""
