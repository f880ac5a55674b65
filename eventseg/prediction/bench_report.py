"""Result of timing a network on one machine, as values and as a table."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from eventseg.prediction.fast import FastSetting
from eventseg.prediction.stopwatch import STEPS


@dataclass(frozen=True, slots=True)
class SettingTimes:
    """Times of one setting.

    Parameters
    ----------
    setting : FastSetting
    times_ms : dict
        Of each step, ``together`` and ``batch``: p50, p95, p99.
    batch : int
        Inputs of the batch whose throughput is measured.
    rate_hz, batch_rate_hz : float
        Inputs a second one by one, all steps together; and of the network alone in batches.
    changed : float
        Share of the labels that differ from plain float32.
    error : str
        Why it could not be measured; empty where it was.
    """

    setting: FastSetting
    times_ms: dict[str, dict[str, float]] = field(default_factory=dict)
    batch: int = 1
    rate_hz: float = 0.0
    batch_rate_hz: float = 0.0
    changed: float = 0.0
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {**asdict(self), "setting": asdict(self.setting)}


@dataclass(frozen=True, slots=True)
class BenchReport:
    """Measurement of a network on one machine.

    Parameters
    ----------
    network, machine, input, date : str
    load : float
        Processes that were busy when it began, a mean over a minute.
    rows : tuple of SettingTimes
        The first is plain float32.
    most_changed : float
        Largest share of changed labels of a setting that is recommended.
    recommended : FastSetting
    file : Path, optional
        File that holds it.
    unsaved : str
        Why it could not be stored; empty where it was, or was not asked to be.
    """

    network: str
    machine: str
    input: str
    date: str
    load: float
    rows: tuple[SettingTimes, ...]
    most_changed: float
    recommended: FastSetting
    file: Path | None = None
    unsaved: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "network": self.network,
            "machine": self.machine,
            "input": self.input,
            "date": self.date,
            "load": self.load,
            "most_changed": self.most_changed,
            "recommended": asdict(self.recommended),
            "rows": [row.to_dict() for row in self.rows],
        }

    def lines(self) -> list[str]:
        """Return the table in words."""
        head = ("setting", *(f"{s}, ms" for s in STEPS), "all p50", "p95", "p99", "a second",
                f"x{max(row.batch for row in self.rows)} a second", "changed")  # fmt: skip
        table = [head]
        for row in self.rows:
            name = f"{'* ' if row.setting == self.recommended else '  '}{row.setting}"
            if row.error:
                table.append((name, *("-" for _ in STEPS), *("-" * 6), row.error)[: len(head)])
                table[-1] = (*table[-1][:-1], row.error)
                continue
            together = row.times_ms["together"]
            table.append(
                (
                    name,
                    *(f"{row.times_ms[step]['p50']:.2f}" for step in STEPS),
                    *(f"{together[q]:.1f}" for q in ("p50", "p95", "p99")),
                    f"{row.rate_hz:.1f}",
                    f"{row.batch_rate_hz:.1f}",
                    f"{row.changed:.3%}",
                )
            )
        widths = [max(len(line[i]) for line in table) for i in range(len(head))]
        return [
            f"{self.network} on {self.input}",
            f"{self.machine}; load {self.load:.1f} when it began",
            *(
                "  ".join(
                    cell.rjust(width) if i else cell.ljust(width)
                    for i, (cell, width) in enumerate(zip(line, widths, strict=True))
                ).rstrip()
                for line in table
            ),
            f"* fastest with at most {self.most_changed:.2%} of the labels changed; predict and "
            "stream take it with --fast",
        ]
