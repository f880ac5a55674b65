"""Whether labels can be learnt from the events, in streets that were not seen before.

    uv run python benchmarks/bench_learnability.py

A small convolutional network, trained on simulated drives and scored on drives through other
streets: the most frequent class of each pixel alone, events of 50 ms with the position, the same
network on events that are 50 ms too old, and one trained on permuted labels. Synthetic data.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from paired import machine, save
from torch import nn
from torch.nn import functional

from eventseg.dataset.opening import open_dataset
from eventseg.dataset.writer import encode_dataset
from eventseg.encoding.tensors import encode
from eventseg.events import SensorSize
from eventseg.labels.maps import EVSEGNET_6, EVSEGNET_6_OF_CITYSCAPES_19, merge_labels
from eventseg.recordings import open_recording
from eventseg.simulate.street import simulate_street

SENSOR = SensorSize(128, 176)
TRAIN_SEEDS, TEST_SEEDS = range(100, 110), range(200, 204)
DURATION_US = 1_500_000
WINDOW_US = 50_000
EVERY = 3
STEPS = 300
BATCH = 8


def network() -> nn.Sequential:
    """Return a network at half resolution that sees some 120 pixels around each."""
    layers: list[nn.Module] = []
    width = 24
    for place, dilation in enumerate((1, 1, 2, 4, 8, 14)):
        layers += [
            nn.Conv2d(
                width if place else 8,
                width,
                3,
                stride=1 if place else 2,
                padding=dilation,
                dilation=dilation,
                bias=False,
            ),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        ]
    return nn.Sequential(
        *layers,
        nn.Conv2d(width, len(EVSEGNET_6), 1),
        nn.Upsample(scale_factor=2, mode="bilinear"),
    )


def samples(folder: Path, seeds: range) -> dict[str, torch.Tensor]:
    """Return events, events 50 ms too old, and 6-class labels of simulated drives."""
    recordings = []
    for seed in seeds:
        path = folder / f"world{seed}.hdf5"
        simulate_street(path, duration_us=DURATION_US, seed=seed, sensor=SENSOR, version=1)
        recordings.append(path)
    out = folder / f"data{seeds.start}"
    encode_dataset(recordings, out, windows_us=[WINDOW_US], sensor=SENSOR)
    aligned, shifted, labels = [], [], []
    with open_dataset(out) as dataset:
        table = dataset.samples
        for i in np.flatnonzero((table.covered >= 1).all(axis=1))[::EVERY].tolist():
            t1_us = int(table.t_us[i]) - WINDOW_US
            with open_recording(folder / f"{table.recording[i]}.hdf5", sensor=SENSOR) as recording:
                if t1_us - WINDOW_US < recording.t_first_us:
                    continue
                old = recording.events(t1_us - WINDOW_US, t1_us)
            aligned.append(dataset.tensor(i))
            shifted.append(encode(old, normalise="evsegnet"))
            labels.append(merge_labels(dataset.labels(i), EVSEGNET_6_OF_CITYSCAPES_19))
    return {
        "aligned": torch.from_numpy(np.stack(aligned)),
        "shifted": torch.from_numpy(np.stack(shifted)),
        "labels": torch.from_numpy(np.stack(labels)).long(),
    }


def with_position(events: torch.Tensor) -> torch.Tensor:
    """Append row and column, -1 to 1."""
    count, _, height, width = events.shape
    row = torch.linspace(-1, 1, height)[None, None, :, None].expand(count, 1, height, width)
    column = torch.linspace(-1, 1, width)[None, None, None, :].expand(count, 1, height, width)
    return torch.cat([events, row, column], dim=1)


def trained(events: torch.Tensor, labels: torch.Tensor) -> nn.Sequential:
    torch.manual_seed(0)
    model = network()
    optimiser = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=1e-2, total_steps=STEPS)
    for _ in range(STEPS):
        batch = torch.randint(len(events), (BATCH,))
        x, y = events[batch], labels[batch]
        loss = functional.cross_entropy(model(with_position(x)), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return model.eval()


def score(predicted: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    """Return mIoU and accuracy in percent."""
    classes = len(EVSEGNET_6)
    pairs = (labels * classes + predicted).flatten()
    matrix = torch.bincount(pairs, minlength=classes**2).reshape(classes, classes).double()
    right = matrix.diag()
    union = matrix.sum(0) + matrix.sum(1) - right
    present = matrix.sum(1) > 0
    return {
        "miou": float((right[present] / union[present]).mean()) * 100,
        "accuracy": float(right.sum() / matrix.sum()) * 100,
    }


@torch.no_grad()
def predict(model: nn.Sequential, events: torch.Tensor) -> torch.Tensor:
    return torch.cat([model(with_position(part)).argmax(1) for part in events.split(8)])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    begin = time.perf_counter()
    result: dict[str, object] = {"machine": machine(), "data": "synthetic, 6 classes, 176x128"}
    with tempfile.TemporaryDirectory() as folder:
        train = samples(Path(folder), TRAIN_SEEDS)
        test = samples(Path(folder), TEST_SEEDS)
    result |= {"training_samples": len(train["labels"]), "test_samples": len(test["labels"])}
    print(f"data after {time.perf_counter() - begin:.0f} s", flush=True)
    votes = functional.one_hot(train["labels"], len(EVSEGNET_6)).sum(0)
    prior = votes.argmax(-1).expand_as(test["labels"])
    rows = {"position only": score(prior, test["labels"])}
    model = trained(train["aligned"], train["labels"])
    for name, key in (("events 50 ms", "aligned"), ("events 50 ms too old", "shifted")):
        rows[name] = score(predict(model, test[key]), test["labels"])
    flat = train["labels"].flatten()
    order = torch.randperm(len(flat), generator=torch.Generator().manual_seed(1))
    wrong = trained(train["aligned"], flat[order].reshape(train["labels"].shape))
    rows["labels permuted"] = score(predict(wrong, test["aligned"]), test["labels"])
    for name, numbers in rows.items():
        print(f"{name}: {numbers['miou']:.1f} mIoU, {numbers['accuracy']:.1f} % right")
    result |= {"scores": rows, "seconds": time.perf_counter() - begin}
    save("learnability", result)


if __name__ == "__main__":
    main()
