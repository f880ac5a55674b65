"""Cameras of AEDAT 2, by the class that jAER names in the header."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from eventseg.events import SensorSize
from eventseg.recordings.aedat.version3 import CHIPS

Layout = Literal["DVS128", "DAVIS"]

OLDER = {"TMPDIFF128": "DVS128", "SBRET10": "DAVIS240", "SBRET20": "DAVIS240"}
"""Earlier names of classes."""


class Chip(NamedTuple):
    """A camera.

    Parameters
    ----------
    name : str
        Class in the header; empty where it names none.
    layout : {"DVS128", "DAVIS"} or None
        Layout of the addresses; None where the class does not tell.
    size : SensorSize or None
        Size of its sensor, which addresses are mirrored about.
    """

    name: str
    layout: Layout | None = None
    size: SensorSize | None = None


def chip_of(lines: Sequence[str]) -> Chip:
    """Return the camera that the lines of a header name, such as ``AEChip: a.b.Davis346blue``."""
    found = (re.match(r"AEChip:\s*(?:class\s+)?(\S+)", line) for line in lines)
    name = next((match[1] for match in found if match), "").rpartition(".")[2]
    compact = name.upper().replace("_", "")
    for old, new in OLDER.items():
        compact = compact.replace(old, new)
    for chip, size in CHIPS.items():
        if chip in compact:
            return Chip(name, "DVS128" if chip == "DVS128" else "DAVIS", size)
    return Chip(name)
