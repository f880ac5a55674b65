"""Pictures to label: the frames of a data set, or the pictures of a folder of labelled ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventseg.dataset.layout import MANIFEST
from eventseg.dataset.manifest import Manifest
from eventseg.dataset.opening import open_dataset
from eventseg.dataset.reader import EventDataset
from eventseg.errors import DatasetError, OutputError
from eventseg.events import SensorSize
from eventseg.files.locks import locked
from eventseg.images import read_picture
from eventseg.labels.sets import FOLDER, LabelSets, read_label_sets, write_label_sets
from eventseg.sources.image_folders import Folder
from eventseg.sources.layouts import open_layout
from eventseg.sources.leagues.league import League

Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture to label and the samples that have it.

    Parameters
    ----------
    key : str
        Id of the first of its samples.
    samples : tuple of int
        Indices of its samples.
    recording : str
    t_us : int, optional
        Time of the first of its samples; None for a picture whose time is not known.
    """

    key: str
    samples: tuple[int, ...]
    recording: str
    t_us: int | None


@dataclass(frozen=True, eq=False, slots=True)
class LabelTarget:
    """Pictures to label, and the folder that their label sets lie in.

    Parameters
    ----------
    path : Path
        The data set or the folder of pictures.
    root : Path
        Folder of ``labels/SET`` and ``confidence/SET``.
    size : SensorSize
        Size of the pictures.
    ids : tuple of str
        Ids of the samples.
    frames : tuple of Frame
        The pictures, by recording and time, each once.
    picture : callable
        Gives the picture of a sample: uint8 (H, W), or (H, W, 3) RGB.
    read_sets, write_sets : callable
        Read and write the list of label sets.
    """

    path: Path
    root: Path
    size: SensorSize
    ids: tuple[str, ...]
    frames: tuple[Frame, ...]
    picture: Callable[[int], Image]
    read_sets: Callable[[], LabelSets]
    write_sets: Callable[[LabelSets], None]


@contextmanager
def open_target(path: str | Path, *, shared: bool = False) -> Iterator[LabelTarget]:
    """Open pictures to label, for one process at a time or for those that share it.

    Parameters
    ----------
    path : path
        A data set, a folder of labelled pictures in the layout of CamVid, Cityscapes or
        EV-SegNet's released files, or a league with frames. The sets of the latter two lie in
        ``label_sets/`` within it.
    shared : bool
        Let other processes that share it write too.

    Raises
    ------
    DatasetError
        Neither, or one without pictures.
    OutputError
        The folder cannot be written, or another process writes into it.
    """
    with open_pictures(path) as target, locked(target.root, doing="writing", shared=shared):
        yield target


@contextmanager
def open_pictures(path: str | Path) -> Iterator[LabelTarget]:
    """Open pictures to label without a lock, for a process whose parent holds it.

    Parameters and errors as of :func:`open_target`.
    """
    folder = open_layout(Path(path))
    if folder is not None:
        yield _of_league(folder) if isinstance(folder, League) else _of_folder(folder)
    else:
        with open_dataset(path) as dataset:
            yield _of_dataset(dataset)


def frames_of(dataset: EventDataset) -> list[Frame]:
    """Return the frames of a data set by recording and time, each once."""
    table = dataset.samples
    found: dict[tuple[str, int], list[int]] = {}
    for i, frame in enumerate(table.frame.tolist()):
        if frame >= 0:
            found.setdefault((table.recording[i], frame), []).append(i)
    return [
        Frame(table.ids[indices[0]], tuple(indices), recording, int(table.t_us[indices[0]]))
        for (recording, _), indices in sorted(found.items())
    ]


def _of_dataset(dataset: EventDataset) -> LabelTarget:
    size, frames = dataset.manifest.settings.sensor, frames_of(dataset)
    manifest = dataset.path / MANIFEST
    if not frames:
        raise DatasetError(f"{dataset.path} has no frames to label")
    keys = {frame.samples[0]: frame.key for frame in frames}

    def picture(i: int) -> Image:
        image = dataset.frame(i)
        if image.shape != tuple(size):
            raise DatasetError(
                f"frame {keys[i]} is {image.shape[1]}x{image.shape[0]}, the sensor is {size}: "
                "frames of one data set must be of one size; encode again"
            )
        return image

    def write_sets(sets: LabelSets) -> None:
        made = Manifest.read(manifest)
        replace(made, labels=sets.tables, label_settings=sets.settings).write(manifest)

    return LabelTarget(
        dataset.path,
        dataset.path,
        size,
        tuple(dataset.ids),
        tuple(frames),
        picture,
        lambda: Manifest.read(manifest).label_sets,
        write_sets,
    )


def _of_folder(folder: Folder) -> LabelTarget:
    root, items = folder.path / FOLDER, folder.items
    if any(item.image is None for item in items):
        raise DatasetError(f"{folder.path} holds no pictures to label")
    frames = (Frame(item.id, (i,), item.sequence, None) for i, item in enumerate(items))

    def picture(i: int) -> Image:
        path = items[i].image
        assert path is not None
        image = read_picture(path, colour=True)
        if image.shape[:2] != tuple(folder.size):
            raise DatasetError(
                f"{path} is {image.shape[1]}x{image.shape[0]}, the others of {folder.path} are "
                f"{folder.size}; pictures of one folder must be of one size"
            )
        return image

    _make_root(root, cure="copy the pictures to a disk that can be written")
    return LabelTarget(
        folder.path,
        root,
        folder.size,
        folder.ids,
        tuple(sorted(frames, key=lambda frame: (frame.recording, frame.key))),
        picture,
        lambda: read_label_sets(root),
        lambda sets: write_label_sets(root, sets),
    )


def _of_league(league: League) -> LabelTarget:
    root, names = league.settings.label_sets, zip(league.ids, league.sequences, strict=True)
    if not league.has_frames:
        raise DatasetError(
            f"{league.path} has samples without a frame, which a teacher sees; "
            "docs/leagues.md says where frames lie"
        )
    times = league.t_us.tolist()
    frames = (Frame(name, (i,), drive, times[i]) for i, (name, drive) in enumerate(names))
    _make_root(root, cure="name a folder that can be written in a league file, label_sets = ...")
    return LabelTarget(
        league.path,
        root,
        league.encoding.sensor,
        league.ids,
        tuple(sorted(frames, key=lambda frame: (frame.recording, frame.t_us))),
        lambda i: league.picture(i, colour=True),
        lambda: read_label_sets(root),
        lambda sets: write_label_sets(root, sets),
    )


def _make_root(root: Path, *, cure: str) -> None:
    """Make the folder of the label sets of pictures or a league."""
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make {root} for label sets: {error.strerror or error}; {cure}"
        ) from error
