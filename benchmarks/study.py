"""Parts of the studies: runs that are trained once, scores that are kept, intervals and tests."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from bench_learning import SCENARIOS
from paired import save

from eventseg.dataset.writer import encode_dataset
from eventseg.errors import LabelError
from eventseg.evaluation.request import EvaluationRequest
from eventseg.evaluation.rows import Row
from eventseg.evaluation.run_evaluation import evaluate_run
from eventseg.evaluation.sample_scores import SAMPLE_SCORES, read_sample_scores
from eventseg.evaluation.settings import StressName
from eventseg.evaluation.significance import paired_test
from eventseg.events import SensorSize
from eventseg.metrics.paired_bootstrap import seeds_interval
from eventseg.recordings.truth import truth_path
from eventseg.simulate.street import simulate_street
from eventseg.sources.source import open_source
from eventseg.training.config.config import load_config
from eventseg.training.epoch_tables import best_of, read_metrics, read_timing
from eventseg.training.trainer import train

WINDOW = "50ms"
DONE, KEPT = "done", "study"
LEVEL = 0.05
"""Largest corrected p-value of a difference that counts."""


@dataclass(frozen=True)
class Streets:
    """Simulated drives of version 1: their size, and seeds to learn from and to score on."""

    sensor: SensorSize
    duration_us: int
    learn: range
    test: range

    def __str__(self) -> str:
        return (
            f"synthetic, streets of version 1, {len(self.learn)} drives to learn, "
            f"{len(self.test)} to score, {self.duration_us / 1e6:g} s each at {self.sensor}, "
            "6 classes"
        )


FULL = Streets(SensorSize(128, 176), 1_500_000, range(1000, 1096), range(2000, 2024))
"""The drives of bench_learning.py, whose recordings can be taken over."""
TINY = Streets(SensorSize(48, 64), 600_000, range(1000, 1004), range(2000, 2006))


class Clock:
    """Time since the start, and whether another training may begin."""

    def __init__(self, minutes: float) -> None:
        self.begin, self.minutes = time.monotonic(), minutes

    @property
    def passed(self) -> float:
        """Minutes since the start."""
        return (time.monotonic() - self.begin) / 60.0

    def left(self) -> bool:
        """Return whether a training may begin."""
        return self.passed < self.minutes

    def tell(self, text: str) -> None:
        """Print a line of progress."""
        print(f"{self.passed:6.1f} min  {text}", flush=True)


def drives(folder: Path, streets: Streets) -> tuple[list[Path], list[Path]]:
    """Return the drives to learn from and to score on, simulated where they are not there."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for seeds in (streets.learn, streets.test):
        paths = [folder / f"world{seed}.hdf5" for seed in seeds]
        for place, (seed, path) in enumerate(zip(seeds, paths, strict=True)):
            if not truth_path(path).exists():
                path.unlink(missing_ok=True)
                simulate_street(
                    path,
                    duration_us=streets.duration_us,
                    seed=seed,
                    scenario=SCENARIOS[place % len(SCENARIOS)],
                    sensor=streets.sensor,
                    version=1,
                )
        parts.append(paths)
    return parts[0], parts[1]


def encoded(
    out: Path, recordings: Sequence[Path], *, held_out: Sequence[str], representation: str
) -> Path:
    """Return the data set of a representation; its tensors are made while they are read."""
    encode_dataset(
        recordings,
        out,
        windows_us=[WINDOW],
        representation=representation,
        held_out=held_out,
        store="none",
    )
    return out


def learn(data: Path, run: Path, settings: dict[str, Any], clock: Clock, *, device: str) -> bool:
    """Train a run to its end, or go on with it, where there is time; return whether it is done."""
    if (run / DONE).exists():
        return True
    if not clock.left():
        return False
    # Fixed, where a probe could choose otherwise for each line.
    amp = "off" if device == "cpu" else "bf16"
    overrides = {
        "labels.classes": "evsegnet6",
        "amp": amp,
        "memory_format": "channels_last",
        **settings,
    }
    source = open_source(data, label_set="truth")

    def tell(now: Any) -> None:
        if not now.images:
            clock.tell(f"{run.name}: update {now.done}/{now.total}, val mIoU {now.val_miou:.1f}")

    try:
        train(
            source,
            run,
            config=load_config(overrides=overrides),
            device=device,
            resume=True,
            progress=tell,
        )
    finally:
        source.close()
    (run / DONE).touch()
    return True


@dataclass(frozen=True)
class Scored:
    """Scores of one run: its row on the unseen drives, and its mIoU in percent under stress."""

    row: Row
    stress: dict[str, dict[str, float]]


def scored(
    run: Path,
    data: Path,
    *,
    device: str,
    stress: Sequence[StressName] = (),
    stress_samples: int = 100,
    baselines: bool = False,
) -> tuple[Scored, list[Row]]:
    """Return the scores of a run and the rows of baselines; both are kept and not made again."""
    out = run / KEPT
    request = EvaluationRequest(
        windows=(WINDOW,),
        labels="truth",
        device=device,
        workers=0,
        baselines=baselines,
        stress=tuple(stress),
        stress_samples=max(1, stress_samples),
    )
    asked = {"stress": list(stress), "samples": stress_samples, "baselines": baselines}
    note = out / "asked.json"
    if not note.is_file() or json.loads(note.read_text())["asked"] != asked:
        found = evaluate_run(run, data, request=request, out=out)
        curves = {
            section.key.removeprefix("stress_"): {
                str(line[section.key.removeprefix("stress_")]): round(100 * line["miou_truth"], 2)
                for line in section.lines
                if line["scene"] == "all"
            }
            for section in found.sections
            if section.key.startswith("stress_")
        }
        note.write_text(json.dumps({"asked": asked, "stress": curves}) + "\n")
    assert (out / SAMPLE_SCORES).is_file()
    own, *others = read_sample_scores(out)
    return Scored(own, json.loads(note.read_text())["stress"]), others


def validation_miou(run: Path) -> float:
    """Return the mean IoU of the best epoch on the validation part, in percent."""
    return best_of(read_metrics(run)[0], min_delta=0.0).selection_score


def at_best_rate(
    rates: Sequence[float], run_of: Callable[[float, int], Path | None], *, seed: int
) -> Path | None:
    """Return a line's run at the rate that is best on the validation part with the first seed.

    None where there is no time to train it. ``run_of`` trains a run at a rate with a seed.
    """
    if len(rates) == 1:
        return run_of(rates[0], seed)
    runs: dict[float, float] = {}
    for rate in rates:
        first = run_of(rate, 0)
        if first is None:
            return None
        runs[rate] = validation_miou(first)
    return run_of(max(runs, key=lambda rate: runs[rate]), seed)


def train_seconds(run: Path) -> float:
    """Return the wall seconds of the training passes of a run."""
    return sum(cost.train_s for cost in read_timing(run))


def measured(rows: Sequence[Row]) -> dict[str, Any]:
    """Return scores in percent over seeds: mean, interval of the mean, each seed, each class.

    The interval is that of draws of drives and of seeds.
    """
    sums = np.array([row.blocks.sums(row.matrices) for row in rows])
    low, high = seeds_interval(sums, seed=0)
    seeds = [round(100 * row.scores.miou_truth, 2) for row in rows]
    iou = np.mean([row.scores.iou for row in rows], axis=0)
    accuracy = np.mean([row.scores.pixel_accuracy for row in rows])
    return {
        "miou": round(float(np.mean(seeds)), 2),
        "interval_95": [round(100 * low, 1), round(100 * high, 1)],
        "seeds": seeds,
        "accuracy": round(100 * float(accuracy), 2),
        "iou": {
            name: round(100 * float(value), 1)
            for name, value in zip(rows[0].classes.names, iou, strict=True)
        },
    }


def tested(
    rows: dict[str, list[Row]], pairs: Mapping[str, tuple[str, str]]
) -> dict[str, dict[str, Any]]:
    """Return the paired test of each pair of lines, by the seeds that both have.

    Pairs are by name, first line less second; those without a run of each are left out.
    ``p_holm`` is the p-value corrected for the number of tests (Holm 1979).
    """
    tests: dict[str, dict[str, Any]] = {}
    for name, (first, second) in pairs.items():
        seeds = min(len(rows.get(first, [])), len(rows.get(second, [])))
        if not seeds:
            continue
        try:
            tests[name] = paired_test(rows[first][:seeds], rows[second][:seeds]).to_dict()
        except LabelError as error:
            tests[name] = {"none": str(error)}
    known = [name for name, test in tests.items() if "none" not in test]
    corrected = holm([tests[name]["miou_truth"]["p_value"] for name in known])
    for name, p_value in zip(known, corrected, strict=True):
        tests[name]["p_holm"] = p_value
    return tests


def against(reference: str, names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return the pair of each line with the reference, by the line's name."""
    return {name: (name, reference) for name in names if name != reference}


def outcome(test: dict[str, Any]) -> str:
    """Return whether the first line of a test is better: holds, does not hold, or undecided."""
    if "none" in test or test["p_holm"] > LEVEL:
        return "undecided"
    return "holds" if test["miou_truth"]["difference"] > 0 else "does not hold"


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number by Holm's method, in the order given.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order.tolist()):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = largest
    return corrected


def difference(test: dict[str, Any] | None) -> list[str]:
    """Return the cells of a test in a table: points, 95 % interval, corrected p."""
    if test is None or "none" in test:
        return ["", "", ""]
    miou = test["miou_truth"]
    p_value = "< 0.001" if test["p_holm"] < 0.001 else f"{test['p_holm']:.3f}"
    points = f"{100 * miou['difference']:+.1f}"
    return [points, f"{100 * miou['low']:+.1f} to {100 * miou['high']:+.1f}", p_value]


def mean_curves(runs: Sequence[Scored]) -> dict[str, dict[str, Any]]:
    """Return mIoU under stress by axis and level: the mean over seeds, and its least and most."""
    curves: dict[str, dict[str, Any]] = {}
    for axis in runs[0].stress:
        levels = list(runs[0].stress[axis])
        each = np.array([[run.stress[axis][level] for level in levels] for run in runs])
        curves[axis] = {
            "levels": levels,
            "miou": [round(float(value), 2) for value in each.mean(0)],
            "least_and_most": [
                [round(float(low), 2), round(float(high), 2)]
                for low, high in zip(each.min(0), each.max(0), strict=True)
            ],
        }
    return curves


def options(parser: argparse.ArgumentParser, *, updates: int) -> argparse.ArgumentParser:
    """Add the options that all studies have."""
    parser.add_argument("folder", type=Path, help="where everything lies; a later call goes on")
    parser.add_argument("--recordings", type=Path, help="drives of bench_learning.py to take")
    parser.add_argument("--updates", type=int, default=updates, help=f"of a run [{updates}]")
    parser.add_argument("--batch", type=int, default=8, help="samples of an update [8]")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each line [3]")
    parser.add_argument("--only", default="", metavar="NAME,NAME", help="some lines")
    parser.add_argument("--device", default="cpu", help="cpu, or cuda in bfloat16 [cpu]")
    parser.add_argument("--workers", type=int, default=0, help="processes that load samples [0]")
    parser.add_argument(
        "--minutes", type=float, default=60.0, help="begin no training after this time [60]"
    )
    parser.add_argument("--tiny", action="store_true", help="show that everything runs")
    return parser


def chosen(parser: argparse.ArgumentParser, text: str, known: Sequence[str]) -> list[str]:
    """Return the lines that ``--only`` names, all without it."""
    names = text.split(",") if text else list(known)
    if unknown := [name for name in names if name not in known]:
        parser.error(f"--only has no {', '.join(unknown)}; lines are {', '.join(known)}")
    return names


def keep(name: str, result: dict[str, Any], table: str, root: Path, *, tiny: bool) -> None:
    """Write a result and its table: into the folder, and beside other results unless tiny."""
    (root / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n")
    (root / f"{name}.md").write_text(table)
    if not tiny:
        save(name, result)
