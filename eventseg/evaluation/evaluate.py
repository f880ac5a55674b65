"""Scores of a trained network on a part of the data, window by window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from eventseg.errors import LabelError
from eventseg.evaluation.rows import Row
from eventseg.labels.maps import ClassTable
from eventseg.metrics.confusion_torch import confusion
from eventseg.metrics.instances import InstanceCounts, instance_counts
from eventseg.networks import TrainedNetwork
from eventseg.prediction.predictor import PUBLISHED, SINGLE, Passes, network_input, probabilities
from eventseg.sources.selection import merge_into, nearest_labels, part, truth_of
from eventseg.sources.source import Source
from eventseg.training.loading import each_batch

Protocol = Literal["clean", "paper"]

EVSEGNET_SIZE = (224, 352)
"""Height and width that EV-SegNet scores at."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How a network is scored.

    Parameters
    ----------
    protocol : {"clean", "paper"}
        ``clean``: one pass at native size of a network that a validation part chose; ``paper``:
        as EV-SegNet published, six passes at 352x224, chosen on the test part.
    split : str
        Part of the data.
    passes : Passes
    size : (int, int), optional
        Height and width that is scored at; by default the labels' own.
    min_covered : float
        Least share of its window that a sample's recording must cover.
    """

    protocol: Protocol = "clean"
    split: str = "test"
    passes: Passes = SINGLE
    size: tuple[int, int] | None = None
    min_covered: float = 1.0

    @classmethod
    def of(cls, protocol: Protocol, *, split: str = "test") -> Setting:
        """Return the settings that a protocol stands for."""
        if protocol == "paper":
            return cls(protocol, split, PUBLISHED, EVSEGNET_SIZE)
        return cls(protocol, split)


@dataclass(frozen=True, eq=False, slots=True)
class _Inputs(Dataset[dict[str, Any]]):
    """What the network sees of each sample, and its truth in the classes that are scored."""

    source: Source
    trained: TrainedNetwork
    window: str
    shift_us: int
    merge: tuple[int, ...] | None
    indices: NDArray[np.int64] = field(repr=False)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, k: int) -> dict[str, Any]:
        i = int(self.indices[k])
        x = network_input(
            self.source, i, inputs=self.trained.inputs, window=self.window, shift_us=self.shift_us
        )
        return {"x": x, "labels": truth_of(self.source, i, merge=self.merge)}


def evaluate(
    trained: TrainedNetwork,
    source: Source,
    *,
    windows: Sequence[str],
    name: str = "network",
    setting: Setting | None = None,
    classes: ClassTable | None = None,
    device: str | torch.device = "cpu",
    batch_size: int = 4,
    workers: int = 0,
    shift_us: int = 0,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[Row]:
    """Score a network on a part of the data, one row a window.

    Parameters
    ----------
    trained : TrainedNetwork
    source : Source
    windows : sequence of str
        Such as ``50ms``; of a network that sees no events only the samples differ.
    name : str
        Name of the rows.
    setting : Setting, optional
        By default the clean protocol on the test part.
    classes : ClassTable, optional
        Classes that are scored: truth and probabilities are merged into them first. By default
        the network's.
    device : str or torch.device
    batch_size, workers : int
    shift_us : int
        How much earlier the events are taken than they should be.
    progress : callable
        Called with samples done and in all.

    Returns
    -------
    list of Row

    Raises
    ------
    TrainingError
        The part has no samples.
    LabelError
        Classes that do not merge.
    """
    setting = setting or Setting()
    table = classes or trained.classes
    on = torch.device(device)
    trained.network.to(on).eval()
    of_truth = merge_into(source.classes, table)
    of_network = merge_into(trained.classes, table)
    kept = None if of_network is None else _sums(of_network, len(table)).to(on)
    uses_events = trained.inputs.kind in ("events", "both")
    parts = {
        window: part(
            source,
            split=setting.split,
            window=window if uses_events else None,
            min_covered=setting.min_covered,
        )
        for window in windows
    }
    total, done = sum(map(len, parts.values())), 0
    rows = []
    for window, indices in parts.items():
        inputs = _Inputs(source, trained, window, shift_us, of_truth, indices)
        matrices = []
        things: InstanceCounts | None = None
        left = iter(indices)
        loader = DataLoader(inputs, batch_size=batch_size, num_workers=workers)
        for batch in each_batch(loader):
            labels = batch["labels"].to(on).long()
            if setting.size is not None:
                labels = nearest_labels(labels, setting.size)
            found = probabilities(
                trained, batch["x"].to(on), passes=setting.passes,
                size=(int(labels.shape[-2]), int(labels.shape[-1])),
            )  # fmt: skip
            if kept is not None:
                found = torch.einsum("kc,nchw->nkhw", kept, found)
            for one, truth in zip(found, labels, strict=True):
                matrices.append(confusion(one[None], truth[None], classes=len(table)))
                things = add_things(
                    things, source, int(next(left)), truth, one.argmax(0), classes=len(table)
                )
            done += len(labels)
            progress(done, total)
        rows.append(
            Row(
                name, window if uses_events else "-",
                tuple(source.ids[i] for i in indices), tuple(source.sequences[i] for i in indices),
                np.array(matrices), table, things=things,
            )
        )  # fmt: skip
    return rows


def add_things(
    counts: InstanceCounts | None,
    source: Source,
    i: int,
    truth: torch.Tensor,
    prediction: torch.Tensor,
    *,
    classes: int,
) -> InstanceCounts | None:
    """Return the counts of the iIoU with those of one more sample, where it has instance ids.

    Parameters
    ----------
    counts : InstanceCounts, optional
        Of the samples before; None without any.
    source : Source
    i : int
    truth, prediction : integer (H, W)
        Merged, at the size that is scored at; the instance ids are brought to it.
    classes : int
    """
    found = source.instances(i)
    if found is None:
        return counts
    ids = nearest_labels(torch.from_numpy(found)[None], (truth.shape[0], truth.shape[1]))[0]
    new = instance_counts(
        truth.cpu().numpy(), ids.numpy(), prediction.cpu().numpy(), classes=classes
    )
    return new if counts is None else counts + new


def _sums(merge: tuple[int, ...], classes: int) -> torch.Tensor:
    """Return the matrix that sums probabilities of merged classes, float32 (classes, C)."""
    if all(target >= classes for target in merge):
        raise LabelError("none of the network's classes is in the table that is scored")
    sums = torch.zeros(classes, len(merge))
    for source, target in enumerate(merge):
        if target < classes:
            sums[target, source] = 1
    return sums
