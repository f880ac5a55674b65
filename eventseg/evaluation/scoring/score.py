"""From anyone's predictions and a data set to a report."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import DatasetError, LabelError, TrainingError, known_names
from eventseg.evaluation.baselines import teacher_row
from eventseg.evaluation.evaluate_predictions import frame_picture
from eventseg.evaluation.evaluation import Evaluation
from eventseg.evaluation.measures.by_condition import ScoresByClass
from eventseg.evaluation.report.sections import Section
from eventseg.evaluation.report.warning import warning_of
from eventseg.evaluation.report.write import write_report
from eventseg.evaluation.request import split_word
from eventseg.evaluation.rows import Row
from eventseg.evaluation.scoring.contenders import (
    Contender,
    FolderContender,
    NetworkContender,
    open_contender,
    seeds_of,
)
from eventseg.evaluation.scoring.diagnosis import diagnose, diagnosis_section
from eventseg.evaluation.scoring.files import PredictionFiles
from eventseg.evaluation.scoring.label_pass import in_classes
from eventseg.evaluation.scoring.latex import latex_tables
from eventseg.evaluation.scoring.leagues import published_section
from eventseg.evaluation.scoring.parts import ScoredSplits, joined, scored_splits
from eventseg.evaluation.scoring.scored import ScoredContender, score_contender
from eventseg.evaluation.scoring.sections import protocol_section
from eventseg.evaluation.scoring.settings import ScoreRequest
from eventseg.evaluation.scoring.stressed import stress_sections
from eventseg.evaluation.scoring.versus import seeds_section, versus_section
from eventseg.files.digests import table_digest
from eventseg.files.whole import check_folder
from eventseg.html import write_text
from eventseg.labels.maps import IGNORED, ClassTable, load_class_table, paint_labels
from eventseg.networks.resizing import resize_nearest
from eventseg.recordings.progress import Report, no_report
from eventseg.sources.selection import merge_into, truth_of
from eventseg.sources.source import Source, open_source

SCORES = Path("scores")
"""Folder that holds one folder of reports for each score."""

FILES, TEX = "files.json", "scores.tex"
"""Digests of every file used, and the tables as LaTeX, beside ``scores.json``."""

PAPER_NOTE = (
    "as EV-SegNet published; label maps and the results of functions are brought to this size as "
    "they are, and only runs average views"
)


@dataclass(frozen=True, eq=False, slots=True)
class Score(Evaluation):
    """Result of a score; it unpacks as the pair of page and rows.

    Parameters
    ----------
    page, rows, sections, notes
        As of :class:`eventseg.evaluation.Evaluation`.
    mistakes : tuple of str
        Mistakes that the diagnosis names, such as ``x-mirrored``, those of the first predictions.
    """

    mistakes: tuple[str, ...] = ()


def score_predictions(
    predictions: Any,
    data: str | Path,
    *,
    request: ScoreRequest | None = None,
    out: str | Path | None = None,
    progress: Report = no_report,
    **settings: Any,
) -> Score:
    """Score anyone's predictions against the labels of a data set, and write the report.

    Parameters
    ----------
    predictions : path, str, callable or sequence
        Folder of label PNG or ``.npy`` named by sample ids or frame numbers, a prediction folder,
        ``python:MODULE:FUNCTION`` or ``FILE.py:FUNCTION`` or a function of a
        :class:`~eventseg.evaluation.scoring.callables.ScoredSample`, a run folder, a checkpoint or
        ``NETWORK:PATH``. A sequence of two is compared by a paired test; each of its items may be
        a sequence of its own, or ``A,B,C``: the same predictions by several seeds.
    data : path
        Data set folder or image folder.
    request : ScoreRequest, optional
    out : path, optional
        Folder of the report; by default ``scores/NAME-DATA-LABELS-SPLIT``.
    progress : callable
        Called after every sample.
    **settings
        Fields of :class:`ScoreRequest` in place of a request.

    Returns
    -------
    Score

    Raises
    ------
    CheckpointError, DatasetError, ExtensionError, LabelError, TrainingError
        Predictions that are missing, duplicate, of another size or of other classes, by name; runs
        whose own splits differ.

    Examples
    --------
    >>> summary = predict_into(run.path, "drives", "maps", split="test", device="cpu")
    >>> found = score_predictions("maps/labels", "drives", network_classes="cityscapes19")
    >>> found.rows[0].name, found.mistakes
    ('labels', ())
    """
    if request is not None and settings:
        raise TrainingError(f"give a request or {', '.join(settings)}, not both")
    request = request or _request_of(settings)
    source = open_source(data, label_set=request.labels)
    try:
        if request.teacher:  # before minutes of scoring
            open_source(data, label_set=request.teacher).close()
        groups = _opened(predictions, source, request)
        contenders = [one for group in groups for one in group]
        if request.stress:
            _check_stressed(contenders)
        table = _table(contenders, request)
        splits = scored_splits(
            contenders, source, split=request.split, split_file=request.split_file
        )
        of_file = f"-{split_word(splits.sources[0])}" if request.split_file else ""
        name = _folder_name(groups, source, request)
        folder = SCORES / f"{name}{of_file}" if out is None else Path(out)
        check_folder(folder)
        scored = _scored(groups, splits, request, table, progress)
        return _report(scored, splits, request, of_file, table, folder, progress)
    finally:
        source.close()


def _request_of(settings: dict[str, Any]) -> ScoreRequest:
    known = [field.name for field in fields(ScoreRequest)]
    for name in settings:
        if name not in known:
            raise TrainingError(
                f"unknown setting {name!r} of a score"
                f"{known_names(name, known, listed='eventseg score --help lists all')}"
            )
    if isinstance(settings.get("stress"), str):
        settings = {**settings, "stress": tuple(settings["stress"].split(","))}
    return ScoreRequest(**settings)


def _opened(
    predictions: Any, source: Source, request: ScoreRequest
) -> list[list[Contender | PredictionFiles]]:
    """Return the contenders of each group, one a seed."""
    several = isinstance(predictions, Sequence) and not isinstance(predictions, str)
    specs = list(predictions) if several else [predictions]
    if not 1 <= len(specs) <= 2:
        raise TrainingError(
            f"{len(specs)} predictions to score; give one, or two to compare, each of several "
            "seeds as A,B,C"
        )
    return [[open_contender(one, source, request=request) for one in seeds_of(s)] for s in specs]


def _check_stressed(contenders: Sequence[Contender | PredictionFiles]) -> None:
    for one in contenders:
        if isinstance(one, PredictionFiles):
            raise TrainingError(
                f"{one.name} is a folder of predictions: stress changes the inputs, and needs a "
                "function or a run"
            )


def _table(contenders: Sequence[Any], request: ScoreRequest) -> ClassTable:
    if request.classes:
        return load_class_table(request.classes)
    table: ClassTable = contenders[0].classes
    for one in contenders[1:]:
        if one.classes.names != table.names:
            raise LabelError(
                f"{contenders[0].name} predicts the classes {', '.join(table.names[:3])}, ... and "
                f"{one.name} {', '.join(one.classes.names[:3])}, ...; name classes that both can "
                "be merged into with --classes"
            )
    return table


def _scored(
    groups: Sequence[Sequence[Contender | PredictionFiles]],
    splits: ScoredSplits,
    request: ScoreRequest,
    table: ClassTable,
    progress: Report,
) -> list[list[ScoredContender]]:
    """Score all contenders; baselines stand beside the first."""
    names = Counter(one.name for group in groups for one in group)
    done: list[list[ScoredContender]] = []
    seen: Counter[str] = Counter()
    sources = iter(splits.sources)
    for group in groups:
        done.append([])
        for opened in group:
            source = next(sources)
            contender, indices = joined(opened, source, request)
            first = not seen
            seen[contender.name] += 1
            found = score_contender(
                contender,
                source,
                indices,
                request=request,
                classes=table,
                with_baselines=request.baselines and first,
                progress=progress,
            )
            if names[contender.name] > 1:
                found = _renamed(found, f"{contender.name} ({seen[contender.name]})")
            done[-1].append(found)
    return done


def _renamed(found: ScoredContender, name: str) -> ScoredContender:
    own = found.contender.name
    rows = {
        key: [replace(row, name=name) if row.name == own else row for row in rows]
        for key, rows in found.rows.items()
    }
    return replace(found, rows=rows)


def _report(
    groups: Sequence[Sequence[ScoredContender]],
    splits: ScoredSplits,
    request: ScoreRequest,
    of_file: str,
    table: ClassTable,
    folder: Path,
    progress: Report,
) -> Score:
    scored = [one for group in groups for one in group]
    first, source = scored[0], splits.sources[0]
    protocol = first.protocols[0]
    for one in scored:
        if protocol.name not in one.rows:
            raise DatasetError(
                f"predictions of {one.row.name} are scored under protocol "
                f"{one.protocols[0].name} only, those of {first.row.name} under {protocol.name}; "
                "give both at the size of the labels"
            )
    rows = _rows(scored, protocol.name)
    notes = [*splits.notes, *(note for one in scored for note in one.notes)]
    if request.teacher:
        teacher = open_source(source.path, label_set=request.teacher)
        try:
            window = None if first.row.window == "-" else first.row.window
            rows.append(
                teacher_row(source, teacher, protocol=protocol, classes=table, window=window)
            )
        finally:
            teacher.close()
    sections = _sections(groups, rows, source, request, notes)
    warnings = [splits.warning, *_missing(scored)]
    mistakes: tuple[str, ...] = ()
    for number, one in enumerate(scored if request.diagnosis else (), start=1):
        findings = diagnose(one.contender, source, one.indices, classes=table, progress=progress)
        if not findings:
            notes.append(f"no diagnosis of {one.row.name}: no sample at the size of its labels")
            continue
        section = diagnosis_section(findings)
        sections.append(_of(section, one.row.name, number, several=len(scored) > 1))
        named = [finding.mistake for finding in findings if finding.named]
        if number == 1:
            mistakes = tuple(mistake.key for mistake in named)
        if named:
            found = f"Diagnosis of {one.row.name}: {named[0].title}; {named[0].cure}."
            warnings.append(found)
    for number, one in enumerate(scored if request.stress else (), start=1):
        stressed = stress_sections(one, source, request, table, progress)
        sections += [_of(s, one.row.name, number, several=len(scored) > 1) for s in stressed]
    digests = _digests(scored)
    about = {
        **{key: value for key, value in first.contender.about.items() if key != "trained with"},
        "data": source.path.resolve().name,
        "label set": request.labels,
        "scored as": f"{request.labels}-{request.split}-{protocol.name}{of_file}",
        "data digests": source.digests,
        FILES: table_digest(digests),
    }
    config = None
    if isinstance(first.contender, NetworkContender):
        config = first.contender.file.config
    warnings.append(warning_of(config, source, protocol, request.labels))
    page = write_report(
        folder,
        rows,
        protocol=protocol,
        about=about,
        panels=lambda sample: _panels(first, source, sample, table),
        warning=" ".join(filter(None, warnings)),
        sections=sections,
        notes=notes,
    )
    write_text(folder / FILES, json.dumps(digests, indent=1) + "\n")
    words = f"{about['data']}, labels {request.labels}, split {request.split}, {protocol.name}."
    write_text(folder / TEX, latex_tables(rows, caption=words))
    return Score(page, rows, sections, notes, mistakes)


def _rows(scored: Sequence[ScoredContender], protocol: str) -> list[Row]:
    """Return the rows of all contenders under a protocol, then the baselines of the first."""
    having = [one.rows[protocol] for one in scored if protocol in one.rows]
    return [rows[0] for rows in having] + [row for rows in having for row in rows[1:]]


def _sections(
    groups: Sequence[Sequence[ScoredContender]],
    rows: Sequence[Row],
    source: Source,
    request: ScoreRequest,
    notes: list[str],
) -> list[Section]:
    """Return the sections of the report but the diagnosis."""
    scored = [one for group in groups for one in group]
    own = list(rows[: len(scored)])
    sections: list[Section] = []
    seeds = seeds_section([[one.row for one in group] for group in groups], seed=request.seed)
    if seeds is not None:
        sections.append(seeds)
    if len(groups) == 2:
        versus, reason = versus_section(
            *([one.row for one in group] for group in groups), seed=request.seed
        )
        sections += [versus] if versus is not None else []
        notes += [reason] if reason else []
    published = published_section(source, own[0])
    if published is not None:
        sections.append(published)
    for other in scored[0].protocols[1:]:
        sections.append(protocol_section(_rows(scored, other.name), other, note=PAPER_NOTE))
    for number, one in enumerate(scored, start=1):
        made = [ScoresByClass().section([one.row]), *one.sections]
        sections += [_of(s, one.row.name, number, several=len(scored) > 1) for s in made]
    return sections


def _missing(scored: Sequence[ScoredContender]) -> list[str]:
    """Return a warning about each contender that lacks predictions of the part."""
    found = []
    for one in scored:
        size = one.contender.part_size if isinstance(one.contender, FolderContender) else 0
        if len(one.indices) < size:
            of = f" of {one.row.name}" if len(scored) > 1 else ""
            found.append(
                f"Only {len(one.indices):,} of the {size:,} samples of the part are scored{of}: "
                "such a score cannot stand beside others."
            )
    return found


def _digests(scored: Sequence[ScoredContender]) -> dict[str, str]:
    """Return the digests of all files, those of predictions under the names of several rows."""
    found: dict[str, str] = {}
    for one in scored:
        for key, value in one.digests.items():
            is_shared = len(scored) == 1 or key.startswith("labels of ")
            found[key if is_shared else f"{one.row.name}: {key}"] = value
    return found


def _of(section: Section, name: str, number: int, *, several: bool) -> Section:
    """Return the section of one of several contenders under a key and title of its own."""
    if not several:
        return section
    key = section.key if number == 1 else f"{section.key}_{number}"
    return replace(section, key=key, title=f"{section.title}: {name}")


def _panels(
    found: ScoredContender, source: Source, sample: str, table: ClassTable
) -> list[NDArray[np.uint8]]:
    """Return frame, truth and prediction of a sample as pictures, at the size of its labels."""
    i = source.ids.index(sample)
    truth = truth_of(source, i, merge=merge_into(source.classes, table)).numpy()
    contender = found.contender
    labels, _ = in_classes(
        contender.predict(source, i),
        merge_into(contender.classes, table),
        classes=len(table),
    )
    labels = resize_nearest(labels, (truth.shape[0], truth.shape[1]), rule="centres")
    painted = [
        paint_labels(one, table) for one in (truth, np.where(truth == IGNORED, truth, labels))
    ]
    return [frame_picture(source, i, painted[0]), *painted]


def _folder_name(
    groups: Sequence[Sequence[Contender | PredictionFiles]], source: Source, request: ScoreRequest
) -> str:
    names = ["+".join(dict.fromkeys(one.name for one in group)) for group in groups]
    name = "-vs-".join(names).replace("/", "_").replace(":", "_")
    return f"{name}-{source.path.resolve().name}-{request.labels}-{request.split}"
