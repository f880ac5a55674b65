"""The two pictures of a run folder: learning curves, and predictions of validation samples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from eventseg.labels.maps import ClassTable, paint_labels
from eventseg.networks import TrainedNetwork
from eventseg.plots.events import Figure, save_figure
from eventseg.plots.training import figure_curves, figure_panels, paint_input
from eventseg.training.run_folder import CURVES, SAMPLES, EpochScores
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
    return figure_curves(
        [row.epoch for row in history],
        loss={"train": [r.train_loss for r in history], "val": [r.val_loss for r in history]},
        miou={"train": [r.train_miou for r in history], "val": [r.val_miou for r in history]},
        iou={name: [r.val_iou[k] for r in history] for k, name in enumerate(classes.names)},
        classes=classes,
        best_epoch=best_epoch,
    )


def picture_curves(
    root: Path, history: Sequence[EpochScores], *, table: ClassTable, best: int
) -> None:
    """Write ``curves.png`` of the epochs so far; ``best`` is an index into them."""
    figure = history_figure(history, classes=table, best_epoch=history[best].epoch)
    save_figure(figure, root / CURVES)


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
        Sample ids of the whole source.
    device : torch.device
        Device of the network.
    """
    network = trained.network.eval()
    table, kind, scaling = trained.classes, trained.inputs.kind, trained.inputs.scaling
    rows = []
    for sample in samples:
        logits = network(sample["x"][None].to(device))
        prediction = logits.argmax(1)[0].to(torch.uint8).cpu().numpy()
        labels = sample["labels"].numpy()
        rows.append(
            [
                paint_input(sample["x"].float().numpy(), kind=kind, scaling=scaling),
                paint_labels(labels, table),
                paint_labels(np.where(labels == 255, labels, prediction), table),
            ]
        )
    names = [ids[sample["index"]] for sample in samples]
    figure = figure_panels(rows, titles=(kind, "labels", "prediction"), names=names, table=table)
    save_figure(figure, root / SAMPLES)
