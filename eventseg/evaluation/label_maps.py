"""Label maps that are scored: a prediction folder, or PNG of another project by sample id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eventseg.errors import DatasetError, LabelError
from eventseg.evaluation.sample_scores import SAMPLE_SCORES
from eventseg.labels.files import read_labels
from eventseg.labels.maps import ClassTable, Labels
from eventseg.labels.tables import PAGE
from eventseg.prediction.folder import open_predictions
from eventseg.prediction.layout import MANIFEST, UNFINISHED, label_file

SHOWN = 3
"""Names that an error shows."""


@dataclass(frozen=True, eq=False, slots=True)
class LabelMaps:
    """Label maps by sample id.

    Parameters
    ----------
    path : Path
    name : str
        Name of their row.
    classes : ClassTable
    files : mapping of str to Path
        File of each sample.
    settings : mapping
        Settings of the predictions; empty for files of another project.
    about : mapping
        Origin, for the report.
    window : str
        Window of the events, ``-`` where none is known.
    sees_events : bool
        Whether the network that predicted sees events.
    """

    path: Path
    name: str
    classes: ClassTable
    files: Mapping[str, Path]
    settings: Mapping[str, Any]
    about: Mapping[str, Any]
    window: str = "-"
    sees_events: bool = False

    def labels(self, sample_id: str) -> Labels:
        """Return a label map, uint8 (H, W), 255 where nothing is predicted.

        Raises
        ------
        LabelError
            The file is damaged, or holds values that are no classes.
        """
        return read_labels(self.files[sample_id], table=self.classes)


def open_label_maps(path: str | Path, *, classes: ClassTable | None = None) -> LabelMaps:
    """Open a prediction folder, or a folder of label PNG named by sample id.

    Parameters
    ----------
    path : path
    classes : ClassTable, optional
        Classes of PNG without a ``predictions.toml``.

    Raises
    ------
    DatasetError
        No such folder, one that is not complete or holds no PNG, or two files of one sample.
    LabelError
        Classes given for a folder that names its own, or none for one that does not.
    """
    root = Path(path)
    if not root.is_dir():
        raise DatasetError(f"there is no folder of predictions {root}")
    if any((root / name).is_file() for name in (MANIFEST, UNFINISHED)):
        return _predicted(root, classes)
    files: dict[str, Path] = {}
    for file in sorted(root.rglob("*.png")):
        if any((folder / SAMPLE_SCORES).is_file() for folder in file.parents if folder != root):
            continue  # a picture of a report on these predictions
        if file.stem in files:
            raise DatasetError(
                f"{files[file.stem]} and {file} are both predictions of {file.stem}; keep one"
            )
        files[file.stem] = file
    if not files:
        raise DatasetError(f"{root} has neither {MANIFEST} nor label PNG named by sample id")
    if classes is None:
        raise LabelError(
            f"{root} has no {MANIFEST} that names its classes: name them with --network-classes "
            f"({PAGE})"
        )
    return LabelMaps(root, root.resolve().name, classes, files, {}, {"label maps": str(root)})


def _predicted(root: Path, classes: ClassTable | None) -> LabelMaps:
    folder = open_predictions(root)
    if classes is not None:
        names = ", ".join(folder.classes.names[:SHOWN])
        raise LabelError(f"{root} names its classes ({names}, ...): leave --network-classes out")
    missing = folder.missing()
    if missing:
        raise DatasetError(
            f"{root} lacks the label maps of {len(missing):,} of its samples: {some(missing)}; "
            "predict again"
        )
    manifest = folder.manifest
    kind = manifest.network["input"]
    windows = {str(entry["window"]) for entry in manifest.inputs if "window" in entry}
    sees_events = kind in ("events", "both")
    return LabelMaps(
        root,
        str(manifest.network["name"]),
        folder.classes,
        {name: label_file(root, name) for name in folder.ids},
        manifest.settings,
        {
            "network": manifest.network["network"],
            "input": kind,
            "checkpoint": manifest.network["checkpoint"],
            "checkpoint digest": manifest.network["sha256"],
            "predictions": str(root),
            "predicted at": manifest.settings["instants"],
        },
        window=windows.pop() if sees_events and len(windows) == 1 else "-",
        sees_events=sees_events,
    )


def some(names: list[str]) -> str:
    """Return the first names of a list, with dots where there are more."""
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
