"""Simulate a drive: a recording in the DDD17 layout and the truth about it."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from eventseg.events import SensorSize
from eventseg.recordings.contents import IMU_DTYPE
from eventseg.recordings.ddd17.layout import WRAP_US
from eventseg.recordings.ddd17.writer import DDD17Writer, PacketOrder
from eventseg.recordings.progress import Progress, Report, no_report
from eventseg.recordings.truth import TruthWriter
from eventseg.recordings.truth_pair import finished_pair
from eventseg.simulate.files import (
    Summary,
    check_numbers,
    check_tolerance,
    summary_of,
    thread_count,
)
from eventseg.simulate.recorder import Recorder
from eventseg.simulate.scene.camera import CameraPath
from eventseg.simulate.scene.classes import CLASS_NAMES
from eventseg.simulate.scene.scenarios import Scenario, SimulationError, scenario_named
from eventseg.simulate.scene.scenes import street_scene
from eventseg.simulate.scene.settings import (
    StreetSettings,
    aps_of,
    check_version,
    draw_settings,
    dvs_of,
    scenario_of,
    settings_table,
)
from eventseg.simulate.sensor.aps import frame_times
from eventseg.simulate.sensor.dvs import DvsSensor

DAVIS346 = SensorSize(260, 346)

STEP_US = 2_000
"""Time between two renders."""


SIGNAL_US = 100_000
"""Vehicle signals come at 10 Hz."""


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
    tolerance: float | None = None,
    packets: PacketOrder = "sorted",
    version: int = 2,
    mounting: str = "windscreen",
    settings: Mapping[str, Any] | None = None,
    progress: Report = no_report,
) -> Summary:
    """Drive through a street and write the recording of a DAVIS, with its truth file.

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
        One of :data:`eventseg.simulate.scene.scenarios.SCENARIOS`, or ``random``: one of them,
        drawn from the seed.
    sensor : SensorSize
        Height and width in pixels; the field of view stays that of a DAVIS346.
    threads : int, optional
        Threads to work in; by default one for each processor, 16 at most.
    rare : bool
        Place each of the 19 classes near the start, and again every 160 m.
    step_us : int
        Time between two renders; with a tolerance, the shortest.
    tolerance : float, optional
        Render each tile of 8x16 pixels only as often as its brightness bends: at most so far, in
        natural log units, from the straight line between two renders. By default everything is
        rendered at every step.
    packets : {"sorted", "containers"}
        Order of the packets in the file, see :class:`eventseg.recordings.DDD17Writer`.
    version : {1, 2}
        2: sensor, camera and look are drawn from the seed, so that drives differ as real ones do.
        1: the street of the first releases, one camera and texture everywhere.
    mounting : {"windscreen", "roof"}
        Where the camera of version 2 sits; its height, pitch and lens are drawn.
    settings : mapping, optional
        Values of :class:`eventseg.simulate.scene.settings.StreetSettings` that are not to be drawn,
        such as ``{"threshold_on": 0.3, "vibration_deg": 0.0}``; version 2 only.
    progress : callable
        Called with the simulated seconds, many times a second.

    Raises
    ------
    SimulationError
        Unknown scenario, version, mounting or setting, no duration, a negative seed, a sensor
        too small, or a step or tolerance out of range.
    OutputError
        The files cannot be written. Nothing half-written is left behind.

    Examples
    --------
    >>> summary = simulate_street(
    ...     "short.hdf5", duration_us=40_000, seed=1, sensor=SensorSize(48, 64), threads=1
    ... )
    >>> open_recording("short.hdf5").n_events > 0
    True
    """
    check_numbers(duration_us=duration_us, seed=seed, sensor=sensor, step_us=step_us)
    check_tolerance(tolerance)
    scenario, chosen = drawn_street(
        seed, scenario, version=version, mounting=mounting, settings=settings
    )
    kind = scenario_named(scenario)
    dvs, aps = kind.dvs, kind.aps
    if chosen is not None:
        dvs, aps = dvs_of(chosen, kind), aps_of(chosen, kind)
    film, path = street_scene(seed, scenario, sensor, rare=rare, settings=chosen)
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
    if tolerance is not None:
        recipe["tolerance"] = tolerance
    if chosen is not None:
        recipe |= {"version": version, "mounting": mounting, "settings": settings_table(chosen)}
    reset_us = None if kind.reset_at is None else round(kind.reset_at * duration_us)
    workers = thread_count(threads)
    target = Path(out)
    with finished_pair(target) as (recording, truth_file), ThreadPoolExecutor(workers) as pool:
        truth = TruthWriter(truth_file, sensor=sensor, classes=CLASS_NAMES, recipe=recipe)
        try:
            with DDD17Writer(recording, sensor=sensor, packets=packets) as writer:
                recorder = Recorder(
                    writer,
                    truth,
                    dvs=DvsSensor(sensor, dvs, seed=seed),
                    aps=aps,
                    seed=seed,
                    step_us=step_us,
                    t0_us=t0_us,
                    reset_us=reset_us,
                    pool=pool,
                    bands=workers,
                    tolerance=tolerance,
                )

                def aside(before_us: int, after_us: int, shift_us: int) -> None:
                    _write_car(writer, path, before_us, after_us, shift_us, night=_is_dark(kind))
                    progress(Progress("simulate", after_us / 1e6, duration_us / 1e6, "s"))

                frames = [
                    times
                    for times in frame_times(aps, 0, duration_us)
                    if reset_us is None or not times.t_start_us <= reset_us < times.t_end_us
                ]
                recorder.shoot(film, 0, duration_us, frames, aside=aside)
        finally:
            truth.close()
    return summary_of(target, recorder.tally, duration_us, CLASS_NAMES)


def drawn_street(
    seed: int,
    scenario: str,
    *,
    version: int,
    mounting: str,
    settings: Mapping[str, Any] | None,
) -> tuple[str, StreetSettings | None]:
    """Return the scenario of a street and its settings, None of version 1.

    Parameters and errors as of :func:`simulate_street`.
    """
    check_version(version)
    scenario = scenario_of(seed, scenario)
    kind = scenario_named(scenario)
    if version == 2:
        return scenario, draw_settings(seed, kind, mounting=mounting, given=settings)
    if settings or mounting != "windscreen":
        raise SimulationError("settings and mountings are of version 2: give version=2")
    return scenario, None


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
