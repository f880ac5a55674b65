"""What networks learn from simulated drives, scored on streets that they have never seen.

    uv run python benchmarks/bench_learning.py FOLDER [RUN...]

Fast-SCNN and EV-SegNet of half width learn six classes from the truth of simulated drives and are
scored on drives through other streets, beside the position prior and a clock that is 50 ms off:
events alone, events with frames, and one network for three windows against one for each. What is
done lies in FOLDER and is not done again; the last call writes the table of all runs that are
there. Synthetic data.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from paired import machine, save

from eventseg.dataset.writer import encode_dataset
from eventseg.evaluation.request import EvaluationRequest
from eventseg.evaluation.rows import Row
from eventseg.evaluation.run_evaluation import evaluate_run
from eventseg.events import SensorSize
from eventseg.labels.maps import EVSEGNET_6, EVSEGNET_6_OF_CITYSCAPES_19, merge_labels, paint_labels
from eventseg.networks import load_network
from eventseg.plots.events import save_figure
from eventseg.plots.training import figure_panels, paint_events
from eventseg.prediction.predictor import SINGLE, network_input, probabilities
from eventseg.recordings.truth import truth_path
from eventseg.simulate.street import simulate_street
from eventseg.sources.source import open_source
from eventseg.training.config.config import load_config
from eventseg.training.run_folder import BEST, read_timing
from eventseg.training.trainer import train

SENSOR = SensorSize(128, 176)
SCENARIOS = ("day", "glare", "day", "night", "day", "fast-turn", "day", "crossing")
TRAIN_SEEDS, TEST_SEEDS = range(1000, 1096), range(2000, 2024)
DURATION_US = 1_500_000
WINDOWS = ("10ms", "50ms", "250ms")

COMMON: dict[str, Any] = {
    "labels.classes": "evsegnet6",
    "batch_size": 8,
    "workers": 0,
    "amp": "off",
    "memory_format": "channels_last",
    "augmentation.scale": [0.75, 1.5],
    "augmentation.shift": 0.1,
    "augmentation.rotation_deg": 0.0,
    "schedule.kind": "poly",
}
FASTSCNN = {**COMMON, "network.name": "fastscnn", "optimiser.learning_rate": 3e-3}
EVSEGNET = {
    **COMMON,
    "network.name": "evsegnet",
    "network.options": {"width": 0.5},
    "optimiser.learning_rate": 1e-3,
}
RUNS: dict[str, dict[str, Any]] = {
    "fastscnn-events-50ms": {**FASTSCNN, "iterations": 3000},
    "fastscnn-both-50ms": {**FASTSCNN, "iterations": 3000, "input.kind": "both"},
    "fastscnn-events-10ms": {**FASTSCNN, "iterations": 3000, "input.windows": ["10ms"]},
    "fastscnn-events-250ms": {**FASTSCNN, "iterations": 3000, "input.windows": ["250ms"]},
    "fastscnn-events-three-windows": {
        **FASTSCNN,
        "iterations": 3000,
        "input.windows": list(WINDOWS),
    },
    "fastscnn-events-three-windows-longer": {
        **FASTSCNN,
        "iterations": 4500,
        "input.windows": list(WINDOWS),
    },
    "evsegnet-events-50ms": {**EVSEGNET, "iterations": 1500},
}


def drive(folder: Path, seeds: range) -> list[Path]:
    """Return simulated drives, one a seed, made where they are not there."""
    paths = []
    for place, seed in enumerate(seeds):
        path = folder / f"world{seed}.hdf5"
        if not truth_path(path).exists():
            path.unlink(missing_ok=True)
            scenario = SCENARIOS[place % len(SCENARIOS)]
            simulate_street(
                path, duration_us=DURATION_US, seed=seed, scenario=scenario, sensor=SENSOR
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


def interval_of(row: Row) -> list[float] | None:
    """Return the bootstrap interval of the mIoU in percent, None where there are too few blocks."""
    found = row.interval()
    return None if found is None else [round(100 * found.low, 1), round(100 * found.high, 1)]


def measured(run: Path, data: Path, windows: tuple[str, ...]) -> dict[str, Any]:
    """Return the scores of a run on the unseen drives, and what its training took."""
    request = EvaluationRequest(windows=windows, labels="truth", device="cpu", workers=0)
    _, rows = evaluate_run(run, data, request=request)
    return {
        "train_minutes": round(sum(cost.train_s for cost in read_timing(run)) / 60, 1),
        "rows": {
            f"{row.name}, {row.window}": {
                "miou": round(100 * row.scores.miou_present, 2),
                "interval_95": interval_of(row),
                "accuracy": round(100 * row.scores.pixel_accuracy, 2),
            }
            for row in rows
        },
    }


def picture(data: Path, runs: Path, out: Path) -> None:
    """Draw unseen streets: frame, events, truth, and what networks made of them."""
    wanted = {
        "Fast-SCNN, events": "fastscnn-events-50ms",
        "EV-SegNet, events": "evsegnet-events-50ms",
        "Fast-SCNN, both": "fastscnn-both-50ms",
    }
    networks = {title: load_network(runs / run / BEST) for title, run in wanted.items()}
    source = open_source(data, label_set="truth")
    rows, names = [], []
    for place in (0, 3, 5, 7):
        of_drive = np.flatnonzero(np.array(source.sequences) == f"world{TEST_SEEDS[place]}")
        i = int(of_drive[len(of_drive) // 2])
        truth = merge_labels(source.labels(i), EVSEGNET_6_OF_CITYSCAPES_19)
        gray = (source.image(i, colour=True).transpose(1, 2, 0) * 255).astype(np.uint8)
        events = source.events(i, "50ms", normalise="evsegnet")
        row = [gray, paint_events(events[:2]), paint_labels(truth, EVSEGNET_6)]
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
    folder, *wanted = sys.argv[1:]
    root = Path(folder)
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
    for name in wanted or RUNS:
        learn(data, root / "runs" / name, RUNS[name])
    result: dict[str, Any] = {
        "machine": machine(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "data": f"synthetic, {len(recordings)} drives to learn, {len(unseen)} to score, "
        f"{DURATION_US / 1e6:g} s each at {SENSOR}, 6 classes",
        "runs": {
            name: measured(root / "runs" / name, data, WINDOWS)
            for name in RUNS
            if (root / "runs" / name / BEST).exists()
        },
    }
    for name, run in result["runs"].items():
        print(name, run)
    save("learning", result)
    picture(data, root / "runs", root / "learning.png")


if __name__ == "__main__":
    main()
