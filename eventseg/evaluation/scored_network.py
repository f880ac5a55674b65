"""Networks to score: a run folder, a checkpoint, or a published checkpoint by ``NETWORK:PATH``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eventseg.labels.maps import ClassTable
from eventseg.networks import TrainedNetwork
from eventseg.networks.named import NamedCheckpoint, parse_named
from eventseg.networks.shipped import shipped_file
from eventseg.prediction.checkpoint_file import CheckpointFile, find_checkpoint
from eventseg.prediction.loading import load_trained
from eventseg.training.config.config import TrainConfig, load_config
from eventseg.training.layout import CONFIG, METRICS, RUN, SPLIT
from eventseg.training.run_record import check_is_run, read_run

PUBLISHED_FOLDER = Path("runs")
"""Folder that holds one folder of reports for each published checkpoint."""


@dataclass(frozen=True, slots=True)
class NetworkFile:
    """File of a network that is scored, and the run folder it belongs to.

    Parameters
    ----------
    checkpoint : Path
        File of its weights.
    folder : Path
        Folder that the reports lie in by default.
    named : NamedCheckpoint, optional
        Network and path of a published checkpoint; None for a file of eventseg.
    """

    checkpoint: Path
    folder: Path
    named: NamedCheckpoint | None = None

    @property
    def run(self) -> dict[str, Any] | None:
        """Entries of the ``run.json`` beside the checkpoint, None where there is none."""
        return read_run(self.folder / RUN) if self._beside(RUN) else None

    @property
    def config(self) -> TrainConfig | None:
        """Settings of the training, None where they are unknown."""
        return load_config(self.folder / CONFIG) if self._beside(CONFIG) else None

    @property
    def name(self) -> str:
        """Name of the scored rows."""
        if self.named is not None:
            return self.named.name
        return self.folder.name if self._beside(RUN) else self.checkpoint.stem

    @property
    def has_curves(self) -> bool:
        """Whether the run folder has scores of each epoch."""
        return self._beside(METRICS)

    @property
    def absolute(self) -> NetworkFile:
        """The same file by its absolute path, for processes with another working folder."""
        named = self.named
        return NetworkFile(
            self.checkpoint.absolute(),
            self.folder.absolute(),
            None if named is None else named._replace(path=named.path.absolute()),
        )

    @property
    def split(self) -> Path | None:
        """Split file in the run folder, there or not; None for a network of no run."""
        return self.folder / SPLIT if self._beside(RUN) else None

    def _beside(self, name: str) -> bool:
        return self.named is None and (self.folder / name).is_file()


def find_network(spec: str | Path, *, checkpoint: str) -> NetworkFile:
    """Return the file that a text names, without reading it.

    Parameters
    ----------
    spec : str or Path
        Run folder, checkpoint of eventseg, exported ``.onnx`` file, name of a shipped network, or
        ``NETWORK:PATH``.
    checkpoint : str
        Name of the checkpoint in a run folder.

    Raises
    ------
    CheckpointError
        A network without a path, or a run folder without that checkpoint.
    TrainingError
        A folder that is no run folder.
    """
    shipped = shipped_file(spec)
    if shipped is not None:
        return NetworkFile(shipped, PUBLISHED_FOLDER / shipped.stem)
    root = Path(spec)
    named = None if root.exists() else parse_named(str(spec))
    if named is not None:
        return NetworkFile(named.file, PUBLISHED_FOLDER / named.folder_name, named)
    if root.is_dir():
        check_is_run(root)
        return NetworkFile(find_checkpoint(root, checkpoint=checkpoint).path, root)
    return NetworkFile(root, root.parent)


def load_scored(
    file: NetworkFile,
    *,
    data_classes: ClassTable,
    network_classes: ClassTable | None = None,
    unsafe_pickle: bool = False,
) -> TrainedNetwork:
    """Load a network that is scored, with its inputs and classes.

    Parameters
    ----------
    file : NetworkFile
    data_classes : ClassTable
        Classes of the data: those of a published network where several known tables have its
        number of classes and the data's is one of them.
    network_classes : ClassTable, optional
        Classes of a published network, where its file does not name them.
    unsafe_pickle : bool
        Also read a published file that can run any code on loading.

    Raises
    ------
    CheckpointError
        No such file, tensors that do not fit the network, an input that is not known, or classes
        given for a file that states its own.
    LabelError
        Classes of no known table, or of another number than the given table.
    NetworkError
        An unknown network.
    """
    return load_trained(
        CheckpointFile(file.checkpoint, file.name, named=file.named),
        classes=network_classes,
        data_classes=data_classes,
        unsafe_pickle=unsafe_pickle,
    )
