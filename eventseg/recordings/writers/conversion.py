"""Result of a conversion: what was written, and what the new format has no place for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from eventseg.files.texts import counted

TRUE_MAPS = "true label maps"
"""Label maps of a truth file that stay behind, in counts of losses."""

SHOWN_REASONS = 3
"""Most reasons that a summary names; all stand in the records of the recordings."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """Result of a conversion.

    Parameters
    ----------
    path : Path
        The new file.
    format : str
        Its format in words.
    events, frames, imu, specials : int
        Numbers written.
    lost : dict of int
        Numbers within the span that the new format has no place for, by kind.
    shift_us : int
        Time of the source that is 0 in the new file; 0 where times stay.
    truth : Path, optional
        Truth file of the new recording, where that of a simulated source went with it.
    truth_left : str
        Reason for which the truth of a simulated source stays behind.
    signals : int
        Number of vehicle signals written.
    sensor_left : str
        Size of the sensor where the new format has no place for it, in the form ``WxH``.
    """

    path: Path
    format: str
    events: int
    frames: int
    imu: int
    specials: int
    lost: dict[str, int]
    shift_us: int = 0
    truth: Path | None = None
    truth_left: str = ""
    signals: int = 0
    sensor_left: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON holds it."""
        truth = None if self.truth is None else str(self.truth)
        return {**asdict(self), "path": str(self.path), "truth": truth}

    def lines(self) -> list[str]:
        """Return the result as lines for people."""
        names = ("frames", "inertial samples", "special events", "vehicle signals")
        counts = (self.frames, self.imu, self.specials, self.signals)
        rest = zip(names, counts, strict=True)
        more = "".join(f", {count:,} {name}" for name, count in rest if count)
        return [
            f"{self.path}: {counted(self.events, 'event')}{more}; {self.format}",
            *([f"  with its truth, {self.truth}"] * (self.truth is not None)),
            *self._sensor_line(),
            *loss_line(self.lost),
            *truth_lines(self.lost, [self.truth_left]),
            *self._shift_line(),
        ]

    def _shift_line(self) -> list[str]:
        """Return the line for people about times that differ from those of the source."""
        way = "less" if self.shift_us > 0 else "more"
        text = f"  times are {abs(self.shift_us):,} us {way} than in the source"
        return [text] if self.shift_us else []

    def _sensor_line(self) -> list[str]:
        """Return the line for people about the size of the sensor, which readers must be given."""
        text = (
            f"  sensor size: give --sensor {self.sensor_left} to read it, the text does not say it"
        )
        return [text] if self.sensor_left else []


def loss_line(lost: Mapping[str, int]) -> list[str]:
    """Return the line for people about what a format has no place for; none without losses."""
    text = ", ".join(f"{count:,} {kind}" for kind, count in lost.items() if kind != TRUE_MAPS)
    return [f"  lost, as the format has no place for them: {text}"] if text else []


def truth_lines(lost: Mapping[str, int], reasons: Iterable[str]) -> list[str]:
    """Return the line for people about truth that stays behind; none without a reason."""
    different = [reason for reason in dict.fromkeys(reasons) if reason]
    if not different:
        return []
    shown = different[:SHOWN_REASONS]
    if more := len(different) - len(shown):
        shown.append(f"{more:,} more reasons")
    return [f"  true labels stay behind ({lost.get(TRUE_MAPS, 0):,} maps): {'; '.join(shown)}"]
