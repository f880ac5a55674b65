"""Evaluations by the shards of a job array: counts of one shard, and the report of all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from eventseg.dataset.jobs.job import TRIES
from eventseg.dataset.jobs.shard import Shard, read_shards, remove_shards, was_merged
from eventseg.errors import DatasetError, OutputError
from eventseg.evaluation.counter import Counter
from eventseg.evaluation.evaluation import Evaluation
from eventseg.evaluation.late_clock import CLOCK_SHIFT_US, unreadable
from eventseg.evaluation.measures.plan import plan_measures
from eventseg.evaluation.plan import EvaluationPlan, open_evaluation
from eventseg.evaluation.request import EvaluationRequest, request_of
from eventseg.evaluation.run_evaluation import check_countable, needs_maps
from eventseg.evaluation.run_report import report_of, scoring_of
from eventseg.evaluation.score_jobs import LocalCounter, score_workers
from eventseg.evaluation.scored_part import ScoredPart, joined
from eventseg.events import SensorSize
from eventseg.files.digests import digest_of, table_digest
from eventseg.files.locks import locked
from eventseg.files.texts import counted
from eventseg.recordings.progress import Progress, Report, no_report
from eventseg.sources.leagues.league import League
from eventseg.sources.recorded import EventSource

KIND = "evaluation"
"""Word for an evaluation in the records of shards."""


@dataclass(frozen=True, slots=True)
class ScoredShard:
    """Result of one shard: the folder of the report, and the samples that were scored."""

    path: Path
    shard: Shard
    samples: int

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as JSON holds it."""
        return {"report": str(self.path), "shard": str(self.shard), "samples": self.samples}

    def lines(self) -> list[str]:
        """Return the summary as lines of text."""
        return [
            f"{self.path}: shard {self.shard} done, {counted(self.samples, 'sample')} scored",
            f"  when all {self.shard.of} are done: eventseg merge {self.path}",
        ]


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass of the network over the samples of a window, with events that come so much later."""

    window: str
    shift_us: int
    indices: NDArray[np.int64]

    def file(self, folder: Path) -> Path:
        """Return the file of its counts in the folder of a shard."""
        return folder / f"{self.window}-{self.shift_us}.npz"


def passes_of(plan: EvaluationPlan) -> list[Pass]:
    """Return the passes of an evaluation that shards share, in order."""
    found = [Pass(window, 0, indices) for window, indices in plan.parts.items()]
    source = plan.source
    if (
        plan.request.baselines
        and plan.uses_events
        and isinstance(source, EventSource | League)
        and not unreadable(source, np.concatenate(list(plan.parts.values())))
    ):
        found += [Pass(window, CLOCK_SHIFT_US, indices) for window, indices in plan.parts.items()]
    return found


def evaluate_shard(
    run: str | Path,
    data: str | Path | None = None,
    *,
    shard: Shard | str,
    request: EvaluationRequest | None = None,
    out: str | Path | None = None,
    predictions: str | Path | Literal[True] | None = None,
    jobs: int = 1,
    tries: int = TRIES,
    threads: int | None = None,
    progress: Report = no_report,
    **settings: Any,
) -> ScoredShard:
    """Score one shard of a job array: about ``1/N`` of the samples, in whole batches.

    Every shard gets the same network, data and request. :func:`merge_evaluation` scores the
    baselines and writes the report.

    Parameters
    ----------
    run, data, request, out, predictions, jobs, tries, threads, progress, **settings
        As for :func:`eventseg.evaluation.evaluate_run`.
    shard : Shard or str
        ``2/5`` for the second of five, or ``slurm`` for that of the environment.

    Raises
    ------
    EventsegError
        As :func:`eventseg.evaluation.evaluate_run`.
    """
    if isinstance(shard, str):
        shard = Shard.parse(shard)
    request = request or request_of(settings)
    check_countable(request)
    maps = needs_maps(request, predictions=predictions is not None)
    with open_evaluation(run, data, request=request, out=out) as plan:
        with closing(plan_measures(request, scoring_of(plan))):
            pass  # what the merge would refuse is refused before hours of work
        root = _made_folder(plan.folder)
        shard.check_array(root)
        passes = passes_of(plan)
        batch = request.batch_size
        shares = {
            number: (lo * batch, min(hi * batch, len(passes[number].indices)))
            for number, lo, hi in shard.parts([-(-len(one.indices) // batch) for one in passes])
        }
        samples = sum(stop - start for start, stop in shares.values())
        table = {
            **_facts(plan, run, predictions),
            "kind": KIND,
            "passes": [
                {
                    "window": passes[number].window,
                    "shift_us": passes[number].shift_us,
                    "samples": len(passes[number].indices),
                    "start": start,
                    "stop": stop,
                }
                for number, (start, stop) in shares.items()
            ],
        }
        with (
            locked(root, doing="scoring", shared=True),
            score_workers(plan, jobs=jobs, tries=tries, threads=threads, maps=maps) as workers,
        ):
            counter: Counter = workers or LocalCounter(plan, maps)
            place, done = shard.folder(root), 0
            for number, (start, stop) in shares.items():
                one = passes[number]
                parts: list[ScoredPart] = []
                counter.count(
                    one.window,
                    one.indices[start:stop],
                    shift_us=one.shift_us,
                    add=parts.append,
                    report=partial(_report, progress, done, samples),
                )
                done += stop - start
                joined(parts, classes=len(plan.classes)).write(one.file(place))
            shard.write(root, table)
        return ScoredShard(root, shard, samples)


def _report(progress: Report, before: int, total: int, now: float) -> None:
    progress(Progress("score", before + now, total, "sample"))


def merge_evaluation(root: Path, *, progress: Report = no_report) -> Evaluation:
    """Write the report of an evaluation that the shards of a job array have scored.

    It is called in the working folder of the shards, where these were given relative paths.

    Parameters
    ----------
    root : Path
        Folder of the report.
    progress : callable
        Called after every batch of what no shard has scored, such as AdaBN.

    Raises
    ------
    DatasetError
        Shards that are missing or contradict each other, or a network or data that have changed.
    OutputError
        The folder cannot be written, or a shard is still running.
    """
    with locked(root, doing="scoring"):
        if was_merged(root):
            remove_shards(root)
            raise DatasetError(
                f"{root} holds the report of shards that were merged before, and none to merge"
            )
        shards = read_shards(root, kind=KIND)
        place, first = shards[0]
        try:
            run, predictions = str(first["run"]), str(first["predictions"])
            request = _request_from(first["request"])
            data = str(first["data"])
        except (KeyError, TypeError, ValueError) as error:
            raise DatasetError(
                f"{place} contradicts itself ({error}); remove it and run that shard again"
            ) from error
        for folder, table in shards:
            for key in (*FACTS, "request"):
                if table.get(key) != first[key]:
                    raise DatasetError(
                        f"shards {place.name} and {folder.name} of {root} differ in {key}; run one "
                        "of them again"
                    )
        with open_evaluation(run, data, request=request, out=root) as plan:
            saved: Literal[True] | str | None = predictions or None
            saved = True if saved == DEFAULT else saved
            for key, value in _facts(plan, run, saved).items():
                if value != first[key]:
                    raise DatasetError(
                        f"{key} of {root} has changed since its shards were scored; run them again"
                    )
            evaluation = report_of(
                plan,
                counter=MergedCounts(shards, classes=len(plan.classes)),
                predictions=saved,
                progress=progress,
            )
        remove_shards(root)
    return evaluation


@dataclass(frozen=True, eq=False, slots=True)
class MergedCounts:
    """Counts that shards have left in their folders.

    Parameters
    ----------
    shards : sequence of (Path, dict)
        Folder and record of each, in order.
    classes : int
    """

    shards: Sequence[tuple[Path, dict[str, Any]]]
    classes: int

    def count(
        self,
        window: str,
        indices: NDArray[np.int64],
        *,
        shift_us: int,
        add: Callable[[ScoredPart], None],
        report: Callable[[float], None],
    ) -> None:
        """Read the parts of all shards; see :class:`eventseg.evaluation.counter.Counter`.

        Raises
        ------
        DatasetError
            Samples that are in no shard, or counts of others.
        """
        end, one = 0, Pass(window, shift_us, indices)
        for folder, table in self.shards:
            for entry in table["passes"]:
                if (entry["window"], entry["shift_us"]) != (window, shift_us):
                    continue
                start, stop = int(entry["start"]), int(entry["stop"])
                part = ScoredPart.read(one.file(folder))
                if (
                    start != end
                    or part.indices != tuple(indices[start:stop].tolist())
                    or part.matrices.shape[1:] != (self.classes, self.classes)
                ):
                    raise DatasetError(
                        f"{folder} holds counts of other samples or classes than the evaluation; "
                        f"remove {folder.parent} and run all shards again"
                    )
                add(part)
                end = stop
                report(end)
        if end != len(indices):
            late = f", {shift_us // 1000} ms late" if shift_us else ""
            raise DatasetError(
                f"samples from {end} on of window {window}{late} are in no shard; remove "
                f"{self.shards[0][0].parent} and run all shards again"
            )


FACTS = ("run", "data", "predictions", "checkpoint_sha256", "data_digest")
"""Facts in the record of a shard that all shards of an evaluation share."""

DEFAULT = "in the folder of the report"
"""Words for the default place of saved predictions in a record."""

ELSEWHERE = ("device", "workers")
"""Fields of a request that may differ from machine to machine."""


def _facts(
    plan: EvaluationPlan, run: str | Path, predictions: str | Path | Literal[True] | None
) -> dict[str, Any]:
    return {
        "run": str(run),
        "data": str(plan.data),
        "predictions": DEFAULT if predictions is True else str(predictions or ""),
        "checkpoint_sha256": digest_of(plan.file.checkpoint),
        "data_digest": table_digest(plan.source.digests),
        "request": _request_table(plan.request),
    }


def _request_table(request: EvaluationRequest) -> dict[str, Any]:
    """Return the fields of a request that are given, as TOML holds them."""
    found = {field.name: getattr(request, field.name) for field in fields(request)}
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in found.items()
        if value is not None and name not in ELSEWHERE
    }


def _request_from(table: Mapping[str, Any]) -> EvaluationRequest:
    """Return the request of a table.

    Raises
    ------
    ValueError, TypeError
        A table of something else.
    """
    values: dict[str, Any] = dict(table)
    for name in ("size", "input_size"):
        if name in values:
            values[name] = SensorSize(*values[name])
    if "scales" in values:
        values["scales"] = tuple(values["scales"])
    return request_of(values)


def _made_folder(root: Path) -> Path:
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {root}: {error.strerror or error}") from error
    return root
