"""Plan of a prediction: network, settings and inputs, checked; and its parts, predicted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from eventseg.dataset.jobs.workers import Workers
from eventseg.device import choose_device
from eventseg.encoding.settings import Encoding
from eventseg.errors import DatasetError
from eventseg.events import SensorSize
from eventseg.files.paths import canonical
from eventseg.files.whole import check_folder
from eventseg.labels.maps import ClassTable, load_class_table
from eventseg.networks import InputSpec, TrainedNetwork
from eventseg.prediction.checkpoint_file import CheckpointFile, data_encoding, find_checkpoint
from eventseg.prediction.fast import fast_predictor, recommended
from eventseg.prediction.layout import BEST
from eventseg.prediction.loading import load_trained
from eventseg.prediction.manifest import PredictionManifest, path_entries
from eventseg.prediction.open_input import open_input
from eventseg.prediction.part import PartJob, PartResult, predict_part, predict_part_alone
from eventseg.prediction.predictor import SINGLE, TestTimeAugmentation, predictor
from eventseg.prediction.settings import PredictionSettings
from eventseg.recordings.choices import FileChoices, TimeUnit
from eventseg.recordings.progress import Report, no_report, with_rate
from eventseg.windows import MAX_FRAME_AGE_US, to_us


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class PredictionPlan:
    """Work of a call of :func:`eventseg.prediction.predict_into`, checked.

    Parameters
    ----------
    root : Path
        The prediction folder.
    file : CheckpointFile
    trained : TrainedNetwork
    classes : ClassTable, optional
        Classes of a published network, where its file does not name them.
    settings : PredictionSettings
    paths : tuple of Path
        Inputs.
    manifest : PredictionManifest
        The manifest as it will be, without counts.
    ids : tuple of str
        Ids of all samples, in order.
    counts : list of int
        Number of samples of each input.
    notes : tuple of str
        Remarks on the inputs.
    encoding : Encoding, optional
        Encoding of the training data, for checkpoints that hold none.
    device : str
    """

    root: Path
    file: CheckpointFile
    trained: TrainedNetwork
    classes: ClassTable | None
    settings: PredictionSettings
    paths: tuple[Path, ...]
    manifest: PredictionManifest
    ids: tuple[str, ...]
    counts: list[int]
    notes: tuple[str, ...]
    encoding: Encoding | None
    device: str


def plan_prediction(
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
    device: str = "auto",
    progress: Report = no_report,
    say: Callable[[str], object] | None = None,
) -> PredictionPlan:
    """Return the plan of a prediction; see :func:`eventseg.prediction.predict_into`.

    Raises
    ------
    EventsegError
        Whatever can be refused before any sample is predicted.
    """
    paths = [Path(inputs)] if isinstance(inputs, str | Path) else list(map(Path, inputs))
    if not paths:
        raise DatasetError("give at least one recording, data set or picture to predict")
    file = find_checkpoint(network, checkpoint=checkpoint)
    classes = None if network_classes is None else load_class_table(network_classes)
    settings = PredictionSettings(
        every_us=None if every is None else to_us(every),
        at_us=None if at is None else tuple(sorted(map(to_us, at))),
        window_us=None if window is None else to_us(window),
        split=split,
        split_file=file.split_file if split else None,
        probabilities=probabilities,
        max_frame_age_us=max_frame_age_us,
        test_time=test_time,
        sensor=sensor,
        rotate180=rotate180,
        choices=FileChoices.of(camera, time_unit, shift_frames),
        arithmetic="" if not fast else str(recommended(file, device=device)),
    )
    choose_device(device)  # one that is not there is refused before anything is read
    trained = load_trained(file, classes=classes)
    root = default_folder(file, paths) if out is None else Path(out)
    check_folder(root)
    encoding = None if trained.inputs.encoding else data_encoding(file.data, trained.inputs)
    manifest, ids, counts, notes = _inputs(
        file, trained, paths, settings, root=root, encoding=encoding, progress=progress
    )
    for note in notes:
        if say is not None:
            say(note)
    return PredictionPlan(
        root=root,
        file=file,
        trained=trained,
        classes=classes,
        settings=settings,
        paths=tuple(paths),
        manifest=manifest,
        ids=ids,
        counts=counts,
        notes=notes,
        encoding=encoding,
        device=device,
    )


def run_parts(
    plan: PredictionPlan,
    pieces: Sequence[tuple[int, int, int]],
    *,
    pool: Workers,
    threads: int,
    here: bool,
    progress: Report,
) -> list[PartResult]:
    """Predict pieces of the inputs and return their results, in the order of the pieces.

    Parameters
    ----------
    plan : PredictionPlan
    pieces : sequence of (int, int, int)
        Number of the input, first sample and the one after the last.
    pool : Workers
    threads : int
        Threads of each other process.
    here : bool
        Whether the workers are this process alone, which has loaded the network.
    progress : callable

    Raises
    ------
    EventsegError
        As :meth:`eventseg.dataset.jobs.workers.Workers.run`.
    """
    # Workers of a cluster have working folders of their own.
    file, root = plan.file.absolute, plan.root.absolute()
    parts = [
        PartJob(
            file,
            plan.classes,
            canonical(plan.paths[number]),
            start,
            stop,
            root,
            plan.settings,
            plan.encoding,
            plan.device,
            threads,
        )
        for number, start, stop in pieces
    ]
    function: Any = predict_part_alone
    if here:
        test_time = plan.settings.test_time
        chosen = (
            fast_predictor(plan.file, classes=plan.classes, test_time=test_time, device=plan.device)
            if plan.settings.arithmetic
            else predictor(plan.trained, test_time=test_time, device=plan.device)
        )
        function = partial(predict_part, predictor=chosen)
    results: dict[int, PartResult] = {}
    pool.run(
        function,
        parts,
        progress=with_rate(
            "predict", sum(stop - start for _, start, stop in pieces), "image", progress
        ),
        finished=results.__setitem__,
        title=lambda index: (
            f"{plan.paths[pieces[index][0]].name}, samples {pieces[index][1]} to "
            f"{pieces[index][2] - 1}"
        ),
    )
    return [results[number] for number in range(len(parts))]


def default_folder(file: CheckpointFile, inputs: Sequence[Path]) -> Path:
    """Return the usual prediction folder, ``predictions/RUN-INPUT``, in the working folder."""
    first = inputs[0].resolve()
    name = first.name if first.is_dir() else first.stem
    more = f"+{len(inputs) - 1}" if len(inputs) > 1 else ""
    return Path("predictions") / f"{file.name}-{name}{more}"


def _inputs(
    file: CheckpointFile,
    trained: TrainedNetwork,
    paths: Sequence[Path],
    settings: PredictionSettings,
    *,
    root: Path,
    encoding: Encoding | None,
    progress: Report,
) -> tuple[PredictionManifest, tuple[str, ...], list[int], tuple[str, ...]]:
    """Look at every input: the manifest as it will be, ids, samples of each input, and notes."""
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
    return manifest, tuple(owners), counts, tuple(notes)


def _encoding_table(inputs: InputSpec) -> dict[str, Any]:
    return {} if inputs.encoding is None else inputs.encoding.to_dict()
