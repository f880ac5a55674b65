"""Scores by several processes or a cluster: consecutive samples, in whole batches, as jobs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventseg.dataset.jobs.job import Tick, cut_work
from eventseg.dataset.jobs.workers import Workers, open_workers, pieces_for
from eventseg.device import choose_own_device, set_threads, thread_count
from eventseg.errors import CheckpointError, DatasetError
from eventseg.evaluation.evaluate import Protocol, scored_by_network
from eventseg.evaluation.plan import EvaluationPlan, network_of
from eventseg.evaluation.scored_network import NetworkFile
from eventseg.evaluation.scored_part import ScoredPart, joined, part_of_batch
from eventseg.evaluation.settings import EvaluationRequest
from eventseg.files.digests import digest_of
from eventseg.labels.maps import ClassTable
from eventseg.sources.source import Source, open_source


@dataclass(frozen=True, slots=True)
class ScoreTask:
    """Everything that the jobs of an evaluation share.

    Parameters
    ----------
    file : NetworkFile
        By its absolute path.
    sha256 : str
        Digest of the checkpoint.
    data : Path
        Absolute.
    label_set : str
    digests : mapping of str to str
        Those of the data.
    request : EvaluationRequest
    protocol : Protocol
    classes : ClassTable
    maps : bool
        Whether predictions are needed beside the counts.
    threads : int
        Threads of torch.
    """

    file: NetworkFile
    sha256: str
    data: Path
    label_set: str
    digests: Mapping[str, str]
    request: EvaluationRequest
    protocol: Protocol
    classes: ClassTable
    maps: bool
    threads: int

    @classmethod
    def of(cls, plan: EvaluationPlan, *, maps: bool, threads: int) -> ScoreTask:
        """Return the task of a plan."""
        request = plan.request
        if request.network_classes and Path(request.network_classes).is_file():
            table = str(Path(request.network_classes).absolute())
            request = replace(request, network_classes=table)
        return cls(
            plan.file.absolute,
            digest_of(plan.file.checkpoint),
            plan.data.absolute(),
            plan.labels,
            plan.source.digests,
            request,
            plan.protocol,
            plan.classes,
            maps,
            threads,
        )


@dataclass(frozen=True, eq=False, slots=True)
class ScoreJob:
    """Samples to score at a window, int64 (N,), with events that come so much later."""

    task: ScoreTask
    window: str
    indices: NDArray[np.int64]
    shift_us: int


_loaded: dict[str, Any] = {}
"""Network and data that this process has loaded, for the next job."""

_busy = threading.Lock()
"""One thread of a process scores at a time: recordings have one position in their file."""


def score_samples(job: ScoreJob, tick: Tick) -> ScoredPart:
    """Score the samples of a job in a process that does nothing else; ticks in samples."""
    task = job.task
    with _busy:
        set_threads(task.threads)
        trained, source = _opened(task)
        parts, done = [], 0
        for batch in scored_by_network(
            trained,
            source,
            job.indices,
            window=job.window,
            protocol=task.protocol,
            classes=task.classes,
            device=choose_own_device(task.request.device),
            batch_size=task.request.batch_size,
            shift_us=job.shift_us,
        ):
            parts.append(
                part_of_batch(
                    batch,
                    source,
                    classes=task.classes,
                    resize=task.protocol.resize,
                    maps=task.maps,
                )
            )
            done += len(batch.indices)
            tick(done)
        return joined(parts, classes=len(task.classes))


def _opened(task: ScoreTask) -> tuple[Any, Source]:
    """Return network and source of a task, from the last job where they are the same."""
    key = (task.file, task.sha256, task.data, task.label_set, dict(task.digests), task.request)
    if _loaded.get("key") != key:
        if "source" in _loaded:
            _loaded.pop("source").close()
        _loaded.clear()
        if digest_of(task.file.checkpoint) != task.sha256:
            raise CheckpointError(
                f"{task.file.checkpoint} has changed since the evaluation began; run it again"
            )
        source = open_source(task.data, label_set=task.label_set)
        if source.digests != task.digests:
            source.close()
            raise DatasetError(f"{task.data} has changed since the evaluation began; run it again")
        trained = network_of(task.file, task.request, data_classes=source.classes)
        _loaded.update(key=key, source=source, trained=trained)
    return _loaded["trained"], _loaded["source"]


@dataclass(frozen=True, eq=False, slots=True)
class ScoreWorkers:
    """Processes or a cluster that score: their pool, and the task that their jobs share."""

    pool: Workers
    task: ScoreTask

    def count(
        self,
        window: str,
        indices: NDArray[np.int64],
        *,
        shift_us: int,
        add: Callable[[ScoredPart], None],
        report: Callable[[float], None],
    ) -> None:
        """Score samples in pieces; see :class:`eventseg.evaluation.counter.Counter`.

        Raises
        ------
        EventsegError
            As :meth:`eventseg.dataset.jobs.workers.Workers.run`.
        """
        batch = self.task.request.batch_size
        pieces = [
            indices[first * batch : last * batch]
            for _, first, last in cut_work(
                [-(-len(indices) // batch)], pieces=pieces_for(self.pool, samples=len(indices))
            )
        ]
        waiting: dict[int, ScoredPart] = {}
        added = 0

        def finished(index: int, part: ScoredPart) -> None:
            nonlocal added
            waiting[index] = part
            while added in waiting:
                add(waiting.pop(added))
                added += 1

        self.pool.run(
            score_samples,
            [ScoreJob(self.task, window, piece, shift_us) for piece in pieces],
            progress=report,
            finished=finished,
            title=lambda index: f"{window}, samples {pieces[index][0]} to {pieces[index][-1]}",
        )


@dataclass(frozen=True, eq=False, slots=True)
class LocalCounter:
    """Counts made in this process; ``maps`` says whether predictions are needed beside them."""

    plan: EvaluationPlan
    maps: bool

    def count(
        self,
        window: str,
        indices: NDArray[np.int64],
        *,
        shift_us: int,
        add: Callable[[ScoredPart], None],
        report: Callable[[float], None],
    ) -> None:
        """Score samples; see :class:`eventseg.evaluation.counter.Counter`."""
        plan, request = self.plan, self.plan.request
        done = 0
        for batch in scored_by_network(
            plan.trained,
            plan.source,
            indices,
            window=window,
            protocol=plan.protocol,
            classes=plan.classes,
            device=plan.device,
            batch_size=request.batch_size,
            workers=request.workers,
            shift_us=shift_us,
        ):
            add(
                part_of_batch(
                    batch,
                    plan.source,
                    classes=plan.classes,
                    resize=plan.protocol.resize,
                    maps=self.maps,
                )
            )
            done += len(batch.indices)
            report(done)


@contextmanager
def score_workers(
    plan: EvaluationPlan,
    *,
    jobs: int,
    scheduler: str | None = None,
    tries: int,
    threads: int | None,
    maps: bool,
) -> Iterator[ScoreWorkers | None]:
    """Open workers that score; None where this process is to do it alone.

    Parameters
    ----------
    plan : EvaluationPlan
    jobs, scheduler, tries, threads
        As for :func:`eventseg.evaluation.evaluate_run`.
    maps : bool
        Whether predictions are needed beside the counts.

    Raises
    ------
    JobsError, MissingExtraError, ClusterError
        As :func:`eventseg.dataset.jobs.workers.open_workers`.
    """
    if jobs == 1 and scheduler is None:
        yield None
        return
    root = plan.data if plan.data.is_dir() else plan.data.parent
    with open_workers(
        workers=jobs, scheduler=scheduler, tries=tries, folder=root.absolute()
    ) as pool:
        # A worker of a cluster is one of its threads; how many it may take is its user's to say.
        share = threads or 1 if scheduler else max(1, thread_count(threads) // pool.slots)
        yield ScoreWorkers(pool, ScoreTask.of(plan, maps=maps, threads=share))
