"""Make the network that ships: Fast-SCNN, events alone, any window from 10 to 250 ms.

    uv run python benchmarks/make_street_fastscnn.py FOLDER [--tiny]

Simulates drives of version 2, each with its own street, sensor, camera, light and scenario, trains
on five windows that are encoded as they are needed, scores drives through other streets, and writes
the weights in half precision to eventseg/networks/shipped/. What is done lies in FOLDER and is not
done again; a stopped training goes on. About 20 CPU minutes of simulation and 30 of training.
Synthetic data.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from paired import machine, save

from eventseg.dataset.writer import encode_dataset
from eventseg.evaluation.request import EvaluationRequest
from eventseg.evaluation.run_evaluation import evaluate_run
from eventseg.events import SensorSize
from eventseg.networks import load_network
from eventseg.networks.checkpoints import save_network
from eventseg.networks.shipped import SHIPPED
from eventseg.recordings.truth import truth_path
from eventseg.simulate.street import simulate_street
from eventseg.sources.source import open_source
from eventseg.training.config.config import load_config
from eventseg.training.layout import BEST
from eventseg.training.progress import TrainingProgress
from eventseg.training.trainer import train
from eventseg.windows import parse_duration

NAME = "street-fastscnn"
SENSOR = SensorSize(260, 346)
TRAIN_SEEDS, TEST_SEEDS = range(5000, 5080), range(6000, 6016)
DURATION_US = 1_000_000
WINDOWS = ("10ms", "25ms", "50ms", "100ms", "250ms")


def drives(folder: Path, seeds: range, *, duration_us: int = DURATION_US) -> list[Path]:
    """Return simulated drives, one a seed, every fourth from a roof; missing ones are made."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for seed in seeds:
        path = folder / f"street{seed}.hdf5"
        if not truth_path(path).exists():
            path.unlink(missing_ok=True)
            simulate_street(
                path,
                duration_us=duration_us,
                seed=seed,
                scenario="random",
                sensor=SENSOR,
                mounting="roof" if seed % 4 == 3 else "windscreen",
                threads=1,
            )
            print(path.name, flush=True)
        paths.append(path)
    return paths


SETTINGS: dict[str, Any] = {
    "network.name": "fastscnn",
    "input.kind": "events",
    "input.windows": list(WINDOWS),
    "input.live": True,
    "labels.classes": "evsegnet6",
    "size.crop": "256x192",
    "augmentation.placement": "random",
    "batch_size": 8,
    "iterations": 1500,
    "workers": 0,
    "amp": "off",
    "memory_format": "channels_last",
    "seed": 0,
}


def encoded(root: Path, seeds: tuple[range, range], *, duration_us: int) -> Path:
    """Return the data set of the drives; its events are encoded when they are needed."""
    learn, unseen = (drives(root / "recordings", part, duration_us=duration_us) for part in seeds)
    data = root / "streets.eventseg"
    encode_dataset(
        [*learn, *unseen],
        data,
        windows_us=[parse_duration(window) for window in WINDOWS],
        held_out=[path.stem for path in unseen],
        sensor=SENSOR,
        store="none",
    )
    return data


def learnt(data: Path, run: Path, settings: dict[str, Any]) -> None:
    """Train to the end, or go on with a stopped training."""
    source = open_source(data)

    def tell(now: TrainingProgress) -> None:
        if not now.images:
            print(f"epoch {now.epoch}/{now.epochs}, val mIoU {now.val_miou:.1f}", flush=True)

    with contextlib.closing(source):
        train(source, run, config=load_config(overrides=settings), resume=True, progress=tell)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="Folder for drives, data and the run.")
    parser.add_argument(
        "--tiny", action="store_true", help="Two short drives and updates; nothing is installed."
    )
    arguments = parser.parse_args()
    root, tiny = arguments.folder, arguments.tiny
    seeds = (range(5000, 5002), range(6000, 6002)) if tiny else (TRAIN_SEEDS, TEST_SEEDS)
    settings = {**SETTINGS, **({"iterations": 2} if tiny else {})}
    data = encoded(root, seeds, duration_us=400_000 if tiny else DURATION_US)
    run = root / "street-fastscnn"
    learnt(data, run, settings)
    trained = load_network(run / BEST)
    shipped = run / f"{NAME}.pt"
    source = f"{NAME}: Fast-SCNN trained on simulated streets, version 2"
    save_network(shipped, replace(trained, network=trained.network.half(), source=source))
    # The rounded weights are scored, not those that they come from.
    request = EvaluationRequest(
        windows=WINDOWS, labels="truth", classes="evsegnet6", device="cpu", workers=0
    )
    _, rows = evaluate_run(shipped, data, request=request)
    table = {
        f"{row.name}, {row.window}": {
            "miou": round(100 * row.scores.miou_present, 2),
            "interval_95": (found := row.interval())
            and [round(100 * found.low, 1), round(100 * found.high, 1)],
            "iou": {
                name: round(100 * float(iou), 1)
                for name, iou in zip(row.classes.names, row.scores.iou, strict=True)
            },
        }
        for row in rows
    }
    for name, row in table.items():
        print(name, row["miou"], row["interval_95"])
    if not tiny:
        shutil.copyfile(shipped, SHIPPED[NAME])
        save("street_fastscnn", {"machine": machine(), "settings": settings, "rows": table})


if __name__ == "__main__":
    main()
