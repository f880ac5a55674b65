"""Report of scored predictions: rows, sections, warnings, pictures and the files behind them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import DatasetError
from eventseg.evaluation.baselines import teacher_row
from eventseg.evaluation.evaluate_predictions import frame_picture
from eventseg.evaluation.evaluation import Evaluation
from eventseg.evaluation.measures.by_condition import ScoresByClass
from eventseg.evaluation.report.sections import Section
from eventseg.evaluation.report.warning import warning_of
from eventseg.evaluation.report.write import write_report
from eventseg.evaluation.rows import Row
from eventseg.evaluation.scoring.contenders import FolderContender, NetworkContender
from eventseg.evaluation.scoring.diagnosis import diagnose, diagnosis_section
from eventseg.evaluation.scoring.label_pass import in_classes
from eventseg.evaluation.scoring.latex import latex_tables
from eventseg.evaluation.scoring.leagues import published_section
from eventseg.evaluation.scoring.parts import ScoredSplits
from eventseg.evaluation.scoring.scored import ScoredContender
from eventseg.evaluation.scoring.sections import protocol_section
from eventseg.evaluation.scoring.settings import ScoreRequest
from eventseg.evaluation.scoring.stressed import stress_sections
from eventseg.evaluation.scoring.versus import seeds_section, versus_section
from eventseg.files.digests import table_digest
from eventseg.html import write_text
from eventseg.labels.maps import IGNORED, ClassTable, paint_labels
from eventseg.networks.resizing import resize_nearest
from eventseg.recordings.progress import Report
from eventseg.sources.selection import merge_into, truth_of
from eventseg.sources.source import Source, open_source

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


def write_score(
    groups: Sequence[Sequence[ScoredContender]],
    splits: ScoredSplits,
    request: ScoreRequest,
    of_file: str,
    table: ClassTable,
    folder: Path,
    progress: Report,
) -> Score:
    """Write the report of scored predictions.

    Parameters
    ----------
    groups : sequence of sequence of ScoredContender
        One group of seeds, or two to compare.
    splits : ScoredSplits
    request : ScoreRequest
    of_file : str
        Word for the split file in the name of the protocol; empty without one.
    table : ClassTable
        Classes that are scored.
    folder : Path
    progress : callable
        Called after every sample of a diagnosis or of stress.

    Raises
    ------
    DatasetError
        Predictions that are scored under different protocols.
    """
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
