"""Overhead wires, thinner than a pixel: the share of each pixel that they darken."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eventseg.kernels.compiled import vectorised
from eventseg.simulate.scene.batch import COVER, DX, DY, DZ, S
from eventseg.simulate.scene.camera import Pose
from eventseg.simulate.sensor.noise import stripe

WIRE_M, WIRE_SPAN_M, WIRE_SAG_M = 0.012, 20.0, 0.5
"""Radius of a wire, distance of the poles that it hangs on, and how far it sags between them."""


@vectorised
def cover(wires: int, pose: Pose, batch: NDArray[np.float64], count: int) -> None:
    """Fill the share of each pixel that overhead wires before its hit cover.

    The share is averaged over the pixel, so that wires thinner than a pixel do not flicker.
    """
    px, py, pz = pose.position[0], pose.position[1], pose.position[2]
    pixel = 1.0 / pose.focal
    for n in range(np.uint64(count)):
        batch[n + COVER] = 0.0
    for k in range(wires):
        x = (5.7 if k % 2 == 0 else -5.7) - px
        high = 6.1 + 0.45 * (k // 2)
        for n in range(np.uint64(count)):
            dx, dy, dz = batch[n + DX], batch[n + DY], batch[n + DZ]
            at = x / dx
            seen = dy > 0.0 and x * dx > 1e-9 and at < batch[n + S] and at <= 60.0
            share = (pz + at * dz) / WIRE_SPAN_M
            share -= np.floor(share)
            y = high - 4.0 * WIRE_SAG_M * share * (1.0 - share)
            # The wire runs away from the camera: within a pixel its height changes with the slant.
            wide = at * pixel * np.sqrt(1.0 + (dy / dx) * (dy / dx))
            part = stripe(py + at * dy - y, wide, -WIRE_M, WIRE_M) * (1.0 - at / 60.0)
            batch[n + COVER] += part if seen else 0.0
    for n in range(np.uint64(count)):
        batch[n + COVER] = min(1.0, batch[n + COVER])
