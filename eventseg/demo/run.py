"""The demo: all stages of the pipeline on simulated drives, and a page about them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from pathlib import Path

from eventseg.dataset.opening import open_dataset
from eventseg.dataset.writer import encode_dataset
from eventseg.demo.drives import Drive, simulate_drive, streets
from eventseg.demo.film import FILM, PREDICTIONS
from eventseg.demo.learn import RECORDINGS, RUNS, STREETS, TEACHER_DATA, Learnt, Lesson, learn
from eventseg.demo.page import demo_page
from eventseg.demo.pictures import picture_drive
from eventseg.errors import OutputError
from eventseg.events import SensorSize
from eventseg.files.texts import read_text
from eventseg.files.whole import write_whole
from eventseg.recordings.progress import Progress, Report, in_stage, no_report
from eventseg.simulate.street import DAVIS346
from eventseg.windows import format_duration

WINDOWS_US = (10_000, 50_000, 250_000)
"""The three windows of EV-SegNet."""

RECORD, PAGE, DATASET, PICTURES = "demo.json", "index.html", "dataset", "pictures"


@dataclass(frozen=True, slots=True)
class Plan:
    """Plan of a demo.

    Parameters
    ----------
    drives : tuple of Drive
        Drives of different scenarios that the page shows, each at least 0.4 s long.
    lesson : Lesson, optional
        Lesson to learn; by default none.
    moments : int
        Moments of each drive that the page shows.
    """

    drives: tuple[Drive, ...]
    lesson: Lesson | None = None
    moments: int = 4


SMALL = SensorSize(128, 176)
"""Size of the streets that are learnt: a quarter of the pixels of a DAVIS346."""

FULL = Plan(
    (
        Drive("day", 7, 4_000_000),
        Drive("night", 11, 4_000_000),
        Drive("fast-turn", 3, 4_000_000),
        Drive("crossing", 5, 4_000_000),
    ),
    Lesson(
        SMALL,
        teacher_drives=streets(("day", "glare"), count=16, seed=101, duration_us=1_000_000),
        drives=streets(("day", "glare", "crossing"), count=30, seed=201, duration_us=1_200_000),
        unseen=streets(("day", "glare", "crossing"), count=9, seed=301, duration_us=800_000),
        teacher_iterations=600,
        iterations=900,
    ),
)
QUICK = Plan(
    (Drive("day", 7, 1_000_000), Drive("crossing", 5, 600_000)),
    Lesson(
        SMALL,
        teacher_drives=streets(("day",), count=8, seed=101, duration_us=800_000),
        drives=streets(("day",), count=20, seed=201, duration_us=800_000),
        unseen=streets(("day",), count=3, seed=301, duration_us=600_000),
        teacher_iterations=120,
        iterations=220,
    ),
    moments=3,
)


def run_demo(
    out: str | Path,
    *,
    plan: Plan = FULL,
    sensor: SensorSize = DAVIS346,
    threads: int | None = None,
    progress: Report = no_report,
    say: Callable[[str], None] = lambda _words: None,
) -> Path:
    """Drive, encode, teach, label, train and score, and write a page about it.

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
        Called with the progress of each stage.
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
    for drive, recording in zip(plan.drives, recordings, strict=True):
        stage = f"simulate {drive.scenario}"
        if simulate_drive(
            recording,
            drive,
            sensor=sensor,
            threads=threads,
            progress=in_stage(stage, progress),
        ):
            (root / PAGE).unlink(missing_ok=True)
        else:
            say(f"{stage}: done before")
    summary = encode_dataset(
        recordings,
        root / DATASET,
        windows_us=WINDOWS_US,
        store="npz",  # a tenth of the space: events touch few pixels
        progress=progress,
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
                lesson=plan.lesson,
                windows=[format_duration(window_us) for window_us in WINDOWS_US],
                threads=threads,
                progress=progress,
            )
            if plan.lesson
            else None
        )
        _write_page(root, plan, recordings, learnt, progress=progress)
    return root / PAGE


def _claim(root: Path, settings: dict[str, object], *, say: Callable[[str], None]) -> None:
    """Make the folder, or clear the remains of a demo of other drives."""
    record = root / RECORD
    if root.exists() and not root.is_dir():
        raise OutputError(f"output {root} is a file; give a folder that is new")
    if root.is_dir() and not record.exists() and any(root.iterdir()):
        raise OutputError(f"output {root} holds files but no demo; give a folder that is new")
    if record.exists() and _read(record) != settings:
        say(f"{root} holds a demo of other drives: its data set and page are made anew")
        try:
            (root / PAGE).unlink(missing_ok=True)
            (root / FILM).unlink(missing_ok=True)
            for name in (DATASET, PICTURES, TEACHER_DATA, STREETS, RUNS, PREDICTIONS):
                if (root / name).exists():
                    shutil.rmtree(root / name)
        except OSError as error:
            raise OutputError(f"cannot clear {root}: {error}") from error
    if _read(record) != settings:
        write_whole(record, lambda file: file.write(json.dumps(settings, indent=2).encode()))


def _read(record: Path) -> object:
    try:
        return json.loads(read_text(record))
    except (OSError, ValueError):
        return None


def _write_page(
    root: Path,
    plan: Plan,
    recordings: Sequence[Path],
    learnt: Learnt | None,
    *,
    progress: Report,
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
                    progress=partial(_page_share, progress, index, len(plan.drives)),
                )
            )
        page = demo_page(stories, root=root, dataset=dataset, learnt=learnt)
    write_whole(root / PAGE, lambda file: file.write(page.encode()))


def _page_share(report: Report, place: int, count: int, share: float) -> None:
    report(Progress("page", place + share, count, "drive"))
