"""Films in: a folder of pictures or a video, one size throughout."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from eventseg.errors import DatasetError, LabelError
from eventseg.images import PICTURES, list_pictures, picture_size, read_picture
from eventseg.plots.film import Picture as Picture
from eventseg.plots.film import import_av

VIDEOS = (".mp4", ".mkv", ".avi", ".mov", ".webm")


@dataclass(frozen=True, eq=False, slots=True)
class Film:
    """Pictures in order.

    Parameters
    ----------
    names : tuple of str
        Name of each picture of a folder; empty for a video.
    count : int
        Number of pictures; 0 where a video does not tell.
    fps : Fraction, optional
        Pictures a second; None for a folder.
    pictures : callable
        Reads them: uint8 (H, W, 3) RGB, one after the other.
    """

    names: tuple[str, ...]
    count: int
    fps: Fraction | None
    pictures: Callable[[], Iterator[Picture]]


def open_film(path: str | Path) -> Film:
    """Open a folder of pictures, in the order of the numbers in their names, or a video.

    Raises
    ------
    LabelError
        Neither, or pictures of mixed size.
    MissingExtraError
        A video, and PyAV is not installed.
    """
    path = Path(path)
    if path.is_dir():
        return _folder(path)
    if path.suffix.lower() in VIDEOS and path.is_file():
        return _video(path)
    raise LabelError(
        f"{path} is no film: give a folder of pictures ({', '.join(PICTURES)}) or a video "
        f"({', '.join(VIDEOS)})"
    )


def _folder(path: Path) -> Film:
    files = sorted(list_pictures(path).files, key=_by_number)
    if not files:
        raise LabelError(f"folder {path} holds no pictures ({', '.join(PICTURES)})")
    first = _size(files[0])
    for file in files:
        size = _size(file)
        if size != first:
            raise LabelError(
                f"pictures of mixed size: {files[0].name} is {first[0]}x{first[1]}, {file.name} "
                f"is {size[0]}x{size[1]}; make them one size"
            )
    names = tuple(file.stem for file in files)
    if len(set(names)) < len(names):
        names = tuple(file.name for file in files)  # such as 1.png beside 1.jpg
    return Film(names, len(files), None, lambda: map(_read, files))


def _by_number(path: Path) -> tuple[list[tuple[int, str]], str]:
    parts = re.findall(r"\d+|\D+", path.stem)
    return [(int(p), "") if p.isdecimal() else (-1, p) for p in parts], path.name


def _size(path: Path) -> tuple[int, int]:
    """Return width and height of a picture."""
    try:
        height, width = picture_size(path)
    except DatasetError as error:
        raise LabelError(f"cannot read picture {path}: {error}") from error
    return width, height


def _read(path: Path) -> Picture:
    try:
        return read_picture(path, colour=True)
    except DatasetError as error:
        raise LabelError(f"cannot read picture {path}: {error}") from error


def _video(path: Path) -> Film:
    av = import_av()
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise LabelError(f"video {path} has no pictures")
            stream = container.streams.video[0]
            count, fps = int(stream.frames), Fraction(stream.average_rate or 25)
    except av.FFmpegError as error:
        raise LabelError(f"cannot read video {path}: {error}") from error

    def pictures() -> Iterator[Picture]:
        first = None
        try:
            with av.open(str(path)) as container:
                for frame in container.decode(video=0):
                    picture: Picture = frame.to_ndarray(format="rgb24")
                    first = first or picture.shape
                    if picture.shape != first:
                        raise LabelError(
                            f"frames of mixed size in {path}: {first[1]}x{first[0]}, then "
                            f"{picture.shape[1]}x{picture.shape[0]}"
                        )
                    yield picture
        except av.FFmpegError as error:
            raise LabelError(f"cannot read video {path}: {error}") from error

    return Film((), count, fps, pictures)
