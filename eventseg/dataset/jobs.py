"""Jobs, one a recording, in this process or in several, with progress and a way to stop."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol, TypeVar

from eventseg.errors import EventsegError

LOGGER = logging.getLogger("eventseg.kernels.compiled")
"""Logger of the kernels; named, so that this file loads no Numba."""

MESSAGE_BYTES = 256

Job = TypeVar("Job", contravariant=True)
Result = TypeVar("Result", covariant=True)

Tick = Callable[[float], None]
"""Called by a job with the amount of its work that is done."""


class JobFunction(Protocol[Job, Result]):
    """A function of a module, so that another process finds it."""

    def __call__(self, job: Job, tick: Tick) -> Result:
        """Do the job, calling ``tick`` now and then."""
        ...


def run_jobs(
    function: JobFunction[Job, Result],
    jobs: Sequence[Job],
    *,
    workers: int,
    progress: Callable[[float], None],
    finished: Callable[[int, Result], None],
) -> None:
    """Run every job, calling ``finished`` with its index and result in this process.

    With one worker the jobs run here, in order; else in that many spawned processes. The first
    error, or Ctrl-C, stops all of them at their next tick and is raised. That kernels are compiled,
    in whichever process, is logged once in this one.

    Parameters
    ----------
    function : callable
        Takes a job and a tick.
    jobs : sequence
        Picklable for more than one worker.
    workers : int
        Number of processes.
    progress : callable
        Called with the amount done, summed over all jobs.
    finished : callable
        Called with the index and the result of each job, in the order they finish.
    """
    if workers == 1:
        amounts = [0.0] * len(jobs)
        for index, job in enumerate(jobs):

            def tick(amount: float, index: int = index) -> None:
                amounts[index] = amount
                progress(sum(amounts))

            finished(index, function(job, tick))
        return
    context = multiprocessing.get_context("spawn")
    # Each worker writes only its own job's slot, so nothing needs a lock.
    done = context.RawArray("d", len(jobs))
    stop, compiling = context.RawValue("b", 0), context.RawArray("c", MESSAGE_BYTES)
    announced = False
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=_begin, initargs=(done, stop, compiling)
    ) as pool:
        try:
            index_of = {
                pool.submit(_call, function, job, index): index for index, job in enumerate(jobs)
            }
            pending = set(index_of)
            while pending:
                ended, pending = wait(pending, timeout=0.1, return_when=FIRST_COMPLETED)
                for future in ended:
                    finished(index_of[future], future.result())
                progress(sum(done))
                if compiling.value and not announced:
                    LOGGER.info(compiling.value.decode())
                    announced = True
        except BrokenProcessPool as error:
            raise EventsegError(
                "a worker process was killed, perhaps for lack of memory; "
                "run again with fewer workers to resume"
            ) from error
        finally:
            stop.value = 1
            pool.shutdown(wait=True, cancel_futures=True)


_shared: dict[str, Any] = {}


class _Stopped(Exception):
    """Ends a job whose run has been stopped; never seen outside of the workers."""


class _Announcement(logging.Handler):
    """Handler of a worker that leaves the first message of its kernels to the parent."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message, cut to its place."""
        if not _shared["compiling"].value:
            _shared["compiling"].value = record.getMessage().encode()[: MESSAGE_BYTES - 1]


def _begin(done: Any, stop: Any, compiling: Any) -> None:
    """Prepare a worker: the parent alone answers Ctrl-C, and no worker outlives it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _shared["compiling"] = compiling
    LOGGER.addHandler(_Announcement())
    LOGGER.setLevel(logging.INFO)
    _shared.update(done=done, stop=stop)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _call(function: JobFunction[Any, Any], job: Any, index: int) -> Any:
    def tick(amount: float) -> None:
        _shared["done"][index] = amount
        if _shared["stop"].value:
            raise _Stopped

    tick(0.0)
    return function(job, tick)
