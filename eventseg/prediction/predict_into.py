"""Prediction of recordings, data sets and pictures into a folder, which can be resumed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from eventseg.dataset.jobs.job import cut_work
from eventseg.dataset.jobs.workers import open_workers
from eventseg.dataset.manifest import canonical
from eventseg.device import choose_device, thread_count
from eventseg.errors import DatasetError
from eventseg.events import SensorSize
from eventseg.files import check_folder
from eventseg.labels.maps import load_class_table
from eventseg.networks import InputSpec, TrainedNetwork
from eventseg.prediction.checkpoint_file import CheckpointFile, data_encoding, find_checkpoint
from eventseg.prediction.fast import fast_predictor, recommended
from eventseg.prediction.folder import PredictionFolder, open_predictions
from eventseg.prediction.folder_state import begun_folder, complete_folder
from eventseg.prediction.layout import (
    BEST,
    MANIFEST,
    UNFINISHED,
)
from eventseg.prediction.loading import load_trained
from eventseg.prediction.manifest import PredictionManifest, path_entries
from eventseg.prediction.open_input import open_input
from eventseg.prediction.part import (
    PartJob,
    PartResult,
    predict_part,
    predict_part_alone,
)
from eventseg.prediction.predictor import SINGLE, TestTimeAugmentation, predictor
from eventseg.prediction.settings import PredictionSettings
from eventseg.recordings.choices import FileChoices, TimeUnit
from eventseg.recordings.progress import Progress, Report, no_report
from eventseg.windows import MAX_FRAME_AGE_US, to_us


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
    checkpoint: str = BEST,
    network_classes: str | Path | None = None,
    fast: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    jobs: int = 1,
    threads: int | None = None,
    progress: Report = no_report,
    say: Callable[[str], object] | None = None,
) -> PredictionSummary:
    """Predict recordings, data sets or pictures into a folder, or finish what was stopped.

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

    Examples
    --------
    >>> summary = predict_into(run.path, "drive.hdf5", "predicted", every="100ms", device="cpu")
    >>> summary.folder.labels(summary.folder.ids[0]).shape
    (48, 64)
    """
    paths = [Path(inputs)] if isinstance(inputs, str | Path) else list(map(Path, inputs))
    if not paths:
        raise DatasetError("give at least one recording, data set or picture to predict")
    if jobs < 1:
        raise DatasetError(f"jobs must be 1 or more, got {jobs}")
    if fast and jobs > 1:
        raise DatasetError(
            f"the fastest arithmetic has threads of its own: jobs must be 1, got {jobs}"
        )
    file = find_checkpoint(network, checkpoint=checkpoint)
    classes = None if network_classes is None else load_class_table(network_classes)
    settings = PredictionSettings(
        every_us=None if every is None else to_us(every),
        at_us=None if at is None else tuple(sorted(map(to_us, at))),
        window_us=None if window is None else to_us(window),
        split=split,
        probabilities=probabilities,
        max_frame_age_us=max_frame_age_us,
        test_time=test_time,
        sensor=sensor,
        rotate180=rotate180,
        choices=FileChoices.of(camera, time_unit),
        arithmetic="" if not fast else str(recommended(file, device=device)),
    )
    choose_device(device)  # one that is not there is refused before anything is read
    trained = load_trained(file, classes=classes)
    root = default_folder(file, paths) if out is None else Path(out)
    check_folder(root)
    plan = _plan(file, trained, paths, settings, root=root, progress=progress)
    for note in plan.notes:
        if say is not None:
            say(note)
    with begun_folder(root, plan.manifest, ids=plan.ids, overwrite=overwrite) as whole:
        if whole is not None:
            return PredictionSummary(whole, 0, plan.notes)
        each = max(1, thread_count(threads) // jobs)
        parts = [
            PartJob(
                file,
                classes,
                canonical(paths[number]),
                start,
                stop,
                root,
                settings,
                plan.encoding,
                device,
                each,
            )
            for number, start, stop in cut_work(plan.counts, pieces=jobs)
        ]
        workers = min(jobs, len(parts))
        results: dict[int, PartResult] = {}
        if workers > 1:
            alone = predict_part_alone
        else:
            chosen = (
                fast_predictor(file, classes=classes, test_time=test_time, device=device)
                if fast
                else predictor(trained, test_time=test_time, device=device)
            )
            alone = partial(predict_part, predictor=chosen)
        with open_workers(workers=workers) as pool:
            pool.run(
                alone,
                parts,
                progress=_with_rate(progress, total=sum(plan.counts)),
                finished=results.__setitem__,
            )
        ordered = [results[number] for number in range(len(parts))]
        samples = [sample for result in ordered for sample in result.samples]
        pixels = np.sum([result.pixels for result in ordered], axis=0)
        complete_folder(root, plan.manifest, samples, pixels=pixels.tolist())
    predicted = sum(result.predicted for result in ordered)
    return PredictionSummary(open_predictions(root), predicted, plan.notes)


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
        if any((Path(other) / name).is_file() for name in (MANIFEST, UNFINISHED)):
            folders.append(open_predictions(other))
            continue
        name = find_checkpoint(other).name
        taken = {folder.path.name for folder in folders}
        beside = out.with_name(f"{out.name}-{name}")
        if beside.name in taken:  # runs of one name in several folders
            beside = out.with_name(f"{out.name}-{name}{number}")
        folders.append(predict_inputs(other, out=beside).folder)
    return folders


def default_folder(file: CheckpointFile, inputs: Sequence[Path]) -> Path:
    """Return the usual prediction folder, ``predictions/RUN-INPUT``, in the working folder."""
    first = inputs[0].resolve()
    name = first.name if first.is_dir() else first.stem
    more = f"+{len(inputs) - 1}" if len(inputs) > 1 else ""
    return Path("predictions") / f"{file.name}-{name}{more}"


@dataclass(frozen=True, eq=False, slots=True)
class _Plan:
    """Work of a call: the manifest as it will be, ids and number of samples of each input."""

    manifest: PredictionManifest
    ids: tuple[str, ...]
    counts: list[int]
    notes: tuple[str, ...]
    encoding: Any


def _plan(
    file: CheckpointFile,
    trained: TrainedNetwork,
    paths: Sequence[Path],
    settings: PredictionSettings,
    *,
    root: Path,
    progress: Report,
) -> _Plan:
    encoding = None if trained.inputs.encoding else data_encoding(file.data, trained.inputs)
    entries: list[dict[str, Any]] = []
    counts: list[int] = []
    notes: dict[str, None] = {}
    owners: dict[str, Path] = {}
    names: dict[str, Path] = {}
    for path in paths:
        opened = open_input(path, trained.inputs, settings, encoding=encoding, progress=progress)
        try:
            entries.append({**opened.facts(), **path_entries(canonical(path), root)})
            name = entries[-1]["name"]
            if name in names:
                raise DatasetError(
                    f"{names[name]} and {path} are both named {name}; predict them into two folders"
                )
            names[name] = path
            notes |= dict.fromkeys(opened.notes)
            for sample in opened.ids:
                if sample in owners:
                    raise DatasetError(
                        f"{owners[sample]} and {path} both have a sample {sample}; predict them "
                        "into two folders"
                    )
                owners[sample] = path
            counts.append(len(opened.ids))
        finally:
            opened.close()
    manifest = PredictionManifest(
        network={
            "name": file.name,
            "checkpoint": file.path.name,
            "sha256": file.sha256,
            "network": trained.blueprint.name,
            "input": trained.inputs.kind,
        },
        settings=settings.to_dict(),
        classes=trained.classes,
        inputs=tuple(entries),
        encoding=_encoding_table(trained.inputs),
    )
    return _Plan(manifest, tuple(owners), counts, tuple(notes), encoding)


def _encoding_table(inputs: InputSpec) -> dict[str, Any]:
    return {} if inputs.encoding is None else inputs.encoding.to_dict()


def _with_rate(progress: Report, *, total: int) -> Callable[[float], None]:
    """Return a function that reports samples with their rate since the first report."""
    begin_s, first = time.monotonic(), None

    def report(done: float) -> None:
        nonlocal begin_s, first
        if first is None:
            first, begin_s = done, time.monotonic()
        spent_s = time.monotonic() - begin_s
        rate = f"{(done - first) / spent_s:.1f} images/s" if spent_s > 0.5 else ""
        progress(Progress("predict", done, total, "image", rate))

    return report
