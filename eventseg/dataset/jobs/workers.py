"""Choice of the workers that run jobs: processes of this machine or a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from eventseg.dataset.jobs.job import TRIES, Job, JobFunction, Result
from eventseg.dataset.jobs.local import LocalWorkers
from eventseg.device.choice import processors
from eventseg.errors import JobsError

PIECES_A_WORKER = 4
"""Pieces of work for each worker, so that a slow or lost one holds nobody up for long."""

MOST_SAMPLES = 2_000
"""Largest number of samples of a piece for several workers: what the loss of one costs."""


BYTES_A_WORKER = 100_000_000
"""Bytes of recordings that are worth another process: it takes seconds to start, and encodes and
stores some 10 MB/s with frames (docs/cluster.md)."""


class Workers(Protocol):
    """Workers that are ready for jobs, until the block that opened them ends."""

    slots: int
    """Number of jobs that they do at a time."""

    def run(
        self,
        function: JobFunction[Job, Result],
        jobs: Sequence[Job],
        *,
        progress: Callable[[float], None],
        finished: Callable[[int, Result], None],
        title: Callable[[int], str] | None = None,
    ) -> None:
        """Run every job, calling ``finished`` with its index and result in this process.

        A job whose worker is lost or that fails in an unknown way is tried again; the others go
        on. An output that cannot be written and Ctrl-C stop all of them at their next tick.

        Parameters
        ----------
        function : callable
            Takes a job and a tick; must leave the same files however often it is called.
        jobs : sequence
            Picklable for other processes.
        progress : callable
            Called with the amount done, summed over all jobs.
        finished : callable
            Called with the index and the result of each job, in the order they finish.
        title : callable, optional
            Returns the name of a job by its index, for errors.

        Raises
        ------
        JobsError
            Some of several jobs have failed for good. The error of an only job is raised itself.
        OutputError, ClusterError
            The output cannot be written, or the cluster cannot be used.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def open_workers(
    *,
    workers: int = 1,
    scheduler: str | None = None,
    tries: int = TRIES,
    folder: Path | None = None,
) -> Workers:
    """Return workers, to be used in a ``with`` block.

    Parameters
    ----------
    workers : int
        Processes of this machine; 1 runs the jobs in this one. More are spawned: a script needs
        ``if __name__ == "__main__":``.
    scheduler : str, optional
        Address of a Dask scheduler, path of its scheduler file, or ``local`` for a Dask cluster
        of so many ``workers`` on this machine.
    tries : int
        Times that a job is tried.
    folder : Path, optional
        Existing folder that every worker of a cluster must see.

    Raises
    ------
    JobsError
        No worker or no try is asked for.
    MissingExtraError, ClusterError
        Dask is not installed, or the cluster cannot be reached.
    """
    if workers < 1 or tries < 1:
        raise JobsError(f"workers and tries must be 1 or more, got {workers} and {tries}")
    if scheduler is None:
        return LocalWorkers(workers, tries=tries)
    from eventseg.dataset.jobs.cluster import DaskWorkers

    return DaskWorkers(scheduler, workers=workers, tries=tries, folder=folder)


def usual_workers(recordings: Sequence[Path]) -> int:
    """Return the number of processes of this machine that recordings are worth.

    As many as processors, at most one a recording and one for each :data:`BYTES_A_WORKER`. The
    size of a recording that is a folder is not looked up: it counts as large.
    """
    counted = sum(
        path.stat().st_size if path.is_file() else BYTES_A_WORKER * len(recordings)
        for path in recordings
    )
    return max(1, min(processors(), len(recordings), counted // BYTES_A_WORKER))


def pieces_for(workers: Workers, *, samples: int) -> int:
    """Return the number of pieces to cut work into; 1 where one process does all of it."""
    if workers.slots == 1:
        return 1
    return max(PIECES_A_WORKER * workers.slots, -(-samples // MOST_SAMPLES))
