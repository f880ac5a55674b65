"""Film of the demo: unseen streets with the predictions of network and teacher."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from eventseg.prediction.film import film_predictions
from eventseg.prediction.predict_into import predict_into
from eventseg.recordings.progress import Report, in_stage, no_report

FILM, PREDICTIONS = "film.gif", "predictions"
"""Film, and folder of the predictions that it shows."""

SHOWN = 3
"""Streets that the film shows, the first ones."""

WIDTH = 880
"""Width of the film in pixels: that of the page."""


def film_streets(
    root: Path,
    recordings: Sequence[Path],
    *,
    network: Path,
    teacher: Path,
    window: str,
    progress: Report = no_report,
) -> Path:
    """Predict streets by the network from events and by its teacher from frames, and film both.

    A GIF, which needs no extra.

    Parameters
    ----------
    root : Path
        Folder of the demo.
    recordings : sequence of Path
        Streets that neither has seen.
    network, teacher : Path
        Run folders.
    window : str
        Window of the network's events.
    progress : callable
        Called with the progress of predictions and film.

    Returns
    -------
    Path
        The film.
    """
    shown = list(recordings[:SHOWN])
    folders = [
        predict_into(
            run,
            shown,
            root / PREDICTIONS / run.name,
            window=window,
            device="cpu",
            overwrite=True,  # a demo that was made anew has other networks
            progress=in_stage(f"predict, {run.name}", progress),
        ).folder
        for run in (network, teacher)
    ]
    film = root / FILM
    film_predictions(folders, film, width=WIDTH, progress=progress)
    return film
