"""Paths that are given for a data set and are something else, with what to give instead."""

from __future__ import annotations

from pathlib import Path

from eventseg.dataset.layout import MANIFEST
from eventseg.recordings.formats import FORMATS

OTHER_FOLDERS = {
    "run.json": "a run folder",
    "config.toml": "a run folder with settings alone",
    "predictions.toml": "a prediction folder",
    "unfinished.toml": "a prediction folder on its way",
    "scores.json": "an evaluation",
    "audit.json": "an audit of labels",
    "compare.json": "a comparison of runs",
}
"""Files that other folders have in common."""

OF_RECORDINGS = {
    "conversion.toml": "converted recordings",
    "conversion.partial": "converted recordings, some on their way,",
    "streets.toml": "simulated streets",
    "streets.partial.toml": "simulated streets, some on their way,",
}
"""Files that folders of recordings have in common."""

SHARDS = "shards"
"""Folder of the shards of a job array, until they are merged."""

NOT_ONLY_RECORDINGS = (".csv", ".npy", ".npz", ".txt")
"""Endings of recordings that other files have as often."""


def refusal(path: Path) -> str:
    """Return the message on a path that holds no data set: what it is, and what to give."""
    if not path.exists():
        return f"there is no file or folder {path}"
    for folder in path.resolve().parents:
        if (folder / MANIFEST).is_file():
            return f"{path} is a part of the data set {folder}: give that folder"
    if path.is_file() and path.suffix.lower() in FORMATS:
        return f"{path} is a file and no data set; eventseg encode {path} makes one of a recording"
    for name, kind in OTHER_FOLDERS.items():
        if (path / name).is_file():
            return f"{path} is {kind} and no data set: give the folder that eventseg encode made"
    if (path / SHARDS).is_dir():
        return f"{path} holds shards of a job array: eventseg merge {path} completes it"
    if inside := recordings_in(path):
        recordings = path / f"*{inside[0].suffix}"
        what = next(
            (kind for name, kind in OF_RECORDINGS.items() if (path / name).exists()), "recordings"
        )
        return (
            f"{path} holds {what} and no data set: eventseg encode {recordings} --out FOLDER "
            "makes one"
        )
    if path.is_file():
        return f"{path} is a file and no data set: give the folder that eventseg encode made"
    return f"{path} is no data set: it has no {MANIFEST}, which eventseg encode writes last"


def recordings_in(path: Path) -> list[Path]:
    """Return the files in a folder whose endings are those of recordings alone, by name."""
    if not path.is_dir():
        return []
    endings = set(FORMATS).difference(NOT_ONLY_RECORDINGS)
    return sorted(
        child
        for child in path.iterdir()
        if child.suffix.lower() in endings and not child.name.endswith(".truth.h5")
    )
