"""From a run folder and a data set to a report."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from eventseg.dataset.jobs.job import TRIES
from eventseg.dataset.jobs.shard import SHARDS
from eventseg.errors import OutputError, TrainingError
from eventseg.evaluation.evaluation import Evaluation
from eventseg.evaluation.plan import open_evaluation
from eventseg.evaluation.request import EvaluationRequest, request_of
from eventseg.evaluation.run_report import report_of
from eventseg.evaluation.score_jobs import score_workers
from eventseg.recordings.progress import Report, no_report


def evaluate_run(
    run: str | Path,
    data: str | Path | None = None,
    *,
    request: EvaluationRequest | None = None,
    out: str | Path | None = None,
    predictions: str | Path | Literal[True] | None = None,
    jobs: int = 1,
    scheduler: str | None = None,
    tries: int = TRIES,
    threads: int | None = None,
    progress: Report = no_report,
    **settings: Any,
) -> Evaluation:
    """Score a run on a data set beside its baselines, and write the report.

    Parameters
    ----------
    run : path or str
        Run folder, checkpoint, or ``NETWORK:PATH`` for a published checkpoint, which is scored
        with the input that its project trained it on.
    data : path, optional
        Data set folder or image folder; by default the one that the run was trained on.
    request : EvaluationRequest, optional
    out : path, optional
        Folder of the report; by default one in the run folder, for a published checkpoint in
        ``runs/NETWORK-FILE``, see :func:`eventseg.evaluation.request.folder_name`.
    predictions : path or True, optional
        Prediction folder to write the scored label maps into, one folder a window where there are
        several; True for ``predictions`` in the folder of the report. By default none is written.
    jobs : int
        Processes that share the samples, each with the network; a script that asks for more than
        one needs ``if __name__ == "__main__":``. The scores are those of one process. Baselines,
        AdaBN, stress and times are of this one.
    scheduler : str, optional
        Dask cluster that scores in place of processes of this machine: address of its scheduler,
        path of its scheduler file, or ``local`` for one of so many ``jobs`` here.
    tries : int
        Times that a piece of the work is tried whose process is lost or fails in an unknown way.
    threads : int, optional
        Threads of torch of all processes together, by default the processors; with a scheduler
        those of each worker, by default one. One process alone leaves torch as it is set.
    progress : callable
        Called after every batch; the stage is the name of the scored predictor.
    **settings
        Fields of :class:`eventseg.evaluation.EvaluationRequest` in place of a request, such as
        ``split="val"``, ``protocol="paper"`` or ``device="cpu"``; ``window`` takes ``"10ms,50ms"``.

    Returns
    -------
    Evaluation
        Page, rows and further sections; it unpacks as the pair of page and rows.

    Raises
    ------
    CheckpointError, DatasetError, LabelError, TrainingError
        Files that cannot be read, or do not fit.
    JobsError, MissingExtraError, ClusterError
        Some samples could not be scored; Dask or its cluster cannot be used.

    Examples
    --------
    >>> page, rows = evaluate_run(run.path, device="cpu")
    >>> rows[0].window
    '50ms'
    """
    if request is not None and settings:
        raise TrainingError(f"give a request or {', '.join(settings)}, not both")
    request = request or request_of(settings)
    if jobs != 1 or scheduler is not None:
        check_countable(request)
    with (
        open_evaluation(run, data, request=request, out=out) as plan,
        score_workers(
            plan,
            jobs=jobs,
            scheduler=scheduler,
            tries=tries,
            threads=threads,
            maps=needs_maps(request, predictions=predictions is not None),
        ) as workers,
    ):
        if (plan.folder / SHARDS).is_dir():
            raise OutputError(
                f"{plan.folder} holds shards of a job array: 'eventseg merge {plan.folder}' makes "
                f"the report; to evaluate without them remove {plan.folder / SHARDS}"
            )
        return report_of(plan, counter=workers, predictions=predictions, progress=progress)


def needs_maps(request: EvaluationRequest, *, predictions: bool) -> bool:
    """Return whether a request needs predicted label maps beside their counts."""
    return bool(predictions or request.boundary or request.flicker or "distance" in request.by)


def check_countable(request: EvaluationRequest) -> None:
    """Raise an error for a request that needs probabilities, which stay in their process.

    Raises
    ------
    TrainingError
        The request asks for the calibration.
    """
    if request.calibration:
        raise TrainingError(
            "calibration needs the probabilities of one process: leave --calibration out, or "
            "--jobs, --scheduler and --shard"
        )
