"""Layouts of HDF5 files in which data sets and tools keep events and the data beside them."""

from __future__ import annotations

from typing import NamedTuple

from eventseg.recordings.table.units import Unit

Order = dict[str, int]


class Layout(NamedTuple):
    """Where a data set or tool keeps the events of a camera.

    Parameters
    ----------
    name : str
        For people.
    paths : tuple of str
        Columns t, x, y, p, or one table of all.
    order : dict, optional
        Places of the columns in one table.
    unit : str, optional
        Unit of the times; None where it is inferred.
    offset : str
        Dataset of one number that is added to the times, in us; empty for none.
    fields : bool
        The one table has the fields t, x, y and p.
    camera : str
        Its key, where a file of this name may have several.
    frames : tuple of str
        Pictures (N, H, W) or (N, H, W, 3), and their times in seconds; empty for none.
    imu : tuple of str
        Acceleration in m/s^2 and rotation in rad/s, (N, 6), and their times in seconds.
    triggers : str
        Table with the fields t in us, p and id.
    """

    name: str
    paths: tuple[str, ...]
    order: Order | None = None
    unit: Unit | None = "us"
    offset: str = ""
    fields: bool = False
    camera: str = ""
    frames: tuple[str, ...] = ()
    imu: tuple[str, ...] = ()
    triggers: str = ""


def _four(folder: str) -> tuple[str, ...]:
    return tuple(f"{folder}/{name}" for name in "txyp")


T_FIRST: Order = {"t": 0, "x": 1, "y": 2, "p": 3}
X_FIRST: Order = {"x": 0, "y": 1, "t": 2, "p": 3}

SIDES = ("left", "right")

LAYOUTS = (
    Layout("events/{t,x,y,p}, as of DSEC and RVT", _four("events"), offset="t_offset"),
    *(
        Layout(f"{where}, of two cameras", _four(where.format(side)), camera=side)
        for where in ("events/{}", "{}/events")
        for side in SIDES
    ),
    *(
        Layout(
            "prophesee/{left,right}/{t,x,y,p}, as of M3ED", _four(f"prophesee/{side}"), camera=side
        )
        for side in SIDES
    ),
    Layout("CD/{t,x,y,p}", _four("CD")),
    Layout(
        "CD/events, as Prophesee writes it",
        ("CD/events",),
        fields=True,
        triggers="EXT_TRIGGER/events",
    ),
    *(
        Layout(
            "davis/{left,right}/events, as of MVSEC",
            (f"davis/{side}/events",),
            X_FIRST,
            "s",
            camera=side,
            frames=(f"davis/{side}/image_raw", f"davis/{side}/image_raw_ts"),
            imu=(f"davis/{side}/imu", f"davis/{side}/imu_ts"),
        )
        for side in SIDES
    ),
    Layout(
        "event, as DDD20's exporter writes it",
        ("event",),
        T_FIRST,
        frames=("frame", "frame_ts"),
    ),
    Layout("events (N, 4), as of v2e", ("events",), T_FIRST),
    Layout("t, x, y, p", ("t", "x", "y", "p"), unit=None),
)
"""Known layouts, in the order in which they are tried; those of one name are cameras of a file."""
