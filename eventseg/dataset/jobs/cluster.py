"""Jobs on a Dask cluster, or on one that is started on this machine."""

from __future__ import annotations

import contextlib
import logging
import queue
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
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
    cause,
    ends_all,
    raise_failures,
)
from eventseg.errors import ClusterError, MissingExtraError, OutputError

LOCAL = "local"
"""Word for a cluster on this machine."""

CONNECT_S = 20
"""Seconds to wait for the scheduler."""

FIRST_WORKER_S = 60
"""Seconds to wait for the first worker."""

TICK_S = 0.5
"""Seconds between two reports of a job."""


class DaskWorkers:
    """Workers of a Dask cluster, which must see the same files under the same paths.

    A worker that is lost costs the jobs it had, which others take over.

    Parameters
    ----------
    scheduler : str
        Address, path of a scheduler file, or ``local``.
    workers : int
        Processes of a ``local`` cluster, with one thread each.
    tries : int
        Times that a job is tried, whatever its error, since workers differ.
    folder : Path, optional
        Existing folder that every worker must see.

    Raises
    ------
    MissingExtraError
        Dask is not installed.
    ClusterError
        No scheduler answers, or it has no workers.
    """

    def __init__(
        self, scheduler: str, *, workers: int = 1, tries: int = TRIES, folder: Path | None = None
    ) -> None:
        self._distributed = import_distributed()
        self._scheduler = scheduler
        self._tries = tries
        self._folder = folder
        self._stack = contextlib.ExitStack()
        self._stack.enter_context(_quiet_client())
        try:
            self._client = self._connected(workers)
            self._check_versions()
            self.slots = max(1, sum(self._client.nthreads().values()))
        except BaseException:
            self._stack.close()
            raise

    def _connected(self, workers: int) -> Any:
        import dask

        distributed, scheduler = self._distributed, self._scheduler
        quiet = dask.config.set(
            {
                "distributed.scheduler.allowed-failures": self._tries - 1,
                "distributed.admin.log-format": "%(message)s",
            }
        )
        try:
            if scheduler == LOCAL:
                self._stack.enter_context(quiet)
                cluster = self._stack.enter_context(
                    distributed.LocalCluster(
                        n_workers=workers,
                        threads_per_worker=1,
                        dashboard_address="127.0.0.1:0",
                        silence_logs=logging.CRITICAL,
                    )
                )
                return self._stack.enter_context(distributed.Client(cluster))
            address = {"scheduler_file" if Path(scheduler).is_file() else "address": scheduler}
            client = self._stack.enter_context(distributed.Client(**address, timeout=CONNECT_S))
        except Exception as error:  # Dask raises errors of many kinds for an address
            raise ClusterError(
                f"no Dask scheduler answers at {scheduler} ({cause(error)}); start one with "
                "'dask scheduler', or give 'local'"
            ) from error
        try:
            client.wait_for_workers(1, timeout=FIRST_WORKER_S)
        except TimeoutError as error:
            raise ClusterError(
                f"the Dask scheduler {scheduler} has no workers after {FIRST_WORKER_S} s; start "
                "some with 'dask worker'"
            ) from error
        return client

    def _check_versions(self) -> None:
        """Raise a ClusterError for a worker without this version of the package.

        Only the standard library is called: such a worker cannot load anything of ours. One that
        was lost meanwhile has no version.
        """
        mine = metadata.version("eventseg")
        found = self._client.run(metadata.version, "eventseg", on_error="return")
        for address, version in found.items():
            lost = isinstance(version, Exception) and not isinstance(version, ImportError)
            if version != mine and not lost:
                shown = "no eventseg" if isinstance(version, Exception) else f"eventseg {version}"
                raise ClusterError(
                    f"worker {address} has {shown}, this is {mine}; install one version on all"
                )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

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
        client, run = self._client, f"eventseg-{uuid.uuid4().hex}"
        amounts = [0.0] * len(jobs)
        ended: queue.SimpleQueue[Any] = queue.SimpleQueue()

        def report(event: Any) -> None:
            _time_s, (index, amount) = event
            amounts[index] = amount

        def submit(index: int, attempt: str = "") -> Any:
            future = client.submit(
                _call,
                function,
                jobs[index],
                index,
                run,
                None if self._folder is None else str(self._folder),
                key=f"{run}-{index}{attempt}",
                retries=self._tries - 1,
                pure=False,
            )
            index_of[future] = index
            future.add_done_callback(ended.put)
            return future

        def collect() -> Iterator[tuple[int, BaseException]]:
            """Take results as they come; yield the number and the error of jobs that failed."""
            alive_s = time.monotonic()
            while index_of:
                try:
                    future = ended.get(timeout=TICK_S)
                except queue.Empty:
                    progress(sum(amounts))
                    alive_s = self._time_of_workers(alive_s)
                    continue
                index = index_of.pop(future)
                if future.status == "finished":
                    result = future.result()
                    future.release()  # what is wanted is done again where a worker with it is lost
                    if isinstance(result, _OutputFails):
                        raise result.error
                    finished(index, result)
                else:
                    error = self._error_of(future)
                    future.release()
                    if ends_all(error):
                        raise error
                    yield index, error
                progress(sum(amounts))

        index_of: dict[Any, int] = {}
        failures: list[Failure] = []
        suspects: list[int] = []
        client.subscribe_topic(run, report)
        try:
            for index in range(len(jobs)):
                submit(index)
            for index, error in collect():
                if isinstance(error, LostWorkerError):
                    suspects.append(index)
                else:
                    failures.append(Failure(index, self._tries, error))
            # A job beside one that kills its worker is lost with it: each is tried alone.
            for suspect in suspects:
                submit(suspect, "-alone")
                failures += [Failure(index, self._tries, error) for index, error in collect()]
        finally:
            # Jobs that run on end at their next tick.
            with contextlib.suppress(Exception):
                client.cancel(list(index_of), force=True)
            with contextlib.suppress(Exception):
                self._wait_for_end(run)
            with contextlib.suppress(Exception):
                client.unsubscribe_topic(run)
        raise_failures(failures, jobs=len(jobs), title=title)

    def _wait_for_end(self, run: str) -> None:
        """Wait until no worker does a job of a run any more: it would write behind its back."""
        client = self._client

        def is_under_way() -> bool:
            assigned = client.processing().values()
            if any(key.startswith(run) for keys in assigned for key in keys):
                return True
            return any(client.run(_has_job, run, on_error="ignore").values())

        while client.status == "running" and is_under_way():
            time.sleep(TICK_S / 5)

    def _time_of_workers(self, before_s: float) -> float:
        """Return the time when the cluster had workers; raise where that is too long ago."""
        now_s = time.monotonic()
        if self._client.scheduler_info()["workers"]:
            return now_s
        if now_s - before_s > FIRST_WORKER_S:
            raise ClusterError(
                f"the Dask scheduler {self._scheduler} has lost all its workers; start some and "
                "run again to resume"
            )
        return before_s

    def _error_of(self, future: Any) -> BaseException:
        """Return the error of a job, in which Dask's own are those of this package."""
        error: BaseException | None = None
        if future.status == "error":
            # Without a scheduler its message cannot be fetched.
            with contextlib.suppress(CancelledError, TimeoutError, OSError):
                error = future.exception(timeout=CONNECT_S)
        if error is None:
            return ClusterError(
                f"the Dask scheduler {self._scheduler} was lost; run again to resume"
            )
        return LostWorkerError(LOST) if isinstance(error, self._distributed.KilledWorker) else error


@contextlib.contextmanager
def _quiet_client() -> Iterator[None]:
    """Keep the log of Dask's client off the screen: what it tells is an error of this package."""
    logger = logging.getLogger("distributed.client")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)


def import_distributed() -> Any:
    """Return the module ``distributed``.

    Raises
    ------
    MissingExtraError
        It is not installed.
    """
    try:
        import distributed
    except ImportError as error:
        raise MissingExtraError(
            "a Dask cluster needs the extra cluster: uv sync --extra cluster; "
            "--workers and --shard do without"
        ) from error
    return distributed


@dataclass(frozen=True, slots=True)
class _OutputFails:
    """Result of a job whose output cannot be written, which ends all of them."""

    error: OutputError


def _has_job(run: str, dask_worker: Any) -> bool:
    """Return whether a worker of the cluster has a job of a run, be it one that was given up."""
    return any(str(key).startswith(run) for key in list(dask_worker.state.tasks))


def _call(
    function: JobFunction[Any, Any],
    job: Any,
    index: int,
    topic: str,
    folder: str | None,
) -> Any:
    """Do a job in a worker of the cluster, which reports to all who listen to the topic."""
    from distributed import get_worker

    worker = get_worker()
    if folder is not None and not Path(folder).is_dir():
        raise ClusterError(
            f"worker {worker.address} does not see {folder}; the workers of a cluster need a "
            "file system that they share with this machine, under the same path"
        )
    key = worker.get_current_task()
    last_s = time.monotonic()
    worker.log_event(topic, (index, 0.0))

    def tick(amount: float) -> None:
        nonlocal last_s
        if time.monotonic() - last_s < TICK_S:
            return
        last_s = time.monotonic()
        task = worker.state.tasks.get(key)
        if task is None or task.state == "cancelled":
            raise StoppedJob
        worker.log_event(topic, (index, amount))

    latest = 0.0

    def counted(amount: float) -> None:
        nonlocal latest
        latest = amount
        tick(amount)

    try:
        result = function(job, counted)
    except OutputError as error:
        return _OutputFails(error)  # an error would be tried again, on all jobs
    worker.log_event(topic, (index, latest))
    return result
