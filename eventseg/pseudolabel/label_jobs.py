"""Raw labels by several processes or a cluster: consecutive frames, in whole batches, as jobs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eventseg.dataset.jobs.job import Tick, cut_work
from eventseg.dataset.jobs.workers import Workers, open_workers, pieces_for
from eventseg.device import choose_own_device, peak_memory_mib, set_threads, thread_count
from eventseg.errors import CheckpointError
from eventseg.events import SensorSize
from eventseg.files.paths import canonical
from eventseg.labels.maps import ClassTable, merge_of
from eventseg.pseudolabel.arithmetic import with_arithmetic
from eventseg.pseudolabel.label_set_folder import LabelSetFolder
from eventseg.pseudolabel.loading import load_source
from eventseg.pseudolabel.raw_labels import LabelPlan, predict_raw_labels
from eventseg.pseudolabel.recipes import LabelRecipe
from eventseg.pseudolabel.settings import Arithmetic, TestTimeAugmentation
from eventseg.pseudolabel.target import open_pictures
from eventseg.pseudolabel.teacher import Teacher, TeacherSource
from eventseg.pseudolabel.views import ViewPlan, plan_views
from eventseg.pseudolabel.voting import TeacherVote
from eventseg.recordings.progress import Report, with_rate

PortableTeacher = TeacherSource | Teacher
"""Arguments that load a teacher, or one that has none and is sent itself."""


@dataclass(frozen=True, slots=True)
class ViewJob:
    """Choice of the views on the device of a worker; fields as of :func:`plan_views`."""

    teachers: tuple[PortableTeacher, ...]
    digests: tuple[str, ...]
    device: str
    threads: int
    frame: SensorSize
    test_time: TestTimeAugmentation
    batch: int | None
    needs_agreement: bool
    arithmetic: Arithmetic


@dataclass(frozen=True, slots=True)
class LabelJob:
    """Some consecutive frames to label.

    Parameters
    ----------
    data : Path
        The data set or folder of pictures.
    name : str
        Name of the label set.
    teachers : tuple of TeacherSource or Teacher
    digests : tuple of str
        Digests of the teachers of the plan, which these must have.
    classes : ClassTable
    recipe : LabelRecipe
        With all views chosen.
    batch : int
    settings : dict
        As of :class:`eventseg.pseudolabel.raw_labels.LabelPlan`.
    start, stop : int
        Frames from one number, a multiple of the batch, to before another.
    device : str
    threads : int
        Threads of torch.
    """

    data: Path
    name: str
    teachers: tuple[PortableTeacher, ...]
    digests: tuple[str, ...]
    classes: ClassTable
    recipe: LabelRecipe
    batch: int
    settings: dict[str, Any]
    start: int
    stop: int
    device: str
    threads: int


@dataclass(frozen=True, slots=True)
class LabelledFrames:
    """Result of a job: frames labelled now, the worker's device, and its peak memory in MiB."""

    labelled: int
    device: str
    peak_mib: float


def plan_views_alone(job: ViewJob, tick: Tick) -> ViewPlan:
    """Choose the views in a process of the cluster, whose device may differ from this machine's."""
    set_threads(job.threads)
    tick(0.0)
    loaded = _loaded_teachers(job.teachers, job.digests, job.device)
    teachers, arithmetic = with_arithmetic(loaded, job.arithmetic)
    return plan_views(
        teachers,
        job.frame,
        test_time=job.test_time,
        batch=job.batch,
        needs_agreement=job.needs_agreement,
        arithmetic=arithmetic,
    )


def label_frames(job: LabelJob, tick: Tick) -> LabelledFrames:
    """Predict the raw labels of the frames of a job that have none; ticks in frames."""
    set_threads(job.threads)
    teachers = _loaded_teachers(job.teachers, job.digests, job.device)
    ready, _ = with_arithmetic(teachers, job.recipe.arithmetic)
    with open_pictures(job.data) as target:
        plan = LabelPlan(
            votes=tuple(
                TeacherVote(teacher, merge_of(teacher.classes, job.classes)) for teacher in ready
            ),
            classes=job.classes,
            recipe=job.recipe,
            batch=job.batch,
            settings=job.settings,
            lines=(),
        )
        # The process that gave the job has compared the settings and holds the folder.
        folder = LabelSetFolder(target, job.name, job.settings, overwrite=True, shared=True)
        labelled = predict_raw_labels(
            plan,
            folder,
            start=job.start,
            stop=job.stop,
            report=lambda now: tick(now.done),
            say=None,
        )
    device = teachers[0].device
    return LabelledFrames(labelled, str(device), peak_memory_mib(device))


_loaded: dict[str, Any] = {}
"""Teachers that this process has loaded, for the next job."""

_loading = threading.Lock()
"""Lets the threads of a worker load its teachers once."""


def _loaded_teachers(
    teachers: Sequence[PortableTeacher], digests: Sequence[str], device: str
) -> list[Teacher]:
    """Return teachers on the device of this process, from its last job where they are the same.

    Raises
    ------
    CheckpointError
        Teachers of other digests than those of the plan.
    """
    pairs = list(zip(teachers, digests, strict=True))
    sources = {one: digest for one, digest in pairs if isinstance(one, TeacherSource)}
    loaded: dict[TeacherSource, Teacher] = {}
    if sources:
        own = choose_own_device(device)
        with _loading:
            # A worker outlives runs, and a file may hold other weights in the next one.
            loaded = _loaded.get("teachers", {}) if _loaded.get("device") == own else {}
            if {source: teacher.digest for source, teacher in loaded.items()} != sources:
                loaded = {source: load_source(source, device=own) for source in sources}
                _loaded.update(device=own, teachers=loaded)
    ready = [loaded[one] if isinstance(one, TeacherSource) else one for one in teachers]
    for teacher, digest in zip(ready, digests, strict=True):
        if teacher.digest != digest:
            raise CheckpointError(
                f"teacher {teacher.name} has changed since labelling began: its sha256 was "
                f"{digest[:12]}..., now {teacher.digest[:12]}...; restore it, or begin again"
            )
    return ready


class LabelWorkers:
    """Processes or a cluster that predict raw labels.

    Parameters
    ----------
    pool : Workers
    teachers : sequence of Teacher
    device : str
        Device of each worker; ``auto`` and ``cuda`` give each a GPU of its own.
    threads : int
        Threads of torch in each.
    elsewhere : bool
        Whether the workers may be on other machines, which choose the views by their own device.
    """

    def __init__(
        self,
        pool: Workers,
        teachers: Sequence[Teacher],
        *,
        device: str,
        threads: int,
        elsewhere: bool,
    ) -> None:
        self._pool = pool
        self._given = tuple(teachers)
        self._teachers = tuple(getattr(one, "source", None) or one for one in teachers)
        self._digests = tuple(teacher.digest for teacher in teachers)
        self._device = device
        self._threads = threads
        self._elsewhere = elsewhere

    def views(self, frame: SensorSize, recipe: LabelRecipe, batch: int | None) -> ViewPlan | None:
        """Return the views that a worker chooses; None where this process is to choose them."""
        if not self._elsewhere:
            return None
        plans: dict[int, ViewPlan] = {}
        agreement = recipe.filters.agreement > 0
        # The arithmetic is that of one process here, whatever processors the workers have.
        _, arithmetic = with_arithmetic(self._given, recipe.arithmetic)
        job = ViewJob(
            self._teachers,
            self._digests,
            self._device,
            self._threads,
            frame,
            recipe.test_time,
            batch,
            agreement,
            arithmetic,
        )
        self._pool.run(plan_views_alone, [job], progress=lambda _: None, finished=plans.__setitem__)
        return plans[0]

    def predict(
        self,
        plan: LabelPlan,
        folder: LabelSetFolder,
        *,
        start: int = 0,
        stop: int | None = None,
        report: Report,
        say: Callable[[str], None] | None,
    ) -> int:
        """Predict raw labels as :func:`predict_raw_labels` does; return the number of frames.

        Raises
        ------
        EventsegError
            As :meth:`eventseg.dataset.jobs.workers.Workers.run`.
        """
        stop = len(folder.target.frames) if stop is None else stop
        total = max(0, stop - start)
        batches = -(-total // plan.batch)
        pieces = [
            (start + first * plan.batch, min(start + last * plan.batch, stop))
            for _, first, last in cut_work([batches], pieces=pieces_for(self._pool, samples=total))
        ]
        jobs = [
            LabelJob(
                canonical(folder.target.path),
                folder.name,
                self._teachers,
                self._digests,
                plan.classes,
                plan.recipe,
                plan.batch,
                plan.settings,
                first,
                last,
                self._device,
                self._threads,
            )
            for first, last in pieces
        ]
        busy = min(self._pool.slots, len(jobs))
        if say is not None and jobs:
            say(f"{_count(busy, 'worker')} of {_count(self._threads, 'thread')} of torch each")
        results: dict[int, LabelledFrames] = {}
        self._pool.run(
            label_frames,
            jobs,
            progress=with_rate("label", total, "frame", report),
            finished=results.__setitem__,
            title=lambda index: f"frames {pieces[index][0]} to {pieces[index][1] - 1}",
        )
        if say is not None and results:
            peak = max(result.peak_mib for result in results.values())
            devices = ", ".join(sorted({result.device for result in results.values()}))
            say(f"workers on {devices} took at most {peak:,.0f} MiB of memory each")
        return sum(result.labelled for result in results.values())


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'s' * (number != 1)}"


@contextmanager
def label_workers(
    teachers: Sequence[Teacher],
    *,
    jobs: int,
    scheduler: str | None = None,
    tries: int,
    threads: int | None,
    device: str | None,
    folder: Path,
) -> Iterator[LabelWorkers | None]:
    """Open workers that label; None where this process is to do it alone.

    Parameters
    ----------
    teachers : sequence of Teacher
    jobs, scheduler, tries, threads, device
        As for :func:`eventseg.pseudolabel.label_dataset`.
    folder : Path
        Folder that every worker must see.

    Raises
    ------
    JobsError, MissingExtraError, ClusterError
        As :func:`eventseg.dataset.jobs.workers.open_workers`.
    """
    if jobs == 1 and scheduler is None:
        yield None
        return
    with open_workers(
        workers=jobs, scheduler=scheduler, tries=tries, folder=canonical(folder)
    ) as pool:
        # A worker of a cluster is one of its threads; how many it may take is its user's to say.
        share = threads or 1 if scheduler else max(1, thread_count(threads) // pool.slots)
        yield LabelWorkers(
            pool,
            teachers,
            device=device or str(teachers[0].device),
            threads=share,
            elsewhere=scheduler is not None,
        )
