"""Event sensors of simulators on the same film: events a second, and crossing times that are known.

    uv run --with eventify-dvs --with hesim-3d python benchmarks/bench_simulators.py

The film is a sinusoidal grating that moves over 346x260 pixels; the time at which each pixel's log
luminance crosses its next threshold has a closed form. Every competitor gets the same pictures, one
every 2 or 20 ms, a threshold of 0.2, no noise, no filter and no dead time, on one thread. It is
timed by processor time, each in turn. What is not installed is left out by name.

v2e, esim_py, vid2e and DVS-Voltmeter are not on the package index; the rule by which v2e places the
events of a step is stated here in NumPy, to compare its times, not its speed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata

import numpy as np
from paired import RESULTS, machine, save

from eventseg.events import SensorSize
from eventseg.simulate.sensor.dvs import DvsSensor
from eventseg.simulate.sensor.dvs_model import DvsModel

SENSOR = SensorSize(260, 346)
DURATION_US, PERIOD_US = 200_000, 80_000
MEAN, CONTRAST, THRESHOLD = 100.0, 0.7, 0.2
STEPS_US = (2_000, 20_000)
ROUNDS = 3
CHUNK = 25
"""Pictures that the sensor gets at once, as in a recording."""

Events = tuple[np.ndarray, ...]
"""Columns t in us, x, y, p as 1 for ON and 0 for OFF."""

CLEAN = DvsModel(
    threshold_on=THRESHOLD,
    threshold_off=THRESHOLD,
    threshold_sigma=0.0,
    linear_below=1e-3,
    cutoff_hz=0.0,
    refractory_us=0,
    leak_hz=0.0,
    shot_hz=0.0,
    hot_share=0.0,
    random_phase=False,
)


def phases() -> np.ndarray:
    """Return the phase of the grating at each column."""
    return 0.05 + 2.0 * math.pi * np.arange(SENSOR.width) / 37.0


def film(step_us: int) -> tuple[np.ndarray, np.ndarray]:
    """Return times and pictures, float32 (K, H, W)."""
    times = np.arange(0, DURATION_US + 1, step_us)
    wave = np.sin(2.0 * math.pi * times[:, None] / PERIOD_US + phases())
    line = (MEAN * (1.0 + CONTRAST * wave)).astype(np.float32)
    return times, np.ascontiguousarray(np.broadcast_to(line[:, None], (len(times), *SENSOR)))


def crossings(phase: float) -> Iterator[tuple[float, int]]:
    """Yield time and polarity of each crossing at a column, from the closed form."""
    omega = 2.0 * math.pi / PERIOD_US

    def level(t: float) -> float:
        return math.log(1.0 + CONTRAST * math.sin(omega * t + phase))

    turns = [((k + 0.5) * math.pi - phase) / omega for k in range(-1, 40)]
    marks = [0.0, *(t for t in turns if 0.0 < t < DURATION_US), float(DURATION_US)]
    reference = level(0.0)
    for begin, end in itertools.pairwise(marks):
        sign = 1.0 if level(end) > level(begin) else -1.0
        # Between two extrema the sine is inverted on one side of its top.
        rising = math.cos(omega * 0.5 * (begin + end) + phase) > 0.0
        while sign * (level(end) - reference) >= THRESHOLD:
            reference += sign * THRESHOLD
            angle = math.asin((math.exp(reference) - 1.0) / CONTRAST)
            angle = angle if rising else math.pi - angle
            t = (angle - phase) / omega
            yield t + math.ceil((begin - 1e-6 - t) / PERIOD_US) * PERIOD_US, int(sign > 0.0)


def eventseg_sensor(times: np.ndarray, pictures: np.ndarray) -> Events:
    """Run the sensor of this package."""
    sensor = DvsSensor(SENSOR, CLEAN, seed=1)
    labels = np.zeros(pictures.shape, np.uint8)
    with ThreadPoolExecutor(1) as pool:
        sensor.start(pictures[0], labels[0], 0)
        parts = [
            sensor.step(pictures[k:stop], labels[k:stop], times[k:stop], pool=pool, bands=1)
            for k in range(1, len(times), CHUNK)
            for stop in (min(len(times), k + CHUNK),)
        ]
    return tuple(
        np.concatenate(column) for column in zip(*(part[:4] for part in parts), strict=True)
    )


def v2e_rule(times: np.ndarray, pictures: np.ndarray) -> Events:
    """Place the events of each step as v2e does: in layers that all pixels share."""
    logs = np.log(pictures.astype(np.float64))
    base, parts = logs[0].copy(), []
    for k in range(1, len(times)):
        change = logs[k] - base
        counts = np.floor(np.abs(change) / THRESHOLD).astype(int)
        layers = int(counts.max())
        for layer in range(layers):
            y, x = np.nonzero(counts > layer)
            t = times[k - 1] + (times[k] - times[k - 1]) * (layer + 1) / layers
            parts.append((np.full(len(x), t), x, y, (change[y, x] > 0).astype(int)))
        base += np.sign(change) * counts * THRESHOLD
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def eventify(times: np.ndarray, pictures: np.ndarray) -> Events:
    """Run eventify-dvs on each pair of pictures."""
    from eventify import frame_to_event_tuples

    parts = [
        frame_to_event_tuples(
            pictures[k - 1],
            pictures[k],
            int(times[k - 1]),
            int(times[k]),
            c_thresh=THRESHOLD,
            eps=1e-6,
        )
        for k in range(1, len(times))
    ]
    events = np.concatenate(parts)
    return events["t"], events["x"], events["y"], events["p"]


def hesim(times: np.ndarray, pictures: np.ndarray) -> Events:
    """Run the sensor of hesim-3d without noise."""
    import torch
    from hesim3d.sensor import HESIMEventSimulator, SensorConfig

    torch.set_num_threads(1)
    sensor = HESIMEventSimulator(
        SensorConfig(
            width=SENSOR.width,
            height=SENSOR.height,
            cfa_size=1,
            event_threshold=THRESHOLD,
            refractory_period_us=0.0,
            evs_betas=[[[1.0, 1.0, 0.0, 0.0, 0.0, 0.0]]],
            dark_event_rate_pos=0.0,
            dark_event_rate_neg=0.0,
        ),
        device="cpu",
    )
    scaled = torch.from_numpy(pictures / np.float32(255.0))
    parts = [
        sensor.simulate_interval(scaled[k - 1], scaled[k], float(times[k - 1]), float(times[k]))[1]
        for k in range(1, len(times))
    ]
    events = np.concatenate(parts)
    return events["t"], events["x"], events["y"], (events["p"] > 0).astype(int)


COMPETITORS: dict[str, tuple[str | None, Callable[[np.ndarray, np.ndarray], Events]]] = {
    "eventseg": ("eventseg", eventseg_sensor),
    "eventify-dvs": ("eventify-dvs", eventify),
    "hesim-3d": ("hesim-3d", hesim),
    "rule of v2e": (None, v2e_rule),
}
"""Package and call of each competitor."""


def exactness(events: Events, truth: list[list[tuple[float, int]]]) -> dict[str, float | None]:
    """Compare with the closed form, for one row: all rows are alike.

    A found event is matched with the crossing of its number in its pixel, where the polarities of
    all events so far agree.
    """
    t, x, y, p = events
    row = np.flatnonzero(y == 7)
    row = row[np.lexsort((t[row], x[row]))]
    found = {c: row[x[row] == c] for c in range(SENSOR.width)}
    errors, matched = [], 0
    for column, expected in enumerate(truth):
        for number, (when, polarity) in zip(found[column], expected, strict=False):
            if int(p[number]) != polarity:
                break
            matched += 1
            errors.append(abs(float(t[number]) - when))
    known = sum(len(expected) for expected in truth)
    return {
        "events_per_crossing": len(row) / known,
        "matched_share": matched / known,
        "median_error_us": float(np.median(errors)) if errors else None,
        "p95_error_us": float(np.quantile(errors, 0.95)) if errors else None,
    }


def stored_competitors() -> set[str]:
    """Return the names of the competitors in the stored result."""
    path = RESULTS / "simulators.json"
    return set(json.loads(path.read_text())["competitors"]) if path.is_file() else set()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--no-save", action="store_true", help="Print the numbers alone.")
    arguments = parser.parse_args()
    truth = [list(crossings(float(phase))) for phase in phases()]
    result: dict[str, object] = {
        "machine": machine(),
        "film": f"grating, {SENSOR.width}x{SENSOR.height}, {DURATION_US / 1e6:g} s, "
        f"{sum(map(len, truth)) * SENSOR.height} crossings, threshold {THRESHOLD}, 1 thread",
        "not on the package index": ["v2e", "esim_py", "vid2e", "DVS-Voltmeter"],
    }
    versions = {}
    for name, (package, _) in COMPETITORS.items():
        try:
            versions[name] = None if package is None else metadata.version(package)
        except metadata.PackageNotFoundError:
            if not arguments.no_save and name in stored_competitors():
                parser.error(
                    f"{package} is not installed, and results/simulators.json has its rows: "
                    f"install it (uv run --with {package}), or give --no-save"
                )
            print(f"{name} is not installed: left out")
    result["competitors"] = versions
    for step_us in STEPS_US:
        times, pictures = film(step_us)
        seconds: dict[str, list[float]] = {name: [] for name in versions}
        events: dict[str, Events] = {}
        for turn in range(ROUNDS + 1):
            for name in versions:
                begin = time.process_time()
                events[name] = COMPETITORS[name][1](times, pictures)
                if turn:
                    seconds[name].append(time.process_time() - begin)
        for name in versions:
            spent = float(np.median(seconds[name]))
            numbers = {
                "cpu_seconds_per_simulated_second": spent / (DURATION_US / 1e6),
                "pixel_steps_per_s": (len(times) - 1) * SENSOR.height * SENSOR.width / spent,
                "events_per_s": len(events[name][0]) / spent,
                **exactness(events[name], truth),
            }
            if COMPETITORS[name][0] is None:
                # Stated here for its times: its speed says nothing about the program.
                numbers = {key: n for key, n in numbers.items() if not key.endswith("_s")}
                del numbers["cpu_seconds_per_simulated_second"]
            result[f"{name}, {step_us // 1000} ms"] = numbers
            print(name, step_us, numbers, flush=True)
    if not arguments.no_save:
        save("simulators", result)


if __name__ == "__main__":
    main()
