"""Frames, inertial samples and triggers of an HDF5 file, by the layout of its events."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import RecordingError
from eventseg.recordings.beside import (
    NO_FRAMES,
    NOTHING,
    Beside,
    at_one_time,
    imu_samples,
    trigger_specials,
)
from eventseg.recordings.hdf5.datasets import open_table
from eventseg.recordings.hdf5.filters import missing_filter
from eventseg.recordings.hdf5.objects import Hdf5File, UnsupportedError
from eventseg.recordings.hdf5.storage import DamageError
from eventseg.recordings.hdf5.tables import Table
from eventseg.recordings.packet_recording import MOST_PIXELS
from eventseg.recordings.pixels import StoredFrames, gray_values
from eventseg.recordings.table.columns import Meaning, times_in_us
from eventseg.recordings.table.layouts import Layout

MOST_FRAMES, MOST_SAMPLES = 2**24, 2**26
SECONDS = Meaning("s")


def beside(file: Hdf5File, layout: Layout, *, path: Path) -> Beside:
    """Return the data beside the events; damaged parts are left out, and a note tells so."""
    notes: list[str] = []
    frames, imu, specials = NO_FRAMES, NOTHING.imu, NOTHING.specials
    if layout.frames and (found := _tables(file, layout.frames, notes)):
        frames = _frames(found[0], found[1], layout.frames[0], path, notes)
    if layout.imu and (found := _tables(file, layout.imu, notes)):
        imu = _samples(found[0], found[1], layout.imu[0], notes)
    if layout.triggers and (found := _tables(file, (layout.triggers,), notes)):
        specials = _triggers(found[0], layout.triggers, notes)
    return Beside(frames, imu, specials, tuple(notes))


def _tables(file: Hdf5File, paths: tuple[str, ...], notes: list[str]) -> list[Table]:
    """Return the tables at some paths; none where one is missing or cannot be read."""
    found = []
    for path in paths:
        try:
            table = open_table(file, path)
        except (RecordingError, UnsupportedError) as error:
            notes.append(f"{path} is not read: {error}")
            return []
        reason = missing_filter(table.filters) if table is not None else None
        if table is None or reason is not None:
            notes.extend([f"{path} is not read: it is {reason}"] * (reason is not None))
            return []
        found.append(table)
    return found


def _times(table: Table, n: int) -> NDArray[np.int64] | None:
    """Return the times of `n` things in us, from a table of seconds; None where it has others."""
    if math.prod(table.shape) != n or table.dtype.kind not in "iuf":
        return None
    seconds = table.rows(0, n).reshape(-1)
    us, timed = times_in_us(seconds, SECONDS)
    return us if timed is None else np.where(timed, us, -1)


def _frames(pictures: Table, times: Table, name: str, path: Path, notes: list[str]) -> StoredFrames:
    shape, dtype = pictures.shape, pictures.dtype
    sound = len(shape) in (3, 4) and dtype.kind == "u" and dtype.itemsize <= 2
    sound = sound and 0 < shape[0] <= MOST_FRAMES and max(shape[1:3]) <= MOST_PIXELS
    if not sound or (len(shape) == 4 and shape[3] not in (3, 4)):
        notes.append(f"{name} is not read: {dtype} {shape} are no gray or RGB pictures")
        return NO_FRAMES
    try:
        stamps = _times(times, shape[0])
    except DamageError as error:
        notes.append(f"{name} is not read: {error}")
        return NO_FRAMES
    if stamps is None:
        notes.append(f"{name} is not read: {shape[0]:,} pictures have times {times.shape}")
        return NO_FRAMES
    timed = np.flatnonzero(stamps >= 0)
    if len(timed) < len(stamps):
        notes.append(f"{len(stamps) - len(timed):,} pictures of {name} have no time")

    def read(i: int) -> NDArray[np.uint16]:
        number = int(timed[i])
        try:
            stored: NDArray[Any] = pictures.rows(number, number + 1)[0]
        except DamageError as error:
            raise RecordingError(f"{path}: picture {number} cannot be read: {error}") from error
        return gray_values(stored)

    roi = np.array([0, 0, shape[1], shape[2]], np.int64)
    return StoredFrames(at_one_time(stamps[timed]), np.tile(roi, (len(timed), 1)), read)


def _samples(values: Table, times: Table, name: str, notes: list[str]) -> NDArray[np.void]:
    shape = values.shape
    if len(shape) != 2 or shape[1] != 6 or shape[0] > MOST_SAMPLES or values.dtype.kind != "f":
        notes.append(f"{name} is not read: {values.dtype} {shape} are no inertial samples (N, 6)")
        return NOTHING.imu
    try:
        stamps, stored = _times(times, shape[0]), values.rows(0, shape[0])
    except DamageError as error:
        notes.append(f"{name} is not read: {error}")
        return NOTHING.imu
    if stamps is None:
        notes.append(f"{name} is not read: {shape[0]:,} samples have times {times.shape}")
        return NOTHING.imu
    sound = (stamps >= 0) & np.isfinite(stored).all(axis=1)
    return imu_samples(stamps[sound], stored[sound, :3], stored[sound, 3:])


def _triggers(table: Table, name: str, notes: list[str]) -> NDArray[np.void]:
    names = set(table.dtype.names or ())
    if len(table.shape) != 1 or not {"t", "p", "id"} <= names or table.shape[0] > MOST_SAMPLES:
        notes.append(f"{name} is not read: it lacks the fields t, p and id")
        return NOTHING.specials
    try:
        stored = table.rows(0, table.shape[0])
    except DamageError as error:
        notes.append(f"{name} is not read: {error}")
        return NOTHING.specials
    channel = np.maximum(stored["id"].astype(np.int64), 0)
    return trigger_specials(stored["t"].astype(np.int64), stored["p"] > 0, channel)
