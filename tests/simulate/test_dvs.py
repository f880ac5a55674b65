import itertools
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from naive_simulate import Pixel
from naive_simulate import uniform as naive_uniform

from eventseg.events import SensorSize
from eventseg.simulate.sensor.dvs import DvsSensor
from eventseg.simulate.sensor.dvs_kernel import HOT, LEAK, OFF, ON, uniform
from eventseg.simulate.sensor.dvs_model import DvsModel, Voltmeter

CLEAN = DvsModel(
    threshold_on=0.2,
    threshold_off=0.2,
    threshold_sigma=0.0,
    cutoff_hz=0.0,
    refractory_us=0,
    leak_hz=0.0,
    shot_hz=0.0,
    hot_share=0.0,
    random_phase=False,
)
"""A sensor without noise, filter and dead time."""


@pytest.fixture(scope="module")
def pool():
    with ThreadPoolExecutor(2) as executor:
        yield executor


def run(film, times, model, pool, *, seed=1, bands=1, chunk=None, labels=None):
    """Return the events of a film, (K, H, W) luminances at (K,) times, as columns."""
    film = np.asarray(film, np.float32)
    times = np.asarray(times, np.int64)
    labels = np.zeros(film.shape, np.uint8) if labels is None else labels
    sensor = DvsSensor(SensorSize(*film.shape[1:]), model, seed=seed)
    sensor.start(film[0], labels[0], int(times[0]))
    chunk = chunk or len(film)
    parts = [
        sensor.step(film[k : k + chunk], labels[k : k + chunk], times[k : k + chunk],
                    pool=pool, bands=bands)
        for k in range(1, len(film), chunk)
    ]  # fmt: skip
    return type(parts[0])(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def flicker(rng, steps, height, width):
    """Luminances that wander over the linear and the logarithmic range."""
    walk = np.cumsum(rng.normal(0, 0.25, (steps, height, width)), axis=0)
    return np.clip(20 * np.exp(walk), 0.0, 900.0)


NOISY = DvsModel(
    refractory_us=700, leak_hz=30.0, shot_hz=40.0, hot_share=0.2, hot_hz=300.0, dead_share=0.1
)


@pytest.mark.parametrize(
    "model",
    [CLEAN, DvsModel(), NOISY, DvsModel(voltmeter=Voltmeter(k6=2e-4, k5=1e-7), hot_share=0.2)],
    ids=["clean", "default", "noisy", "voltmeter"],
)
def test_kernel_equals_plain_loops(model, pool):
    rng = np.random.default_rng(5)
    film = flicker(rng, 60, 4, 6).astype(np.float32)
    times = np.cumsum(rng.integers(300, 2500, 60))
    events = run(film, times, model, pool, seed=9)
    parameters = DvsSensor(SensorSize(4, 6), model, seed=9).pixels
    expected = []
    for number in range(24):
        pixel = Pixel(model, 9, number, *(parameters[number, c] for c in (ON, OFF, LEAK, HOT)))
        y, x = divmod(number, 6)
        pixel.start(float(film[0, y, x]), int(times[0]))
        for k in range(1, 60):
            pixel.step(float(film[k, y, x]), int(times[k]))
        expected += [(t, number, p, s) for t, p, s in pixel.events]
    expected.sort(key=lambda event: event[0])
    assert len(expected) > 50
    got = list(zip(events.t, events.y * 6 + events.x, events.p, events.signal, strict=True))
    assert [e[1:] for e in got] == [e[1:] for e in expected]
    # The same formula summed in another order: a stamp may round up to the next microsecond.
    assert max(abs(int(a[0]) - b[0]) for a, b in zip(got, expected, strict=True)) <= 1


def test_uniform_is_splitmix_of_its_counters():
    keys = [(0, 0, 0), (7, 89_959, 3), (2**31 - 1, 5, 2**40)]
    assert [uniform(*key) for key in keys] == [naive_uniform(*key) for key in keys]
    draws = np.array([uniform(3, pixel, draw) for pixel in range(50) for draw in range(40)])
    assert abs(draws.mean() - 0.5) < 4 / math.sqrt(12 * draws.size)
    assert len(np.unique(draws)) == draws.size


def test_ramp_in_log_luminance_crosses_at_the_analytic_times(pool):
    times = np.arange(0, 100_001, 2000)
    slope = 2.5 / 100_000  # log units per us, up then down again
    level = np.where(np.arange(51) <= 25, times * slope, (100_000 - times) * slope)
    events = run(np.exp(level + 3.0)[:, None, None], times, CLEAN, pool)
    up = np.arange(1, 7) * 0.2 / slope  # 1.25 log units up: six thresholds
    turn = 100_000 - 1.2 / slope  # where the way down passes the last one
    down = turn + np.arange(1, 7) * 0.2 / slope
    assert events.p.tolist() == [1] * 6 + [0] * 6
    np.testing.assert_allclose(events.t, np.concatenate([up, down]), rtol=0, atol=1.0)


def grating_crossings(shift, duration_us, period_us, mean, contrast, threshold):
    """Return analytic crossing times of ``ln(mean (1 + contrast sin))`` by fine bisection."""
    omega = 2 * math.pi / period_us

    def level(t):
        return math.log(mean * (1 + contrast * math.sin(omega * t + shift)))

    # Between extrema the level is monotonic.
    extrema = [t for k in range(-1, 2 * duration_us // period_us + 3)
               if 0 < (t := (math.pi / 2 + k * math.pi - shift) / omega) < duration_us]  # fmt: skip
    reference, found = level(0), []
    for a, b in zip([0, *extrema], [*extrema, duration_us], strict=True):
        sign = 1 if level(b) > level(a) else -1
        while sign * (level(b) - reference) >= threshold:
            goal, low, high = reference + sign * threshold, a, b
            for _ in range(60):
                middle = (low + high) / 2
                low, high = (low, middle) if sign * (level(middle) - goal) >= 0 else (middle, high)
            found.append((high, int(sign > 0)))
            reference = goal
    return found


def grating(step_us, pool, period=80_000):
    """Return per-pixel (events, analytic crossings) of a grating that moves over 16 pixels."""
    duration = period * 5 // 2
    times = np.arange(0, duration + 1, step_us)
    shifts = 0.05 + 2 * math.pi * np.arange(16) / 16
    film = 100 * (1 + 0.7 * np.sin(2 * math.pi * times[:, None] / period + shifts))
    events = run(film[:, None, :], times, CLEAN, pool)
    return [
        (
            list(zip(events.t[events.x == x], events.p[events.x == x], strict=True)),
            grating_crossings(float(shifts[x]), duration, period, 100, 0.7, 0.2),
        )
        for x in range(16)
    ]


def grating_errors(step_us, pool, period=80_000):
    pairs = grating(step_us, pool, period)
    errors = []
    agreeing = 0
    for got, expected in pairs:
        if [p for _, p in got] == [p for _, p in expected]:
            agreeing += 1
            errors += [t - when for (t, _), (when, _) in zip(got, expected, strict=True)]
    return np.array(errors), agreeing


def test_grating_crossings_within_a_microsecond_at_fine_steps(pool):
    errors, agreeing = grating_errors(100, pool)
    # Every pixel has exactly one event per threshold crossing.
    assert agreeing == 16
    assert len(errors) > 300
    # Stamps are rounded up; a crossing beside an extremum is ill-conditioned.
    assert np.quantile(np.abs(errors - 0.5), 0.99) < 1.0
    assert np.abs(errors).max() < 3.0


def test_grating_error_falls_fourfold_per_halved_step(pool):
    errors = [grating_errors(step, pool, period=160_000) for step in (4000, 2000, 1000)]
    # A chord cuts off the tip of an extremum, and with it perhaps a crossing right there.
    assert all(agreeing >= 12 for _, agreeing in errors)
    medians = [np.median(np.abs(each - 0.5)) for each, _ in errors]
    for coarse, fine in itertools.pairwise(medians):
        assert 3.0 < coarse / fine < 5.0


def test_on_and_off_balance_over_whole_periods(pool):
    for got, _ in grating(500, pool):
        polarity = np.array([p for _, p in got])
        # 2.5 periods: one rise or fall more at most.
        assert abs(int(polarity.sum()) * 2 - len(polarity)) <= 9


@pytest.mark.parametrize("refractory_us", [100, 500, 3000])
def test_refractory_period_holds(refractory_us, pool):
    film = flicker(np.random.default_rng(2), 200, 5, 7)
    model = DvsModel(refractory_us=refractory_us, shot_hz=500.0, leak_hz=50.0, cutoff_hz=0.0)
    events = run(film, np.arange(200) * 1000, model, pool)
    pixel = events.y.astype(int) * 7 + events.x
    order = np.lexsort((events.t, pixel))
    same = np.diff(pixel[order]) == 0
    gaps = np.diff(events.t[order])[same]
    assert len(gaps) > 500
    assert gaps.min() >= refractory_us


def still(height, width, luminance, duration_us, step_us=5000):
    times = np.arange(0, duration_us + 1, step_us)
    return np.full((len(times), height, width), luminance, np.float32), times


def within_poisson(count, mean, sigmas=4.0):
    return abs(count - mean) <= sigmas * math.sqrt(mean) + 1


def test_leak_rate_over_ten_seeds(pool):
    film, times = still(16, 16, 120.0, 4_000_000, 20_000)
    model = DvsModel(leak_hz=2.0, leak_sigma=0.2, shot_hz=0.0, hot_share=0.0, refractory_us=0)
    counts = []
    for seed in range(10):
        events = run(film, times, model, pool, seed=seed)
        assert events.p.all()
        assert not events.signal.any()
        # Past the random start, each pixel fires at its own steady rate.
        counts.append(int((events.t > 2_000_000).sum()))
        # The spread over pixels adds to the variance of a sum of 256.
        assert within_poisson(counts[-1], 2.0 * 2.0 * 256, 5.0)
    assert within_poisson(sum(counts), 10 * 2.0 * 2.0 * 256, 5.0)


@pytest.mark.parametrize(("luminance", "share"), [(0.0, 1.0), (255.0, 0.25)])
def test_shot_noise_rate_and_balance_over_ten_seeds(luminance, share, pool):
    film, times = still(16, 16, luminance, 1_000_000, 20_000)
    model = DvsModel(leak_hz=0.0, shot_hz=4.0, hot_share=0.0, refractory_us=1)
    total = on = 0
    for seed in range(10):
        events = run(film, times, model, pool, seed=seed)
        assert not events.signal.any()
        assert within_poisson(len(events.t), 4.0 * share * 256)
        total += len(events.t)
        on += int(events.p.sum())
    assert within_poisson(total, 10 * 4.0 * share * 256)
    assert abs(on - total / 2) <= 4 * math.sqrt(total / 4)


def test_hot_and_dead_pixels(pool):
    film, times = still(40, 40, 100.0, 500_000)
    model = DvsModel(leak_hz=0.0, shot_hz=0.0, hot_share=0.05, hot_hz=200.0, dead_share=0.1)
    sensor = DvsSensor(SensorSize(40, 40), model, seed=4)
    hot = sensor.pixels[:, HOT] > 0
    dead = np.isinf(sensor.pixels[:, ON])
    assert 40 < hot.sum() < 120
    assert 100 < dead.sum() < 220
    events = run(film, times, model, pool, seed=4)
    fired = np.unique(events.y.astype(int) * 40 + events.x)
    assert set(fired) <= set(np.flatnonzero(hot))
    moving = flicker(np.random.default_rng(0), 100, 40, 40)
    events = run(moving, np.arange(100) * 1000, model, pool, seed=4)
    assert not dead[events.y.astype(int) * 40 + events.x].any()


def test_events_do_not_depend_on_bands_and_chunks(pool):
    film = flicker(np.random.default_rng(8), 80, 9, 11)
    labels = np.random.default_rng(1).integers(0, 19, film.shape).astype(np.uint8)
    times = np.arange(80) * 1500
    one = run(film, times, NOISY, pool, labels=labels)
    for bands, chunk in ((2, 79), (3, 7), (1, 1)):
        other = run(film, times, NOISY, pool, bands=bands, chunk=chunk, labels=labels)
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)
    assert (np.diff(one.t) >= 0).all()
    assert one.t.min() > 0
    assert one.t.max() <= times[-1]


def test_more_events_than_the_buffer_holds(pool):
    # One pixel, thousands of events in a chunk: the buffer starts at 4096 and has to grow.
    model = DvsModel(leak_hz=0.0, shot_hz=1e6, hot_share=0.0, refractory_us=0)
    film, times = still(1, 2, 0.0, 20_000)
    events = run(film, times, model, pool)
    assert within_poisson(len(events.t), 2 * 20_000)


def test_label_is_that_of_the_nearest_picture(pool):
    film = np.exp(np.linspace(0, 4, 21) + 3)[:, None, None] * np.ones((1, 1, 1))
    times = np.arange(21) * 1000
    labels = np.arange(21, dtype=np.uint8)[:, None, None]
    events = run(film, times, CLEAN, pool, labels=labels, chunk=3)
    assert len(events.t) == 19 or len(events.t) == 20
    assert (np.abs(events.label.astype(int) * 1000 - events.t) <= 501).all()


def test_voltmeter_drifts_on_in_the_light(pool):
    film, times = still(12, 12, 200.0, 6_000_000, 20_000)
    model = DvsModel(voltmeter=Voltmeter(), hot_share=0.0, refractory_us=0)
    events = run(film, times, model, pool)
    # Drift k4 + k5 L in thresholds per us; the walk is small beside it.
    expected = (1e-7 + 5e-9 * 200) * 3e6 * 144
    assert abs((events.t > 3_000_000).sum() - expected) < 0.1 * expected
    assert events.p.mean() > 0.95
    assert not events.signal.any()
