"""Raw labels: what teachers say of each frame, before filters; planned, then predicted."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from eventseg.errors import LabelError
from eventseg.images import write_image
from eventseg.labels.maps import ClassTable, merge_of
from eventseg.pseudolabel.arithmetic import with_arithmetic
from eventseg.pseudolabel.label_set_folder import LabelSetFolder
from eventseg.pseudolabel.recipes import LabelRecipe
from eventseg.pseudolabel.target import LabelTarget
from eventseg.pseudolabel.teacher import Teacher
from eventseg.pseudolabel.views import ViewPlan, plan_views
from eventseg.pseudolabel.voting import TeacherVote, predict_labels
from eventseg.recordings.progress import Progress, Report


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class LabelPlan:
    """Teachers and settings of a label set, checked.

    Parameters
    ----------
    votes : tuple of TeacherVote
    classes : ClassTable
        Classes of the labels.
    recipe : LabelRecipe
        With all views chosen.
    batch : int
        Frames at once. Batches begin at multiples of it.
    settings : dict
        All that determines the labels, as the manifest stores it.
    lines : tuple of str
        Sentences on the views that were chosen.
    """

    votes: tuple[TeacherVote, ...]
    classes: ClassTable
    recipe: LabelRecipe
    batch: int
    settings: dict[str, Any]
    lines: tuple[str, ...]


def plan_labels(
    target: LabelTarget,
    teachers: Sequence[Teacher],
    *,
    classes: ClassTable,
    recipe: LabelRecipe,
    batch: int | None,
    views: ViewPlan | None = None,
) -> LabelPlan:
    """Return the plan of a label set; whatever can be refused is refused here.

    Views that another process has chosen may be given.

    Raises
    ------
    LabelError
        No way to merge the teacher's classes into these, or a filter that the pictures do not
        allow.
    """
    teachers, arithmetic = with_arithmetic(teachers, recipe.arithmetic)
    votes = tuple(TeacherVote(teacher, merge_of(teacher.classes, classes)) for teacher in teachers)
    views = views or plan_views(
        teachers,
        target.size,
        test_time=recipe.test_time,
        batch=batch,
        needs_agreement=recipe.filters.agreement > 0,
        arithmetic=arithmetic,
    )
    recipe = replace(recipe, test_time=views.test_time, arithmetic=arithmetic)
    if recipe.filters.ego is not None:
        recipe.filters.ego.of_shape(target.size)
    if recipe.filters.temporal is not None and all(frame.t_us is None for frame in target.frames):
        raise LabelError(
            f"{target.path} does not tell the times of its pictures, which --temporal needs; "
            "leave it out"
        )
    return LabelPlan(
        votes=votes,
        classes=classes,
        recipe=recipe,
        batch=views.batch,
        settings=settings_of(teachers, classes, recipe),
        lines=views.lines,
    )


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


def predict_raw_labels(
    plan: LabelPlan,
    folder: LabelSetFolder,
    *,
    start: int = 0,
    stop: int | None = None,
    report: Report,
    say: Callable[[str], None] | None,
) -> int:
    """Predict raw labels for frames ``start`` to ``stop`` that have none; return their number.

    Batches begin at the same frames however often a run was stopped or cut into shards, so that
    networks, whose rounding may depend on the batch, give the same bytes. ``start`` must be a
    multiple of the batch.
    """
    estimated = say is None or any(vote.teacher.device.type != "cpu" for vote in plan.votes)
    frames, picture = folder.target.frames[:stop], folder.target.picture
    predicted_frames, total = 0, len(frames) - start
    for first in range(start, len(frames), plan.batch):
        group = frames[first : first + plan.batch]
        report(Progress("label", first - start, total, "frame"))
        if all(folder.has_raw_labels(frame) for frame in group):
            continue
        pictures = np.stack([picture(frame.samples[0]) for frame in group])
        began_s = time.monotonic()
        predicted = predict_labels(
            plan.votes,
            pictures,
            classes=len(plan.classes),
            test_time=plan.recipe.test_time,
            merge=plan.recipe.merge,
            agreement=plan.recipe.filters.agreement,
        )
        taken_s = time.monotonic() - began_s
        for frame, labels, confidence in zip(
            group, predicted.labels, predicted.confidence, strict=True
        ):
            if not folder.has_raw_labels(frame):
                label_path, confidence_path = folder.raw_label_files(frame.key)
                write_image(confidence_path, confidence)
                write_image(label_path, labels)
                predicted_frames += 1
        if not estimated and say is not None:
            left = sum(not folder.has_raw_labels(frame) for frame in frames[start:])
            say(estimate(taken_s / len(group), left))
            estimated = True
    report(Progress("label", total, total, "frame"))
    return predicted_frames


def estimate(seconds: float, frames: int) -> str:
    """Return a sentence with the time that a number of frames takes at a rate."""
    total = seconds * frames
    size, unit = (3600, "h") if total >= 3600 else (60, "min") if total >= 60 else (1, "s")
    return (
        f"{seconds:.2g} s a frame on the CPU: about {total / size:.1f} {unit} for {frames:,} more; "
        "a smaller teacher or fewer --scales are faster"
    )
