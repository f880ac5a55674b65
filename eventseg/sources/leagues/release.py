"""Writer of EV-SegNet's layout: images, labels and tensors that the original training code loads.

Its loader lists ``ROOT/*/*/*`` and tells kinds and parts by ``/images/``, ``/labels/``,
``/events/``, ``/train/``, ``/test/`` and ``/other/`` anywhere in a path, sorts each list, and takes
files at equal places for one sample. Pictures and labels are read as gray, tensors as
``(rows, columns, 6)``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from eventseg.dataset.layout import checked_name
from eventseg.encoding.representation import MEAN_STD
from eventseg.errors import DatasetError, OutputError
from eventseg.files.digests import table_digest
from eventseg.files.locks import locked
from eventseg.files.texts import read_toml
from eventseg.files.whole import temporary_files, write_whole
from eventseg.images import write_image
from eventseg.labels.maps import ClassTable, load_class_table
from eventseg.recordings.progress import Progress, Report, no_report
from eventseg.sources.selection import merge_into, truth_of
from eventseg.sources.source import Source, open_source
from eventseg.windows import format_duration, to_us

KINDS = ("images", "labels", "events")

PARTS: Mapping[str, str] = {
    "train": "train",
    "val": "train",
    "gap": "train",
    "test": "test",
    "other": "other",
}
"""Folder of each part: the layout has no validation, whose samples train as published."""

SETTINGS = "release.toml"
"""File beside the folders that tells what was written; the loader does not look at it."""

WORDS = ("images", "labels", "events", "train", "test", "other")
"""Names of folders that the original loader looks for anywhere in a path."""


@dataclass(frozen=True, slots=True)
class Release:
    """Written folder.

    Parameters
    ----------
    path : Path
    samples : mapping of str to int
        Number of samples of each part.
    notes : tuple of str
        Facts that a user of the folder should know.
    """

    path: Path
    samples: Mapping[str, int]
    notes: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return the release as lines for people."""
        counts = ", ".join(f"{number:,} {part}" for part, number in self.samples.items())
        return [f"{self.path}: {counts}", *self.notes]

    def to_dict(self) -> dict[str, Any]:
        """Return the release as plain values, for JSON."""
        return {"path": str(self.path), "samples": dict(self.samples), "notes": list(self.notes)}


def write_release(
    data: str | Path | Source,
    out: str | Path,
    *,
    window: str | int = "50ms",
    label_set: str = "truth",
    classes: ClassTable | str = "evsegnet6",
    overwrite: bool = False,
    progress: Report = no_report,
) -> Release:
    """Write a data set or a league in the layout of EV-SegNet's release.

    The folder gets ``images/PART/ID.png``, ``labels/PART/ID.png`` and ``events/PART/ID.npy``, where
    a part is train, test or other. Pictures and labels are 8-bit gray in the rows of the tensors;
    tensors are float32 (rows, columns, 6) in the evsegnet normalisation. A run that was stopped
    goes on where it was.

    Parameters
    ----------
    data : path or Source
        Data with events, frames and labels, in the representation ``mean-std``.
    out : path
    window : str or int
        Window of the tensors, a duration or microseconds.
    label_set : str
        Label set of `data`.
    classes : ClassTable or str
        Classes of the labels; those of the data are merged into them.
    overwrite : bool
        Replace samples of other settings that the folder holds.
    progress : callable
        Called after every sample.

    Raises
    ------
    DatasetError
        Data without events or frames or in another representation, samples of the same name, or a
        folder that holds a release of other settings.
    LabelError
        Classes that do not merge.
    OutputError
        The folder cannot be written.

    Examples
    --------
    >>> write_release("drives", "release").samples["train"] > 0
    True
    """
    root, window = Path(out), format_duration(to_us(window))
    table = load_class_table(classes) if isinstance(classes, str) else classes
    source = open_source(data, label_set=label_set) if isinstance(data, str | Path) else data
    try:
        return _write(source, root, window, label_set, table, overwrite, progress)
    finally:
        if source is not data:
            source.close()


def _write(
    source: Source,
    root: Path,
    window: str,
    label_set: str,
    table: ClassTable,
    overwrite: bool,
    progress: Report,
) -> Release:
    if source.encoding is None or source.encoding.representation != MEAN_STD:
        held = "no events" if source.encoding is None else str(source.encoding.representation)
        raise DatasetError(
            f"{source.path} holds {held}; EV-SegNet's layout has the six channels of {MEAN_STD}"
        )
    merge = merge_into(source.classes, table)
    chosen: list[int] = np.flatnonzero(source.labelled).tolist()
    parts = {i: PARTS[source.published_splits[i]] for i in chosen}
    ids = {i: source.ids[i] for i in chosen}
    twice = [name for name, count in Counter(ids.values()).items() if count > 1]
    if twice or not chosen:
        what = f"samples of one name: {', '.join(twice[:4])}" if twice else "no labelled samples"
        raise DatasetError(f"{source.path} has {what}")
    settings = {
        "source": table_digest(source.digests),
        "window": window,
        "labels": label_set,
        "classes": list(table.names),
        "channels": list(source.encoding.normalised("evsegnet").units),
    }
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {root}: {error.strerror or error}") from error
    with locked(root, doing="writing"):
        _begin(root, settings, overwrite=overwrite)
        for done, i in enumerate(chosen):
            places = {kind: root / kind / parts[i] / checked_name(ids[i]) for kind in KINDS}
            _write_sample(source, i, places, window=window, merge=merge)
            progress(Progress("samples", done + 1, len(chosen), "sample"))
        _check_strays(root, {(parts[i], ids[i]) for i in chosen})
    counts = Counter(parts.values())
    return Release(root, {p: counts[p] for p in dict.fromkeys(PARTS.values())}, _notes(root))


def _write_sample(
    source: Source,
    i: int,
    places: Mapping[str, Path],
    *,
    window: str,
    merge: tuple[int, ...] | None,
) -> None:
    """Write the files of a sample that are not there; each is written whole."""
    image, labels = (places[kind].with_name(f"{places[kind].name}.png") for kind in KINDS[:2])
    events = places["events"].with_name(f"{places['events'].name}.npy")
    if not image.exists():
        gray = source.image(i, colour=False)[0]
        write_image(image, np.rint(gray * 255).astype(np.uint8))
    if not labels.exists():
        write_image(labels, truth_of(source, i, merge=merge).numpy())
    if not events.exists():
        tensor = source.events(i, window, normalise="evsegnet")
        content = np.ascontiguousarray(tensor.transpose(1, 2, 0), dtype=np.float32)
        write_whole(events, lambda file: np.save(file, content))


def _begin(root: Path, settings: Mapping[str, Any], *, overwrite: bool) -> None:
    """Write the settings of a folder, or compare them with those that it was begun with."""
    path = root / SETTINGS
    try:
        held = read_toml(path) if path.is_file() else None
    except (OSError, ValueError) as error:
        raise DatasetError(f"cannot read {path}: {error}") from error
    if held is None and root.is_dir() and any(root.iterdir()):
        raise OutputError(f"{root} holds other files; give a new folder")
    if held is not None and held != settings:
        differs = [key for key, value in settings.items() if held.get(key) != value]
        if not overwrite:
            raise DatasetError(
                f"{root} holds a release of other settings: {', '.join(differs)}; give another "
                "folder, or --overwrite"
            )
        _remove_files(root)
    for left in temporary_files(root):  # of a killed run
        left.unlink()
    text = tomli_w.dumps(dict(settings))
    for kind in KINDS:
        for part in dict.fromkeys(PARTS.values()):
            (root / kind / part).mkdir(parents=True, exist_ok=True)
    write_whole(path, lambda file: file.write(text.encode()))


def _remove_files(root: Path) -> None:
    """Remove the files of all samples, or none where a folder is among them."""
    paths = [path for kind in KINDS for path in (root / kind).glob("*/*")]
    folders = sorted(path for path in paths if path.is_dir() and not path.is_symlink())
    if folders:
        raise OutputError(f"{folders[0]} is a folder among the samples; move it elsewhere")
    for path in paths:
        try:
            path.unlink()
        except OSError as error:
            raise OutputError(f"cannot remove {path}: {error.strerror or error}") from error


def _check_strays(root: Path, expected: set[tuple[str, str]]) -> None:
    """Raise an error for files of no sample: the loader would take them for one."""
    strays = [
        path
        for kind in KINDS
        for path in sorted((root / kind).glob("*/*"))
        if (path.parent.name, path.stem) not in expected
    ]
    if strays:
        raise DatasetError(
            f"{root} has {len(strays):,} files of no sample, first {strays[0]}: the original "
            "loader would pair them with others; remove them"
        )


def _notes(root: Path) -> tuple[str, ...]:
    """Return the traps for the original loader, and the unknowns of the release."""
    above = root.absolute().parts[:-1]
    names = [name for name in WORDS if name in above or name == root.absolute().name]
    found = [
        f"{root.absolute()} has a folder named {', '.join(names)} on its way, which the original "
        "loader takes for a part or a kind: move it before training"
    ]
    return tuple(found if names else ())
