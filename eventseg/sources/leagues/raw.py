"""Raw recordings of DDD17 joined to directories of the ESS repack by time.

Nothing says which recording a directory was made of, nor how its clock relates to the recording's.
Both follow from the frames, whose intervals are those of one of a recording's four time stamps, and
are believed only if the events of the repack are those of the recording too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import RecordingError
from eventseg.events import EventStream
from eventseg.recordings import Recording, open_recording
from eventseg.recordings.contents import Frames
from eventseg.recordings.ess.events import SENSOR
from eventseg.sources.leagues.drives import EssDrive
from eventseg.splits import EVSEGNET_BIN_US, EVSEGNET_ROWS, evsegnet_rows

ENDINGS = (".hdf5", ".h5")

STAMPS: dict[str, Callable[[Frames], NDArray[np.int64]]] = {
    "end of exposure": lambda frames: frames.exposure_end_us,
    "end of frame": lambda frames: frames.t_end_us,
    "begin of exposure": lambda frames: frames.exposure_start_us,
    "begin of frame": lambda frames: frames.t_start_us,
}
"""Time stamps of a frame that an index may have taken."""

INTERVALS = 3
"""Consecutive intervals of frames that point to a place."""

CANDIDATES = 4
"""Offsets of each stamp that are compared by events."""

COMPARED = 12
"""Windows whose events are compared."""

COMPARED_US = 50_000

LEAST_SHARE = 0.5
"""Least share of frames and of events that a recording must have in common with a directory."""


@dataclass(frozen=True, slots=True)
class RawJoin:
    """Recording that a directory was made of.

    Parameters
    ----------
    path : Path
    stamp : str
        Time stamp of the recording's frames that the index took.
    offset_us : int
        Time on the recording's clock less that of the repack.
    frames_share : float
        Share of the directory's frames whose time the recording has.
    events_share : float
        Share of the directory's events, in the windows that were compared, that the recording has.
    more_events : int
        Events of the recording in those windows less those of the directory.
    """

    path: Path
    stamp: str
    offset_us: int
    frames_share: float
    events_share: float
    more_events: int

    def line(self, name: str) -> str:
        """Return the join of a directory as text."""
        return f"{name} is {self.facts()}, with {self.more_events:+,} events"

    def facts(self) -> str:
        """Return recording, offset and shares as text."""
        return (
            f"{self.path.stem}, whose clock is {self.offset_us:+} us off, by {self.stamp}: "
            f"{self.frames_share:.2%} of its frames and {self.events_share:.2%} of the events of "
            f"{COMPARED} windows are there"
        )


class RawDrive:
    """Raw recording in place of the events of a directory, on the clock of the directory.

    Parameters
    ----------
    path : Path
    offset_us : int
        As in :class:`RawJoin`.
    """

    def __init__(self, path: Path, offset_us: int) -> None:
        self.path = path
        self.offset_us = offset_us
        self._recording: Recording | None = None

    def window(self, place: int, t_us: int, window_us: int) -> EventStream:  # noqa: ARG002
        """Return the events of ``[t_us - window_us, t_us)``."""
        return self.between(t_us - window_us, t_us)

    def between(self, t0_us: int, t1_us: int) -> EventStream:
        """Return the events of ``[t0_us, t1_us)``."""
        return shifted_events(self._opened(), t0_us, t1_us, offset_us=self.offset_us)

    def limits_us(self) -> tuple[int, int]:
        """Return the times of the first and of the last event."""
        recording = self._opened()
        return recording.t_first_us - self.offset_us, recording.t_last_us - self.offset_us

    def close(self) -> None:
        """Close the file; it is opened again when it is needed."""
        if self._recording is not None:
            self._recording.close()
            self._recording = None

    def __reduce__(self) -> tuple[Callable[..., RawDrive], tuple[Path, int]]:
        return type(self), (self.path, self.offset_us)

    def _opened(self) -> Recording:
        if self._recording is None:
            self._recording = open_recording(self.path, sensor=SENSOR)
        return self._recording


def shifted_events(recording: Recording, t0_us: int, t1_us: int, *, offset_us: int) -> EventStream:
    """Return events of a recording in a span of another clock, with times of that clock."""
    found = recording.events(t0_us + offset_us, t1_us + offset_us)
    return EventStream(found.t - offset_us, found.x, found.y, found.p, SENSOR, t0_us, t1_us)


def raw_recordings(folder: Path) -> list[Path]:
    """Return the recordings in a folder, those of EV-SegNet first."""
    files = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in ENDINGS]
    sound = [path for path in files if not path.name.endswith(".truth.h5")]
    return sorted(sound, key=lambda path: path.stem not in EVSEGNET_ROWS)


def join_directories(
    drives: dict[str, EssDrive], paths: Sequence[Path]
) -> tuple[dict[str, RawJoin], list[str]]:
    """Find the recording of each directory.

    Returns
    -------
    dict of str to RawJoin
        The joins that are believed, by directory.
    list of str
        Faults: recordings that cannot be read, and directories without one.
    """
    found: dict[str, RawJoin] = {}
    best: dict[str, RawJoin] = {}
    problems = []
    for path in paths:
        if len(found) == len(drives):
            break
        try:
            with open_recording(path, sensor=SENSOR) as recording:
                for name, drive in drives.items():
                    if name in found:
                        continue
                    join = join_of(drive, recording)
                    if join is None:
                        continue
                    if min(join.frames_share, join.events_share) >= LEAST_SHARE:
                        found[name] = join
                    elif name not in best or join.frames_share > best[name].frames_share:
                        best[name] = join
        except RecordingError as error:
            problems.append(str(error))
    for name in drives:
        if name not in found:
            nearest = f"; the nearest is {best[name].facts()}" if name in best else ""
            problems.append(
                f"{name}: none of {len(paths)} raw recordings holds its frames and events{nearest}"
            )
    return found, problems


def join_of(drive: EssDrive, recording: Recording) -> RawJoin | None:
    """Return the best join of a directory and a recording; None where no frames point to one."""
    times_us = drive.index.frame_us
    joins = []
    for stamp, of in STAMPS.items():
        stamps_us = np.sort(of(recording.frames))
        for offset_us in likely_offsets(times_us, stamps_us):
            share = float(np.isin(times_us + offset_us, stamps_us).mean())
            # Events are read only where the frames speak for it.
            likely = share >= LEAST_SHARE
            same, count, more = _compare(drive, recording, offset_us) if likely else (0, 0, 0)
            joins.append(
                RawJoin(recording.path, stamp, offset_us, share, same / max(1, count), more)
            )
    return max(joins, key=lambda join: (join.events_share, join.frames_share), default=None)


def likely_offsets(times_us: NDArray[np.int64], stamps_us: NDArray[np.int64]) -> list[int]:
    """Return the offsets at which intervals of frames agree most often, the best first."""
    places: dict[tuple[int, ...], list[int]] = {}
    for k, key in enumerate(_keys(stamps_us)):
        places.setdefault(key, []).append(k)
    votes: Counter[int] = Counter()
    for k, key in enumerate(_keys(times_us)):
        # Frames at constant distances would point everywhere; a few places are enough.
        for place in places.get(key, ())[: 4 * CANDIDATES]:
            votes[int(stamps_us[place] - times_us[k])] += 1
    return [offset for offset, _ in votes.most_common(CANDIDATES)]


def rows_note(name: str, join: RawJoin, times_us: Sequence[int], *, t_first_us: int) -> str:
    """Return how the masks of a directory lie in the published rows of its recording, as text.

    Rows are counted in 50 ms from the first event, which after a reset of the clock drifts from
    the rows of the original export.
    """
    published = evsegnet_rows(join.path.stem, window_us=EVSEGNET_BIN_US)
    if published is None:
        return f"{name}: {join.path.stem} is none of the recordings of EV-SegNet"
    rows = [(t + join.offset_us - t_first_us) // EVSEGNET_BIN_US for t in times_us]
    inside = int(np.isin(rows, published).sum())
    without = len(published) - len(set(rows) & set(published.tolist()))
    return (
        f"{name}: {inside:,} of {len(rows):,} masks lie in published rows of {join.path.stem}, of "
        f"which {without:,} of {len(published):,} have no mask"
    )


def _keys(times_us: NDArray[np.int64]) -> list[tuple[int, ...]]:
    steps = np.diff(times_us).tolist()
    return [tuple(steps[k : k + INTERVALS]) for k in range(len(steps) - INTERVALS + 1)]


def _compare(drive: EssDrive, recording: Recording, offset_us: int) -> tuple[int, int, int]:
    """Return common events, those of the directory, and what the recording has more of them."""
    same = count = more = 0
    spread = np.linspace(0, len(drive.index) - 1, min(COMPARED, len(drive.index))).astype(int)
    for t_us in drive.index.frame_us[np.unique(spread)].tolist():
        ours = drive.between(t_us - COMPARED_US, t_us)
        first_us, last_us = t_us - COMPARED_US + offset_us, t_us + offset_us
        if last_us <= recording.t_first_us or first_us > recording.t_last_us:
            count, more = count + len(ours), more - len(ours)
            continue
        theirs = shifted_events(recording, t_us - COMPARED_US, t_us, offset_us=offset_us)
        same += _common(ours, theirs)
        count, more = count + len(ours), more + len(theirs) - len(ours)
    return same, count, more


def _common(ours: EventStream, theirs: EventStream) -> int:
    """Return the number of events that two streams of one span have in common."""

    def codes(events: EventStream) -> NDArray[np.int64]:
        place: NDArray[np.int64] = events.y.astype(np.int64) * SENSOR.width + events.x
        return np.asarray(
            ((events.t - events.t0_us) * SENSOR.height * SENSOR.width + place) * 2 + events.p
        )

    values, counts = np.unique(codes(ours), return_counts=True)
    others, of_others = np.unique(codes(theirs), return_counts=True)
    _, left, right = np.intersect1d(values, others, return_indices=True)
    return int(np.minimum(counts[left], of_others[right]).sum())
