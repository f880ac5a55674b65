"""A job that fails as it is told, in a module that other processes can import by its name."""

from __future__ import annotations

import os
import time
from pathlib import Path

from eventseg.dataset.jobs.job import StoppedJob, Tick
from eventseg.errors import OutputError, RecordingError


def stumble(job: tuple[str, Path], tick: Tick) -> str:
    """Do what the job says: pass, fail always, fail once, die always, die once, go on.

    A file of its name has a line for each process that has tried it.
    """
    what, folder = job
    first = not (folder / what).exists()
    with (folder / what).open("a") as file:
        file.write(f"{os.getpid()}\n")
    if what == "fail" or (what == "fail once" and first):
        raise ValueError("a bit\nflipped")
    if what == "die" or (what == "die once" and first):
        os._exit(3)
    if what == "broken":
        raise RecordingError("rec.hdf5 is cut short")
    if what in ("full", "full beside another"):
        while what != "full" and not (folder / "go on").exists():
            time.sleep(0.02)
        raise OutputError("no space left")
    if what == "go on":
        _go_on(folder, tick)
    return what


def _go_on(folder: Path, tick: Tick) -> None:
    """Work until it is enough, and say so where the job is stopped before."""
    try:
        for k in range(3_000):
            tick(k)
            time.sleep(0.02)
            if (folder / "enough").exists():
                return
    except StoppedJob:
        time.sleep(0.2)
        (folder / "stopped").touch()
        raise
