"""Job of simulating one of many streets of the same setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from eventseg.dataset.jobs.job import Tick
from eventseg.events import SensorSize
from eventseg.recordings.ddd17.writer import PacketOrder
from eventseg.simulate.files import Summary, check_numbers, check_tolerance
from eventseg.simulate.scene.scenarios import SimulationError
from eventseg.simulate.street import DAVIS346, STEP_US, drawn_street, simulate_street

MOST_SEEDS = 1_000_000


@dataclass(frozen=True, slots=True)
class StreetSetting:
    """Settings of many streets: all parameters of :func:`simulate_street` but seed and output."""

    duration_us: int
    scenario: str = "day"
    sensor: SensorSize = DAVIS346
    rare: bool = True
    step_us: int = STEP_US
    tolerance: float | None = None
    packets: PacketOrder = "sorted"
    version: int = 2
    mounting: str = "windscreen"
    settings: Mapping[str, Any] | None = None

    def check(self, seeds: Sequence[int]) -> None:
        """Raise a SimulationError for seeds or settings of which no street can be made."""
        if not seeds or len(set(seeds)) != len(seeds) or len(seeds) > MOST_SEEDS:
            raise SimulationError(
                f"seeds must be 1 to {MOST_SEEDS:,} different numbers, such as range(100), got "
                f"{len(seeds):,}"
            )
        for seed in (min(seeds), seeds[0]):
            check_numbers(
                duration_us=self.duration_us, seed=seed, sensor=self.sensor, step_us=self.step_us
            )
            check_tolerance(self.tolerance)
            drawn_street(
                seed,
                self.scenario,
                version=self.version,
                mounting=self.mounting,
                settings=self.settings,
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as a TOML table."""
        given = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in (self.settings or {}).items()
        }
        table = {**asdict(self), "sensor": str(self.sensor), "settings": given}
        if self.tolerance is None:
            del table["tolerance"]
        return table


@dataclass(frozen=True, slots=True)
class StreetJob:
    """A street to simulate: its recording, seed, settings and threads."""

    path: Path
    seed: int
    setting: StreetSetting
    threads: int


def make_street(job: StreetJob, tick: Tick) -> Summary:
    """Simulate a street in whichever process; ticks in simulated seconds."""
    setting = job.setting
    return simulate_street(
        job.path,
        duration_us=setting.duration_us,
        seed=job.seed,
        scenario=setting.scenario,
        sensor=setting.sensor,
        threads=job.threads,
        rare=setting.rare,
        step_us=setting.step_us,
        tolerance=setting.tolerance,
        packets=setting.packets,
        version=setting.version,
        mounting=setting.mounting,
        settings=setting.settings,
        progress=lambda now: tick(now.done),
    )
