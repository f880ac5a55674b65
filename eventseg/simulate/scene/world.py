"""The street as data: an endless row of objects and their places, drawn from a seed.

Along Z the street is cut into blocks (facades) and cells (things that stand); traffic and
pedestrians move in lanes of slots. Everything is a hash of its index and the seed, so any stretch
of the street at any time can be made alone, and memory does not grow with the drive.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from eventseg.simulate.scene import classes
from eventseg.simulate.scene.thin import plain_block, thin_cell
from eventseg.simulate.scene.things import OBJECT, make, unit

BLOCK_M = 14.0
CELL_M = 20.0
CROSSING_EVERY = 9
RARE_EVERY_M = 160.0
VIEW_M = 120.0

BLOCK = np.dtype(
    [
        ("near", "i4"),
        ("far", "i4"),
        ("strip", "i4"),
        ("height", "f8"),
        ("far_height", "f8"),
        ("albedo", "f8"),
        ("pitch", "f8"),
        ("duty", "f8"),
        ("seed", "i8"),
    ]
)
"""One block of one side: class of the near facade (-1 none), of the far one, of the strip before
it, heights in metres, and the window pattern."""


@dataclass(frozen=True)
class Lane:
    """A row of slots, ``spacing`` metres apart, that moves at ``speed`` along Z.

    ``kinds`` are (class, share) pairs; the remaining share of slots stays empty. ``headway`` keeps
    the lane empty that far ahead of the camera's mean position.
    """

    x: float
    speed: float
    spacing: float
    kinds: tuple[tuple[int, float], ...]
    headway: float = 0.0


@dataclass(frozen=True)
class World:
    """A street from a seed.

    Parameters
    ----------
    seed : int
        Everything follows from it.
    rare : bool
        Place every rare class within the first metres, and again every 160 m.
    speed : float
        Mean speed of the camera in m/s, which the traffic ahead of it keeps.
    crossing : bool
        Pedestrians cross in front of the camera all the time.
    plain : float, optional
        Share of plain facades of a street of version 2; None makes one of version 1.
    thin : float
        Density of thin occluders of a street of version 2.
    wired : bool
        Poles carry overhead wires, in a street of version 2.
    """

    seed: int
    rare: bool
    speed: float
    crossing: bool
    plain: float | None = None
    thin: float = 0.0
    wired: bool = False
    lanes: tuple[Lane, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lanes", _lanes(self.seed, self.speed))

    def blocks(self, z: float) -> tuple[NDArray[np.void], int]:
        """Return blocks (2, N) of the left and right side around ``z`` and the first's index."""
        first = math.floor((z - 3 * BLOCK_M) / BLOCK_M)
        count = 30
        table = np.zeros((2, count), BLOCK)
        for side in range(2):
            for k in range(count):
                row = _block(self.seed, side, first + k, self.rare)
                if self.plain is not None:
                    row = plain_block(row, self.seed, side, first + k, self.plain)
                table[side, k] = row
        return table, first

    def objects(self, t0_us: float, t1_us: float, z0: float, z1: float) -> NDArray[np.void]:
        """Return every object that can be seen from a camera on [z0, z1] during [t0, t1]."""
        low, high = z0 - 15.0, z1 + VIEW_M
        placed: list[NDArray[np.void]] = []
        for cell in range(math.floor(low / CELL_M), math.floor(high / CELL_M) + 1):
            placed.append(_cell(self.seed, cell, self.rare))
            if self.plain is not None:
                placed.append(thin_cell(self.seed, cell, self.thin, wired=self.wired))
        for index, lane in enumerate(self.lanes):
            shift = [lane.speed * t * 1e-6 for t in (t0_us, t1_us)]
            start = math.floor((low - max(shift)) / lane.spacing)
            for slot in range(start, math.floor((high - min(shift)) / lane.spacing) + 1):
                placed.append(_slot(self.seed, index, lane, slot, self.rare))
        if self.crossing:
            placed.append(_crossing(self.seed, self.speed, t0_us, t1_us))
        return np.concatenate(placed)


def _lanes(seed: int, speed: float) -> tuple[Lane, ...]:
    rng = np.random.default_rng([seed, 2])
    oncoming = -float(rng.uniform(8.0, 13.0))
    mixed = (
        (classes.CAR, 0.6),
        (classes.TRUCK, 0.08),
        (classes.BUS, 0.08),
        (classes.MOTORCYCLE, 0.08),
    )
    return (
        Lane(-1.75, oncoming, 34.0, mixed),
        Lane(1.75, speed, 38.0, mixed, headway=13.0),
        Lane(3.15, 4.5, 33.0, ((classes.BICYCLE, 0.35),)),
        Lane(6.3, 1.3, 9.0, ((classes.PERSON, 0.45),)),
        Lane(7.1, -1.2, 11.0, ((classes.PERSON, 0.45),)),
        Lane(-6.2, 1.2, 10.0, ((classes.PERSON, 0.45),)),
        Lane(-7.0, -1.4, 12.0, ((classes.PERSON, 0.45),)),
    )


@lru_cache(maxsize=4096)
def _block(seed: int, side: int, index: int, rare: bool) -> tuple[int | float, ...]:
    u = [unit(seed, 11, side, index, k) for k in range(8)]
    kinds = (
        (classes.BUILDING, 0.72),
        (classes.WALL, 0.81),
        (classes.FENCE, 0.90),
        (classes.VEGETATION, 1.0),
    )
    near = next(kind for kind, share in kinds if u[0] < share)
    phase = index % CROSSING_EVERY
    if rare:
        near = _rare_blocks(seed).get((side, phase), near)
    if phase == 6:
        near = -1
    height = {
        -1: 0.0,
        classes.BUILDING: 3.4 * math.floor(3 + 3 * u[1]) + 1.2,
        classes.WALL: 2.0 + 0.8 * u[1],
        classes.FENCE: 1.5 + 0.4 * u[1],
        classes.VEGETATION: 1.8 + 1.5 * u[1],
    }[near]
    albedo = {
        -1: 0.3,
        classes.BUILDING: 0.28 + 0.5 * u[2],
        classes.WALL: 0.3 + 0.3 * u[2],
        classes.FENCE: 0.25 + 0.4 * u[2],
        classes.VEGETATION: 0.22 + 0.1 * u[2],
    }[near]
    far = classes.VEGETATION if u[3] < 0.55 else classes.BUILDING
    strip = classes.SIDEWALK if near == classes.BUILDING else classes.TERRAIN
    if near == -1:
        strip = classes.ROAD
    far_height = 6.0 + (5.0 if far == classes.VEGETATION else 14.0) * u[4]
    return (
        near,
        far,
        strip,
        height,
        far_height,
        albedo,
        2.2 + 1.6 * u[5],
        0.4 + 0.25 * u[6],
        int(u[7] * 1e6),
    )


def _table(rows: list[tuple[int | float, ...]]) -> NDArray[np.void]:
    return np.array(rows, OBJECT)


@lru_cache(maxsize=1024)
def _cell(seed: int, cell: int, rare: bool) -> NDArray[np.void]:
    rows: list[tuple[int | float, ...]] = []
    z0 = cell * CELL_M
    for side in (-1, 1):
        u = [unit(seed, 23, cell, side + 1, k) for k in range(12)]
        key = (cell * 2 + side) * 64 + seed * 1009
        if cell % 2 == 0:
            rows += make(classes.POLE, side * 5.9, z0 + 4.0 * u[0], seed=key)
        if u[1] < 0.6:
            rows += make(classes.VEGETATION, side * 8.2, z0 + 12.0 * u[2], seed=key + 1)
        at_crossing = any(
            math.floor((z0 + step) / BLOCK_M) % CROSSING_EVERY == 6 for step in (0.0, 19.9)
        )
        for k, z in ((3, z0 + 4.0 + 3.0 * u[4]), (5, z0 + 12.0 + 3.0 * u[6])):
            taken = rare and _is_taken(seed, side, z)
            if u[k] < 0.5 and not at_crossing and not taken:
                rows += make(classes.CAR, side * 4.25, z, seed=key + k)
        if u[7] < 0.35:
            rows += make(classes.TRAFFIC_SIGN, side * 5.65, z0 + 9.0 + 6.0 * u[8], seed=key + 4)
        if u[9] < 0.2:
            rows += make(classes.BICYCLE, side * 8.9, z0 + 15.0 * u[10], seed=key + 5)
        if u[11] < 0.3:
            rows += make(classes.PERSON, side * 7.7, z0 + 40.0 * u[11], seed=key + 6)
    corner = (math.floor(z0 / BLOCK_M) // CROSSING_EVERY * CROSSING_EVERY + 6) * BLOCK_M
    if z0 <= corner - 1.0 < z0 + CELL_M:
        for side in (-1, 1):
            rows += make(classes.TRAFFIC_LIGHT, side * 5.6, corner - 1.0, seed=cell * 2 + side)
    if rare:
        for k, (label, x, z) in enumerate(_rare(seed)):
            lap = math.floor((z0 - z) / RARE_EVERY_M + 1.0)
            there = z + lap * RARE_EVERY_M
            if z0 <= there < z0 + CELL_M:
                rows += make(label, x, there, seed=seed * 31 + lap * 16 + k)
    return _table(rows) if rows else np.empty(0, OBJECT)


@lru_cache(maxsize=16)
def _rare(seed: int) -> tuple[tuple[int, float, float], ...]:
    """Return the objects that ``rare`` places first: class, x and z.

        The train and the rider come in lanes.

    The bus hides much of its side of the street, so objects that are easily hidden stand on the
    other.
    """
    rng = np.random.default_rng([seed, 6])
    bus = _bus_side(seed)
    parked = [(classes.TRUCK, -4.3 * bus), (classes.BUS, 4.2 * bus)]
    placed = [
        (classes.MOTORCYCLE, float(rng.choice([-4.1, 4.1])), 13.0 + 3.0 * float(rng.random()))
    ]
    for place, k in enumerate(rng.permutation(2)):
        placed.append((*parked[k], 28.0 + 14.0 * place + 4.0 * float(rng.random())))
    beside = [
        (classes.TRAFFIC_LIGHT, -5.6 * bus),
        *(
            (label, x * float(rng.choice([-1.0, 1.0])))
            for label, x in (
                (classes.BICYCLE, 5.9),
                (classes.TRAFFIC_SIGN, 5.6),
                (classes.PERSON, 6.5),
                (classes.VEGETATION, 8.2),
                (classes.POLE, 5.9),
            )
        ),
    ]
    for place, k in enumerate(rng.permutation(len(beside))):
        placed.append((*beside[k], 13.0 + 4.0 * (place + 0.6 * float(rng.random()))))
    return tuple(placed)


@lru_cache(maxsize=16)
def _rare_blocks(seed: int) -> dict[tuple[int, int], int]:
    """Return the class of the near facade of the blocks (side, phase) that ``rare`` settles."""
    rng = np.random.default_rng([seed, 7])
    kinds = rng.permutation([classes.FENCE, classes.WALL, classes.VEGETATION]).tolist()
    side = 1 if _bus_side(seed) < 0.0 else 0
    return {(side, phase): kind for phase, kind in enumerate(kinds, 1)}


def _bus_side(seed: int) -> float:
    return 1.0 if unit(seed, 37) < 0.5 else -1.0


def _is_taken(seed: int, side: int, z: float) -> bool:
    """Return whether something rare is parked about there."""
    for _, x, shift in _rare(seed):
        gap = (z - shift + 0.5 * RARE_EVERY_M) % RARE_EVERY_M - 0.5 * RARE_EVERY_M
        if side * x > 0.0 and abs(x) < 4.5 and abs(gap) < 9.0:
            return True
    return False


@lru_cache(maxsize=4096)
def _slot(seed: int, index: int, lane: Lane, slot: int, rare: bool) -> NDArray[np.void]:
    """Return the object in a slot of a lane, or None."""
    u = unit(seed, 29, index, slot, 0)
    z = (slot + 0.3 * unit(seed, 29, index, slot, 1)) * lane.spacing
    label, sought = -1, u
    for kind, share in lane.kinds:
        if sought < share:
            label = kind
            break
        sought -= share
    if rare and index == 0 and slot % 5 == 1:
        label, z = classes.TRAIN, (slot + 0.1 + 0.4 * u) * lane.spacing
    if rare and index == 2 and slot % 3 == 0:
        label, z = classes.BICYCLE, (slot + 0.3 + 0.3 * u) * lane.spacing
    if label < 0 or (lane.headway > 0.0 and -60.0 < z < lane.headway):
        return np.empty(0, OBJECT)
    # Walkers step out of line a little.
    x = lane.x + 0.3 * (unit(seed, 29, index, slot, 2) - 0.5)
    return _table(make(label, x, z, seed=seed * 61 + index * 7 + slot * 13, vz=lane.speed))


def _crossing(seed: int, speed: float, t0_us: float, t1_us: float) -> NDArray[np.void]:
    """Return pedestrians who cross 11 to 17 m ahead of where the camera will then be."""
    rows: list[tuple[int | float, ...]] = []
    every, walk = 1.6, 1.5
    for k in range(math.floor(t0_us * 1e-6 / every) - 6, math.floor(t1_us * 1e-6 / every) + 6):
        meeting = (k + 0.5) * every
        side = 1.0 if unit(seed, 31, k, 0) < 0.5 else -1.0
        z = speed * meeting + 11.0 + 6.0 * unit(seed, 31, k, 1)
        vx = side * walk
        rows += make(classes.PERSON, 1.75 - vx * meeting, z, seed=seed + 97 * k, vx=vx)
    return _table(rows)
