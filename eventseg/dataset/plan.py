"""Plan of a data set, checked before anything is read: names, windows, rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal

from eventseg.dataset.layout import checked_name
from eventseg.dataset.settings import Store
from eventseg.errors import DatasetError, WindowError, known_names
from eventseg.events import SensorSize
from eventseg.files.paths import folded
from eventseg.windows import Anchor, check_window, format_duration, to_us

Crop = Literal["auto", "none"] | tuple[int, int]

LONGEST_SUFFIX = "_t9223372036854775807.png"
"""What a sample adds to the name of its recording at most."""

DEFAULT_WINDOWS_US = (50_000,)
EVSEGNET_SENSOR = SensorSize(260, 346)
EVSEGNET_CROP = (0, 200)
"""Rows that EV-SegNet kept of its sensor; below them the car's bonnet and noise."""


def crop_rows(crop: Crop, *, sensor: SensorSize) -> tuple[int, int]:
    """Return the rows ``[row0, row1)`` that tensors keep.

    Raises
    ------
    DatasetError
        No rows, or rows outside the sensor.
    """
    if crop == "auto":
        return EVSEGNET_CROP if sensor == EVSEGNET_SENSOR else (0, sensor.height)
    row0, row1 = (0, sensor.height) if crop == "none" else crop
    if not 0 <= row0 < row1 <= sensor.height:
        raise DatasetError(
            f"crop {row0}:{row1} must be rows ROW0:ROW1 with 0 <= ROW0 < ROW1 <= {sensor.height}, "
            f"the height of the sensor {sensor}"
        )
    return row0, row1


def recording_names(
    paths: Sequence[Path], *, held_out: Collection[str], validation: Collection[str] = ()
) -> list[str]:
    """Return the name of each recording, by which its samples are known.

    Parameters
    ----------
    paths : sequence of Path
        Canonical, sorted by name.
    held_out, validation : collection of str
        Names that must be among them, of test and of validation.

    Raises
    ------
    DatasetError
        No recording, one listed twice, two of one name, a held-out name that is unknown, or one
        that is held out twice.
    """
    if not paths:
        raise DatasetError("no recording to encode; give at least one file")
    names = [path.stem for path in paths]
    for name in names:
        checked_name(name + LONGEST_SUFFIX)
    for before, after in pairwise(paths):
        if before == after:
            raise DatasetError(f"recording {before} is listed twice")
    by_name: dict[str, Path] = {}
    for path in paths:
        other = by_name.setdefault(folded(path.stem), path)
        if other != path:
            raise DatasetError(
                f"two recordings have the name {other.stem}: {other} and {path}; sample ids begin "
                "with the name, which no system may take for the same, so rename one"
            )
    for held, purpose in ((held_out, "test"), (validation, "validation")):
        unknown = sorted(set(held) - set(names))
        if unknown:
            raise DatasetError(
                f"no recording {', '.join(unknown)} to hold out for {purpose}"
                f"{known_names(unknown[0], names)}"
            )
    if both := sorted(set(held_out) & set(validation)):
        raise DatasetError(f"{', '.join(both)} cannot both validate and test")
    return names


def window_groups(
    anchor: Anchor, windows_us: str | int | Sequence[str | int] | None, *, store: Store
) -> tuple[tuple[int, ...], ...]:
    """Return the window lengths of each data set: one each with ``evsegnet``, else one of all.

    Raises
    ------
    WindowError
        A length given twice or out of range, or with a ``count`` anchor that needs none.
    """
    if anchor.kind == "count":
        if windows_us is not None:
            raise WindowError(f"anchor {anchor} sets the windows: give no window length with it")
        if store == "none":
            raise WindowError(
                f"windows of anchor {anchor} must be stored: such a window can begin and end "
                "within a microsecond, so it cannot be encoded by time later"
            )
        return ((),)
    if isinstance(windows_us, str) or not isinstance(windows_us, Iterable | None):
        windows_us = [windows_us]
    lengths = sorted(check_window(to_us(length)) for length in windows_us or DEFAULT_WINDOWS_US)
    for before, after in pairwise(lengths):
        if before == after:
            raise WindowError(f"window {format_duration(before)} is given twice")
    return (
        tuple((length,) for length in lengths) if anchor.kind == "evsegnet" else (tuple(lengths),)
    )
