"""Evaluations and summaries of runs, written without scoring a network."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from eventseg.evaluation.compare.runs import RunSummary, Score
from eventseg.files.digests import digest_of
from eventseg.labels.maps import load_class_table
from eventseg.training.config.config import TrainConfig

NAN = math.nan

CITYSCAPES_19, EVSEGNET_6 = (load_class_table(n).names for n in ("cityscapes19", "evsegnet6"))


def row(window: str, miou: float, name: str = "net") -> dict[str, Any]:
    scores = {"pixel_accuracy": 0.5, "miou_present": miou, "miou_all": None}
    return {"name": name, "window": window, "samples": 9, "scores": scores,
            "interval_95": [miou - 0.1, miou + 0.1]}  # fmt: skip


def write_scores(
    run: Path,
    folder: str,
    rows: list[dict[str, Any]],
    *,
    how: str = "truth-test-clean",
    data: str = "x",
    names: tuple[str, ...] = CITYSCAPES_19,
) -> Path:
    labels, split, _ = how.split("-", 2)
    checkpoint = run / "best.pt"
    about = {"checkpoint": checkpoint.name, "checkpoint digest": digest_of(checkpoint)}
    about |= {"data": "streets", "scored as": how, "data digests": {"drive": data},
             "label set": labels}  # fmt: skip
    path = run / f"evaluation-{folder}" / "scores.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"about": about, "split": split, "classes": names, "rows": rows}))
    return path


def summary(scored: Any = None, **changes: Any) -> RunSummary:
    made = RunSummary("net", TrainConfig(), 1, "1", (50.0,), scored or {}, 1.0, 1.0, "d", "")
    return replace(made, **changes)


def score(miou: float) -> tuple[Score, ...]:
    return (Score(9, 50.0, miou, NAN, NAN, NAN),)
