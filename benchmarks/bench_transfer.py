"""What a network that has learnt by day on one camera knows of other conditions and cameras.

    uv run python benchmarks/bench_transfer.py FOLDER [--camvid CAMVID] [--seeds 3] [--minutes 90]

Fast-SCNN learns six classes from events of 50 ms of simulated drives by day (version 2, camera
behind the windscreen) and is scored on unseen streets: by day, at night, on fast turns, with the
camera on a roof, and with two other sensors (240x180 and 640x480 scaled as the first, with other
thresholds, noise and dead time), and with --camvid on events before the test pictures of CamVid.
Beside it: the position prior of the day's labels, plain and tuned
for mIoU; AdaBN; the network shown inputs of the size it has learnt at, where the sensor is another;
and networks that learn from 1 % of the labels of the condition, from the day's network and from
random numbers. What is done lies in FOLDER and is not done again; no new run begins once --minutes
have passed, and a later call goes on. Synthetic data throughout.

The budget is 90 minutes of two cores for three seeds; the result says how many it took. ``--tiny``
only shows that everything runs, and writes its result into FOLDER: its scores mean nothing.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from paired import machine, save

from eventseg.dataset.writer import encode_dataset
from eventseg.errors import LabelError
from eventseg.evaluation.baselines import POSITION_PRIOR, TUNED_PRIOR
from eventseg.evaluation.counting import row_of
from eventseg.evaluation.evaluate import Protocol, scored_by_labels
from eventseg.evaluation.position_prior import position_counts, position_prior, tuned_weights
from eventseg.evaluation.request import EvaluationRequest
from eventseg.evaluation.rows import Row
from eventseg.evaluation.run_evaluation import evaluate_run
from eventseg.evaluation.significance import paired_test
from eventseg.events import SensorSize
from eventseg.labels.maps import EVSEGNET_6
from eventseg.recordings.truth import truth_path
from eventseg.simulate.images import simulate_images
from eventseg.simulate.street import simulate_street
from eventseg.sources.selection import part
from eventseg.sources.source import open_source
from eventseg.training.config.config import load_config
from eventseg.training.epoch_tables import read_timing
from eventseg.training.layout import BEST, LAST
from eventseg.training.trainer import train

WINDOW = "50ms"
CLASSES = "evsegnet6"
SHARE = 0.01


@dataclass(frozen=True)
class Condition:
    """One kind of drives: scenario, mounting, size of the sensor and fixed settings."""

    scenario: str = "day"
    mounting: str = "windscreen"
    sensor: tuple[int, int] = (260, 346)
    settings: dict[str, float] = field(default_factory=dict)


CAMVID = "CamVid events"
CONDITIONS = {
    "day": Condition(),
    "night": Condition(scenario="night"),
    "fast turn": Condition(scenario="fast-turn"),
    "roof": Condition(mounting="roof"),
    "small sensor": Condition(
        sensor=(180, 240),
        settings={
            "threshold_on": 0.45,
            "threshold_off": 0.5,
            "threshold_sigma": 0.05,
            "shot_hz": 0.6,
            "leak_hz": 0.1,
            "refractory_us": 1500,
        },
    ),
    "large sensor": Condition(
        sensor=(480, 640),
        settings={
            "threshold_on": 0.12,
            "threshold_off": 0.11,
            "threshold_sigma": 0.006,
            "shot_hz": 0.01,
            "leak_hz": 0.002,
            "refractory_us": 150,
        },
    ),
}
"""Conditions by name; networks learn from the first, which draws no such sensors."""


@dataclass(frozen=True)
class Plan:
    """Sizes of a run of the benchmark.

    ``scale`` multiplies all sensors; drives are numbers of recordings of ``duration_us`` each,
    pictures those of CamVid of each part.
    """

    scale: float
    duration_us: int
    learn_drives: int
    target_drives: int
    test_drives: int
    iterations: int
    tune_iterations: int
    pictures: int


FULL = Plan(0.5, 1_500_000, 48, 12, 12, 1500, 150, 120)
TINY = Plan(0.25, 700_000, 3, 2, 6, 6, 3, 12)


def sensor_of(name: str, plan: Plan) -> SensorSize:
    """Return the size of a condition's sensor at the scale of the plan."""
    condition = CONDITIONS.get(name, Condition())
    height, width = (2 * round(plan.scale * pixels / 2) for pixels in condition.sensor)
    return SensorSize(height, width)


def drives(folder: Path, name: str, seeds: range, plan: Plan) -> list[Path]:
    """Return the drives of a condition, one a seed, made where they are not there."""
    condition = CONDITIONS[name]
    paths = []
    for seed in seeds:
        path = folder / f"{name.replace(' ', '-')}{seed}.hdf5"
        if not truth_path(path).exists():
            path.unlink(missing_ok=True)
            simulate_street(
                path,
                duration_us=plan.duration_us,
                seed=seed,
                scenario=condition.scenario,
                sensor=sensor_of(name, plan),
                version=2,
                mounting=condition.mounting,
                settings=condition.settings,
            )
        paths.append(path)
    return paths


def encoded(root: Path, name: str, plan: Plan, camvid: Path | None) -> Path:
    """Return the data set of a condition: drives to learn from, and others to score."""
    if name == CAMVID and camvid is not None:
        return encoded_pictures(root, camvid, plan)
    place = list(CONDITIONS).index(name)
    first = 10_000 + 1_000 * place
    count = plan.target_drives if place else plan.learn_drives
    recordings = root / "recordings"
    recordings.mkdir(parents=True, exist_ok=True)
    learn = drives(recordings, name, range(first, first + count), plan)
    test = drives(recordings, name, range(first + 500, first + 500 + plan.test_drives), plan)
    data = root / f"{name.replace(' ', '-')}.eventseg"
    encode_dataset(
        [*learn, *test],
        data,
        windows_us=[50_000],
        held_out=[path.stem for path in test],
        sensor=sensor_of(name, plan),
    )
    return data


def encoded_pictures(root: Path, camvid: Path, plan: Plan) -> Path:
    """Return the data set of events before pictures of CamVid."""
    recordings, sensor = root / "camvid", sensor_of(CAMVID, plan)
    parts = [recordings / f"{name}.hdf5" for name in ("train", "test")]
    if not all(truth_path(path).exists() for path in parts):
        simulate_images(camvid, recordings, layout="camvid", limit=plan.pictures, sensor=sensor)
    data = root / "camvid.eventseg"
    encode_dataset(parts, data, windows_us=[50_000], held_out=["test"], sensor=sensor)
    return data


def learn(data: Path, out: Path, settings: dict[str, Any]) -> None:
    """Train a run to its end, or go on with it."""
    if (out / "done").exists():
        return
    overrides = {
        "network.name": "fastscnn",
        "labels.classes": CLASSES,
        "workers": 0,
        "memory_format": "channels_last",
        "amp": "off",
        **settings,
    }
    source = open_source(data, label_set="truth")
    try:
        train(source, out, config=load_config(overrides=overrides), resume=(out / BEST).exists())
    finally:
        source.close()
    (out / "done").touch()


def network_rows(
    run: Path, data: Path, *, shown: SensorSize | None = None, checkpoint: str = BEST
) -> list[Row]:
    """Return the row of a run on a condition's unseen drives, and with AdaBN the row of that."""
    request = EvaluationRequest(
        windows=(WINDOW,),
        labels="truth",
        device="cpu",
        workers=0,
        baselines=False,
        adabn=shown is None and checkpoint == BEST,
        checkpoint=checkpoint,
        input_size=shown,
    )
    return evaluate_run(run, data, request=request).rows


def prior_rows(day: Path, data: Path) -> dict[str, Row]:
    """Return the position priors of the day's labels on a condition's unseen drives.

    A map of another sensor is brought to the size of this one by its nearest pixels.
    """
    source = open_source(day, label_set="truth")
    counts = position_counts(source, part(source, split="train"), classes=EVSEGNET_6)
    source.close()
    maps = {
        POSITION_PRIOR: position_prior(counts),
        TUNED_PRIOR: position_prior(counts, weights=tuned_weights(counts)),
    }
    protocol = Protocol.named("clean", split="test")
    found = {}
    target = open_source(data, label_set="truth")
    try:
        indices = part(target, split="test", window=WINDOW, min_covered=protocol.min_covered)
        height, width = target.size
        for name, labels in maps.items():
            rows = np.arange(height) * labels.shape[0] // height
            columns = np.arange(width) * labels.shape[1] // width
            resized = np.ascontiguousarray(labels[np.ix_(rows, columns)])
            batches = scored_by_labels(
                _always(resized), target, indices, protocol=protocol, classes=EVSEGNET_6
            )
            found[name] = row_of(
                batches, target, name=name, window="-", resize=protocol.resize, classes=EVSEGNET_6
            )
    finally:
        target.close()
    return found


def _always(labels: np.ndarray) -> Callable[[int], np.ndarray]:
    return lambda _i: labels


def measured(rows: list[Row]) -> dict[str, Any]:
    """Return the mean IoU of each seed in percent, their mean, and the interval of the first."""
    interval = rows[0].interval()
    each = [round(100 * row.scores.miou_present, 2) for row in rows]
    return {
        "miou": round(float(np.mean(each)), 2),
        "seeds": each,
        "interval_95": interval and [round(100 * interval.low, 1), round(100 * interval.high, 1)],
        "accuracy": round(float(np.mean([100 * row.scores.pixel_accuracy for row in rows])), 2),
    }


def tested(first: list[Row], second: list[Row]) -> dict[str, Any]:
    """Return the paired test of two rows over their seeds, or why there is none."""
    try:
        return paired_test(first, second).to_dict()
    except LabelError as error:
        return {"none": str(error)}


def condition_rows(
    name: str,
    data: dict[str, Path],
    root: Path,
    plan: Plan,
    *,
    seed: int,
    budget: Callable[[], bool],
) -> dict[str, Row]:
    """Return the rows of one seed on one condition, by name; learn where there is time."""
    runs = root / "runs"
    base = runs / f"day-seed{seed}"
    found = dict(zip(("network", "AdaBN"), network_rows(base, data[name]), strict=True))
    if sensor_of(name, plan) != sensor_of("day", plan):
        shown = sensor_of("day", plan)
        found["network, inputs resized"] = network_rows(base, data[name], shown=shown)[0]
    if name == "day":
        return found
    for title, init in (("fine-tuned", str(base)), ("from random", "random")):
        run = runs / f"{name.replace(' ', '-')}-{title.replace(' ', '-')}-seed{seed}"
        if budget():
            settings = {
                "seed": seed,
                "fraction": SHARE,
                "batch_size": 4,
                "iterations": plan.tune_iterations,
                "network.init": init,
                # Short epochs are each validated, and nothing is chosen by it: on few samples.
                "validation_share": 0.02,
            }
            learn(data[name], run, settings)
        if (run / "done").exists():
            # The best epoch would be chosen by more labels than those 1 %.
            row = network_rows(run, data[name], checkpoint=LAST)[0]
            found[f"{title}, 1 % of the labels"] = row
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--camvid", type=Path, help="folder of CamVid")
    parser.add_argument("--tiny", action="store_true", help="show that everything runs")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=90.0, help="begin no run after this time")
    settings = parser.parse_args()
    plan, root = (TINY if settings.tiny else FULL), settings.folder
    begin = time.monotonic()

    def budget() -> bool:
        return time.monotonic() - begin < 60.0 * settings.minutes

    def tell(text: str) -> None:
        print(f"{(time.monotonic() - begin) / 60.0:6.1f} min  {text}", flush=True)

    data = {}
    names = [*CONDITIONS, *([CAMVID] if settings.camvid else [])]
    for name in names:
        data[name] = encoded(root, name, plan, settings.camvid)
        tell(f"{name}: simulated and encoded")
    rows: dict[str, dict[str, list[Row]]] = {name: {} for name in names}
    done = []
    for seed in range(settings.seeds):
        base = root / "runs" / f"day-seed{seed}"
        if budget():
            learn(data["day"], base, {"seed": seed, "batch_size": 8, "iterations": plan.iterations})
        if not (base / "done").exists():
            tell(f"no time left for seed {seed}")
            break
        done.append(base)
        for name in names:
            for title, row in condition_rows(
                name, data, root, plan, seed=seed, budget=budget
            ).items():
                rows[name].setdefault(title, []).append(row)
            tell(f"seed {seed}, {name}: {', '.join(rows[name])}")
    table = {}
    for name, of_name in rows.items():
        priors = {title: [row] for title, row in prior_rows(data["day"], data[name]).items()}
        table[name] = {title: measured(found) for title, found in {**priors, **of_name}.items()}
    tests = {
        f"{name}: {title} against network": tested(found, rows[name]["network"])
        for name, of_name in rows.items()
        for title, found in of_name.items()
        if title != "network" and len(found) == len(rows[name]["network"])
    }
    for name, of_name in table.items():
        for title, scores in of_name.items():
            print(f"{name:14} {title:32} {scores['miou']:6.2f} {scores['interval_95']}")
    result = {
        "machine": machine(),
        "torch": torch.__version__,
        "data": f"synthetic, streets of version 2, {plan.learn_drives} drives by day to learn, "
        f"{plan.target_drives} of each condition of which 1 % of the labels is shown, "
        f"{plan.test_drives} to score, {plan.duration_us / 1e6:g} s each, 6 classes",
        "sensors": {name: str(sensor_of(name, plan)) for name in names},
        "updates": {"day": plan.iterations, "1 % of the labels": plan.tune_iterations},
        "train_minutes": [
            round(sum(cost.train_s for cost in read_timing(run)) / 60.0, 1) for run in done
        ],
        "minutes": round((time.monotonic() - begin) / 60.0, 1),
        "rows": table,
        "tests": tests,
    }
    if settings.tiny:
        (root / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    else:
        save("transfer", result)


if __name__ == "__main__":
    main()
