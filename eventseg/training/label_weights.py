"""Class weights of the loss, counted in the labels that a run trains on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from eventseg.labels.maps import Labels, merge_labels
from eventseg.sources.source import Source
from eventseg.training.config.config import TrainConfig
from eventseg.training.distributed import rank, summed, world
from eventseg.training.losses.class_weights import count_labels, enet_weights, median_frequency
from eventseg.training.samples import UNREADABLE


def class_weights(
    source: Source,
    part: NDArray[np.int64],
    merge: tuple[int, ...] | None,
    config: TrainConfig,
    *,
    classes: int,
    device: torch.device,
) -> torch.Tensor | None:
    """Return the class weights that the configuration derives from the training labels.

    Each process counts the labels of its share.

    Parameters
    ----------
    source : Source
    part : int64 (N,)
        Samples of the training part.
    merge : tuple of int, optional
        Class that is learnt for each class of the labels; None where they are the same.
    config : TrainConfig
    classes : int
        Classes that are learnt.
    device : torch.device
        Device of the training, on which the processes add up their counts.

    Returns
    -------
    float32 (classes,), optional
        None where no weights are asked for.
    """
    if config.loss.class_weights == "none":
        return None
    maps = _readable_labels(source, part[rank() :: world()], config)
    own = count_labels(
        (labels if merge is None else merge_labels(labels, merge) for labels in maps),
        classes=classes,
    )
    pixels, around = (
        summed(torch.from_numpy(counts).to(device)).cpu().numpy()
        for counts in (own.pixels_of_class, own.pixels_of_images_with_class)
    )
    if config.loss.class_weights == "enet":
        weights = enet_weights(pixels, c=config.loss.enet_c)
    else:
        weights = median_frequency(pixels, pixels_of_images_with_class=around)
    return torch.tensor(weights, dtype=torch.float32)


def _readable_labels(
    source: Source, part: NDArray[np.int64], config: TrainConfig
) -> Iterator[Labels]:
    """Yield the labels of a part, without those that are damaged where such samples are skipped."""
    for i in part:
        try:
            labels = source.labels(int(i))
        except UNREADABLE:
            if config.bad_samples == "raise":
                raise
        else:
            yield labels
