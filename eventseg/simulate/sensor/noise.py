"""Hashed value noise and pulse trains that fade or blur with the footprint of a pixel.

A texture finer than a pixel would flicker into false events as it moves. So each octave of noise
is faded out before a pixel spans its period, and stripes are averaged over the pixel in closed
form.
"""

# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import numpy as np

from eventseg.kernels.compiled import inlined

ACROSS, DOWN, OTHER = 374761393, 668265263, 1274126177
"""Multipliers of the hash, for both coordinates and the seed; only the low 32 bits count."""

_MASK = 0xFFFFFFFF


@inlined
def lattice(i: int, j: int, seed: int) -> float:
    """Return a number in [0, 1) that depends on two integers and a seed only."""
    return mixed(i * ACROSS + j * DOWN + seed * OTHER)


def lattice_number(i: int, j: int, seed: int) -> float:
    """Return the number of ``lattice`` without compiled code."""
    return mixed.py_func(i * ACROSS + j * DOWN + seed * OTHER)


@inlined
def mixed(number: int) -> float:
    """Return a number in [0, 1) from the low 32 bits of an integer."""
    h = number & _MASK
    h = ((h ^ (h >> 15)) * 2246822519) & _MASK
    return ((h ^ (h >> 16)) & 0xFFFFFF) * (1.0 / 16777216.0)


@inlined
def value_noise(u: float, v: float, seed: int) -> float:
    """Return smooth noise in [0, 1) whose lattice has period 1 in both directions."""
    left, top = np.floor(u), np.floor(v)
    fu, fv = u - left, v - top
    fu = fu * fu * (3.0 - 2.0 * fu)
    fv = fv * fv * (3.0 - 2.0 * fv)
    # The numbers of ``lattice`` at the four corners.
    h = np.int64(left) * ACROSS + np.int64(top) * DOWN + seed * OTHER
    upper = mixed(h) * (1.0 - fu) + mixed(h + ACROSS) * fu
    lower = mixed(h + DOWN) * (1.0 - fu) + mixed(h + DOWN + ACROSS) * fu
    return upper * (1.0 - fv) + lower * fv


@inlined
def grain(u: float, v: float, footprint: float, seed: int, octaves: int) -> float:
    """Return octaves of noise around 0, each faded by the footprint.

    Coordinates and footprint are in periods of the coarsest octave. An octave counts fully while a
    pixel spans less than a quarter of its period and is gone at three quarters.
    """
    total, amplitude, frequency = 0.0, 0.5, 1.0
    for octave in range(octaves):
        fade = 1.5 - 2.0 * frequency * footprint
        noise = value_noise(u * frequency, v * frequency, seed + octave) - 0.5
        total += amplitude * min(1.0, fade) * noise if fade > 0.0 else 0.0
        amplitude *= 0.7
        frequency *= 3.1
    return total


@inlined
def stripe(x: float, footprint: float, low: float, high: float) -> float:
    """Return the share of a pixel centred at ``x`` that is in [low, high]."""
    half = 0.5 * footprint
    share = (min(high, x + half) - max(low, x - half)) / footprint
    return min(1.0, max(0.0, share))


@inlined
def pulses(x: float, footprint: float, period: float, width: float) -> float:
    """Return the share of a pixel at ``x`` covered by pulses on [k period, k period + width]."""
    high = (x + 0.5 * footprint) / period
    low = (x - 0.5 * footprint) / period
    duty = width / period
    n_high, n_low = np.floor(high), np.floor(low)
    covered = (n_high - n_low) * duty + min(high - n_high, duty) - min(low - n_low, duty)
    return covered * period / footprint
