"""Blocks of samples that the bootstrap draws: recordings, seconds, or consecutive samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eventseg.sources.order import recording_ranks

SEVERAL_RECORDINGS = 6
"""Fewest recordings that are blocks; fewer are too few draws for an interval."""

LENGTHS_S = (10, 5, 2, 1)
"""Lengths of a block in seconds; the longest that gives :data:`ENOUGH` blocks is taken."""

ENOUGH = 10
"""Blocks that should be there before longer ones are preferred."""

MOST_SAMPLES = 100
"""Most consecutive samples of one recording in a block where their times are unknown."""


@dataclass(frozen=True, eq=False, slots=True)
class Blocks:
    """Disjoint blocks of all samples.

    Parameters
    ----------
    members : tuple of int64 (n,)
        Indices of the samples of each block.
    recordings : tuple of str
        Recordings that the samples are of, sorted.
    unit : str
        Kind of the blocks, such as ``blocks of 10 s``.
    """

    members: tuple[NDArray[np.int64], ...]
    recordings: tuple[str, ...]
    unit: str

    def __str__(self) -> str:
        """Return number and kind, such as ``31 blocks of 10 s of 2 recordings``."""
        count = f"{len(self.members):,} {self.unit}"
        if self.unit == WHOLE:
            return count
        return f"{count} of {self._recordings()}"

    @property
    def scope(self) -> str:
        """Limit of an interval from these blocks, empty where recordings were drawn."""
        if self.unit == WHOLE:
            return ""
        these = "" if len(self.recordings) == 1 else "these "
        return f"interval speaks for {these}{self._recordings()} only"

    def sums(self, matrices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the sum of the samples' matrices in each block, int64 (B, K, K)."""
        return np.array([matrices[block].sum(0) for block in self.members])

    def _recordings(self) -> str:
        if len(self.recordings) == 1:
            return f"the recording {self.recordings[0]}"
        return f"{len(self.recordings)} recordings"


WHOLE = "whole recordings"


def blocks_of(
    sequences: Sequence[str],
    *,
    ids: Sequence[str],
    times_us: NDArray[np.int64] | None = None,
) -> Blocks:
    """Return the blocks of the bootstrap over samples.

    From :data:`SEVERAL_RECORDINGS` on a block is a recording. Of fewer, each is cut into
    stretches of equal length in time from its first sample on, of the longest of
    :data:`LENGTHS_S` that gives :data:`ENOUGH` blocks; stretches without a sample are none.
    Without times, blocks are at most :data:`MOST_SAMPLES` samples that follow each other by name,
    numbers in names taken as numbers. The order of the samples does not matter.

    Parameters
    ----------
    sequences : sequence of str (N,)
        Recording of each sample.
    ids : sequence of str (N,)
        Name of each sample.
    times_us : int64 (N,), optional
        Time of each sample on the clock of its recording.

    Examples
    --------
    >>> times_us = np.arange(60) * 2_000_000
    >>> str(blocks_of(["a"] * 60, ids=[f"a-{i}" for i in range(60)], times_us=times_us))
    '12 blocks of 10 s of the recording a'
    """
    recordings = tuple(sorted(set(sequences)))
    names = np.array(sequences)
    members = [np.flatnonzero(names == name) for name in recordings]
    if len(recordings) >= SEVERAL_RECORDINGS:
        return Blocks(tuple(members), recordings, WHOLE)
    if times_us is None:
        ranks = recording_ranks(ids, sequences)
        longest = max(1, min(MOST_SAMPLES, len(sequences) // ENOUGH))
        blocks = [
            block
            for part in members
            for block in np.array_split(part[np.argsort(ranks[part])], -(-len(part) // longest))
        ]
        several = "samples" if longest == 1 else f"blocks of up to {longest} consecutive samples"
        return Blocks(tuple(blocks), recordings, several)
    for length_s in LENGTHS_S:
        blocks = [block for part in members for block in _stretches(part, times_us, length_s)]
        if len(blocks) >= ENOUGH:
            break
    return Blocks(tuple(blocks), recordings, f"blocks of {length_s} s")


def _stretches(
    part: NDArray[np.int64], times_us: NDArray[np.int64], length_s: int
) -> list[NDArray[np.int64]]:
    """Return the samples of one recording in each stretch that has any, in time order."""
    places = (times_us[part] - times_us[part].min()) // (length_s * 1_000_000)
    return [part[places == place] for place in np.unique(places)]
