"""Rules of the event filters: hot pixels, dead time of pixels, background activity.

Every rule looks back a fixed time, so that the events of a span need only those of a short lead
before it: however a recording is cut, the same events pass.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import EventsError
from eventseg.events import EventStream, SensorSize
from eventseg.kernels.filters import NEVER, keep_events
from eventseg.windows import MAX_WINDOW_US, format_duration, parse_duration

DEFAULT_HOT_FACTOR = 3.0
DEFAULT_REFRACTORY_US = 1_000
DEFAULT_SUPPORT_US = 10_000
NO_FILTERS = "none"
FORMS = "hot[:FACTOR], refractory[:LENGTH], background[:LENGTH]"

FATES = ("kept", "hot", "refractory", "background")
"""What may become of an event, in the order in which the kernels number it and filters apply."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Event filter settings, applied in the order hot, refractory, background; 0 is off.

    Parameters
    ----------
    hot_factor : float
        Drop all events of hot pixels: of those that
        :func:`eventseg.filters.hot_pixels.find_hot_pixels` finds with this factor, above 1.
    refractory_us : int
        Drop an event less than this long after the event before it of the same pixel, of whatever
        polarity, and dropped or not (jAER's RefractoryFilter). Counting from the last event *that
        passed* would be the other usual rule; it can depend on events any time ago.
    support_us : int
        Drop an event that no event of its eight neighbours precedes by at most this long: the
        background activity filter (Delbruck, "Frame-free dynamic digital vision", Symposium on
        Secure-Life Electronics, 2008). Events that it drops support others, events that the first
        two filters drop do not; events of the pixel itself do not count.

    Raises
    ------
    EventsError
        A number out of range.
    """

    hot_factor: float = 0.0
    refractory_us: int = 0
    support_us: int = 0

    def __post_init__(self) -> None:
        if self.hot_factor != 0 and not 1 < self.hot_factor < math.inf:
            raise EventsError(f"the factor of hot pixels must be above 1, got {self.hot_factor:g}")
        for name, length_us in (
            ("refractory", self.refractory_us),
            ("background", self.support_us),
        ):
            if not 0 <= length_us <= MAX_WINDOW_US:
                raise EventsError(
                    f"the time of filter {name} must be 0 to {MAX_WINDOW_US} us, got {length_us}"
                )

    def __bool__(self) -> bool:
        """Return whether any filter is on."""
        return bool(self.names)

    def __str__(self) -> str:
        """Return the filters as :func:`parse_filters` reads them."""
        return ",".join(self.names.values()) or NO_FILTERS

    @property
    def names(self) -> dict[str, str]:
        """Names of the filters that are on, in the form they are written in."""
        return {
            **({"hot": f"hot:{_digits(self.hot_factor)}"} if self.hot_factor else {}),
            **(
                {"refractory": f"refractory:{format_duration(self.refractory_us)}"}
                if self.refractory_us
                else {}
            ),
            **(
                {"background": f"background:{format_duration(self.support_us)}"}
                if self.support_us
                else {}
            ),
        }

    @property
    def lead_us(self) -> int:
        """How long before a span its first event can depend on events, in us."""
        return self.refractory_us + self.support_us


def parse_filters(texts: str | Iterable[str]) -> Filters:
    """Return the filters that texts such as ``hot`` or ``refractory:1ms,background:5ms`` name.

    By default ``hot:3``, ``refractory:1ms`` and ``background:10ms``. They apply in this order, in
    whatever order they are given. ``none`` alone is no filter, as is no text at all.

    Raises
    ------
    EventsError
        Another name, a filter given twice, or a factor out of range.
    WindowError
        A length without a unit, or not positive.

    Examples
    --------
    >>> parse_filters("refractory:1ms").refractory_us
    1000
    """
    words = [
        part.strip()
        for text in ([texts] if isinstance(texts, str) else texts)
        for part in text.split(",")
    ]
    if words == [NO_FILTERS]:
        return Filters()
    values: dict[str, float] = {}
    for word in words:
        name, colon, value = word.partition(":")
        if name in values:
            raise EventsError(f"filter {name} is given twice")
        if name == "hot":
            values[name] = _factor(value) if colon else DEFAULT_HOT_FACTOR
        elif name == "refractory":
            values[name] = parse_duration(value) if colon else DEFAULT_REFRACTORY_US
        elif name == "background":
            values[name] = parse_duration(value) if colon else DEFAULT_SUPPORT_US
        else:
            raise EventsError(f"filter {word!r} must be one of {FORMS}")
    return Filters(
        values.get("hot", 0.0), int(values.get("refractory", 0)), int(values.get("background", 0))
    )


def to_filters(filters: Filters | str | Iterable[str]) -> Filters:
    """Return filters, which may be texts such as ``hot,background:5ms``.

    Raises
    ------
    EventsegError, WindowError
        As :func:`parse_filters`.
    """
    return filters if isinstance(filters, Filters) else parse_filters(filters)


def _digits(factor: float) -> str:
    """Return the shortest digits that read back the same."""
    return repr(float(factor)).removesuffix(".0")


def _factor(text: str) -> float:
    try:
        factor = float(text)
    except ValueError:
        factor = math.nan
    if not 1 < factor < math.inf:
        raise EventsError(f"filter hot takes a factor above 1, such as hot:3, got {text!r}")
    return factor


def filter_events(
    events: EventStream, *, filters: Filters, hot: NDArray[np.bool_] | None = None
) -> EventStream:
    """Return the events that all filters keep, in their order, over the same span.

    Parameters
    ----------
    events : EventStream
        Events from the first of a recording on, or from :attr:`Filters.lead_us` before the span
        that is wanted; cut that off after.
    filters : Filters
        Filters to apply.
    hot : bool (H, W), optional
        Map of hot pixels from :func:`find_hot_pixels` over the recording; needed with that filter.

    Raises
    ------
    EventsError
        The filter of hot pixels without them, or a map of another size than the sensor.

    Examples
    --------
    >>> events = recording.events()
    >>> kept = filter_events(events, filters=parse_filters("refractory:1ms"))
    >>> 0 < len(kept) <= len(events)
    True
    """
    return EventFilter(filters, sensor=events.sensor, hot=hot)(events)


class EventFilter:
    """Filter of consecutive pieces of one recording on the CPU, with the state between pieces.

    Parameters
    ----------
    filters, hot
        As for :func:`filter_events`.
    sensor : SensorSize
        Size of the sensor.

    Attributes
    ----------
    fates : int64 (4,)
        Number of events so far by outcome: :data:`FATES`.
    """

    def __init__(
        self, filters: Filters, *, sensor: SensorSize, hot: NDArray[np.bool_] | None = None
    ) -> None:
        self.fates = np.zeros(len(FATES), np.int64)
        self._filters = filters
        padded = np.zeros((sensor.height + 2, sensor.width + 2), np.bool_)
        padded[1:-1, 1:-1] = checked_hot(hot, filters, sensor)
        self._hot = padded.ravel()
        self._latest = np.full(padded.size if filters.refractory_us else 0, NEVER, np.int64)
        self._passed = np.full(padded.size if filters.support_us else 0, NEVER, np.int64)

    def __call__(self, events: EventStream) -> EventStream:
        """Return the events of the next piece that pass."""
        t, x, y, p = (np.empty_like(getattr(events, name)) for name in "txyp")
        n = keep_events(
            events.t,
            events.x,
            events.y,
            events.p,
            self._hot,
            self._latest,
            self._passed,
            self._filters.refractory_us,
            self._filters.support_us,
            events.sensor.width,
            t,
            x,
            y,
            p,
            self.fates,
        )
        return EventStream(t[:n], x[:n], y[:n], p[:n], events.sensor, events.t0_us, events.t1_us)

    @property
    def dropped(self) -> dict[str, int]:
        """Number of events dropped so far by each filter that is on."""
        return dropped_by(self._filters, self.fates)


def dropped_by(filters: Filters, outcomes: NDArray[np.int64]) -> dict[str, int]:
    """Return the number of events dropped by each filter that is on."""
    counts = dict(zip(FATES, outcomes.tolist(), strict=True))
    return {name: counts[name] for name in filters.names}


def checked_hot(
    hot: NDArray[np.bool_] | None, filters: Filters, sensor: SensorSize
) -> NDArray[np.bool_]:
    """Return the map of hot pixels, all False where that filter is off and none is given.

    Raises
    ------
    EventsError
        As for :func:`filter_events`.
    """
    if hot is None:
        if filters.hot_factor:
            raise EventsError(
                "hot pixels are known from a whole recording only: give the map that "
                "find_hot_pixels returns, or leave that filter out"
            )
        return np.zeros(sensor, np.bool_)
    if hot.shape != tuple(sensor) or hot.dtype != np.bool_:
        raise EventsError(
            f"the map of hot pixels must be bool {tuple(sensor)}, got {hot.dtype} {hot.shape}"
        )
    return hot
