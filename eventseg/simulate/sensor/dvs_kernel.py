"""The event sensor: log response, low-pass, thresholds, exact crossing times, noise.

Each pixel lives alone. Between two renders its filtered log luminance runs straight, so the times
at which it crosses a threshold are exact (as in ESIM), never stacked at the step's start. Random
numbers hash (seed, pixel, draw), so nothing depends on threads, bands or chunks.

The model per pixel:

- response ``ln(max(L, K) / K) + min(L, K) / K``: linear below ``K``, logarithmic above, smooth
  to the first order where they meet (the idea of v2e);
- first-order low-pass whose cutoff grows with luminance, solved for a straight input;
- an event each time the change since the last one reaches the pixel's ON or OFF threshold;
- after an event the pixel is held in reset for the refractory period and then starts from the value
it
  sees at that moment;
- leak pulls towards ON at a steady rate, shot noise and hot pixels fire at random times (a Poisson
  process, ON and OFF alike), and like any event these reset the pixel.

With ``Voltmeter`` the response is ``ln(L + k2)``, and drift and a Brownian walk take the place of
leak and shot noise (Lin et al., DVS-Voltmeter, ECCV 2022, equations 10 and 11, in units of k1).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eventseg.kernels.compiled import vectorised


class Physics(NamedTuple):
    """The model's numbers as the kernel needs them; rates per us."""

    linear_below: float
    cutoff: float
    refractory: float
    shot: float
    offset: float
    drift: float
    drift_light: float
    walk: float
    walk_light: float


class Seen(NamedTuple):
    """Pictures that each pixel sees: those listed for its tile.

    pictures : int32 (T, K), by time, of which the first ``counts``, int32 (T,), count.
    width : columns of the sensor; wide, high : size of a tile; across : tiles in a row of tiles.
    """

    pictures: NDArray[np.int32]
    counts: NDArray[np.int32]
    width: int
    wide: int
    high: int
    across: int


def all_seen(count: int, height: int, width: int) -> Seen:
    """Return the list for a sensor that sees all of ``count`` pictures, as one tile."""
    pictures = np.arange(count, dtype=np.int32)[None]
    return Seen(pictures, np.array([count], np.int32), width, width, height, 1)


FED, FILTERED, REFERENCE, HEAD, NOISE, HAZARD, READY, DRAWS = range(8)
"""Columns of a pixel's state: response, low-passed response, its value at the last reset, head
start before the first event, noise gathered since the reset, what is left of the exponential draw
until the next noise event, time from which the pixel listens, random numbers drawn so far."""

ON, OFF, LEAK, HOT = range(4)
"""Columns of a pixel's own parameters: thresholds, leak and hot rate per us."""


@vectorised
def uniform(seed: int, pixel: int, draw: int) -> float:
    """Return a number in (0, 1) that depends on its three counters only (splitmix64)."""
    z = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(pixel)
    z = z * np.uint64(0xD1342543DE82EF95) + np.uint64(draw)
    for _ in range(2):
        z = z + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (float(z >> np.uint64(12)) + 0.5) * (1.0 / 4503599627370496.0)


@vectorised
def normal(seed: int, pixel: int, draw: int) -> float:
    """Return a standard normal number from draws ``draw`` and ``draw + 1`` (Box and Muller)."""
    radius = math.sqrt(-2.0 * math.log(uniform(seed, pixel, draw)))
    return radius * math.cos(2.0 * math.pi * uniform(seed, pixel, draw + 1))


@vectorised
def response(luminance: float, linear_below: float, offset: float) -> float:
    """Return the photoreceptor's response to a luminance."""
    if offset > 0.0:
        return math.log(luminance + offset)
    if luminance < linear_below:
        return luminance / linear_below
    return math.log(luminance / linear_below) + 1.0


@vectorised
def start_pixels(
    luminance: NDArray[np.float32],
    t_us: float,
    seed: int,
    random_phase: bool,
    physics: Physics,
    pixels: NDArray[np.float64],
    state: NDArray[np.float64],
) -> None:
    """Set every pixel to rest on one picture; draws taken before stay taken."""
    for pixel in range(luminance.shape[0]):
        draw = int(state[pixel, DRAWS])
        value = response(float(luminance[pixel]), physics.linear_below, physics.offset)
        gap = 0.0
        if random_phase and pixels[pixel, ON] < math.inf:
            span = pixels[pixel, ON] + pixels[pixel, OFF]
            gap = uniform(seed, pixel, draw) * span - pixels[pixel, OFF]
        state[pixel, FED] = value
        state[pixel, FILTERED] = value
        state[pixel, REFERENCE] = value
        # Counts as neither signal nor noise, and the first event clears it.
        state[pixel, HEAD] = gap
        state[pixel, NOISE] = 0.0
        state[pixel, HAZARD] = -math.log(uniform(seed, pixel, draw + 1))
        state[pixel, READY] = t_us
        state[pixel, DRAWS] = draw + 2


@vectorised
def run_pixels(
    luminance: NDArray[np.float32],
    label: NDArray[np.uint8],
    times: NDArray[np.float64],
    seen: Seen,
    first: int,
    last: int,
    seed: int,
    physics: Physics,
    pixels: NDArray[np.float64],
    state: NDArray[np.float64],
    out_t: NDArray[np.int64],
    out_pixel: NDArray[np.int32],
    out_p: NDArray[np.int8],
    out_label: NDArray[np.uint8],
    out_signal: NDArray[np.bool_],
) -> tuple[int, int]:
    """Run pixels ``first`` to ``last``; return where it stopped and the number of events.

    ``label`` has one picture more than ``luminance``, the first being the one seen before. Of the
    other pictures, each pixel sees those that ``seen`` lists for its tile. The function stops
    before the pixel whose events no longer fit and leaves that pixel's state alone. Times are
    rounded up to integer microseconds: a stamp never precedes its crossing, and light that happens
    in ``(times[0], times[-1]]`` is stamped there.
    """
    room = out_t.shape[0]
    count = 0
    for pixel in range(first, last):
        begun = count
        tile = pixel // seen.width // seen.high * seen.across + pixel % seen.width // seen.wide
        pictures, steps = seen.pictures[tile], seen.counts[tile]
        on, off = pixels[pixel, ON], pixels[pixel, OFF]
        if on == math.inf:
            continue
        leak, hot = pixels[pixel, LEAK], pixels[pixel, HOT]
        fed, filtered = state[pixel, FED], state[pixel, FILTERED]
        reference, head = state[pixel, REFERENCE], state[pixel, HEAD]
        noise, hazard = state[pixel, NOISE], state[pixel, HAZARD]
        ready, draw = state[pixel, READY], int(state[pixel, DRAWS])
        earlier, span, decay, k0 = -1.0, 0.0, 0.0, 0
        for step in range(steps):
            k = pictures[step]
            t0, t1 = times[k0], times[k + 1]
            dt = t1 - t0
            per_dt = 1.0 / dt
            light = float(luminance[k, pixel])
            s0, before = filtered, fed
            # Where nothing moves, the same numbers need not be computed again.
            same = light == earlier and dt == span
            if not same:
                fed = response(light, physics.linear_below, physics.offset)
            if physics.cutoff > 0.0:
                rate = physics.cutoff * (0.1 + 0.9 * min(1.0, light / 255.0)) * dt
                if not same:
                    decay = math.exp(-rate)
                # The answer of a first-order low-pass to a straight line from before to fed.
                lag = (fed - before) / rate
                filtered = fed - lag + (s0 - before + lag) * decay
            else:
                filtered = fed
            earlier, span = light, dt
            s1 = filtered
            n0 = noise
            grown = (leak + physics.drift + physics.drift_light * light) * dt
            if physics.walk > 0.0:
                sigma = physics.walk + physics.walk_light * math.sqrt(light) / (
                    light + physics.offset
                )
                grown += sigma * math.sqrt(dt) * normal(seed, pixel, draw)
                draw += 2
            slope_s, slope_n = (s1 - s0) * per_dt, grown * per_dt
            slope = slope_s + slope_n
            fire = physics.shot * (1.0 - 0.75 * min(1.0, light / 255.0)) + hot
            t = t0
            while True:
                if ready > t:
                    if ready >= t1:
                        break
                    # Reset ends within the step: listen from here.
                    t = ready
                    reference = s0 + slope_s * (t - t0)
                    n0 = -slope_n * (t - t0)
                gap = s0 - reference + head + n0 + slope * (t - t0)
                ahead = gap + slope * (t1 - t)
                if -off < ahead < on and fire * (t1 - t) < hazard:
                    hazard -= fire * (t1 - t)
                    break
                crossing = math.inf
                if slope > 0.0:
                    crossing = t + max(0.0, (on - gap) / slope)
                elif slope < 0.0:
                    crossing = t + max(0.0, (-off - gap) / slope)
                chance = t + hazard / fire if fire > 0.0 else math.inf
                when = min(crossing, chance)
                if when > t1:
                    hazard -= fire * (t1 - t)
                    break
                if count == room:
                    break
                hazard -= fire * (when - t)
                s_now = s0 + slope_s * (when - t0)
                if chance < crossing:
                    polarity = 1 if uniform(seed, pixel, draw) < 0.5 else 0
                    hazard = -math.log(uniform(seed, pixel, draw + 1))
                    draw += 2
                    signal = False
                else:
                    polarity = 1 if slope > 0.0 else 0
                    change = s_now - reference
                    stray = n0 + slope_n * (when - t0)
                    signal = change >= stray if polarity == 1 else change <= stray
                out_t[count] = math.ceil(when)
                out_pixel[count] = pixel
                out_p[count] = polarity
                out_label[count] = label[k + 1 if when - t0 > t1 - when else k0, pixel]
                out_signal[count] = signal
                count += 1
                t = when
                ready = when + physics.refractory
                reference = s_now
                head = 0.0
                n0 = -slope_n * (when - t0)
            if count == room:
                break
            noise = n0 + slope_n * dt
            k0 = k + 1
        if count == room:
            return pixel, begun
        state[pixel, FED], state[pixel, FILTERED] = fed, filtered
        state[pixel, REFERENCE], state[pixel, HEAD] = reference, head
        state[pixel, NOISE], state[pixel, HAZARD] = noise, hazard
        state[pixel, READY], state[pixel, DRAWS] = ready, draw
    return last, count


@vectorised
def sort_by_time(
    t: NDArray[np.int64], first_us: int, places: NDArray[np.int64], order: NDArray[np.int64]
) -> None:
    """Fill ``order`` with the stable order of times, of which ``places`` counts each microsecond.

    ``places`` is all 0, with one place for each time from ``first_us`` on and one more.
    """
    for n in range(len(t)):
        places[t[n] - first_us + 1] += 1
    for k in range(1, len(places)):
        places[k] += places[k - 1]
    for n in range(len(t)):
        place = places[t[n] - first_us]
        order[place] = n
        places[t[n] - first_us] = place + 1
