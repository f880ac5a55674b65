"""Interface of counts that are made elsewhere: by other processes, or by shards before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from eventseg.evaluation.scored_part import ScoredPart


class Counter(Protocol):
    """Counts of the samples that a network is scored on, from elsewhere than this process."""

    def count(
        self,
        window: str,
        indices: NDArray[np.int64],
        *,
        shift_us: int,
        add: Callable[[ScoredPart], None],
        report: Callable[[float], None],
    ) -> None:
        """Give the parts of some samples in their order.

        Parameters
        ----------
        window : str
        indices : int64 (N,)
        shift_us : int
            How much earlier the events are taken than they should be.
        add : callable
            Called with each part.
        report : callable
            Called with the number of samples that are scored.
        """
