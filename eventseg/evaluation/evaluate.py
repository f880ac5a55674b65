"""Scores of a trained network on a part of the data, window by window."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from eventseg.errors import LabelError
from eventseg.evaluation.counter import Counter
from eventseg.evaluation.counting import Tally, row_of
from eventseg.evaluation.rows import Row
from eventseg.evaluation.scored_part import ScoredPart, predicted_maps
from eventseg.evaluation.settings import ProtocolName
from eventseg.labels.maps import ClassTable, merge_probabilities
from eventseg.labels.tables import described
from eventseg.networks import InputSpec, TrainedNetwork
from eventseg.networks.published import EVSEGNET_SIZE
from eventseg.networks.resizing import ResizeRule, nearest
from eventseg.prediction.predictor import (
    PUBLISHED,
    SINGLE,
    TestTimeAugmentation,
    check_numbers,
    network_input,
    probabilities,
)
from eventseg.prediction.scored import ScoredBatch
from eventseg.recordings.progress import Progress, Report, no_report
from eventseg.sources.selection import merge_into, part, truth_of
from eventseg.sources.source import Source
from eventseg.training.loading import each_batch, loading_advice


@dataclass(frozen=True, slots=True)
class Protocol:
    """Evaluation protocol: the part of the data, the views and the size that are scored.

    Parameters
    ----------
    name : {"clean", "paper"}
        ``clean``: one pass at native size of a network that a validation part chose; ``paper``:
        as EV-SegNet published, six passes at 352x224, chosen on the test part.
    split : str
        Part of the data.
    test_time : TestTimeAugmentation
    size : (int, int), optional
        Height and width that is scored at; by default the labels' own.
    resize : {"centres", "evsegnet"}
        Rule by which labels are brought to that size, see :mod:`eventseg.networks.resizing`.
    min_covered : float
        Least share of its window that a sample's recording must cover.
    """

    name: ProtocolName = "clean"
    split: str = "test"
    test_time: TestTimeAugmentation = SINGLE
    size: tuple[int, int] | None = None
    min_covered: float = 1.0
    resize: ResizeRule = "centres"

    @classmethod
    def named(cls, name: ProtocolName, *, split: str = "test") -> Protocol:
        """Return the protocol of a name with its usual settings."""
        if name == "paper":
            return cls(name, split, PUBLISHED, EVSEGNET_SIZE, resize="evsegnet")
        return cls(name, split)


@dataclass(frozen=True, eq=False, slots=True)
class _Inputs(Dataset[dict[str, Any]]):
    """Network input and truth of each sample, in the classes that are scored.

    The network itself stays out: it would be sent to every loading process.
    """

    source: Source
    inputs: InputSpec
    window: str
    shift_us: int
    merge: tuple[int, ...] | None
    indices: NDArray[np.int64] = field(repr=False)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, k: int) -> dict[str, Any]:
        i = int(self.indices[k])
        x = network_input(
            self.source, i, inputs=self.inputs, window=self.window, shift_us=self.shift_us
        )
        return {"x": x, "labels": truth_of(self.source, i, merge=self.merge), "index": i}


def evaluate(
    trained: TrainedNetwork,
    source: Source,
    *,
    windows: Sequence[str],
    name: str = "network",
    protocol: Protocol | None = None,
    classes: ClassTable | None = None,
    device: str | torch.device = "cpu",
    batch_size: int = 4,
    workers: int = 0,
    shift_us: int = 0,
    observe: Callable[[str, ScoredBatch], None] | None = None,
    counter: Counter | None = None,
    progress: Report = no_report,
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
    protocol : Protocol, optional
        By default the clean protocol on the test part.
    classes : ClassTable, optional
        Classes that are scored: truth and probabilities are merged into them first. By default
        the network's.
    device : str or torch.device
    batch_size, workers : int
    shift_us : int
        How much earlier the events are taken than they should be.
    observe : callable, optional
        Called with the window and every batch, for measures of its pixels.
    counter : Counter, optional
        Gives the counts of this network and source from elsewhere. Batches are then observed one
        sample each, where their label maps are given.
    progress : callable
        Called after every batch; the stage is the name of the rows.

    Returns
    -------
    list of Row

    Raises
    ------
    TrainingError
        The part has no samples.
    LabelError
        Classes that do not merge.

    Examples
    --------
    >>> with_truth = open_source("drives")
    >>> (row,) = evaluate(run.network, with_truth, windows=["50ms"])
    >>> 0 <= row.scores.miou_present <= 1
    True
    """
    trained.inputs.check_encoding(source.encoding, source=str(source.path))
    protocol = protocol or Protocol()
    table = classes or trained.classes
    uses_events = trained.inputs.kind in ("events", "both")
    parts = scored_parts(trained, source, windows=windows, protocol=protocol)
    if uses_events:
        for window, indices in parts.items():
            # A window that cannot be had is refused before another one is scored.
            network_input(source, int(indices[0]), inputs=trained.inputs, window=window)
    total, done = sum(map(len, parts.values())), 0

    def counted(window: str, batches: Iterable[ScoredBatch]) -> Iterator[ScoredBatch]:
        nonlocal done
        for batch in batches:
            yield batch
            if observe is not None:
                observe(window, batch)
            done += len(batch.indices)
            progress(Progress(name, done, total, "sample"))

    rows = []
    for window, indices in parts.items():
        shown = window if uses_events else "-"
        if counter is not None:
            rows.append(
                _row_from(
                    counter,
                    source,
                    indices,
                    window=window,
                    shown=shown,
                    name=name,
                    protocol=protocol,
                    classes=table,
                    shift_us=shift_us,
                    observe=observe,
                    report=partial(_report_after, done, total, name, progress),
                )
            )
            done += len(indices)
            continue
        batches = scored_by_network(
            trained,
            source,
            indices,
            window=window,
            protocol=protocol,
            classes=table,
            device=torch.device(device),
            batch_size=batch_size,
            workers=workers,
            shift_us=shift_us,
        )
        rows.append(
            row_of(
                counted(window, batches),
                source,
                name=name,
                window=shown,
                classes=table,
                resize=protocol.resize,
            )
        )
    return rows


def _report_after(before: int, total: int, name: str, progress: Report, now: float) -> None:
    progress(Progress(name, before + now, total, "sample"))


def _row_from(
    counter: Counter,
    source: Source,
    indices: NDArray[np.int64],
    *,
    window: str,
    shown: str,
    name: str,
    protocol: Protocol,
    classes: ClassTable,
    shift_us: int,
    observe: Callable[[str, ScoredBatch], None] | None,
    report: Callable[[float], None],
) -> Row:
    """Return the row of counts from elsewhere, observing predictions that come with them."""
    tally = Tally()

    def add(scored: ScoredPart) -> None:
        tally.add(scored)
        if observe is not None:
            for batch in scored_again(scored, source, protocol=protocol, classes=classes):
                observe(window, batch)

    counter.count(window, indices, shift_us=shift_us, add=add, report=report)
    return tally.row(source, name=name, window=shown, classes=classes)


def scored_parts(
    trained: TrainedNetwork, source: Source, *, windows: Sequence[str], protocol: Protocol
) -> dict[str, NDArray[np.int64]]:
    """Return the samples that are scored at each window, int64 (N,).

    Parameters and errors as of :func:`evaluate`; coverage counts where the network sees events.
    """
    uses_events = trained.inputs.kind in ("events", "both")
    return {
        window: part(
            source,
            split=protocol.split,
            window=window if uses_events else None,
            min_covered=protocol.min_covered,
        )
        for window in windows
    }


def scored_by_network(
    trained: TrainedNetwork,
    source: Source,
    indices: NDArray[np.int64],
    *,
    window: str,
    protocol: Protocol,
    classes: ClassTable,
    device: torch.device,
    batch_size: int = 1,
    workers: int = 0,
    shift_us: int = 0,
) -> Iterator[ScoredBatch]:
    """Yield samples as a network predicts them, in the classes and at the size of a protocol.

    Parameters are those of :func:`evaluate`; `indices` are the samples, int64 (N,).
    """
    trained.network.to(device).eval()
    merge = merge_into(trained.classes, classes)
    if merge is not None and all(new >= len(classes) for new in merge):
        raise LabelError(
            f"none of the network's classes is scored. Network: {described(trained.classes)}; "
            f"scored: {described(classes)}"
        )
    inputs = _Inputs(
        source, trained.inputs, window, shift_us, merge_into(source.classes, classes), indices
    )
    with loading_advice():
        loader = DataLoader(inputs, batch_size=batch_size, num_workers=workers)
        for batch in each_batch(loader):
            truth = _at_size(batch["labels"].to(device), protocol)
            likelihood = probabilities(
                trained,
                batch["x"].to(device),
                size=(int(truth.shape[-2]), int(truth.shape[-1])),
                test_time=protocol.test_time,
            )
            check_numbers(likelihood, trained)
            if merge is not None:
                likelihood = merge_probabilities(likelihood, merge, classes=len(classes))
            yield ScoredBatch(tuple(batch["index"].tolist()), truth, likelihood, batch["x"])


def scored_by_labels(
    predict: Callable[[int], NDArray[np.uint8]],
    source: Source,
    indices: NDArray[np.int64],
    *,
    protocol: Protocol,
    classes: ClassTable,
) -> Iterator[ScoredBatch]:
    """Yield samples as label maps predict them, of a baseline or a teacher.

    Parameters
    ----------
    predict : callable
        Label map of a sample in the classes that are scored, uint8 (H, W), 255 for no prediction.
    source, indices, protocol, classes
        As for :func:`scored_by_network`.
    """
    merge = merge_into(source.classes, classes)
    for i in indices.tolist():
        both = truth_of(source, i, merge=merge), torch.from_numpy(predict(i))
        truth, labels = (_at_size(each[None], protocol)[0] for each in both)
        yield ScoredBatch.of_labels(i, truth, labels, classes=len(classes))


def scored_again(
    scored: ScoredPart, source: Source, *, protocol: Protocol, classes: ClassTable
) -> Iterator[ScoredBatch]:
    """Yield the samples of a part whose predictions are there, one a batch; of no probabilities."""
    merge = merge_into(source.classes, classes)
    for i, labels in predicted_maps(scored):
        truth = _at_size(truth_of(source, i, merge=merge)[None], protocol)[0]
        prediction = torch.from_numpy(labels.astype(np.int64))
        yield ScoredBatch.of_labels(i, truth, prediction, classes=len(classes))


def _at_size(labels: torch.Tensor, protocol: Protocol) -> torch.Tensor:
    """Return label maps (N, H, W) as int64 at the size that is scored at."""
    labels = labels.long()
    return labels if protocol.size is None else nearest(labels, protocol.size, rule=protocol.resize)
