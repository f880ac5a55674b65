"""Folders of predictions: label PNG, arrays of scores, and the prediction folders of eventseg."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from eventseg.errors import DatasetError, LabelError
from eventseg.evaluation.label_maps import open_label_maps, some
from eventseg.evaluation.sample_scores import SAMPLE_SCORES
from eventseg.evaluation.scoring.arrays import Prediction, prediction_of, read_array
from eventseg.evaluation.scoring.names import Matched, match_names
from eventseg.evaluation.scoring.settings import Values
from eventseg.images import open_png
from eventseg.labels.files import has_colours, labels_from_png
from eventseg.labels.maps import IGNORED, ClassTable, Labels, unknown_labels
from eventseg.prediction.folder import PredictionFolder, open_predictions
from eventseg.prediction.layout import MANIFEST, UNFINISHED, probability_file
from eventseg.sources.source import Source

ENDINGS = (".png", ".npy")
"""Endings of the files that are predictions."""


@dataclass(frozen=True, eq=False, slots=True)
class PredictionFiles:
    """Predictions that lie in a folder, by sample id.

    Parameters
    ----------
    path : Path
    name : str
        Name of their row.
    classes : ClassTable
    paths : tuple of Path
        All files of predictions.
    window : str
        Window of the events, ``-`` where none is known.
    settings : mapping
        Settings of the predictions; empty for files of another project.
    about : mapping
        Origin, for the report.
    values : {"auto", "logits", "probabilities"}
        Meaning of arrays of floats.
    folder : PredictionFolder, optional
        Prediction folder of eventseg.
    """

    path: Path
    name: str
    classes: ClassTable
    paths: tuple[Path, ...]
    window: str = "-"
    settings: Mapping[str, Any] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)
    values: Values = "auto"
    folder: PredictionFolder | None = None

    def matched(
        self,
        ids: Sequence[str],
        sequences: Sequence[str],
        *,
        recordings: Sequence[str],
        allow_missing: bool,
    ) -> Matched:
        """Return the file of each sample; with `allow_missing` some may have none.

        Parameters
        ----------
        ids, sequences : sequence of str (N,)
            Id and recording of each sample that is scored.
        recordings : sequence of str
            All recordings of the data.
        allow_missing : bool

        Raises
        ------
        DatasetError
            Two files of one sample, no file of any, or samples without one.
        """
        found = match_names(
            self.path, self.paths, ids=ids, sequences=sequences, recordings=recordings
        )
        missing = [name for name in ids if name not in found.files]
        if missing and not allow_missing:
            cure = found.hint or "predict them, or score what is there with --allow-missing"
            raise DatasetError(
                f"{len(missing):,} of the {len(ids):,} samples have no prediction in {self.path} "
                f"({found.rule}): {some(missing)}; {cure}"
            )
        return found

    def read(self, path: Path, sample_id: str) -> Prediction:
        """Read a prediction.

        Raises
        ------
        LabelError
            The file is damaged, or holds values that are no classes, scores or colours of them.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            raise LabelError(f"cannot read predictions {path}: {error.strerror}") from error
        digest = hashlib.sha256(content).hexdigest()
        if path.suffix == ".npy":
            return prediction_of(
                read_array(path, content),
                classes=self.classes,
                values=self.values,
                what=f"prediction {path}",
                sha256=digest,
            )
        try:
            labels = labels_from_png(content, path=path, table=self.classes)
            coloured = has_colours(content)
        except LabelError as error:
            gray = _three_equal(content, path)
            if gray is None or unknown_labels(gray, len(self.classes)):
                raise self._explained(error, content, path) from error
            labels, coloured = gray, False
        made = Prediction(labels, coloured=coloured, sha256=digest)
        if self.folder is None or not probability_file(self.path, sample_id).is_file():
            return made
        probabilities = self.folder.probabilities(sample_id).astype(np.float32)
        if probabilities.shape != (len(self.classes), *labels.shape):
            raise LabelError(
                f"probabilities of {sample_id} in {self.path} have the shape "
                f"{probabilities.shape}, its label map {labels.shape}; predict again"
            )
        return replace(made, probabilities=probabilities)

    def _explained(self, error: LabelError, content: bytes, path: Path) -> LabelError:
        """Return an error about ids with the mistake that would explain it, if one does."""
        try:
            plain = labels_from_png(content, path=path)
        except LabelError:
            return error
        held = np.flatnonzero(np.bincount(plain[plain != IGNORED].ravel(), minlength=1))
        if len(held) and held[0] >= 1 and held[-1] == len(self.classes):
            return LabelError(f"{error}: ids seem to be one too high, as with 0 for void")
        return error


def _three_equal(content: bytes, path: Path) -> Labels | None:
    """Return the ids of an RGB picture with three equal channels, as leagues have, or None."""
    if not has_colours(content):
        return None
    values = np.asarray(open_png(content, path).convert("RGB"))
    if (values != values[..., :1]).any():
        return None
    return np.ascontiguousarray(values[..., 0])


def open_prediction_files(
    path: Path, *, classes: ClassTable | None, source: Source, values: Values
) -> PredictionFiles:
    """Open a folder of predictions.

    Parameters
    ----------
    path : Path
        Prediction folder, or a folder of ``.png`` and ``.npy``.
    classes : ClassTable, optional
        Classes of files without a ``predictions.toml``; by default those of the labels.
    source : Source
        Data that is scored.
    values : {"auto", "logits", "probabilities"}

    Raises
    ------
    DatasetError
        No such folder, one that is not complete or holds no predictions.
    LabelError
        Classes given for a folder that names its own.
    """
    if not path.is_dir():
        raise DatasetError(f"there is no folder of predictions {path}")
    if any((path / name).is_file() for name in (MANIFEST, UNFINISHED)):
        maps = open_label_maps(path, classes=classes)
        return PredictionFiles(
            path,
            maps.name,
            maps.classes,
            tuple(maps.files.values()),
            window=maps.window if maps.sees_events else "-",
            settings=maps.settings,
            about=maps.about,
            values=values,
            folder=open_predictions(path),
        )
    paths = tuple(
        file
        for file in sorted(path.rglob("*"))
        if file.suffix.lower() in ENDINGS
        and not file.name.startswith(".")
        and not any((folder / SAMPLE_SCORES).is_file() for folder in file.parents)
    )
    if not paths:
        raise DatasetError(f"{path} holds neither {MANIFEST} nor .png or .npy named by sample")
    return PredictionFiles(
        path,
        path.resolve().name,
        classes or source.classes,
        paths,
        about={"predictions": str(path)},
        values=values,
    )
