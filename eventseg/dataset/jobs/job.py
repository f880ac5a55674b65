"""Job functions, failed jobs, and which failures are tried again or end the work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from eventseg.errors import ClusterError, EventsegError, JobsError, OutputError

TRIES = 3
"""Times that a job is tried by default."""

SHOWN_FAILURES = 5

LOST = (
    "a worker process was killed, perhaps for lack of memory; "
    "run again with fewer workers to resume"
)

Job = TypeVar("Job", contravariant=True)
Result = TypeVar("Result", covariant=True)

Tick = Callable[[float], None]
"""Called by a job with the amount of its work that is done."""


class JobFunction(Protocol[Job, Result]):
    """A function of a module, so that another process finds it."""

    def __call__(self, job: Job, tick: Tick) -> Result:
        """Do the job, calling ``tick`` now and then."""
        ...


class StoppedJob(Exception):
    """Ends a job whose run has been stopped; never seen outside of the workers."""


class LostWorkerError(EventsegError):
    """The process of a job has ended before the job; the job may be tried again."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Job that failed for good: its number, the times it was tried, and the last error."""

    index: int
    tries: int
    error: BaseException


def ends_all(error: BaseException) -> bool:
    """Return whether an error concerns every job: an output or a cluster that fails."""
    return isinstance(error, OutputError | ClusterError) or not isinstance(error, Exception)


def may_pass(error: BaseException) -> bool:
    """Return whether an error may not occur again on this machine, as a known one would."""
    return isinstance(error, LostWorkerError) or not isinstance(error, EventsegError)


def raise_failures(
    failures: Sequence[Failure], *, jobs: int, title: Callable[[int], str] | None
) -> None:
    """Raise an error that names the failed jobs and their causes; nothing where none failed.

    Parameters
    ----------
    failures : sequence of Failure
    jobs : int
        Number of all jobs. The error of an only job is raised as it is.
    title : callable, optional
        Returns the name of a job by its number.

    Raises
    ------
    JobsError
        Some of several jobs have failed.
    """
    if not failures:
        return
    failures = sorted(failures, key=lambda failure: failure.index)
    first = failures[0].error
    if jobs == 1:
        raise first
    shown = [
        f"{title(failure.index) if title else f'job {failure.index + 1}'}: {cause(failure.error)}"
        + (f" ({failure.tries} tries)" if failure.tries > 1 else "")
        for failure in failures[:SHOWN_FAILURES]
    ]
    more = len(failures) - len(shown)
    others = "none is done" if len(failures) == jobs else f"the other {jobs - len(failures)} done"
    raise JobsError(
        f"{len(failures)} of {jobs} jobs failed, {others}; run again to try the failed ones: "
        + "; ".join(shown + [f"and {more} more"] * (more > 0))
    ) from first


def cause(error: BaseException) -> str:
    """Return an error in one line; one that is not of this package with its type."""
    text = " ".join(str(error).split())
    return text if isinstance(error, EventsegError) else f"{type(error).__name__}: {text}"


def cut_work(counts: Sequence[int], *, pieces: int) -> list[tuple[int, int, int]]:
    """Return consecutive pieces of several inputs: number of the input, start and stop.

    Each input gets as many pieces as its share of all samples allows, one at least; an input
    without samples gets none.

    Parameters
    ----------
    counts : sequence of int
        Samples of each input.
    pieces : int
        Number of pieces to aim at.

    Examples
    --------
    >>> cut_work([10, 2], pieces=3)
    [(0, 0, 4), (0, 4, 8), (0, 8, 10), (1, 0, 2)]
    """
    most = max(1, -(-sum(counts) // pieces))
    return [
        (number, start, min(start + most, count))
        for number, count in enumerate(counts)
        for start in range(0, count, most)
    ]
