"""The two pictures of a run folder: learning curves, and predictions of validation samples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eventseg.labels.maps import ClassTable, paint_labels
from eventseg.networks import TrainedNetwork
from eventseg.networks.inputs import Scaling
from eventseg.plots.events import save_figure
from eventseg.plots.training import figure_curves, figure_panels, paint_events
from eventseg.training.run_folder import CURVES, SAMPLES, EpochScores
from eventseg.training.samples import Batch


def picture_curves(
    root: Path, history: Sequence[EpochScores], *, table: ClassTable, best: int
) -> None:
    """Write ``curves.png`` of the epochs so far; ``best`` is an index into them."""
    figure = figure_curves(
        [row.epoch for row in history],
        loss={"train": [r.train_loss for r in history], "val": [r.val_loss for r in history]},
        miou={"train": [r.train_miou for r in history], "val": [r.val_miou for r in history]},
        iou={name: [r.val_iou[k] for r in history] for k, name in enumerate(table.names)},
        classes=table,
        best_epoch=history[best].epoch,
    )
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
                input_picture(sample["x"], kind=kind, scaling=scaling),
                paint_labels(labels, table),
                paint_labels(np.where(labels == 255, labels, prediction), table),
            ]
        )
    names = [ids[sample["index"]] for sample in samples]
    figure = figure_panels(rows, titles=(kind, "labels", "prediction"), names=names, table=table)
    save_figure(figure, root / SAMPLES)


def input_picture(x: Tensor, *, kind: str, scaling: Scaling) -> NDArray[np.uint8]:
    """Return a picture of what a network sees: the frame, the events, or these over it.

    Parameters
    ----------
    x : float32 (C, H, W)
    kind : {"events", "gray", "rgb", "both"}
    scaling : Scaling
        Of the frame, which is undone.

    Returns
    -------
    uint8 (H, W, 3)
    """
    values = x.float().numpy()
    if kind == "events":
        return paint_events(values[:2])
    colours = 3 if kind == "rgb" else 1
    mean = np.array(scaling.mean, np.float32)[:, None, None]
    std = np.array(scaling.std, np.float32)[:, None, None]
    frame = (values[:colours] * std + mean) / np.float32(scaling.top)
    if scaling.order == "bgr":
        frame = frame[::-1]
    shown = np.clip(frame * 255 + 0.5, 0, 255).astype(np.uint8).transpose(1, 2, 0)
    if kind == "both":
        return paint_events(values[1:3], below=shown[:, :, 0])
    return np.repeat(shown, 3, axis=2) if colours == 1 else np.ascontiguousarray(shown)
