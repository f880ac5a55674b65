"""The demo: the whole job on simulated drives and a page about it, stage by stage."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from eventseg.dataset import open_dataset
from eventseg.dataset_writer import encode_dataset
from eventseg.demo_learn import RUNS, TEACHER_DATA, Learnt, Lesson, learn
from eventseg.demo_page import demo_page
from eventseg.demo_pictures import picture_drive
from eventseg.errors import EventsegError, OutputError
from eventseg.events import SensorSize
from eventseg.simulate.street import DAVIS346, simulate_street
from eventseg.simulate.truth import Truth, truth_path
from eventseg.whole_file import write_whole
from eventseg.windows import format_duration

WINDOWS_US = (10_000, 50_000, 250_000)
"""The three windows of EV-SegNet."""

RECORD, PAGE, DATASET, RECORDINGS, PICTURES = (
    "demo.json", "index.html", "dataset", "recordings", "pictures",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Drive:
    """One drive of the demo: a scenario, a seed and how long it lasts."""

    scenario: str
    seed: int
    duration_us: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What a demo does.

    Parameters
    ----------
    drives : tuple of Drive
        Drives of different scenarios, each at least 0.4 s long.
    teacher_drives : tuple of Drive
        Other worlds, which only the teacher sees.
    unseen : str
        Scenario of the drive that is held out for test.
    lesson : Lesson, optional
        How long is trained; without, nothing is.
    moments : int
        Moments of each drive that the page shows.
    """

    drives: tuple[Drive, ...]
    teacher_drives: tuple[Drive, ...] = ()
    unseen: str = ""
    lesson: Lesson | None = None
    moments: int = 4


FULL = Plan(
    (
        Drive("day", 7, 5_000_000),
        Drive("night", 11, 5_000_000),
        Drive("fast-turn", 3, 5_000_000),
        Drive("crossing", 5, 5_000_000),
    ),
    (Drive("day", 101, 3_000_000), Drive("night", 102, 3_000_000)),
    unseen="crossing",
    lesson=Lesson(teacher_epochs=10, epochs=6),
)
QUICK = Plan(
    (Drive("day", 7, 1_600_000), Drive("crossing", 5, 1_000_000)),
    (Drive("day", 101, 1_000_000),),
    unseen="crossing",
    lesson=Lesson(teacher_epochs=10, epochs=10),
    moments=3,
)

Progress = Callable[[str, float], None]
"""Called with the name of a stage and the share of it that is done."""


def run_demo(
    out: str | Path,
    *,
    plan: Plan = FULL,
    sensor: SensorSize = DAVIS346,
    threads: int | None = None,
    progress: Progress = lambda _stage, _share: None,
    say: Callable[[str], None] = lambda _words: None,
) -> Path:
    """Do the whole job: drive, encode, teach, label, train, score, and write a page about it.

    A stage that is done is skipped, one that was stopped is done again. A folder that holds a
    demo of other drives is made anew.

    Parameters
    ----------
    out : path
        Folder to make or to finish: ``index.html``, ``recordings``, ``dataset``, ``runs``.
    plan : Plan
    sensor : SensorSize
        Size of the simulated sensor.
    threads : int, optional
        Threads of the simulator; by default one for each processor.
    progress : callable
        Called with a stage and its share done.
    say : callable
        Called with a word on each stage that is skipped.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    OutputError
        The folder cannot be written, or holds something else.
    """
    root = Path(out)
    settings = {
        "version": metadata.version("eventseg"),
        "sensor": list(sensor),
        "windows_us": list(WINDOWS_US),
        # As it reads back: a tuple would come back as a list.
        "plan": json.loads(json.dumps(asdict(plan))),
    }
    _claim(root, settings, say=say)
    recordings = [root / RECORDINGS / f"{drive.scenario}.hdf5" for drive in plan.drives]
    others = [root / RECORDINGS / f"teacher-{drive.scenario}.hdf5" for drive in plan.teacher_drives]
    for drive, recording in zip(
        (*plan.drives, *plan.teacher_drives), (*recordings, *others), strict=True
    ):
        stage = f"simulate {recording.stem}"
        if _is_simulated(recording, drive, sensor=sensor):
            say(f"{stage}: done before")
            continue
        (root / PAGE).unlink(missing_ok=True)
        # The truth is renamed last, so that it stands for the pair.
        truth_path(recording).unlink(missing_ok=True)
        simulate_street(
            recording,
            duration_us=drive.duration_us,
            seed=drive.seed,
            scenario=drive.scenario,
            sensor=sensor,
            threads=threads,
            progress=lambda share, stage=stage: progress(stage, share),  # type: ignore[misc]
        )
    summary = encode_dataset(
        recordings,
        root / DATASET,
        windows_us=WINDOWS_US,
        held_out=(plan.unseen,) if plan.unseen else (),
        store="npz",  # a tenth of the space: events touch few pixels
        progress=lambda now: progress(now.phase, now.done / now.total if now.total else 1.0),
    )
    if summary.datasets[0].already:
        say("encode: done before")
    else:
        (root / PAGE).unlink(missing_ok=True)
    if (root / PAGE).exists():
        say("page: done before")
    else:
        learnt = (
            learn(
                root,
                root / DATASET,
                teacher_recordings=others,
                windows=[format_duration(window_us) for window_us in WINDOWS_US],
                lesson=plan.lesson,
                progress=progress,
            )
            if plan.lesson
            else None
        )
        _write_page(root, plan, recordings, learnt, progress=progress)
    return root / PAGE


def _claim(root: Path, settings: dict[str, object], *, say: Callable[[str], None]) -> None:
    """Make the folder, or clear what a demo of other drives left in it."""
    record = root / RECORD
    if root.exists() and not root.is_dir():
        raise OutputError(f"output {root} is a file; give a folder that is new")
    if root.is_dir() and not record.exists() and any(root.iterdir()):
        raise OutputError(f"output {root} holds files but no demo; give a folder that is new")
    if record.exists() and _read(record) != settings:
        say(f"{root} holds a demo of other drives: its data set and page are made anew")
        try:
            (root / PAGE).unlink(missing_ok=True)
            for name in (DATASET, PICTURES, TEACHER_DATA, RUNS):
                if (root / name).exists():
                    shutil.rmtree(root / name)
        except OSError as error:
            raise OutputError(f"cannot clear {root}: {error}") from error
    if _read(record) != settings:
        write_whole(record, lambda file: file.write(json.dumps(settings, indent=2).encode()))


def _read(record: Path) -> object:
    try:
        return json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _is_simulated(recording: Path, drive: Drive, *, sensor: SensorSize) -> bool:
    """Return whether a recording and its truth are there and were made from these numbers."""
    if not recording.exists() or not truth_path(recording).exists():
        return False
    try:
        with Truth(truth_path(recording)) as truth:
            made = (truth.recipe["scenario"], truth.recipe["seed"], truth.sensor)
            lasts_us = truth.recipe["t1_us"] - truth.recipe["t0_us"]
    except EventsegError:
        return False
    return made == (drive.scenario, drive.seed, sensor) and lasts_us == drive.duration_us


def _write_page(
    root: Path,
    plan: Plan,
    recordings: Sequence[Path],
    learnt: Learnt | None,
    *,
    progress: Progress,
) -> None:
    stories = []
    with open_dataset(root / DATASET) as dataset:
        for index, (drive, recording) in enumerate(zip(plan.drives, recordings, strict=True)):
            stories.append(
                picture_drive(
                    recording,
                    dataset,
                    root / PICTURES / drive.scenario,
                    seed=drive.seed,
                    scenario=drive.scenario,
                    moments=plan.moments,
                    progress=lambda share, index=index: progress(  # type: ignore[misc]
                        "page", (index + share) / len(plan.drives)
                    ),
                )
            )
        page = demo_page(stories, root=root, dataset=dataset, learnt=learnt)
    write_whole(root / PAGE, lambda file: file.write(page.encode()))
