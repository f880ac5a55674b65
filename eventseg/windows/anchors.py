"""Anchors of windows: at frames, in strides, of fixed count, or by EV-SegNet's rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from eventseg.errors import WindowError
from eventseg.windows.durations import format_duration, parse_duration

AnchorKind = Literal["frame", "centre", "stride", "count", "evsegnet"]


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
