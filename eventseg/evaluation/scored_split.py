"""Split of the data that is scored: that of a split file, of the run, or of the data itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from eventseg.errors import TrainingError
from eventseg.sources.image_folders import Folder
from eventseg.sources.recorded import EventSource
from eventseg.sources.source import Source
from eventseg.sources.split_file import read_split_file, some, splits_by_file, splits_of_run


def split_source(
    source: Source, *, split_file: str | Path = "", run_split: Path | None = None
) -> tuple[Source, list[str]]:
    """Return a source in the splits that are scored, and notes on them.

    Parameters
    ----------
    source : Source
    split_file : path
        Split file that was asked for; by default that of the run, where it names samples or
        recordings of the source.
    run_split : Path, optional
        Split file in the run folder, of a run whose split is not that of the data.

    Raises
    ------
    TrainingError
        A split file that cannot be read or does not fit, or is asked for a source with splits of
        its own protocol.
    """
    of_run = None
    if run_split is not None and run_split.is_file():
        of_run = splits_of_run(source, read_split_file(run_split))
    if split_file:
        splits = splits_by_file(source, read_split_file(Path(split_file)))
    elif of_run is not None:
        splits = of_run
    else:
        return source, []
    if not isinstance(source, EventSource | Folder):
        raise TrainingError(f"{source.path} has the splits of its protocol: leave the file out")
    notes = [] if split_file else [f"scored in the split of the run, {run_split}"]
    if split_file:
        # What the run trained on by its own split, or by that of the data.
        trained = np.array(source.splits if of_run is None else of_run) == "train"
        seen = np.flatnonzero(trained & np.isin(np.array(splits), ("val", "test")))
        if run_split is not None and len(seen):
            names = some([source.ids[i] for i in seen.tolist()])
            notes.append(
                f"{len(seen):,} samples of val or test in {split_file} are training samples of the "
                f"run's own split, where the data is the same: {names}; its scores are optimistic"
            )
    return source.with_splits(splits), notes
