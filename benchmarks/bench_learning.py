"""What networks learn from simulated drives, scored on streets that they have never seen.

    uv run python benchmarks/bench_learning.py FOLDER [RUN...]

Fast-SCNN and EV-SegNet of half width learn six classes from the truth of simulated drives, with
three seeds each, and are scored on drives through other streets, beside baselines: events alone,
events with frames, one network for three windows against one for each, and the defaults of an
earlier version. Pairs of runs are tested on the samples they share. What is done lies in FOLDER and
is not done again; a RUN is such as fastscnn-both-50ms-seed1. Each call writes the table of all runs
that are there. Synthetic data.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from paired import machine, save

from eventseg.dataset.writer import encode_dataset
from eventseg.encoding.representation import MEAN_STD
from eventseg.evaluation.request import EvaluationRequest
from eventseg.evaluation.rows import Row
from eventseg.evaluation.run_evaluation import evaluate_run
from eventseg.evaluation.significance import paired_test
from eventseg.events import SensorSize
from eventseg.labels.maps import EVSEGNET_6, EVSEGNET_6_OF_CITYSCAPES_19, merge_labels, paint_labels
from eventseg.networks import load_network
from eventseg.plots.events import save_figure
from eventseg.plots.tensors import paint_tensor
from eventseg.plots.training import figure_panels
from eventseg.prediction.predictor import SINGLE, network_input, probabilities
from eventseg.recordings.truth import truth_path
from eventseg.simulate.street import simulate_street
from eventseg.sources.source import open_source
from eventseg.training.config.config import load_config
from eventseg.training.epoch_tables import read_timing
from eventseg.training.layout import BEST
from eventseg.training.trainer import train

SENSOR = SensorSize(128, 176)
SCENARIOS = ("day", "glare", "day", "night", "day", "fast-turn", "day", "crossing")
TRAIN_SEEDS, TEST_SEEDS = range(1000, 1096), range(2000, 2024)
DURATION_US = 1_500_000
VERSION = 1
"""Version of the streets, that of the figures in the docs."""
WINDOWS = ("10ms", "50ms", "250ms")

COMMON: dict[str, Any] = {
    "labels.classes": "evsegnet6",
    "batch_size": 8,
    "workers": 0,
    "memory_format": "channels_last",
    "amp": "bf16",
}
FASTSCNN = {**COMMON, "network.name": "fastscnn", "iterations": 3000}
EVSEGNET = {
    **COMMON,
    "network.name": "evsegnet",
    "network.options": {"width": 0.5},
    "iterations": 1500,
}
AVERAGED: dict[str, Any] = {
    "ema_decay": 0.995,
    "augmentation.scale": [0.8, 1.25],
    "optimiser.kind": "adamw",
    "optimiser.weight_decay": 0.02,
    "iterations": 3800,
}
"""Averaged weights, scales and weight decay, which pay in thousands of updates and not in 250."""

EARLIER: dict[str, Any] = {
    "augmentation.scale": [0.5, 2.0],
    "augmentation.shift": 0.2,
    "augmentation.rotation_deg": 10.0,
    "loss.terms": {"cross_entropy": 1.0},
    "optimiser.learning_rate": 1e-3,
    "input.normalise": "evsegnet",
    "batch_norm_batches": 0,
}
"""Defaults of an earlier version."""

RUNS: dict[str, dict[str, Any]] = {
    "fastscnn-250-earlier": {**FASTSCNN, "iterations": 250, **EARLIER},
    "fastscnn-250": {**FASTSCNN, "iterations": 250},
    "fastscnn-events-50ms": FASTSCNN,
    "fastscnn-averaged-50ms": {**FASTSCNN, **AVERAGED},
    "fastscnn-both-50ms": {**FASTSCNN, "input.kind": "both"},
    "fastscnn-events-10ms": {**FASTSCNN, "input.windows": ["10ms"]},
    "fastscnn-events-250ms": {**FASTSCNN, "input.windows": ["250ms"]},
    "fastscnn-events-three-windows": {**FASTSCNN, "input.windows": list(WINDOWS)},
    "evsegnet-events-50ms": EVSEGNET,
}
SEEDS = (0, 1, 2)

TESTS = (
    ("fastscnn-250", "fastscnn-250-earlier", "50ms"),
    ("fastscnn-averaged-50ms", "fastscnn-events-50ms", "50ms"),
    ("fastscnn-both-50ms", "fastscnn-events-50ms", "50ms"),
    ("fastscnn-events-three-windows", "fastscnn-events-10ms", "10ms"),
    ("fastscnn-events-three-windows", "fastscnn-events-50ms", "50ms"),
    ("fastscnn-events-three-windows", "fastscnn-events-250ms", "250ms"),
    ("evsegnet-events-50ms", "fastscnn-events-50ms", "50ms"),
)
"""Pairs of runs to test, and the window that both see."""


def drive(folder: Path, seeds: range) -> list[Path]:
    """Return simulated drives, one a seed, made where they are not there."""
    paths = []
    for place, seed in enumerate(seeds):
        path = folder / f"world{seed}.hdf5"
        if not truth_path(path).exists():
            path.unlink(missing_ok=True)
            scenario = SCENARIOS[place % len(SCENARIOS)]
            simulate_street(
                path,
                duration_us=DURATION_US,
                seed=seed,
                scenario=scenario,
                sensor=SENSOR,
                version=VERSION,
            )
        paths.append(path)
    return paths


def learn(data: Path, out: Path, settings: dict[str, Any]) -> None:
    """Train a run to its end, or go on with it."""
    config = load_config(overrides=settings)
    source = open_source(data, label_set="truth")
    begin = time.perf_counter()

    def tell(now: Any) -> None:
        if not now.images:
            print(
                f"{out.name}: epoch {now.epoch}/{now.epochs}, {time.perf_counter() - begin:.0f} s,"
                f" loss {now.loss:.3f}, val mIoU {now.val_miou:.1f}",
                flush=True,
            )

    try:
        train(source, out, config=config, resume=True, progress=tell)
    finally:
        source.close()


def scored(run: Path, data: Path, *, baselines: bool) -> list[Row]:
    """Return the rows of a run on the unseen drives at all windows, with baselines by wish."""
    request = EvaluationRequest(
        windows=WINDOWS, labels="truth", device="cpu", workers=0, baselines=baselines
    )
    _, rows = evaluate_run(run, data, request=request)
    return rows


def measured(row: Row) -> dict[str, Any]:
    """Return mean IoU, its interval, accuracy and the IoU of each class in percent."""
    found = row.interval()
    return {
        "miou": round(100 * row.scores.miou_present, 2),
        "interval_95": found and [round(100 * found.low, 1), round(100 * found.high, 1)],
        "accuracy": round(100 * row.scores.pixel_accuracy, 2),
        "iou": {
            name: round(100 * float(iou), 1)
            for name, iou in zip(row.classes.names, row.scores.iou, strict=True)
        },
    }


def at_window(rows: list[list[Row]], window: str) -> list[Row]:
    """Return the row of each seed at a window."""
    return [row for of_seed in rows for row in of_seed if row.window == window]


def summary(rows: list[list[Row]], runs: list[Path]) -> dict[str, Any]:
    """Return the scores of each seed of a run at each window, and the minutes of their training."""
    seeds = {window: [measured(row) for row in at_window(rows, window)] for window in WINDOWS}
    return {
        "train_minutes": [
            round(sum(cost.train_s for cost in read_timing(run)) / 60, 1) for run in runs
        ],
        "miou": {
            window: round(float(np.mean([one["miou"] for one in of_window])), 2)
            for window, of_window in seeds.items()
        },
        "seeds": seeds,
    }


def picture(data: Path, runs: Path, out: Path) -> None:
    """Draw unseen streets: frame, events, truth, and what networks made of them."""
    wanted = {
        "Fast-SCNN, events": "fastscnn-events-50ms-seed0",
        "EV-SegNet, events": "evsegnet-events-50ms-seed0",
        "Fast-SCNN, both": "fastscnn-both-50ms-seed0",
    }
    networks = {title: load_network(runs / run / BEST) for title, run in wanted.items()}
    source = open_source(data, label_set="truth")
    rows, names = [], []
    for place in (0, 3, 5, 7):
        of_drive = np.flatnonzero(np.array(source.sequences) == f"world{TEST_SEEDS[place]}")
        i = int(of_drive[len(of_drive) // 2])
        truth = merge_labels(source.labels(i), EVSEGNET_6_OF_CITYSCAPES_19)
        gray = (source.image(i, colour=True).transpose(1, 2, 0) * 255).astype(np.uint8)
        raw = source.events(i, "50ms", normalise="raw")
        events = paint_tensor(raw, channels=MEAN_STD.all_channels)
        row = [gray, events, paint_labels(truth, EVSEGNET_6)]
        for trained in networks.values():
            x = network_input(source, i, inputs=trained.inputs, window="50ms")
            found = probabilities(trained, x[None], size=truth.shape, test_time=SINGLE)
            row.append(paint_labels(found[0].argmax(0).to(torch.uint8).numpy(), EVSEGNET_6))
        rows.append(row)
        names.append(SCENARIOS[place])
    source.close()
    titles = ("frame", "events, 50 ms", "truth", *networks)
    save_figure(figure_panels(rows, titles=titles, names=names, table=EVSEGNET_6), out)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="Folder for recordings, data and runs.")
    parser.add_argument(
        "runs", nargs="*", help="Runs to train, such as NAME-seed0.  [default: all]"
    )
    arguments = parser.parse_args()
    root, wanted = arguments.folder, arguments.runs
    (root / "recordings").mkdir(parents=True, exist_ok=True)
    data = root / "drives.eventseg"
    recordings = drive(root / "recordings", TRAIN_SEEDS)
    unseen = drive(root / "recordings", TEST_SEEDS)
    encode_dataset(
        [*recordings, *unseen],
        data,
        windows_us=[10_000, 50_000, 250_000],
        held_out=[path.stem for path in unseen],
        sensor=SENSOR,
    )
    for name in wanted or [f"{run}-seed{seed}" for seed in SEEDS for run in RUNS]:
        run, _, seed = name.partition("-seed")
        learn(data, root / "runs" / name, {**RUNS[run], "seed": int(seed or 0)})
    done = {
        name: [
            path
            for seed in SEEDS
            if ((path := root / "runs" / f"{name}-seed{seed}") / BEST).exists()
        ]
        for name in RUNS
    }
    baselines: list[Row] = []
    rows: dict[str, list[list[Row]]] = {}
    for name, paths in done.items():
        for path in paths:
            found = scored(path, data, baselines=not baselines)
            own = [row for row in found if row.name == path.name]
            baselines = baselines or [row for row in found if row.name != path.name]
            rows.setdefault(name, []).append(own)
    result: dict[str, Any] = {
        "machine": machine(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "data": f"synthetic, streets of version {VERSION}, {len(recordings)} drives to learn, "
        f"{len(unseen)} to score, "
        f"{DURATION_US / 1e6:g} s each at {SENSOR}, 6 classes",
        "runs": {name: summary(of_run, done[name]) for name, of_run in rows.items()},
        "baselines": {f"{row.name}, {row.window}": measured(row) for row in baselines},
        "tests": [
            paired_test(*(at_window(rows[name], window) for name in (one, other))).to_dict()
            for one, other, window in TESTS
            if one in rows and other in rows
        ],
    }
    for name, run_of in result["runs"].items():
        print(name, run_of["train_minutes"], run_of["miou"])
    for test in result["tests"]:
        print(test["first"], test["second"], test["windows"], test["miou_truth"])
    save("learning", result)
    picture(data, root / "runs", root / "learning.png")


if __name__ == "__main__":
    main()
