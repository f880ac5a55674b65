"""Nearest training frame of each scored sample, whose labels are copied as a prediction."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eventseg.files.texts import counted
from eventseg.sources.order import recording_ranks
from eventseg.sources.selection import times_of
from eventseg.sources.source import Source


def nearest_training(
    source: Source, training: NDArray[np.int64], indices: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the training sample whose labels each scored sample is given, int64 (N,).

    The nearest in time of the same recording, the earlier of two; by place in the order of names
    where times are unknown; never the sample itself. A sample of a recording without another
    training sample gets one of other recordings by its place in the list: the samples of its
    recording are spread evenly over all of the others, the first on the first and the last on
    the last.

    Parameters
    ----------
    source : Source
    training : int64 (M,)
        Samples of the training part in the source's order, among them one besides each of
        `indices`.
    indices : int64 (N,)
        Samples that are scored.
    """
    sequences, times_us = np.array(source.sequences, dtype=object), times_of(source)
    ranks = recording_ranks(source.ids, source.sequences, times_us=times_us)
    places = ranks if times_us is None else times_us
    chosen = np.empty(len(indices), np.int64)
    for name in set(sequences[indices]):
        scored = np.flatnonzero(sequences[indices] == name)
        own = training[sequences[training] == name]
        own = own[np.argsort(ranks[own])]
        alone = np.array([not (own != indices[s]).any() for s in scored])
        for s in scored[~alone]:
            candidates = own[own != indices[s]]
            distance = np.abs(places[candidates] - places[indices[s]])
            chosen[s] = candidates[distance.argmin()]
        others = training[sequences[training] != name]
        ordered = scored[alone][np.argsort(ranks[indices[scored[alone]]])]
        spread = np.linspace(0, len(others) - 1, len(ordered)).round().astype(np.int64)
        chosen[ordered] = others[spread]
    return chosen


def nearest_note(source: Source, indices: NDArray[np.int64], chosen: NDArray[np.int64]) -> str:
    """Return a note on the samples whose labels were copied: how near they are.

    Parameters
    ----------
    source : Source
    indices, chosen : int64 (N,)
        Scored samples, and for each the one from :func:`nearest_training`.
    """
    sequences, times_us = np.array(source.sequences, dtype=object), times_of(source)
    same = sequences[indices] == sequences[chosen]
    notes = []
    if same.any():
        near = f"labels of the same recording for {counted(same.sum(), 'sample')}"
        if times_us is not None:
            away_us = np.abs(times_us[indices] - times_us[chosen])[same]
            near += f", {np.median(away_us) / 1e6:.3g} s away at the median"
        notes.append(near)
    if not same.all():
        notes.append(f"labels of other recordings for {counted((~same).sum(), 'sample')}")
    return "; ".join(notes)
