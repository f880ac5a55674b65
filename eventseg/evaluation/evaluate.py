"""Scores of a trained network on a part of the data, window by window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from eventseg.errors import LabelError, TrainingError
from eventseg.evaluation.inference import PUBLISHED, SINGLE, Passes, network_input, probabilities
from eventseg.labels import ClassTable, merge_labels, merge_of, unknown_labels
from eventseg.metrics import Interval, Scores, bootstrap_interval, scores
from eventseg.networks import TrainedNetwork
from eventseg.training.samples import each_batch
from eventseg.training.sources import Source
from eventseg.training.steps import confusion

Protocol = Literal["clean", "paper"]

BLOCK = 100
"""Most consecutive samples of one recording in a block of the bootstrap."""

EVSEGNET_SIZE = (224, 352)
"""Height and width that EV-SegNet scores at."""


@dataclass(frozen=True, eq=False, slots=True)
class Row:
    """Scores of one predictor at one window.

    Parameters
    ----------
    name : str
        The network's run, or the baseline.
    window : str
        Window of the events; ``-`` where there is none.
    ids : tuple of str (N,)
        Samples that were scored.
    sequences : tuple of str (N,)
        Recording of each.
    matrices : int64 (N, K, K)
        Confusion matrix of each sample; rows are the truth.
    classes : ClassTable
    """

    name: str
    window: str
    ids: tuple[str, ...]
    sequences: tuple[str, ...]
    matrices: NDArray[np.int64]
    classes: ClassTable
    note: str = ""

    @property
    def scores(self) -> Scores:
        """Scores of the one matrix of all samples."""
        return scores(self.matrices.sum(0), names=self.classes.names)

    @property
    def sample_accuracy(self) -> NDArray[np.float64]:
        """Pixel accuracy of each sample, (N,), NaN where nothing is scored."""
        right = np.trace(self.matrices, axis1=1, axis2=2)
        pixels = self.matrices.sum((1, 2))
        return np.where(pixels > 0, right / np.maximum(pixels, 1), np.nan)

    def interval(self, *, seed: int = 0) -> Interval | None:
        """Return the bootstrap interval of the mIoU; None where there are too few blocks."""
        blocks = blocks_of(self.sequences)
        summed = np.array([self.matrices[block].sum(0) for block in blocks])
        if sum(matrix.any() for matrix in summed) < 2:
            return None
        return bootstrap_interval(summed, seed=seed)

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the samples' matrices, as JSON holds it."""
        found = self.interval()
        return {
            "name": self.name,
            "window": self.window,
            "samples": len(self.ids),
            "note": self.note,
            "scores": self.scores.to_dict(),
            "interval_95": None if found is None else [found.low, found.high],
            "interval_blocks": None if found is None else found.blocks,
            "confusion": self.matrices.sum(0).tolist(),
        }


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
    parts = {window: part(source, setting, window if uses_events else None) for window in windows}
    total, done = sum(map(len, parts.values())), 0
    rows = []
    for window, indices in parts.items():
        inputs = _Inputs(source, trained, window, shift_us, of_truth, indices)
        matrices = []
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
            done += len(labels)
            progress(done, total)
        rows.append(
            Row(
                name, window if uses_events else "-",
                tuple(source.ids[i] for i in indices), tuple(source.sequences[i] for i in indices),
                np.array(matrices), table,
            )
        )  # fmt: skip
    return rows


def part(source: Source, setting: Setting, window: str | None) -> NDArray[np.int64]:
    """Return the samples of a part that have labels and whose window is covered, int64 (N,).

    Raises
    ------
    TrainingError
        There are none.
    """
    found = np.flatnonzero((np.array(source.splits) == setting.split) & source.labelled)
    if window is not None:
        found = found[source.covered(window)[found] >= setting.min_covered]
    if len(found) == 0:
        raise TrainingError(
            f"{source.path} has no labelled samples of split {setting.split}; it has "
            f"{', '.join(sorted(set(source.splits)))}: choose one with --split"
        )
    return found


def merge_into(source: ClassTable, target: ClassTable) -> tuple[int, ...] | None:
    """Return the target's class of each class of the source, or None where they are the same."""
    return None if source.names == target.names else merge_of(source, target)


def truth_of(source: Source, i: int, *, merge: tuple[int, ...] | None) -> torch.Tensor:
    """Return the labels of a sample, merged, uint8 (H, W).

    Raises
    ------
    LabelError
        Labels outside the classes.
    """
    labels = source.labels(i)
    unknown = unknown_labels(labels, len(source.classes))
    if unknown:
        raise LabelError(
            f"labels of {source.ids[i]} hold {', '.join(map(str, unknown))}; allowed are 0 to "
            f"{len(source.classes) - 1} and 255 for ignored"
        )
    return torch.from_numpy(
        np.ascontiguousarray(labels if merge is None else merge_labels(labels, merge))
    )


def nearest_labels(labels: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Return label maps (N, H, W) at another size, the nearest pixel."""
    resized = torch.nn.functional.interpolate(
        labels[:, None].float(), size=size, mode="nearest-exact"
    )
    return resized[:, 0].long()


def blocks_of(sequences: Sequence[str]) -> list[NDArray[np.int64]]:
    """Return stretches of consecutive samples of one recording, about ten or more in all."""
    longest = max(1, min(BLOCK, len(sequences) // 10))
    names = np.array(sequences)
    blocks = []
    for name in dict.fromkeys(sequences):
        of = np.flatnonzero(names == name)
        blocks += np.array_split(of, -(-len(of) // longest))
    return blocks


def _sums(merge: tuple[int, ...], classes: int) -> torch.Tensor:
    """Return the matrix that sums probabilities of merged classes, float32 (classes, C)."""
    if all(target >= classes for target in merge):
        raise LabelError("none of the network's classes is in the table that is scored")
    sums = torch.zeros(classes, len(merge))
    for source, target in enumerate(merge):
        if target < classes:
            sums[target, source] = 1
    return sums
