"""Scores of one network as the report of an evaluation holds them, by how they were made."""

from __future__ import annotations

import json
import math
import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from eventseg.errors import TrainingError
from eventseg.evaluation.request import classes_word, short_digest
from eventseg.files.digests import digest_of
from eventseg.files.texts import read_text
from eventseg.windows import format_duration, parse_duration


class Evaluation(NamedTuple):
    """Key of an evaluation: runs of equal data, labels and protocol can be compared.

    Parameters
    ----------
    how : str
        See :func:`eventseg.evaluation.request.evaluation_key`, after the name of the data.
    classes : str
        Classes that were scored, see :func:`eventseg.evaluation.request.classes_word`.
    data : str
        Digest of data and labels.
    labels, split : str
    source : str
        Digest of recordings, labels and protocol, whatever the events are encoded as; empty where
        it is unknown.
    """

    how: str
    classes: str
    data: str
    labels: str
    split: str
    source: str = ""


class Score(NamedTuple):
    """Scores of a network at one window in percent; NaN where a score is missing.

    ``scope`` is the limit of the interval in words, ``sample_set`` the digest of the samples'
    names, both empty in reports of earlier versions; ``report`` is the folder of the report;
    ``per_class`` are pairs of class and IoU, of classes with true or predicted pixels; ``pixels``
    is the number of those scored, 0 where it is unknown.
    """

    samples: int
    accuracy: float
    miou: float
    low: float
    high: float
    miou_all: float
    scope: str = ""
    sample_set: str = ""
    report: str = ""
    per_class: tuple[tuple[str, float], ...] = ()
    pixels: int = 0


SPLIT_WORD = re.compile(r"split@[0-9a-f]{6}")
"""Word for a split file in names of reports, see :func:`eventseg.evaluation.request.split_word`."""

Scored = Mapping[Evaluation, Mapping[str, tuple[Score, ...]]]
"""By evaluation and window, one score a seed that has it."""


def read_scores(
    path: Path,
) -> tuple[Evaluation, Mapping[str, str], dict[str, tuple[Score, ...]]]:
    """Return how an evaluation was made, digests of its data, the scores at each window."""
    try:
        record = json.loads(read_text(path))
        about, network = record["about"], record["rows"][0]["name"]
        checkpoint = path.parent.parent / about["checkpoint"]
        if checkpoint.is_file() and digest_of(checkpoint) != about["checkpoint digest"]:
            raise TrainingError(
                f"{path} scores {checkpoint.name} as it was before the run went on; run eventseg "
                f"evaluate again, or delete {path.parent}"
            )
        scored_as = about["scored as"]
        split = SPLIT_WORD.search(path.parent.name)
        if split is not None and split[0] not in scored_as:
            # Reports of earlier versions name a split file in the name of their folder only.
            scored_as = f"{scored_as}-{split[0]}"
        evaluation = Evaluation(
            f"{about['data']}-{scored_as}",
            classes_word(record["classes"]),
            short_digest(about["data digests"]),
            about["label set"],
            record["split"],
            short_digest(
                [
                    scored_as,
                    {key: d for key, d in about["data digests"].items() if key != "settings"},
                ]
            ),
        )
        return (
            evaluation,
            about["data digests"],
            {
                _length(row["window"]): (_score(row, report=path.parent),)
                for row in record["rows"]
                if row["name"] == network
            },
        )
    except TrainingError:
        raise
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise TrainingError(
            f"cannot read {path}: {error!r}; run eventseg evaluate again"
        ) from error


def _length(window: str) -> str:
    """Return a window in its usual words: 0.05s and 50ms are one."""
    return window if window == "-" else format_duration(parse_duration(window))


def _score(row: Mapping[str, object], *, report: Path) -> Score:
    scores, interval = row["scores"], row["interval_95"]
    if not isinstance(scores, dict) or not isinstance(row["samples"], int):
        raise TypeError("scores")
    low, high = interval if isinstance(interval, list) else (None, None)
    accuracy, miou, low, high, miou_all = (
        math.nan if value is None else 100 * float(value)
        for value in (
            scores["pixel_accuracy"],
            scores["miou_present"],
            low,
            high,
            scores["miou_all"],
        )
    )
    return Score(
        samples=row["samples"],
        accuracy=accuracy,
        miou=miou,
        low=low,
        high=high,
        miou_all=miou_all,
        scope=str(row.get("interval_scope", "")),
        sample_set=str(row.get("sample_set", "")),
        report=str(report),
        per_class=tuple(
            (str(one["name"]), 100 * float(one["iou"]))
            for one in scores.get("per_class", ())
            if one["iou"] is not None
        ),
        pixels=int(scores.get("pixels", 0)),
    )


SampleSet = tuple[int, str, int]
"""Number of samples, digest of their names, number of scored pixels."""


def samples_of(score: Score) -> SampleSet:
    """Return what a score says of the samples that it is of."""
    return score.samples, score.sample_set, score.pixels


def differ(one: SampleSet, other: SampleSet) -> bool:
    """Return whether scores are of different samples, as far as their reports tell."""
    (count, digest, _), (other_count, other_digest, _) = one, other
    return count != other_count or ("" not in (digest, other_digest) and digest != other_digest)


def by_length(window: str) -> int:
    """Return a key that sorts windows by their length, ``-`` first."""
    return 0 if window == "-" else parse_duration(window)


def spread(values: Sequence[float]) -> str:
    """Return a number, or mean and sample deviation of several; ``-`` for none."""
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return "-"
    if len(known) == 1:
        return f"{known[0]:.2f}"
    return f"{statistics.fmean(known):.2f} ± {statistics.stdev(known):.2f}"
