"""Scores by the distance of the pixels, by the true depth of simulated drives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from eventseg.evaluation.measures.conditions import CONDITIONS, UNKNOWN, missing_error
from eventseg.evaluation.measures.groups import (
    Group,
    condition_section,
    group_names,
    group_scores,
    part_of,
)
from eventseg.evaluation.measures.measure import Scoring
from eventseg.evaluation.measures.true_maps import TrueMaps, recordings_with
from eventseg.evaluation.report.sections import Section
from eventseg.evaluation.rows import Row
from eventseg.labels.tables import IGNORED
from eventseg.networks.resizing import ResizeRule, resize_nearest
from eventseg.prediction.scored import ScoredBatch
from eventseg.sources.recorded import EventSource

SKY = "sky (no distance)"
EDGES = CONDITIONS["distance"].edges
NAMES = (*group_names(EDGES), SKY)


@dataclass(frozen=True, eq=False, slots=True)
class ScoresByDistance:
    """Confusion matrices of the pixels at each distance.

    Parameters
    ----------
    maps : TrueMaps
    known : set of str
        Recordings with depth; samples of others are left out.
    classes : int
    resize : ResizeRule
        Rule by which depth is brought to the size that is scored at, as labels are.
    counts : dict
        Counts of each window and sample, int64 (G, K, K), of the groups :data:`NAMES`.
    """

    maps: TrueMaps
    known: set[str]
    classes: int
    resize: ResizeRule
    counts: dict[str, dict[str, NDArray[np.int64]]]

    @classmethod
    def of(cls, scoring: Scoring) -> ScoresByDistance:
        """Return the measure.

        Raises
        ------
        TrainingError
            None of the recordings has depth.
        """
        source = scoring.source
        names = {source.sequences[i] for indices in scoring.parts.values() for i in indices}
        known = recordings_with(source, names, map_name="depth")
        if not known:
            window, indices = next(iter(scoring.parts.items()))
            raise missing_error("distance", source, indices, window=window)
        assert isinstance(source, EventSource)  # the only one with truth files
        return cls(
            TrueMaps(source),
            known,
            len(scoring.classes),
            scoring.protocol.resize,
            {window: {} for window in scoring.parts},
        )

    def observe(self, window: str, batch: ScoredBatch) -> None:
        """Count the pixels of a batch at each distance."""
        source = self.maps.source
        for i, truth, prediction in zip(batch.indices, batch.truth, batch.prediction, strict=True):
            if source.sequences[i] in self.known:
                size = (int(truth.shape[0]), int(truth.shape[1]))
                depth = resize_nearest(self.maps.depth(i), size, rule=self.resize)
                self.counts[window][source.ids[i]] = distance_counts(
                    truth, prediction, depth, classes=self.classes
                )

    def section(self, rows: Sequence[Row]) -> Section:
        """Return the section of the report."""
        found = []
        for row, counts in zip(rows, self.counts.values(), strict=True):
            known = np.array([name in counts for name in row.ids])
            deep = part_of(row, known)
            groups = []
            for k, name in enumerate(NAMES):
                matrices = np.array([counts[sample][k] for sample in deep.ids])
                seen = np.array([matrix.any() for matrix in matrices])
                if seen.any():
                    groups.append(Group(name, part_of(replace(deep, matrices=matrices), seen)))
            if not known.all():
                groups.append(Group(UNKNOWN, part_of(row, ~known)))
            found += group_scores(row, groups)
        return condition_section(CONDITIONS["distance"], found, names=NAMES)

    def close(self) -> None:
        """Close the truth files."""
        self.maps.close()


def distance_counts(
    truth: torch.Tensor, prediction: torch.Tensor, depth: NDArray[np.float32], *, classes: int
) -> NDArray[np.int64]:
    """Return the confusion matrix of the pixels of each group of :data:`NAMES`, int64 (G, K, K).

    Parameters
    ----------
    truth, prediction : int64 (H, W)
        Pixels whose truth is 255 are dropped.
    depth : float32 (H, W)
        Metres, infinite for the sky.
    classes : int
        Number K of classes.
    """
    group = np.searchsorted(EDGES, depth, side="right")
    group[np.isinf(depth)] = len(NAMES) - 1
    scored = truth != IGNORED
    cells = torch.from_numpy(group).to(truth.device)[scored] * classes**2
    cells = cells + truth[scored] * classes + prediction[scored]
    counts = torch.bincount(cells, minlength=len(NAMES) * classes**2)
    return counts.cpu().numpy().reshape(len(NAMES), classes, classes)
