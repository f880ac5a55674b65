"""Reading report: counts of all that a reader found, skipped and repaired, with reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(frozen=True)
class ReadingReport:
    """Counts of one reading, with their reasons.

    For every kind of thing (``packets``, ``events``, ``frames``, ``imu``, ``specials``,
    ``signals``) ``kept + sum of skipped == found``.

    Parameters
    ----------
    found, kept : dict of int
        Number of things of each kind in the file, and of those handed out.
    skipped : dict of dict of int
        Number of things left out for each reason, by kind.
    repaired : dict of int
        Number of repairs of each kind.
    notes : tuple of str
        Inferred facts and their origin (sensor size, clock, cache).
    sensor_guessed : bool, default False
        The size of the sensor is stated neither by the file nor by full frames nor by the caller,
        but was guessed from the places of the events.
    """

    found: Mapping[str, int]
    kept: Mapping[str, int]
    skipped: Mapping[str, Mapping[str, int]]
    repaired: Mapping[str, int]
    notes: tuple[str, ...]
    sensor_guessed: bool = False

    def lines(self) -> list[str]:
        """Return the report as lines for people."""
        lines = []
        for kind, found in self.found.items():
            lines.append(f"{kind}: {self.kept[kind]:,} of {found:,} kept")
            lines += [
                f"  skipped {count:,}: {reason}"
                for reason, count in sorted(self.skipped.get(kind, {}).items())
            ]
        lines += [f"repaired {count:,}: {what}" for what, count in sorted(self.repaired.items())]
        lines += [f"note: {note}" for note in self.notes]
        return lines

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain dicts and lists, ready for JSON."""
        return {
            "found": dict(self.found),
            "kept": dict(self.kept),
            "skipped": {kind: dict(reasons) for kind, reasons in self.skipped.items()},
            "repaired": dict(self.repaired),
            "notes": list(self.notes),
        }


@dataclass
class Tally:
    """Counts while a file is read; :meth:`report` freezes them."""

    found: Counter[str] = field(default_factory=Counter)
    skipped: dict[str, Counter[str]] = field(default_factory=dict)
    repaired: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    sensor_guessed: bool = False

    def skip(self, kind: str, reason: str, count: int = 1) -> None:
        """Count things left out; a count of zero leaves no trace."""
        if count:
            self.skipped.setdefault(kind, Counter())[reason] += count

    def repair(self, what: str, count: int = 1) -> None:
        """Count things put right; a count of zero leaves no trace."""
        if count:
            self.repaired[what] += count

    def to_dict(self) -> dict[str, Any]:
        """Return the counts as plain dicts and lists, ready for JSON."""
        return {
            "found": dict(self.found),
            "skipped": {kind: dict(reasons) for kind, reasons in self.skipped.items()},
            "repaired": dict(self.repaired),
            "notes": list(self.notes),
            "sensor_guessed": self.sensor_guessed,
        }

    @classmethod
    def from_dict(cls, counts: Mapping[str, Any]) -> Self:
        """Return the counts that :meth:`to_dict` gave."""
        return cls(
            Counter(counts["found"]),
            {kind: Counter(reasons) for kind, reasons in counts["skipped"].items()},
            Counter(counts["repaired"]),
            list(counts["notes"]),
            bool(counts["sensor_guessed"]),
        )

    def guess_sensor(self, note: str) -> None:
        """Record that the size of the sensor was guessed from events, with a note on how."""
        self.sensor_guessed = True
        self.notes.append(note)

    def kept(self, kind: str) -> int:
        """Return how many things of a kind were found and not skipped."""
        return self.found[kind] - sum(self.skipped.get(kind, {}).values())

    def report(self) -> ReadingReport:
        """Freeze the counts."""
        counts = self.to_dict()
        return ReadingReport(
            found=counts["found"],
            kept={kind: self.kept(kind) for kind in self.found},
            skipped=counts["skipped"],
            repaired=counts["repaired"],
            notes=tuple(self.notes),
            sensor_guessed=self.sensor_guessed,
        )
