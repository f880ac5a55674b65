"""Scores of a run for TensorBoard; an extra."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from eventseg.errors import MissingExtraError
from eventseg.training.epoch_tables import EpochScores


def check_tensorboard() -> None:
    """Raise an error that names the extra where TensorBoard is missing.

    Raises
    ------
    MissingExtraError
        The extra ``tensorboard`` is not installed.
    """
    try:
        import torch.utils.tensorboard  # noqa: F401 - only whether it is there
    except ImportError as error:
        raise MissingExtraError(
            "TensorBoard files need the extra: uv sync --extra tensorboard"
        ) from error


def write_epoch(root: Path, row: EpochScores, *, classes: Sequence[str]) -> None:
    """Add one epoch to ``tensorboard/`` in the run folder."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(root / "tensorboard"), purge_step=row.epoch) as writer:
        values = asdict(row)
        for name in ("train_loss", "train_accuracy", "train_miou", "val_loss", "val_accuracy"):
            writer.add_scalar(name.replace("_", "/", 1), values[name], row.epoch)
        writer.add_scalar("val/miou", row.val_miou, row.epoch)
        writer.add_scalar("val/miou_truth", row.val_miou_truth, row.epoch)
        writer.add_scalar("val/miou_all", row.val_miou_all, row.epoch)
        writer.add_scalar("learning_rate", row.learning_rate, row.epoch)
        for name, value in zip(classes, row.val_iou, strict=True):
            writer.add_scalar(f"val_iou/{name}", value, row.epoch)
