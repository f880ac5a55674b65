"""Which channels a tensor holds: the six of the mean and spread of times, or a rival's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import WindowError
from eventseg.windows import format_duration, parse_duration

Kind = Literal["mean-std", "count", "count-latest", "voxel", "stack", "time-surface"]
Step = tuple[Literal["add_slices", "add_voxels", "keep_latest"], int]
"""A loop over the events, by its name in the kernels, and the first plane it writes."""

MAX_BINS = 64
DEFAULT_BINS = 5
DEFAULT_DECAY_US = 50_000
FORMS = "mean-std, count, count-latest, voxel[:BINS], stack[:BINS], time-surface[:TAU]"

SHARE = "share of the window"


@dataclass(frozen=True, slots=True)
class Representation:
    """What the channels of a tensor mean; made by :func:`parse_representation`.

    Parameters
    ----------
    kind : str
        One of the six kinds.
    bins : int
        Time bins of ``voxel`` and slices of ``stack``, else 1.
    decay_us : int
        Time constant of ``time-surface`` in us, else 0.
    """

    kind: Kind
    bins: int = 1
    decay_us: int = 0

    def __str__(self) -> str:
        """Return the name that :func:`parse_representation` reads."""
        if self.kind == "time-surface":
            return f"{self.kind}:{format_duration(self.decay_us)}"
        return f"{self.kind}:{self.bins}" if self.kind in ("voxel", "stack") else self.kind

    @property
    def units(self) -> dict[str, str]:
        """Unit of each channel by its name, in order."""
        counts = {"count+": "events", "count-": "events"}
        bins = range(self.bins)
        return {
            "mean-std": counts | dict.fromkeys(("mean+", "std+", "mean-", "std-"), SHARE),
            "count": counts,
            "count-latest": counts | dict.fromkeys(("latest+", "latest-"), SHARE),
            "voxel": {f"voxel{b}": "events, OFF negative" for b in bins},
            "stack": {f"count{sign}{b}": "events" for sign in "+-" for b in bins},
            "time-surface": dict.fromkeys(("surface+", "surface-"), f"exp(-age / {self._decay})"),
        }[self.kind]

    @property
    def channels(self) -> int:
        """Number of channels."""
        return len(self.units)

    @property
    def count_channels(self) -> int:
        """Number of leading channels that together count every event once."""
        return sum(name.startswith("count") for name in self.units)

    @property
    def steps(self) -> tuple[Step, ...]:
        """The loops that add the events of a rival representation."""
        rivals_steps: dict[str, tuple[Step, ...]] = {
            "count": (("add_slices", 0),),
            "count-latest": (("add_slices", 0), ("keep_latest", 2)),
            "voxel": (("add_voxels", 0),),
            "stack": (("add_slices", 0),),
            "time-surface": (("keep_latest", 0),),
        }
        return rivals_steps[self.kind]

    @property
    def of_window(self) -> NDArray[np.bool_]:
        """Which channels are sums of microseconds, to be divided by the window, bool (C,)."""
        names = ("voxel", "latest")
        return np.array([name.startswith(names) for name in self.units])

    def limits(self, events: int) -> list[tuple[float, float]]:
        """Return the least and largest value of each channel of a rival, for so many events."""
        counted = (-float(events) if self.kind == "voxel" else 0.0, float(events))
        return [
            counted if unit.startswith("events") else (0.0, 1.0) for unit in self.units.values()
        ]

    @property
    def _decay(self) -> str:
        return format_duration(self.decay_us)


MEAN_STD = Representation("mean-std")
"""The six channels of EV-SegNet, the default."""


def parse_representation(text: str) -> Representation:
    """Return the representation that a name such as ``voxel:5`` or ``time-surface:20ms`` means.

    ``mean-std`` are the six channels of EV-SegNet. With dt = t - t0 and window length w, the
    rivals are, ON before OFF:

    count : 2 channels, events (Maqueda et al., arXiv 1804.01310).
    count-latest : 4 channels, events and (dt + 1) / w of the latest one, 0 without (EV-FlowNet,
        arXiv 1802.06898).
    voxel[:BINS] : each event shared between the two of BINS moments that it lies between,
        linearly, ON 1 and OFF -1 (Zhu et al., arXiv 1812.08156; they span the first to the last
        event, here the moments span the window). By default 5.
    stack[:BINS] : 2 BINS channels, events in each of BINS equal parts of the window (stacked
        histogram of RVT, arXiv 2212.05598, not clipped). By default 5.
    time-surface[:TAU] : 2 channels, exp(-age / TAU) with the age of the latest event at the
        window's end, 0 without (HOTS, Lagorce et al., 10.1109/TPAMI.2016.2574707). By default
        50ms.

    Raises
    ------
    WindowError
        Another name, bins out of range, or a time constant that is no duration.

    Examples
    --------
    >>> parse_representation("voxel:5").channels
    5
    """
    name, colon, value = text.partition(":")
    if not colon and name in ("mean-std", "count", "count-latest"):
        return Representation(next(kind for kind in get_args(Kind) if kind == name))
    if name in ("voxel", "stack"):
        least = 2 if name == "voxel" else 1
        bins = (int(value) if value.isdecimal() else 0) if colon else DEFAULT_BINS
        if not least <= bins <= MAX_BINS:
            raise WindowError(f"{name} takes {least} to {MAX_BINS} bins, got {text!r}")
        return Representation("voxel" if name == "voxel" else "stack", bins=bins)
    if name == "time-surface":
        decay_us = parse_duration(value) if colon else DEFAULT_DECAY_US
        return Representation("time-surface", decay_us=decay_us)
    raise WindowError(f"representation {text!r} must be one of {FORMS}")
