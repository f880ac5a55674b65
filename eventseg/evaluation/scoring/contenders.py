"""Contenders of a score: folders of predictions, functions and trained networks, opened alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from typing import Protocol as Interface

import torch

from eventseg.device import choose_device
from eventseg.errors import TrainingError
from eventseg.evaluation.request import windows_of
from eventseg.evaluation.scored_network import NetworkFile, find_network, load_scored
from eventseg.evaluation.scoring.arrays import Prediction, sample_prediction
from eventseg.evaluation.scoring.callables import Function, is_function, load_function
from eventseg.evaluation.scoring.files import PredictionFiles, open_prediction_files
from eventseg.evaluation.scoring.names import Matched
from eventseg.evaluation.scoring.settings import ScoreRequest
from eventseg.files.digests import digest_of
from eventseg.labels.maps import ClassTable, load_class_table
from eventseg.networks import TrainedNetwork
from eventseg.networks.named import parse_named
from eventseg.networks.shipped import shipped_file
from eventseg.prediction.layout import BEST, MANIFEST, RUN, UNFINISHED
from eventseg.sources.recorded import EventSource
from eventseg.sources.source import Source


class Contender(Interface):
    """Predictor of samples, whoever it is."""

    @property
    def name(self) -> str:
        """Name of its row."""

    @property
    def window(self) -> str:
        """Window of the events, ``-`` where it sees none or none is known."""

    @property
    def classes(self) -> ClassTable:
        """Classes of its predictions."""

    @property
    def about(self) -> Mapping[str, Any]:
        """Origin, for the report."""

    def predict(self, source: Source, i: int) -> Prediction:
        """Return the prediction of a sample of the source."""


@dataclass(frozen=True, eq=False, slots=True)
class FolderContender:
    """Predictions in a folder, joined to the samples of a part.

    Parameters
    ----------
    files : PredictionFiles
    matched : Matched
    ids : tuple of str (N,)
        Ids of all samples of the source, which image folders make anew at each call.
    part_size : int
        Number of samples of the part whose window is covered, with a file or without.
    """

    files: PredictionFiles
    matched: Matched
    ids: tuple[str, ...]
    part_size: int

    @property
    def name(self) -> str:
        """Name of the network or of the folder."""
        return self.files.name

    @property
    def window(self) -> str:
        """Window that the folder names."""
        return self.files.window

    @property
    def classes(self) -> ClassTable:
        """Classes of the files."""
        return self.files.classes

    @property
    def about(self) -> Mapping[str, Any]:
        """Origin of the files, and the rule by which they were joined."""
        return {**self.files.about, "joined by": self.matched.rule}

    def predict(self, source: Source, i: int) -> Prediction:  # noqa: ARG002
        """Read the prediction of a sample."""
        sample = self.ids[i]
        return self.files.read(self.matched.files[sample], sample)

    def notes(self) -> list[str]:
        """Return remarks on files of no sample."""
        paths = self.matched.unpaired
        if not paths:
            return []
        shown = ", ".join(str(path.relative_to(self.files.path)) for path in paths[:3])
        more = ", ..." if len(paths) > 3 else ""
        return [f"{len(paths):,} predictions are of no sample of the part: {shown}{more}"]


@dataclass(frozen=True, eq=False, slots=True)
class NetworkContender:
    """A trained network.

    Parameters
    ----------
    file : NetworkFile
    trained : TrainedNetwork
    window : str
        ``-`` where it sees no events.
    device : torch.device
    about : mapping
    """

    file: NetworkFile
    trained: TrainedNetwork
    window: str
    device: torch.device
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the run or of the checkpoint."""
        return self.file.name

    @property
    def classes(self) -> ClassTable:
        """Classes of the network."""
        return self.trained.classes

    @property
    def sees_events(self) -> bool:
        """Whether the network sees events."""
        return self.trained.inputs.kind in ("events", "both")

    @property
    def sees_frames(self) -> bool:
        """Whether the network sees frames."""
        return self.trained.inputs.kind != "events"

    def predict(self, source: Source, i: int) -> Prediction:
        """Compute the prediction of a sample at the size of its input, in a single pass."""
        return sample_prediction(self.trained, self.window, self.device, source, i)


def open_contender(
    spec: object, source: Source, *, request: ScoreRequest
) -> Contender | PredictionFiles:
    """Open predictions: a folder of files, a function, or a run, checkpoint or published network.

    Parameters
    ----------
    spec : path, str or callable
        Folder of predictions; ``python:MODULE:FUNCTION``, ``FILE.py:FUNCTION`` or a function; run
        folder, checkpoint or ``NETWORK:PATH``.
    source : Source
    request : ScoreRequest

    Returns
    -------
    Contender or PredictionFiles
        Files are joined to samples later, since they decide which samples are scored.

    Raises
    ------
    CheckpointError, DatasetError, ExtensionError, LabelError
        Files that cannot be read, or do not fit.
    """
    given = load_class_table(request.network_classes) if request.network_classes else None
    if is_function(spec):
        name, call, about = load_function(spec)
        window = request.window or default_window(source)
        return Function(name, call, given or source.classes, window, request.values, about)
    path = Path(str(spec))
    if not _is_network(path, str(spec)):
        return open_prediction_files(path, classes=given, source=source, values=request.values)
    file = find_network(str(spec), checkpoint=request.checkpoint)
    trained = load_scored(
        file,
        data_classes=source.classes,
        network_classes=given,
        unsafe_pickle=request.unsafe_pickle,
    )
    sees_events = trained.inputs.kind in ("events", "both")
    window = (request.window or windows_of(trained)[0]) if sees_events else "-"
    if sees_events:
        trained.inputs.check_encoding(source.encoding, source=str(source.path))
    about = {
        "network": trained.blueprint.name,
        "input": trained.inputs.kind,
        "checkpoint": file.checkpoint.name,
        "checkpoint digest": digest_of(file.checkpoint),
    }
    return NetworkContender(file, trained, window, choose_device(request.device), about)


def default_window(source: Source) -> str:
    """Return the window of functions: 50 ms or else the data set's first, ``-`` without events."""
    if source.encoding is None:
        return "-"
    if isinstance(source, EventSource) and "50ms" not in source.dataset.windows:
        return source.dataset.windows[0]
    return "50ms"


def seeds_of(spec: object) -> list[object]:
    """Return the predictions of each seed that ``A,B,C`` or a sequence names."""
    if isinstance(spec, str) and not Path(spec).exists() and "," in spec:
        parts = spec.split(",")
        if not all(parts):
            raise TrainingError(f"{spec!r} names seeds with nothing between two commas")
        return list(parts)
    if isinstance(spec, Sequence) and not isinstance(spec, str):
        return list(spec)
    return [spec]


def _is_network(path: Path, spec: str) -> bool:
    """Return whether a text names a run, a checkpoint or a published network."""
    if path.is_file():
        return True
    if path.is_dir():
        if any((path / name).is_file() for name in (MANIFEST, UNFINISHED)):
            return False
        return any((path / name).is_file() for name in (RUN, BEST))
    return shipped_file(spec) is not None or parse_named(spec) is not None
