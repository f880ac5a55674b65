"""Frame files of the ESS repack: pictures that a user unpacks from ``video.mp4``."""

from __future__ import annotations

from pathlib import Path

VIDEO = "video.mp4"

PLACES = ("imgs/img_{:08d}.png", "imgs/{:010d}.png", "images_aligned/{:010d}.png")
"""Names that the published loaders try; the last are OpenESS's."""

UNPACK = "ffmpeg -i video.mp4 -start_number 1 imgs/img_%08d.png"
"""Command that unpacks the frames, to be run in the directory after ``mkdir imgs``."""


def frame_file(folder: Path, number: int) -> Path | None:
    """Return the picture of a frame, by its number from 1, or None where there is none."""
    candidates = (folder / place.format(number) for place in PLACES)
    return next((path for path in candidates if path.is_file()), None)


def has_frames(folder: Path) -> bool:
    """Return whether a directory has a folder of frames."""
    return any((folder / place).parent.is_dir() for place in PLACES)
