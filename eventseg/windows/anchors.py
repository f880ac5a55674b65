"""Anchors of windows: at frames, in strides, of fixed count, or by EV-SegNet's rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from eventseg.errors import WindowError
from eventseg.windows.durations import format_duration, parse_duration

AnchorKind = Literal["frame", "centre", "stride", "count", "evsegnet"]

MAX_STRIDE_US = 2**53
"""Longest stride: 285 years, so that a time and a stride more fit 64 bits."""


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


def parse_anchor(text: str) -> Anchor:
    """Return an anchor: ``frame``, ``centre``, ``stride:50ms``, ``count:32000``, ``evsegnet``.

    Raises
    ------
    WindowError
        Another word, a stride or count that is missing or not positive, or a stride of centuries.

    Examples
    --------
    >>> str(parse_anchor("stride:50ms"))
    'stride:50ms'
    """
    kind, colon, value = text.partition(":")
    if kind == "stride" and value:
        return _checked(Anchor("stride", parse_duration(value)))
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
        return _checked(anchor)
    if isinstance(anchor, str):
        return parse_anchor(anchor)
    raise WindowError(f"an anchor must be a text such as 'frame' or an Anchor, got {anchor!r}")


def _checked(anchor: Anchor) -> Anchor:
    """Return an anchor whose stride, if it has one, places windows."""
    if anchor.kind == "stride" and not 0 < anchor.value <= MAX_STRIDE_US:
        raise WindowError(f"a stride must last 1 us to {MAX_STRIDE_US} us, got {anchor.value} us")
    return anchor
