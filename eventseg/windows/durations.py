"""Durations as texts such as ``50ms`` and as microseconds."""

from __future__ import annotations

import re
from operator import index

from eventseg.errors import WindowError

MAX_WINDOW_US = 2**31 - 1
"""Longest window: the 31 bits of one turn of the sensor's clock, 35.8 minutes."""

_UNITS_US = {"us": 1, "ms": 1_000, "s": 1_000_000, "min": 60_000_000}


def parse_duration(text: str) -> int:
    """Return a duration with a unit, such as ``50ms`` or ``0.25s``, in microseconds.

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
    """Return a duration in the largest unit that divides it: 50000 -> ``50ms``."""
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
