"""Selection of the samples of a source that train, choose and test a network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import TrainingError
from eventseg.sources.assigned import assigned_splits
from eventseg.sources.leaks import check_leaks
from eventseg.sources.order import recording_ranks
from eventseg.sources.selection import times_of
from eventseg.sources.source import Source
from eventseg.splits import hold_back_stretches, members_of
from eventseg.training.config.config import TrainConfig

MOST_NEIGHBOURS = 20
"""Most consecutive samples that a fraction takes together: 1 s of EV-SegNet's export."""

FEWEST_STRETCHES = 100
"""Stretches that a part is cut into where it has so many samples."""


def published_parts(config: TrainConfig) -> bool:
    """Return whether a training takes the splits without validation held back of training.

    So does the protocol ``paper``, and ``clean`` with a ``validation_share`` of its own.
    """
    return config.protocol == "paper" or config.validation_share > 0


def pick(source: Source, config: TrainConfig, *, split: str) -> NDArray[np.int64]:
    """Return the samples of a part of the data, int64 (N,), in the source's order.

    Samples without labels are left out, and those whose window reaches past their recording's
    events, as the configuration's ``min_covered`` says. ``fraction`` takes stretches of the
    training part, see :func:`by_stretches`.

    Parameters
    ----------
    source : Source
    config : TrainConfig
    split : {"train", "val", "test"}
        With a ``validation_share`` and the protocol ``clean``, ``val`` is held back of the
        training part, see :func:`eventseg.splits.hold_back_stretches`.

    Raises
    ------
    TrainingError
        The part has no samples.
    """
    share = config.validation_share if config.protocol == "clean" else 0.0
    shared = share > 0 and split in ("train", "val")
    assigned = assigned_splits(source, config.split)
    of = np.array(
        assigned or (source.published_splits if published_parts(config) else source.splits)
    )
    found = np.flatnonzero((of == ("train" if shared else split)) & source.labelled)
    if config.input.kind in ("events", "both"):
        covered = np.min([source.covered(window) for window in config.input.windows], axis=0)
        labelled, found = len(found), found[covered[found] >= config.min_covered]
        if labelled and len(found) == 0:
            raise TrainingError(
                f"none of the {labelled} samples of split {split} in {source.path} has "
                f"{config.min_covered:.0%} of its windows {', '.join(config.input.windows)} within "
                "its recording; take shorter windows, or lower min_covered"
            )
    if shared or (split == "train" and config.fraction < 1):
        ranks = recording_ranks(source.ids, source.sequences, times_us=times_of(source))
        sequences = np.array(source.sequences, dtype=object)
    if shared:
        parts = hold_back_stretches(sequences[found].tolist(), ranks[found], share=share)
        found = found[parts == split]
    if split == "train" and config.fraction < 1:
        order = by_stretches(sequences[found].tolist(), ranks[found], seed=config.seed)
        found = np.sort(found[order[: max(1, round(config.fraction * len(found)))]])
    if len(found) == 0:
        have = ", ".join(f"{name} {int((of == name).sum())}" for name in sorted(set(of.tolist())))
        whole = "let whole recordings validate (--hold-back recordings or --val NAME)"
        advice = {
            "train": f"encode recordings for training, {whole}, or lower min_covered",
            "val": f"{whole}, use longer ones, set validation_share, or choose protocol paper",
            "test": "encode a recording for test with --test",
        }[split]
        raise TrainingError(f"{source.path} has no samples of split {split} ({have}); {advice}")
    return found.astype(np.int64)


def by_stretches(
    sequences: Sequence[str], ranks: NDArray[np.int64], *, seed: int
) -> NDArray[np.int64]:
    """Return an order of samples in which stretches of neighbours stay together, int64 (N,).

    Recordings are cut into stretches of :data:`MOST_NEIGHBOURS` samples, of fewer where the part
    would have fewer than :data:`FEWEST_STRETCHES`, and stretches are shuffled. The first samples
    of this order are a fraction of the part as someone would label it: some clips, not single
    frames that show nearly all there is. A smaller fraction of one seed is in a larger one.

    Parameters
    ----------
    sequences : sequence of str (N,)
        Recording of each sample.
    ranks : int64 (N,)
        Order of the samples in their recordings.
    seed : int
    """
    length = min(MOST_NEIGHBOURS, max(1, len(sequences) // FEWEST_STRETCHES))
    stretches: list[NDArray[np.int64]] = []
    for members in members_of(sequences).values():
        part = members[np.argsort(ranks[members])]
        stretches += [part[k : k + length] for k in range(0, len(part), length)]
    order = np.random.default_rng([seed, 2]).permutation(len(stretches))
    return np.concatenate([stretches[k] for k in order])


def parts_of(source: Source, config: TrainConfig) -> dict[str, NDArray[np.int64]]:
    """Return the part that trains, and the one that chooses the checkpoint: ``val`` or ``test``.

    Raises
    ------
    TrainingError
        As :func:`pick`.
    """
    chosen = "val" if config.protocol == "clean" else "test"
    return {name: pick(source, config, split=name) for name in ("train", chosen)}


@dataclass(frozen=True, slots=True)
class OwnSplit:
    """Split of a training that is not that of the data.

    Parameters
    ----------
    splits : tuple of str (N,)
        Split of each sample.
    notes : tuple of str
        Samples of two parts that are alike.
    """

    splits: tuple[str, ...]
    notes: tuple[str, ...]

    def describe(self) -> dict[str, Any]:
        """Return the samples of each split and the notes, as ``run.json`` has them."""
        return {"samples": dict(sorted(Counter(self.splits).items())), "notes": list(self.notes)}


def own_split(source: Source, config: TrainConfig) -> OwnSplit | None:
    """Return the split that a configuration assigns, or None where it is that of the data.

    Raises
    ------
    TrainingError
        As :func:`eventseg.sources.assigned.assigned_splits`, and parts that share events or
        frames, see :func:`eventseg.sources.leaks.check_leaks`.
    """
    splits = assigned_splits(source, config.split)
    if splits is None:
        return None
    sees_events = config.input.kind in ("events", "both")
    windows = config.input.windows if sees_events else ()
    return OwnSplit(splits, tuple(check_leaks(source, splits, windows=windows)))
