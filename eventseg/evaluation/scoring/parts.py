"""Samples of a score: splits of the runs that are scored, and the files of these samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import DatasetError, TrainingError
from eventseg.evaluation.request import recordings_of
from eventseg.evaluation.scored_split import split_source
from eventseg.evaluation.scoring.contenders import Contender, FolderContender, NetworkContender
from eventseg.evaluation.scoring.files import PredictionFiles
from eventseg.evaluation.scoring.settings import ScoreRequest
from eventseg.sources.selection import part
from eventseg.sources.source import Source


@dataclass(frozen=True, eq=False, slots=True)
class ScoredSplits:
    """Data of each contender, in the split that it is scored in.

    Parameters
    ----------
    sources : tuple of Source
        One of each contender; all have the same samples in the scored part.
    notes : tuple of str
        Remark on the split of a run, where it is not that of the data.
    warning : str
        Contenders that may have been trained on samples of the part; empty for none.
    """

    sources: tuple[Source, ...]
    notes: tuple[str, ...] = ()
    warning: str = ""


def scored_splits(
    contenders: Sequence[Contender | PredictionFiles],
    source: Source,
    *,
    split: str,
    split_file: str = "",
) -> ScoredSplits:
    """Return the data of each contender in its split: that of its run, or that of the data.

    Functions, files and networks that were not trained on this data have no split of their own:
    they take that of the run beside them. A split file is the split of all.

    Parameters
    ----------
    contenders : sequence of Contender or PredictionFiles
    source : Source
    split : str
        Part that is scored.
    split_file : str
        Split file in place of the splits of runs.

    Raises
    ------
    DatasetError
        Files were predicted in another split than that of the data, which no run here names.
    TrainingError
        Runs were trained in splits whose parts differ, or the split file cannot be read or does not
        fit.
    """
    if split_file:
        return _by_file(contenders, source, split_file)
    own: dict[int, Source] = {}
    notes: list[str] = []
    for k, one in enumerate(contenders):
        if isinstance(one, NetworkContender):
            changed, remarks = split_source(source, run_split=one.file.split)
            if remarks:
                own[k] = changed
                notes = notes or remarks
    if not own:
        for one in contenders:
            if _saved_in_own_split(one):
                raise DatasetError(
                    f"the predictions of {one.name} are in a split that is not that of the data: "
                    "score the run itself, or give --split FILE.csv with the split.csv in the "
                    "folder of the run"
                )
        return ScoredSplits((source,) * len(contenders))
    first = min(own)
    chosen, sources, followers = _part_of(own[first], split), [], []
    for k, one in enumerate(contenders):
        trained = k in own or _trained_on(one, source)
        sources.append(own.get(k, source) if trained else own[first])
        if not np.array_equal(_part_of(sources[k], split), chosen):
            raise TrainingError(
                f"{contenders[first].name} and {one.name} were trained in splits of {source.path} "
                f"that differ in the part {split}: no sample may be in the training of one; score "
                "them one by one"
            )
        if not trained and not _saved_in_own_split(one):
            followers.append(one.name)
    warning = ""
    if followers and not np.array_equal(chosen, _part_of(source, split)):
        warning = (
            f"{', '.join(dict.fromkeys(followers))} is scored in the split of "
            f"{contenders[first].name}, which is not that of the data: its figures are optimistic "
            "where it was trained on samples of the part."
        )
    return ScoredSplits(tuple(sources), tuple(notes), warning)


def _by_file(
    contenders: Sequence[Contender | PredictionFiles], source: Source, split_file: str
) -> ScoredSplits:
    sources, notes = [], []
    for one in contenders:
        run_split = one.file.split if isinstance(one, NetworkContender) else None
        changed, remarks = split_source(source, split_file=split_file, run_split=run_split)
        sources.append(changed)
        notes += [f"{one.name}: {remark}" for remark in remarks]
    return ScoredSplits(tuple(sources), tuple(notes))


def _part_of(source: Source, split: str) -> NDArray[np.int64]:
    return np.flatnonzero((np.array(source.splits) == split) & source.labelled)


def _saved_in_own_split(one: Contender | PredictionFiles) -> bool:
    return isinstance(one, PredictionFiles) and bool(one.settings.get("own_split"))


def _trained_on(one: Contender | PredictionFiles, source: Source) -> bool:
    """Return whether a contender is a run that was trained on recordings of a source."""
    run = one.file.run if isinstance(one, NetworkContender) else None
    if run is None:
        return False
    return bool(recordings_of(run["inputs"]).items() & recordings_of(source.digests).items())


def joined(
    opened: Contender | PredictionFiles, source: Source, request: ScoreRequest
) -> tuple[Contender, NDArray[np.int64]]:
    """Return a contender and the samples that it is scored on, int64 (N,).

    Raises
    ------
    DatasetError
        Two files of one sample, no file of any, or samples without one.
    TrainingError
        The part has no samples.
    """
    window = request.window or (opened.window if opened.window != "-" else None)
    if isinstance(opened, NetworkContender) and not opened.sees_events:
        window = None
    indices = part(source, split=request.split, window=window)
    if not isinstance(opened, PredictionFiles):
        return opened, indices
    chosen, ids, sequences = indices.tolist(), source.ids, source.sequences
    matched = opened.matched(
        [ids[i] for i in chosen],
        [sequences[i] for i in chosen],
        recordings=sequences,
        allow_missing=request.allow_missing,
    )
    there = [i for i in chosen if ids[i] in matched.files]
    return FolderContender(opened, matched, ids, len(chosen)), np.array(there, np.int64)
