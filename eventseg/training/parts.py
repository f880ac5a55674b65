"""Selection of the samples of a source that train, choose and test a network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import TrainingError
from eventseg.sources.source import Source
from eventseg.training.config.config import TrainConfig


def pick(source: Source, config: TrainConfig, *, split: str) -> NDArray[np.int64]:
    """Return the samples of a part of the data, int64 (N,), in the source's order.

    Samples without labels are left out, and those whose window reaches past their recording's
    events, as the configuration's ``min_covered`` says. ``fraction`` draws from the training part.

    Parameters
    ----------
    source : Source
    config : TrainConfig
    split : {"train", "val", "test"}
        With a ``validation_share`` and the protocol ``clean``, ``val`` is drawn from the training
        part.

    Raises
    ------
    TrainingError
        The part has no samples.
    """
    share = config.validation_share if config.protocol == "clean" else 0.0
    held_out = split == "val" and share > 0
    of = np.array(source.splits)
    found = np.flatnonzero((of == ("train" if held_out else split)) & source.labelled)
    if config.input.kind in ("events", "both"):
        covered = np.min([source.covered(window) for window in config.input.windows], axis=0)
        labelled, found = len(found), found[covered[found] >= config.min_covered]
        if labelled and len(found) == 0:
            raise TrainingError(
                f"none of the {labelled} samples of split {split} in {source.path} has "
                f"{config.min_covered:.0%} of its windows {', '.join(config.input.windows)} within "
                "its recording; take shorter windows, or lower min_covered"
            )
    if share and split in ("train", "val"):
        order = np.random.default_rng([config.seed, 1]).permutation(len(found))
        count = max(1, round(share * len(found)))
        chosen = order[:count] if held_out else order[count:]
        found = np.sort(found[chosen])
    if split == "train" and config.fraction < 1:
        order = np.random.default_rng([config.seed, 2]).permutation(len(found))
        found = np.sort(found[order[: max(1, round(config.fraction * len(found)))]])
    if len(found) == 0:
        have = ", ".join(f"{name} {int((of == name).sum())}" for name in sorted(set(of)))
        advice = {
            "train": "encode recordings for training, or lower min_covered",
            "val": "use longer recordings, set validation_share, or choose protocol paper",
            "test": "encode a recording for test with --test",
        }[split]
        raise TrainingError(f"{source.path} has no samples of split {split} ({have}); {advice}")
    return found.astype(np.int64)


def parts_of(source: Source, config: TrainConfig) -> dict[str, NDArray[np.int64]]:
    """Return the part that trains, and the one that chooses the checkpoint: ``val`` or ``test``.

    Raises
    ------
    TrainingError
        As :func:`pick`.
    """
    chosen = "val" if config.protocol == "clean" else "test"
    return {name: pick(source, config, split=name) for name in ("train", chosen)}
