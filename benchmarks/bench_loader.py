"""What live encoding costs in training: a long soak of the loader, and rates against dumps.

    uv run python benchmarks/bench_loader.py             # soak, and the CPU against npy and npz
    uv run --extra cuda python benchmarks/bench_loader.py --parts gpu

soak
    Samples of four recordings through worker processes, twice from one seed: the order and the
    bits must be the same, the anonymous memory of all processes together flat, and
    every worker of the beginning alive at the end.
cpu
    Two workers that encode live against two that read stored tensors, in turn, on a small sensor
    and on a DAVIS346; files are in the page cache, which is the dumps' best case.
gpu
    Training with events encoded on the GPU against training on tensors that lie there already.
    Needs a CUDA device and says so where there is none.

Recordings are synthetic, from one seed; labels are random blocks.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import tempfile
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from paired import machine, ratio, rounds, save
from streams import SENSOR, edges_and_noise
from torch.utils.data import DataLoader

from eventseg.augmentation.settings import Augmentation
from eventseg.dataset.manifest import Manifest
from eventseg.dataset.writer import encode_dataset
from eventseg.device import choose_encoder
from eventseg.errors import DeviceError
from eventseg.events import EventStream, SensorSize
from eventseg.images import write_image
from eventseg.labels.maps import load_class_table
from eventseg.networks import Blueprint
from eventseg.recordings import DDD17Writer
from eventseg.sources.source import Source, open_source
from eventseg.training.config.config import TrainConfig, load_config
from eventseg.training.loading import EpochBatches, each_batch, load_batches, to_device
from eventseg.training.losses.losses import segmentation_loss
from eventseg.training.optimisers import build_optimiser
from eventseg.training.parts import pick
from eventseg.training.passes import train_pass
from eventseg.training.samples import Batch, Samples
from eventseg.training.state import NetworkInTraining

TINY = SensorSize(32, 48)
FRAME_US = 50_000
LABELS = "blocks"
CLASSES = "evsegnet6"


def noise(seed: int, *, duration_us: int, rate_hz: int = 40_000) -> EventStream:
    """Return events all over the tiny sensor."""
    rng = np.random.default_rng(seed)
    n = duration_us * rate_hz // 1_000_000
    return EventStream.from_arrays(
        np.sort(rng.integers(0, duration_us, n)),
        rng.integers(0, TINY.width, n),
        rng.integers(0, TINY.height, n),
        rng.integers(0, 2, n),
        sensor=TINY,
        t0_us=0,
        t1_us=duration_us,
    )


def record(path: Path, events: EventStream) -> Path:
    """Write a recording with a frame every 50 ms."""
    ends = np.arange(FRAME_US, events.t1_us, FRAME_US)
    image = np.zeros(events.sensor, np.uint8)
    with DDD17Writer(path, sensor=events.sensor) as writer:
        for before, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True):
            writer.add_events(events.between(before, end))
            writer.add_frame(
                image, t_start_us=end - 9_000, exposure_start_us=end - 8_000,
                exposure_end_us=end - 1_000, t_end_us=end,
            )  # fmt: skip
    return path


def dataset(recordings: list[Path], out: Path, *, store: str) -> Path:
    """Encode recordings and give each sample labels."""
    encode_dataset(recordings, out, windows_us=(50_000,), store=store)
    manifest = Manifest.read(out / "manifest.toml")
    table = load_class_table(CLASSES)
    replace(manifest, labels={LABELS: table}).write(out / "manifest.toml")
    rng = np.random.default_rng(0)
    height, width = manifest.settings.sensor
    (out / "labels" / LABELS).mkdir(parents=True)
    for sample in open_source(out, label_set=LABELS).ids:
        blocks = rng.integers(0, len(table), (-(-height // 16), -(-width // 16)), dtype=np.uint8)
        image = blocks.repeat(16, axis=0).repeat(16, axis=1)[:height, :width]
        write_image(out / "labels" / LABELS / f"{sample}.png", image)
    return out


def settings(**changed: object) -> TrainConfig:
    still = {f"augmentation.{f}": getattr(Augmentation(), f) for f in ("flip", "shift")}
    still |= {"augmentation.scale": [1.0, 1.0], "augmentation.rotation_deg": 0.0}
    return load_config(overrides={"labels.set": LABELS, **still, **changed})


def loader_of(
    source: Source, config: TrainConfig, *, workers: int, device: torch.device
) -> DataLoader[Batch]:
    samples = Samples(source, config, len(source.classes), training=True)
    part = pick(source, config, split="train")
    batches = EpochBatches(
        part, batch_size=config.batch_size, seed=config.seed, block=config.shuffle_block,
        groups=[source.sequences[i] for i in part],
    )  # fmt: skip
    return load_batches(samples, batches, workers=workers, device=device)


def epochs(loader: DataLoader[Batch]) -> Iterator[Batch]:
    """Yield the batches of one epoch after the other, without end."""
    while True:
        yield from each_batch(loader)
        loader.batch_sampler.epoch += 1


def processes(loader: DataLoader[Batch]) -> list[int]:
    """Return the process ids of a loader's workers; fails if one has died."""
    workers = loader._iterator._workers
    assert all(worker.is_alive() for worker in workers), "a worker has died"
    return [worker.pid for worker in workers]


def memory_mib(pids: list[int]) -> float:
    """Return the anonymous memory of processes together, each page counted once.

    Pages of files are left out: what libraries take here depends on who else has them open.
    """
    total = 0
    for pid in pids:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss_Anon:"))
    return total / 1024


def soak(root: Path, *, samples: int, workers: int, encode: str) -> dict[str, object]:
    """Load so many samples and return the digests, the memory over time and the rate."""
    config = settings(**{
        "input.live": True, "input.encode": encode, "batch_size": 20, "shuffle_block": 5,
        "augmentation.flip": 0.5, "augmentation.drop": 0.2, "augmentation.window_jitter": 0.2,
    })  # fmt: skip
    source = open_source(root, label_set=LABELS)
    loader = loader_of(source, config, workers=workers, device=torch.device("cpu"))
    order, bits, memory = hashlib.sha256(), 0, []
    seen, first = 0, []
    begin = time.perf_counter()
    for k, batch in enumerate(epochs(loader)):
        x, _ = to_device(batch, torch.device("cpu"), memory_format="contiguous")
        order.update(batch["index"].numpy().tobytes())
        bits = zlib.crc32(x.numpy(), bits)
        seen += len(x)
        first = first or processes(loader)
        if k % max(1, samples // config.batch_size // 200) == 0:
            memory.append(memory_mib([os.getpid(), *processes(loader)]))
        if seen >= samples:
            break
    seconds = time.perf_counter() - begin
    alive = processes(loader) == first
    source.close()
    quarter = max(1, len(memory) // 4)
    # What comes before the workers have opened every recording is no leak.
    start = float(np.median(memory[quarter // 2 : quarter + quarter // 2]))
    end = float(np.median(memory[-quarter:]))
    return {
        "samples": seen, "seconds": round(seconds, 1), "samples/s": round(seen / seconds),
        "order": order.hexdigest(), "bits": f"{bits:08x}", "same workers": alive,
        "memory MiB, early": round(start, 1), "memory MiB, last quarter": round(end, 1),
        "memory MiB, most": round(max(memory), 1),
    }  # fmt: skip


def soak_twice(root: Path, *, samples: int, workers: int) -> dict[str, object]:
    paths = [
        record(root / f"soak{k}.hdf5", noise(k, duration_us=15_000_000 + 5_000_000 * k))
        for k in range(4)
    ]
    folder = dataset(paths, root / "soak", store="none")
    runs = {}
    for name, encode in (("first", "device"), ("second", "device"), ("by workers", "workers")):
        runs[name] = soak(folder, samples=samples, workers=workers, encode=encode)
        print(f"soak, {name:>10}: {runs[name]}", flush=True)
    for part in ("order", "bits"):
        found = {str(run[part]) for run in runs.values()}
        print(f"soak: {part} of the runs {'are equal' if len(found) == 1 else 'DIFFER'}")
    return {f"workers {workers}": runs}


def once(loader: DataLoader[Batch]) -> Callable[[], None]:
    """Return a function that loads an epoch."""

    def load() -> None:
        for batch in each_batch(loader):
            batch["x"].sum()

    return load


def on_cpu(root: Path, *, count: int, seconds: int, workers: int = 2) -> dict[str, object]:
    """Time live encoding by workers against stored tensors."""
    result: dict[str, object] = {}
    streams = {
        str(TINY): noise(0, duration_us=10 * seconds * 1_000_000),
        str(SENSOR): edges_and_noise(seconds * 1_000_000, duration_us=seconds * 1_000_000),
    }
    for name, events in streams.items():
        recording = record(root / f"{name}.hdf5", events)
        sources = {
            store: open_source(
                dataset([recording], root / f"{name}-{store}", store=store), label_set=LABELS
            )
            for store in ("npy", "npz")
        }
        loaders = {
            store: loader_of(source, settings(), workers=workers, device=torch.device("cpu"))
            for store, source in sources.items()
        }
        live = settings(**{"input.live": True, "input.encode": "workers"})
        loaders["live"] = loader_of(
            sources["npy"], live, workers=workers, device=torch.device("cpu")
        )
        samples = len(loaders["live"].batch_sampler) * live.batch_size
        took = rounds({each: once(loader) for each, loader in loaders.items()}, count=count)
        row = {f"{each} samples/s": samples / float(np.median(s)) for each, s in took.items()}
        row |= {f"live times {store}": ratio(took, store, "live") for store in ("npy", "npz")}
        result[name] = {each: round(value, 2) for each, value in row.items()}
        print(f"cpu, {name}, {samples} samples a round: {result[name]}", flush=True)
        for source in sources.values():
            source.close()
    return result


def training_of(
    name: str, config: TrainConfig, classes: int, device: torch.device
) -> NetworkInTraining:
    torch.manual_seed(0)
    network = Blueprint(name, 6, classes).build().to(device)
    return NetworkInTraining(
        network=network,
        forward=network,
        optimiser=build_optimiser(network, spec=config.optimiser),
        # Nothing is left to choose: a pass computes in what its settings state.
        config=replace(config, amp="off", memory_format="contiguous"),
        device=device,
        classes=classes,
        learning_rate=lambda _: 1e-4,
        loss=partial(segmentation_loss, spec=config.loss),
        scaler=torch.amp.GradScaler(device.type, enabled=False),
    )


def on_gpu(root: Path, *, count: int, seconds: int, workers: int) -> dict[str, object]:
    """Time training on events encoded live on the GPU against tensors that lie there."""
    try:
        choice = choose_encoder("cuda")
    except DeviceError as error:
        sys.exit(f"gpu: nothing was measured: {error}")
    device = torch.device("cuda")
    events = edges_and_noise(seconds * 1_000_000, duration_us=seconds * 1_000_000)
    folder = dataset([record(root / "gpu.hdf5", events)], root / "gpu", store="none")
    source = open_source(folder, label_set=LABELS)
    result: dict[str, object] = {"gpu": choice.reason, "workers": workers}
    for name in ("fastscnn", "evsegnet"):
        config = settings(**{"input.live": True, "input.encode": "device"})
        loader = loader_of(source, config, workers=workers, device=device)
        ready = []
        for batch in each_batch(loader):
            x, labels = to_device(batch, device, memory_format="contiguous")
            ready.append({"x": x, "labels": labels.byte(), "index": batch["index"]})
        training = training_of(name, config, len(source.classes), device)

        def train(
            batches: Callable[[], Iterator[Batch]],
            training: NetworkInTraining = training,
            n: int = len(ready),
        ) -> Callable[[], None]:
            def run() -> None:
                train_pass(training, batches(), updates=n)
                torch.cuda.synchronize()

            return run

        took = rounds(
            {
                "live": train(lambda loader=loader: each_batch(loader)),
                "ready": train(lambda ready=ready: iter(ready)),
            },
            count=count,
        )
        images = len(ready) * config.batch_size
        row = {f"{each} images/s": images / float(np.median(s)) for each, s in took.items()}
        row["live of ready"] = ratio(took, "ready", "live")
        result[name] = {each: round(value, 3) for each, value in row.items()}
        print(f"gpu, {name}: {result[name]}", flush=True)
    source.close()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", default="soak,cpu", help="some of soak,cpu,gpu")
    parser.add_argument("--samples", type=int, default=200_000, help="of each soak")
    parser.add_argument("--workers", type=int, default=4, help="of soak and gpu")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=int, default=10, help="of the DAVIS346 recordings")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", "This DataLoader will create")
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        os.environ["EVENTSEG_CACHE"] = str(root / "cache")
        parts: dict[str, Callable[[], dict[str, object]]] = {
            "soak": lambda: soak_twice(root, samples=asked.samples, workers=asked.workers),
            "cpu": lambda: on_cpu(root, count=asked.rounds, seconds=asked.seconds),
            "gpu": lambda: on_gpu(
                root, count=asked.rounds, seconds=asked.seconds, workers=asked.workers
            ),
        }
        for name in asked.parts.split(","):
            save(f"loader_{name}", {"machine": machine(), name: parts[name]()})


if __name__ == "__main__":
    main()
