"""One pass over samples and their predictions: every count of a score, each file read once."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from eventseg.errors import DatasetError, LabelError
from eventseg.evaluation.counting import Tally
from eventseg.evaluation.evaluate import Protocol
from eventseg.evaluation.rows import Row
from eventseg.evaluation.scored_part import sample_instances
from eventseg.evaluation.scoring.arrays import Prediction
from eventseg.evaluation.stacks import SampleStack
from eventseg.labels.maps import ClassTable, Labels, merge_labels, merge_probabilities
from eventseg.metrics.calibration import Calibration, calibration_counts, log_probabilities
from eventseg.metrics.instances import InstanceCounts
from eventseg.metrics.label_pairs import PairBoundaries, PairCounts, pair_boundaries, pair_counts
from eventseg.networks.resizing import resize_nearest, resize_scores
from eventseg.recordings.progress import Progress, Report
from eventseg.sources.image_folders import Folder
from eventseg.sources.leagues.league import League
from eventseg.sources.recorded import EventSource
from eventseg.sources.selection import merge_into, truth_of
from eventseg.sources.source import Source

Read = Callable[[int], Prediction]
"""Reads or computes the prediction of a sample by its index."""

AHEAD = 4
"""Samples a thread that are counted before they are asked for."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False, slots=True)
class PassPlan:
    """Samples, sizes and measures of a pass.

    Parameters
    ----------
    source : Source
    indices : int64 (N,)
    protocols : tuple of Protocol
        Sizes that are scored at; the first is that of boundaries and calibration.
    predicted : ClassTable
        Classes of the predictions.
    classes : ClassTable
        Classes that are scored.
    widths : tuple of int
        Widths of the bands around boundaries.
    baselines : mapping of str to callable
        Label map of each sample by its index, in the classes that are scored.
    """

    source: Source
    indices: NDArray[np.int64]
    protocols: tuple[Protocol, ...]
    predicted: ClassTable
    classes: ClassTable
    widths: tuple[int, ...] = ()
    baselines: Mapping[str, Callable[[int], Labels]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, slots=True)
class PassResult:
    """Counts of a pass.

    Parameters
    ----------
    rows : mapping of str to list of Row
        By name of the protocol, the predictions first and then the baselines.
    boundaries : mapping of int to PairBoundaries
        Counts of all samples by width, with one axis more, of the samples.
    calibration : Calibration, optional
        None where no sample has scores of the classes.
    digests : mapping of str to str
        SHA-256 of the file of each prediction and of the pixels of its labels.
    coloured : int
        Number of pictures that held colours instead of ids.
    kinds : frozenset of str
        Kind of the predictions: ``labels``, ``logits``, ``probabilities``.
    """

    rows: Mapping[str, list[Row]]
    boundaries: Mapping[int, PairBoundaries]
    calibration: Calibration | None
    digests: Mapping[str, str]
    coloured: int
    kinds: frozenset[str]


@dataclass(frozen=True, eq=False, slots=True)
class _SampleCounts:
    """Counts of one sample: pairs and instances by protocol and row, and the rest."""

    pairs: dict[tuple[str, str], PairCounts]
    instances: dict[tuple[str, str], InstanceCounts]
    boundaries: dict[int, PairBoundaries]
    calibration: Calibration | None
    digests: tuple[str, str]
    coloured: bool
    kind: str


def score_labels(
    plan: PassPlan, read: Read, *, name: str, window: str, workers: int, progress: Report
) -> PassResult:
    """Count the predictions of some samples beside the labels.

    Parameters
    ----------
    plan : PassPlan
    read : callable
        Prediction of a sample by its index.
    name, window : str
        Of the row of the predictions.
    workers : int
        Threads that read and count; 0 for none besides this one, as where predictions are computed.
    progress : callable
        Called after every sample.

    Raises
    ------
    DatasetError
        A prediction of another size than its labels.
    LabelError
        Classes that do not fit.
    """
    own, names = "", ["", *plan.baselines]
    tallies = {(str(p.name), row): Tally() for p in plan.protocols for row in names}
    boundaries = {width: BoundaryStack() for width in plan.widths}
    calibration: Calibration | None = None
    digests: dict[str, str] = {}
    coloured, kinds = 0, set()
    count = _Counter.of(plan, read)
    indices, ids = plan.indices.tolist(), plan.source.ids
    for number, (i, found) in enumerate(in_order(count, indices, workers=workers), start=1):
        for key, tally in tallies.items():
            pair = found.pairs[key]
            tally.indices.append(i)
            tally.matrices.append(pair.confusion)
            tally.silent += pair.silent
            tally.ignored += pair.ignored
            if key in found.instances:
                tally.add_instances(found.instances[key])
        for width, counts in found.boundaries.items():
            boundaries[width].append(counts)
        if found.calibration is not None:
            calibration = (calibration or Calibration.empty()) + found.calibration
        sample = ids[i]
        digests[f"labels of {sample}"] = found.digests[0]
        if found.digests[1]:
            digests[f"prediction of {sample}"] = found.digests[1]
        coloured += found.coloured
        kinds.add(found.kind)
        progress(Progress(name, number, len(indices), "sample"))
    rows = {
        str(protocol.name): [
            tallies[protocol.name, row].row(
                plan.source,
                name=name if row == own else row,
                window=window if row == own else "-",
                classes=plan.classes,
            )
            for row in names
        ]
        for protocol in plan.protocols
    }
    stacked = {width: stack.stacked() for width, stack in boundaries.items()}
    return PassResult(rows, stacked, calibration, digests, coloured, frozenset(kinds))


class BoundaryStack:
    """Counts near boundaries of one sample after the other."""

    __slots__ = ("_stacks",)

    def __init__(self) -> None:
        self._stacks = [SampleStack() for _ in PairBoundaries._fields]

    def append(self, counts: PairBoundaries) -> None:
        """Add the counts of a sample."""
        for stack, one in zip(self._stacks, counts, strict=True):
            stack.append(one)

    def stacked(self) -> PairBoundaries:
        """Return the counts of all samples, each array with a first axis of the samples."""
        return PairBoundaries(*(stack.array() for stack in self._stacks))


def in_order(
    function: Callable[[Item], Result], items: Sequence[Item], *, workers: int
) -> Iterator[tuple[Item, Result]]:
    """Yield items with their results in order, a bounded number of them computed ahead."""
    if workers < 1:
        for item in items:
            yield item, function(item)
        return
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[tuple[Item, Future[Result]]] = deque()
        try:
            for item in items:
                waiting.append((item, pool.submit(function, item)))
                if len(waiting) >= AHEAD * workers:
                    first, future = waiting.popleft()
                    yield first, future.result()
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()
        finally:
            for _, future in waiting:
                future.cancel()


@dataclass(frozen=True, eq=False, slots=True)
class _Counter:
    """Counts one sample; called from several threads."""

    plan: PassPlan
    read: Read
    merges: tuple[tuple[int, ...] | None, tuple[int, ...] | None]
    lock: Any
    kept: dict[tuple[str, str], tuple[Labels, Labels]] = field(default_factory=dict)

    @classmethod
    def of(cls, plan: PassPlan, read: Read) -> _Counter:
        merges = (
            merge_into(plan.predicted, plan.classes),
            merge_into(plan.source.classes, plan.classes),
        )
        if merges[0] is not None and all(new >= len(plan.classes) for new in merges[0]):
            raise LabelError("none of the predicted classes is in the table that is scored")
        # Whether other sources can be read from several threads is not known.
        known = isinstance(plan.source, EventSource | Folder | League)
        return cls(plan, read, merges, nullcontext() if known else Lock())

    def __call__(self, i: int) -> _SampleCounts:
        plan = self.plan
        with self.lock:
            whole = truth_of(plan.source, i, merge=None).numpy()
            ids = plan.source.instances(i)
        truth = whole if self.merges[1] is None else merge_labels(whole, self.merges[1])
        prediction = self.read(i)
        labels, likelihood = in_classes(prediction, self.merges[0], classes=len(plan.classes))
        maps = {name: predict(i) for name, predict in plan.baselines.items()}
        pairs: dict[tuple[str, str], PairCounts] = {}
        instances: dict[tuple[str, str], InstanceCounts] = {}
        boundaries: dict[int, PairBoundaries] = {}
        calibration: Calibration | None = None
        for protocol in plan.protocols:
            size = truth.shape if protocol.size is None else protocol.size
            if labels.shape not in (truth.shape, tuple(size)):
                raise size_error(labels, truth.shape, what=self._name(i), source=plan.source)
            true = _at(truth, size, protocol)
            own, scores = labels, likelihood
            if labels.shape != tuple(size):
                own = _at(labels, size, protocol)
                if likelihood is not None:
                    scores = resize_scores(likelihood[None], size, rule=protocol.resize)[0]
                    if prediction.kind != "labels":
                        own = scores.argmax(0).numpy().astype(np.uint8)
            for name, found in {"": own, **maps}.items():
                shown = found if name == "" else self._resized(name, found, size, protocol)
                key = protocol.name, name
                pairs[key] = pair_counts(true, shown, classes=len(plan.classes))
                if ids is not None:
                    masked = np.where(shown == 255, 255, true).astype(np.uint8)
                    instances[key] = sample_instances(
                        ids, masked, shown, classes=len(plan.classes), resize=protocol.resize
                    )
            if protocol is plan.protocols[0]:
                boundaries = {
                    width: pair_boundaries(true, own, width=width, classes=len(plan.classes))
                    for width in plan.widths
                }
                if scores is not None:
                    calibration = calibration_counts(
                        log_probabilities(scores)[None], torch.from_numpy(true).long()[None]
                    )
        return _SampleCounts(
            pairs,
            instances,
            boundaries,
            calibration,
            (pixel_digest(whole), prediction.sha256),
            prediction.coloured,
            prediction.kind,
        )

    def _resized(
        self, name: str, labels: Labels, size: Sequence[int], protocol: Protocol
    ) -> Labels:
        """Return the map of a baseline at a size; one that is that of the last sample is kept."""
        if labels.shape == tuple(size):
            return labels
        kept = self.kept.get((protocol.name, name))
        if kept is None or kept[0] is not labels:
            kept = labels, _at(labels, size, protocol)
            self.kept[protocol.name, name] = kept
        return kept[1]

    def _name(self, i: int) -> str:
        return f"the prediction of {self.plan.source.ids[i]}"


def in_classes(
    prediction: Prediction, merge: Sequence[int] | None, *, classes: int
) -> tuple[Labels, torch.Tensor | None]:
    """Return labels and probabilities, float32 (K, H, W), in the classes that are scored."""
    labels = prediction.labels
    scores = prediction.probabilities
    likelihood = None if scores is None else torch.from_numpy(np.ascontiguousarray(scores))
    if merge is None:
        return labels, likelihood
    merged = merge_labels(labels, merge)
    if likelihood is not None:
        likelihood = merge_probabilities(likelihood, merge, classes=classes)
        if prediction.kind != "labels":
            merged = likelihood.argmax(0).numpy().astype(np.uint8)
    return merged, likelihood


def size_error(
    labels: Labels, truth: tuple[int, ...], *, what: str, source: Source
) -> DatasetError:
    """Return the error of a prediction of another size; it names the crop of rows not cropped."""
    height, width = labels.shape
    text = f"{what} is {width}x{height}, its labels are {truth[1]}x{truth[0]}"
    if width == truth[1] and height > truth[0]:
        encoding = source.encoding
        rows = (0, truth[0]) if encoding is None else encoding.rows
        return DatasetError(f"{text}: rows are not cropped; keep rows {rows[0]} to {rows[1] - 1}")
    return DatasetError(f"{text}; predict at that size")


def pixel_digest(labels: Labels) -> str:
    """Return the SHA-256 of the size and the ids of a label map, however it is stored."""
    digest = hashlib.sha256(f"{labels.shape[0]}x{labels.shape[1]}\n".encode())
    digest.update(np.ascontiguousarray(labels).data)
    return digest.hexdigest()


def _at(labels: Labels, size: Sequence[int], protocol: Protocol) -> Labels:
    if labels.shape == tuple(size):
        return labels
    return resize_nearest(labels, (size[0], size[1]), rule=protocol.resize)
