"""Names of the files in a prediction folder, and of the checkpoint that predicts for a run."""

from __future__ import annotations

from pathlib import Path

BEST = "best.pt"
"""Checkpoint of a run folder that predicts: that of the best epoch."""

MANIFEST, UNFINISHED, SAMPLES = "predictions.toml", "unfinished.toml", "samples.csv"
LABELS, PROBABILITIES = "labels", "probabilities"


def label_file(root: Path, sample_id: str) -> Path:
    """Return the file of a sample's label map."""
    return root / LABELS / f"{sample_id}.png"


def probability_file(root: Path, sample_id: str) -> Path:
    """Return the file of a sample's class probabilities."""
    return root / PROBABILITIES / f"{sample_id}.npz"
