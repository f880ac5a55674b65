"""Manifest of a data set: its settings, recordings and label sets, as frozen values and as TOML."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, get_args

import tomli_w

from eventseg.encoding.representation import MEAN_STD
from eventseg.encoding.settings import Encoding
from eventseg.errors import DatasetError, EventsegError
from eventseg.events import SensorSize
from eventseg.files.texts import composed, on_disk, read_toml
from eventseg.files.whole import write_whole
from eventseg.filters.rules import Filters, parse_filters
from eventseg.labels.maps import ClassTable
from eventseg.labels.sets import LabelSets
from eventseg.recordings.choices import NO_CHOICES, FileChoices
from eventseg.windows import MAX_FRAME_AGE_US, Anchor, format_duration, parse_anchor, parse_duration

SCHEMA = 1
"""Version of the folder's layout; a reader of another version refuses."""

Store = Literal["npy", "npz", "none"]

ANY_AGE = "any"
"""Frame age of a data set that pairs windows with frames of any age, as all once did."""

MOST_PIXELS = 2**15
"""Largest height and width of a sensor: events have 15 bits for each."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings that determine the bytes of a data set, besides the recordings.

    Parameters
    ----------
    anchor : Anchor
        Placing of the windows.
    windows_us : tuple of int
        Window lengths in us; empty for a fixed count.
    encoding : Encoding
        Meaning of the stored tensors: sensor, rows, representation, normalisation, filters.
    store : {"npy", "npz", "none"}
        File type of the tensors; with ``none`` they are encoded from the recordings on load.
    rotate180 : bool
        Whether recordings are turned by 180 degrees on reading.
    held_out : tuple of str
        Recordings held out for test, sorted.
    validation : tuple of str
        Recordings that validate, sorted, so that the others train completely; empty where the end
        of each training recording validates.
    max_frame_age_us : int or None
        Largest age of a frame at the end of a window that it does not anchor; None for any.
    choices : FileChoices
        Camera, unit of times and shift of the frames that recordings are read with.
    """

    anchor: Anchor
    windows_us: tuple[int, ...]
    encoding: Encoding
    store: Store
    rotate180: bool = False
    held_out: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    max_frame_age_us: int | None = MAX_FRAME_AGE_US
    choices: FileChoices = NO_CHOICES

    @property
    def sensor(self) -> SensorSize:
        """Size of the sensor, that of frames and labels."""
        return self.encoding.sensor

    @property
    def rows(self) -> tuple[int, int]:
        """Range of sensor rows that tensors keep."""
        return self.encoding.rows

    @property
    def filters(self) -> Filters:
        """Filters of the events, over each recording."""
        return parse_filters(self.encoding.filters)

    @property
    def windows(self) -> tuple[str, ...]:
        """Names of the windows, as they name folders and columns."""
        if self.anchor.kind == "count":
            return (f"{self.anchor.value}ev",)
        return tuple(format_duration(window_us) for window_us in self.windows_us)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as TOML holds them."""
        encoding = self.encoding.to_dict()
        return {
            "anchor": str(self.anchor),
            "windows": list(self.windows),
            "normalise": encoding["normalise"],
            "ddof": encoding["ddof"],
            "rows": encoding["rows"],
            "store": self.store,
            "sensor": encoding["sensor"],
            "rotate180": self.rotate180,
            **self.choices.to_dict(),
            "held_out": list(self.held_out),
            **({"validation": list(self.validation)} if self.validation else {}),
            # Left out at their defaults: so it was before there were others.
            **(
                {key: value for key, value in encoding.items() if key.startswith("representation")}
                if self.encoding.representation != MEAN_STD
                else {}
            ),
            **({"filters": encoding["filters"]} if encoding["filters"] else {}),
            **({"dtype": encoding["dtype"]} if "dtype" in encoding else {}),
            "frame_age": _age_text(self.max_frame_age_us),
        }

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Settings:
        """Return the settings that a TOML table holds; KeyError or ValueError where it lacks."""
        anchor = parse_anchor(table["anchor"])
        if table["store"] not in get_args(Store):
            raise ValueError(f"store {table['store']!r} is none of {', '.join(get_args(Store))}")
        parse_filters(table.get("filters", ()))
        encoding = Encoding.from_dict(table)
        sensor, (row0, row1) = encoding.sensor, encoding.rows
        if min(sensor) < 1 or max(sensor) > MOST_PIXELS or not 0 <= row0 < row1 <= sensor.height:
            raise ValueError(f"rows {row0} to {row1} of a sensor of {sensor} cannot be")
        return cls(
            anchor=anchor,
            windows_us=(
                () if anchor.kind == "count" else tuple(map(parse_duration, table["windows"]))
            ),
            encoding=encoding,
            store=table["store"],
            rotate180=bool(table["rotate180"]),
            choices=FileChoices.from_dict(table),
            held_out=tuple(table["held_out"]),
            validation=tuple(table.get("validation", ())),
            max_frame_age_us=_age_of(table.get("frame_age", ANY_AGE)),
        )


@dataclass(frozen=True, slots=True)
class RecordingEntry:
    """One recording of a data set: its path, its contents, and the report of reading it.

    ``path`` is relative to the data set where that is possible; ``report`` holds the counts of
    the reading report; ``truth_sha256`` is that of the truth file beside it, empty without one.
    ``events`` are those before any filter, ``dropped`` those that each filter drops, by its name;
    ``hot_pixels`` are numbers of pixels, row x width + column. ``gaps`` are the stretches of more
    than 100 ms between two events, as (before, after) in us; None in manifests of before they
    were kept.
    """

    name: str
    path: str
    size_bytes: int
    sha256: str
    t_first_us: int
    t_last_us: int
    events: int
    frames: int
    report: Mapping[str, Any] = field(default_factory=dict)
    truth_sha256: str = ""
    dropped: Mapping[str, int] = field(default_factory=dict)
    hot_pixels: tuple[int, ...] = ()
    gaps: tuple[tuple[int, int], ...] | None = None

    @property
    def kept(self) -> int:
        """Number of events that the filters keep."""
        return self.events - sum(self.dropped.values())

    def file_from(self, root: Path) -> Path:
        """Return the path of the recording, seen from the data set's folder."""
        return canonical(on_disk(root / self.path))

    def to_dict(self) -> dict[str, Any]:
        """Return the entry as TOML holds it."""
        return {
            "name": self.name,
            "file": os.fsencode(Path(self.path).name).decode(errors="replace"),
            # A path that is not UTF-8 cannot stand in TOML as it is.
            "path": os.fsencode(self.path).decode(errors="replace"),
            **({} if _is_utf8(self.path) else {"path_hex": os.fsencode(self.path).hex()}),
            "size_bytes": self.size_bytes,
            "sha256": self.sha256,
            **({"truth_sha256": self.truth_sha256} if self.truth_sha256 else {}),
            "t_first_us": self.t_first_us,
            "t_last_us": self.t_last_us,
            "events": self.events,
            "frames": self.frames,
            **({"dropped": dict(self.dropped)} if self.dropped else {}),
            **({"hot_pixels": list(self.hot_pixels)} if self.hot_pixels else {}),
            **({} if self.gaps is None else {"gaps": [list(gap) for gap in self.gaps]}),
            "report": _without_none(self.report),
        }

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> RecordingEntry:
        """Return the entry that a TOML table holds; KeyError or ValueError where it lacks."""
        return cls(
            name=str(table["name"]),
            path=os.fsdecode(bytes.fromhex(table["path_hex"]))
            if "path_hex" in table
            else str(table["path"]),
            size_bytes=_integer(table["size_bytes"]),
            sha256=str(table["sha256"]),
            t_first_us=_integer(table["t_first_us"]),
            t_last_us=_integer(table["t_last_us"]),
            events=_integer(table["events"]),
            frames=_integer(table["frames"]),
            report=dict(table["report"]),
            truth_sha256=str(table.get("truth_sha256", "")),
            dropped={name: _integer(count) for name, count in table.get("dropped", {}).items()},
            hot_pixels=tuple(map(_integer, table.get("hot_pixels", ()))),
            gaps=tuple(map(_gap, table["gaps"])) if "gaps" in table else None,
        )


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


def _age_of(text: str) -> int | None:
    return None if text == ANY_AGE else parse_duration(text)


def _age_text(max_frame_age_us: int | None) -> str:
    return ANY_AGE if max_frame_age_us is None else format_duration(max_frame_age_us)


def canonical(path: Path) -> Path:
    """Return an absolute path without links among its folders.

    The file itself may be a link and keeps its name, which names the recording: stores such as
    git-annex keep files under other names.
    """
    return path.parent.resolve() / path.name


def relative_to(path: Path, root: Path) -> str:
    """Return a canonical path relative to a folder, or absolute where they share no root."""
    try:
        return Path(os.path.relpath(path, root.resolve())).as_posix()
    except ValueError:  # another drive on Windows
        return path.as_posix()


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _integer(value: Any) -> int:
    """Return an integer of at most 64 bits, or raise ValueError."""
    number = int(value)
    if not -(2**63) <= number < 2**63:
        raise ValueError(f"the number {str(number)[:40]} does not fit into 64 bits")
    return number


def _gap(pair: Any) -> tuple[int, int]:
    """Return the times of the events around a gap, or raise ValueError."""
    before, after = map(_integer, pair)
    return before, after


def _word(value: object) -> str:
    if isinstance(value, dict):
        return f"{value['width']}x{value['height']}"
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)


def _without_none(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table without its empty entries, which TOML cannot hold."""
    return {
        key: _without_none(value) if isinstance(value, Mapping) else value
        for key, value in table.items()
        if value is not None
    }
