"""The second half of the demo: a teacher from other worlds, its labels, a network, its scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import torch

from eventseg.dataset.writer import encode_dataset
from eventseg.demo.drives import Drive, simulate_drives
from eventseg.demo.film import film_streets
from eventseg.evaluation.baselines import TUNED_PRIOR
from eventseg.evaluation.report.tables import HEADER, percent, summary_rows
from eventseg.evaluation.rows import Row
from eventseg.evaluation.run_evaluation import evaluate_run
from eventseg.evaluation.settings import EvaluationRequest
from eventseg.events import SensorSize
from eventseg.html import table
from eventseg.labels.maps import EVSEGNET_6
from eventseg.pseudolabel import LabelRecipe, TestTimeAugmentation, label_dataset, load_teacher
from eventseg.pseudolabel.confidence import LabelFilters
from eventseg.recordings.progress import Report, in_stage, no_report
from eventseg.sources.source import open_source
from eventseg.training.config.config import load_config
from eventseg.training.layout import BEST
from eventseg.training.trainer import train
from eventseg.windows import parse_duration

RECORDINGS, RUNS, TAUGHT = "recordings", "runs", "taught"
"""Folders of the recordings and of the runs, and the name of the labels that are made."""

STREETS, TEACHER_DATA = "streets", "teacher"
"""Data sets of the network and of the teacher."""

LIGHT = {
    "network.name": "fastscnn",
    "batch_size": 8,
    "workers": 0,
    "amp": "off",
    "memory_format": "channels_last",
    "batch_norm_batches": 0,  # its running means are fast, and epochs short
}
"""Settings of both networks that differ from the defaults: what a laptop learns in minutes."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """Lesson of the demo: its streets and its length.

    Parameters
    ----------
    sensor : SensorSize
        Size of the streets that are learnt: small, so that many fit into the time.
    teacher_drives, drives, unseen : tuple of Drive
        Streets of the teacher, of the network, and those that it is scored on.
    teacher_iterations, iterations : int
        Updates of the teacher on gray frames, and of the network on events.
    """

    sensor: SensorSize
    teacher_drives: tuple[Drive, ...]
    drives: tuple[Drive, ...]
    unseen: tuple[Drive, ...]
    teacher_iterations: int
    iterations: int


@dataclass(frozen=True, eq=False, slots=True)
class Learnt:
    """Result of the lesson, with the files that the page links to.

    Parameters
    ----------
    against_truth, against_taught : list of Row
        Scores on the unseen streets against the truth and against the teacher's labels.
    dataset : Path
        Data set of the streets.
    teacher, network : Path
        Run folders.
    reports : mapping of str to Path
        Pages by the labels they score against.
    film : Path
        Film of unseen streets.
    """

    against_truth: list[Row]
    against_taught: list[Row]
    dataset: Path
    teacher: Path
    network: Path
    reports: Mapping[str, Path]
    film: Path


def learn(
    root: Path,
    *,
    lesson: Lesson,
    windows: Sequence[str],
    threads: int | None = None,
    progress: Report = no_report,
) -> Learnt:
    """Train a teacher on other streets, label the streets by it, train on its labels, score, film.

    Each step goes on where it was stopped.

    Parameters
    ----------
    root : Path
        Folder of the demo.
    lesson : Lesson
    windows : sequence of str
        Windows that the network is trained on and scored at.
    threads : int, optional
        Threads of the simulator.
    progress : callable
        Called with the progress of each step.
    """

    def simulated(stage: str, folder: str, drives: Sequence[Drive]) -> tuple[Path, ...]:
        return simulate_drives(
            root / RECORDINGS / folder,
            drives,
            sensor=lesson.sensor,
            threads=threads,
            progress=in_stage(stage, progress),
        )

    taught = simulated("teacher's streets", TEACHER_DATA, lesson.teacher_drives)
    streets = simulated("streets to learn", STREETS, lesson.drives)
    unseen = simulated("streets to score", STREETS, lesson.unseen)
    dataset = root / STREETS
    windows_us = [parse_duration(window) for window in windows]
    # Nothing is stored: networks of this size wait for no encoder.
    encode_dataset(
        taught,
        root / TEACHER_DATA,
        windows_us=windows_us[:1],
        store="none",
        sensor=lesson.sensor,
    )
    encode_dataset(
        [*streets, *unseen],
        dataset,
        windows_us=windows_us,
        store="none",
        sensor=lesson.sensor,
        held_out=[path.stem for path in unseen],
        progress=in_stage("streets", progress),
    )
    teacher, network = root / RUNS / "teacher", root / RUNS / "events"
    _train(
        root / TEACHER_DATA,
        teacher,
        "train the teacher",
        progress,
        {
            "input.kind": "gray",
            "labels.classes": "evsegnet6",
            "iterations": lesson.teacher_iterations,
        },
    )
    label_dataset(
        dataset,
        [load_teacher(str(teacher / BEST), device=torch.device("cpu"))],
        name=TAUGHT,
        classes=EVSEGNET_6,
        recipe=LabelRecipe(
            TestTimeAugmentation((1.0,), flip=True),
            filters=LabelFilters(threshold=0.5),
            arithmetic="exact",  # the same labels on every machine
        ),
        batch=8,
        progress=in_stage("pseudo-label", progress),
    )
    _train(
        dataset,
        network,
        "train on events",
        progress,
        {"input.windows": list(windows), "labels.set": TAUGHT, "iterations": lesson.iterations},
    )
    found, reports = {}, {}
    for labels in ("truth", TAUGHT):
        request = EvaluationRequest(
            windows=tuple(windows),
            labels=labels,
            device="cpu",
            teacher=TAUGHT if labels == "truth" else None,
        )
        reports[labels], found[labels] = evaluate_run(
            network,
            dataset,
            request=request,
            progress=in_stage(f"score, {labels}", progress, named=True),
        )
    film = film_streets(
        root,
        unseen,
        network=network,
        teacher=teacher,
        window="50ms" if "50ms" in windows else windows[0],
        progress=progress,
    )
    return Learnt(found["truth"], found[TAUGHT], dataset, teacher, network, reports, film)


def learnt_section(learnt: Learnt, *, root: Path) -> str:
    """Return the page's section about it, as HTML with links relative to the demo's folder."""

    def link(path: Path) -> str:
        return escape(path.relative_to(root).as_posix(), quote=True)

    network = [row for row in learnt.against_truth if row.name == learnt.network.name]
    prior = next(row for row in learnt.against_truth if row.name == TUNED_PRIOR)
    best = max(network, key=lambda row: row.scores.miou_present)
    rows = [line[:-1] for line in summary_rows(learnt.against_truth)]
    agreement = [line[:-1] for line in summary_rows(learnt.against_taught)[: len(network)]]
    reports = ", ".join(
        f'<a href="{link(path)}">against {escape(name)}</a>'
        for name, path in learnt.reports.items()
    )
    return f"""<h2 id="learnt">What a network made of it</h2>
<p>A small teacher learnt from the gray frames and true labels of some small streets. It labelled
the frames of <b>other</b> streets; a small network then learnt these labels from the events alone,
and was scored on streets that neither had seen. Against the truth it reaches
<b>{percent(best.scores.miou_present)} % mIoU</b> at {escape(best.window)}, where knowing only what
mostly lies where gives {percent(prior.scores.miou_present)} %. A short lesson on little driving:
the figures show that the job runs, not what the method can do.</p>
<figure class="card"><img src="{link(learnt.film)}" loading="lazy"
alt="Film of unseen streets: frame, events, truth, predictions and errors"><figcaption>Streets
that neither has seen: frame, events and truth; what the network saw in 50 ms of events and the
teacher in the frames; wrong pixels in red.</figcaption></figure>
<h3>Against the truth, %</h3>
<div class="card" style="overflow-x:auto">{table(HEADER[:-1], rows)}</div>
<h3>Against the teacher's labels, %</h3>
<div class="card" style="overflow-x:auto">{table(HEADER[:-1], agreement)}</div>
<p>Whole reports: {reports}.</p>
<figure class="card"><img src="{link(learnt.network / "samples.png")}" loading="lazy"
alt="Events, labels and predictions"><figcaption>Validation samples: events, the teacher's labels,
the network's prediction.</figcaption></figure>
<figure class="card"><img src="{link(learnt.network / "curves.png")}" loading="lazy"
alt="Learning curves"><figcaption>Learning curves of the network on events.</figcaption></figure>"""


def _train(
    data: Path, out: Path, stage: str, progress: Report, settings: Mapping[str, Any]
) -> None:
    config = load_config(overrides={**LIGHT, **settings})
    source = open_source(data, label_set=config.labels.set)
    try:
        train(
            source,
            out,
            config=config,
            resume=True,
            progress=in_stage(stage, progress),
        )
    finally:
        source.close()
