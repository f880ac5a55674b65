"""Hashed value noise and pulse trains that fade or blur with the footprint of a pixel.

A texture finer than a pixel would flicker into false events as it moves. So each octave of noise
is faded out before a pixel spans its period, and stripes are averaged over the pixel in closed
form.
"""

# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import math

from eventseg.kernels.compiled import compiled

_MASK = 0xFFFFFFFF


@compiled
def lattice(i: int, j: int, seed: int) -> float:
    """Return a number in [0, 1) that depends on two integers and a seed only."""
    h = (i * 374761393 + j * 668265263 + seed * 1274126177) & _MASK
    h = ((h ^ (h >> 15)) * 2246822519) & _MASK
    return ((h ^ (h >> 16)) & 0xFFFFFF) * (1.0 / 16777216.0)


@compiled
def value_noise(u: float, v: float, seed: int) -> float:
    """Return smooth noise in [0, 1) whose lattice has period 1 in both directions."""
    i, j = math.floor(u), math.floor(v)
    fu, fv = u - i, v - j
    i, j = int(i), int(j)
    fu = fu * fu * (3.0 - 2.0 * fu)
    fv = fv * fv * (3.0 - 2.0 * fv)
    top = lattice(i, j, seed) * (1.0 - fu) + lattice(i + 1, j, seed) * fu
    low = lattice(i, j + 1, seed) * (1.0 - fu) + lattice(i + 1, j + 1, seed) * fu
    return top * (1.0 - fv) + low * fv


@compiled
def grain(u: float, v: float, footprint: float, seed: int, octaves: int) -> float:
    """Return octaves of noise around 0, each faded by the footprint.

    Coordinates and footprint are in periods of the coarsest octave. An octave counts fully while a
    pixel spans less than a quarter of its period and gone at three quarters.
    """
    total, amplitude, frequency = 0.0, 0.5, 1.0
    for octave in range(octaves):
        fade = 1.5 - 2.0 * frequency * footprint
        if fade <= 0.0:
            break
        noise = value_noise(u * frequency, v * frequency, seed + octave) - 0.5
        total += amplitude * min(1.0, fade) * noise
        amplitude *= 0.7
        frequency *= 3.1
    return total


@compiled
def stripe(x: float, footprint: float, low: float, high: float) -> float:
    """Return the share of a pixel centred at ``x`` that is in [low, high]."""
    half = 0.5 * footprint
    share = (min(high, x + half) - max(low, x - half)) / footprint
    return min(1.0, max(0.0, share))


@compiled
def pulses(x: float, footprint: float, period: float, width: float) -> float:
    """Return the share of a pixel at ``x`` covered by pulses on [k period, k period + width]."""
    high = (x + 0.5 * footprint) / period
    low = (x - 0.5 * footprint) / period
    duty = width / period
    n_high, n_low = math.floor(high), math.floor(low)
    covered = (n_high - n_low) * duty + min(high - n_high, duty) - min(low - n_low, duty)
    return covered * period / footprint
