"""Results of runs as flat records, one a predictor and window, for data frames."""

from __future__ import annotations

import glob
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eventseg.errors import TrainingError
from eventseg.evaluation.compare.folders import runs_in
from eventseg.evaluation.compare.runs import RunSummary, read_run_summary
from eventseg.evaluation.request import FOLDER
from eventseg.files.texts import read_text

Record = dict[str, Any]


def results(runs: str | Path | Sequence[str | Path]) -> list[Record]:
    """Return the results of run folders as records, which ``pandas.DataFrame`` takes as they are.

    A record is one predictor at one window of one evaluation: the run's network first, then the
    baselines. A run without an evaluation has one record without those fields.

    Parameters
    ----------
    runs : str, path or sequence of them
        Run folders, or patterns such as ``runs/*``. A folder of runs, such as a sweep's, stands
        for those directly in it; other entries of a pattern are left out.

    Returns
    -------
    list of dict
        ``run``, ``path``, ``network``, ``input``, ``windows``, ``representation``,
        ``normalise``, ``filters``, ``sensor``, ``data``, ``labels``, ``seed``, ``parameters``,
        ``best_epoch``, ``val_miou``, ``train_s``, ``peak_memory_mib``; of an evaluation
        ``evaluation``, ``scored_data``, ``scored_labels``, ``split``, ``protocol``,
        ``predictor``, ``is_network``, ``window``, ``samples``, ``accuracy``, ``miou``,
        ``miou_all``, ``miou_low``, ``miou_high``, and ``iou_CLASS`` of each class. Scores are in
        percent; None where one is missing, such as those of a run whose first epoch has not ended.

    Raises
    ------
    TrainingError
        No run folder, or one that cannot be read.

    Examples
    --------
    >>> page, rows = evaluate_run(run.path, device="cpu", out=run.path / "evaluation-x")
    >>> records = results(run.path)
    >>> records[0]["network"], records[0]["window"], len(records) >= len(rows)
    ('fastscnn', '50ms', True)
    """
    given = [runs] if isinstance(runs, str | Path) else list(runs)
    folders: dict[Path, None] = {}
    for each in given:
        found = _folders(each)
        if not found:
            raise TrainingError(f"{each} names no run folder; eventseg train makes them")
        folders |= dict.fromkeys(found)
    return [record for folder in folders for record in _records(folder)]


def _folders(given: str | Path) -> list[Path]:
    path = Path(given)
    if path.exists() or not glob.has_magic(str(given)):
        return (runs_in(path) or [path]) if path.exists() else []
    matches = map(Path, sorted(glob.glob(str(given))))  # noqa: PTH207 - patterns of any form
    return [run for match in matches for run in runs_in(match)]


def _records(folder: Path) -> list[Record]:
    summary = read_run_summary(folder, unfinished=True)
    own = _of_run(folder, summary)
    records = [
        {**own, **scored}
        for path in sorted(folder.glob(f"{FOLDER}*/scores.json"))
        for scored in _of_evaluation(path)
    ]
    return records or [own]


def _of_run(folder: Path, summary: RunSummary) -> Record:
    config, encoding = summary.config, summary.encoding
    sees_events = config.input.kind in ("events", "both")
    return {
        "run": summary.name,
        "path": str(folder),
        "network": config.network.name,
        "input": config.input.kind,
        "windows": ",".join(config.input.windows) if sees_events else None,
        "representation": str(encoding.representation) if encoding else None,
        "normalise": encoding.normalise if encoding else None,
        "filters": ",".join(encoding.filters) if encoding else None,
        "sensor": str(encoding.sensor) if encoding else None,
        "data": summary.data_name,
        "labels": config.labels.set,
        "seed": config.seed,
        "parameters": summary.parameters,
        "best_epoch": int(summary.best_epoch) if summary.best_epoch else None,
        "val_miou": summary.val_miou[0] if summary.val_miou else None,
        "train_s": summary.train_s,
        "peak_memory_mib": summary.peak_memory_mib,
    }


def _of_evaluation(path: Path) -> list[Record]:
    """Return the fields of an evaluation, one record a predictor and window."""
    try:
        report = json.loads(read_text(path))
        about, network = report["about"], report["rows"][0]["name"]
        return [
            {
                "evaluation": path.parent.name.removeprefix(FOLDER),
                "scored_data": about["data"],
                "scored_labels": about["label set"],
                "split": report["split"],
                "protocol": report.get("protocol"),
                "predictor": row["name"],
                "is_network": row["name"] == network,
                "window": row["window"],
                "samples": row["samples"],
                **_scores(row),
            }
            for row in report["rows"]
        ]
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise TrainingError(
            f"cannot read {path}: {error!r}; run eventseg evaluate again"
        ) from error


def _scores(row: Mapping[str, Any]) -> Record:
    scores, interval = row["scores"], row.get("interval_95") or (None, None)
    return {
        "accuracy": _percent(scores["pixel_accuracy"]),
        "miou": _percent(scores["miou_present"]),
        "miou_all": _percent(scores["miou_all"]),
        "miou_low": _percent(interval[0]),
        "miou_high": _percent(interval[1]),
        **{f"iou_{one['name']}": _percent(one["iou"]) for one in scores.get("per_class", ())},
    }


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value
