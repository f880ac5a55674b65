"""Import of label maps as a label set: joined to samples, checked, and written whole."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from eventseg.dataset.jobs.shard import SHARDS
from eventseg.dataset.labelled import (
    IMPORTED,
    ORIGIN,
    SAMPLES_DIGEST,
    SETTINGS,
    check_apart,
    held_settings,
    ids_digest,
    imported_ids,
    is_imported,
)
from eventseg.dataset.layout import PARTIAL_LABELS, label_file
from eventseg.errors import DatasetError, LabelError, OutputError
from eventseg.files.digests import digest_of
from eventseg.files.locks import locked
from eventseg.files.whole import temporary_files, write_whole
from eventseg.labels.files import CURE, Values, read_labels, write_labels
from eventseg.labels.maps import IGNORED, ClassTable, load_class_table, table_of
from eventseg.labels.own_folders import CLASSES
from eventseg.labels.table_files import class_rows, merge_rows
from eventseg.labels.tables import PAGE, described
from eventseg.recordings.progress import Progress, Report, no_report
from eventseg.sources.own_labels.joining import (
    Join,
    Joined,
    join_files,
    list_pngs,
    listed,
    unnamed_prefix,
)
from eventseg.sources.own_labels.labelled_data import LabelledData
from eventseg.sources.own_labels.opening import open_labelled, ready_root
from eventseg.sources.own_labels.summaries import ImportSummary


def import_labels(
    data: str | Path,
    folder: str | Path,
    *,
    name: str,
    classes: ClassTable | str | Path | None = None,
    join: Join | None = None,
    values: Values = "auto",
    skip_orphans: bool = False,
    overwrite: bool = False,
    progress: Report = no_report,
) -> ImportSummary:
    """Import a folder of label PNGs as a label set of a data set, labelled pictures or a league.

    All files are read and checked before the set changes. What is written is kept in
    ``labels.partial/NAME`` until then, so that an import that was killed and is run again ends with
    the same bytes. Samples without a file have no labels in the set. The sets of a folder of
    pictures lie in ``label_sets/`` within it, and so do those of a league, unless its TOML file
    names another folder; their own labels stay as they are.

    Parameters
    ----------
    data : path
        Data set folder, a folder of labelled pictures, or the folder or TOML file of a league.
    folder : path
        PNGs of the size of the sensor or of the pictures, also in folders within it; of a league
        also of the size of its masks, to whose rows all labels are cut when they are used.
    name : str
        Name of the set; ``truth`` only of a data set whose recordings are not simulated.
    classes : ClassTable, str or path, optional
        Classes of the files: a table, or an argument of :func:`eventseg.load_class_table`; by
        default ``classes.toml`` in `folder`, or else the classes of the pictures or the league.
    join : Join, optional
        Rule by which files find their samples; by default their names are sample ids, of
        pictures also their file names, or paths with or without the split.
    values : {"auto", "ids", "colours"}
        Whether pixels hold ids or colours of the classes; ``auto`` goes by each file.
    skip_orphans : bool
        Leave out files that belong to no sample in place of an error.
    overwrite : bool
        Replace a set of this name that was made otherwise, or that a teacher has begun.
    progress : callable
        Called after every file.

    Returns
    -------
    ImportSummary

    Raises
    ------
    LabelError
        No class table; files that fit no sample, several of one sample, of another size than the
        sensor, or with ids or colours outside the classes: all are listed.
    DatasetError
        None of the three, or a set of this name that was made otherwise.
    OutputError
        The folder cannot be written, or another process writes into it.

    Examples
    --------
    >>> files = export_labels("drives", "annotated", name="truth").files
    >>> import_labels("drives", "annotated", name="own").files == files
    True
    """
    rule, source = join or Join(), Path(folder)
    check_set_name(name)
    paths = _label_files(source)
    with open_labelled(data) as target:
        target.check_name(name)
        check_apart(name, target.read_sets().tables)
        table = _class_table(source, classes, target)
        joined = join_files(target, source, paths, rule, skip_orphans=skip_orphans)
        settings = _settings(target, source, table, rule, values, joined)
        summary = ImportSummary(
            target.path,
            name,
            table,
            len(set(joined.files.values())),
            len(joined.files),
            len(target.ids),
            left_out=len(joined.left_out),
            largest_us=joined.largest_us,
            unnamed=unnamed_prefix(target, source, paths, rule),
        )
        with locked(ready_root(target), doing="writing"):
            if _is_whole(target, name, settings, overwrite=overwrite):
                return replace(summary, merges=_renew_merges(target, name, table))
            partial = target.root / PARTIAL_LABELS / name
            _begin(partial, settings)
            pixels = _read_all(target, joined, partial, table, values, progress)
            _finish(target, name, table, settings, partial)
            return replace(summary, pixels=pixels)


def check_set_name(name: str) -> str:
    """Return a name that a label set may have.

    Raises
    ------
    LabelError
        Other signs than letters, digits, ``.``, ``_``, ``+`` and ``-``.
    """
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._+-]*", name):
        raise LabelError(
            f"label set {name!r} must be made of letters, digits, '.', '_', '+' and '-'"
        )
    return name


def _class_table(
    folder: Path, classes: ClassTable | str | Path | None, data: LabelledData
) -> ClassTable:
    """Return the classes of the files, a table of the package by its own name."""
    if isinstance(classes, ClassTable):
        table = classes
    elif classes is not None:
        table = load_class_table(classes)
    elif (folder / CLASSES).is_file():
        table = load_class_table(folder / CLASSES)
    elif data.classes is not None:
        table = data.classes
    else:
        raise LabelError(
            f"{folder} has no {CLASSES}, which names its classes: write one, or give --classes "
            f"TABLE ({PAGE})"
        )
    known = table_of(table.names)
    return replace(known, ignored_ids=table.ignored_ids) if known == table else table


def _label_files(folder: Path) -> list[Path]:
    """Return the PNGs of a folder and of the folders in it, hidden ones left out."""
    if not folder.is_dir():
        raise LabelError(f"{folder} is no folder; give one that holds label PNGs")
    paths = list_pngs(folder)
    if not paths:
        raise LabelError(f"{folder} holds no PNG; label maps are indexed, gray or RGB PNG ({PAGE})")
    return paths


def _settings(
    data: LabelledData,
    folder: Path,
    table: ClassTable,
    rule: Join,
    values: Values,
    joined: Joined,
) -> dict[str, Any]:
    """Return everything that decides the labels of the set, as TOML holds it."""
    content = hashlib.sha256()
    for i, path in joined.files.items():
        content.update(f"{data.ids[i]} {digest_of(path)}\n".encode(errors="replace"))
    return {
        ORIGIN: IMPORTED,
        "folder": folder.resolve().name.encode(errors="replace").decode(),
        **rule.to_dict(),
        "values": values,
        "files": len(set(joined.files.values())),
        "files_sha256": content.hexdigest(),
        "samples": len(joined.files),
        SAMPLES_DIGEST: ids_digest(data.ids[i] for i in joined.files),
        "class_table": table.name,
        "classes": list(table.names),
        "colours": [list(colour) for colour in table.colours],
    }


def _is_whole(
    data: LabelledData, name: str, settings: Mapping[str, Any], *, overwrite: bool
) -> bool:
    """Return whether the set is there already, made so.

    Raises
    ------
    DatasetError
        A set of this name was made otherwise or begun by a teacher, and shall not be replaced.
    """
    sets, folder = data.read_sets(), data.root / "labels" / name
    made = sets.settings.get(name)
    if made == settings and settings[SAMPLES_DIGEST] == ids_digest(imported_ids(data.root, name)):
        return True
    stopped = data.root / PARTIAL_LABELS / name
    ours = made == settings or held_settings(stopped) == settings
    if not overwrite and not ours and (name in sets.tables or folder.exists()):
        differs = "" if made is None else f" ({_difference(made, settings)})"
        raise DatasetError(
            f"{data.path} has labels {name} that were made otherwise{differs}; give another "
            "--set, or --overwrite"
        )
    held = held_settings(stopped)
    if not overwrite and ((held and not is_imported(held)) or (stopped / SHARDS).is_dir()):
        raise DatasetError(
            f"{stopped} holds labels {name} that a teacher has begun: run pseudolabel or merge "
            "to end them, give another --set, or --overwrite to remove them"
        )
    return False


def _renew_merges(data: LabelledData, name: str, table: ClassTable) -> bool:
    """Replace the merges of a set's class table, on which no label depends, where they differ."""
    sets = data.read_sets()
    held = sets.tables[name]
    if (merge_rows(held), class_rows(held)) == (merge_rows(table), class_rows(table)):
        return False
    data.write_sets(sets.with_set(name, table, sets.settings[name]))
    return True


def _difference(made: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    key = next(key for key in {**made, **asked} if made.get(key) != asked.get(key))
    return f"{key} was {made.get(key, 'none')}, now {asked.get(key, 'none')}"


def _begin(partial: Path, settings: Mapping[str, Any]) -> None:
    """Keep what a killed import of these settings has read, and remove that of others."""
    if partial.exists() and held_settings(partial) != settings:
        _remove(partial)
    for path in temporary_files(partial):
        path.unlink()
    text = tomli_w.dumps(settings)
    write_whole(partial / SETTINGS, lambda file: file.write(text.encode()))


def _read_all(
    data: LabelledData,
    joined: Joined,
    partial: Path,
    table: ClassTable,
    values: Values,
    progress: Report,
) -> tuple[int, ...]:
    """Write the labels of every sample into the partial folder and count the pixels of classes.

    Raises
    ------
    LabelError
        Files that are no label maps of this sensor and these classes.
    """
    pixels, problems = np.zeros(256, np.int64), []
    for done, (i, path) in enumerate(joined.files.items(), 1):
        target = label_file(partial, labels=partial.name, sample_id=data.ids[i])
        try:
            read = read_labels(path, table=table, values=values)
            labels = data.whole(read, path)
        except LabelError as error:
            # Classes and cure are said once for all files.
            problems.append(
                str(error).partition(f"; {CURE}")[0].replace(described(table), "").rstrip(" :;")
            )
            continue
        if not target.is_file():
            write_labels(target, labels, table)
        pixels += np.bincount(read.ravel(), minlength=256)
        progress(Progress("import", done, len(joined.files), "sample"))
    if problems:
        _remove(partial)
        raise LabelError(
            f"{len(problems):,} of {len(joined.files):,} label maps cannot be imported: "
            f"{listed(problems)}. {CURE[0].upper()}{CURE[1:]}, or the table's colours: "
            f"{described(table)}"
        )
    return (*pixels[: len(table)].tolist(), int(pixels[IGNORED]))


def _finish(
    data: LabelledData,
    name: str,
    table: ClassTable,
    settings: Mapping[str, Any],
    partial: Path,
) -> None:
    """Put the label maps in their place; the list of the sets names the set last."""
    root = data.root
    others = data.read_sets().without(name)
    data.write_sets(others)
    for kind in ("labels", "confidence"):
        _remove(root / kind / name)
    try:
        (root / "labels").mkdir(exist_ok=True)
        (partial / "labels" / name).rename(root / "labels" / name)
    except OSError as error:
        raise OutputError(f"cannot write {root / 'labels' / name}: {error.strerror}") from error
    data.write_sets(others.with_set(name, table, settings))
    _remove(partial)


def _remove(folder: Path) -> None:
    if not folder.exists():
        return
    try:
        shutil.rmtree(folder)
        if folder.parent.name == PARTIAL_LABELS and not any(folder.parent.iterdir()):
            folder.parent.rmdir()
    except OSError as error:
        raise OutputError(f"cannot remove {folder}: {error.strerror or error}") from error
