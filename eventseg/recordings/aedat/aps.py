"""Frames and inertial samples among the words of a DAVIS in AEDAT 2.

A frame is two readings of each pixel, before and after the exposure, in an order that differs from
chip to chip: readings are counted by pixel. A frame that lacks one is left out.
"""

# mypy: disable-error-code="untyped-decorator, no-any-return, assignment"

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eventseg.kernels.compiled import compiled
from eventseg.recordings.contents import IMU_DTYPE

FRAME_DTYPE = np.dtype(
    [
        ("first", "<i8"),  # number of its first word
        ("stop", "<i8"),  # number of the word after the last one
        ("t_start", "<i8"),
        ("t_end", "<i8"),
        ("exposure_start", "<i8"),
        ("exposure_end", "<i8"),
    ]
)
"""Index entry of a frame."""

RESETS, SIGNALS, FIRST, START, LAST_RESET, FIRST_SIGNAL, BROKEN, FOUND, OUTSIDE = range(9)
"""Places of the state: readings before and after the exposure, number and time of the first word,
times of the last reading before and the first one after the exposure, whether a reading came twice;
frames begun, and readings outside the sensor."""

STATES = 9

IMU_WORDS = 7
"""Words of an inertial sample: acceleration x y z, temperature, rotation x y z."""

IMU_FIELDS = ("ax", "ay", "az", "temperature", "gx", "gy", "gz")
PER_G, PER_DEGREE = 8192.0, 65.5
PER_CELSIUS, ZERO_CELSIUS = 340.0, 35.0
MIRRORED = ("ax", "gx", "gz")
"""Axes whose sign differs from that of the camera's axes."""


def new_state() -> NDArray[np.int64]:
    """Return the state before the first word, int64 (9,)."""
    return np.zeros(STATES, np.int64)


@compiled
def find_frames(
    addresses: NDArray[np.uint32],
    times: NDArray[np.int64],
    first_word: int,
    chip: tuple[int, int],
    seen: NDArray[np.uint8],
    state: NDArray[np.int64],
    frames: NDArray[np.int64],
) -> int:
    """Find the complete frames that end among some words.

    Parameters
    ----------
    addresses : uint32 (W,)
    times : int64 (W,)
        In us, -1 for damaged ones, whose readings do not count.
    first_word : int
        Number of the first word in the file.
    chip : (int, int)
        Height and width.
    seen : uint8 (H * W,)
        Bits 0 and 1 of each pixel: read before and after the exposure.
    state : int64 (9,)
        State before the first word, and afterwards that after the last one.
    frames : int64 (F, 6)
        Receives the fields of :data:`FRAME_DTYPE`; room for the words by twice the pixels and one.

    Returns
    -------
    int
        Number of frames found.
    """
    height, width = chip
    pixels = height * width
    n = 0
    for i in range(len(times)):
        word = np.int64(addresses[i])
        if word >> 31 == 0 or times[i] < 0:
            continue
        kind = (word >> 10) & 3
        if kind > 1:
            continue
        column, row = (word >> 12) & 0x3FF, (word >> 22) & 0x1FF
        if row >= height or column >= width:
            state[OUTSIDE] += 1
            continue
        place = row * width + column
        begun = state[RESETS] + state[SIGNALS] > 0
        if (kind == 0 and seen[place]) or not begun:
            # A pixel that was read already belongs to the next frame.
            seen[:] = 0
            state[RESETS] = state[SIGNALS] = state[BROKEN] = 0
            state[FIRST], state[START] = first_word + i, times[i]
            state[FOUND] += 1
        if kind == 0:
            seen[place] |= 1
            state[RESETS] += 1
            state[LAST_RESET] = times[i]
        else:
            state[BROKEN] |= seen[place] != 1
            seen[place] |= 2
            if state[SIGNALS] == 0:
                state[FIRST_SIGNAL] = times[i]
            state[SIGNALS] += 1
        if state[RESETS] == pixels and state[SIGNALS] == pixels and state[BROKEN] == 0:
            # Of a global shutter all pixels are reset when the exposure begins.
            shuttered = state[LAST_RESET] <= state[FIRST_SIGNAL]
            frames[n, 0], frames[n, 1] = state[FIRST], first_word + i + 1
            frames[n, 2], frames[n, 3] = state[START], times[i]
            frames[n, 4] = state[LAST_RESET] if shuttered else state[START]
            frames[n, 5] = state[FIRST_SIGNAL]
            n += 1
            seen[:] = 0
            state[RESETS] = state[SIGNALS] = 0
    return n


@compiled
def picture_of(addresses: NDArray[np.uint32], chip: tuple[int, int]) -> NDArray[np.uint16]:
    """Return the gray values of a frame, uint16 (H, W): 10 bits of the converter shifted by 6."""
    height, width = chip
    before, after = np.zeros((height, width), np.int64), np.zeros((height, width), np.int64)
    for i in range(len(addresses)):
        word = np.int64(addresses[i])
        kind, column, row = (word >> 10) & 3, (word >> 12) & 0x3FF, (word >> 22) & 0x1FF
        if word >> 31 and kind <= 1 and row < height and column < width:
            if kind == 0:
                before[height - 1 - row, column] = word & 0x3FF
            else:
                after[height - 1 - row, column] = word & 0x3FF
    picture = np.zeros((height, width), np.uint16)
    for row in range(height):
        for column in range(width):
            picture[row, column] = max(0, before[row, column] - after[row, column]) << 6
    return picture


def imu_of(addresses: NDArray[np.uint32], times: NDArray[np.int64]) -> tuple[NDArray[np.void], int]:
    """Return the inertial samples of all words of such, and the number of stray words.

    The scales are those of the cameras' default settings, which are not in the file.
    """
    code = (addresses >> 28 & 7).astype(np.int64)
    value = (addresses >> 12 & 0xFFFF).astype(np.uint16).view(np.int16).astype(np.float32)
    n = len(code) - IMU_WORDS + 1
    if n < 1:
        return np.empty(0, IMU_DTYPE), len(code)
    whole = np.ones(n, np.bool_)
    for k in range(IMU_WORDS):
        whole &= (code[k : k + n] == k) & (times[k : k + n] == times[:n])
    begins = np.flatnonzero(whole)
    samples = np.empty(len(begins), IMU_DTYPE)
    samples["t"] = times[begins]
    for k, name in enumerate(IMU_FIELDS):
        stored = value[begins + k]
        if name == "temperature":
            samples[name] = stored / PER_CELSIUS + ZERO_CELSIUS
        else:
            samples[name] = stored / (PER_G if name.startswith("a") else PER_DEGREE)
    for name in MIRRORED:
        samples[name] *= -1
    return samples[np.argsort(samples["t"], kind="stable")], len(code) - IMU_WORDS * len(begins)
