"""Adaptive sampling of a film: each tile is rendered only as often as its brightness bends.

A stretch of time is halved where the picture in its middle is not on the straight line between
those at its ends: there the sensor, which joins pictures by straight lines, would see other
crossing times. Tiles that stay straight, such as sky, road and plain walls, are rendered seldom,
those that edges move over as often as the finest step allows.
"""

from __future__ import annotations

import math
from concurrent.futures import Executor

import numpy as np
from numpy.typing import NDArray

from eventseg.events import SensorSize
from eventseg.kernels.compiled import vectorised
from eventseg.simulate.scene.film import PartialFilm
from eventseg.simulate.sensor.dvs_kernel import Seen

TILE = SensorSize(8, 16)
"""Size of a tile in pixels."""

COARSE_US = 16_000
"""Longest time between two renders of a tile; vibration turns no faster than every 16 ms."""

DARK = np.float32(5.0)
"""Added to luminances before their logarithm, as the sensor's response is linear in the dark."""


class Sampler:
    """Takes the pictures of a film that its brightness needs, stretch by stretch.

    Parameters
    ----------
    film : PartialFilm
    sensor : SensorSize
    step_us : int
        Shortest time between two renders of a tile.
    tolerance : float
        Largest distance of a picture from the straight line, in natural log units, that a tile is
        not rendered more often for.
    """

    def __init__(
        self, film: PartialFilm, sensor: SensorSize, *, step_us: int, tolerance: float
    ) -> None:
        self._film = film
        self._sensor = sensor
        self._step_us = step_us
        self._limit = np.float32(math.exp(2.0 * tolerance))
        self._coarse = 2 ** max(0, int(math.log2(COARSE_US / step_us)))
        self.room = 3 * self._coarse
        """Most pictures of a stretch."""
        down, across = (-(-pixels // tile) for pixels, tile in zip(sensor, TILE, strict=True))
        self._tiles = (down, across)
        self.rendered = 0
        """Pixels rendered so far."""

    def take(
        self,
        t_us: NDArray[np.int64],
        luminance: NDArray[np.float32],
        label: NDArray[np.uint8],
        pool: Executor,
    ) -> Seen:
        """Fill the pictures that tiles need, and return which these are.

        Parameters
        ----------
        t_us : int64 (K + 1,)
            Time of the picture before, and times at which there may be pictures.
        luminance, label : (K + 1, H, W)
            The first is that of the picture before; receive the others.
        pool : Executor
        """
        count = len(t_us) - 1
        steps = np.diff(t_us)
        # The last step of a recording may be shorter: it is not halved.
        even = count if steps[-1] == self._step_us else count - 1
        spans = [(k, k + self._coarse) for k in range(0, even - self._coarse + 1, self._coarse)]
        ends = [stop for _, stop in spans]
        rest = range(ends[-1] + 1 if ends else 1, count + 1)
        sampled = np.zeros((count + 1, *self._tiles), np.bool_)
        sampled[[*ends, *rest]] = True
        render = self._film.between(float(t_us[1]), float(t_us[-1]))

        def fill(k: int) -> None:
            wanted = np.repeat(np.repeat(sampled[k], TILE.height, 0), TILE.width, 1)
            wanted = np.ascontiguousarray(wanted[: self._sensor.height, : self._sensor.width])
            render(float(t_us[k]), wanted, luminance[k], label[k])

        list(pool.map(fill, [*ends, *rest]))
        bent = {span: np.ones(self._tiles, np.bool_) for span in spans}
        while bent:
            halves = {}
            for span, tiles in bent.items():
                if span[1] - span[0] > 1 and tiles.any():
                    sampled[sum(span) // 2] = tiles
                    halves[span] = tiles
            list(pool.map(fill, [sum(span) // 2 for span in halves]))
            bent = {}
            for (start, stop), tiles in halves.items():
                middle = (start + stop) // 2
                still = np.zeros_like(tiles)
                bent_tiles(
                    *(luminance[start], luminance[middle], luminance[stop]),
                    *(label[start], label[middle], label[stop]),
                    *(self._limit, tiles, still),
                )
                bent[start, middle] = bent[middle, stop] = still
        # Tiles at the edge are cut off.
        high = np.minimum(
            TILE.height, self._sensor.height - TILE.height * np.arange(self._tiles[0])
        )
        wide = np.minimum(TILE.width, self._sensor.width - TILE.width * np.arange(self._tiles[1]))
        self.rendered += int((sampled[1:] * (high[:, None] * wide)).sum())
        return self._seen(sampled[1:])

    def _seen(self, sampled: NDArray[np.bool_]) -> Seen:
        flat = sampled.reshape(len(sampled), -1).T
        counts = flat.sum(axis=1).astype(np.int32)
        # Sampled ones first, by time.
        pictures = np.argsort(~flat, axis=1, kind="stable").astype(np.int32)
        return Seen(
            np.ascontiguousarray(pictures),
            counts,
            self._sensor.width,
            TILE.width,
            TILE.height,
            self._tiles[1],
        )


@vectorised
def bent_tiles(
    before: NDArray[np.float32],
    now: NDArray[np.float32],
    after: NDArray[np.float32],
    label_before: NDArray[np.uint8],
    label_now: NDArray[np.uint8],
    label_after: NDArray[np.uint8],
    limit: np.float32,
    chosen: NDArray[np.bool_],
    bent: NDArray[np.bool_],
) -> None:
    """Mark those of the chosen tiles whose picture is not on the line from the one before to after.

    ``limit`` is exp(2 times the tolerance), as the square of the luminance is compared with the
    product of those at the ends. A class that changes bends a tile too, so that events get the
    class of their time.
    """
    height, width = now.shape
    high, wide = TILE
    for down in range(chosen.shape[0]):
        for across in range(chosen.shape[1]):
            if not chosen[down, across]:
                continue
            left, right = across * wide, min(width, (across + 1) * wide)
            for i in range(down * high, min(height, (down + 1) * high)):
                odd = False
                for j in range(left, right):
                    ends = (before[i, j] + DARK) * (after[i, j] + DARK)
                    square = (now[i, j] + DARK) * (now[i, j] + DARK)
                    moved = label_before[i, j] != label_now[i, j]
                    moved |= label_after[i, j] != label_now[i, j]
                    odd |= moved | (square > limit * ends) | (limit * square < ends)
                if odd:
                    bent[down, across] = True
                    break


@vectorised
def fill_between(luminance: NDArray[np.float32], seen: Seen, needed: NDArray[np.bool_]) -> None:
    """Fill what was not rendered of the needed pictures by straight lines between those that were.

    ``luminance`` is (K + 1, H, W), the first being the picture before; ``needed`` is (K,).
    """
    height, width = luminance.shape[1:]
    for tile in range(len(seen.counts)):
        top, left = tile // seen.across * seen.high, tile % seen.across * seen.wide
        bottom, right = min(height, top + seen.high), min(width, left + seen.wide)
        before = 0
        for n in range(seen.counts[tile]):
            after = seen.pictures[tile, n] + 1
            for k in range(before + 1, after):
                if not needed[k - 1]:
                    continue
                share = np.float32((k - before) / (after - before))
                for i in range(top, bottom):
                    for j in range(left, right):
                        low, high = luminance[before, i, j], luminance[after, i, j]
                        luminance[k, i, j] = low + share * (high - low)
            before = after
