"""Curve of the agreement of events and frames over shifts in time."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from eventseg.plots.legends import as_written
from eventseg.recordings.alignment import SOUND_US, Alignment


def figure_alignment(found: Alignment, *, name: str) -> Figure:
    """Return a figure: agreement over shifts of each frame, their mean, and the best shift."""
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    shifts_ms = found.shifts_us / 1e3
    axes.axvspan(SOUND_US[0] / 1e3, SOUND_US[1] / 1e3, color="0.93", label="sound recordings")
    axes.plot(shifts_ms, found.each.T, color="0.75", linewidth=0.6)
    axes.plot(shifts_ms, found.agreement, color="#d1242f", label="mean over frames")
    low, high = (value / 1e3 for value in found.interval_us)
    top = float(np.max(found.agreement))
    axes.plot([low, high], [top, top], color="black", linewidth=2)
    axes.plot([found.offset_us / 1e3], [top], "o", color="black", label="best shift, 95 %")
    axes.set_xlabel("shift of the frames, ms")
    axes.set_ylabel("correlation of events and gradients")
    axes.set_title(as_written(name), loc="left")
    axes.legend(frameon=False, fontsize=8)
    return figure
