"""Paired test of two runs on the samples that both were scored on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import TrainingError
from eventseg.evaluation.blocks import blocks_of
from eventseg.evaluation.rows import Row
from eventseg.metrics.paired_bootstrap import Difference, PairedDifferences, paired_bootstrap


@dataclass(frozen=True, slots=True)
class PairedTest:
    """Result of a paired test.

    Parameters
    ----------
    first, second : str
        Names of the runs.
    windows : (str, str)
        Window of each.
    seeds : (int, int)
        Number of seeds of each.
    samples : int
        Samples that all rows have in common.
    blocks : str
        Number and kind of the blocks.
    classes : tuple of str (K,)
    differences : PairedDifferences
    note : str
        Limits of the result: samples left out, recordings and trainings that it speaks for.
    """

    first: str
    second: str
    windows: tuple[str, str]
    seeds: tuple[int, int]
    samples: int
    blocks: str
    classes: tuple[str, ...]
    differences: PairedDifferences
    note: str = ""

    @property
    def miou(self) -> Difference:
        """Difference of the mean IoU over the classes that have true pixels."""
        return self.differences.miou

    def to_dict(self) -> dict[str, Any]:
        """Return everything, as JSON holds it; scores are shares, None for nan."""
        found = self.differences
        return {
            "first": self.first,
            "second": self.second,
            "windows": list(self.windows),
            "seeds": list(self.seeds),
            "samples": self.samples,
            "blocks": self.blocks,
            "repeats": found.repeats,
            "level": found.level,
            "miou_truth": _plain(found.miou),
            "iou": {name: _plain(one) for name, one in zip(self.classes, found.iou, strict=True)},
            "note": self.note,
        }


def paired_test(
    first: Row | Sequence[Row],
    second: Row | Sequence[Row],
    *,
    seed: int = 0,
    repeats: int = 2000,
    level: float = 0.95,
) -> PairedTest:
    """Test whether two runs differ in their mean IoU and in the IoU of each class.

    Blocks of the samples in common, see :func:`eventseg.evaluation.blocks.blocks_of`, are drawn
    with replacement, the same for both runs, and with them the seeds of each run: what is hard in
    a drive is hard for both and cancels in the difference
    ``d = mean over seeds of IoU(first) - mean over seeds of IoU(second)``. Interval and p-value
    follow from the draws, see :func:`eventseg.metrics.paired_bootstrap` (Efron and Tibshirani, An
    Introduction to the Bootstrap, 1993, sections 8.3 and 13.3). The p-values of the classes are
    not corrected for their number.

    Parameters
    ----------
    first, second : Row or sequence of Row
        One row a seed of each run; :func:`eventseg.evaluation.read_sample_scores` reads them.
    seed : int
        Random seed of the draws.
    repeats : int
        Number of draws.
    level : float
        Share of the draws inside the intervals, above 0 and below 1.

    Returns
    -------
    PairedTest

    Raises
    ------
    TrainingError
        No rows, other classes, no sample in common, or another truth of a sample.
    LabelError
        Fewer than six blocks with scored pixels, or settings out of range.

    Examples
    --------
    >>> table = load_class_table("evsegnet6")
    >>> counts = np.random.default_rng(0).integers(0, 9, (40, 6, 6))
    >>> ids = tuple(f"drive-{i}" for i in range(40))
    >>> row = Row("a", "50ms", ids, ("drive",) * 40, counts, table)
    >>> found = paired_test(row, row)
    >>> found.miou.difference, found.miou.p_value
    (0.0, 1.0)
    """
    runs = [[run] if isinstance(run, Row) else list(run) for run in (first, second)]
    if not all(runs):
        raise TrainingError("a paired test needs a row of each run; one has none")
    rows = [row for run in runs for row in run]
    common = _common_ids(rows)
    names = [", ".join(dict.fromkeys(row.name for row in run)) for run in runs]
    # Equal samples in one order, whatever order each row has them in.
    matrices = [np.array([_ordered(row, common) for row in run]) for run in runs]
    _check_truth(matrices, common)
    place = {name: i for i, name in enumerate(rows[0].ids)}
    sequences = [rows[0].sequences[place[name]] for name in common]
    times_us = _times_of(rows, common)
    blocks = blocks_of(sequences, ids=common, times_us=times_us)
    differences = paired_bootstrap(
        *(np.array([blocks.sums(one) for one in run]) for run in matrices),
        seed=seed,
        repeats=repeats,
        level=level,
    )
    return PairedTest(
        names[0],
        names[1],
        (_windows(runs[0]), _windows(runs[1])),
        (len(runs[0]), len(runs[1])),
        len(common),
        str(blocks),
        rows[0].classes.names,
        differences,
        _note(runs, names, common=len(common), scope=blocks.scope),
    )


def _common_ids(rows: Sequence[Row]) -> list[str]:
    """Return the samples of all rows, sorted, after checking that the rows can be compared."""
    for row in rows:
        if row.classes.names != rows[0].classes.names:
            raise TrainingError(
                f"{rows[0].name} is scored in the classes {', '.join(rows[0].classes.names)}, "
                f"{row.name} in {', '.join(row.classes.names)}; evaluate both with the same "
                "--classes"
            )
        if len(set(row.ids)) != len(row.ids):
            raise TrainingError(f"{row.name} has samples of one name; evaluate it again")
    common = set(rows[0].ids).intersection(*(row.ids for row in rows))
    if not common:
        counts = ", ".join(f"{row.name} {len(row.ids):,}" for row in rows)
        raise TrainingError(
            f"no sample is common to all of them ({counts} samples); evaluate both on the same "
            "data and split"
        )
    return sorted(common)


def _ordered(row: Row, common: Sequence[str]) -> NDArray[np.int64]:
    place = {name: i for i, name in enumerate(row.ids)}
    return row.matrices[[place[name] for name in common]]


def _times_of(rows: Sequence[Row], common: Sequence[str]) -> NDArray[np.int64] | None:
    """Return the times of the samples by the first row that has them."""
    for row in rows:
        if row.times_us is not None:
            place = {name: i for i, name in enumerate(row.ids)}
            return row.times_us[[place[name] for name in common]]
    return None


def _check_truth(matrices: Sequence[NDArray[np.int64]], common: Sequence[str]) -> None:
    truth = matrices[0][0].sum(2)
    for run in matrices:
        wrong = np.flatnonzero((run.sum(3) != truth).any((0, 2)))
        if len(wrong):
            raise TrainingError(
                f"the true pixels of {len(wrong):,} of {len(common):,} samples differ, first of "
                f"{common[int(wrong[0])]}; evaluate both at the same size, against the same labels"
            )


def _windows(run: Sequence[Row]) -> str:
    return ", ".join(dict.fromkeys(row.window for row in run))


def _note(runs: Sequence[Sequence[Row]], names: Sequence[str], *, common: int, scope: str) -> str:
    """Return the limits of a test in words."""
    counts = [sorted({len(row.ids) for row in run}) for run in runs]
    notes = []
    if any(count != common for run in counts for count in run):
        of = ", ".join(
            f"{' and '.join(f'{count:,}' for count in run)} of {name}"
            for name, run in zip(names, counts, strict=True)
        )
        notes.append(f"only the {common:,} samples in common are used ({of})")
    if scope:
        notes.append(scope)
    single = [name for name, run in zip(names, runs, strict=True) if len(run) == 1]
    if single:
        notes.append(f"one training of {' and of '.join(single)}: another seed may differ")
    return "; ".join(notes)


def _plain(one: Difference) -> dict[str, float | None]:
    return {key: None if np.isnan(value) else value for key, value in asdict(one).items()}
