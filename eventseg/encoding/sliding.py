"""Sliding window over live events: sums that entering and leaving events change, never rebuilt.

A window ``[t1 - w, t1)`` moves forward with the time of a camera. Its integer sums (ARCHITECTURE,
"Sums") are kept from one instant to the next, relative to the window's begin. When the begin moves
by d, in this order:

1. events that leave are taken away, by the old origin: each has 0 <= dt < w;
2. the origin moves, by ``s1 - n d`` and ``s2 - 2 d s1 + n d^2``: each dt left is at least d;
3. events that enter are added, by the new origin: again 0 <= dt < w.

So the words never hold more than those of a fresh window do, and their limits are the same. All
steps are in integers: the sums are those of a fresh window, nothing drifts, and the float finish
is the same code. A window that moves by more than its length, or that shares few events with the
one before, is made anew, as that is less work.

Other representations slide where their definition can :attr:`~.Definition.move` its values:
``count``, ``count-latest`` and ``time-surface`` do, whose latest times leave by themselves.
``voxel`` and ``stack`` share events between bins that move along, and are encoded again.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from eventseg.encoding.cpu import Columns, compile_advice, encode_run
from eventseg.encoding.element_type import round_to
from eventseg.encoding.held_events import HeldEvents
from eventseg.encoding.normalise import normalise_raw
from eventseg.encoding.representation import MEAN_STD, Representation
from eventseg.encoding.settings import Encoding, Tensor
from eventseg.errors import EventsError, WindowError
from eventseg.events import EventStream
from eventseg.kernels import planes
from eventseg.kernels.accumulate import (
    BLOCK,
    PACKED_MAX_EVENTS,
    PACKED_MAX_WINDOW_US,
    add_packed,
    subtract_packed,
)
from eventseg.kernels.cells import EXACT_LIMIT
from eventseg.kernels.finalize import finalize_packed, largest_count, move_origin
from eventseg.windows import check_window


def can_slide(representation: Representation, *, window_us: int) -> bool:
    """Return whether the sums of a window go on from one instant to the next."""
    if representation == MEAN_STD:
        return window_us < PACKED_MAX_WINDOW_US
    return representation.definition.move is not None


class LiveWindow:
    """Window of fixed length over events that arrive in order of time.

    Every tensor equals that of :func:`eventseg.encode` for the same window to the bit. Memory holds
    the events of one window and those that came after it.

    Parameters
    ----------
    encoding : Encoding
        Encoding of the events; its filters are applied by the caller.
    window_us : int
        Length of the window.

    Attributes
    ----------
    slides : bool
        Whether sums go on; else each window is encoded again from the events.
    fresh, slid : int
        Number of tensors made from all events of their window, and from the window before.
    count : int
        Number of events of the latest window.

    Raises
    ------
    WindowError
        A length of 0 or less, or above 35.8 minutes.

    Examples
    --------
    >>> events = recording.events()
    >>> live = LiveWindow(encoding_of(recording.sensor), window_us=50_000)
    >>> live.add(events)
    >>> t1_us = events.t0_us + 60_000
    >>> bool((live.tensor(t1_us) == encode(events, window=(t1_us - 50_000, t1_us))).all())
    True
    """

    def __init__(self, encoding: Encoding, *, window_us: int) -> None:
        self.encoding = encoding
        self.window_us = check_window(window_us)
        self.slides = can_slide(encoding.representation, window_us=window_us)
        self.fresh = self.slid = self.count = 0
        self._events = HeldEvents()
        self._sums: _Sums | None = None
        if self.slides:
            packed = encoding.representation == MEAN_STD
            self._sums = _PackedSums(encoding) if packed else _PlaneSums(encoding)
        self._summed: tuple[int, int] | None = None
        """Events that the sums hold, first and after last, counted from the first event ever."""
        self._t0_us: int | None = None
        """Begin of the window before."""

    def __len__(self) -> int:
        """Return the number of events in memory."""
        return len(self._events)

    def add(self, events: EventStream) -> None:
        """Take in events that follow those before; two packets may share a microsecond.

        Raises
        ------
        EventsError
            Another sensor, or events from before the latest one or the latest window's end.
        """
        if events.sensor != self.encoding.sensor:
            raise EventsError(
                f"the window is for a sensor {self.encoding.sensor}, the events are {events.sensor}"
            )
        if not len(events):
            return
        first_us, known_us = int(events.t[0]), self._known_us
        if known_us is not None and first_us < known_us:
            raise EventsError(
                f"events from {first_us} us on, and the window has come to {known_us} us: sort "
                "packets by time before, and drop those from the past"
            )
        self._events.append(events)

    def tensor(self, t1_us: int, *, out: Tensor | None = None) -> Tensor:
        """Return the tensor of ``[t1_us - window_us, t1_us)``.

        Parameters
        ----------
        t1_us : int
            End of the window, not before that of the window before.
        out : float32 (C, H, W), optional
            C-contiguous array to write into.

        Returns
        -------
        float32 (C, H, W)

        Raises
        ------
        WindowError
            An instant before the last one, or an `out` of another shape or type.
        """
        t0_us = t1_us - self.window_us
        if self._t0_us is not None and t0_us < self._t0_us:
            raise WindowError(
                f"a window that ends at {t1_us} us, after one that ended at "
                f"{self._t0_us + self.window_us} us: ask in order of time"
            )
        shape = self.encoding.shape
        if out is None:
            out = np.empty(shape, np.float32)
        elif out.shape != shape or out.dtype != np.float32 or not out.flags.c_contiguous:
            raise WindowError(
                f"out must be C-contiguous float32 {shape}, got {out.dtype} {out.shape}"
            )
        elif not out.flags.writeable:
            raise WindowError("out must be writeable, got a read-only array; give a copy of it")
        lo, hi = self._events.bounds(t0_us, t1_us)
        if self._sums is None or not self._sums.hold(hi - lo):
            self._empty()
            self._encode(lo, hi, t0_us, out)
        else:
            self._bring(self._sums, lo, hi, t0_us)
            if not self._sums.finish(self.window_us, out):
                self._encode(lo, hi, t0_us, out)
        self._t0_us, self.count = t0_us, hi - lo
        self._events.drop_before(lo)
        return out

    def events(self) -> EventStream:
        """Return the events of the latest window, copied; none before the first window."""
        t0_us = 0 if self._t0_us is None else self._t0_us
        t1_us = t0_us if self._t0_us is None else t0_us + self.window_us
        t, x, y, p = self._events.columns(*self._events.bounds(t0_us, t1_us))
        columns = t.copy(), x.copy(), y.copy(), p.copy()
        return EventStream(*columns, self.encoding.sensor, t0_us, t1_us)

    @property
    def _known_us(self) -> int | None:
        """Time that no new event may lie before; None before the first event and window."""
        ends = [] if self._t0_us is None else [self._t0_us + self.window_us]
        last_us = self._events.last_us
        return max([*ends, *([] if last_us is None else [last_us])], default=None)

    def _bring(self, sums: _Sums, lo: int, hi: int, t0_us: int) -> None:
        """Bring the sums from the window before to the events ``lo`` to ``hi`` of a new one."""
        before_lo, before_hi = self._summed or (lo, lo)
        moving = (lo - before_lo) + (hi - before_hi)
        if self._t0_us is None or lo >= before_hi or moving >= hi - lo:
            sums.clear()
            sums.add(self._events.columns(lo, hi), t0_us, self.window_us)
            self.fresh += 1
        else:
            sums.subtract(self._events.columns(before_lo, lo), self._t0_us, self.window_us)
            sums.move(t0_us - self._t0_us)
            sums.add(self._events.columns(before_hi, hi), t0_us, self.window_us)
            self.slid += 1
        self._summed = lo, hi

    def _empty(self) -> None:
        """Leave the sums without events."""
        if self._sums is not None and self._summed is not None:
            self._sums.clear()
        self._summed = None

    def _encode(self, lo: int, hi: int, t0_us: int, out: Tensor) -> None:
        """Encode a window from its events, as :func:`eventseg.encode` does."""
        columns = self._events.columns(lo, hi)
        edges = (np.array([value]) for value in (0, hi - lo, t0_us, t0_us + self.window_us))
        encode_run(columns, *edges, encoding=self.encoding, out=out[np.newaxis])
        self.fresh += self._sums is None or not self._sums.hold(hi - lo)


class _Sums(Protocol):
    """Integer sums of a window, by the origin of its begin."""

    def hold(self, events: int) -> bool:
        """Return whether the words can hold so many events."""
        ...

    def clear(self) -> None:
        """Set all sums to those of no event."""
        ...

    def add(self, columns: Columns, t0_us: int, window_us: int) -> None:
        """Add events."""
        ...

    def subtract(self, columns: Columns, t0_us: int, window_us: int) -> None:
        """Take events away that were added by the same origin."""
        ...

    def move(self, shift_us: int) -> None:
        """Move the origin to a later time."""
        ...

    def finish(self, window_us: int, out: Tensor) -> bool:
        """Write the tensor, or return False where a cell is beyond the exact finish."""
        ...


class _PackedSums:
    """Two packed words a cell, see :mod:`eventseg.kernels.accumulate`."""

    def __init__(self, encoding: Encoding) -> None:
        _, self._rows, self._width = encoding.shape
        self._encoding = encoding
        cells = 2 * self._rows * self._width
        self._words = np.zeros(cells + 1, np.int64), np.zeros(cells + 1, np.int64)
        self._staging = np.empty(BLOCK, np.int32), np.empty(BLOCK, np.int32)
        self._events = 0

    def hold(self, events: int) -> bool:
        return events < PACKED_MAX_EVENTS

    def clear(self) -> None:
        for word in self._words:
            word.fill(0)
        self._events = 0

    def add(self, columns: Columns, t0_us: int, window_us: int) -> None:  # noqa: ARG002
        add_packed(*self._arguments(columns, t0_us))
        self._events += len(columns[0])

    def subtract(self, columns: Columns, t0_us: int, window_us: int) -> None:  # noqa: ARG002
        subtract_packed(*self._arguments(columns, t0_us))
        self._events -= len(columns[0])

    def move(self, shift_us: int) -> None:
        if shift_us:
            move_origin(*self._words, shift_us)

    def finish(self, window_us: int, out: Tensor) -> bool:
        cells = self._rows * self._width
        if self._events * window_us >= EXACT_LIMIT:
            largest = int(largest_count(self._words[0], 2 * cells))
            if largest * window_us >= EXACT_LIMIT:
                return False
        flat = out.reshape(6, cells)
        finalize_packed(*self._words, flat, window_us, 0, True, self._encoding.ddof)
        round_to(out, self._encoding.dtype)
        normalise_raw(out, normalise=self._encoding.normalise)
        return True

    def _arguments(self, columns: Columns, t0_us: int) -> tuple[object, ...]:
        rows = (self._encoding.rows[0], self._rows, self._width)
        return (*self._words, *columns, 0, len(columns[0]), t0_us, *rows, *self._staging)


class _PlaneSums:
    """One word a plane and pixel, by the functions of a representation's definition."""

    def __init__(self, encoding: Encoding) -> None:
        representation = encoding.representation
        definition, self._parameter = representation.definition, representation.parameter
        channels, rows, width = encoding.shape
        self._place = encoding.rows[0], rows, width
        self._name = representation
        self._dtype = encoding.dtype
        self._sums = np.zeros((channels, rows * width), np.int64)
        self._table = definition.table(self._parameter)
        assert definition.move is not None  # as `can_slide` has found
        assert definition.finish is not None
        self._adding = [planes.event_loop(step.add, step.combine) for step in definition.steps]
        self._removing = [
            planes.event_loop(step.add, "difference")
            for step in definition.steps
            if step.combine == "sum"
        ]
        self._move = planes.move_loop(definition.move)
        self._write = planes.write_loop(definition.finish)

    def hold(self, events: int) -> bool:  # noqa: ARG002
        return True

    def clear(self) -> None:
        self._sums.fill(0)

    def add(self, columns: Columns, t0_us: int, window_us: int) -> None:
        self._run(self._adding, columns, t0_us, window_us)

    def subtract(self, columns: Columns, t0_us: int, window_us: int) -> None:
        self._run(self._removing, columns, t0_us, window_us)

    def move(self, shift_us: int) -> None:
        if shift_us:
            with compile_advice(self._name):
                self._move(self._sums, shift_us, self._parameter)

    def finish(self, window_us: int, out: Tensor) -> bool:
        with compile_advice(self._name):
            flat = out.reshape(self._sums.shape)
            self._write(self._sums, window_us, self._parameter, self._table, flat)
        round_to(out, self._dtype)
        return True

    def _run(self, loops: list[object], columns: Columns, t0_us: int, window_us: int) -> None:
        with compile_advice(self._name):
            for loop in loops:
                strays = loop(  # type: ignore[operator]
                    self._sums, *columns, 0, len(columns[0]), t0_us, window_us, self._parameter,
                    *self._place,
                )  # fmt: skip
                if strays:
                    raise WindowError(
                        f"{self._name}: {strays} events are added to a plane beyond the "
                        f"{len(self._sums)} channels"
                    )
