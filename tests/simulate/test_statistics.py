"""Statistics of events by hand-made events and by a loop; the fit recovers known settings."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from click.testing import CliRunner
from recording_fixtures import write_recording

from eventseg.errors import WindowError
from eventseg.events import EventStream, SensorSize
from eventseg.plots import figure_statistics
from eventseg.recordings import open_recording
from eventseg.simulate import report
from eventseg.simulate.drives import (
    RANGES,
    LearnedDrives,
    as_settings,
    learn_drives,
    simulate_statistics,
)
from eventseg.simulate.fit import LEAST_EXPLAINED, Fit, estimate_quantities, fit_street
from eventseg.simulate.regression import CUMULATED
from eventseg.simulate.report import report_statistics
from eventseg.simulate.scene.scenarios import SCENARIOS, SimulationError
from eventseg.simulate.scene.settings import draw_settings
from eventseg.simulate.statistics import (
    INTERVALS_US,
    NAMES,
    RATES,
    SHARES,
    STRETCH_US,
    distances,
    mean_statistics,
    measure_events,
    measure_recording,
)
from eventseg.simulate.street import simulate_street
from eventseg_cli.main import main

SENSOR = SensorSize(12, 16)
STREET = SensorSize(40, 54)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EVENTSEG_CACHE", str(tmp_path / "cache"))


def stretch(rows, *, sensor=SENSOR, t0_us=0):
    """Return rows of (t, x, y, p) as a stretch of half a second."""
    t, x, y, p = np.array(sorted(rows)).reshape(-1, 4).T
    return EventStream(
        t.astype(np.int64),
        x.astype(np.uint16),
        y.astype(np.uint16),
        p.astype(np.int8),
        sensor,
        t0_us,
        t0_us + STRETCH_US,
    )


def random_stretch(seed, count=400):
    rng = np.random.default_rng(seed)
    columns = (
        rng.integers(0, STRETCH_US, count),
        rng.integers(0, SENSOR.width, count),
        rng.integers(0, SENSOR.height, count),
        rng.integers(0, 2, count),
    )
    return stretch(list(zip(*(column.tolist() for column in columns), strict=True)))


def by_loops(events):
    """Return the statistics of windows as their docstring defines them, pixel by pixel."""
    rows = list(zip(*(c.tolist() for c in (events.t, events.x, events.y, events.p)), strict=True))

    def tallies(window_us):
        for start in range(0, STRETCH_US, window_us):
            cells = {}
            for t, x, y, p in rows:
                if start <= t < start + window_us:
                    cells.setdefault((x, y), []).append(p)
            yield cells

    def others(cells, x, y, reach):
        return [
            (x + dx, y + dy)
            for dx in range(-reach, reach + 1)
            for dy in range(-reach, reach + 1)
            if (dx or dy) and (x + dx, y + dy) in cells
        ]

    active = repeated = both = neighbours = lone = noise = 0
    quiet_s = 0.0
    for cells in tallies(50_000):
        active += len(cells)
        repeated += sum(len(ps) > 1 for ps in cells.values())
        both += sum(len(set(ps)) > 1 for ps in cells.values())
        neighbours += sum(len(others(cells, *cell, 1)) for cell in cells)
    for cells in tallies(10_000):
        lone += sum(len(ps) == 1 and not others(cells, *cell, 1) for cell, ps in cells.items())
    for cells in tallies(100_000):
        for x in range(2, SENSOR.width - 2):
            for y in range(2, SENSOR.height - 2):
                if not others(cells, x, y, 2):
                    noise += len(cells.get((x, y), ()))
                    quiet_s += 0.1
    pixels = SENSOR.height * SENSOR.width
    return {
        "silent": 1 - len({(x, y) for _, x, y, _ in rows}) / pixels,
        "repeated": repeated / active,
        "both": both / active,
        "neighbourhood": neighbours / (8 * active),
        "active": active / (10 * pixels),
        "lone": lone / len(rows),
        "noise_hz": noise / quiet_s,
        "rate_hz": len(rows) / pixels / 0.5,
        "on": sum(p for *_, p in rows) / len(rows),
    }


@pytest.mark.parametrize("seed", range(3))
def test_statistics_are_those_of_a_loop(seed):
    events = random_stretch(seed, count=150)
    found = measure_events([events])
    for name, value in by_loops(events).items():
        assert getattr(found, name) == pytest.approx(value), name


def test_intervals_and_busiest_pixels_of_a_regular_pixel():
    rows = [(k * 2_000, 3, 3, k % 2) for k in range(250)] + [(7, 9, 9, 1), (499_999, 9, 9, 1)]
    found = measure_events([stretch(rows)])
    assert found.interval_us == 2_000
    assert found.refractory_us == 2_000
    assert sum(found.intervals) == pytest.approx(1.0)
    k = int(np.searchsorted(INTERVALS_US, 2_000, side="right")) - 1
    assert found.intervals[k] == pytest.approx(249 / 250)
    assert found.busiest == pytest.approx(250 / 252)
    assert found.variation == pytest.approx(math.sqrt((2 * 0.96**2 + 48 * 0.04**2) / 50) / 5.04)


def test_noise_of_a_silent_scene_is_its_rate():
    rng = np.random.default_rng(1)
    sensor, rate_hz = SensorSize(120, 160), 0.4
    count = rng.poisson(rate_hz * 0.5 * 120 * 160)
    columns = (
        rng.integers(0, STRETCH_US, count),
        rng.integers(0, 160, count),
        rng.integers(0, 120, count),
        rng.integers(0, 2, count),
    )
    rows = list(zip(*(column.tolist() for column in columns), strict=True))
    found = measure_events([stretch(rows, sensor=sensor)])
    assert found.noise_hz == pytest.approx(rate_hz, rel=0.05)
    assert found.neighbourhood < 0.05


def test_distances():
    one, other = (measure_events([random_stretch(seed, count=150)]) for seed in (1, 2))
    assert set(distances(one, other)) == {*SHARES, *RATES, "intervals"} == set(NAMES)
    assert all(value == 0.0 for value in distances(one, one).values())
    assert distances(one, other) == pytest.approx(distances(other, one))
    rows = [(k * 1_000, 3, 3, 1) for k in range(100)]
    slow = [(10 * t, x, y, p) for t, x, y, p in rows if t < 50_000]
    fast, slow = (measure_events([stretch(each)]) for each in (rows, slow))
    # Every interval is ten times as long: one decade.
    assert distances(fast, slow)["intervals"] == pytest.approx(1.0, abs=0.06)
    assert distances(fast, slow)["interval_us"] == pytest.approx(math.log(10.0))
    mean = mean_statistics([one, other])
    assert mean.silent == pytest.approx((one.silent + other.silent) / 2)


def test_a_recording_is_measured_in_stretches_up_to_its_end(tmp_path):
    drive = simulate_street(
        tmp_path / "drive.hdf5", duration_us=1_100_000, seed=3, sensor=STREET, threads=1
    )
    with open_recording(drive.recording, sensor=STREET) as recording:
        found = measure_recording(recording)
        end = recording.t_last_us + 1
        first = recording.t_first_us
        expected = measure_events(
            [
                recording.events(end - STRETCH_US, end),
                recording.events(first, first + STRETCH_US),
            ]
        )
    assert found.n_stretches == 2
    assert found.silent == pytest.approx(expected.silent, abs=0.01)
    assert found.rate_hz == pytest.approx(expected.rate_hz, rel=0.02)


def test_what_cannot_be_measured_is_refused(tmp_path):
    short = simulate_street(
        tmp_path / "short.hdf5", duration_us=100_000, seed=3, sensor=STREET, threads=1
    )
    with (
        open_recording(short.recording, sensor=STREET) as recording,
        pytest.raises(WindowError, match=r"need at least 0\.5 s"),
    ):
        measure_recording(recording)
    with pytest.raises(WindowError, match="no events"):
        measure_events([stretch([(1, 1, 1, 1)])][:0])
    with pytest.raises(SimulationError, match="too few to fit: give 24"):
        fit_street(measure_events([random_stretch(1)]), sensor=SENSOR, drives=3)
    with pytest.raises(SimulationError, match="no recording"):
        report_statistics([])


def test_statistics_of_a_drive_do_not_depend_on_threads():
    settings = draw_settings(3, SCENARIOS["day"])
    found = []
    for bands in (1, 3):
        with ThreadPoolExecutor(bands) as pool:
            found.append(simulate_statistics(settings, 3, sensor=STREET, pool=pool, bands=bands))
    assert found[0] == found[1]


BOUNDS = {"threshold": 1.8, "noise_hz": 2.5, "vibration_deg": 3.0, "refractory_us": 2.5}
"""Factors within which the fit finds known settings."""


@pytest.fixture(scope="module")
def learned():
    with ThreadPoolExecutor(1) as pool:
        return learn_drives(sensor=STREET, drives=28, seed=0, pool=pool, bands=1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "known",
    [
        {"threshold": 0.2, "noise_hz": 0.05, "vibration_deg": 0.15, "refractory_us": 500},
        {"threshold": 0.45, "noise_hz": 0.6, "vibration_deg": 0.4, "refractory_us": 2_000},
    ],
)
def test_the_fit_recovers_known_settings(learned, known):
    given = as_settings(known)
    assert given["threshold_on"] == given["threshold_off"] == known["threshold"]
    assert given["shot_hz"] + given["leak_hz"] == pytest.approx(known["noise_hz"])
    with ThreadPoolExecutor(1) as pool:
        streets = [
            simulate_statistics(
                draw_settings(seed, SCENARIOS["day"], given=given),
                seed,
                sensor=STREET,
                pool=pool,
                bands=1,
            )
            for seed in (5, 6, 7)
        ]
    estimates = estimate_quantities(learned, mean_statistics(streets))
    assert set(estimates) == set(RANGES)
    for name, factor in BOUNDS.items():
        estimate = estimates[name]
        assert estimate.explained > LEAST_EXPLAINED, name
        assert known[name] / factor < estimate.value < known[name] * factor, name
        # What left-out drives say of the error is about as large.
        assert 1.05 < estimate.factor < factor**1.5, name


@pytest.mark.slow
def test_a_fit_proposes_settings_that_a_street_takes(tmp_path):
    tiny = SensorSize(20, 27)
    seen: list[float] = []
    target = measure_events([random_stretch(1, count=60)])
    assert math.isfinite(target.noise_hz), "noise is proposed where it was measured"
    fit = fit_street(
        target, sensor=tiny, drives=24, threads=2, progress=lambda now: seen.append(now.share)
    )
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert "noise_hz" not in fit.settings
    assert {"shot_hz", "leak_hz"} <= set(fit.settings)
    simulate_street(
        tmp_path / "fitted.hdf5", duration_us=20_000, seed=1, sensor=tiny, settings=fit.settings
    )


def test_the_command_prints_a_table_json_and_a_picture(tmp_path):
    paths = [tmp_path / f"{seed}.hdf5" for seed in (1, 2)]
    for path, seed in zip(paths, (1, 2), strict=True):
        simulate_street(path, duration_us=520_000, seed=seed, sensor=STREET, threads=1)
    arguments = ["simulate", "fit", *map(str, paths), "--sensor", "54x40", "--drives", "0"]
    plot = tmp_path / "fit.png"
    result = CliRunner().invoke(main, [*arguments, "--plot", str(plot)])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "| statistic | 1 | 2 | distance of 2 |"
    assert lines[2].startswith("| pixels silent in 0.5 s | ")
    assert len(lines) == 2 + len(NAMES)
    assert plot.stat().st_size > 10_000
    found = json.loads(CliRunner().invoke(main, [*arguments, "--json"]).stdout)
    assert set(found["statistics"]) == {"1", "2"}
    assert set(found["distances"]["2"]) == set(NAMES)
    assert found["settings"] is None
    for name, reason in (("x.foo", "must end in one of .png"), ("1.hdf5/x.png", "is a file")):
        result = CliRunner().invoke(main, [*arguments, "--plot", str(tmp_path / name)])
        assert result.exit_code == 2
        assert reason in result.stderr
    result = CliRunner().invoke(main, [*arguments[:-1], "5"])
    assert (result.exit_code, result.stderr) == (
        1,
        "error: 5 drives are too few to fit: give 24 or more\n",
    )


def made_up_drives(seed=0):
    """Return drives to learn from whose features follow from the quantities, with some noise."""
    rng = np.random.default_rng(seed)
    low, high = np.log(np.array(list(RANGES.values()))).T
    drawn = rng.uniform(low, high, (30, len(RANGES)))
    width = len(SHARES) + len(RATES) + 1 + len(CUMULATED)
    features = drawn @ rng.normal(size=(len(RANGES), width))
    return LearnedDrives(drawn, features + rng.normal(size=features.shape) / 10)


def test_a_statistic_that_a_recording_lacks_decides_nothing():
    dense = measure_events([random_stretch(1, count=4_000)])
    lone = measure_events([stretch([(1_000, 3, 3, 1), (300_000, 9, 9, 0)])])
    assert math.isnan(dense.noise_hz), "no pixel is quiet"
    assert math.isnan(lone.refractory_us), "no pixel has two events"
    learned = made_up_drives()
    intervals = [*range(len(SHARES) + len(RATES) - 1, learned.features.shape[1])]
    for target, columns, own in (
        (dense, [len(SHARES) + RATES.index("noise_hz")], "noise_hz"),
        (lone, intervals, "refractory_us"),
    ):
        estimates = estimate_quantities(learned, target)
        other = learned.features.copy()
        other[:, columns] = np.random.default_rng(1).normal(size=(len(other), len(columns)))
        assert estimate_quantities(LearnedDrives(learned.drawn, other), target) == estimates
        assert [name for name, one in estimates.items() if one.explained == 0.0] == [own]
    known = estimate_quantities(learned, measure_events([random_stretch(1, count=60)]))
    assert min(one.explained for one in known.values()) > LEAST_EXPLAINED


def test_what_recordings_lack_has_no_mean_and_no_distance():
    dense = measure_events([random_stretch(1, count=4_000)])
    lone = measure_events([stretch([(1_000, 3, 3, 1), (300_000, 9, 9, 0)])])
    assert math.isnan(mean_statistics([dense, dense]).noise_hz)
    mean = mean_statistics([dense, lone])
    assert mean.noise_hz == lone.noise_hz
    assert mean.intervals == dense.intervals
    for name in ("noise_hz", "interval_us", "intervals"):
        assert math.isnan(distances(dense, lone)[name])
        assert math.isnan(distances(lone, dense)[name])


def test_a_negative_seed_is_refused_before_anything_is_measured(tmp_path, monkeypatch):
    real = write_recording(tmp_path / "real.hdf5", frames=1, duration_us=600_000)
    monkeypatch.setattr(report, "measure_recording", None)
    result = CliRunner().invoke(main, ["simulate", "fit", str(real), "--seed", "-1"])
    assert (result.exit_code, result.stderr) == (
        1,
        "error: seed -1 is negative: give 0 or more\n",
    )
    with pytest.raises(SimulationError, match="seed -1 is negative"):
        fit_street(measure_events([random_stretch(1)]), sensor=SENSOR, seed=-1)


def test_every_recording_has_a_column_of_its_own(tmp_path, monkeypatch):
    one = measure_events([random_stretch(1)])
    monkeypatch.setattr(report, "fit_street", lambda *_, **__: Fit({}, {}, one, one))
    (tmp_path / "other").mkdir()
    paths = [
        write_recording(tmp_path / name, events=400, frames=1, duration_us=600_000)
        for name in ("streets.hdf5", "fitted streets.hdf5", "drive.hdf5", "other/drive.hdf5")
    ]
    paths.append(paths[-1])
    found = report_statistics(paths)
    assert list(found.columns) == [
        str(paths[0]), str(paths[1]), "drive", str(paths[3]), f"{paths[3]} (2)",
        "streets", "fitted streets",
    ]  # fmt: skip
    assert found.columns["streets"] is one
    assert {one.n_stretches for one in list(found.columns.values())[:5]} == {1}


def test_the_figure_draws_every_column():
    one = measure_events([random_stretch(1)])
    columns = {
        name: {key: getattr(one, key) for key in SHARES} for name in ("real", "version 1", "new")
    }
    rates = {name: {key: getattr(one, key) for key in RATES} for name in columns}
    figure = figure_statistics(
        columns,
        rates,
        dict.fromkeys(columns, one.intervals),
        edges_us=INTERVALS_US.tolist(),
    )
    left, middle, right = figure.axes
    assert len(left.patches) == 3 * len(SHARES)
    assert len(middle.patches) == 3 * len(RATES)
    # A background filter leaves no noise: there is no multiple of it.
    rates["real"]["noise_hz"] = 0.0
    filtered = figure_statistics(
        columns, rates, dict.fromkeys(columns, one.intervals), edges_us=INTERVALS_US.tolist()
    )
    filtered.canvas.draw()
    widths = [patch.get_width() for patch in filtered.axes[1].patches]
    assert sum(map(math.isnan, widths)) == 3
    assert [line.get_label() for line in right.lines] == list(columns)
