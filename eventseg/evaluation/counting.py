"""Rows from scored samples: confusion matrices, instances and times."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from eventseg.evaluation.rows import Row
from eventseg.evaluation.scored_part import ScoredPart, part_of_batch
from eventseg.evaluation.stacks import SampleStack
from eventseg.labels.maps import ClassTable
from eventseg.metrics.instances import InstanceCounts
from eventseg.networks.resizing import ResizeRule
from eventseg.prediction.scored import ScoredBatch
from eventseg.sources.selection import times_of
from eventseg.sources.source import Source


@dataclass(slots=True)
class Tally:
    """Counts of scored samples of one predictor, in the order in which they are added."""

    indices: list[int] = field(default_factory=list)
    matrices: SampleStack = field(default_factory=SampleStack)
    instances: InstanceCounts | None = None
    silent: int = 0
    ignored: int = 0

    def add(self, part: ScoredPart) -> None:
        """Add the counts of the samples that follow."""
        self.indices += part.indices
        self.matrices.extend(list(part.matrices))
        self.silent += part.silent
        self.ignored += part.ignored
        for counts in part.instances:
            self.add_instances(counts)

    def add_instances(self, counts: InstanceCounts) -> None:
        """Add the counts of the iIoU of a sample."""
        self.instances = counts if self.instances is None else self.instances + counts

    def row(self, source: Source, *, name: str, window: str, classes: ClassTable) -> Row:
        """Return the row; pixels without a prediction are noted."""
        summed = self.matrices.array()
        times_us = times_of(source)
        labelled = self.silent + int(summed.sum())
        share = 100 * self.silent / max(1, labelled)
        ids, sequences = source.ids, source.sequences  # of image folders made at each call
        return Row(
            name,
            window,
            tuple(ids[i] for i in self.indices),
            tuple(sequences[i] for i in self.indices),
            summed,
            classes,
            f"{share:.2f} % of the pixels have no prediction" if self.silent else "",
            self.instances,
            None if times_us is None else times_us[self.indices],
            self.ignored / (self.ignored + labelled),
        )


def row_of(
    batches: Iterable[ScoredBatch],
    source: Source,
    *,
    name: str,
    window: str,
    classes: ClassTable,
    resize: ResizeRule,
) -> Row:
    """Count scored samples and return them as one row; pixels without a prediction are noted."""
    tally = Tally()
    for batch in batches:
        tally.add(part_of_batch(batch, source, classes=classes, resize=resize))
    return tally.row(source, name=name, window=window, classes=classes)
