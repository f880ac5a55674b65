"""Figures that are saved blank: drawing them takes most of the time of a report."""

from __future__ import annotations

from typing import Any

import pytest


def save_blank(patch: pytest.MonkeyPatch) -> None:
    """Save all figures blank from now on; what a notebook shows inline is drawn all the same."""
    from matplotlib.figure import Figure

    drawn = Figure.savefig

    def blank(_figure: Figure, *args: Any, **settings: Any) -> None:
        drawn(Figure((0.2, 0.2), layout="none"), *args, **settings)

    patch.setattr(Figure, "savefig", blank)
    patch.setattr("eventseg.plots.figure_files._find_places", lambda _figure: None)
