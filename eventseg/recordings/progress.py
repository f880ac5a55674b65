"""Progress of long work: one value that every long function reports in."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of one stage of a piece of work.

    Parameters
    ----------
    stage : str
        Name of the stage, such as ``encode``.
    done, total : float
        Amount done and total amount, in units; a total of 0 is unknown.
    unit : str
        Unit of both, such as ``sample``, ``B`` or ``update``.
    note : str
        Figures of the moment for people to read, such as the loss.
    """

    stage: str
    done: float
    total: float
    unit: str
    note: str = ""

    @property
    def share(self) -> float:
        """Share done, from 0 to 1; 1 where there is nothing to do."""
        return min(1.0, self.done / self.total) if self.total else 1.0


Report = Callable[[Progress], None]
"""Function that long work calls with its progress, many times a second."""


def no_report(_progress: Progress) -> None:
    """Ignore progress: the default of long functions."""


def in_stage(stage: str, report: Report, *, named: bool = False) -> Report:
    """Return a function that reports progress under the name of a larger stage.

    Parameters
    ----------
    stage : str
    report : callable
    named : bool
        Whether the name of the smaller stage follows that of the larger one.
    """

    def renamed(now: Progress) -> None:
        report(replace(now, stage=f"{stage}, {now.stage}" if named else stage))

    return renamed


def with_rate(stage: str, total: float, unit: str, report: Report) -> Callable[[float], None]:
    """Return a function of an amount that reports it with the rate since its first call.

    Parameters
    ----------
    stage, total, unit
        As of :class:`Progress`; the rate is in units a second.
    report : callable
    """
    begin_s, first = time.monotonic(), None

    def counted(done: float) -> None:
        nonlocal begin_s, first
        if first is None:
            first, begin_s = done, time.monotonic()
        spent_s = time.monotonic() - begin_s
        rate = f"{(done - first) / spent_s:.1f} {unit}s/s" if spent_s > 0.5 else ""
        report(Progress(stage, done, total, unit, rate))

    return counted
