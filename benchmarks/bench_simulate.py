"""How long a second of driving takes to simulate, before and after, and how exact its events are.

    git worktree add /tmp/before COMMIT
    uv run python benchmarks/bench_simulate.py --before /tmp/before

At 346x260, with truth, frames and files; compiled code is warm. Each checkout runs in a process of
its own by this Python; the drives of both take turns. Processor time is what counts: other programs
on the machine change it less than wall time. A second table compares events of a street, without
noise, with those of a render every 250 us. The floor is what moving the pictures' bytes would take.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np

DURATION_US = 300_000
SEEDS = (21, 22)
VERSIONS = (1, 2)
ADAPTIVE = ((2_000, 0.1), (4_000, 0.2))
FINE_US = 250
COMPARED = ((2_000, None), (4_000, None), (1_000, 0.1), (2_000, 0.1), (4_000, 0.2))
"""Step in us and tolerance of the streets whose events are compared."""


def timed(function: Callable[..., object], spent: dict[str, float], name: str):
    """Return the function with the processor time during its calls added to ``spent``."""

    def call(*arguments: object, **settings: object) -> object:
        begin = time.process_time()
        try:
            return function(*arguments, **settings)
        finally:
            spent[name] += time.process_time() - begin

    return call


def one_drive(folder: Path, *, parts: bool, duration_us: int, **settings: object) -> dict:
    """Return wall and processor seconds of a drive, and on one thread those of its parts."""
    from eventseg.simulate.scene.film import StreetFilm
    from eventseg.simulate.sensor.dvs import DvsSensor
    from eventseg.simulate.street import simulate_street

    kinds = {"rendering": (StreetFilm, "pictures"), "sensor": (DvsSensor, "step")}
    spent = dict.fromkeys(kinds if parts else (), 0.0)
    with ExitStack() as patches:
        for name in spent:
            kind, method = kinds[name]
            call = timed(getattr(kind, method), spent, name)
            patches.enter_context(patch.object(kind, method, call))
        begin, begin_cpu = time.perf_counter(), time.process_time()
        simulate_street(folder / "drive.hdf5", duration_us=duration_us, **settings)  # type: ignore[arg-type]
        spent["wall"] = time.perf_counter() - begin
        spent["cpu"] = time.process_time() - begin_cpu
    return spent


def pictures(seed: int, version: int, times_us: list[int]) -> list[float]:
    """Return the processor milliseconds of single pictures of a street."""
    from eventseg.events import SensorSize
    from eventseg.simulate.scene.scenarios import SCENARIOS
    from eventseg.simulate.scene.scenes import street_scene
    from eventseg.simulate.scene.settings import draw_settings

    size = SensorSize(260, 346)
    settings = draw_settings(seed, SCENARIOS["day"]) if version == 2 else None
    film, _ = street_scene(seed, "day", size, rare=True, settings=settings)
    light, label = np.empty((4, *size), np.float32), np.empty((4, *size), np.uint8)
    spent = []
    with ThreadPoolExecutor(1) as pool:
        for t in times_us:
            for _ in range(3):
                begin = time.process_time()
                film.pictures(np.arange(t, t + 8000, 2000), light, label, pool)
                spent.append(250.0 * (time.process_time() - begin))
    return spent


def work() -> None:
    """Do one job for each line of JSON, and answer with its seconds."""
    with TemporaryDirectory() as folder:
        for line in sys.stdin:
            job = json.loads(line)
            answer = pictures(**job) if "times_us" in job else one_drive(Path(folder), **job)
            print(json.dumps(answer), flush=True)


class Worker:
    """A process that simulates with a checkout."""

    def __init__(self, checkout: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), "--work"],
            env={**os.environ, "PYTHONPATH": str(checkout.resolve())},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def do(self, **settings: object) -> Any:
        """Return the answer to a job."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(settings), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())


def costs(workers: dict[str, Worker]) -> dict[str, object]:
    """Return seconds a simulated second of every checkout, version and number of threads."""
    result: dict[str, object] = {}
    per_second = DURATION_US / 1e6
    for name, worker in workers.items():
        for version in VERSIONS:
            worker.do(parts=False, duration_us=60_000, seed=1, version=version, threads=2)
        print(name, "is warm", flush=True)
    for threads in (1, 2):
        for version in VERSIONS:
            drives: dict[str, list[dict[str, float]]] = {name: [] for name in workers}
            for seed in SEEDS:
                for name, worker in workers.items():
                    settings = {"seed": seed, "version": version, "threads": threads}
                    drives[name].append(
                        worker.do(parts=threads == 1, duration_us=DURATION_US, **settings)
                    )
            title = f"version {version}, {threads} thread{'s' * (threads > 1)}"
            for name, each in drives.items():
                result[f"{title}, {name}"] = {
                    f"{part}_s_per_simulated_s": [round(d[part] / per_second, 3) for d in each]
                    for part in each[0]
                }
            if "before" in drives:
                pairs = zip(drives["after"], drives["before"], strict=True)
                ratios = [after["cpu"] / before["cpu"] for after, before in pairs]
                result[f"{title}, after / before"] = {
                    "median": float(np.median(ratios)),
                    "pairs": ratios,
                }
            print(title, {name: result[f"{title}, {name}"] for name in drives}, flush=True)
    for step_us, tolerance in ADAPTIVE:
        settings = {"version": 2, "threads": 2, "step_us": step_us, "tolerance": tolerance}
        each = [
            workers["after"].do(parts=False, duration_us=DURATION_US, seed=seed, **settings)
            for seed in SEEDS
        ]
        title = f"version 2, 2 threads, step {step_us} us, tolerance {tolerance}"
        result[title] = {
            f"{part}_s_per_simulated_s": [round(d[part] / per_second, 3) for d in each]
            for part in each[0]
        }
        print(title, result[title], flush=True)
    return result


def renders(workers: dict[str, Worker]) -> dict[str, object]:
    """Return processor milliseconds of a picture, the least of three, means over eight places."""
    result: dict[str, object] = {}
    for version in VERSIONS:
        for seed in SEEDS:
            each: dict[str, list[float]] = {name: [] for name in workers}
            for t in range(200_000, 1_800_000, 200_000):
                for name, worker in workers.items():
                    job = {"version": version, "seed": seed, "times_us": [t]}
                    each[name].append(min(worker.do(**job)))
            title = f"version {version}, seed {seed}"
            result[title] = {f"{name}_ms": float(np.mean(ms)) for name, ms in each.items()}
            if "before" in each:
                ratios = np.array(each["after"]) / np.array(each["before"])
                result[title] |= {"after / before": float(np.median(ratios))}
            print(title, result[title], flush=True)
    return result


def street_events(seed: int, *, step_us: int, tolerance: float | None) -> tuple[dict, float, float]:
    """Return the events of each pixel, the share rendered and processor seconds of 96 ms."""
    from eventseg.events import SensorSize
    from eventseg.simulate.sampling import Sampler
    from eventseg.simulate.scene.scenarios import SCENARIOS
    from eventseg.simulate.scene.scenes import street_scene
    from eventseg.simulate.scene.settings import draw_settings, dvs_of
    from eventseg.simulate.sensor.dvs import DvsSensor

    size, begin_us, length_us = SensorSize(260, 346), 700_000, 96_000
    settings = draw_settings(seed, SCENARIOS["day"])
    film, _ = street_scene(seed, "day", size, rare=True, settings=settings)
    quiet = {"leak_hz": 0.0, "shot_hz": 0.0, "hot_share": 0.0, "random_phase": False}
    sensor = DvsSensor(size, replace(dvs_of(settings, SCENARIOS["day"]), **quiet), seed=1)
    sampler = None
    if tolerance is not None:
        sampler = Sampler(film, size, step_us=step_us, tolerance=tolerance)
    room = 48_000 // step_us
    light, label = np.empty((room + 1, *size), np.float32), np.empty((room + 1, *size), np.uint8)
    parts = []
    spent = time.process_time()
    with ThreadPoolExecutor(1) as pool:
        film.pictures(np.array([begin_us]), light[:1], label[:1], pool)
        sensor.start(light[0], label[0], begin_us)
        for t in range(begin_us, begin_us + length_us, room * step_us):
            times = np.arange(t, t + room * step_us + 1, step_us)
            seen = None
            if sampler is not None:
                seen = sampler.take(times, light, label, pool)
            else:
                film.pictures(times[1:], light[1:], label[1:], pool)
            parts.append(
                sensor.step(light[1:], label[1:], times[1:], pool=pool, bands=1, seen=seen)
            )
            light[0], label[0] = light[room], label[room]
    spent = time.process_time() - spent
    t, x, y, p = (np.concatenate([part[k] for part in parts]) for k in range(4))
    place = y.astype(np.int64) * size.width + x
    order = np.lexsort((t, place))
    cuts = np.flatnonzero(np.diff(place[order])) + 1
    pixels = {int(place[part[0]]): (t[part], p[part]) for part in np.split(order, cuts)}
    steps = length_us // step_us
    share = 1.0 if sampler is None else sampler.rendered / (steps * size.height * size.width)
    return pixels, share, spent / (length_us / 1e6)


def exactness() -> dict[str, object]:
    """Compare events of streets with those of a fine step, pixel by pixel."""
    result: dict[str, object] = {}
    rows: dict[tuple[int, float | None], list[dict[str, float]]] = {key: [] for key in COMPARED}
    for seed in SEEDS:
        fine, _, _ = street_events(seed, step_us=FINE_US, tolerance=None)
        n_fine = sum(len(t) for t, _ in fine.values())
        for step_us, tolerance in COMPARED:
            pixels, share, spent = street_events(seed, step_us=step_us, tolerance=tolerance)
            errors = [
                np.abs(pixels[k][0] - t)
                for k, (t, p) in fine.items()
                if k in pixels and np.array_equal(pixels[k][1], p)
            ]
            error = np.concatenate(errors)
            rows[step_us, tolerance].append(
                {
                    "rendered_share_of_steps": share,
                    "cpu_s_per_simulated_s": spent,
                    "events_to_fine": sum(len(t) for t, _ in pixels.values()) / n_fine,
                    "pixels_with_the_same_events": len(errors) / len(set(fine) | set(pixels)),
                    "median_error_us": float(np.median(error)),
                    "mean_error_us": float(error.mean()),
                    "p90_error_us": float(np.quantile(error, 0.9)),
                }
            )
    for (step_us, tolerance), each in rows.items():
        title = f"step {step_us} us" + ("" if tolerance is None else f", tolerance {tolerance}")
        result[title] = {key: float(np.mean([row[key] for row in each])) for key in each[0]}
        print(title, result[title], flush=True)
    return result


def floor() -> dict[str, object]:
    """Return what moving the pictures would take: luminance and label are written and read once."""
    from paired import bandwidth_gb_s

    each = bandwidth_gb_s(1, megabytes=64, count=3)
    gigabytes = 500 * 260 * 346 * 5 / 1e9
    return {
        "gigabytes_each_way_per_simulated_s": gigabytes,
        "bandwidth_gb_s": each,
        "seconds_per_simulated_s": gigabytes / each["write"] + gigabytes / each["read"],
    }


def main() -> None:
    from paired import machine, save

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--before", type=Path, help="Checkout to compare with.")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work()
        return
    here = Path(__file__).resolve().parents[1]
    workers = {"after": Worker(here)}
    if arguments.before is not None:
        workers["before"] = Worker(arguments.before)
    result: dict[str, object] = {
        "machine": machine(),
        "drive": f"day, seeds {', '.join(map(str, SEEDS))}, 346x260, {DURATION_US / 1e6:g} s, "
        "500 Hz where no step is named",
        "floor": floor(),
        "milliseconds of a picture": renders(workers),
        "seconds": costs(workers),
        "exactness": exactness(),
    }
    result["load_after"] = round(os.getloadavg()[0], 2)
    save("simulate", result)


if __name__ == "__main__":
    main()
