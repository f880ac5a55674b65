"""Order of columns: time, place and polarity by their names, or by their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import RecordingError
from eventseg.recordings.table.units import PER_US, Unit

NAMES: dict[str, tuple[str, ...]] = {
    "t": ("t", "ts", "time", "times", "timestamp", "timestamps"),
    "x": ("x", "xs", "x_pos", "col", "column"),
    "y": ("y", "ys", "y_pos", "row"),
    "p": ("p", "ps", "pol", "pols", "polarity", "polarities", "on"),
}
"""Names that columns go by, in small letters; that of the time may end in a unit, as ``t_us``."""


def column_of(name: str) -> tuple[str, Unit | None] | None:
    """Return the column that a name stands for, and the unit of time in it; None for others."""
    word = name.strip().strip("\"'").lower().replace(" ", "_")
    stem, _, unit = word.rpartition("_")
    for column, known in NAMES.items():
        if word in known:
            return column, None
    if stem in NAMES["t"] and unit in PER_US:
        return "t", unit  # type: ignore[return-value]
    return None


def columns_of(names: Sequence[str]) -> tuple[dict[str, int], Unit | None] | None:
    """Return the places of the four columns among names, and the unit in that of the time."""
    places: dict[str, int] = {}
    unit: Unit | None = None
    for place, name in enumerate(names):
        found = column_of(name)
        if found is not None and found[0] not in places:
            places[found[0]] = place
            unit = found[1] or unit
    return (places, unit) if len(places) == 4 else None


def order_of(table: NDArray[Any], *, path: object) -> dict[str, int]:
    """Return the places of the four columns of a sample of rows, (N, 4), by their numbers.

    The polarity has the values 0 and 1, or -1 and 1; the time never falls and has most values; of
    the other two, x comes first.

    Raises
    ------
    RecordingError
        The numbers do not tell.
    """
    two = [
        k
        for k in range(4)
        if set(np.unique(table[:, k])) <= {0, 1} or set(np.unique(table[:, k])) <= {-1, 1}
    ]
    rising = [k for k in range(4) if (np.diff(table[:, k]) >= 0).all() and k not in two[-1:]]
    if not two or not rising:
        raise RecordingError(
            f"{path}: the columns cannot be told apart: one must have two values and one never "
            "fall; name them in a first line, such as t,x,y,p"
        )
    p = two[-1]
    t = max((k for k in rising if k != p), key=lambda k: len(np.unique(table[:, k])))
    x, y = (k for k in range(4) if k not in (t, p))
    return {"t": t, "x": x, "y": y, "p": p}
