"""Labelling of frames: raw labels by teachers, then label filters, into ``labels/SET``."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from eventseg.errors import LabelError
from eventseg.images import write_image
from eventseg.labels.maps import ClassTable, merge_of
from eventseg.pseudolabel.advice import warning_of
from eventseg.pseudolabel.filtering import filter_frames
from eventseg.pseudolabel.label_set_folder import LabelSetFolder, check_set_name
from eventseg.pseudolabel.recipes import PRESETS, LabelRecipe
from eventseg.pseudolabel.target import open_target
from eventseg.pseudolabel.teacher import Teacher
from eventseg.pseudolabel.views import plan_views
from eventseg.pseudolabel.voting import TeacherVote, predict_labels
from eventseg.recordings.progress import Progress, Report, no_report


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
            f"  {self.frames:,} frames of {self.samples:,} samples, {len(self.classes)} classes",
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
    progress : callable
        Called with ``label``, ``measure`` or ``filter``, the frames done and all frames.
    say : callable, optional
        Called with each line of text: the views that were chosen and, on a CPU, an estimate of
        the time, once the first batch is done.

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
    """
    check_set_name(name)
    teacher_votes = [
        TeacherVote(teacher, merge_of(teacher.classes, classes)) for teacher in teachers
    ]
    with open_target(path) as target:
        plan = plan_views(
            teachers,
            target.size,
            test_time=recipe.test_time,
            batch=batch,
            needs_agreement=recipe.filters.agreement > 0,
        )
        recipe = replace(recipe, test_time=plan.test_time)
        frames = target.frames
        # Whatever can be refused is refused before any work.
        if recipe.filters.ego is not None:
            recipe.filters.ego.of_shape(target.size)
        if recipe.filters.temporal is not None and all(frame.t_us is None for frame in frames):
            raise LabelError(
                f"{target.path} does not tell the times of its pictures, which --temporal needs; "
                "leave it out"
            )
        settings = settings_of(teachers, classes, recipe)
        folder = LabelSetFolder(target, name, settings, overwrite=overwrite)
        samples = sum(len(frame.samples) for frame in frames)
        if folder.whole:
            return LabelSummary(target.path, name, classes, len(frames), samples)
        folder.begin()
        if say is not None:
            for line in plan.lines:
                say(line)
        _predict_raw_labels(
            folder,
            teacher_votes,
            classes=len(classes),
            recipe=recipe,
            batch=plan.batch,
            report=progress,
            say=say,
        )
        folder.open_final()
        pixels = filter_frames(folder, classes=classes, recipe=recipe, report=progress)
        folder.finish(classes)
    warning = warning_of(pixels[-1] / max(1, sum(pixels)), recipe.filters, teachers=len(teachers))
    return LabelSummary(target.path, name, classes, len(frames), samples, pixels, warning)


def settings_of(
    teachers: Sequence[Teacher], classes: ClassTable, recipe: LabelRecipe
) -> dict[str, Any]:
    """Return all settings that determine labels, as the manifest stores them."""
    return {
        **recipe.to_dict(),
        "class_table": classes.name or "of a user",
        "classes": list(classes.names),
        "teachers": [
            {
                "name": teacher.name,
                "sha256": teacher.digest,
                "licence": teacher.licence,
                "merge": list(merge_of(teacher.classes, classes)),
            }
            for teacher in teachers
        ],
    }


def _predict_raw_labels(
    folder: LabelSetFolder,
    teacher_votes: Sequence[TeacherVote],
    *,
    classes: int,
    recipe: LabelRecipe,
    batch: int,
    report: Report,
    say: Callable[[str], None] | None,
) -> None:
    """Predict raw labels for frames that have none yet.

    Batches begin at the same frames however often a run was stopped, so that networks, whose
    rounding may depend on the batch, give the same bytes.
    """
    estimated = say is None or any(
        teacher_vote.teacher.device.type != "cpu" for teacher_vote in teacher_votes
    )
    frames, picture = folder.target.frames, folder.target.picture
    for start in range(0, len(frames), batch):
        group = frames[start : start + batch]
        report(Progress("label", start, len(frames), "frame"))
        if all(folder.has_raw_labels(frame) for frame in group):
            continue
        pictures = np.stack([picture(frame.samples[0]) for frame in group])
        began_s = time.monotonic()
        predicted = predict_labels(
            teacher_votes,
            pictures,
            classes=classes,
            test_time=recipe.test_time,
            merge=recipe.merge,
            agreement=recipe.filters.agreement,
        )
        taken_s = time.monotonic() - began_s
        for frame, labels, confidence in zip(
            group, predicted.labels, predicted.confidence, strict=True
        ):
            if not folder.has_raw_labels(frame):
                label_path, confidence_path = folder.raw_label_files(frame.key)
                write_image(confidence_path, confidence)
                write_image(label_path, labels)
        if not estimated and say is not None:
            left = sum(not folder.has_raw_labels(frame) for frame in frames)
            say(estimate(taken_s / len(group), left))
            estimated = True
    report(Progress("label", len(frames), len(frames), "frame"))


def estimate(seconds: float, frames: int) -> str:
    """Return a sentence with the time that a number of frames takes at a rate."""
    total = seconds * frames
    size, unit = (3600, "h") if total >= 3600 else (60, "min") if total >= 60 else (1, "s")
    return (
        f"{seconds:.2g} s a frame on the CPU: about {total / size:.1f} {unit} for {frames:,} more; "
        "a smaller teacher or fewer --scales are faster"
    )
