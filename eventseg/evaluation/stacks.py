"""Counts of many samples in little memory: one array, grown by blocks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BLOCK = 256
"""Samples whose arrays are joined at once: small arrays take more memory than their numbers."""


class SampleStack:
    """Equally shaped counts of one sample after the other, as 32-bit numbers.

    A sample has fewer pixels than these numbers reach.
    """

    __slots__ = ("_blocks", "_waiting")

    def __init__(self) -> None:
        self._blocks: list[NDArray[np.int32]] = []
        self._waiting: list[NDArray[np.int64]] = []

    def append(self, counts: NDArray[np.int64]) -> None:
        """Add the counts of a sample."""
        self._waiting.append(counts)
        if len(self._waiting) >= BLOCK:
            self._blocks.append(np.array(self._waiting).astype(np.int32))
            self._waiting.clear()

    def extend(self, counts: Sequence[NDArray[np.int64]]) -> None:
        """Add the counts of some samples."""
        for one in counts:
            self.append(one)

    def array(self) -> NDArray[np.int64]:
        """Return the counts of all samples, int64 (N, ...)."""
        parts: list[NDArray[np.int64]] = [block.astype(np.int64) for block in self._blocks]
        if self._waiting:
            parts.append(np.array(self._waiting))
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)
