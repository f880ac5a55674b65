"""Export of a label set: PNGs named by sample ids or frames, and the class table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Literal

import numpy as np

from eventseg.dataset.layout import checked_name
from eventseg.errors import DatasetError, LabelError, OutputError
from eventseg.files.paths import composed
from eventseg.files.whole import write_whole
from eventseg.labels.files import encoded_labels
from eventseg.labels.maps import ClassTable
from eventseg.labels.own_folders import CLASSES
from eventseg.labels.table_files import encoded_class_table
from eventseg.labels.tables import described
from eventseg.recordings.progress import Progress, Report, no_report
from eventseg.sources.own_labels.joining import list_pngs
from eventseg.sources.own_labels.labelled_data import LabelledData
from eventseg.sources.own_labels.opening import open_labelled
from eventseg.sources.own_labels.summaries import ExportSummary


def export_labels(
    data: str | Path,
    folder: str | Path,
    *,
    name: str,
    colour: bool = False,
    by: Literal["id", "frame"] = "id",
    overwrite: bool = False,
    progress: Report = no_report,
) -> ExportSummary:
    """Write the label maps of a set into a folder, as :func:`import_labels` takes them back.

    Parameters
    ----------
    data : path
        Data set folder; a folder of labelled pictures, whose own labels are the set ``truth``; or
        the folder or TOML file of a league, whose masks are ``truth`` and others of its sets.
    folder : path
        Folder that gets ``ID.png`` of each labelled sample and ``classes.toml``.
    name : str
        Label set.
    colour : bool
        Write RGB in the colours of the classes in place of indexed PNG, whose values are ids.
    by : {"id", "frame"}
        Name files by sample ids, or, of a data set or a league, ``RECORDING/FRAME.png``, once for
        each frame.
    overwrite : bool
        Replace files that are there and differ, also `classes.toml`, and remove label maps of an
        earlier export of the data that are not in this one.
    progress : callable
        Called after every file.

    Returns
    -------
    ExportSummary

    Raises
    ------
    DatasetError
        None of the three, no such label set, or labels that are missing or damaged.
    LabelError
        Classes whose colours do not tell them apart, or samples that have no frame.
    OutputError
        Files are there that differ or are not of this export, or the folder cannot be written.

    Examples
    --------
    >>> export_labels("drives", "exported", name="truth").name
    'truth'
    """
    target = Path(folder)
    with open_labelled(data) as labelled:
        table = labelled.table(name)
        if table is None:
            known = ", ".join(labelled.set_names) or "none"
            raise DatasetError(f"{labelled.path} has no label set {name!r}; it has {known}")
        if colour:
            _check_colours(table)
        files = _files(labelled, name, by=by)
        content = encoded_class_table(table)
        if not overwrite:
            _is_there(target / CLASSES, content)
        for stray in _strays(target, labelled, files, overwrite=overwrite):
            _remove(stray, target)
        for done, (place, i) in enumerate(files.items(), 1):
            encoded = encoded_labels(labelled.labels(i, name), table, colour=colour)
            _write(target / place, encoded, overwrite=overwrite)
            progress(Progress("export", done, len(files), "file"))
    _write(target / CLASSES, content, overwrite=overwrite)
    return ExportSummary(target, name, table, len(files))


def _files(data: LabelledData, name: str, *, by: str) -> dict[str, int]:
    """Return the sample of each file, by the file's path in the folder."""
    chosen = np.flatnonzero(data.labelled(name)).tolist()
    if not chosen:
        raise DatasetError(f"{data.path} has no labels {name} of any sample")
    if by == "id":
        return {checked_name(f"{data.ids[i]}.png"): i for i in chosen}
    if data.timeline is None:
        raise LabelError(f"{data.path} is a folder of pictures, which have no frame; export by id")
    files: dict[str, int] = {}
    for i in chosen:
        frame = int(data.timeline.frames[i])
        if frame < 0:
            raise LabelError(f"sample {data.ids[i]} has labels and no frame; export by id")
        place = f"{checked_name(data.timeline.recordings[i])}/{frame:06d}.png"
        files.setdefault(place, i)
    return files


def _check_colours(table: ClassTable) -> None:
    """Raise where colours would not tell the classes apart, or from ignored pixels, black."""
    counts = Counter(table.colours)
    for name, colour in zip(table.names, table.colours, strict=True):
        if counts[colour] > 1 or colour == (0, 0, 0):
            other = "ignored pixels" if colour == (0, 0, 0) else "another class"
            raise LabelError(
                f"class {name} has the colour {list(colour)} of {other}: export ids, without "
                f"--colour. {described(table)}"
            )


def _strays(
    folder: Path, data: LabelledData, files: Collection[str], *, overwrite: bool
) -> list[Path]:
    """Return the PNGs of an earlier export that are no files of this one, which replaces it.

    Raises
    ------
    OutputError
        There are some and nothing is to be replaced, or PNGs that no export of the data writes.
    """
    expected = {composed(place) for place in files}
    strays = {
        path: place
        for path in list_pngs(folder)
        if (place := composed(path.relative_to(folder).as_posix())) not in expected
    }
    if not strays:
        return []
    exported = {composed(f"{sample}.png") for sample in data.ids}
    if data.timeline is not None:
        exported |= {
            composed(f"{recording}/{frame:06d}.png")
            for recording, frame in zip(
                data.timeline.recordings, data.timeline.frames.tolist(), strict=True
            )
        }
    # An export ends with its classes: without them, PNGs such as the pictures are someone else's.
    whole = (folder / CLASSES).is_file()
    foreign = [path for path, place in strays.items() if not whole or place not in exported]
    if foreign or not overwrite:
        first = (foreign or list(strays))[0]
        cure = "move them away" if foreign else "--overwrite, which removes them"
        raise OutputError(
            f"{folder} has {len(foreign or strays):,} PNGs that are no files of this export, "
            f"first {first}: give another folder, or {cure}"
        )
    return list(strays)


def _remove(path: Path, folder: Path) -> None:
    """Remove a file, and the folder within another that it leaves empty."""
    try:
        path.unlink()
        if path.parent != folder and not any(path.parent.iterdir()):
            path.parent.rmdir()
    except OSError as error:
        raise OutputError(f"cannot remove {path}: {error.strerror or error}") from error


def _write(path: Path, content: bytes, *, overwrite: bool) -> None:
    """Write a file, unless one of the same bytes is there."""
    if overwrite or not _is_there(path, content):
        write_whole(path, lambda file: file.write(content))


def _is_there(path: Path, content: bytes) -> bool:
    """Return whether a file is there, of these bytes.

    Raises
    ------
    OutputError
        A file is there that differs: someone may have edited it.
    """
    if not path.exists():
        return False
    try:
        same = path.read_bytes() == content
    except OSError as error:
        raise OutputError(f"cannot read {path}: {error.strerror or error}") from error
    if not same:
        raise OutputError(
            f"{path} is there already and differs; give another folder, or --overwrite"
        )
    return True
