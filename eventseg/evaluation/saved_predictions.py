"""Predictions of the scored samples as prediction folders, one a window."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from eventseg.errors import DatasetError
from eventseg.evaluation.evaluate import Protocol
from eventseg.evaluation.scored_network import NetworkFile
from eventseg.events import SensorSize
from eventseg.files.digests import digest_of
from eventseg.files.paths import canonical
from eventseg.labels.files import write_labels
from eventseg.labels.maps import ClassTable
from eventseg.networks import TrainedNetwork
from eventseg.prediction.folder_state import begun_folder, complete_folder
from eventseg.prediction.inputs import PredictedSample, StoredInput
from eventseg.prediction.layout import MANIFEST, UNFINISHED, label_file
from eventseg.prediction.manifest import PredictionManifest, path_entries
from eventseg.prediction.scored import ScoredBatch
from eventseg.sources.image_folders import Folder
from eventseg.sources.leagues.league import League
from eventseg.sources.recorded import EventSource
from eventseg.sources.source import Source

NATIVE = "native"
"""Size of predictions that is scored at: the labels' own."""

CURE = "give another folder to --save-predictions"


@dataclass(frozen=True, eq=False, slots=True)
class _WindowFolder:
    """Folder of one window, the samples it has so far and the pixels of each class."""

    root: Path
    manifest: PredictionManifest
    stored: StoredInput
    samples: list[PredictedSample]
    pixels: NDArray[np.int64]
    complete: bool


@dataclass(frozen=True, eq=False, slots=True)
class SavedPredictions:
    """Writer of the label maps that an evaluation scores.

    Parameters
    ----------
    folders : mapping
        Folder of each window.
    held : ExitStack
        Locks of the folders.
    """

    folders: Mapping[str, _WindowFolder]
    held: ExitStack

    @classmethod
    def begin(
        cls,
        root: Path,
        file: NetworkFile,
        trained: TrainedNetwork,
        source: Source,
        *,
        parts: Mapping[str, NDArray[np.int64]],
        protocol: Protocol,
        classes: ClassTable,
        label_set: str,
        overwrite: bool,
    ) -> Self:
        """Begin a folder for each window: `root` itself, or ``root/WINDOW`` where there are more.

        With `overwrite` the folders of an earlier evaluation are removed first.

        Raises
        ------
        DatasetError
            A folder holds other predictions, or a source of a user's own, which no manifest names.
        OutputError
            A folder cannot be written.
        """
        if not isinstance(source, EventSource | Folder | League):
            raise DatasetError("predictions are saved of data sets, image folders and leagues only")
        network = {
            "name": file.name,
            "checkpoint": file.checkpoint.name,
            "sha256": digest_of(file.checkpoint),
            "network": trained.blueprint.name,
            "input": trained.inputs.kind,
        }
        if overwrite:
            _remove_saved(root)
        encoding = {} if trained.inputs.encoding is None else trained.inputs.encoding.to_dict()
        folders = {}
        with ExitStack() as held:
            for window, indices in parts.items():
                folder = root if len(parts) == 1 else root / window
                stored = StoredInput(source, trained.inputs, window, indices)
                entry = {**stored.facts(), **path_entries(canonical(source.path), folder)}
                manifest = PredictionManifest(
                    network=network,
                    settings={
                        **_settings(protocol, window=window, label_set=label_set),
                        **({"own_split": True} if getattr(source, "assigned", None) else {}),
                    },
                    classes=classes,
                    inputs=(entry,),
                    encoding=encoding,
                )
                whole = held.enter_context(
                    begun_folder(folder, manifest, ids=stored.ids, overwrite=overwrite, cure=CURE)
                )
                pixels = np.zeros(256, np.int64)
                folders[window] = _WindowFolder(
                    folder, manifest, stored, [], pixels, whole is not None
                )
            return cls(folders, held.pop_all())

    def observe(self, window: str, batch: ScoredBatch) -> None:
        """Write the predictions of a batch."""
        folder = self.folders[window]
        maps = batch.prediction.to(torch.uint8).cpu().numpy()
        for i, labels in zip(batch.indices, maps, strict=True):
            sample = folder.stored.sample(i)
            folder.samples.append(sample)
            folder.pixels[:] += np.bincount(labels.ravel(), minlength=256)
            if not folder.complete:
                write_labels(label_file(folder.root, sample.id), labels, folder.manifest.classes)

    def finish(self) -> None:
        """Complete the folders."""
        for folder in self.folders.values():
            pixels = folder.pixels[: len(folder.manifest.classes)].tolist()
            complete_folder(folder.root, folder.manifest, folder.samples, pixels=pixels)

    def close(self) -> None:
        """Release the folders."""
        self.held.close()


def _remove_saved(root: Path) -> None:
    """Remove the prediction folders of an earlier evaluation: `root`, and windows in it."""
    for folder in (root, *root.glob("*")):
        if any((folder / name).is_file() for name in (MANIFEST, UNFINISHED)):
            shutil.rmtree(folder)


def _settings(protocol: Protocol, *, window: str, label_set: str) -> dict[str, Any]:
    return {
        "instants": "samples",
        "window": window,
        "split": protocol.split,
        "probabilities": False,
        "views": str(protocol.test_time),
        "protocol": protocol.name,
        "labels": label_set,
        "scored_size": NATIVE if protocol.size is None else str(SensorSize(*protocol.size)),
        "scored_resize": protocol.resize,
    }
