"""Entry of a recording in the manifest of a data set: where it is, what is in it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eventseg.files.paths import canonical, on_disk


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


def _without_none(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table without its empty entries, which TOML cannot hold."""
    return {
        key: _without_none(value) if isinstance(value, Mapping) else value
        for key, value in table.items()
        if value is not None
    }
