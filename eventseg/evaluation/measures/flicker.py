"""Temporal consistency: changes of the prediction between consecutive samples of a recording."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from eventseg.errors import TrainingError
from eventseg.evaluation.measures.measure import Scoring
from eventseg.evaluation.measures.true_maps import TrueMaps, pictures_of, recordings_with
from eventseg.evaluation.report.sections import Section
from eventseg.evaluation.report.tables import Table, percent
from eventseg.evaluation.rows import Row
from eventseg.metrics.bootstrap import Interval, iou_interval
from eventseg.metrics.flicker import LabelPair, flicker_counts
from eventseg.networks.resizing import ResizeRule, resize_nearest
from eventseg.prediction.scored import ScoredBatch
from eventseg.sources.recorded import EventSource
from eventseg.sources.selection import times_of
from eventseg.sources.source import Source

MOST_STEPS = 2
"""Most of the median time between neighbouring samples that the samples of a pair are apart."""

RULE = (
    "share of the pixels whose predicted class changes between consecutive samples of a recording, "
    f"at most {MOST_STEPS} of their median steps apart, where the true class does not; a network "
    "that never changes its prediction has 0; intervals are over the blocks of the scores"
)
FLOW_RULE = (
    "along the flow, a pixel is compared with the place that it comes from by the true optical "
    "flow of the later frame, where the truth there is the same"
)
PICTURE_RULE = "samples of two pictures of one recording (simulate images) are no pair"


@dataclass(frozen=True, eq=False, slots=True)
class Pairs:
    """Consecutive samples of one window.

    Parameters
    ----------
    before : mapping of int to int
        Sample before each one that has one.
    step_us : float
        Median time between neighbouring samples.
    """

    before: Mapping[int, int]
    step_us: float


@dataclass(frozen=True, eq=False, slots=True)
class Flicker:
    """Counts of pairs of consecutive samples.

    Parameters
    ----------
    source : Source
    classes : int
    resize : ResizeRule
    times_us : int64 (S,)
        Time of each sample of the source.
    pairs : mapping of str to Pairs
        Pairs of each window.
    maps : TrueMaps, optional
        True optical flow; None where the samples are no frames or no recording has it.
    flowing : set of str
        Recordings with optical flow.
    pictured : bool
        Whether some recordings are of pictures, one after the other.
    """

    source: Source
    classes: int
    resize: ResizeRule
    times_us: NDArray[np.int64]
    pairs: Mapping[str, Pairs]
    maps: TrueMaps | None
    flowing: set[str]
    pictured: bool = False
    _last: dict[tuple[str, str], tuple[int, LabelPair]] = field(default_factory=dict)
    _counts: dict[tuple[str, str], NDArray[np.int64]] = field(default_factory=dict)

    @classmethod
    def of(cls, scoring: Scoring) -> Flicker:
        """Return the measure.

        Raises
        ------
        TrainingError
            Samples without times, or no two consecutive ones.
        """
        source = scoring.source
        times_us = times_of(source)
        if times_us is None:
            raise TrainingError(
                f"{source.path} holds pictures without times: flicker needs a data set of "
                "recordings"
            )
        shown = pictures_of(
            source, sorted({int(i) for part in scoring.parts.values() for i in part})
        )
        scenes = [(name, shown.get(i, 0)) for i, name in enumerate(source.sequences)]
        pairs = {
            window: consecutive_samples(indices, scenes, times_us=times_us)
            for window, indices in scoring.parts.items()
        }
        flowing: set[str] = set()
        maps = None
        if isinstance(source, EventSource) and (
            source.dataset.manifest.settings.anchor.kind in ("frame", "centre")
        ):
            names = {source.sequences[i] for one in pairs.values() for i in one.before}
            flowing = recordings_with(source, names, map_name="flow")
            maps = TrueMaps(source) if flowing else None
        return cls(
            source,
            len(scoring.classes),
            scoring.protocol.resize,
            times_us,
            pairs,
            maps,
            flowing,
            bool(shown),
        )

    def observe(self, window: str, batch: ScoredBatch) -> None:
        """Count the pairs that a batch completes."""
        before = self.pairs[window].before
        for i, truth, prediction in zip(batch.indices, batch.truth, batch.prediction, strict=True):
            # Bytes: a sample of each recording waits for the next one.
            after = LabelPair(truth.to(torch.uint8), prediction.to(torch.uint8))
            key = window, self.source.sequences[i]
            if key in self._last and before.get(i) == self._last[key][0]:
                self._count(window, i, self._last[key][1], after)
            self._last[key] = i, after

    def section(self, rows: Sequence[Row]) -> Section:
        """Return the section of the report."""
        lines, cells = [], []
        for row, (window, pairs) in zip(rows, self.pairs.items(), strict=True):
            empty = np.zeros((4, self.classes), np.int64)
            counts = np.array([self._counts.get((window, name), empty) for name in row.ids])
            lines.append(_line(row, pairs, counts, flow=self.maps is not None))
            cells.append(_cells(row, pairs, counts, flow=self.maps is not None))
        rules = [RULE]
        rules += [FLOW_RULE] if self.maps is not None else []
        rules += [PICTURE_RULE] if self.pictured else []
        header = ["window", "pairs", "step, ms", "pixels", "flicker", "95 % interval"]
        if self.maps is not None:
            header += ["pixels along the flow", "flicker along the flow", "95 % interval"]
        return Section(
            key="flicker",
            title="Flicker, %",
            note="; ".join(rules),
            lines=lines,
            table=Table("Flicker", tuple(header), cells),
        )

    def close(self) -> None:
        """Close the truth files."""
        if self.maps is not None:
            self.maps.close()

    def _count(self, window: str, i: int, before: LabelPair, after: LabelPair) -> None:
        """Add the counts of a pair, (4, K): still and changed in place, and along the flow."""
        counts = [*flicker_counts(before, after, classes=self.classes)]
        if self.maps is not None and self.source.sequences[i] in self.flowing:
            step_s = (self.times_us[i] - self.times_us[self.pairs[window].before[i]]) / 1e6
            flow = self.maps.flow(i)
            size = (int(after.truth.shape[0]), int(after.truth.shape[1]))
            scale = np.array([size[1] / flow.shape[2], size[0] / flow.shape[1]])[:, None, None]
            way = resize_nearest(flow, size, rule=self.resize) * scale * step_s
            moved = torch.from_numpy(way).to(after.truth.device)
            counts += flicker_counts(before, after, classes=self.classes, moved=moved)
        found = np.zeros((4, self.classes), np.int64)
        found[: len(counts)] = [one.cpu().numpy() for one in counts]
        self._counts[window, self.source.ids[i]] = found


def consecutive_samples(
    indices: NDArray[np.int64], scenes: Sequence[Hashable], *, times_us: NDArray[np.int64]
) -> Pairs:
    """Return the pairs of neighbouring samples in each scene that are not far apart.

    Parameters
    ----------
    indices : int64 (N,)
        Samples, rising.
    scenes : sequence (S,)
        Scene of each sample of the source: its recording, and the picture where that shows several.
    times_us : int64 (S,)

    Raises
    ------
    TrainingError
        No scene has two samples.

    Examples
    --------
    >>> times_us = np.array([0, 10, 20, 90, 5])
    >>> consecutive_samples(np.arange(5), ["a", "a", "a", "a", "b"], times_us=times_us).before
    {1: 0, 2: 1}
    """
    last: dict[Hashable, int] = {}
    neighbours: dict[int, int] = {}
    for i in indices.tolist():
        if scenes[i] in last:
            neighbours[i] = last[scenes[i]]
        last[scenes[i]] = i
    if not neighbours:
        raise TrainingError(
            "flicker needs two samples of a recording, and of one picture where it shows several "
            "(simulate images); there is one of each"
        )
    steps = {i: int(times_us[i] - times_us[before]) for i, before in neighbours.items()}
    step_us = float(np.median(list(steps.values())))
    return Pairs(
        {i: neighbours[i] for i, step in steps.items() if 0 < step <= MOST_STEPS * step_us}, step_us
    )


def _shares(
    row: Row, counts: NDArray[np.int64]
) -> tuple[float, NDArray[np.float64], Interval | None]:
    """Return the changed share of all still pixels, that of each class, and the interval."""
    still, changed = counts[:, 0].sum(0), counts[:, 1].sum(0)
    by_class = np.divide(changed, still, out=np.full(len(still), np.nan), where=still > 0)
    of_blocks = row.blocks.sums(counts.sum(2))
    enough = int((of_blocks[:, 0] > 0).sum()) >= 2
    interval = iou_interval(of_blocks[:, 1:], of_blocks[:, :1], seed=0) if enough else None
    total = float(changed.sum() / still.sum()) if still.any() else float("nan")
    return total, by_class, interval


def _line(
    row: Row, pairs: Pairs, counts: NDArray[np.int64], *, flow: bool
) -> dict[str, str | int | float]:
    share, by_class, interval = _shares(row, counts[:, :2])
    line: dict[str, str | int | float] = {
        "window": row.window,
        "pairs": len(pairs.before),
        "step_ms": pairs.step_us / 1e3,
        "pixels": int(counts[:, 0].sum()),
        "flicker": share,
        "interval_low": np.nan if interval is None else interval.low,
        "interval_high": np.nan if interval is None else interval.high,
    }
    if flow:
        share, _, interval = _shares(row, counts[:, 2:])
        line |= {
            "flow_pixels": int(counts[:, 2].sum()),
            "flow_flicker": share,
            "flow_interval_low": np.nan if interval is None else interval.low,
            "flow_interval_high": np.nan if interval is None else interval.high,
        }
    names = row.classes.names
    return line | {
        f"flicker_{name}": value for name, value in zip(names, by_class.tolist(), strict=True)
    }


def _cells(row: Row, pairs: Pairs, counts: NDArray[np.int64], *, flow: bool) -> list[str]:
    cells = [row.window, f"{len(pairs.before):,}", f"{pairs.step_us / 1e3:g}"]
    for part in (counts[:, :2], counts[:, 2:])[: 1 + flow]:
        share, _, interval = _shares(row, part)
        cells += [
            f"{int(part[:, 0].sum()):,}",
            percent(share),
            "too few blocks"
            if interval is None
            else f"{percent(interval.low)} to {percent(interval.high)}",
        ]
    return cells
