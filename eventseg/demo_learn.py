"""The second half of the demo: a teacher from other worlds, its labels, a network, its scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import torch

from eventseg.dataset_writer import encode_dataset
from eventseg.evaluation.evaluate import Row
from eventseg.evaluation.page import table
from eventseg.evaluation.report import HEADER, percent, summary_rows
from eventseg.evaluation.run_evaluation import Request, evaluate_run
from eventseg.labels import EVSEGNET_6
from eventseg.pseudolabel import LabelRecipe, TestTime, label_dataset, load_teacher
from eventseg.pseudolabel.confidence import Filters
from eventseg.training.config import load_config
from eventseg.training.run_folder import BEST
from eventseg.training.sources import open_source
from eventseg.training.trainer import train

TEACHER_DATA, RUNS, TAUGHT = "teacher", "runs", "taught"
"""Data set of the teacher, folder of the runs, and the name of the label set it makes."""

LIGHT = {
    "network.name": "fastscnn",
    "batch_size": 4,
    "workers": 0,
    "augmentation.scale": [0.8, 1.25],
    "augmentation.shift": 0.0,
    "augmentation.rotation_deg": 0.0,
    "optimiser.learning_rate": 2e-3,
}
"""Settings of both networks: what a laptop learns in minutes."""

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Lesson:
    """How long the demo trains.

    Parameters
    ----------
    teacher_epochs, epochs : int
        Of the teacher on gray frames, and of the network on events.
    """

    teacher_epochs: int
    epochs: int


@dataclass(frozen=True, eq=False, slots=True)
class Learnt:
    """What was learnt, with what the page links to.

    Parameters
    ----------
    against_truth, against_taught : list of Row
        Scores on the unseen drive against the truth and against the teacher's labels.
    teacher, network : Path
        Run folders.
    reports : mapping of str to Path
        Pages by what they score against.
    """

    against_truth: list[Row]
    against_taught: list[Row]
    teacher: Path
    network: Path
    reports: Mapping[str, Path]


def learn(
    root: Path,
    dataset: Path,
    *,
    teacher_recordings: Sequence[Path],
    windows: Sequence[str],
    lesson: Lesson,
    progress: Progress = lambda _stage, _share: None,
) -> Learnt:
    """Train a teacher on other worlds, label the drives by it, train on its labels, and score.

    Each step goes on where it was stopped.

    Parameters
    ----------
    root : Path
        Folder of the demo.
    dataset : Path
        Data set of the drives.
    teacher_recordings : sequence of Path
        Simulated recordings of worlds that are not among the drives.
    windows : sequence of str
        Windows that the network is trained on and scored at.
    lesson : Lesson
    progress : callable
        Called with a stage and its share done.
    """
    encode_dataset(teacher_recordings, root / TEACHER_DATA, windows_us=(50_000,), store="none")
    teacher, network = root / RUNS / "teacher", root / RUNS / "events"
    _train(
        root / TEACHER_DATA, teacher, "train the teacher", progress,
        {"input.kind": "gray", "labels.classes": "evsegnet6", "epochs": lesson.teacher_epochs},
    )  # fmt: skip
    label_dataset(
        dataset,
        [load_teacher(str(teacher / BEST), device=torch.device("cpu"))],
        name=TAUGHT,
        classes=EVSEGNET_6,
        recipe=LabelRecipe(TestTime((1.0,), flip=True), filters=Filters(threshold=0.5)),
        batch=4,
        progress=lambda _phase, done, total: progress("pseudo-label", done / max(1, total)),
    )
    _train(
        dataset, network, "train on events", progress,
        {"input.windows": list(windows), "labels.set": TAUGHT, "epochs": lesson.epochs},
    )  # fmt: skip
    found, reports = {}, {}
    for labels in ("truth", TAUGHT):
        request = Request(
            windows=tuple(windows), labels=labels, device="cpu",
            teacher=TAUGHT if labels == "truth" else None,
        )  # fmt: skip
        reports[labels], found[labels] = evaluate_run(
            network, dataset, request=request,
            progress=lambda _name, done, total, labels=labels: progress(  # type: ignore[misc]
                f"score, {labels}", done / max(1, total)
            ),
        )  # fmt: skip
    return Learnt(found["truth"], found[TAUGHT], teacher, network, reports)


def learnt_section(learnt: Learnt, *, root: Path) -> str:
    """Return what the page says of it, as HTML with links relative to the demo's folder."""

    def link(path: Path) -> str:
        return escape(path.relative_to(root).as_posix(), quote=True)

    best = max(learnt.against_truth, key=lambda row: row.scores.miou_present)
    rows = [line[:-1] for line in summary_rows(learnt.against_truth)]
    agreement = [line[:-1] for line in summary_rows(learnt.against_taught)[:3]]
    reports = ", ".join(
        f'<a href="{link(path)}">against {escape(name)}</a>'
        for name, path in learnt.reports.items()
    )
    return f"""<h2 id="learnt">What a network made of it</h2>
<p>A small teacher learnt from the gray frames and true labels of <b>other</b> streets. It labelled
the frames of the drives above; a small network then learnt these labels from the events alone, and
was scored on the drive that it had never seen. Best against the truth: {escape(best.name)},
{percent(best.scores.miou_present)} % mIoU. Minutes of training on a few seconds of driving: the
figures show that the job runs, not what the method can do.</p>
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
    data: Path, out: Path, stage: str, progress: Progress, settings: Mapping[str, Any]
) -> None:
    config = load_config(overrides={**LIGHT, **settings})
    source = open_source(data, label_set=config.labels.set)
    try:
        train(
            source, out, config=config, resume=True,
            progress=lambda now: progress(stage, now.update / now.updates),
        )  # fmt: skip
    finally:
        source.close()
