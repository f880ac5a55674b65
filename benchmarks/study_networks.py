"""The ten networks in one study: one budget, one split, several seeds, and what a step costs.

    uv run python benchmarks/study_networks.py FOLDER --recordings LEARNING/recordings
    uv run python benchmarks/study_networks.py FOLDER --part enet,rates --updates 1000
    uv run python benchmarks/study_networks.py FOLDER --updates 20000 --device cuda --minutes 600
    uv run python benchmarks/study_networks.py FOLDER --tiny --only fastscnn,enet

Each network learns six classes from the six channels of events of 50 ms of the same simulated
drives, with the same samples, updates, batch, order and augmentation, and is scored on the same
unseen drives. Parts of the study:

networks  the ten networks, each against Fast-SCNN
aspp      the units of DenseASPP side by side (ASPP) against dense ones and none, on one trunk
enet      ENet against its ablations: no dilation, no regular bottlenecks, no pooling branch
rates     ENet with Adam at batches of 5 and 10 and rates of 5e-4 and 8e-4, for as many samples

A network learns at its usual rate; of these, those of Fast-SCNN, ENet, CGNet and EV-SegNet were
chosen on such drives, and the others are 1e-3. With --rates each network takes the rate that is
best on the validation part with the first seed.

Networks run from the cheapest to the dearest and seeds are outermost, so that a study that is cut
has a table. What is done lies in FOLDER and is not done again; no training begins once --minutes
have passed, and a later call goes on. Synthetic data.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from bench_networks import peak_mb
from paired import machine
from study import (
    FULL,
    TINY,
    Clock,
    against,
    at_best_rate,
    chosen,
    difference,
    drives,
    encoded,
    keep,
    learn,
    measured,
    options,
    outcome,
    scored,
    tested,
    train_seconds,
)
from torch.nn import functional

from eventseg.evaluation.rows import Row
from eventseg.html import markdown
from eventseg.networks import SegmentationNetwork, build_network, cost, parameter_count
from eventseg.networks.zoo import usual_learning_rate
from eventseg.training.config.config import load_config
from eventseg.training.layout import CONFIG

CHANNELS, CLASSES = 6, 6
PYRAMIDS = Path(__file__).resolve().parent / "pyramids.py"
STEPS = 3
"""Training steps that are timed, after one that is not."""


@dataclass(frozen=True)
class Entry:
    """One line of the study: network, its options, further settings, and batch where it is own."""

    network: str
    options: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    batch: int = 0


def _rates() -> dict[str, Entry]:
    """Return ENet as the study of ENet trained it, at its rates and batches."""
    adam = {"optimiser.kind": "adam", "optimiser.weight_decay": 2e-4}
    loss = {"loss.terms": {"cross_entropy": 1.0}, "loss.class_weights": "enet"}
    return {
        f"enet-batch{batch}-rate{rate:g}": Entry(
            "enet", settings={**adam, **loss, "optimiser.learning_rate": rate}, batch=batch
        )
        for batch in (5, 10)
        for rate in (5e-4, 8e-4)
    }


LINES = {
    "fastscnn": Entry("fastscnn"),
    "enet": Entry("enet"),
    "cgnet": Entry("cgnet"),
    "evsegnet": Entry("evsegnet"),
    "denseaspp121": Entry("denseaspp121"),
    "deeplabv3plus": Entry("deeplabv3plus_resnet50"),
    "segnet": Entry("segnet"),
    "deeplabv3": Entry("deeplabv3_resnet50"),
    "pspnet50": Entry("pspnet50"),
    "unet": Entry("unet"),
    "densenet-aspp": Entry(f"{PYRAMIDS}:ParallelASPP"),
    "densenet-alone": Entry(f"{PYRAMIDS}:NoPyramid"),
    "enet-no-dilation": Entry("enet", {"dilation": False}),
    "enet-no-regular": Entry("enet", {"regular": False}),
    "enet-no-pooling": Entry("enet", {"pooling_branch": False}),
    **_rates(),
}

PARTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "networks": ("fastscnn", tuple(LINES)[:10]),
    "aspp": ("densenet-aspp", ("denseaspp121", "densenet-aspp", "densenet-alone")),
    "enet": ("enet", ("enet", *(name for name in LINES if name.startswith("enet-no-")))),
    "rates": ("enet-batch10-rate0.0005", tuple(_rates())),
}
"""Parts of the study: line that the others are tested against, and lines."""

CLAIMS = {
    "CGNet is better than ENet": ("ENet study", "cgnet", "enet"),
    "ENet is better than SegNet": ("ENet study", "enet", "segnet"),
    "dilation in ENet helps": ("ENet study: no change", "enet", "enet-no-dilation"),
    "regular bottlenecks in ENet help": ("ENet study", "enet", "enet-no-regular"),
    "the pooling branch in ENet helps": ("ENet study", "enet", "enet-no-pooling"),
    "a batch of 5 is better than 10, at 8e-4": (
        *("ENet study", "enet-batch5-rate0.0008", "enet-batch10-rate0.0008"),
    ),
    "a rate of 8e-4 is better than 5e-4, at a batch of 5": (
        *("ENet study", "enet-batch5-rate0.0008", "enet-batch5-rate0.0005"),
    ),
    "ASPP helps": ("Cityscapes comparison", "densenet-aspp", "densenet-alone"),
    "dense connections in ASPP help": ("Cityscapes comparison", "denseaspp121", "densenet-aspp"),
    "DenseASPP is better than DeepLabV3": ("Cityscapes comparison", "denseaspp121", "deeplabv3"),
}
"""Claims of the source reports: report, line that should be better, and the other."""


def build(entry: Entry, device: str) -> SegmentationNetwork:
    """Return the network of a line with random weights."""
    torch.manual_seed(0)
    with torch.device(device):
        return build_network(
            entry.network, in_channels=CHANNELS, classes=CLASSES, **dict(entry.options)
        )


def step_cost(entry: Entry, *, batch: int, height: int, width: int, device: str) -> dict[str, Any]:
    """Return time and memory of a training step, to be called in a process of its own.

    Times are the least of the steps: processor time of all threads, which other work on the machine
    hardly changes, and wall time. Memory is the peak beyond what torch takes, weights included.
    """
    on_gpu = device == "cuda"
    before = torch.cuda.memory_allocated() / 2**20 if on_gpu else peak_mb()
    network = build(entry, device).train()
    optimiser = torch.optim.Adam(network.parameters())
    x = torch.randn(batch, CHANNELS, height, width, device=device)
    truth = torch.randint(CLASSES, (batch, height, width), device=device)
    seconds, processor_seconds = [], []
    for _ in range(STEPS + 1):
        begin, begin_processor = time.perf_counter(), time.process_time()
        logits = network(x)
        functional.cross_entropy(
            logits[0] if isinstance(logits, tuple) else logits, truth
        ).backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        if on_gpu:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begin)
        processor_seconds.append(time.process_time() - begin_processor)
    peak = torch.cuda.max_memory_allocated() / 2**20 if on_gpu else peak_mb()
    return {
        "step_ms": round(1e3 * min(seconds[1:]), 1),
        "step_processor_ms": round(1e3 * min(processor_seconds[1:]), 1),
        "step_mb": round(peak - before),
    }


def costs(
    names: Sequence[str], settings: argparse.Namespace, root: Path, *, size: tuple[int, int]
) -> dict[str, dict[str, Any]]:
    """Return what each line costs; steps are measured once, in processes of their own."""
    path = root / f"costs-{settings.device}-{settings.batch}.json"
    known: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.is_file() else {}
    for name in names:
        if name in known:
            continue
        batch = LINES[name].batch or settings.batch
        network = build(LINES[name], "meta")
        command = [sys.executable, __file__, str(root), "--step", name, "--batch", str(batch)]
        command += ["--device", settings.device, "--size", *map(str, size)]
        ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        known[name] = {
            "parameters": parameter_count(network),
            "gmac": round(cost(network, height=size[0], width=size[1]).gmac, 3),
            "step_batch": batch,
            **json.loads(ended.stdout),
        }
        path.write_text(json.dumps(known, indent=2) + "\n")
    return {name: known[name] for name in names}


def trained(
    name: str, data: Path, root: Path, settings: argparse.Namespace, clock: Clock, *, seed: int
) -> Path | None:
    """Return the run of a line and seed, None where there is no time for it."""
    entry = LINES[name]
    batch = entry.batch or settings.batch
    updates = max(1, settings.updates * settings.batch // batch)

    def run_of(rate: float, seed: int) -> Path | None:
        run = root / "runs" / f"{name}-{updates}x{batch}-rate{rate:g}-seed{seed}"
        wanted = {
            "network.name": entry.network,
            "network.options": dict(entry.options),
            "optimiser.learning_rate": rate,
            **entry.settings,
            "iterations": updates,
            "batch_size": batch,
            "seed": seed,
            "workers": settings.workers,
        }
        return run if learn(data, run, wanted, clock, device=settings.device) else None

    own = entry.settings.get("optimiser.learning_rate")
    usual = usual_learning_rate(entry.network, optimiser="adam")
    rates = [own] if own else settings.rates or [usual]
    return at_best_rate(rates, run_of, seed=seed)


def table_of(part: str, lines: dict[str, dict[str, Any]], tests: dict[str, dict[str, Any]]) -> str:
    """Return the table of a part as Markdown."""
    reference, names = PARTS[part]
    header = (
        *("network", "parameters", "GMAC", "step, s of processor", "MB", "rate", "seeds"),
        *("mIoU", "95 %", f"against {reference}", "95 %", "p, Holm"),
    )
    rows = []
    for name in names:
        if name not in lines:
            continue
        line = lines[name]
        low, high = line["interval_95"]
        rows.append(
            [
                *(name, f"{line['parameters']:,}", f"{line['gmac']:.3g}"),
                *(f"{line['step_processor_ms'] / 1e3:.2f}", f"{line['step_mb']:,}"),
                *(f"{line['rate']:g}", str(len(line["seeds"])), f"{line['miou']:.1f}"),
                f"{low:.1f} to {high:.1f}",
                *difference(tests.get(name)),
            ]
        )
    return markdown(header, rows)


def claim_table(claims: dict[str, dict[str, Any]]) -> str:
    """Return the table of the claims as Markdown; all outcomes are of this study's data."""
    rows = [
        [claim, CLAIMS[claim][0], outcome(test), *difference(test)]
        for claim, test in claims.items()
    ]
    return markdown(("claim", "of", "outcome", "difference", "95 %", "p, Holm"), rows)


def main() -> None:
    parser = options(
        argparse.ArgumentParser(
            description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        ),
        updates=250,
    )
    parser.add_argument(
        "--part", default="networks,aspp,enet", metavar="PART,PART", help=f"of {', '.join(PARTS)}"
    )
    parser.add_argument("--rates", default="", metavar="RATE,RATE", help="learning rates to try")
    parser.add_argument("--step", choices=LINES, help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, nargs=2, help=argparse.SUPPRESS)
    settings = parser.parse_args()
    if settings.step:
        height, width = settings.size
        found = step_cost(
            LINES[settings.step],
            batch=settings.batch,
            height=height,
            width=width,
            device=settings.device,
        )
        print(json.dumps(found))
        return
    settings.rates = [float(rate) for rate in settings.rates.split(",") if rate]
    parts = settings.part.split(",")
    if unknown := [part for part in parts if part not in PARTS]:
        parser.error(f"--part has no {', '.join(unknown)}; parts are {', '.join(PARTS)}")
    wanted = list(dict.fromkeys(name for part in parts for name in PARTS[part][1]))
    names = chosen(parser, settings.only, wanted)
    clock = Clock(settings.minutes)
    root = settings.folder / "tiny" if settings.tiny else settings.folder
    if settings.tiny:
        settings.updates, settings.batch = 6, 4
    streets = TINY if settings.tiny else FULL
    learnt, unseen = drives(settings.recordings or root / "recordings", streets)
    data = encoded(
        root / "mean-std.eventseg",
        [*learnt, *unseen],
        held_out=[path.stem for path in unseen],
        representation="mean-std",
    )
    clock.tell("encoded")
    cost_of = costs(names, settings, root, size=(streets.sensor.height, streets.sensor.width))
    names.sort(key=lambda name: cost_of[name]["gmac"])
    clock.tell("steps are measured")

    runs: dict[str, list[Path]] = {name: [] for name in names}
    rows: dict[str, list[Row]] = {}
    for seed in range(settings.seeds):
        for name in names:
            run = trained(name, data, root / "study", settings, clock, seed=seed)
            if run is None:
                clock.tell(f"{name}, seed {seed}: no time left")
                continue
            one, _ = scored(run, data, device=settings.device)
            runs[name].append(run)
            rows.setdefault(name, []).append(one.row)
            clock.tell(f"{run.name}: {100 * one.row.scores.miou_truth:.2f} mIoU")
    if not rows:
        parser.error(f"no run was done within {settings.minutes:g} minutes")
    lines = {
        name: {
            "network": LINES[name].network.rpartition("/")[2],
            "options": dict(LINES[name].options),
            **cost_of[name],
            **measured(of_line),
            "rate": load_config(runs[name][0] / CONFIG).optimiser.learning_rate,
            "train_s": [round(train_seconds(run)) for run in runs[name]],
        }
        for name, of_line in rows.items()
    }
    tests = {part: tested(rows, against(*PARTS[part])) for part in parts}
    claims = tested(rows, {claim: (one, other) for claim, (_, one, other) in CLAIMS.items()})
    tables = {part: table_of(part, lines, tests[part]) for part in parts}
    if claims:
        tables["claims"] = claim_table(claims)
    text = "\n".join(f"{title}\n\n{table}" for title, table in tables.items())
    print(text)
    result = {
        "machine": machine(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "device": settings.device,
        "data": str(streets),
        "window": "50ms",
        "updates": settings.updates,
        "batch": settings.batch,
        "rates": settings.rates,
        "samples": len(next(iter(rows.values()))[0].ids),
        "steps": f"least of {STEPS} training steps, float32, in a process of its own",
        "minutes": round(clock.passed, 1),
        "lines": lines,
        "tests": tests,
        "claims": {claim: {**test, "outcome": outcome(test)} for claim, test in claims.items()},
    }
    keep("networks_study", result, text, root, tiny=settings.tiny)


if __name__ == "__main__":
    main()
