"""Prediction of recordings, data sets and pictures into a folder, which can be resumed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eventseg.dataset.jobs.job import TRIES, cut_work
from eventseg.dataset.jobs.shard import SHARDS
from eventseg.dataset.jobs.workers import open_workers, pieces_for
from eventseg.device import thread_count
from eventseg.errors import DatasetError, OutputError
from eventseg.events import SensorSize
from eventseg.prediction.checkpoint_file import find_checkpoint
from eventseg.prediction.folder import PredictionFolder, open_predictions
from eventseg.prediction.folder_state import begun_folder, complete_folder
from eventseg.prediction.layout import BEST, is_prediction_folder
from eventseg.prediction.plan import plan_prediction, run_parts
from eventseg.prediction.predictor import SINGLE, TestTimeAugmentation
from eventseg.recordings.choices import TimeUnit
from eventseg.recordings.progress import Report, no_report
from eventseg.windows import MAX_FRAME_AGE_US


@dataclass(frozen=True, eq=False, slots=True)
class PredictionSummary:
    """Result of :func:`predict_into`.

    Parameters
    ----------
    folder : PredictionFolder
    predicted : int
        Samples that this call predicted; the others were there before.
    notes : tuple of str
        Remarks on the inputs, such as another sensor than in training.
    """

    folder: PredictionFolder
    predicted: int
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as JSON holds it."""
        return {**self.folder.summary(), "predicted": self.predicted, "notes": list(self.notes)}

    def lines(self) -> list[str]:
        """Return the summary as lines of text."""
        lines = self.folder.lines()
        kept = len(self.folder) - self.predicted
        if kept:
            lines.append(f"  {kept:,} of them were there before")
        return lines


def predict_into(
    network: str | Path,
    inputs: str | Path | Sequence[str | Path],
    out: str | Path | None = None,
    *,
    every: str | int | None = None,
    at: Sequence[str | int] | None = None,
    window: str | int | None = None,
    split: str | None = None,
    probabilities: bool = False,
    max_frame_age_us: int | None = MAX_FRAME_AGE_US,
    test_time: TestTimeAugmentation = SINGLE,
    sensor: SensorSize | None = None,
    rotate180: bool = False,
    camera: str | int | None = None,
    time_unit: TimeUnit | None = None,
    shift_frames: str | int = 0,
    checkpoint: str = BEST,
    network_classes: str | Path | None = None,
    fast: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    jobs: int = 1,
    scheduler: str | None = None,
    tries: int = TRIES,
    threads: int | None = None,
    progress: Report = no_report,
    say: Callable[[str], object] | None = None,
) -> PredictionSummary:
    """Predict recordings, data sets or pictures into a folder, or finish a stopped run.

    The folder gets ``labels/ID.png``, indexed PNG in the colours of the classes, ``samples.csv``
    and, when all is there, ``predictions.toml``. A stopped call goes on where it was and ends with
    the same bytes.

    Parameters
    ----------
    network : path
        Run folder, checkpoint, exported ``.onnx`` file, name of a shipped network, or
        ``NETWORK:PATH`` for a published checkpoint.
    inputs : path or sequence of path
        Recordings, data set folders, image folders, pictures or folders of pictures.
    out : path, optional
        Folder to write; by default that of :func:`default_folder`.
    every : str or int, optional
        Distance of the instants of a recording, a duration or microseconds.
    at : sequence of str or int, optional
        Instants of a recording after its first event. Without either, at its frames.
    window : str or int, optional
        Length of the windows; may be left out where the network was trained on one.
    split : str, optional
        Part of data sets and image folders; by default all samples.
    probabilities : bool
        Write ``probabilities/ID.npz`` too, float16 (K, H, W).
    max_frame_age_us : int or None
        Largest age of a frame at an instant that it does not anchor.
    test_time : TestTimeAugmentation
    sensor : SensorSize, optional
        Size of the sensor of recordings, where the file does not tell.
    rotate180 : bool
        Turn recordings by 180 degrees.
    camera : str or int, optional
        Camera of files of several, by its name or number.
    time_unit : {"s", "ms", "us", "ns"}, optional
        Unit of the times of tables.
    shift_frames : str or int
        Time to add to the stamps of the frames of recordings, such as ``-12ms`` or microseconds.
    checkpoint : str
        Name of the checkpoint in a run folder.
    network_classes : str or path, optional
        Classes of a published network, where its file does not name them.
    fast : bool
        Compute as :func:`eventseg.prediction.bench` has found to be the fastest on this machine,
        in one process; labels may then differ in the share of pixels that it has measured.
    overwrite : bool
        Replace predictions that are complete or of other settings.
    device : str
    jobs : int
        Processes; a script that asks for more than one needs ``if __name__ == "__main__":``.
    scheduler : str, optional
        Dask cluster that predicts in place of processes of this machine: address of its scheduler,
        path of its scheduler file, or ``local`` for one of so many ``jobs`` here.
    tries : int
        Times that a piece of the work is tried whose process is lost or fails in an unknown way.
    threads : int, optional
        Threads of all processes together; by default the processors.
    progress : callable
        Called after every sample.
    say : callable, optional
        Called with each note on the inputs before the work begins.

    Returns
    -------
    PredictionSummary

    Raises
    ------
    CheckpointError, RecordingError, DatasetError, NetworkError, DeviceError
        A network, an input or a device that cannot be used; sample ids that occur twice; a folder
        of predictions made otherwise.
    WindowError
        Instants or windows that cannot be had.
    OutputError
        A folder that cannot be written or holds something else.
    JobsError, MissingExtraError, ClusterError
        Some samples could not be predicted, the others are; Dask or its cluster cannot be used.

    Examples
    --------
    >>> summary = predict_into(run.path, "drive.hdf5", "predicted", every="100ms", device="cpu")
    >>> summary.folder.labels(summary.folder.ids[0]).shape
    (48, 64)
    """
    if jobs < 1:
        raise DatasetError(f"jobs must be 1 or more, got {jobs}")
    if fast and (jobs > 1 or scheduler is not None):
        raise DatasetError(
            f"the fastest arithmetic has threads of its own: jobs must be 1, got {jobs}"
        )
    plan = plan_prediction(
        network,
        inputs,
        out,
        every=every,
        at=at,
        window=window,
        split=split,
        probabilities=probabilities,
        max_frame_age_us=max_frame_age_us,
        test_time=test_time,
        sensor=sensor,
        rotate180=rotate180,
        camera=camera,
        time_unit=time_unit,
        shift_frames=shift_frames,
        checkpoint=checkpoint,
        network_classes=network_classes,
        fast=fast,
        device=device,
        progress=progress,
        say=say,
    )
    root = plan.root
    if (root / SHARDS).is_dir():
        raise OutputError(
            f"{root} holds shards of a job array: 'eventseg merge {root}' completes it; to predict "
            f"without them remove {root / SHARDS}"
        )
    with ExitStack() as stack:
        whole = stack.enter_context(
            begun_folder(root, plan.manifest, ids=plan.ids, overwrite=overwrite)
        )
        if whole is not None:
            return PredictionSummary(whole, 0, plan.notes)
        # One more process than samples would find nothing to do.
        workers = min(jobs, max(1, len(plan.ids)))
        pool = stack.enter_context(
            open_workers(workers=workers, scheduler=scheduler, tries=tries, folder=root.absolute())
        )
        pieces = cut_work(plan.counts, pieces=pieces_for(pool, samples=sum(plan.counts)))
        results = run_parts(
            plan,
            pieces,
            pool=pool,
            threads=max(1, thread_count(threads) // pool.slots),
            here=workers == 1 and scheduler is None,
            progress=progress,
        )
        samples = [sample for result in results for sample in result.samples]
        pixels = np.sum([result.pixels for result in results], axis=0)
        complete_folder(root, plan.manifest, samples, pixels=pixels.tolist())
    predicted = sum(result.predicted for result in results)
    return PredictionSummary(open_predictions(root), predicted, plan.notes)


def check_beside(others: Sequence[str]) -> None:
    """Refuse what :func:`predict_beside` cannot open, before anything is predicted.

    Raises
    ------
    EventsegError
        As :func:`find_checkpoint` and :func:`open_predictions`.
    """
    for other in others:
        if is_prediction_folder(Path(other)):
            open_predictions(other)
        else:
            find_checkpoint(other)


def predict_beside(
    predict_inputs: Callable[..., PredictionSummary], others: Sequence[str], *, out: Path
) -> list[PredictionFolder]:
    """Return the predictions of other runs, or those that prediction folders hold already.

    Parameters
    ----------
    predict_inputs : callable
        :func:`predict_into` with all but network and folder.
    others : sequence of str
        Run folders, checkpoints or prediction folders.
    out : Path
        Folder of the first run; another run predicts into ``OUT-RUN``.

    Raises
    ------
    EventsegError
        As :func:`predict_into` and :func:`open_predictions`.
    """
    folders = []
    for number, other in enumerate(others, start=2):
        if is_prediction_folder(Path(other)):
            folders.append(open_predictions(other))
            continue
        name = find_checkpoint(other).name
        taken = {folder.path.name for folder in folders}
        beside = out.with_name(f"{out.name}-{name}")
        if beside.name in taken:  # runs of one name in several folders
            beside = out.with_name(f"{out.name}-{name}{number}")
        folders.append(predict_inputs(other, out=beside).folder)
    return folders
