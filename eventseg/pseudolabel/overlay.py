"""Label a film and show the labels over its pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path

import numpy as np

from eventseg.errors import LabelError
from eventseg.events import SensorSize
from eventseg.labels.maps import IGNORED, ClassTable, Labels, merge_of, paint_labels
from eventseg.plots.film import Picture, check_out, write_film
from eventseg.pseudolabel.advice import warning_of
from eventseg.pseudolabel.arithmetic import with_arithmetic
from eventseg.pseudolabel.confidence import confident, least_level
from eventseg.pseudolabel.film import open_film
from eventseg.pseudolabel.recipes import PRESETS, LabelRecipe
from eventseg.pseudolabel.teacher import Teacher
from eventseg.pseudolabel.views import plan_views
from eventseg.pseudolabel.voting import TeacherVote, predict_labels
from eventseg.recordings.progress import Progress, Report, no_report

DEFAULT_FPS = Fraction(25)


@dataclass(frozen=True, slots=True)
class FilmSummary:
    """Result of labelling a film: path, number of pictures and share of ignored pixels.

    ``warning`` says what to do where that is nearly all of them; it is empty otherwise.
    """

    path: Path
    pictures: int
    ignored: float
    warning: str = ""


def overlay(picture: Picture, labels: Labels, classes: ClassTable) -> Picture:
    """Return a picture half covered by the colours of its labels, where it has labels.

    Parameters
    ----------
    picture : uint8 (H, W, 3)
    labels : uint8 (H, W)
    classes : ClassTable

    Returns
    -------
    uint8 (H, W, 3)
    """
    mixed = picture // 2 + paint_labels(labels, classes) // 2
    return np.where((labels == IGNORED)[..., None], picture, mixed)


def label_film(
    source: str | Path,
    out: str | Path,
    teachers: Sequence[Teacher],
    *,
    classes: ClassTable,
    recipe: LabelRecipe = PRESETS["default"],
    batch: int | None = None,
    side_by_side: bool = False,
    fps: Fraction | None = None,
    progress: Report = no_report,
    say: Callable[[str], None] | None = None,
) -> FilmSummary:
    """Label every picture of a film and write it with its labels over it.

    Parameters
    ----------
    source : path
        A folder of pictures or a video.
    out : path
        An MP4, or a new folder for PNG.
    teachers, classes, recipe, batch
        As for :func:`eventseg.pseudolabel.label_set.label_dataset`.
    side_by_side : bool
        Put the picture itself on the left.
    fps : Fraction, optional
        Pictures a second; by default those of the video, 25 for a folder.
    progress : callable
        Called after every batch; the total is 0 where the number of pictures is unknown.
    say : callable, optional
        Called with each line of text about the views that were chosen.

    Raises
    ------
    LabelError
        No film, pictures of mixed size, or a filter that needs a data set.
    OutputError
        The output cannot be written.
    MissingExtraError
        A video, and PyAV is not installed.
    """
    filters = recipe.filters
    if filters.quantile > 0 or filters.temporal is not None:
        raise LabelError(
            "the filters quantile and temporal look at more than one frame: they need a data set"
        )
    film = open_film(source)
    check_out(Path(out))
    teachers, arithmetic = with_arithmetic(teachers, recipe.arithmetic)
    teacher_votes = [
        TeacherVote(teacher, merge_of(teacher.classes, classes)) for teacher in teachers
    ]
    levels = np.full(len(classes), least_level(filters.threshold), np.int64)
    done = ignored = pixels = 0

    def shown() -> Iterator[Picture]:
        nonlocal done, ignored, pixels
        pictures = film.pictures()
        first = next(pictures, None)
        if first is None:
            return
        plan = plan_views(
            teachers,
            SensorSize(*first.shape[:2]),
            test_time=recipe.test_time,
            batch=batch,
            needs_agreement=filters.agreement > 0,
            arithmetic=arithmetic,
        )
        if say is not None:
            for line in plan.lines:
                say(line)
        pictures = chain([first], pictures)
        while group := list(islice(pictures, plan.batch)):
            predicted = predict_labels(
                teacher_votes,
                np.stack(group),
                classes=len(classes),
                test_time=plan.test_time,
                merge=recipe.merge,
                agreement=filters.agreement,
            )
            for picture, raw_labels, confidence in zip(
                group, predicted.labels, predicted.confidence, strict=True
            ):
                labels = confident(raw_labels, confidence, levels=levels)
                if filters.ego is not None:
                    height, width = labels.shape
                    labels[filters.ego.of_shape((height, width))] = IGNORED
                done, pixels = done + 1, pixels + labels.size
                ignored += int(np.count_nonzero(labels == IGNORED))
                over = overlay(picture, labels, classes)
                yield np.concatenate([picture, over], axis=1) if side_by_side else over
            progress(Progress("label", done, film.count, "picture"))

    write_film(out, shown(), names=film.names, fps=fps or film.fps or DEFAULT_FPS)
    share = ignored / max(1, pixels)
    return FilmSummary(Path(out), done, share, warning_of(share, filters, teachers=len(teachers)))
