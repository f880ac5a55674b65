"""Summary of a finished simulation, and checks of its numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from eventseg.device import processors
from eventseg.events import SensorSize
from eventseg.files.texts import counted
from eventseg.recordings.truth import truth_path
from eventseg.simulate.recorder import Tally
from eventseg.simulate.scene.scenarios import SimulationError

SHORTEST_US = 10_000
"""Shortest recording."""

MOST_THREADS = 16
"""Most threads that simulate a recording."""


@dataclass(frozen=True)
class Summary:
    """Summary of a finished simulation.

    Parameters
    ----------
    recording, truth : Path
    duration_us : int
    n_events, n_frames : int
    on_share, noise_share : float
        Shares of the events; noise is leak, shot noise and hot pixels.
    class_share : dict
        Share of the frames' pixels by class name; classes that never show are left out.
    """

    recording: Path
    truth: Path
    duration_us: int
    n_events: int
    n_frames: int
    on_share: float
    noise_share: float
    class_share: dict[str, float]

    def lines(self) -> list[str]:
        """Return the summary as lines for people."""
        rate = self.n_events / self.duration_us
        shares = sorted(self.class_share.items(), key=lambda item: -item[1])
        return [
            f"{self.recording}: {self.duration_us / 1e6:g} s, {counted(self.n_frames, 'frame')}",
            f"{counted(self.n_events, 'event')} ({rate:.3f} M/s), {self.on_share:.1%} ON, "
            f"{self.noise_share:.1%} noise",
            "pixels: " + ", ".join(f"{name} {share:.1%}" for name, share in shares),
        ]


def summary_of(target: Path, tally: Tally, duration_us: int, classes: tuple[str, ...]) -> Summary:
    """Return the summary of a finished recording."""
    pixels = max(1, int(tally.class_pixels.sum()))
    events = max(1, tally.events)
    shares = {
        name: float(tally.class_pixels[i]) / pixels
        for i, name in enumerate(classes)
        if tally.class_pixels[i]
    }
    return Summary(
        target,
        truth_path(target),
        duration_us,
        tally.events,
        tally.frames,
        tally.on_events / events,
        tally.noise_events / events,
        shares,
    )


def check_numbers(*, duration_us: int, seed: int, sensor: SensorSize, step_us: int) -> None:
    """Raise an error for numbers that cannot be simulated."""
    if duration_us < SHORTEST_US:
        raise SimulationError(
            f"a duration of {duration_us} us is too short: give at least {SHORTEST_US} us"
        )
    check_seed(seed)
    if min(sensor) < 8 or max(sensor) > 2048:
        raise SimulationError(f"sensor {sensor} must be 8 to 2048 pixels high and wide")
    if not 50 <= step_us <= SHORTEST_US:
        raise SimulationError(f"a step of {step_us} us is out of range: 50 to {SHORTEST_US} us")


def check_seed(seed: int) -> None:
    """Raise an error for a seed that no random numbers have."""
    if seed < 0:
        raise SimulationError(f"seed {seed} is negative: give 0 or more")


def check_tolerance(tolerance: float | None) -> None:
    """Raise an error for a tolerance that cannot be used."""
    if tolerance is not None and not 0.001 <= tolerance <= 1.0:
        raise SimulationError(
            f"a tolerance of {tolerance} is out of range: 0.001 to 1, in natural log units"
        )


def thread_count(threads: int | None) -> int:
    """Return how many threads to use."""
    if threads is not None and threads < 1:
        raise SimulationError(f"{threads} threads cannot work: give 1 or more")
    return threads if threads is not None else min(MOST_THREADS, processors())
