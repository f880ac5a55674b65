"""Confusion matrices of every scored sample as a file beside the report, and their reading."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eventseg.errors import TrainingError
from eventseg.evaluation.rows import Row
from eventseg.files.texts import read_text
from eventseg.files.whole import write_whole
from eventseg.labels.tables import table_of

SAMPLE_SCORES = "scores.npz"
"""File in the folder of a report."""

UNREADABLE = (
    *(OSError, ValueError, KeyError, TypeError, IndexError, EOFError, NotImplementedError),
    *(zipfile.BadZipFile, zlib.error),
)
"""Errors of NumPy and of zip files on damaged content, such as an unknown compression."""


def write_sample_scores(folder: Path, rows: Sequence[Row]) -> Path:
    """Write ``scores.npz`` of the rows of a report, whole or not at all.

    It holds ``classes`` (K,), and for row r ``r/name``, ``r/window``, ``r/ids`` (N,),
    ``r/sequences`` (N,), ``r/matrices`` int64 (N, K, K), and ``r/times_us`` int64 (N,) where times
    are known.

    Parameters
    ----------
    folder : Path
    rows : sequence of Row
        All in the same classes.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    arrays: dict[str, Any] = {"classes": np.array(rows[0].classes.names)}
    for r, row in enumerate(rows):
        arrays |= {
            f"{r}/name": np.array(row.name),
            f"{r}/window": np.array(row.window),
            f"{r}/ids": np.array(row.ids),
            f"{r}/sequences": np.array(row.sequences),
            f"{r}/matrices": row.matrices.astype(np.int64),
        }
        if row.times_us is not None:
            arrays[f"{r}/times_us"] = row.times_us
    path = folder / SAMPLE_SCORES
    write_whole(path, lambda file: np.savez_compressed(file, **arrays))
    return path


def read_sample_scores(folder: str | Path) -> list[Row]:
    """Read the rows of a report with the confusion matrix of each sample.

    Instances and notes are left out.

    Parameters
    ----------
    folder : path
        Folder of a report, such as ``RUN/evaluation-drives-truth-test-clean``.

    Raises
    ------
    TrainingError
        No such file, as in reports of earlier versions, one that is damaged, or matrices that do
        not sum to those of ``scores.json``.

    Examples
    --------
    >>> page, rows = evaluate_run(run.path, device="cpu")
    >>> kept = read_sample_scores(page.parent)
    >>> [row.window for row in kept] == [row.window for row in rows]
    True
    """
    path = Path(folder) / SAMPLE_SCORES
    if not path.is_file():
        raise TrainingError(
            f"{folder} has no {SAMPLE_SCORES}, the confusion matrix of every sample: run eventseg "
            "evaluate again"
        )
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            rows = _rows(arrays)
        record = json.loads(read_text(path.parent / "scores.json"))
        totals = [row["confusion"] for row in record["rows"]]
    except UNREADABLE as error:
        raise TrainingError(f"cannot read {path}: {error}; run eventseg evaluate again") from error
    if totals != [row.matrices.sum(0).tolist() for row in rows]:
        raise TrainingError(
            f"{path} and the scores.json beside it are of two evaluations; run eventseg evaluate "
            "again"
        )
    return rows


def _rows(arrays: Any) -> list[Row]:
    table = table_of(arrays["classes"].tolist())
    rows: list[Row] = []
    while f"{len(rows)}/name" in arrays:
        of = f"{len(rows)}/"
        ids, sequences, matrices = (arrays[of + key] for key in ("ids", "sequences", "matrices"))
        times_us = arrays.get(of + "times_us")
        counts = [len(ids), len(sequences), len(ids) if times_us is None else len(times_us)]
        shape = (len(ids), len(table), len(table))
        if matrices.shape != shape or len(set(counts)) > 1 or (matrices < 0).any():
            raise ValueError(f"row {len(rows)} has matrices {matrices.shape} instead of {shape}")
        rows.append(
            Row(
                str(arrays[of + "name"]),
                str(arrays[of + "window"]),
                tuple(ids.tolist()),
                tuple(sequences.tolist()),
                matrices,
                table,
                times_us=times_us,
            )
        )
    return rows
