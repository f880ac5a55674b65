"""Summary of an encoding: its data sets, as lines for people and as JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eventseg.dataset.manifest import Manifest
from eventseg.dataset.recording_entry import RecordingEntry
from eventseg.dataset.table import SampleTable
from eventseg.files.texts import counted


@dataclass(frozen=True, eq=False, slots=True)
class DatasetSummary:
    """Summary of a complete data set; ``already`` is true where it was complete before."""

    path: Path
    manifest: Manifest
    samples: SampleTable
    already: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as JSON holds it."""
        return {
            "data": str(self.path),
            "already": self.already,
            "samples": len(self.samples),
            "splits": dict(sorted(Counter(self.samples.split).items())),
            "shape": list(self.manifest.settings.encoding.shape),
            "settings": self.manifest.settings.to_dict(),
            "labels": {name: len(table) for name, table in self.manifest.labels.items()},
            "recordings": {
                entry.name: {
                    "events": entry.events,
                    "frames": entry.frames,
                    "dropped": dict(entry.dropped),
                }
                for entry in self.manifest.recordings
            },
        }

    def lines(self) -> list[str]:
        """Return the summary as lines of text."""
        settings = self.manifest.settings
        row0, row1 = settings.rows
        split = ", ".join(f"{n} {name}" for name, n in sorted(Counter(self.samples.split).items()))
        state = "already whole, left alone" if self.already else "done"
        return [
            f"{self.path}: {state}",
            f"  {counted(len(self.samples), 'sample')} ({split or 'no split'}), "
            f"anchor {settings.anchor}, windows {', '.join(settings.windows)}",
            f"  tensors {' x '.join(map(str, settings.encoding.shape))} "
            f"{settings.encoding.normalise} {settings.encoding.array_dtype}, "
            f"rows {row0}-{row1 - 1} of {settings.sensor}, store {settings.store}",
            *(
                f"  labels {name}, {len(table)} classes"
                for name, table in self.manifest.labels.items()
            ),
            *(
                f"  {entry.name}: {counted(entry.events, 'event')} in "
                f"{(entry.t_last_us - entry.t_first_us) / 1e6:.3f} s, "
                f"{counted(entry.frames, 'frame')}{dropped_words(entry)}"
                for entry in self.manifest.recordings
            ),
        ]


def dropped_words(entry: RecordingEntry) -> str:
    """Return the number of events that each filter dropped, as text; empty without filters."""
    if not entry.dropped:
        return ""
    share = sum(entry.dropped.values()) / max(1, entry.events)
    pixels = f" of {len(entry.hot_pixels):,} pixels" if "hot" in entry.dropped else ""
    each = ", ".join(
        f"{count:,} {name}{pixels if name == 'hot' else ''}"
        for name, count in entry.dropped.items()
    )
    return f"; dropped {each} ({share:.1%} of all events)"


@dataclass(frozen=True, slots=True)
class Summary:
    """Summaries of the data sets of one run, and the notes of reading each recording."""

    datasets: tuple[DatasetSummary, ...]
    notes: dict[str, tuple[str, ...]]
