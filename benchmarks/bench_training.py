"""Images a second of ``train`` beside the same network in a bare loop over tensors in memory.

    uv run python benchmarks/bench_training.py [--device cuda] [--size 200x346] [--only fastscnn]

The bare loop is forward pass, cross entropy, backward pass and step, and nothing else. Beside it
stand the library's pass over the same batches in memory (with the loss's rules, the confusion
matrix and the check for NaN), and whole epochs of ``train`` that read samples from disk, with and
without the default augmentation, in this process and with two workers. Epochs of ``train`` and of
the bare loop take turns within one run. Ratios are medians over the rounds; 1 is as fast as the
bare loop.
Synthetic data; half-width EV-SegNet.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from paired import machine, ratio, rounds, save
from torch.nn import functional

from eventseg.dataset.writer import encode_dataset
from eventseg.events import SensorSize
from eventseg.labels.maps import IGNORED
from eventseg.simulate.street import simulate_street
from eventseg.sources.source import Source, open_source
from eventseg.training.config.config import load_config
from eventseg.training.epoch_tables import read_timing
from eventseg.training.loading import each_batch, to_device
from eventseg.training.passes import train_pass
from eventseg.training.prepare import PreparedRun, prepare_run
from eventseg.training.progress import TrainingProgress
from eventseg.training.trainer import train

NETWORKS: dict[str, dict[str, Any]] = {
    "fastscnn": {"network.name": "fastscnn"},
    "evsegnet half width": {"network.name": "evsegnet", "network.options": {"width": 0.5}},
}
STILL = {
    "augmentation.flip": 0.0,
    "augmentation.scale": [1.0, 1.0],
    "augmentation.shift": 0.0,
    "augmentation.rotation_deg": 0.0,
}
WAYS: dict[str, dict[str, Any]] = {
    "stored, 0 workers": {**STILL, "workers": 0},
    "stored, 2 workers": {**STILL, "workers": 2},
    "augmented, 0 workers": {"workers": 0},
    "augmented, 2 workers": {"workers": 2},
}
DURATION_US = 2_200_000


def drive(folder: Path, sensor: SensorSize) -> Path:
    """Return a data set of one simulated drive with stored tensors."""
    path = folder / f"{sensor.height}x{sensor.width}.hdf5"
    simulate_street(path, duration_us=DURATION_US, seed=7, sensor=sensor, version=1)
    root = path.with_suffix(".eventseg")
    encode_dataset([path], root, windows_us=(50_000,), normalise="raw")
    return root


class Bare:
    """A loop over batches in memory: forward pass, cross entropy, backward pass, step."""

    def __init__(self, run: PreparedRun) -> None:
        training = run.training
        self.device = training.device
        self.batches = [
            to_device(batch, self.device, memory_format=training.config.memory_format)
            for batch in each_batch(run.training_batches)
        ]
        self.network = training.network
        self.optimiser = training.optimiser
        self.images = sum(len(x) for x, _ in self.batches)

    def __call__(self) -> None:
        """Train over all batches once."""
        self.network.train()
        for x, labels in self.batches:
            outputs = self.network(x)
            main = outputs if isinstance(outputs, torch.Tensor) else outputs[0]
            functional.cross_entropy(main, labels, ignore_index=IGNORED).backward()
            self.optimiser.step()
            self.optimiser.zero_grad(set_to_none=True)
        wait(self.device)


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def in_memory(run: PreparedRun, bare: Bare, *, count: int) -> dict[str, np.ndarray]:
    """Return seconds of the library's pass and of the bare loop over the same batches."""
    kept = [{"x": x, "labels": labels, "index": torch.zeros(0)} for x, labels in bare.batches]

    def ours() -> None:
        train_pass(run.training, kept, updates=len(kept))
        wait(bare.device)

    return rounds({"train": ours, "bare": bare}, count=count)


def epochs(
    source: Source, out: Path, settings: dict[str, Any], bare: Bare, *, count: int
) -> dict[str, np.ndarray]:
    """Return seconds of epochs of ``train`` and of the bare loop in turn, but for the first."""
    seconds: list[float] = []

    def after(now: TrainingProgress) -> None:
        if now.images == 0:
            begin = perf_counter()
            bare()
            seconds.append(perf_counter() - begin)

    config = load_config(overrides={**settings, "epochs": count + 1})
    train(source, out, config=config, device=bare.device, command=[], progress=after)
    ours = [cost.train_s for cost in read_timing(out)]
    return {"train": np.array(ours[1:]), "bare": np.array(seconds[1:])}


def measured(
    source: Source, folder: Path, network: dict[str, Any], *, device: torch.device, count: int
) -> dict[str, Any]:
    """Return the ratios of one network at one size, by way of reading samples."""
    still = {**network, **STILL, "workers": 0, "seed": 1}
    run = prepare_run(
        source, folder / "bare", config=load_config(overrides=still), device=device, command=[]
    )
    bare = Bare(run)
    ways: dict[str, Callable[[], dict[str, np.ndarray]]] = {
        "in memory": lambda: in_memory(run, bare, count=count)
    }
    for way, settings in WAYS.items():
        ways[way] = lambda way=way, settings=settings: epochs(
            source, folder / way, {**network, **settings}, bare, count=count
        )
    result: dict[str, Any] = {"images": bare.images, "batches": len(bare.batches)}
    for way, run in ways.items():
        found = run()
        result[way] = {
            "train_images_per_s": round(bare.images / float(np.median(found["train"])), 2),
            "bare_images_per_s": round(bare.images / float(np.median(found["bare"])), 2),
            "ratio": round(1 / ratio(found, "train", "bare"), 3),
        }
        print(f"  {way}: {result[way]}", flush=True)
        gc.collect()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", action="append", help="HEIGHTxWIDTH; may be repeated")
    parser.add_argument("--only", choices=list(NETWORKS), help="one network")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results")
    asked = parser.parse_args()
    result: dict[str, Any] = {"machine": machine(), "device": asked.device, "rounds": asked.rounds}
    result["threads"] = torch.get_num_threads()
    device = torch.device(asked.device)
    with tempfile.TemporaryDirectory() as name:
        for size in asked.size or ["200x346", "96x128"]:
            height, width = map(int, size.split("x"))
            folder = Path(name) / size
            folder.mkdir()
            source = open_source(drive(folder, SensorSize(height, width)))
            for network, settings in NETWORKS.items():
                if asked.only in (None, network):
                    print(f"{network}, {size}", flush=True)
                    result[f"{network}, {size}"] = measured(
                        source, folder / network, settings, device=device, count=asked.rounds
                    )
            source.close()
    if asked.save:
        save(f"training_{device.type}", result)


if __name__ == "__main__":
    main()
