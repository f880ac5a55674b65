"""State of a data set folder on disk: new, stopped half-way, or complete."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from eventseg.dataset.jobs.shard import MERGED, SHARDS
from eventseg.dataset.layout import (
    MANIFEST,
    PARTIAL,
    PARTIAL_SAMPLES,
    SAMPLES,
    frame_file,
    label_file,
    tensor_file,
)
from eventseg.dataset.manifest import Manifest, difference
from eventseg.dataset.settings import Settings
from eventseg.dataset.table import Row, SampleTable, read_rows, write_rows
from eventseg.dataset.truth import TRUTH
from eventseg.errors import DatasetError, OutputError
from eventseg.files.whole import TEMPORARY, temporary_files

NPZ_SHARE = 0.25
"""Size of a compressed tensor as a share of the plain one, for the estimate of disk space."""


def claim(root: Path, folders: Sequence[Path]) -> None:
    """Make the folders of data sets below ``root`` (or ``root`` itself), or name the obstacle.

    Raises
    ------
    OutputError
        Something else is there, or the folder cannot be made.
    """
    try:
        for folder in {root, *folders}:
            if folder.exists() and not folder.is_dir():
                raise OutputError(f"output {folder} is a file; give a folder that is new")
        if root not in folders and root.exists():
            for child in sorted(root.iterdir()):
                if child.name not in (SHARDS, MERGED) and (not child.is_dir() or _foreign(child)):
                    raise OutputError(
                        f"output {root} holds {child.name}, but should hold nothing but one "
                        "data set a window length; give another folder"
                    )
        for folder in folders:
            if folder.exists() and _foreign(folder):
                raise OutputError(
                    f"output {folder} holds files but no data set; give a folder that is new"
                )
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"cannot make output {root}: {error.strerror or error}") from error


def _foreign(folder: Path) -> bool:
    """Return whether a folder holds files, but no data set, complete or half-way."""
    if any((folder / name).exists() for name in (MANIFEST, PARTIAL, SHARDS)):
        return False
    if (folder.parent / SHARDS).exists():  # one window length of the shards of a job array
        return False
    return any(path.suffix != TEMPORARY for path in folder.iterdir())


def release(root: Path, folders: Sequence[Path]) -> None:
    """Remove folders that a failed run made and left empty."""
    for folder in (*folders, root):
        with contextlib.suppress(OSError):
            folder.rmdir()


class DatasetFolder:
    """A data set that is being written, from its manifest to the complete folder.

    While it is on its way, ``encode.partial.toml`` holds the manifest and the recordings that
    are done, ``samples.partial.csv`` their samples. The manifest is written last.

    Parameters
    ----------
    root : Path
        An existing folder.
    manifest : Manifest
        Manifest of the data set to be written.

    Attributes
    ----------
    whole : bool
        The folder holds this data set already.

    Raises
    ------
    DatasetError
        The folder holds a data set of other settings, or recordings that have changed.
    """

    def __init__(self, root: Path, manifest: Manifest) -> None:
        self.root = root
        self.manifest = manifest
        self.whole = False
        self._rows: dict[str, list[Row]] = {}
        if (root / MANIFEST).exists():
            self._compare(root / MANIFEST)
            self._recover(root / SAMPLES, [entry.name for entry in manifest.recordings])
            self.whole = not self.missing
        elif (root / PARTIAL).exists():
            stopped = self._compare(root / PARTIAL)
            if stopped.version != manifest.version:
                raise DatasetError(
                    f"{root} was begun by eventseg {stopped.version}, this is {manifest.version}; "
                    "remove it or give another output"
                )
            self._recover(root / PARTIAL_SAMPLES, stopped.finished)

    @property
    def missing(self) -> list[str]:
        """Names of the recordings that are still to be encoded."""
        return [entry.name for entry in self.manifest.recordings if entry.name not in self._rows]

    def begin(self) -> None:
        """Clean up after a killed run; unless the data set is complete, mark it as unfinished."""
        for path in temporary_files(self.root):
            path.unlink()
        if not self.whole:
            self._save()
            (self.root / MANIFEST).unlink(missing_ok=True)

    def add(self, name: str, rows: list[Row]) -> None:
        """Record that the files of one recording are written."""
        self._rows[name] = rows
        self._save()

    def add_all(self, rows: Mapping[str, list[Row]]) -> None:
        """Record that the files of several recordings are written."""
        self._rows |= rows
        self._save()

    def finish(self) -> tuple[Manifest, SampleTable]:
        """Write the table and the manifest, which complete the data set."""
        windows = self.manifest.settings.windows
        table = SampleTable.from_rows(self._sorted_rows(), windows=windows)
        manifest = self.manifest
        if self.whole:
            made = Manifest.read(self.root / MANIFEST)
            # Only where the recordings lie may have changed.
            manifest = replace(made, recordings=manifest.recordings)
        if not self.whole or manifest != made:
            write_rows(self.root / SAMPLES, self._sorted_rows(), windows=windows)
            manifest.write(self.root / MANIFEST)
        # Of workers that were lost too.
        for path in temporary_files(self.root):
            path.unlink(missing_ok=True)
        for name in (PARTIAL_SAMPLES, PARTIAL):
            (self.root / name).unlink(missing_ok=True)
        return manifest, table

    def bytes_needed(self, samples: Sequence[tuple[int, int]]) -> int:
        """Return an estimate of the bytes still to be written, from (samples, framed) numbers."""
        if self.whole:
            return 0
        there = sum(path.stat().st_size for path in self.root.rglob("*.*") if path.is_file())
        return max(0, estimated_bytes(self.manifest.settings, samples) - there)

    def _compare(self, path: Path) -> Manifest:
        made = Manifest.read(path)
        differs = difference(made, self.manifest)
        if differs:
            raise DatasetError(
                f"{self.root} holds a data set of other settings: {differs}; "
                "encode as before, remove it or give another output"
            )
        # Label sets that were added since stay described.
        self.manifest = replace(
            self.manifest,
            labels={**made.labels, **self.manifest.labels},
            label_settings=made.label_settings,
        )
        return made

    def _recover(self, path: Path, names: Sequence[str]) -> None:
        """Take over the samples of the recordings whose files are all there."""
        settings = self.manifest.settings
        try:
            rows = read_rows(path, windows=settings.windows)
        except DatasetError:
            return  # nothing to take over: all is counted again, tensors that exist are kept
        for name in names:
            mine = [row for row in rows if row.recording == name]
            truth = bool(self.manifest.recording(name).truth_sha256)
            if mine and all(
                path.exists()
                for row in mine
                for path in sample_files(self.root, settings, row, truth=truth)
            ):
                self._rows[name] = mine

    def _sorted_rows(self) -> list[Row]:
        return [row for entry in self.manifest.recordings for row in self._rows.get(entry.name, ())]

    def _save(self) -> None:
        write_rows(
            self.root / PARTIAL_SAMPLES,
            self._sorted_rows(),
            windows=self.manifest.settings.windows,
        )
        replace(self.manifest, finished=tuple(self._rows)).write(self.root / PARTIAL)


def sample_files(root: Path, settings: Settings, row: Row, *, truth: bool) -> list[Path]:
    """Return the files that one sample has: tensors, and its frame and labels where it has them."""
    files = [] if row.frame < 0 else [frame_file(root, sample_id=row.id)]
    if truth and row.frame >= 0:
        files.append(label_file(root, labels=TRUTH, sample_id=row.id))
    if settings.store != "none":
        files += [
            tensor_file(root, window=window, sample_id=row.id, store=settings.store)
            for window in settings.windows
        ]
    return files


def estimated_bytes(settings: Settings, samples: Sequence[tuple[int, int]]) -> int:
    """Return about how many bytes a data set takes, from (samples, framed) of each recording."""
    channels, height, width = settings.encoding.shape
    values = channels * height * width * settings.encoding.array_dtype.itemsize
    tensor = len(settings.windows) * (128 + values)
    share = {"npy": 1.0, "npz": NPZ_SHARE, "none": 0.0}[settings.store]
    frame = settings.sensor.height * settings.sensor.width
    return sum(int(count * (tensor * share + 200)) + framed * frame for count, framed in samples)
