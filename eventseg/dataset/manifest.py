"""Manifest of a data set: its settings, recordings and label sets, as one TOML file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import tomli_w

from eventseg.dataset.recording_entry import RecordingEntry
from eventseg.dataset.settings import Settings
from eventseg.encoding.representation import MEAN_STD
from eventseg.errors import DatasetError, EventsegError
from eventseg.files.paths import composed
from eventseg.files.texts import read_toml
from eventseg.files.whole import write_whole
from eventseg.labels.maps import ClassTable
from eventseg.labels.sets import LabelSets

SCHEMA = 1
"""Version of the folder's layout; a reader of another version refuses."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """Settings and recordings of a data set, and the classes of each of its label sets.

    ``finished`` names the recordings that a stopped run has done; ``label_settings`` holds how a
    label set was made, for those that a teacher made.
    """

    settings: Settings
    recordings: tuple[RecordingEntry, ...]
    version: str = field(default_factory=lambda: metadata.version("eventseg"))
    finished: tuple[str, ...] = ()
    labels: Mapping[str, ClassTable] = field(default_factory=dict)
    label_settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def recording(self, name: str) -> RecordingEntry:
        """Return the entry of one recording."""
        for entry in self.recordings:
            if composed(entry.name) == composed(name):
                return entry
        raise DatasetError(f"recording {name!r} is not in the manifest")

    def write(self, path: Path) -> None:
        """Write the manifest; it lists finished recordings only for a stopped run."""
        units = self.settings.encoding.units
        table = {
            "schema": SCHEMA,
            "tool": "eventseg",
            "version": self.version,
            **({"finished": list(self.finished)} if self.finished else {}),
            **self.settings.to_dict(),
            "channels": [{"name": name, "unit": unit} for name, unit in units.items()],
            **({"labels": self.label_sets.to_dict()} if self.labels else {}),
            "recordings": [
                {**entry.to_dict(), "sensor": self.settings.to_dict()["sensor"]}
                for entry in self.recordings
            ],
        }
        content = tomli_w.dumps(table).encode(errors="replace")
        write_whole(path, lambda file: file.write(content))

    @property
    def label_sets(self) -> LabelSets:
        """The label sets and how they were made."""
        return LabelSets(self.labels, self.label_settings)

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read a manifest.

        Raises
        ------
        DatasetError
            The file cannot be read, is no manifest, or is of another schema version.
        """
        try:
            table = read_toml(path)
        except (OSError, ValueError, RecursionError) as error:
            raise DatasetError(f"cannot read {path}: {error}") from error
        if table.get("schema") != SCHEMA:
            raise DatasetError(
                f"{path} has schema {table.get('schema')!r}, this version reads {SCHEMA}; "
                "encode again or use the version of eventseg that made it"
            )
        try:
            sets = LabelSets.from_dict(table.get("labels", {}))
            return cls(
                settings=Settings.from_dict(table),
                recordings=tuple(map(RecordingEntry.from_dict, table["recordings"])),
                version=str(table["version"]),
                finished=tuple(table.get("finished", ())),
                labels=sets.tables,
                label_settings=sets.settings,
            )
        except KeyError as error:
            raise DatasetError(f"{path} lacks {error}") from error
        except (AttributeError, OverflowError, TypeError, ValueError, EventsegError) as error:
            raise DatasetError(f"{path} is no manifest: {error}") from error


def difference(made: Manifest, asked: Manifest) -> str | None:
    """Return the first setting or recording in which two manifests differ, in words, or None."""
    default: dict[str, Any] = {
        "representation": str(MEAN_STD),
        "representation_sha256": "",
        "filters": [],
        "validation": [],
        "dtype": "float32",
        "camera": "none",
        "time_unit": "none",
        "shift_frames": "none",
    }
    before, now = (default | manifest.settings.to_dict() for manifest in (made, asked))
    if asked.settings.anchor.kind in ("frame", "centre"):  # has its frame, whatever its age
        del before["frame_age"], now["frame_age"]
    for name in dict.fromkeys([*before, *now]):
        if before[name] != now[name]:
            return f"{name} was {_word(before[name])}, now {_word(now[name])}"
    names, asked_names = ({entry.name for entry in m.recordings} for m in (made, asked))
    if names != asked_names:
        return f"recordings were {', '.join(sorted(names))}, now {', '.join(sorted(asked_names))}"
    for entry in asked.recordings:
        old = made.recording(entry.name)
        if (old.size_bytes, old.sha256) != (entry.size_bytes, entry.sha256):
            return f"recording {entry.name} has changed since ({entry.path})"
        if old.truth_sha256 != entry.truth_sha256:
            return f"the truth beside recording {entry.name} has changed since ({entry.path})"
    return None


def _word(value: object) -> str:
    if isinstance(value, dict):
        return f"{value['width']}x{value['height']}"
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)
