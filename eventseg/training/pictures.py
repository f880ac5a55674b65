"""Pictures of a run folder: learning curves, and predictions of validation samples."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from eventseg.labels.maps import IGNORED, ClassTable, paint_labels
from eventseg.networks import InputSpec, TrainedNetwork
from eventseg.plots.events import Figure, save_figure
from eventseg.plots.tensors import paint_input
from eventseg.plots.training import figure_curves, figure_panels
from eventseg.prediction.scored import ScoredBatch
from eventseg.training.epoch_tables import EpochScores
from eventseg.training.layout import CURVES, METRICS, SAMPLES
from eventseg.training.samples import Batch


def history_figure(
    history: Sequence[EpochScores], *, classes: ClassTable, best_epoch: int
) -> Figure:
    """Return the learning curves of a run.

    Parameters
    ----------
    history : sequence of EpochScores
    classes : ClassTable
        Classes of the validation scores.
    best_epoch : int
        Epoch to mark, that of ``best.pt``.
    """
    loss = {"train": [r.train_loss for r in history], "val": [r.val_loss for r in history]}
    miou = {"train": [r.train_miou for r in history], "val": [r.val_miou for r in history]}
    if history[-1].clean_loss is not None:
        loss["train, clean"] = [_number(r.clean_loss) for r in history]
        miou["train, clean"] = [_number(r.clean_miou) for r in history]
    return figure_curves(
        [row.epoch for row in history],
        loss=loss,
        miou=miou,
        iou={name: [r.val_iou[k] for r in history] for k, name in enumerate(classes.names)},
        classes=classes,
        best_epoch=best_epoch,
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def picture_curves(
    root: Path, history: Sequence[EpochScores], *, table: ClassTable, best: int, age_s: float = 0.0
) -> None:
    """Write ``curves.png`` of the epochs so far, unless it is younger than some seconds.

    Parameters
    ----------
    root : Path
        The run folder.
    history : sequence of EpochScores
    table : ClassTable
        Classes of the validation scores.
    best : int
        Index into the history of the epoch of ``best.pt``.
    age_s : float
        A picture younger than this stays as it is.
    """
    path = root / CURVES
    if age_s and path.exists() and abs(time.time() - path.stat().st_mtime) < age_s:
        return
    figure = history_figure(history, classes=table, best_epoch=history[best].epoch)
    save_figure(figure, path)


def curves_are_drawn(root: Path) -> bool:
    """Return whether ``curves.png`` is as new as the scores of the last epoch."""
    path = root / CURVES
    return path.exists() and path.stat().st_mtime_ns >= (root / METRICS).stat().st_mtime_ns


@torch.inference_mode()
def picture_samples(
    root: Path,
    trained: TrainedNetwork,
    samples: Sequence[Batch],
    *,
    ids: Sequence[str],
    device: torch.device,
) -> None:
    """Write ``samples.png``: input, labels and prediction of each sample.

    Parameters
    ----------
    root : Path
        The run folder.
    trained : TrainedNetwork
    samples : sequence of Batch
    ids : sequence of str
        Sample ids of the source.
    device : torch.device
        Device of the network.
    """
    network = trained.network.eval()
    rows = []
    for sample in samples:
        x, truth = sample["x"][None], sample["labels"][None].long()
        logits = network(x.to(device)).cpu()
        scored = ScoredBatch((sample["index"],), truth, logits, x)
        rows += sample_panels(scored, trained.inputs, table=trained.classes)
    figure = figure_panels(
        rows,
        titles=(trained.inputs.kind, "labels", "prediction"),
        names=[ids[sample["index"]] for sample in samples],
        table=trained.classes,
    )
    save_figure(figure, root / SAMPLES)


def sample_panels(
    scored: ScoredBatch, inputs: InputSpec, *, table: ClassTable
) -> list[list[NDArray[np.uint8]]]:
    """Return input, truth and prediction of each sample as pictures, uint8 (H, W, 3).

    Pixels without truth stay black in the prediction too.

    Parameters
    ----------
    scored : ScoredBatch
        With the inputs of the network.
    inputs : InputSpec
    table : ClassTable
        Classes that are scored.
    """
    assert scored.inputs is not None  # a network predicted
    panels = []
    for x, truth, prediction in zip(scored.inputs, scored.truth, scored.prediction, strict=True):
        labels = truth.to(torch.uint8).cpu().numpy()
        shown = np.where(labels == IGNORED, labels, prediction.to(torch.uint8).cpu().numpy())
        picture = paint_input(x.float().cpu().numpy(), inputs)
        panels.append([picture, paint_labels(labels, table), paint_labels(shown, table)])
    return panels
