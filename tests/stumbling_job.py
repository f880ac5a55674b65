"""A job that fails as it is told, in a module that other processes can import by its name."""

from __future__ import annotations

import os
from pathlib import Path

from eventseg.dataset.jobs.job import Tick
from eventseg.errors import OutputError, RecordingError


def stumble(job: tuple[str, Path], tick: Tick) -> str:
    """Do what the job says: pass, fail always, fail once, die always, die once."""
    what, folder = job
    first = not (folder / what).exists()
    (folder / what).touch()
    if what == "fail" or (what == "fail once" and first):
        raise ValueError("a bit\nflipped")
    if what == "die" or (what == "die once" and first):
        os._exit(3)
    if what == "broken":
        raise RecordingError("rec.hdf5 is cut short")
    if what == "full":
        raise OutputError("no space left")
    return what
