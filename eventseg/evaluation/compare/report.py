"""Runs side by side as tables, beside published rows, with one picture of the same samples."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eventseg.evaluation.compare.classes import class_rows, same_data_note
from eventseg.evaluation.compare.encodings import align_encodings
from eventseg.evaluation.compare.evaluations import (
    PICK,
    evaluation_names,
    other_samples,
    pick_evaluation,
)
from eventseg.evaluation.compare.folders import COMPARISON, compared_runs
from eventseg.evaluation.compare.formats import ComparedTable, Format, as_csv, as_latex, as_markdown
from eventseg.evaluation.compare.paired import paired_lines, paired_table, paired_tests
from eventseg.evaluation.compare.picture import same_samples
from eventseg.evaluation.compare.published_rows import PUBLISHED_HEADER, published_rows
from eventseg.evaluation.compare.runs import RunSummary, group_seeds, read_run_summary
from eventseg.evaluation.compare.scores import Evaluation, Score, by_length, spread
from eventseg.files.texts import finite
from eventseg.html import page, paragraph, table, write_text
from eventseg.metrics.scores import RULE_ALL, RULE_PRESENT
from eventseg.plots.events import Figure
from eventseg.plots.figure_files import FigureFiles
from eventseg.plots.training import figure_runs
from eventseg.training.config.config import TrainConfig
from eventseg.training.epoch_tables import read_metrics

EVERY_HEADER = (
    "run",
    "seeds",
    "evaluation",
    "window",
    "samples",
    "accuracy",
    "mIoU present",
    "95 % interval",
    "mIoU all",
    "note",
)


def compare_runs(
    runs: Sequence[str | Path],
    *,
    out: str | Path,
    tests: Sequence[tuple[str | Path, str | Path]] = (),
    formats: Sequence[Format] = ("md",),
) -> tuple[Path, str]:
    """Write ``compare.md``, ``compare.json`` and ``compare.html`` of runs into a folder.

    Runs of other encodings are compared each on its own input. ``figures`` gets the figures of the
    page as PNG and PDF.

    Parameters
    ----------
    runs : sequence of path
        Run folders; the evaluations inside them are shown too. A folder of runs, such as a
        sweep's, stands for those directly in it. Comparisons and reports of networks without a
        run folder, as they lie in ``runs/``, are left out with a note.
    out : path
    tests : sequence of (path, path)
        Pairs of run folders whose scores are tested for a difference, each together with the runs
        that differ from it only in the seed. They are compared even where `runs` lacks them.
    formats : sequence of {"md", "csv", "latex"}
        Formats of the tables: ``compare.csv`` and ``compare.tex`` are written where asked for;
        those of an earlier comparison in the folder are removed.

    Returns
    -------
    Path, str
        The page, and the tables in the first format.

    Raises
    ------
    TrainingError
        No run, one that cannot be read, or a pair that cannot be tested.
    LabelError
        A pair with too few blocks to be tested.
    """
    runs = list(runs)
    for folder in (folder for pair in tests for folder in pair):
        if Path(folder).resolve() not in {Path(run).resolve() for run in runs}:
            runs.append(folder)
    runs, left_out = compared_runs(runs)
    summaries = align_encodings([read_run_summary(run) for run in runs])
    groups = group_seeds(summaries)
    chosen, names = pick_evaluation(groups), evaluation_names(groups)
    tested = [test for pair in tests for test in paired_tests(groups, pair)]
    reading = [
        "Validation mIoU is of the best epoch; runs that differ only in the seed are one row, mean "
        "± deviation. Training time is the mean of the seeds, memory the most.",
        f"mIoU by window is that of the evaluation {names[chosen]}: {PICK}."
        if chosen
        else "No run has an evaluation: eventseg evaluate RUN DATA makes one.",
        f"mIoU present: {RULE_PRESENT}; so are all that are named mIoU only. mIoU all: {RULE_ALL}.",
    ]
    reading += left_out
    if chosen and other_samples(groups, chosen):
        reading.append(
            "The scores of that evaluation are not all of the same samples: see the notes under "
            "Every evaluation."
        )
    tables = [
        ComparedTable("Runs", *run_rows(groups, chosen), reading),
        *(ComparedTable(*paired_table(test), paired_lines(test)) for test in tested),
        ComparedTable("Every evaluation", EVERY_HEADER, evaluation_rows(groups), []),
        ComparedTable("IoU of classes", *class_rows(groups, chosen), same_data_note(groups)),
        ComparedTable("Published", PUBLISHED_HEADER, published_rows(groups), []),
    ]
    tables = [one for one in tables if one.rows]
    texts: dict[str, str] = {
        "md": as_markdown(tables, reading=reading),
        "csv": as_csv(tables),
        "latex": as_latex(tables),
    }
    sections = [
        (
            title,
            table(header, rows, words=header[-1] == "note", wrapped=title == "Published")
            + "".join(paragraph(line, kind="soft") for line in lines),
        )
        for title, header, rows, lines in tables
    ]
    figures = FigureFiles()
    figure, reason = same_samples([Path(run) for run in runs], summaries)
    shown = (
        paragraph(reason, kind="soft")
        if figure is None
        else figures.embed("same-samples", figure, alternative="predictions of each run")
        + paragraph(reason, kind="soft")
    )
    sections.insert(1, ("Same samples", shown))
    curves = figures.embed("learning-curves", _curves(runs), alternative="learning curves")
    sections.insert(1, ("Learning curves", curves))
    lead = ", ".join(summary.name for summary in summaries)
    root = Path(out)
    described: dict[str, Any] = {"runs": [_described(run, names) for run in groups]}
    if left_out:
        described["left_out"] = left_out
    if tested:
        described["tests"] = [test.to_dict() for test in tested]
    write_text(root / COMPARISON, json.dumps(finite(described), indent=2) + "\n")
    write_text(root / "compare.md", texts["md"])
    for name, ending in (("csv", "csv"), ("latex", "tex")):
        path = root / f"compare.{ending}"
        if name in formats:
            write_text(path, texts[name])
        elif path.is_file():  # of an earlier comparison
            path.unlink()
    write_text(root / "compare.html", page("Runs side by side", lead=lead, sections=sections))
    figures.write(root)
    return root / "compare.html", texts[formats[0]]


def _curves(runs: Sequence[str | Path]) -> Figure:
    """Return the validation scores of all runs over their updates."""
    curves = {}
    for run in runs:
        history, _ = read_metrics(Path(run))
        name = Path(run).name
        while name in curves:  # runs of one name in several folders
            name += "'"
        curves[name] = ([row.iteration for row in history], [row.val_miou for row in history])
    return figure_runs(curves, title="validation mIoU, %")


def _described(run: RunSummary, names: Mapping[Evaluation, str]) -> dict[str, Any]:
    """Return one run, or several that differ only in the seed, as JSON holds it; lists by seed."""
    return {
        "name": run.name,
        "network": run.config.network.name,
        "input": run.config.input.kind,
        "windows": list(run.config.input.windows) if _sees_events(run.config) else [],
        "labels": run.config.labels.set,
        "encoding": None if run.encoding is None else run.encoding.to_dict(),
        "data": run.data_name,
        "parameters": run.parameters,
        "best_epoch": run.best_epoch,
        "val_miou": list(run.val_miou),
        "train_s": run.train_s,
        "peak_memory_mib": run.peak_memory_mib,
        "evaluations": [
            {
                "name": names[evaluation],
                "window": window,
                "scores": [
                    {**score._asdict(), "per_class": dict(score.per_class)} for score in scores
                ],
            }
            for evaluation in sorted(run.scored)
            for window, scores in run.scored[evaluation].items()
        ],
    }


def run_rows(
    runs: Sequence[RunSummary], chosen: Evaluation | None
) -> tuple[tuple[str, ...], list[list[str]]]:
    """Return header and text cells of the table of our runs, one a group of seeds."""
    windows = sorted(
        {window for run in runs for window in run.scored.get(chosen, ())} if chosen else (),
        key=by_length,
    )
    header = (
        "run",
        "seeds",
        "network",
        "input",
        "windows",
        "labels",
        "representation",
        "filters",
        "data",
        "sensor",
        "parameters",
        "best epoch",
        "val mIoU",
        *(f"mIoU {window}".removesuffix(" -") for window in windows),
        "training",
        "peak memory",
    )
    rows = []
    for run in runs:
        scored = run.scored.get(chosen, {}) if chosen else {}
        rows.append(
            [
                run.name,
                str(len(run.val_miou)),
                run.config.network.name,
                _input(run.config),
                ", ".join(run.config.input.windows) if _sees_events(run.config) else "-",
                run.config.labels.set,
                *_encoding_cells(run),
                f"{run.parameters:,}",
                run.best_epoch,
                spread(run.val_miou),
                *(spread([score.miou for score in scored.get(at, ())]) for at in windows),
                f"{run.train_s:,.0f} s",
                f"{run.peak_memory_mib:,.0f} MiB",
            ]
        )
    return header, rows


def _encoding_cells(run: RunSummary) -> tuple[str, str, str, str]:
    """Return representation with normalisation, filters, data and sensor."""
    encoding = run.encoding
    if encoding is None:
        return "-", "-", run.data_name or "-", "-"
    representation = f"{encoding.representation} {encoding.normalise}"
    filters = ", ".join(encoding.filters) or "none"
    return representation, filters, run.data_name or "-", str(encoding.sensor)


def evaluation_rows(runs: Sequence[RunSummary]) -> list[list[str]]:
    """Return text cells of every evaluation of every run, as :data:`EVERY_HEADER`."""
    names = evaluation_names(runs)
    return [
        [
            run.name,
            str(len(scores)),
            names[evaluation],
            window,
            f"{scores[0].samples:,}",
            spread([score.accuracy for score in scores]),
            spread([score.miou for score in scores]),
            _interval(scores),
            spread([score.miou_all for score in scores]),
            "; ".join(
                filter(None, (_scope(scores), other_samples(runs, evaluation).get((place, window))))
            ),
        ]
        for place, run in enumerate(runs)
        for evaluation in sorted(run.scored)
        for window, scores in sorted(
            run.scored[evaluation].items(), key=lambda item: by_length(item[0])
        )
    ]


def _interval(scores: Sequence[Score]) -> str:
    """Return the interval of one seed; the deviation says more of several."""
    if len(scores) > 1 or math.isnan(scores[0].low):
        return "-"
    return f"{scores[0].low:.2f} to {scores[0].high:.2f}"


def _scope(scores: Sequence[Score]) -> str:
    """Return the limit of the interval where one is shown."""
    return "" if _interval(scores) == "-" else scores[0].scope


def _input(config: TrainConfig) -> str:
    kind = config.input.kind
    return f"{kind}, {config.input.fusion} fusion" if kind == "both" else kind


def _sees_events(config: TrainConfig) -> bool:
    return config.input.kind in ("events", "both")
