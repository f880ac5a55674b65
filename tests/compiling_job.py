"""A job that compiles, in a module that spawned processes can import by its name."""

from __future__ import annotations

import logging

from eventseg.dataset.jobs.job import Tick
from eventseg_cli import progress


def compile_something(_job: int, tick: Tick) -> int:
    """Do as a kernel does that is not in the cache, twice."""
    for text in ("compiling the kernels, once", "compiling another"):
        logging.getLogger(progress.KERNELS).info(text)
    tick(1.0)
    return 0
