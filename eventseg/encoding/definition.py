"""Definition of a representation: its channels, the addends of an event, the finish of a pixel.

One file in :mod:`eventseg.encoding.representations` holds one definition, and so does a file of a
user's own, ``FILE.py:NAME``. Its functions are plain Python; the loops around them are compiled
for the CPU by :mod:`eventseg.kernels.planes` and for GPUs by :mod:`eventseg.kernels.planes_cuda`,
so that no formula stands twice. Such a function calls nothing but arithmetic, ``min``, ``max`` and
NumPy's scalar types, adds to no product of floats, which CUDA could fuse and so round otherwise,
and keeps to integers until ``finish``: then neither the order of events nor the device changes a
bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import WindowError

SHARE = "share of the window"

Polarity = Literal["on", "off", "both"]

MAX_BINS = 64


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel of a tensor.

    Parameters
    ----------
    name : str
        Name, of which a tensor has no two.
    unit : str
        Unit of the values.
    low, high : float
        Least and largest possible value.
    per_event : bool
        Whether ``low`` and ``high`` are to be multiplied by the number of events of the window.
    counts : bool
        Whether the values are numbers of events. All such channels stand first, and together they
        count each event once.
    polarity : {"on", "off", "both"}, optional
        Polarity of the events whose number or recency pictures show by this channel; ``both`` for
        sums in which OFF events are negative. Channels of one polarity are added up.
    fades : bool
        Whether the values tell how recent the latest event is, from 0 to 1: pictures fade with it.
    """

    name: str
    unit: str
    low: float = 0.0
    high: float = 1.0
    per_event: bool = False
    counts: bool = False
    polarity: Polarity | None = None
    fades: bool = False


def count_channel(name: str, polarity: Polarity | None = None) -> Channel:
    """Return a channel that counts events, of one polarity or of both."""
    return Channel(name, "events", per_event=True, counts=True, polarity=polarity)


@dataclass(frozen=True, slots=True)
class Step:
    """One pass over the events of a window.

    Parameters
    ----------
    add : function
        ``add(dt_us, p, window_us, parameter)`` returns a tuple of pairs ``(plane, value)``, what
        an event of polarity p (1 or 0), dt_us after the window's begin, adds to its pixel. All
        numbers are int64; the planes are the channels, numbered from 0.
    combine : {"sum", "max"}
        Combination of the values of a pixel; it begins at 0.
    """

    add: Callable[..., Any]
    combine: Literal["sum", "max"] = "sum"


def no_table(_parameter: int) -> NDArray[np.float64]:
    """Return the table of a representation that needs none, float64 (1, 1)."""
    return np.zeros((1, 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """Definition of a representation.

    Parameters
    ----------
    channels : function
        ``channels(parameter)`` returns the :class:`Channel` of each plane, in order.
    steps : tuple of Step
        Passes over the events.
    finish : function, optional
        ``finish(value, plane, window_us, parameter, table)`` returns the float32 that the
        int64 ``value`` of a plane becomes. None for ``mean-std`` alone, which has kernels of its
        own.
    table : function
        ``table(parameter)`` returns float64 (A, B) values that ``finish`` looks up.
    move : function, optional
        ``move(value, plane, shift_us, parameter)`` returns the int64 value of a plane after the
        window's begin has moved ``shift_us`` later. What events before the new begin added to sums
        has been taken away before; of a maximum they are still part, and the value is 0 where no
        other event is left. With it, :class:`eventseg.encoding.LiveWindow` slides; None where the
        value of a sum does not follow from the one before.
    default : int
        Parameter of a name without one.
    read : function, optional
        ``read(text)`` returns the parameter that a name gives after its colon and raises a
        WindowError for any that is not allowed; None where names have no parameter.
    write : function
        ``write(parameter)`` returns the text after the colon.
    form : str
        Text that stands for the parameter in messages, such as ``[:BINS]``.

    Examples
    --------
    The number of events of either polarity, in one channel:

    >>> def one(dt_us, p, window_us, parameter):
    ...     return ((np.int64(0), np.int64(1)),)
    >>> def plain(value, plane, window_us, parameter, table):
    ...     return np.float32(value)
    >>> total = Definition(
    ...     channels=lambda _: (count_channel("count"),), steps=(Step(one),), finish=plain
    ... )
    """

    channels: Callable[[int], tuple[Channel, ...]]
    steps: tuple[Step, ...] = ()
    finish: Callable[..., Any] | None = None
    table: Callable[[int], NDArray[np.float64]] = no_table
    move: Callable[..., Any] | None = None
    default: int = 0
    read: Callable[[str], int] | None = None
    write: Callable[[int], str] = str
    form: str = ""


def read_bins(text: str, *, name: str, least: int) -> int:
    """Return a number of time bins.

    Raises
    ------
    WindowError
        Anything but a whole number from ``least`` to 64.
    """
    bins = int(text) if text.isdecimal() and len(text) < 9 else 0
    if not least <= bins <= MAX_BINS:
        raise WindowError(f"{name} takes {least} to {MAX_BINS} bins, got '{name}:{text}'")
    return bins
