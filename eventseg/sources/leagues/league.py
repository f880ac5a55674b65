"""A league as a source of samples: events encoded live, masks, and frames in the view of events."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventseg.augmentation.event_changes import UNCHANGED
from eventseg.dataset.labelled import imported_ids, is_imported
from eventseg.dataset.layout import LIMITS, confidence_file, label_file
from eventseg.dataset.truth import TRUTH
from eventseg.encoding.settings import Encoding, Normalisation, Tensor
from eventseg.errors import DatasetError, LabelError, TrainingError
from eventseg.events import SensorSize
from eventseg.files.digests import table_digest
from eventseg.files.paths import composed
from eventseg.files.texts import counted
from eventseg.images import read_image
from eventseg.labels.files import read_labels
from eventseg.labels.maps import ClassTable, Labels
from eventseg.labels.sets import read_label_sets
from eventseg.sources.leagues.drives import Drive, covered_by
from eventseg.sources.leagues.listing import LeagueSample
from eventseg.sources.leagues.masks import read_mask
from eventseg.sources.leagues.settings import LeagueSettings
from eventseg.sources.live import ChangeWindow, DrawChange, LiveWindow
from eventseg.windows import parse_duration

Picture = NDArray[np.uint8]

ReadFrame = Callable[[LeagueSample, bool], Picture]
"""Reads the frame of a sample at the size of the sensor, in colour or gray."""


@dataclass(frozen=True, eq=False, slots=True)
class League:
    """Samples of a league; masks and frames are those of the download.

    Parameters
    ----------
    settings : LeagueSettings
    samples : tuple of LeagueSample
    drives : mapping of str to Drive
    files : mapping of str to tuple of Path
        Files of events, times and geometry of each sequence.
    ids, sequences, splits, published_splits : tuple of str
        Of each sample.
    t_us : int64 (N,)
        Time of each label on the clock of its sequence.
    encoding : Encoding
        Raw tensors of the rows that masks have.
    tables : mapping of str to ClassTable
        Classes of each set of masks, that of ``truth`` first.
    read_frame : callable
    left_out : mapping of str to int
        Entries that are no samples, by reason.
    remarks : tuple of str
        Differences of the download from the publication.
    label_set : str
        ``truth`` or another set of masks, or a set that a teacher made or that was imported.
    made_classes : ClassTable, optional
        Classes of a set that is not of masks.
    imported : frozenset of str, optional
        Ids of the samples with labels in an imported set, in composed form; None of other sets.
    """

    settings: LeagueSettings
    samples: tuple[LeagueSample, ...]
    drives: Mapping[str, Drive]
    files: Mapping[str, tuple[Path, ...]]
    ids: tuple[str, ...]
    sequences: tuple[str, ...]
    splits: tuple[str, ...]
    published_splits: tuple[str, ...]
    t_us: NDArray[np.int64]
    encoding: Encoding
    tables: Mapping[str, ClassTable]
    read_frame: ReadFrame
    left_out: Mapping[str, int]
    remarks: tuple[str, ...] = ()
    label_set: str = TRUTH
    made_classes: ClassTable | None = None
    imported: frozenset[str] | None = None

    def __repr__(self) -> str:
        return (
            f"League({str(self.path)!r}, {self.settings.league}, "
            f"{counted(len(self.ids), 'sample')} of "
            f"{self.size}, {counted(len(self.classes), 'class')})"
        )

    @property
    def path(self) -> Path:
        """Folder or TOML file that was opened."""
        return self.settings.path

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Whether each sample has labels, (N,); only an imported set may lack some."""
        return np.array([self.has_labels(i) for i in range(len(self.ids))], np.bool_)

    def has_labels(self, i: int) -> bool:
        """Return whether a sample, which is a mask, has labels of the set."""
        return self.imported is None or composed(self.ids[i]) in self.imported

    @property
    def size(self) -> SensorSize:
        """Size of masks and tensors."""
        return SensorSize(*self.encoding.shape[1:])

    @property
    def classes(self) -> ClassTable:
        """Classes of the label set."""
        return self.made_classes or self.tables[self.label_set]

    @property
    def label_sets(self) -> tuple[str, ...]:
        """Names of the sets of masks, and of those that were made."""
        return (*self.tables, *read_label_sets(self.settings.label_sets).tables)

    @property
    def digests(self) -> dict[str, str]:
        """Digests of the reading, of the list of files with their sizes, and of the label set."""
        root, listed = self.settings.root, hashlib.sha256()
        place = [*self.tables].index(self.label_set) if self.label_set in self.tables else 0
        files = [path for paths in self.files.values() for path in paths]
        for path in (*files, *(sample.masks[place] for sample in self.samples)):
            # Raw recordings may lie in another folder.
            name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
            listed.update(f"{name} {path.stat().st_size}\n".encode())
        found = {
            "files": listed.hexdigest(),
            "settings": table_digest(self.settings.reading()),
        }
        if self.label_set not in self.tables:
            sets = read_label_sets(self.settings.label_sets)
            made = {"classes": self.classes.names, **sets.settings.get(self.label_set, {})}
            made.pop(LIMITS, None)
            found[f"labels {self.label_set}"] = table_digest(made)
        return found

    def notes(self) -> list[str]:
        """Return the reading of the league, and how the download differs from the publication."""
        reading = ", ".join(
            f"{name} {' '.join(value) if isinstance(value, list) else value}"
            for name, value in self.settings.reading().items()
            if value and name != "league"
        )
        counts = [f"{number:,} {reason}" for reason, number in self.left_out.items()]
        left_out = [f"left out: {'; '.join(counts)}"] if counts else []
        return [f"read as {self.settings.league}: {reading}", *self.remarks, *left_out]

    def with_labels(self, name: str) -> League:
        """Return the same samples with the labels of another set.

        Raises
        ------
        TrainingError
            There is no such set.
        """
        if name in self.tables:
            return replace(self, label_set=name, made_classes=None, imported=None)
        root = self.settings.label_sets
        sets = read_label_sets(root)
        if name not in sets.tables:
            raise TrainingError(
                f"{self.path} has no label set {name!r}; it has {', '.join(self.label_sets)}"
            )
        imported = is_imported(sets.settings.get(name, {}))
        return replace(
            self,
            label_set=name,
            made_classes=sets.tables[name],
            imported=frozenset(imported_ids(root, name)) if imported else None,
        )

    @property
    def has_frames(self) -> bool:
        """Whether every sample has a frame."""
        return all(sample.frame is not None for sample in self.samples)

    def picture(self, i: int, *, colour: bool) -> Picture:
        """Return the frame of a sample at the size of the sensor, uint8 (H, W) or (H, W, 3).

        Raises
        ------
        TrainingError
            There are no frames.
        DatasetError
            The file is damaged or of another size.
        """
        if self.samples[i].frame is None:
            raise TrainingError(
                f"{self.path} has no frame of {self.ids[i]}: use events, or give it frames; "
                "docs/leagues.md says where they lie"
            )
        picture = self.read_frame(self.samples[i], colour)
        if picture.shape[:2] != tuple(self.encoding.sensor):
            raise DatasetError(
                f"{self.samples[i].frame} is {picture.shape[1]}x{picture.shape[0]}; frames of this "
                f"league are {self.encoding.sensor}"
            )
        return picture

    def stores(self, window: str) -> bool:  # noqa: ARG002
        """Return False: all tensors are encoded live."""
        return False

    def covered(self, window: str) -> NDArray[np.float64]:
        """Return the share of each sample's window that the events of its sequence cover, (N,)."""
        window_us, names = parse_duration(window), np.array(self.sequences, dtype=object)
        share = np.zeros(len(self.ids))
        for name in dict.fromkeys(self.sequences):
            part = names == name
            share[part] = covered_by(self.drives[name], self.t_us[part], window_us)
        return share

    def labels(self, i: int) -> Labels:
        """Return labels, uint8 (H, W), 255 ignored."""
        if self.label_set in self.tables:
            path = self.samples[i].masks[[*self.tables].index(self.label_set)]
            return read_mask(path, size=self.size, classes=self.classes)
        path = label_file(self.settings.label_sets, labels=self.label_set, sample_id=self.ids[i])
        try:
            return self._crop(read_labels(path, colours=self.classes), path)
        except LabelError as error:
            raise DatasetError(str(error)) from error

    def confidence(self, i: int) -> NDArray[np.uint8] | None:
        """Return the confidence of a sample's labels, uint8 (H, W); None of the masks."""
        root = self.settings.label_sets
        if self.label_set in self.tables or not (root / "confidence" / self.label_set).is_dir():
            return None
        path = confidence_file(root, labels=self.label_set, sample_id=self.ids[i])
        return self._crop(read_image(path), path)

    def instances(self, _i: int) -> None:
        """Return None: masks do not separate things."""

    def image(self, i: int, *, colour: bool) -> Tensor:
        """Return the frame in the rows of the masks, float32 (1 or 3, H, W), from 0 to 1."""
        picture = self.picture(i, colour=colour)[slice(*self.encoding.rows)]
        scaled: Tensor = picture.astype(np.float32) / np.float32(255)
        return np.ascontiguousarray(scaled.transpose(2, 0, 1)) if colour else scaled[None]

    def events(
        self,
        i: int,
        window: str,
        *,
        normalise: Normalisation,
        live: bool = False,  # noqa: ARG002
        change_window: ChangeWindow | None = None,
        draw_change: DrawChange | None = None,
    ) -> Tensor:
        """Return the tensor of a window, float32 (C, H, W), always encoded live."""
        return self.live_window(
            i, window, normalise=normalise, change_window=change_window, draw_change=draw_change
        ).tensor()

    def live_window(
        self,
        i: int,
        window: str,
        *,
        normalise: Normalisation,
        change_window: ChangeWindow | None = None,
        draw_change: DrawChange | None = None,
    ) -> LiveWindow:
        """Return the events of the window that ends at a label.

        Raises
        ------
        RecordingError
            The files of events are damaged.
        """
        sample, window_us = self.samples[i], parse_duration(window)
        drive = self.drives[sample.sequence]
        if change_window is None:
            events = drive.window(sample.place, sample.t_us, window_us)
        else:
            events = drive.between(*change_window((sample.t_us - window_us, sample.t_us)))
        change = draw_change(len(events)) if draw_change else UNCHANGED
        return LiveWindow(events, self.encoding.normalised(normalise), change)

    def open_recordings(self, indices: Sequence[int] | NDArray[np.int64]) -> None:
        """Open nothing: each process opens the files of events by itself, which takes no time."""

    def close(self) -> None:
        """Close the files of events."""
        for drive in self.drives.values():
            drive.close()

    def _crop(self, whole: NDArray[np.uint8], path: Path) -> NDArray[np.uint8]:
        if whole.shape != tuple(self.encoding.sensor):
            raise DatasetError(
                f"{path} is {whole.shape[1]}x{whole.shape[0]}; label sets of this league are "
                f"{self.encoding.sensor}: label again"
            )
        return whole[slice(*self.encoding.rows)]
