"""Jobs in this process or in several of this machine, each of which may be lost."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Any, Self

from eventseg.dataset.jobs.job import (
    LOST,
    TRIES,
    Failure,
    Job,
    JobFunction,
    LostWorkerError,
    Result,
    StoppedJob,
    ends_all,
    may_pass,
    raise_failures,
)

LOGGER = logging.getLogger("eventseg.kernels.compiled")
"""Logger of the kernels; named, so that this file loads no Numba."""

MESSAGE_BYTES = 256


class LocalWorkers:
    """Processes of this machine, or this process itself where one worker is asked for.

    Each worker has a pool of its own, so that one that is killed is known with its job, which
    another takes over. That kernels are compiled, in whichever process, is logged once in this.

    Parameters
    ----------
    workers : int
        Number of processes; they are spawned for the first jobs and end with the ``with`` block.
    tries : int
        Times that a job is tried whose process is killed or that fails with an unknown error.
        Known errors are final.
    """

    def __init__(self, workers: int, *, tries: int = TRIES) -> None:
        self.slots = workers
        self._tries = tries
        self._pools: list[ProcessPoolExecutor] = []
        self._context = multiprocessing.get_context("spawn")
        # Each worker writes only its own slot, so nothing needs a lock.
        self._done = self._context.RawArray("d", workers)
        self._stop = self._context.RawValue("b", 0)
        self._compiling = self._context.RawArray("c", MESSAGE_BYTES)
        self._announced = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.value = 1
        for pool in self._pools:
            pool.shutdown(wait=True, cancel_futures=True)
        self._pools = []

    def run(
        self,
        function: JobFunction[Job, Result],
        jobs: Sequence[Job],
        *,
        progress: Callable[[float], None],
        finished: Callable[[int, Result], None],
        title: Callable[[int], str] | None = None,
    ) -> None:
        """Run every job; see :class:`eventseg.dataset.jobs.workers.Workers`."""
        run = self._run_here if min(self.slots, len(jobs)) <= 1 else self._run_in_pools
        failures = run(function, jobs, progress=progress, finished=finished)
        raise_failures(failures, jobs=len(jobs), title=title)

    def _run_here(
        self,
        function: JobFunction[Any, Any],
        jobs: Sequence[Any],
        *,
        progress: Callable[[float], None],
        finished: Callable[[int, Any], None],
    ) -> list[Failure]:
        amounts = [0.0] * len(jobs)
        failures: list[Failure] = []
        for index, job in enumerate(jobs):

            def tick(amount: float, index: int = index) -> None:
                amounts[index] = amount
                progress(sum(amounts))

            for attempt in range(1, self._tries + 1):
                try:
                    result = function(job, tick)
                except Exception as error:
                    if ends_all(error) or len(jobs) == 1:
                        raise
                    if not may_pass(error) or attempt == self._tries:
                        failures.append(Failure(index, attempt, error))
                        break
                else:
                    finished(index, result)
                    break
        return failures

    def _run_in_pools(
        self,
        function: JobFunction[Any, Any],
        jobs: Sequence[Any],
        *,
        progress: Callable[[float], None],
        finished: Callable[[int, Any], None],
    ) -> list[Failure]:
        while len(self._pools) < min(self.slots, len(jobs)):
            self._pools.append(self._pool(len(self._pools)))
        waiting, free = deque(range(len(jobs))), list(range(len(self._pools)))
        running: dict[Future[Any], tuple[int, int]] = {}
        tried, amounts = [0] * len(jobs), [0.0] * len(jobs)
        failures: list[Failure] = []
        while waiting or running:
            while waiting and free:
                index, place = waiting.popleft(), free.pop()
                tried[index] += 1
                self._done[place] = 0.0
                running[self._submit(place, function, jobs[index])] = index, place
            ended, _ = wait(running, timeout=0.1, return_when=FIRST_COMPLETED)
            for index, place in running.values():
                amounts[index] = self._done[place]
            for future in ended:
                index, place = running.pop(future)
                free.append(place)
                error = future.exception()
                if error is None:
                    finished(index, future.result())
                    continue
                if isinstance(error, BrokenProcessPool):
                    self._renew(place)
                    error = LostWorkerError(LOST)
                if ends_all(error):
                    raise error
                if may_pass(error) and tried[index] < self._tries:
                    waiting.append(index)
                else:
                    failures.append(Failure(index, tried[index], error))
            progress(sum(amounts))
            if self._compiling.value and not self._announced:
                LOGGER.info(self._compiling.value.decode())
                self._announced = True
        return failures

    def _submit(self, place: int, function: JobFunction[Any, Any], job: Any) -> Future[Any]:
        """Give a job to a worker; one that was killed while it had none costs no try."""
        try:
            return self._pools[place].submit(_call, function, job)
        except BrokenProcessPool:
            self._renew(place)
            return self._pools[place].submit(_call, function, job)

    def _renew(self, place: int) -> None:
        self._pools[place].shutdown(wait=True)
        self._pools[place] = self._pool(place)

    def _pool(self, place: int) -> ProcessPoolExecutor:
        """Return a pool of one process, which has a place among the workers."""
        return ProcessPoolExecutor(
            1,
            mp_context=self._context,
            initializer=_begin,
            initargs=(self._done, self._stop, self._compiling, place),
        )


_shared: dict[str, Any] = {}


class _Announcement(logging.Handler):
    """Handler of a worker that leaves the first message of its kernels to the parent."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message, cut to its place."""
        if not _shared["compiling"].value:
            _shared["compiling"].value = record.getMessage().encode()[: MESSAGE_BYTES - 1]


def _begin(done: Any, stop: Any, compiling: Any, place: int) -> None:
    """Prepare a worker: the parent alone answers Ctrl-C, and no worker outlives it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _shared["compiling"] = compiling
    LOGGER.addHandler(_Announcement())
    LOGGER.setLevel(logging.INFO)
    _shared.update(done=done, stop=stop, place=place)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _call(function: JobFunction[Any, Any], job: Any) -> Any:
    def tick(amount: float) -> None:
        _shared["done"][_shared["place"]] = amount
        if _shared["stop"].value:
            raise StoppedJob

    tick(0.0)
    return function(job, tick)
