"""AdaBN: batch-norm statistics of the data that is scored in place of those of training.

Li et al., "Revisiting Batch Normalization For Practical Domain Adaptation", arXiv 1603.04779: the
mean and variance of every norm's input are estimated anew on the inputs of the target data, no
label is read and no weight changes. Here they are those of all samples that are scored, each seen
once, at scale 1 and unmirrored. In this pass every norm normalises by its own batch, as in
training; the moments of the batches are pooled exactly, in float64 (Chan et al. 1983).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from eventseg.errors import TrainingError
from eventseg.evaluation.measures.measure import Scoring
from eventseg.evaluation.rows import Row
from eventseg.networks import InputSpec, TrainedNetwork
from eventseg.networks.batch_norms import retake_statistics
from eventseg.networks.network import batch_norms
from eventseg.networks.resizing import resize_inputs
from eventseg.prediction.predictor import network_input
from eventseg.recordings.progress import Progress, Report, no_report
from eventseg.sources.source import Source
from eventseg.training.loading import each_batch, loading_advice


@dataclass(frozen=True, eq=False, slots=True)
class _Unlabelled(Dataset[dict[str, Any]]):
    """Network input of each sample; labels are not read."""

    source: Source
    inputs: InputSpec
    window: str
    indices: NDArray[np.int64] = field(repr=False)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, k: int) -> dict[str, Any]:
        i = int(self.indices[k])
        return {
            "x": network_input(self.source, i, inputs=self.inputs, window=self.window),
            "index": i,
        }


def adapted_to(
    trained: TrainedNetwork,
    source: Source,
    indices: NDArray[np.int64],
    *,
    window: str,
    device: torch.device,
    batch_size: int = 4,
    workers: int = 0,
    progress: Report = no_report,
) -> TrainedNetwork:
    """Return a copy of a network with the batch-norm statistics of some samples' inputs.

    Parameters
    ----------
    trained : TrainedNetwork
        Stays as it is.
    source : Source
    indices : int64 (N,)
        Samples whose inputs are seen; their labels are not read.
    window : str
        Window of the events.
    device : torch.device
    batch_size, workers : int
        Samples of a forward pass, which norms normalise by, and processes that load them.
    progress : callable
        Called after every batch.

    Returns
    -------
    TrainedNetwork

    Raises
    ------
    TrainingError
        The network has no batch norm with statistics.
    """
    data = _Unlabelled(source, trained.inputs, window, indices)

    def batches() -> Iterator[Tensor]:
        done, inputs = 0, trained.inputs
        for batch in each_batch(DataLoader(data, batch_size=batch_size, num_workers=workers)):
            x: Tensor = batch["x"].to(device)
            if inputs.size is not None:
                x = resize_inputs(x, inputs.size, kind=inputs.kind, rule=inputs.resize)
            yield x
            done += len(x)
            progress(Progress("batch norms", done, len(indices), "sample"))

    with loading_advice():
        return with_statistics_of(trained, batches(), device=device)


@torch.inference_mode()
def with_statistics_of(
    trained: TrainedNetwork, batches: Iterable[Tensor], *, device: torch.device
) -> TrainedNetwork:
    """Return a copy of a network whose batch norms have the statistics of given inputs.

    Mean and unbiased variance of each norm's input over all pixels of all batches.

    Parameters
    ----------
    trained : TrainedNetwork
    batches : iterable of float32 (N, C, H, W)
        Inputs at the size that the network sees, on the device.
    device : torch.device

    Raises
    ------
    TrainingError
        The network has no batch norm with statistics.
    """
    # Tensors made in inference mode could not be trained further.
    with torch.inference_mode(mode=False):
        network = deepcopy(trained.network).to(device).eval()
    norms = [norm for norm in batch_norms(network) if norm.running_mean is not None]
    if not norms:
        raise TrainingError(
            f"{trained.blueprint.name} has no batch norm with statistics: AdaBN changes nothing"
        )
    retake_statistics(network, norms, batches)
    return replace(trained, network=network)


def adabn_rows(
    score: Callable[..., list[Row]], scoring: Scoring, *, name: str, progress: Report = no_report
) -> list[Row]:
    """Return a row for each window of the network with the statistics of that window's samples.

    Parameters
    ----------
    score : callable
        Called with the name of the rows, the windows and a network.
    scoring : Scoring
        Network, source and the samples of each window.
    name : str
        Name of the network.
    progress : callable
        Called after every batch.
    """
    rows = []
    for window, indices in scoring.parts.items():
        adapted = adapted_to(
            scoring.trained,
            scoring.source,
            indices,
            window=window,
            device=scoring.device,
            batch_size=scoring.batch_size,
            workers=scoring.workers,
            progress=progress,
        )
        note = (
            f"batch-norm statistics of the {len(indices):,} scored inputs, seen without labels in "
            f"batches of {scoring.batch_size}"
        )
        rows += [
            replace(row, note="; ".join(filter(None, (row.note, note))))
            for row in score(f"{name}, AdaBN", [window], adapted)
        ]
    return rows
