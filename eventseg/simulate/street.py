"""Simulate a drive: a recording in the DDD17 layout and the truth about it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eventseg.errors import OutputError
from eventseg.events import SensorSize
from eventseg.recordings.ddd17.layout import IMU_DTYPE, WRAP_US
from eventseg.recordings.ddd17.writer import DDD17Writer
from eventseg.recordings.truth import TruthWriter, truth_path
from eventseg.simulate.recorder import Recorder, Tally
from eventseg.simulate.scene.camera import CameraPath
from eventseg.simulate.scene.classes import CLASS_NAMES
from eventseg.simulate.scene.scenarios import Scenario, SimulationError, scenario_named
from eventseg.simulate.scene.scenes import street_scene
from eventseg.simulate.sensor.aps import frame_times
from eventseg.simulate.sensor.dvs import DvsSensor

DAVIS346 = SensorSize(260, 346)

STEP_US = 2_000
"""Time between two renders."""

SHORTEST_US = 10_000
"""Shortest recording."""

SIGNAL_US = 100_000
"""Vehicle signals come at 10 Hz."""


@dataclass(frozen=True)
class Summary:
    """What a simulation wrote.

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
            f"{self.recording}: {self.duration_us / 1e6:g} s, {self.n_frames} frames",
            f"{self.n_events} events ({rate:.3f} M/s), {self.on_share:.1%} ON, "
            f"{self.noise_share:.1%} noise",
            "pixels: " + ", ".join(f"{name} {share:.1%}" for name, share in shares),
        ]


def simulate_street(
    out: str | Path,
    *,
    duration_us: int,
    seed: int,
    scenario: str = "day",
    sensor: SensorSize = DAVIS346,
    threads: int | None = None,
    rare: bool = True,
    step_us: int = STEP_US,
    progress: Callable[[float], None] | None = None,
) -> Summary:
    """Drive through a street and write what a DAVIS would have recorded, with the truth.

    The same arguments give the same bytes, whatever ``threads``.

    Parameters
    ----------
    out : path
        The recording, in the raw DDD17 HDF5 layout; ``NAME.truth.h5`` comes to lie beside it.
    duration_us : int
        Length of the drive in microseconds, at least 10 ms.
    seed : int
        Everything follows from it: street, traffic, drive, pixels and noise.
    scenario : str
        One of :data:`eventseg.simulate.scene.scenarios.SCENARIOS`.
    sensor : SensorSize
        Height and width in pixels; the field of view stays that of a DAVIS346.
    threads : int, optional
        Threads to work in; by default one for each processor, 16 at most.
    rare : bool
        Place each of the 19 classes near the start, and again every 160 m.
    step_us : int
        Time between two renders.
    progress : callable, optional
        Called with the share done, 0 to 1.

    Raises
    ------
    SimulationError
        Unknown scenario, no duration, a negative seed or a sensor too small.
    OutputError
        The files cannot be written. Nothing half-written is left behind.
    """
    kind = scenario_named(scenario)
    check_numbers(duration_us=duration_us, seed=seed, sensor=sensor, step_us=step_us)
    film, path = street_scene(seed, scenario, sensor, rare=rare)
    t0_us = WRAP_US - duration_us // 2 if kind.wraps else kind.start_us
    recipe = {
        "kind": "street",
        "seed": seed,
        "scenario": scenario,
        "rare": rare,
        "step_us": step_us,
        "t0_us": t0_us,
        "t1_us": t0_us + duration_us,
    }
    reset_us = None if kind.reset_at is None else round(kind.reset_at * duration_us)
    workers = thread_count(threads)
    target = Path(out)
    with finished_files(target) as (recording, truth_file), ThreadPoolExecutor(workers) as pool:
        truth = TruthWriter(truth_file, sensor=sensor, classes=CLASS_NAMES, recipe=recipe)
        try:
            with DDD17Writer(recording, sensor=sensor) as writer:
                recorder = Recorder(
                    writer,
                    truth,
                    dvs=DvsSensor(sensor, kind.dvs, seed=seed),
                    aps=kind.aps,
                    seed=seed,
                    step_us=step_us,
                    t0_us=t0_us,
                    reset_us=reset_us,
                    pool=pool,
                    bands=workers,
                )

                def aside(before_us: int, after_us: int, shift_us: int) -> None:
                    _write_car(writer, path, before_us, after_us, shift_us, night=_is_dark(kind))
                    if progress is not None:
                        progress(after_us / duration_us)

                frames = [
                    times
                    for times in frame_times(kind.aps, 0, duration_us)
                    if reset_us is None or not times.t_start_us <= reset_us < times.t_end_us
                ]
                recorder.shoot(film, 0, duration_us, frames, aside=aside)
        finally:
            truth.close()
    return summary_of(target, recorder.tally, duration_us, CLASS_NAMES)


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
        target, truth_path(target), duration_us, tally.events, tally.frames,
        tally.on_events / events, tally.noise_events / events, shares,
    )  # fmt: skip


def check_numbers(*, duration_us: int, seed: int, sensor: SensorSize, step_us: int) -> None:
    """Refuse what cannot be simulated."""
    if duration_us < SHORTEST_US:
        raise SimulationError(
            f"a duration of {duration_us} us is too short: give at least {SHORTEST_US} us"
        )
    if seed < 0:
        raise SimulationError(f"seed {seed} is negative: give 0 or more")
    if min(sensor) < 8 or max(sensor) > 2048:
        raise SimulationError(f"sensor {sensor} must be 8 to 2048 pixels high and wide")
    if not 50 <= step_us <= SHORTEST_US:
        raise SimulationError(f"a step of {step_us} us is out of range: 50 to {SHORTEST_US} us")


def thread_count(threads: int | None) -> int:
    """Return how many threads to use."""
    if threads is not None and threads < 1:
        raise SimulationError(f"{threads} threads cannot work: give 1 or more")
    return threads if threads is not None else min(16, os.cpu_count() or 1)


@contextmanager
def finished_files(target: Path) -> Iterator[tuple[Path, Path]]:
    """Give temporary names for a recording and its truth; rename both once all went well."""
    truth = truth_path(target)
    if target.is_dir():
        raise OutputError(f"{target} is a folder; give the name of a file")
    partial = tuple(path.with_name(f".{path.name}.part") for path in (target, truth))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield partial[0], partial[1]
        for path, final in zip(partial, (target, truth), strict=True):
            path.replace(final)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(
            f"cannot write {target}: {error}; give a file in a folder that can be written"
        ) from error
    finally:
        for path in partial:
            # Where the folder itself cannot be, there is nothing to remove either.
            with suppress(OSError):
                path.unlink()


def _is_dark(kind: Scenario) -> bool:
    return kind.light.headlamp > 0.0


def _write_car(
    writer: DDD17Writer,
    path: CameraPath,
    before_us: int,
    after_us: int,
    shift_us: int,
    *,
    night: bool,
) -> None:
    """Write inertial samples at 1 kHz and vehicle signals at 10 Hz of ``(before, after]``."""
    samples = [
        (t + shift_us, *force, *rate, 35.0)
        for t in range(before_us // 1000 * 1000 + 1000, after_us + 1, 1000)
        for force, rate in (path.imu(t),)
    ]
    writer.add_imu(np.array(samples, IMU_DTYPE))
    for t in range(before_us // SIGNAL_US * SIGNAL_US + SIGNAL_US, after_us + 1, SIGNAL_US):
        speed = path.speed_at(t)
        pull = (path.speed_at(t + 1e4) - speed) / 1e-2
        signals = {
            "vehicle_speed": 3.6 * speed,
            "steering_wheel_angle": path.steering_deg(t),
            "engine_speed": 800.0 + 110.0 * speed,
            "accelerator_pedal_position": max(0.0, 8.0 + 12.0 * pull),
            "brake_pedal_status": float(pull < -0.7),
            "headlamp_status": float(night),
        }
        for name, value in signals.items():
            writer.add_signal(name, t + shift_us, value)
