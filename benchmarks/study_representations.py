"""Representations of events under control: one network, one budget, one split, several seeds.

    uv run python benchmarks/study_representations.py FOLDER --recordings LEARNING/recordings
    uv run python benchmarks/study_representations.py FOLDER --updates 20000 --device cuda
    uv run python benchmarks/study_representations.py FOLDER --camvid CamVid
    uv run python benchmarks/study_representations.py FOLDER --tiny

Fast-SCNN learns six classes from events of 50 ms in EV-SegNet's six channels and in their rivals:
counts, counts with the latest times, voxel grid, stack of counts, and time surface. All channels
are raw, as they are stored; the six channels with square roots of their counts, the default of
training, are a line of their own. Drives, samples, updates, batch, order, augmentation and learning
rate are the same for all; with --rates each takes the rate that is best on its validation part with
the first seed. Runs are scored on unseen drives, whole and under stress, and each is tested against
the six channels on the samples that both share.

Seeds are outermost, so that a study that is cut has all lines with fewer seeds. What is done lies
in FOLDER and is not done again; no training begins once --minutes have passed, and a later call
goes on. A budget of an hour on a processor is 250 updates; --updates and --device scale it up.
Synthetic data, with --camvid events simulated from pictures of CamVid.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from paired import machine
from study import (
    FULL,
    TINY,
    Clock,
    Scored,
    against,
    at_best_rate,
    chosen,
    difference,
    drives,
    encoded,
    keep,
    learn,
    mean_curves,
    measured,
    options,
    scored,
    tested,
    train_seconds,
)

from eventseg.encoding.representation import parse_representation
from eventseg.evaluation.rows import Row
from eventseg.evaluation.settings import StressName
from eventseg.evaluation.stress.axes import AXES
from eventseg.events import SensorSize
from eventseg.html import markdown
from eventseg.plots.conditions import Line, figure_groups
from eventseg.plots.events import save_figure
from eventseg.recordings.truth import truth_path
from eventseg.simulate.images import simulate_images
from eventseg.training.config.config import load_config
from eventseg.training.layout import CONFIG


@dataclass(frozen=True)
class Entry:
    """One line of the study: representation as ``encode`` names it, and its normalisation."""

    representation: str
    normalise: str = "raw"


REFERENCE = "six channels"
LINES = {
    REFERENCE: Entry("mean-std"),
    "counts": Entry("count"),
    "counts, latest": Entry("count-latest"),
    "voxel grid": Entry("voxel:5"),
    "event stack": Entry("stack:5"),
    "time surface": Entry("time-surface:50ms"),
    "six channels, square roots": Entry("mean-std", "sqrt"),
}
SHORT = {name.replace(", ", "-").replace(" ", "-"): name for name in LINES}
"""Lines as --only names them."""

STRESS: tuple[StressName, ...] = ("drop", "shot", "leak", "window", "rate")
RATE = 0.02
"""Learning rate of Fast-SCNN by default."""


def camvid_recordings(camvid: Path, out: Path, *, limit: int | None, sensor: SensorSize) -> None:
    """Record the pictures of CamVid by a simulated camera in motion."""
    if not all(truth_path(out / f"{part}.hdf5").exists() for part in ("train", "test")):
        simulate_images(camvid, out, layout="camvid", limit=limit, sensor=sensor)


def run_name(short: str, settings: argparse.Namespace, *, rate: float, seed: int) -> str:
    """Return the folder of a run, which names everything that the command line can change."""
    return f"{short}-{settings.updates}x{settings.batch}-rate{rate:g}-seed{seed}"


def run_settings(
    entry: Entry, settings: argparse.Namespace, *, rate: float, seed: int
) -> dict[str, Any]:
    """Return the settings of a training, the same for all lines but the normalisation."""
    return {
        "network.name": "fastscnn",
        "input.normalise": entry.normalise,
        "optimiser.learning_rate": rate,
        "iterations": settings.updates,
        "batch_size": settings.batch,
        "seed": seed,
        "workers": settings.workers,
    }


def trained(
    name: str, data: Path, root: Path, settings: argparse.Namespace, clock: Clock, *, seed: int
) -> Path | None:
    """Return the run of a line and seed at the line's best rate, None where there is no time."""
    short = next(key for key, value in SHORT.items() if value == name)

    def run_of(rate: float, seed: int) -> Path | None:
        run = root / "runs" / run_name(short, settings, rate=rate, seed=seed)
        wanted = run_settings(LINES[name], settings, rate=rate, seed=seed)
        return run if learn(data, run, wanted, clock, device=settings.device) else None

    return at_best_rate(settings.rates, run_of, seed=seed)


def tables_of(lines: dict[str, dict[str, Any]], tests: dict[str, dict[str, Any]]) -> str:
    """Return the tables of the study as Markdown: scores with tests, and scores under stress."""
    scores = []
    for name, line in lines.items():
        low, high = line["interval_95"]
        scores.append(
            [
                *(name, str(line["channels"]), str(len(line["seeds"])), f"{line['miou']:.1f}"),
                *(f"{low:.1f} to {high:.1f}", f"{line['accuracy']:.1f}"),
                *difference(tests.get(name)),
            ]
        )
    header = ("representation", "channels", "seeds", "mIoU", "95 %", "pixels right, %")
    text = markdown((*header, f"against {REFERENCE}", "95 %", "p, Holm"), scores)
    axes = list(next(iter(lines.values()))["stress"])
    if not axes:
        return text
    kept = [
        [name, *(_kept(line["stress"][axis]["kept"]) for axis in axes)]
        for name, line in lines.items()
    ]
    titles = [AXES[axis].title for axis in axes]
    return f"{text}\nShare of the score that is kept under stress, %\n\n" + markdown(
        ("representation", *titles), kept
    )


def _kept(share: float | None) -> str:
    return "-" if share is None else f"{share:.0f}"


def draw(lines: dict[str, dict[str, Any]], folder: Path, *, count: int) -> None:
    """Draw the curve of each stress axis, with the least and the most of the seeds."""
    for axis in next(iter(lines.values()))["stress"]:
        curves = {name: line["stress"][axis] for name, line in lines.items()}
        samples = [count] * len(AXES[axis].levels)
        series = [
            Line(name, np.array(curve["miou"]), *np.array(curve["least_and_most"]).T, samples)
            for name, curve in curves.items()
        ]
        levels = next(iter(curves.values()))["levels"]
        figure = figure_groups(
            series,
            names=levels,
            title="mIoU of true classes, %",
            label=AXES[axis].title,
            joined=True,
        )
        save_figure(figure, folder / f"stress-{axis}.png")


def with_kept(curves: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return curves with the area under each as a share of its unchanged score, in percent."""
    for axis, curve in curves.items():
        values = np.array(curve["miou"])
        unchanged = values[curve["levels"].index(f"{AXES[axis].unchanged:g}")]
        area = float((values[1:] + values[:-1]).mean() / 2)
        curve["kept"] = round(100 * area / unchanged, 1) if unchanged > 0 else None
    return curves


def main() -> None:
    parser = options(argparse.ArgumentParser(description=__doc__.partition("\n")[0]), updates=250)
    parser.add_argument(
        "--rates", default=f"{RATE:g}", metavar="RATE,RATE", help=f"learning rates [{RATE:g}]"
    )
    parser.add_argument(
        "--stress-samples", type=int, default=100, help="samples of a curve, 0 for none [100]"
    )
    parser.add_argument("--camvid", type=Path, help="learn from events of pictures of CamVid")
    parser.add_argument("--pictures", type=int, help="most pictures of a part of CamVid")
    settings = parser.parse_args()
    settings.rates = [float(rate) for rate in settings.rates.split(",")]
    shorts = chosen(parser, settings.only, list(SHORT))
    if settings.tiny:
        settings.updates, settings.batch = 6, 4
        settings.stress_samples = min(6, settings.stress_samples)
    clock = Clock(settings.minutes)
    root = settings.folder / "tiny" if settings.tiny else settings.folder
    streets = TINY if settings.tiny else FULL
    stress = STRESS if settings.stress_samples else ()

    if settings.camvid:
        made = root / "camvid"
        sensor = TINY.sensor if settings.tiny else SensorSize(130, 172)
        limit = 12 if settings.tiny else settings.pictures
        camvid_recordings(settings.camvid, made, limit=limit, sensor=sensor)
        recordings, held_out = [made / "train.hdf5", made / "test.hdf5"], ["test"]
        about = f"synthetic, events at {sensor} before pictures of CamVid, six classes"
    else:
        learnt, unseen = drives(settings.recordings or root / "recordings", streets)
        recordings, held_out = [*learnt, *unseen], [path.stem for path in unseen]
        about = str(streets)
    prefix = "camvid-" if settings.camvid else ""
    data = {}
    for name in (SHORT[short] for short in shorts):
        representation = LINES[name].representation
        out = root / f"{prefix}{representation.replace(':', '-')}.eventseg"
        data[name] = encoded(out, recordings, held_out=held_out, representation=representation)
        clock.tell(f"{name}: encoded")

    runs: dict[str, list[Path]] = {name: [] for name in data}
    found: dict[str, list[Scored]] = {name: [] for name in data}
    priors: list[Row] = []
    folder = root / f"{prefix}study"
    for seed in range(settings.seeds):
        for name in data:
            run = trained(name, data[name], folder, settings, clock, seed=seed)
            if run is None:
                clock.tell(f"{name}, seed {seed}: no time left")
                continue
            one, others = scored(
                run,
                data[name],
                device=settings.device,
                stress=stress,
                stress_samples=settings.stress_samples,
                baselines=seed == 0 and name == REFERENCE,
            )
            priors += others
            runs[name].append(run)
            found[name].append(one)
            clock.tell(f"{run.name}: {100 * one.row.scores.miou_truth:.2f} mIoU")
    rows = {name: [one.row for one in of_line] for name, of_line in found.items() if of_line}
    if not rows:
        parser.error(f"no run was done within {settings.minutes:g} minutes")
    lines = {}
    for name, of_line in rows.items():
        line = measured(of_line)
        lines[name] = {
            "representation": LINES[name].representation,
            "normalise": LINES[name].normalise,
            "channels": parse_representation(LINES[name].representation).channels,
            **line,
            "rate": load_config(runs[name][0] / CONFIG).optimiser.learning_rate,
            "train_s": [round(train_seconds(run)) for run in runs[name]],
            "stress": with_kept(mean_curves(found[name])),
        }
    tests = tested(rows, against(REFERENCE, list(rows)))
    table = tables_of(lines, tests)
    print(table)
    samples = len(next(iter(rows.values()))[0].ids)
    draw(lines, root, count=min(samples, settings.stress_samples))
    result = {
        "machine": machine(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "device": settings.device,
        "data": about,
        "network": "fastscnn",
        "window": "50ms",
        "updates": settings.updates,
        "batch": settings.batch,
        "rates": settings.rates,
        "samples": samples,
        "stress_samples": settings.stress_samples,
        "minutes": round(clock.passed, 1),
        "lines": lines,
        "baselines": {row.name: measured([row]) for row in priors},
        "tests": tests,
    }
    keep(f"{prefix}representations", result, table, root, tiny=settings.tiny)


if __name__ == "__main__":
    main()
