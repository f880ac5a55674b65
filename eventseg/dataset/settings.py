"""Settings of a data set, which determine its bytes besides the recordings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from eventseg.encoding.representation import MEAN_STD
from eventseg.encoding.settings import Encoding
from eventseg.events import SensorSize
from eventseg.filters.rules import Filters, parse_filters
from eventseg.recordings.choices import NO_CHOICES, FileChoices
from eventseg.windows import MAX_FRAME_AGE_US, Anchor, format_duration, parse_anchor, parse_duration

Store = Literal["npy", "npz", "none"]

ANY_AGE = "any"
"""Frame age of a data set that pairs windows with frames of any age, as all once did."""

MOST_PIXELS = 2**15
"""Largest height and width of a sensor: events have 15 bits for each."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings that determine the bytes of a data set, besides the recordings.

    Parameters
    ----------
    anchor : Anchor
        Placing of the windows.
    windows_us : tuple of int
        Window lengths in us; empty for a fixed count.
    encoding : Encoding
        Meaning of the stored tensors: sensor, rows, representation, normalisation, filters.
    store : {"npy", "npz", "none"}
        File type of the tensors; with ``none`` they are encoded from the recordings on load.
    rotate180 : bool
        Whether recordings are turned by 180 degrees on reading.
    held_out : tuple of str
        Recordings held out for test, sorted.
    validation : tuple of str
        Recordings that validate, sorted, so that the others train completely; empty where the end
        of each training recording validates.
    max_frame_age_us : int or None
        Largest age of a frame at the end of a window that it does not anchor; None for any.
    choices : FileChoices
        Camera, unit of times and shift of the frames that recordings are read with.
    """

    anchor: Anchor
    windows_us: tuple[int, ...]
    encoding: Encoding
    store: Store
    rotate180: bool = False
    held_out: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    max_frame_age_us: int | None = MAX_FRAME_AGE_US
    choices: FileChoices = NO_CHOICES

    @property
    def sensor(self) -> SensorSize:
        """Size of the sensor, that of frames and labels."""
        return self.encoding.sensor

    @property
    def rows(self) -> tuple[int, int]:
        """Range of sensor rows that tensors keep."""
        return self.encoding.rows

    @property
    def filters(self) -> Filters:
        """Filters of the events, over each recording."""
        return parse_filters(self.encoding.filters)

    @property
    def windows(self) -> tuple[str, ...]:
        """Names of the windows, as they name folders and columns."""
        if self.anchor.kind == "count":
            return (f"{self.anchor.value}ev",)
        return tuple(format_duration(window_us) for window_us in self.windows_us)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as TOML holds them."""
        encoding = self.encoding.to_dict()
        return {
            "anchor": str(self.anchor),
            "windows": list(self.windows),
            "normalise": encoding["normalise"],
            "ddof": encoding["ddof"],
            "rows": encoding["rows"],
            "store": self.store,
            "sensor": encoding["sensor"],
            "rotate180": self.rotate180,
            **self.choices.to_dict(),
            "held_out": list(self.held_out),
            **({"validation": list(self.validation)} if self.validation else {}),
            # Left out at their defaults: so it was before there were others.
            **(
                {key: value for key, value in encoding.items() if key.startswith("representation")}
                if self.encoding.representation != MEAN_STD
                else {}
            ),
            **({"filters": encoding["filters"]} if encoding["filters"] else {}),
            **({"dtype": encoding["dtype"]} if "dtype" in encoding else {}),
            "frame_age": _age_text(self.max_frame_age_us),
        }

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Settings:
        """Return the settings that a TOML table holds; KeyError or ValueError where it lacks."""
        anchor = parse_anchor(table["anchor"])
        if table["store"] not in get_args(Store):
            raise ValueError(f"store {table['store']!r} is none of {', '.join(get_args(Store))}")
        parse_filters(table.get("filters", ()))
        encoding = Encoding.from_dict(table)
        sensor, (row0, row1) = encoding.sensor, encoding.rows
        if min(sensor) < 1 or max(sensor) > MOST_PIXELS or not 0 <= row0 < row1 <= sensor.height:
            raise ValueError(f"rows {row0} to {row1} of a sensor of {sensor} cannot be")
        return cls(
            anchor=anchor,
            windows_us=(
                () if anchor.kind == "count" else tuple(map(parse_duration, table["windows"]))
            ),
            encoding=encoding,
            store=table["store"],
            rotate180=bool(table["rotate180"]),
            choices=FileChoices.from_dict(table),
            held_out=tuple(table["held_out"]),
            validation=tuple(table.get("validation", ())),
            max_frame_age_us=_age_of(table.get("frame_age", ANY_AGE)),
        )


def _age_of(text: str) -> int | None:
    return None if text == ANY_AGE else parse_duration(text)


def _age_text(max_frame_age_us: int | None) -> str:
    return ANY_AGE if max_frame_age_us is None else format_duration(max_frame_age_us)
