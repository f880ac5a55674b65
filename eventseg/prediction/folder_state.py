"""State of a prediction folder on disk: new, stopped half-way, or complete."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from eventseg.errors import DatasetError, OutputError
from eventseg.files.locks import locked
from eventseg.files.whole import TEMPORARY, temporary_files
from eventseg.prediction.folder import PredictionFolder, open_predictions, write_predicted
from eventseg.prediction.inputs import PredictedSample
from eventseg.prediction.layout import (
    LABELS,
    MANIFEST,
    PROBABILITIES,
    SAMPLES,
    UNFINISHED,
    probability_file,
)
from eventseg.prediction.manifest import PredictionManifest, difference

CURE = "predict as before, give another --out, or --overwrite"


@contextlib.contextmanager
def begun_folder(
    root: Path,
    asked: PredictionManifest,
    *,
    ids: Sequence[str],
    overwrite: bool,
    cure: str = CURE,
) -> Iterator[PredictionFolder | None]:
    """Hold a folder that is to be written; yield its predictions where they are complete.

    Parameters
    ----------
    root : Path
    asked : PredictionManifest
        Manifest of the predictions that are asked for.
    ids : sequence of str
        Ids of their samples.
    overwrite : bool
        Remove predictions that are complete or of other settings.
    cure : str
        Cure for predictions of other settings.

    Raises
    ------
    DatasetError
        The folder holds predictions made otherwise.
    OutputError
        It cannot be written, or holds something else.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {root}: {error.strerror or error}") from error
    with locked(root, doing="predicting"):
        made = [name for name in (MANIFEST, UNFINISHED) if (root / name).is_file()]
        if not made and any(path.suffix != TEMPORARY for path in root.iterdir()):
            raise OutputError(f"{root} holds files but no predictions; give a folder that is new")
        if overwrite and (root / MANIFEST).is_file():
            _clear(root)
        for path in (root / name for name in made if (root / name).is_file()):
            differs = difference(PredictionManifest.read(path), asked)
            if differs and not overwrite:
                raise DatasetError(f"{root} holds predictions made otherwise: {differs}; {cure}")
            if differs:
                _clear(root)
        if (root / MANIFEST).is_file():
            folder = open_predictions(root)
            if not folder.missing() and not _lost_probabilities(root, asked, ids):
                # A run may have been killed between its last file and this.
                _remove_temporary(root)
                (root / UNFINISHED).unlink(missing_ok=True)
                yield folder
                return
            (root / MANIFEST).unlink()
        _remove_temporary(root)
        asked.write(root / UNFINISHED)
        yield None


def complete_folder(
    root: Path,
    manifest: PredictionManifest,
    samples: Sequence[PredictedSample],
    *,
    pixels: Sequence[int],
) -> None:
    """Write the table and the manifest, which completes a folder.

    Parameters
    ----------
    root : Path
    manifest : PredictionManifest
        Without counts.
    samples : sequence of PredictedSample
    pixels : sequence of int (K,)
        Pixels of each class.
    """
    _remove_temporary(root)  # of workers that were lost
    counted = dict(zip(manifest.classes.names, pixels, strict=True))
    write_predicted(root / SAMPLES, samples)
    replace(manifest, pixels=counted, samples=len(samples)).write(root / MANIFEST)
    (root / UNFINISHED).unlink(missing_ok=True)


def _lost_probabilities(root: Path, asked: PredictionManifest, ids: Sequence[str]) -> list[str]:
    if not asked.settings["probabilities"]:
        return []
    return [name for name in ids if not probability_file(root, name).is_file()]


def _remove_temporary(root: Path) -> None:
    for path in temporary_files(root):
        path.unlink(missing_ok=True)


def _clear(root: Path) -> None:
    """Remove predictions; the manifests go last, so that the folder stays known for what it is."""
    for name in (LABELS, PROBABILITIES):
        shutil.rmtree(root / name, ignore_errors=True)
    for name in (SAMPLES, MANIFEST, UNFINISHED):
        (root / name).unlink(missing_ok=True)
