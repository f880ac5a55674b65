"""Names of the files in a prediction folder, and of those of a run folder that predict."""

from __future__ import annotations

from pathlib import Path

from eventseg.dataset.layout import checked_name
from eventseg.errors import OutputError

BEST, RUN = "best.pt", "run.json"
"""In a run folder: the checkpoint of the best epoch, and where it comes from."""

CONFIG = "config.toml"
"""In a run folder: its settings, which are written first."""

SPLIT = "split.csv"
"""In a run folder: split of every sample, where it is not that of the data."""

MANIFEST, UNFINISHED, SAMPLES = "predictions.toml", "unfinished.toml", "samples.csv"
LABELS, PROBABILITIES = "labels", "probabilities"


def is_prediction_folder(path: Path) -> bool:
    """Return whether a folder holds predictions, or some of an unfinished prediction."""
    return any((path / name).is_file() for name in (MANIFEST, UNFINISHED))


def check_no_prediction_folder(path: Path) -> None:
    """Refuse to write single label maps into a folder of predictions.

    Raises
    ------
    OutputError
        The folder holds predictions.
    """
    if is_prediction_folder(path):
        raise OutputError(
            f"output {path} holds predictions, whose label maps lie in {LABELS}/: give another "
            "folder for single label maps"
        )


def label_file(root: Path, sample_id: str) -> Path:
    """Return the file of a sample's label map."""
    return root / LABELS / checked_name(f"{sample_id}.png")


def probability_file(root: Path, sample_id: str) -> Path:
    """Return the file of a sample's class probabilities."""
    return root / PROBABILITIES / checked_name(f"{sample_id}.npz")
