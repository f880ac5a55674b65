"""Settings and scores read from run folders, and groups of runs that differ only in the seed."""

from __future__ import annotations

import json
import math
import re
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from eventseg.encoding.settings import Encoding
from eventseg.errors import EventsegError, TrainingError
from eventseg.evaluation.compare.published import published_data
from eventseg.evaluation.request import FOLDER, classes_word, recordings_of, short_digest
from eventseg.files.digests import digest_of
from eventseg.files.texts import read_text
from eventseg.networks.checkpoints import read_inputs
from eventseg.training.config.config import TrainConfig, to_toml
from eventseg.training.epoch_tables import EpochScores, best_of, read_metrics, read_timing
from eventseg.training.layout import BEST, METRICS, RUN
from eventseg.training.run_record import read_run, recorded_config
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

PICK = (
    "the one that most runs have; of several the one against the truth, then on the test part, "
    "then the one at most windows, then the first by name"
)
"""Which evaluation the table of runs shows."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run, or several that differ only in their seed.

    Parameters
    ----------
    name : str
    config : TrainConfig
    parameters : int
    best_epoch : str
        Empty before the first epoch has ended.
    val_miou : tuple of float
        Validation mIoU of the best epoch in percent, one for each seed.
    scored : mapping
        See :data:`Scored`.
    train_s, peak_memory_mib : float
        Training time and memory over all epochs; the mean and the largest of several seeds.
    data : str
        Digest of data and classes, by which runs are alike.
    published_data : str
        Data set with published results that this is, empty for another.
    own : frozenset of Evaluation
        Those on the data and in the classes that the run was trained on, with any labels.
    folders : tuple of Path
        Run folders, one for each seed.
    encoding : Encoding, optional
        Encoding of the events that the network sees; None where it sees none or it is unknown.
    data_name : str
        Name of the data that the run was trained on.
    """

    name: str
    config: TrainConfig
    parameters: int
    best_epoch: str
    val_miou: tuple[float, ...]
    scored: Scored
    train_s: float
    peak_memory_mib: float
    data: str
    published_data: str
    own: frozenset[Evaluation] = frozenset()
    folders: tuple[Path, ...] = ()
    encoding: Encoding | None = None
    data_name: str = ""


def read_run_summary(run: str | Path, *, unfinished: bool = False) -> RunSummary:
    """Return the summary of a run folder and of the evaluations in it.

    Parameters
    ----------
    run : path
    unfinished : bool
        Whether a run may be without an epoch; it has no scores then.

    Raises
    ------
    TrainingError
        No run folder, or a file in it that cannot be read.
    """
    root = Path(run)
    record = read_run(root / RUN)
    config = recorded_config(record, root / RUN)
    best: EpochScores | None = None
    classes: tuple[str, ...] = ()
    if not unfinished or (root / METRICS).is_file():
        history, classes = read_metrics(root)
        best = best_of(history, min_delta=config.min_delta)
    costs = read_timing(root)
    scored: dict[Evaluation, dict[str, tuple[Score, ...]]] = {}
    own = set()
    for path in sorted(root.glob(f"{FOLDER}*/scores.json")):
        evaluation, digests, found = _read_scores(path)
        evaluation = _kept_apart(evaluation, found, scored)
        # Evaluations that differ only in their windows are one.
        scored.setdefault(evaluation, {}).update(found)
        same = _without_labels(digests) == _without_labels(record["inputs"])
        if same and evaluation.classes == classes_word(classes):
            own.add(evaluation)
    return RunSummary(
        name=root.resolve().name,
        config=config,
        parameters=int(record["parameters"]),
        best_epoch="" if best is None else str(best.epoch),
        val_miou=() if best is None else (best.val_miou,),
        scored=scored,
        train_s=math.fsum(cost.train_s for cost in costs),
        peak_memory_mib=max((cost.peak_memory_mib for cost in costs), default=math.nan),
        data=json.dumps([record["inputs"], classes], sort_keys=True),
        published_data=published_data(Path(record["data"]), classes=classes),
        own=frozenset(own),
        folders=(root.resolve(),),
        encoding=_encoding(root),
        data_name=Path(record["data"]).name,
    )


def _kept_apart(
    evaluation: Evaluation, found: Mapping[str, tuple[Score, ...]], scored: Scored
) -> Evaluation:
    """Return the evaluation, named by its samples where it has a window of one on other samples."""
    known = scored.get(evaluation, {})
    common = sorted(known.keys() & found.keys())
    for one, other in ((known[window][0], found[window][0]) for window in common):
        if _differ(_samples_of(one), _samples_of(other)):
            samples = other.sample_set or f"{other.samples}"
            return evaluation._replace(how=f"{evaluation.how}-samples@{samples}")
    return evaluation


def _encoding(root: Path) -> Encoding | None:
    """Return the encoding that the checkpoint of a run holds; None without one."""
    try:
        return read_inputs(root / BEST).encoding
    except EventsegError:
        return None


def group_seeds(runs: Sequence[RunSummary]) -> list[RunSummary]:
    """Return the runs, those on the same data that differ only in the seed as one.

    A run with the seed of an earlier one, such as its reproduction, is no further seed.
    """
    alike: dict[tuple[str, int], list[RunSummary]] = {}
    seen: Counter[str] = Counter()
    for run in runs:
        repeated = to_toml(run.config) + run.data
        alone = to_toml(replace(run.config, seed=0)) + run.data
        alike.setdefault((alone, seen[repeated]), []).append(run)
        seen[repeated] += 1
    return [_merged(group) for group in alike.values()]


def pick_evaluation(runs: Sequence[RunSummary], *, split: str = "") -> Evaluation | None:
    """Return the evaluation that runs are compared by, :data:`PICK`; None where there is none.

    With ``split`` of those of that part only.
    """
    found = {
        evaluation for run in runs for evaluation in run.scored if split in ("", evaluation.split)
    }

    def order(evaluation: Evaluation) -> tuple[int, bool, bool, int, Evaluation]:
        having = [run.scored[evaluation] for run in runs if evaluation in run.scored]
        windows = {window for scores in having for window in scores}
        return (
            -len(having),
            evaluation.labels != "truth",
            evaluation.split != "test",
            -len(windows),
            evaluation,
        )

    return min(found, key=order, default=None)


def evaluation_names(runs: Sequence[RunSummary]) -> dict[Evaluation, str]:
    """Return a name for each evaluation; different data of one name gets its digest."""
    evaluations = sorted({evaluation for run in runs for evaluation in run.scored})
    labels = [f"{evaluation.how}, {evaluation.classes}" for evaluation in evaluations]
    return {
        evaluation: name if labels.count(name) == 1 else f"{name} (data {evaluation.data})"
        for evaluation, name in zip(evaluations, labels, strict=True)
    }


def spread(values: Sequence[float]) -> str:
    """Return a number, or mean and sample deviation of several; ``-`` for none."""
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return "-"
    if len(known) == 1:
        return f"{known[0]:.2f}"
    return f"{statistics.fmean(known):.2f} ± {statistics.stdev(known):.2f}"


def other_samples(runs: Sequence[RunSummary], evaluation: Evaluation) -> dict[tuple[int, str], str]:
    """Return notes by place of the run and window where samples are not those of the first row.

    Reports of earlier versions do not say which samples they are of: their number is compared.
    """
    scored = {
        (place, window): {_samples_of(score) for score in scores}
        for place, run in enumerate(runs)
        for window, scores in sorted(
            run.scored.get(evaluation, {}).items(), key=lambda item: by_length(item[0])
        )
    }
    notes: dict[tuple[int, str], str] = {}
    reference: set[_Samples] = next(iter(scored.values()), set())
    for key, sets in scored.items():
        if any(_differ(one, other) for one in sets for other in sets):
            notes[key] = "seeds scored on different samples"
        elif any(_differ(one, other) for one in sets for other in reference):
            notes[key] = "other samples than the first row of this evaluation"
        elif any(0 not in (one[2], o[2]) and one[2] != o[2] for one in sets for o in reference):
            notes[key] = "other pixels (rows or size) than the first row of this evaluation"
    return notes


_Samples = tuple[int, str, int]


def _samples_of(score: Score) -> _Samples:
    return score.samples, score.sample_set, score.pixels


def _differ(one: _Samples, other: _Samples) -> bool:
    (count, digest, _), (other_count, other_digest, _) = one, other
    return count != other_count or ("" not in (digest, other_digest) and digest != other_digest)


def by_length(window: str) -> int:
    """Return a key that sorts windows by their length, ``-`` first."""
    return 0 if window == "-" else parse_duration(window)


def _without_labels(digests: Mapping[str, str]) -> dict[str, str]:
    """Return the digests of a source's recordings or files, and of its settings."""
    return {**recordings_of(digests), "settings": digests.get("settings", "")}


def _read_scores(
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


def _merged(group: Sequence[RunSummary]) -> RunSummary:
    if len(group) == 1:
        return group[0]
    scored: dict[Evaluation, dict[str, tuple[Score, ...]]] = {}
    for run in group:
        for evaluation, windows in run.scored.items():
            merged = scored.setdefault(evaluation, {})
            for window, scores in windows.items():
                merged[window] = merged.get(window, ()) + scores
    return replace(
        group[0],
        name=", ".join(run.name for run in group),
        best_epoch=", ".join(run.best_epoch for run in group),
        val_miou=tuple(value for run in group for value in run.val_miou),
        scored=scored,
        own=frozenset().union(*(run.own for run in group)),
        train_s=statistics.fmean(run.train_s for run in group),
        peak_memory_mib=max(run.peak_memory_mib for run in group),
        folders=tuple(folder for run in group for folder in run.folders),
    )
