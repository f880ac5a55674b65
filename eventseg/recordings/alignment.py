"""Agreement of events and frames over a shift in time and in space, which tells misalignment.

A sensor's events lie on the edges that move, and so do the gradients of a frame that is exposed
meanwhile. Stamps that are off, a frame buffer that lags, or two optical paths show as a best shift
that is far from zero. Events follow the light by some milliseconds, as a pixel fires after its
light has changed and answers slowly in the dark: sound recordings have a shift of 3 to 15 ms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from eventseg.errors import RecordingError
from eventseg.files.texts import counted
from eventseg.recordings.base import Recording

STEP_US = 2_500
"""Distance of the shifts that are tried."""

BLUR_PX = 1.5
"""Deviation of the smoothing of gradients, in pixels."""

SOUND_US = (-2_500, 20_000)
"""Best shifts of recordings whose stamps are right."""

FEWEST_EVENTS, FEWEST_FRAMES = 500, 5
"""Events about a frame, and such frames, that tell anything."""

DRAWS = 200

LEAST_GAIN = 1e-3
"""Gain in correlation for which a larger shift in space is believed."""

CERTAIN_US = 10_000
"""Widest 95 % interval of an offset that is called certain."""


@dataclass(frozen=True, eq=False, slots=True)
class Alignment:
    """Agreement of events and frames over shifts.

    Parameters
    ----------
    shifts_us : int64 (S,)
        Time that is added to the stamps of the frames.
    agreement : float64 (S,)
        Mean over the frames of the correlation between events and gradients.
    each : float64 (F, S)
        That of each frame.
    offset_us : int
        Best shift, between the steps: the time that the stamps of the frames lack.
    interval_us : (int, int)
        95 % interval of the best shift over draws of frames.
    pixels : (int, int)
        Rows and columns by which the events lie off the frame at the best shift.
    frames : int64 (F,)
        Numbers of the frames that were used.
    """

    shifts_us: NDArray[np.int64]
    agreement: NDArray[np.float64]
    each: NDArray[np.float64]
    offset_us: int
    interval_us: tuple[int, int]
    pixels: tuple[int, int]
    frames: NDArray[np.int64]

    @property
    def certain(self) -> bool:
        """Whether the interval is narrow and the best shift is within the range."""
        low, high = self.interval_us
        inside = self.shifts_us[0] < self.offset_us < self.shifts_us[-1]
        return bool(inside and high - low <= CERTAIN_US)

    @property
    def sound(self) -> bool:
        """Whether the best shift is one of recordings whose stamps are right."""
        return SOUND_US[0] <= self.offset_us <= SOUND_US[1]

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON holds it."""
        return {
            "offset_us": self.offset_us,
            "sound": self.sound,
            "interval_us": list(self.interval_us),
            "certain": self.certain,
            "pixels": list(self.pixels),
            "frames": len(self.frames),
            "shifts_us": self.shifts_us.tolist(),
            "agreement": [round(float(value), 5) for value in self.agreement],
        }

    def lines(self) -> list[str]:
        """Return the result as lines for people."""
        low, high = (value / 1e3 for value in self.interval_us)
        best, at_zero = self.agreement.max(), np.interp(0, self.shifts_us, self.agreement)
        if not self.certain:
            verdict = "uncertain: too little moves, or the shift lies beyond the range"
        elif self.sound:
            verdict = "as on sound recordings, since events follow the light"
        else:
            verdict = (
                "misaligned: add it to the stamps of the frames, "
                f"encode --shift-frames {self.offset_us / 1e3:.1f}ms"
            )
        down, right = self.pixels
        return [
            f"events and frames agree best with frames {self.offset_us / 1e3:+.1f} ms later "
            f"(95 % {low:+.1f} to {high:+.1f} ms)",
            f"  {verdict}",
            f"  agreement {best:.3f} at the best shift, {at_zero:.3f} as they are, "
            f"{counted(len(self.frames), 'frame')}",
            f"  events lie {down:+d} rows and {right:+d} columns off the frames",
        ]


def align(
    recording: Recording,
    *,
    range_us: int = 100_000,
    window_us: int = 20_000,
    most_frames: int = 60,
    most_pixels: int = 4,
    progress: Callable[[int, int], None] | None = None,
) -> Alignment:
    """Measure by how much the stamps of the frames are off.

    For each of some frames and each shift s, the events within `window_us` about the middle of the
    exposure plus s are counted by pixel; their square roots are correlated with the size of the
    frame's gradient. The shift of the highest mean correlation is the offset: adding it to the
    stamps aligns them. The interval comes from draws of frames with replacement.

    Parameters
    ----------
    recording : Recording
        With frames.
    range_us : int
        Largest shift, either way, in us.
    window_us : int
        Length of the windows in us.
    most_frames : int
        Frames to use, spread over the recording.
    most_pixels : int
        Largest shift in space, either way.
    progress : callable, optional
        Called with the frames done and all frames.

    Raises
    ------
    RecordingError
        No frames, or too few of them with events about them.
    """
    frames = recording.frames
    if not len(frames):
        raise RecordingError(f"{recording.name} has no frames to align its events with")
    middle = (frames.exposure_start_us + frames.exposure_end_us) // 2
    reach = range_us + window_us // 2 + STEP_US
    whole = np.flatnonzero(
        (middle - reach >= recording.t_first_us) & (middle + reach <= recording.t_last_us)
    )
    chosen = (
        whole[np.unique(np.linspace(0, len(whole) - 1, most_frames).astype(int))]
        if len(whole)
        else whole
    )
    steps = range_us // STEP_US
    shifts = np.arange(-steps, steps + 1) * STEP_US
    each, used, pictures = [], [], []
    for done, i in enumerate(chosen.tolist()):
        if progress is not None:
            progress(done, len(chosen))
        counts = _counts(recording, int(middle[i]), shifts, window_us)
        if counts.sum(axis=(1, 2)).min() < FEWEST_EVENTS:
            continue
        edges = _edges(frames.image(i))
        roots = np.sqrt(counts)
        each.append(_correlation(roots, edges))
        used.append(i)
        pictures.append((roots, edges))
        if len(pictures) > most_frames // 4:
            pictures.pop(0)
    if progress is not None:
        progress(len(chosen), len(chosen))
    if len(used) < FEWEST_FRAMES:
        raise RecordingError(
            f"{recording.name}: {len(used)} of {len(frames)} frames have events all about them; "
            f"{FEWEST_FRAMES} are needed: a shorter --range, or a recording in which more moves"
        )
    table = np.array(each)
    offset = _peak(shifts, table.mean(0))
    rng = np.random.default_rng(0)
    draws = rng.integers(0, len(table), (DRAWS, len(table)))
    found = [_peak(shifts, table[draw].mean(0)) for draw in draws]
    low, high = np.percentile(found, [2.5, 97.5])
    best = int(np.argmin(np.abs(shifts - offset)))
    return Alignment(
        shifts,
        table.mean(0),
        table,
        round(offset),
        (round(low), round(high)),
        _pixels([(roots[best], edges) for roots, edges in pictures], most_pixels),
        np.array(used, np.int64),
    )


def _counts(
    recording: Recording, middle_us: int, shifts: NDArray[np.int64], window_us: int
) -> NDArray[np.float32]:
    """Return events by pixel in the window about each shift, float32 (S, H, W)."""
    height, width = recording.sensor
    half = max(1, window_us // (2 * STEP_US))
    begin = middle_us + int(shifts[0]) - half * STEP_US
    bins = len(shifts) - 1 + 2 * half
    events = recording.events(begin, begin + bins * STEP_US)
    place = (events.t - begin) // STEP_US * (height * width)
    place += events.y.astype(np.int64) * width + events.x
    total = np.bincount(place, minlength=bins * height * width).reshape(bins, height, width)
    # Sums of neighbouring bins are differences of the running sum.
    running = np.concatenate([np.zeros((1, height, width), np.int64), np.cumsum(total, axis=0)])
    windows: NDArray[np.float32] = (running[2 * half :] - running[: -2 * half]).astype(np.float32)
    return windows


def _edges(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the size of the gradient of the logarithm of a frame, to which a sensor answers."""
    log = np.log1p(image.astype(np.float32))
    edges: NDArray[np.float32] = ndimage.gaussian_gradient_magnitude(log, BLUR_PX)
    return edges


def _correlation(images: NDArray[np.float32], edges: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return Pearson's correlation of each image with the edges, float64 (S,)."""
    flat = images.reshape(len(images), -1)
    other = edges.ravel() - edges.mean(dtype=np.float64)
    # The mean of the images drops out of the product, since that of the edges is zero.
    products = (flat @ other.astype(np.float32)).astype(np.float64)
    spreads = flat.std(axis=1, dtype=np.float64) * np.sqrt(flat.shape[1])
    correlation: NDArray[np.float64] = products / np.maximum(spreads * np.linalg.norm(other), 1e-12)
    return correlation


def _peak(shifts: NDArray[np.int64], agreement: NDArray[np.float64]) -> float:
    """Return where the parabola through the highest value and its neighbours has its top."""
    k = int(np.argmax(agreement))
    if k in (0, len(shifts) - 1):
        return float(shifts[k])
    left, top, right = agreement[k - 1 : k + 2]
    curve = left - 2 * top + right
    return float(shifts[k]) + (STEP_US * 0.5 * (left - right) / curve if curve < 0 else 0.0)


def _pixels(
    pairs: list[tuple[NDArray[np.float32], NDArray[np.float32]]], most: int
) -> tuple[int, int]:
    """Return the shift of the events against the frames with the highest agreement."""
    best, found = -np.inf, (0, 0)
    steps = [(down, right) for down in range(-most, most + 1) for right in range(-most, most + 1)]
    # The nearest first: along a straight edge all places agree alike.
    for down, right in sorted(steps, key=lambda step: (abs(step[0]) + abs(step[1]), step)):
        total = 0.0
        for events, edges in pairs:
            height, width = edges.shape
            moved = events[
                max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)
            ]
            there = edges[
                max(0, -down) : height + min(0, -down), max(0, -right) : width + min(0, -right)
            ]
            total += float(_correlation(moved[None], there)[0])
        if total > best + LEAST_GAIN * len(pairs):
            best, found = total, (down, right)
    return found
