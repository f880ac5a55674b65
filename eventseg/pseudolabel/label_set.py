"""Labelling of frames: raw labels by teachers, then label filters, into ``labels/SET``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from eventseg.dataset.jobs.job import TRIES
from eventseg.files.texts import counted
from eventseg.labels.maps import ClassTable
from eventseg.pseudolabel.advice import warning_of
from eventseg.pseudolabel.confidence import LabelFilters
from eventseg.pseudolabel.filtering import filter_frames
from eventseg.pseudolabel.label_jobs import label_workers
from eventseg.pseudolabel.label_set_folder import LabelSetFolder, check_set_name
from eventseg.pseudolabel.raw_labels import plan_labels, predict_raw_labels
from eventseg.pseudolabel.recipes import PRESETS, LabelRecipe
from eventseg.pseudolabel.target import open_target
from eventseg.pseudolabel.teacher import Teacher
from eventseg.recordings.progress import Report, no_report


@dataclass(frozen=True, slots=True)
class LabelSummary:
    """Result of labelling a data set or a folder of pictures.

    Parameters
    ----------
    path : Path
        The data set or folder.
    name : str
        Name of the set.
    classes : ClassTable
        Classes of the labels.
    frames, samples : int
        Number of labelled frames and of the samples that use them.
    pixels : tuple of int (K + 1,)
        Pixels of each class and, last, ignored, over all frames; empty where nothing was done.
    warning : str
        Advice where nearly every pixel is ignored; empty otherwise.
    """

    path: Path
    name: str
    classes: ClassTable
    frames: int
    samples: int
    pixels: tuple[int, ...] = ()
    warning: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as JSON holds it; ``pixels`` are empty where nothing was done."""
        names = (*self.classes.names, "ignored")
        return {
            "data": str(self.path),
            "labels": self.name,
            "already": not self.pixels,
            "frames": self.frames,
            "samples": self.samples,
            "pixels": dict(zip(names, self.pixels, strict=False)),
            "warning": self.warning,
        }

    def lines(self) -> list[str]:
        """Return the summary as lines of text."""
        state = "done" if self.pixels else "already whole, left alone"
        total = max(1, sum(self.pixels))
        names = (*self.classes.names, "ignored")
        return [
            f"{self.path}: label set {self.name} {state}",
            f"  {counted(self.frames, 'frame')} of {counted(self.samples, 'sample')}, "
            f"{counted(len(self.classes), 'class')}",
            *(
                f"  {name:<16} {100 * count / total:5.1f} %"
                for name, count in zip(names, self.pixels, strict=bool(self.pixels))
            ),
            *(["  nearly all is ignored: not fit to train on"] if self.warning else []),
        ]


def label_dataset(
    path: str | Path,
    teachers: Sequence[Teacher],
    *,
    name: str,
    classes: ClassTable,
    recipe: LabelRecipe = PRESETS["default"],
    batch: int | None = None,
    overwrite: bool = False,
    jobs: int = 1,
    scheduler: str | None = None,
    tries: int = TRIES,
    threads: int | None = None,
    device: str | None = None,
    progress: Report = no_report,
    say: Callable[[str], None] | None = None,
) -> LabelSummary:
    """Label every frame of a data set or a folder of pictures, or finish an interrupted run.

    Frames that several samples share are labelled once. ``labels/SET`` gets the labels,
    ``confidence/SET`` the confidence of each pixel, also of ignored ones; the manifest gets
    recipe, class table and digests of the teachers. The sets of a folder of pictures lie in
    ``label_sets/`` within it, which lists them in ``label_sets.toml``; its own labels stay.

    Parameters
    ----------
    path : path
        Folder of the data set, or of labelled pictures in the layout of CamVid, Cityscapes or
        EV-SegNet's released files.
    teachers : sequence of Teacher
        Networks that label; pixels on which several disagree are ignored.
    name : str
        Name of the set.
    classes : ClassTable
        Classes to label in; it must know how to merge those of the teachers.
    recipe : LabelRecipe
        Test-time augmentation, merge and filters; views that it leaves open are chosen.
    batch : int, optional
        Frames at once; by default 1 on a CPU, and on a GPU up to 8, as memory allows. A stopped
        run that goes on with another batch may differ in the last bit of a confidence, since
        networks round differently.
    overwrite : bool
        Replace a set that was made otherwise.
    jobs : int
        Processes, each with the teachers; a script that asks for more than one needs
        ``if __name__ == "__main__":``.
    scheduler : str, optional
        Dask cluster that labels in place of processes of this machine: address of its scheduler,
        path of its scheduler file, or ``local`` for one of so many ``jobs`` here.
    tries : int
        Times that a piece of the work is tried whose process is lost or fails in an unknown way.
    threads : int, optional
        Threads of torch of all processes together, by default the processors; with a scheduler
        those of each worker, by default one. One process alone leaves torch as it is set.
    device : str, optional
        Device of other processes: ``auto`` and ``cuda`` give each a GPU of its own. By default
        that of the teachers.
    progress : callable
        Called with ``label``, ``measure`` or ``filter``, the frames done and all frames.
    say : callable, optional
        Called with each line of text: the views that were chosen; of one process on a CPU an
        estimate of the time, once the first batch is done; of several their threads and memory.

    Returns
    -------
    LabelSummary

    Raises
    ------
    DatasetError
        No data set, one without frames or with frames of mixed size, or a set of this name that
        was made otherwise.
    LabelError
        A name that no set may have, no way to merge the teacher's classes into these, or a filter
        over neighbours in time for pictures whose times are not known.
    OutputError
        The folder cannot be written, or another process writes into it.
    JobsError, MissingExtraError, ClusterError
        Some frames could not be labelled, the others are; Dask or its cluster cannot be used.
    """
    check_set_name(name)
    with open_target(path) as target:
        with label_workers(
            teachers,
            jobs=jobs,
            scheduler=scheduler,
            tries=tries,
            threads=threads,
            device=device,
            folder=target.root,
        ) as workers:
            plan = plan_labels(
                target,
                teachers,
                classes=classes,
                recipe=recipe,
                batch=batch,
                views=None if workers is None else workers.views(target.size, recipe, batch),
            )
            folder = LabelSetFolder(target, name, plan.settings, overwrite=overwrite)
            if folder.whole:
                return _summary(folder, classes)
            folder.begin()
            if say is not None:
                for line in plan.lines:
                    say(line)
            predict = predict_raw_labels if workers is None else workers.predict
            predict(plan, folder, report=progress, say=say)
        return complete_set(folder, classes, plan.recipe.filters, progress=progress)


def complete_set(
    folder: LabelSetFolder, classes: ClassTable, filters: LabelFilters, *, progress: Report
) -> LabelSummary:
    """Filter the raw labels of all frames, which must be there, and complete the set."""
    folder.open_final()
    pixels = filter_frames(folder, classes=classes, filters=filters, report=progress)
    folder.finish(classes)
    teachers = len(folder.settings["teachers"])
    warning = warning_of(pixels[-1] / max(1, sum(pixels)), filters, teachers=teachers)
    return replace(_summary(folder, classes), pixels=pixels, warning=warning)


def _summary(folder: LabelSetFolder, classes: ClassTable) -> LabelSummary:
    target = folder.target
    samples = sum(len(frame.samples) for frame in target.frames)
    return LabelSummary(target.path, folder.name, classes, len(target.frames), samples)
