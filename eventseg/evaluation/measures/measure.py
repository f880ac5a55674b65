"""Interface of the measures that an evaluation has besides its scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol as Interface

import numpy as np
import torch
from numpy.typing import NDArray

from eventseg.evaluation.evaluate import Protocol
from eventseg.evaluation.report.sections import Section
from eventseg.evaluation.rows import Row
from eventseg.labels.maps import ClassTable
from eventseg.networks import TrainedNetwork
from eventseg.prediction.scored import ScoredBatch
from eventseg.recordings.progress import Report, no_report
from eventseg.sources.source import Source


@dataclass(frozen=True, eq=False, slots=True)
class Scoring:
    """Network, data and protocol of an evaluation.

    Parameters
    ----------
    trained : TrainedNetwork
    source : Source
    parts : mapping of str to int64 (N,)
        Samples that are scored, by window.
    protocol : Protocol
    classes : ClassTable
        Classes that are scored.
    device : torch.device
    batch_size, workers : int
    progress : callable
        Called after every batch of a pass that a measure makes by itself.
    """

    trained: TrainedNetwork
    source: Source
    parts: Mapping[str, NDArray[np.int64]]
    protocol: Protocol
    classes: ClassTable
    device: torch.device
    batch_size: int = 4
    workers: int = 0
    progress: Report = no_report


class Measure(Interface):
    """A measure that sees every scored batch and ends as a section of the report."""

    def observe(self, window: str, batch: ScoredBatch) -> None:
        """Count a batch of a window."""

    def section(self, rows: Sequence[Row]) -> Section:
        """Return the section; rows are those of the network, one a window."""

    def close(self) -> None:
        """Close the files that it reads."""
