"""Film of prediction folders: frame, events, labels, predictions of each run and their errors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np

from eventseg.dataset.truth import TRUTH
from eventseg.errors import DatasetError, OutputError
from eventseg.files.texts import counted
from eventseg.files.whole import check_folder
from eventseg.labels.common import CommonTable, common_table
from eventseg.labels.maps import ClassTable, Labels, paint_labels
from eventseg.networks.resizing import resize_nearest
from eventseg.plots.events import OFF_RGB, ON_RGB
from eventseg.plots.film import Picture, check_out, write_film
from eventseg.plots.film_frame import (
    EXACT,
    FilmLayout,
    Panel,
    paint_error,
    wrong_share,
)
from eventseg.prediction.folder import PredictionFolder, open_predictions
from eventseg.prediction.inputs import PredictedSample
from eventseg.prediction.moment import Moment, MomentSource
from eventseg.prediction.moments import open_moments, without_label_set
from eventseg.recordings.progress import Progress, Report, no_report

MOST_FPS, STILL_FPS = 60, Fraction(4)
"""Most pictures a second by default, and those of pictures without times."""

FPS_LIMITS = 0.1, 1_000
"""Fewest and most pictures a second that can be asked for."""

WIDTHS = {".mp4": 1600, ".gif": 960}
"""Default width of a film in pixels; that of an MP4 for a folder of PNG too."""

LOOKED_AT = 8
"""Samples that are looked at to decide which panels a film has."""


@dataclass(frozen=True, slots=True)
class FilmOfPredictions:
    """Result of :func:`film_predictions`.

    Parameters
    ----------
    path : Path
    pictures : int
    fps : float
        Pictures a second as the film has them: a GIF shows each for whole hundredths of a second.
    left_out : int
        Samples that not every folder has.
    note : str
        Reason for a panel that is missing, empty where none is.
    """

    path: Path
    pictures: int
    fps: float
    left_out: int
    note: str = ""

    def __str__(self) -> str:
        """Return the film on one line."""
        left_out = f"; {self.left_out:,} samples are not in every folder" if self.left_out else ""
        note = f"; {self.note}" if self.note else ""
        pictures = counted(self.pictures, "picture")
        return f"{self.path}: {pictures} at {self.fps:.3g} a second{left_out}{note}"


def film_predictions(
    folders: str | Path | PredictionFolder | Sequence[str | Path | PredictionFolder],
    out: str | Path,
    *,
    labels: str | None = None,
    fps: float | None = None,
    width: int | None = None,
    progress: Report = no_report,
) -> FilmOfPredictions:
    """Write a film of one prediction folder, or of several side by side.

    Its panels: the frame and the events of each moment, labels where the input has some, the
    prediction of each folder, and the wrong pixels of each where there are labels. All label maps
    are painted in one class table.

    Parameters
    ----------
    folders : path, PredictionFolder or sequence of them
        Of the same inputs; samples that all have are shown.
    out : path
        ``.mp4`` (extra ``video``), ``.gif``, or a new folder for PNG.
    labels : str, optional
        Label set of data sets; by default the truth, or the only one. Recordings show the truth
        beside them.
    fps : float, optional
        Pictures a second, 0.1 to 1000; by default as the moments follow each other, at most 60.
    width : int, optional
        Width in pixels; by default 1600, of a GIF 960.
    progress : callable
        Called after every picture.

    Raises
    ------
    DatasetError
        Folders without a sample in common, inputs that are gone, or none with that label set.
    OutputError
        The film cannot be written.
    MissingExtraError
        An MP4, and PyAV is not installed.

    Examples
    --------
    >>> summary = predict_into(run.path, "drive.hdf5", "shown", at=["0.2s", "0.3s"], device="cpu")
    >>> film_predictions("shown", "drive.gif").pictures
    2
    """
    if isinstance(folders, str | Path | PredictionFolder):
        folders = [folders]
    opened = [f if isinstance(f, PredictionFolder) else open_predictions(f) for f in folders]
    path = Path(out)
    check_fps(fps)
    columns = film_width(path, width)
    check_out(path)
    check_folder(path.parent if path.suffix else path)
    chosen, left_out = _samples_of_all(opened)
    rate = film_rate(chosen, fps)
    with ExitStack() as files:
        sources: dict[str, MomentSource] = {}
        for name in dict.fromkeys(sample.input for sample in chosen):
            sources[name] = open_moments(opened[0], name, label_set=labels)
            files.callback(sources[name].close)
        lacking = without_label_set(sources, labels)
        film = _Film.of(opened, sources, chosen, columns)

        def pictures() -> Iterator[Picture]:
            for number, sample in enumerate(chosen, start=1):
                yield film.picture(sample)
                progress(Progress("film", number, len(chosen), "picture"))

        rate = write_film(
            path,
            pictures(),
            names=tuple(sample.id for sample in chosen),
            fps=rate,
            colours=[
                *(*EXACT, ON_RGB, OFF_RGB),
                *film.common.classes.colours,
            ],
        )
    no_labels = f"{', '.join(lacking)} without labels {labels}" if lacking else ""
    note = "; ".join(filter(None, (film.note, no_labels)))
    return FilmOfPredictions(path, len(chosen), float(rate), left_out, note)


@dataclass(frozen=True, eq=False, slots=True)
class _Film:
    """Layout of a film and the classes that its label maps are brought to."""

    folders: list[PredictionFolder]
    sources: dict[str, MomentSource]
    layout: FilmLayout
    common: CommonTable
    tables: dict[str, int]
    shows: frozenset[str]
    note: str

    @classmethod
    def of(
        cls,
        folders: list[PredictionFolder],
        sources: dict[str, MomentSource],
        samples: Sequence[PredictedSample],
        width: int,
    ) -> _Film:
        looked = [samples[i] for i in np.linspace(0, len(samples) - 1, LOOKED_AT).astype(int)]
        seen = [sources[sample.input].moment(sample) for sample in looked]
        shows = {
            name
            for name in ("frame", "events", "labels")
            if sum(getattr(moment, name) is not None for moment in seen) * 2 >= len(seen)
        }
        tables = [folder.classes for folder in folders]
        common, of_inputs, note = _common(tables, sources, with_labels="labels" in shows)
        if not of_inputs:
            shows.discard("labels")
        rows, columns, free = _grid(shows, len(folders))
        size = folders[0].labels(samples[0].id).shape
        layout = FilmLayout(rows, columns, (size[0], size[1]), common.classes, width, free)
        return cls(folders, sources, layout, common, of_inputs, frozenset(shows), note)

    def picture(self, sample: PredictedSample) -> Picture:
        """Return the picture of a moment."""
        moment = self.sources[sample.input].moment(sample)
        truth = None
        if moment.labels is not None and sample.input in self.tables:
            truth = self.common.labels(moment.labels, self.tables[sample.input])
        above = [Panel("frame", moment.frame)] if "frame" in self.shows else []
        if "events" in self.shows:
            above.append(Panel("events, ON red, OFF blue", moment.events))
        if "labels" in self.shows:
            painted = None if truth is None else paint_labels(truth, self.common.classes)
            above.append(Panel(self._labels_title(sample.input), painted))
        predicted: list[Panel | None] = []
        errors: list[Panel | None] = []
        for number, folder in enumerate(self.folders):
            labels = self.common.labels(folder.labels(sample.id), number)
            if truth is not None and labels.shape != truth.shape:
                # An evaluation may have scored at another size.
                labels = resize_nearest(labels, (truth.shape[0], truth.shape[1]), rule="centres")
            name = str(folder.manifest.network["name"])
            predicted.append(Panel(_title(name, folder), paint_labels(labels, self.common.classes)))
            if "labels" in self.shows:
                errors.append(_error(labels, truth, moment))
        return self.layout.draw(
            _arranged(above, predicted, errors, self.layout.columns),
            headline=sample.id if sample.t_us is None else sample.input,
            note=_note(sample, moment),
        )

    def _labels_title(self, name: str) -> str:
        label_set = self.sources[name].label_set
        return "truth" if label_set == TRUTH else f"labels {label_set}"


def _title(name: str, folder: PredictionFolder) -> str:
    window = next((entry.get("window") for entry in folder.manifest.inputs), None)
    sees_events = folder.manifest.network["input"] in ("events", "both")
    return f"prediction: {name}" + (f", {window}" if window and sees_events else "")


def _error(labels: Labels, truth: Labels | None, moment: Moment) -> Panel:
    if truth is None:
        return Panel("error: no labels here", None)
    share = wrong_share(labels, truth)
    shown = "-" if math.isnan(share) else f"{share:.1%}"
    return Panel(f"error: {shown} of the pixels", paint_error(labels, truth, below=moment.frame))


def _note(sample: PredictedSample, moment: Moment) -> str:
    parts = []
    if sample.events is not None:
        parts.append(counted(sample.events, "event"))
    if moment.seconds is not None:
        parts.append(f"{moment.seconds:.3f} s")
    return "    ".join(parts)


def _common(
    tables: list[ClassTable], sources: dict[str, MomentSource], *, with_labels: bool
) -> tuple[CommonTable, dict[str, int], str]:
    """Return one table for all label maps, the number of each input's table, and a note."""
    labelled = {name: source.classes for name, source in sources.items()} if with_labels else {}
    known = {name: table for name, table in labelled.items() if table is not None}
    together = common_table([*tables, *known.values()])
    if together is not None:
        return together, {name: len(tables) + i for i, name in enumerate(known)}, ""
    alone = common_table(tables)
    if alone is None:
        names = ", ".join(f"{len(table)} classes" for table in tables)
        raise DatasetError(
            f"the predictions have classes that do not merge into one table ({names}); make a film "
            "of each"
        )
    return alone, {}, "the classes of the labels do not merge with those of the predictions"


def _grid(shows: set[str], runs: int) -> tuple[int, int, tuple[int, int] | None]:
    """Return rows and columns of the grid, and a free cell for the legend."""
    above = len(shows)
    if runs == 1:
        panels = above + 1 + ("labels" in shows)
        columns = 1 if panels == 1 else 2 if panels <= 4 else 3
        rows = -(-panels // columns)
        return rows, columns, None if panels == rows * columns else (rows - 1, columns - 1)
    columns = max(above, runs)
    rows = 1 + (1 + ("labels" in shows))
    free = (0, columns - 1) if above < columns else (rows - 1, columns - 1)
    return rows, columns, free if above < columns or runs < columns else None


def _arranged(
    above: Sequence[Panel | None],
    predicted: Sequence[Panel | None],
    errors: Sequence[Panel | None],
    columns: int,
) -> list[list[Panel | None]]:
    """Return rows of panels: of one run row by row, of several with a row for each kind."""
    if len(predicted) == 1:
        panels = [*above, *predicted, *errors]
        return [panels[start : start + columns] for start in range(0, len(panels), columns)]
    return [list(row) for row in (above, predicted, errors) if row]


def _samples_of_all(folders: Sequence[PredictionFolder]) -> tuple[list[PredictedSample], int]:
    """Return the samples of the first folder that all have, and the number of the others."""
    common = set(folders[0].ids).intersection(*(folder.ids for folder in folders[1:]))
    chosen = [sample for sample in folders[0].samples if sample.id in common]
    if not chosen:
        first = folders[0].path
        others = ", ".join(str(folder.path) for folder in folders[1:])
        raise DatasetError(
            f"{first} has no sample in common with {others}; predict the same inputs at the same "
            "instants"
            if others
            else f"{first} holds no sample"
        )
    return chosen, len(set().union(*(folder.ids for folder in folders))) - len(chosen)


def film_width(path: Path, width: int | None) -> int:
    """Return the width of a film in pixels, by default that of its kind.

    Raises
    ------
    OutputError
        A width out of range.
    """
    if width is not None and not 160 <= width <= 7_680:
        raise OutputError(f"a film is 160 to 7680 pixels wide, not {width}")
    return width or WIDTHS.get(path.suffix.lower(), WIDTHS[".mp4"])


def check_fps(fps: float | None) -> None:
    """Refuse pictures a second that no film has.

    Raises
    ------
    OutputError
        A rate out of range.
    """
    fewest, most = FPS_LIMITS
    if fps is not None and not fewest <= fps <= most:
        raise OutputError(f"a film has {fewest} to {most} pictures a second, not {fps}")


def film_rate(samples: Sequence[PredictedSample], fps: float | None) -> Fraction:
    """Return the pictures a second: the given ones, or those at which the moments passed."""
    if fps is not None:
        return Fraction(fps).limit_denominator(1001)
    steps = [
        after.t_us - before.t_us
        for before, after in pairwise(samples)
        if before.t_us is not None and after.t_us is not None and before.input == after.input
    ]
    positive = [step for step in steps if step > 0]
    if not positive:
        return STILL_FPS
    rate = min(MOST_FPS, 1e6 / float(np.median(positive)))
    return Fraction(max(rate, 1.0)).limit_denominator(100)
