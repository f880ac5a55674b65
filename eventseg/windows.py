"""Half-open windows of events: around frames, in strides, or of fixed count."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from operator import index
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import WindowError
from eventseg.splits import EVSEGNET_BIN_US, evsegnet_rows

AnchorKind = Literal["frame", "centre", "stride", "count", "evsegnet"]
Times = NDArray[np.int64]

MAX_WINDOW_US = 2**31 - 1
"""Longest window: the 31 bits of one turn of the sensor's clock, 35.8 minutes."""

MAX_FRAME_AGE_US = 1_000_000
"""Age from which on a frame no longer shows what a window's events saw, by default."""

MOST_WINDOWS = 2**24
"""Most windows of one recording: 23 hours of 5 ms steps."""

_UNITS_US = {"us": 1, "ms": 1_000, "s": 1_000_000, "min": 60_000_000}


class _FrameTimes(Protocol):
    @property
    def t_us(self) -> Times: ...
    @property
    def t_end_us(self) -> Times: ...


class Timed(Protocol):
    """Attributes of a recording that windows need."""

    @property
    def name(self) -> str:
        """Name that sample ids begin with."""
        ...

    @property
    def t_first_us(self) -> int:
        """Time of the first event."""
        ...

    @property
    def t_last_us(self) -> int:
        """Time of the last event."""
        ...

    @property
    def frames(self) -> _FrameTimes:
        """Frame times, sorted by end of exposure."""
        ...


@dataclass(frozen=True, eq=False, slots=True)
class FileOrder:
    """Order in which a file holds its packets of events and its frames.

    Parameters
    ----------
    start_us : int
        Time of the first packet: its first event, or the end stamp of its first frame.
    packet : int64 (P,)
        Place in the file of each packet of events, ascending.
    latest_us : int64 (P,)
        Time of the latest event up to the end of each packet.
    frame : int64 (F,)
        Place of the packet of each frame, in the order of the recording's frames.
    """

    start_us: int
    packet: Times
    latest_us: Times
    frame: Times


@dataclass(frozen=True, slots=True)
class Anchor:
    """Placing of windows; ``value`` is the stride in us or the number of events."""

    kind: AnchorKind
    value: int = 0

    def __str__(self) -> str:
        """Return the anchor as it is written on the command line."""
        if self.kind == "stride":
            return f"stride:{format_duration(self.value)}"
        return f"count:{self.value}" if self.kind == "count" else self.kind


@dataclass(frozen=True, eq=False, slots=True)
class Windows:
    """N windows ``[t0_us, t1_us)`` of one length, ordered by their end.

    Parameters
    ----------
    name : str
        The length as it names a folder, ``50ms``.
    t0_us, t1_us : int64 (N,)
        Begin (included) and end (excluded) in us of the sensor's clock.
    frame : int64 (N,)
        Index of the frame each window goes with, -1 for none.
    row : int64 (N,)
        Row of the export in the ``evsegnet`` protocol, else -1.
    left_out : int
        Number of windows that are not here because they lie in a gap between events.
    stale : int
        Number of windows without a frame because the latest one is too old.
    """

    name: str
    t0_us: Times
    t1_us: Times
    frame: Times
    row: Times
    left_out: int = 0
    stale: int = 0

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.t0_us)


def parse_duration(text: str) -> int:
    """Return a duration with a unit, such as ``50ms`` or ``0.25s``, in whole microseconds.

    Raises
    ------
    WindowError
        No number, no unit (us, ms, s, min), not positive, or not whole microseconds.

    Examples
    --------
    >>> parse_duration("0.25s")
    250000
    """
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*([a-z]+)\s*", text)
    if match is None or match[2] not in _UNITS_US:
        raise WindowError(
            f"duration {text!r} must be a number and a unit: 500us, 50ms, 0.25s, 2min"
        )
    # Decimal digits, not binary floats: 0.1ms is exactly 100 us.
    whole, _, fraction = match[1].partition(".")
    scaled = int((whole or "0") + fraction) * _UNITS_US[match[2]]
    scale: int = 10 ** len(fraction)
    duration_us, rest = divmod(scaled, scale)
    if rest or duration_us <= 0:
        raise WindowError(f"duration {text!r} must be a positive whole number of microseconds")
    return duration_us


def to_us(duration: str | int) -> int:
    """Return a duration, which is a text such as ``50ms`` or microseconds, in microseconds.

    Raises
    ------
    WindowError
        A text that is no duration, or a number that is not whole.
    """
    if isinstance(duration, str):
        return parse_duration(duration)
    try:
        return index(duration)
    except TypeError:
        raise WindowError(
            f"a duration must be a text such as '50ms' or whole microseconds, got {duration!r}"
        ) from None


def format_duration(duration_us: int) -> str:
    """Return a duration in the largest unit that keeps it whole: 50000 -> ``50ms``."""
    for unit in ("s", "ms"):
        if duration_us % _UNITS_US[unit] == 0:
            return f"{duration_us // _UNITS_US[unit]}{unit}"
    return f"{duration_us}us"


def check_window(window_us: int) -> int:
    """Return the length, or say why no window can be that long.

    Raises
    ------
    WindowError
        Not positive, or longer than 35.8 minutes.
    """
    if not 0 < window_us <= MAX_WINDOW_US:
        raise WindowError(f"a window must last 1 us to {MAX_WINDOW_US} us, got {window_us} us")
    return window_us


def parse_anchor(text: str) -> Anchor:
    """Return an anchor: ``frame``, ``centre``, ``stride:50ms``, ``count:32000``, ``evsegnet``.

    Raises
    ------
    WindowError
        Another word, or a stride or count that is missing or not positive.

    Examples
    --------
    >>> str(parse_anchor("stride:50ms"))
    'stride:50ms'
    """
    kind, colon, value = text.partition(":")
    if kind == "stride" and value:
        return Anchor("stride", parse_duration(value))
    if kind == "count" and value.isdecimal() and int(value) > 0:
        return Anchor("count", int(value))
    if not colon and kind in get_args(AnchorKind) and kind not in ("stride", "count"):
        return Anchor(kind)  # type: ignore[arg-type]
    raise WindowError(
        f"anchor {text!r} must be frame, centre, stride:DURATION, count:EVENTS or evsegnet"
    )


def to_anchor(anchor: str | Anchor) -> Anchor:
    """Return an anchor, which may be a text such as ``stride:50ms``.

    Raises
    ------
    WindowError
        As :func:`parse_anchor`, and a value that is neither a text nor an anchor.
    """
    if isinstance(anchor, Anchor):
        return anchor
    if isinstance(anchor, str):
        return parse_anchor(anchor)
    raise WindowError(f"an anchor must be a text such as 'frame' or an Anchor, got {anchor!r}")


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
        its longest window lies in a gap between events.
    max_frame_age_us : int or None
        Largest age of a frame at a window's end, for ``stride`` and ``evsegnet``; an older one
        is no partner of the window. None for any age.

    Raises
    ------
    WindowError
        No frames where the anchor needs them, a window longer than the recording, more windows
        than 2^24, or a length the ``evsegnet`` protocol does not define.

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
            f"which lasts {span_us / 1e6:.6f} s"
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
        numbers = _numbers(first, anchor.value, steps, longest_us=longest_us, stretches=stretches)
        ends = first + anchor.value * numbers
        latest = np.searchsorted(frames.t_us, ends, side="right") - 1
        frame, stale = _fresh(latest, frames.t_us, ends, max_frame_age_us)
        left_out = steps - len(numbers)
        return _windows(window_us, ends, frame, left_out=left_out, stale=stale)
    if anchor.kind == "evsegnet":
        return _evsegnet(recording, window_us, stretches, max_frame_age_us)
    raise WindowError("windows of a fixed count are cut while encoding, not from times alone")


def covered_share(
    windows: Windows,
    *,
    t_first_us: int,
    t_last_us: int,
    gaps: Sequence[tuple[int, int]] = (),
) -> NDArray[np.float64]:
    """Return the share of each window that is within the recording's events, float64 (N,).

    1 for a window inside ``[t_first_us, t_last_us]`` that meets no gap. The time strictly between
    the two events around a gap, and that before the first and after the last event, do not count.

    Examples
    --------
    >>> windows = cut_windows(recording, anchor=parse_anchor("stride:50ms"), window_us=50_000)
    >>> t0_us, t1_us = recording.t_first_us, recording.t_last_us
    >>> float(covered_share(windows, t_first_us=t0_us, t_last_us=t1_us)[0])
    1.0
    """
    inside = np.minimum(windows.t1_us, t_last_us + 1) - np.maximum(windows.t0_us, t_first_us)
    before, after = np.array(gaps, np.int64).reshape(-1, 2).T
    lengths = after - before - 1
    total = np.r_[0, np.cumsum(lengths)]

    def gap_time(t: Times) -> Times:
        """Return the time in gaps up to t."""
        begun = np.searchsorted(before, t)
        last = np.maximum(begun - 1, 0)
        if not len(before):
            return np.zeros_like(t)
        rest = np.maximum(after[last] - t, 0)
        return np.where(begun > 0, total[begun] - np.minimum(rest, lengths[last]), 0)

    inside = np.maximum(inside - (gap_time(windows.t1_us) - gap_time(windows.t0_us)), 0)
    share: NDArray[np.float64] = inside / (windows.t1_us - windows.t0_us)
    return share


def sample_ids(recording_name: str, *, anchor: Anchor, windows: Windows) -> list[str]:
    """Return the id of every sample: by frame, by export row, or by the window's end.

    The same for every window length of one data set, so that they join by id.
    """
    if anchor.kind == "evsegnet":
        # The authors name bins shorter than 50 ms after the 50 ms row that they begin.
        lengths = np.minimum(windows.t1_us - windows.t0_us, EVSEGNET_BIN_US)
        rows = windows.row * lengths // EVSEGNET_BIN_US
        return [f"{recording_name}_export_{row}" for row in rows]
    if anchor.kind in ("frame", "centre"):
        return [f"{recording_name}_f{frame:06d}" for frame in windows.frame]
    return [f"{recording_name}_t{t1_us}" for t1_us in windows.t1_us]


def _skipped_frames(recording: Timed) -> str:
    """Return why a recording's frames were left out, in brackets; empty where there were none."""
    report = getattr(recording, "report", None)
    skipped = report.skipped.get("frames", {}) if report is not None else {}
    reasons = ", ".join(f"{count:,} skipped: {reason}" for reason, count in skipped.items())
    return f" ({reasons})" if reasons else ""


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


def _evsegnet(
    recording: Timed, window_us: int, stretches: Times, max_frame_age_us: int | None
) -> Windows:
    """Return the bins of the original export (facts on its code: the row ranges, A10 and B2)."""
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
