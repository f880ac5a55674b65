"""The demo: simulated drives, their data set and a page about them, stage by stage."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from eventseg.dataset import open_dataset
from eventseg.dataset_writer import encode_dataset
from eventseg.demo_page import demo_page
from eventseg.demo_pictures import picture_drive
from eventseg.errors import EventsegError, OutputError
from eventseg.events import SensorSize
from eventseg.simulate.street import DAVIS346, simulate_street
from eventseg.simulate.truth import Truth, truth_path
from eventseg.whole_file import write_whole

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


FULL = (
    Drive("day", 7, 5_000_000),
    Drive("night", 11, 5_000_000),
    Drive("crossing", 5, 5_000_000),
    Drive("fast-turn", 3, 5_000_000),
)
QUICK = (Drive("day", 7, 1_600_000), Drive("night", 11, 1_600_000))

Progress = Callable[[str, float], None]
"""Called with the name of a stage and the share of it that is done."""


def run_demo(
    out: str | Path,
    *,
    drives: Sequence[Drive] = FULL,
    sensor: SensorSize = DAVIS346,
    moments: int = 4,
    threads: int | None = None,
    progress: Progress = lambda _stage, _share: None,
    say: Callable[[str], None] = lambda _words: None,
) -> Path:
    """Simulate drives, encode them into a data set and write a page about them.

    A stage that is done is skipped, one that was stopped is done again. A folder that holds a
    demo of other drives is made anew.

    Parameters
    ----------
    out : path
        Folder to make or to finish: ``index.html``, ``recordings``, ``dataset``, ``pictures``.
    drives : sequence of Drive
        Drives of different scenarios, each at least 0.4 s long.
    sensor : SensorSize
        Size of the simulated sensor.
    moments : int
        Moments of each drive that the page shows.
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
        "moments": moments,
        "drives": [asdict(drive) for drive in drives],
    }
    _claim(root, settings, say=say)
    recordings = [root / RECORDINGS / f"{drive.scenario}.hdf5" for drive in drives]
    for drive, recording in zip(drives, recordings, strict=True):
        stage = f"simulate {drive.scenario}"
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
        _write_page(root, drives, recordings, moments=moments, progress=progress)
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
            for name in (DATASET, PICTURES):
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
    drives: Sequence[Drive],
    recordings: Sequence[Path],
    *,
    moments: int,
    progress: Progress,
) -> None:
    stories = []
    with open_dataset(root / DATASET) as dataset:
        for index, (drive, recording) in enumerate(zip(drives, recordings, strict=True)):
            stories.append(
                picture_drive(
                    recording,
                    dataset,
                    root / PICTURES / drive.scenario,
                    seed=drive.seed,
                    scenario=drive.scenario,
                    moments=moments,
                    progress=lambda share, index=index: progress(  # type: ignore[misc]
                        "page", (index + share) / len(drives)
                    ),
                )
            )
        page = demo_page(stories, root=root, dataset=dataset)
    write_whole(root / PAGE, lambda file: file.write(page.encode()))
