"""Unit of the times of a file: the one that is asked for, usual in its layout, or inferred."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import RecordingError

Unit = Literal["s", "ms", "us", "ns"]

PER_US: dict[str, tuple[int, int]] = {
    "s": (1_000_000, 1),
    "ms": (1_000, 1),
    "us": (1, 1),
    "ns": (1, 1_000),
}
"""Microseconds in a unit, as a factor and a divisor."""

FEW, SLOWEST, FASTEST = 1_000, 1e3, 1e9
"""Events a second of a sensor, for files of more than a few events."""

LONGEST_S = 86_400.0
"""Seconds that a file with fractions of seconds may last."""


def unit_of(
    t: NDArray[Any], *, events: int, span: float, asked: Unit | None = None
) -> tuple[Unit, str]:
    """Return the unit of times that nothing names, or that of a caller, and a note.

    Parameters
    ----------
    t : (N,)
        A sample of the times.
    events : int
        Events in the file.
    span : float
        Last time less the first one.
    asked : {"s", "ms", "us", "ns"}, optional
        Unit that a caller gives, which is taken; the note tells where it makes no sense.

    Fractions are of seconds. Of integers, microseconds are believed unless that makes less than a
    thousand or more than a billion events a second.
    """
    if asked is not None:
        return asked, f"times in {asked}, as asked" + _doubt(t, events, span, asked)
    if _has_fractions(t):
        return "s", "times have fractions: seconds"
    units: tuple[Unit, ...] = ("us", "ns", "ms", "s")
    for unit in units:
        rate = _rate(events, span, unit)
        if events >= FEW and SLOWEST <= rate <= FASTEST:
            return unit, f"times are taken for {unit}, which makes {rate:.2g} events a second"
    return "us", "times are taken for us: too few events to tell"


def unit_of_layout(
    t: NDArray[Any], *, events: int, span: float, usual: Unit
) -> tuple[Unit, str | None]:
    """Return the unit of times in a layout that has a usual one, and a note where that is in doubt.

    Parameters as for :func:`unit_of`. Fractions are of seconds in any layout, unless a file would
    last longer than a day then; of integers the usual unit is taken, even if it makes no sense.
    """
    makes_sense = SLOWEST <= _rate(events, span, usual) <= FASTEST
    if usual != "s" and _has_fractions(t) and not (span > LONGEST_S and makes_sense):
        return "s", f"times have fractions: seconds, not {usual} as usual in this layout"
    doubt = _doubt(t, events, span, usual)
    return usual, f"times in {usual}, as usual in this layout{doubt}" if doubt else None


def _has_fractions(t: NDArray[Any]) -> bool:
    if t.dtype.kind != "f":
        return False
    finite = t[np.isfinite(t)]
    return bool((np.floor(finite) != finite).any())


def _doubt(t: NDArray[Any], events: int, span: float, unit: Unit) -> str:
    """Return what speaks against a unit, for the end of a note; empty for nothing."""
    rate = _rate(events, span, unit)
    if events < FEW or SLOWEST <= rate <= FASTEST:
        return ""
    likely, _ = unit_of(t, events=events, span=span)
    question = f"; is it {likely}?" if likely != unit else ""
    return f": {rate:.2g} events a second, which is hardly possible{question}"


def checked_unit(name: str, *, path: object) -> Unit:
    """Return the unit that a caller names.

    Raises
    ------
    RecordingError
        There is no such unit.
    """
    units: tuple[Unit, ...] = ("s", "ms", "us", "ns")
    for unit in units:
        if name == unit:
            return unit
    raise RecordingError(f"{path}: the unit of time {name!r} is none of {', '.join(PER_US)}")


def _rate(events: int, span: float, unit: Unit) -> float:
    """Return events a second if times are in a unit."""
    factor, divisor = PER_US[unit]
    return events / max(1e-9, span * factor / divisor / 1e6)
