"""Which events make one sample: half-open windows around frames, in strides, or of fixed count."""

from __future__ import annotations

import re
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

_UNITS_US = {"us": 1, "ms": 1_000, "s": 1_000_000, "min": 60_000_000}


class _FrameTimes(Protocol):
    @property
    def t_us(self) -> Times: ...
    @property
    def t_end_us(self) -> Times: ...


class Timed(Protocol):
    """What windows need to know of a recording."""

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


@dataclass(frozen=True, slots=True)
class Anchor:
    """How windows are placed; ``value`` is the stride in us or the number of events."""

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
    """

    name: str
    t0_us: Times
    t1_us: Times
    frame: Times
    row: Times

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.t0_us)


def parse_duration(text: str) -> int:
    """Return a duration with a unit, such as ``50ms`` or ``0.25s``, in whole microseconds.

    Raises
    ------
    WindowError
        No number, no unit (us, ms, s, min), not positive, or not whole microseconds.
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


def cut_windows(recording: Timed, *, anchor: Anchor, window_us: int) -> Windows:
    """Return the windows of one length that an anchor places on a recording.

    ========== ==========================================================================
    frame      ``[t - w, t)`` for every frame, t its end of exposure
    centre     ``[t - w // 2, t - w // 2 + w)`` for every frame
    stride     ``[t - w, t)`` for t = first event + stride, + 2 strides, ... until all events
               are passed; each goes with the latest frame exposed by t
    evsegnet   bins of one length from the first event on, each with the latest frame whose
               end-of-frame stamp is not after the bin's end; bins before the first frame
               have none and are left out; the published rows where the recording is one of
               the seven. Bins shorter than 50 ms: the first of each 50 ms
    ========== ==========================================================================

    Parameters
    ----------
    recording : Recording
        Anything with ``name``, ``t_first_us``, ``t_last_us`` and ``frames``.
    anchor : Anchor
        All kinds but ``count``, whose windows depend on the events: see
        :func:`eventseg.encoding.one_pass.encode_counted`.
    window_us : int
        Length of every window in us.

    Raises
    ------
    WindowError
        No frames where the anchor needs them, a window longer than the recording, or a length
        the ``evsegnet`` protocol does not define.
    """
    check_window(window_us)
    frames = recording.frames
    span_us = recording.t_last_us + 1 - recording.t_first_us
    if window_us > span_us:
        raise WindowError(
            f"a window of {format_duration(window_us)} is longer than {recording.name}, "
            f"which lasts {span_us / 1e6:.6f} s"
        )
    if anchor.kind != "stride" and len(frames.t_us) == 0:
        raise WindowError(
            f"{recording.name} has no frames to anchor windows at; use --anchor stride:50ms"
        )
    if anchor.kind == "frame":
        ends = frames.t_us.astype(np.int64)
        return _windows(window_us, ends, np.arange(len(ends)))
    if anchor.kind == "centre":
        ends = frames.t_us.astype(np.int64) - window_us // 2 + window_us
        return _windows(window_us, ends, np.arange(len(ends)))
    if anchor.kind == "stride":
        steps = -(-span_us // anchor.value)
        ends = recording.t_first_us + anchor.value * np.arange(1, steps + 1, dtype=np.int64)
        return _windows(window_us, ends, np.searchsorted(frames.t_us, ends, side="right") - 1)
    if anchor.kind == "evsegnet":
        return _evsegnet(recording, window_us=window_us, span_us=span_us)
    raise WindowError("windows of a fixed count are cut while encoding, not from times alone")


def covered_share(windows: Windows, *, t_first_us: int, t_last_us: int) -> NDArray[np.float64]:
    """Return for each window the share of it that lies within the recording's events, float64 (N,).

    1 for a window inside ``[t_first_us, t_last_us]``; less where it reaches past an end.
    """
    inside = np.minimum(windows.t1_us, t_last_us + 1) - np.maximum(windows.t0_us, t_first_us)
    share: NDArray[np.float64] = np.maximum(inside, 0) / (windows.t1_us - windows.t0_us)
    return share


def sample_ids(recording_name: str, *, anchor: Anchor, windows: Windows) -> list[str]:
    """Return the id of every sample: by frame, by export row, or by the window's end.

    The same for every window length of one data set, so that they join by id.
    """
    if anchor.kind == "evsegnet":
        return [f"{recording_name}_export_{row}" for row in windows.row]
    if anchor.kind in ("frame", "centre"):
        return [f"{recording_name}_f{frame:06d}" for frame in windows.frame]
    return [f"{recording_name}_t{t1_us}" for t1_us in windows.t1_us]


def _windows(window_us: int, ends: Times, frame: Times, row: Times | None = None) -> Windows:
    """Return windows by their ends."""
    return Windows(
        format_duration(window_us),
        ends - window_us,
        ends,
        frame.astype(np.int64),
        np.full(len(ends), -1, np.int64) if row is None else row,
    )


def _evsegnet(recording: Timed, *, window_us: int, span_us: int) -> Windows:
    """Return the bins of the original export (facts on its code: the row ranges, A10 and B2)."""
    rows = evsegnet_rows(recording.name, window_us=window_us)
    if rows is None:
        step = max(1, EVSEGNET_BIN_US // window_us)
        rows = np.arange(0, -(-span_us // window_us), step, dtype=np.int64)
    # A file cut short has fewer bins than the published ranges name.
    rows = rows[rows * window_us < span_us]
    ends = recording.t_first_us + (rows + 1) * window_us
    by_end = np.argsort(recording.frames.t_end_us, kind="stable")
    latest = np.searchsorted(recording.frames.t_end_us[by_end], ends, side="right") - 1
    known = latest >= 0
    return _windows(window_us, ends[known], by_end[latest[known]], rows[known])
