"""Conversion of a recording into another format."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import OutputError, RecordingError
from eventseg.events import EventStream, SensorSize
from eventseg.files.whole import check_folder, write_whole
from eventseg.recordings.base import Recording
from eventseg.recordings.choices import NO_CHOICES, FileChoices
from eventseg.recordings.contents import Frames, seconds
from eventseg.recordings.ddd17.layout import WRAP_US
from eventseg.recordings.ddd17.packets import MAX_OVERFLOW
from eventseg.recordings.formats import open_recording
from eventseg.recordings.progress import Progress, Report, no_report
from eventseg.recordings.truth import TRUTH_SUFFIX, truth_path
from eventseg.recordings.truth_pair import finished_pair
from eventseg.recordings.writers.aedat4 import compressor, write_aedat4
from eventseg.recordings.writers.columns import write_hdf5, write_npz, write_text
from eventseg.recordings.writers.conversion import TRUE_MAPS, Conversion
from eventseg.recordings.writers.ddd17 import CLOCK_KINDS, NEVER_US, write_ddd17
from eventseg.recordings.writers.evt3 import MODULUS_US, MOST_SIDE, write_evt3
from eventseg.recordings.writers.leftovers import remove_stale
from eventseg.recordings.writers.truth import copy_truth, plan_truth

WRITTEN = {
    ".hdf5": "the layout of DDD17, with frames, inertial samples, special events, signals",
    ".aedat4": "AEDAT 4 with LZ4, with frames, inertial samples and special events",
    ".raw": "Prophesee RAW of EVT3",
    ".h5": "columns in HDF5: events/{t,x,y,p} and ms_to_idx",
    ".npz": "columns in a NumPy archive",
    ".csv": "columns in text",
}
"""Formats that are written, by the suffix of the file."""

EVENTS_AT_ONCE = 200_000

NPZ_PASSES = 4
"""Times that the events are read for an archive, whose columns stand one behind the other."""

FOREIGN_US = MAX_OVERFLOW * WRAP_US // 2
"""Time from the events at which other contents are those of another clock."""

KINDS = ("frames", "imu", "specials", "signals")
"""Contents besides events, as writers count them; other counts are of what is lost of them."""

FRAMED = (".hdf5", ".aedat4")
"""Formats with frames, beside which truth files have a meaning."""


def check_sensor(suffix: str, sensor: SensorSize) -> None:
    """Raise an OutputError for a sensor that is too large for the format of a suffix."""
    if suffix == ".aedat4" and max(sensor) > 2**15:
        raise OutputError(f"AEDAT 4 holds at most {2**15} rows and columns, here are {sensor}")
    if suffix == ".raw" and max(sensor) > MOST_SIDE:
        raise OutputError(f"EVT3 holds at most {MOST_SIDE} rows and columns, here are {sensor}")


def convert(
    source: str | Path | Recording,
    out: str | Path,
    *,
    begin_us: int = 0,
    end_us: int | None = None,
    sensor: SensorSize | None = None,
    rotate180: bool = False,
    choices: FileChoices = NO_CHOICES,
    overwrite: bool = False,
    progress: Report = no_report,
) -> Conversion:
    """Write a recording, or a part of it, in the format that the suffix of a file names.

    Events are written in order of time in constant memory, and the file has its name only when it
    is complete. Read back, they are the same events in the same order; their times too, but for
    `shift_us` where the format has no room for them.

    Parameters
    ----------
    source : path or Recording
    out : path
        With a suffix of :data:`WRITTEN`.
    begin_us, end_us : int
        Part of the recording in us from its first event on; by default all of it.
    sensor : SensorSize, optional
        Size of the sensor of a source that does not say it.
    rotate180 : bool
        Turn events and frames by 180 degrees. Inertial samples stay as they are, and the truth of
        a simulated recording stays behind.
    choices : FileChoices
        Camera, unit of times and shift of the frames of the source.
    overwrite : bool
        Replace a file of that name.
    progress : callable
        Called with the events written and all events.

    Raises
    ------
    RecordingError
        The source cannot be read, or has no event in the part.
    OutputError
        An unknown suffix, a sensor that the format cannot hold, a file that is there already, or
        that cannot be written.

    Examples
    --------
    >>> convert("drive.hdf5", "drive.raw").lost["frames"]
    18
    """
    path = Path(out)
    if path.suffix.lower() not in WRITTEN:
        known = "; ".join(f"{suffix} {what}" for suffix, what in WRITTEN.items())
        raise OutputError(f"{path}: the suffix {path.suffix!r} is none that is written: {known}")
    if path.name.lower().endswith(TRUTH_SUFFIX):
        raise OutputError(f"{path} has the ending of truth files; give another name")
    if path.exists() and not overwrite:
        raise OutputError(f"{path} is there already; give another name, or --overwrite")
    check_folder(path.parent)
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(source, Recording):
        return _converted(source, path, begin_us, end_us, overwrite, progress)
    if path.exists() and path.samefile(source):
        raise OutputError(f"{path} is the source itself; give another name")
    with open_recording(
        source, sensor=sensor, rotate180=rotate180, **choices.arguments
    ) as recording:
        result = _converted(recording, path, begin_us, end_us, overwrite, progress)
    remove_stale(path)
    return result


def _converted(
    recording: Recording,
    path: Path,
    begin_us: int,
    end_us: int | None,
    overwrite: bool,
    progress: Report,
) -> Conversion:
    kind, sensor = path.suffix.lower(), recording.sensor
    t0_us = recording.t_first_us + begin_us
    t1_us = recording.t_last_us + 1
    if end_us is not None:
        t1_us = min(t1_us, recording.t_first_us + end_us)
    if not recording.t_first_us <= t0_us < t1_us:
        length = seconds(recording.t_last_us - recording.t_first_us)
        raise RecordingError(f"{recording.name} has no events in that part; it lasts {length} s")
    check_sensor(kind, sensor)
    whole = (t0_us, t1_us) == (recording.t_first_us, recording.t_last_us + 1)
    count = recording.n_events if whole else _count(recording, t0_us, t1_us)
    if not count:
        raise RecordingError(f"{recording.name} has no events in that part")

    passes = NPZ_PASSES if kind == ".npz" else 1
    streamed = 0

    def spans() -> Iterator[EventStream]:
        nonlocal streamed
        for span in recording.stream(max_events=EVENTS_AT_ONCE, t0_us=t0_us, t1_us=t1_us):
            yield span
            streamed += len(span)
            progress(Progress("convert", streamed // passes, count, "event"))

    asked = (
        t0_us if begin_us else -NEVER_US,
        t1_us if end_us is not None else NEVER_US,
    )
    around = _around(recording, (t0_us, t1_us), asked)
    shift_us = _shift(kind, t0_us, around, recording.frames)
    chosen = _frames_in(recording.frames, around, zero_us=shift_us if kind == ".hdf5" else None)
    plan = plan_truth(recording, path, framed=kind in FRAMED, overwrite=overwrite)
    # Before hours of work.
    compress = compressor(path) if kind == ".aedat4" else None

    def write(place: Path) -> dict[str, int]:
        if kind == ".hdf5":
            return write_ddd17(
                place,
                recording,
                spans(),
                around=around,
                asked=asked,
                chosen=chosen,
                zero_us=shift_us,
            )
        held = {"frames": 0, "imu": 0, "specials": 0, "signals": 0}
        if compress is not None:

            def write_packets(file: BinaryIO) -> None:
                held.update(
                    write_aedat4(
                        file,
                        recording,
                        spans(),
                        around=around,
                        chosen=chosen,
                        zero_us=shift_us,
                        compress=compress,
                    )
                )

            write_whole(place, write_packets)
        elif kind == ".raw":
            write_whole(place, lambda file: write_evt3(file, spans(), sensor=sensor))
        elif kind == ".h5":
            write_whole(place, lambda file: write_hdf5(file, spans(), sensor=sensor))
        elif kind == ".npz":
            write_whole(place, lambda file: write_npz(file, spans, sensor=sensor, events=count))
        else:
            write_whole(place, lambda file: write_text(file, spans()))
        return held

    if plan.source is None:
        held = write(path)
        if plan.outdated is not None:
            plan.outdated.unlink(missing_ok=True)
    else:
        first = 0 if t0_us == recording.t_first_us else _count(recording, None, t0_us)
        with finished_pair(path, mark=f".{secrets.token_hex(5)}") as (partial, truth):
            held = write(partial)
            copy_truth(
                plan.source,
                truth,
                events=(first, first + count),
                frames=chosen,
                shift_us=shift_us,
            )
    return Conversion(
        path,
        WRITTEN[kind],
        count,
        held["frames"],
        held["imu"],
        held["specials"],
        _lost(recording, asked, held) | ({TRUE_MAPS: len(chosen)} if plan.left else {}),
        shift_us,
        None if plan.source is None else truth_path(path),
        plan.left,
        held["signals"],
        str(sensor) if kind == ".csv" else "",
    )


def _around(
    recording: Recording, events_us: tuple[int, int], asked_us: tuple[int, int]
) -> tuple[int, int]:
    """Return the span of all contents within the span that was asked for.

    Frames, inertial samples and special events may come before the first event and after the last
    one. Those of a clock that has nothing to do with that of the events are left out.
    """
    frames, specials = recording.frames, recording.specials
    specials = specials[specials["type"] >= CLOCK_KINDS]
    times = [frames.t_start_us[:1], frames.t_us[-1:], recording.imu()["t"], specials["t"]]
    t_us = np.concatenate(times)
    inside = (t_us >= asked_us[0]) & (t_us < asked_us[1])
    inside &= (t_us > events_us[1] - FOREIGN_US) & (t_us < events_us[0] + FOREIGN_US)
    t_us = t_us[inside]
    return (
        int(min(events_us[0], t_us.min(initial=events_us[0]))),
        int(max(events_us[1], t_us.max(initial=events_us[1] - 1) + 1)),
    )


def _shift(kind: str, t0_us: int, around: tuple[int, int], frames: Frames) -> int:
    """Return the time of the source that is 0 in a file of a format."""
    if kind == ".raw":
        return t0_us - t0_us % MODULUS_US
    if kind == ".aedat4":
        # Readers of that format leave out what has a negative time.
        return min(0, around[0])
    if kind != ".hdf5":
        return 0
    # Sensors of that format count from their start; a host's clock would be taken for damage.
    far = around[1] >= MAX_OVERFLOW * WRAP_US or around[0] < 0
    zero_us = around[0] if far else 0
    ends_us = np.maximum(frames.t_end_us, frames.exposure_end_us)
    chosen = _frames_in(frames, around, zero_us=zero_us)
    # Readers of that format take a frame that ends at 0 for one without a time stamp.
    return zero_us - int((ends_us[chosen] <= zero_us).any())


def _frames_in(
    frames: Frames, around: tuple[int, int], *, zero_us: int | None
) -> NDArray[np.int64]:
    """Return the numbers of the frames in a span, those that do not begin before the clock."""
    inside = (frames.t_us >= around[0]) & (frames.t_us < around[1])
    if zero_us is not None:
        inside &= frames.t_start_us >= zero_us
    return np.flatnonzero(inside)


def _count(recording: Recording, t0_us: int | None, t1_us: int) -> int:
    return sum(map(len, recording.stream(t0_us=t0_us, t1_us=t1_us)))


def _lost(recording: Recording, asked_us: tuple[int, int], held: dict[str, int]) -> dict[str, int]:
    """Return the numbers within the span that were not written, by kind."""

    def number(t_us: NDArray[np.int64]) -> int:
        return int(((t_us >= asked_us[0]) & (t_us < asked_us[1])).sum())

    there = {
        "frames": number(recording.frames.t_us) - held["frames"],
        "inertial samples": number(recording.imu()["t"]) - held["imu"],
        "special events": number(recording.specials["t"]) - held["specials"],
        "vehicle signals": sum(number(signal.t_us) > 0 for signal in recording.signals.values())
        - held["signals"],
        "restarts of the clock": len(recording.epochs) - 1,
        **{kind: count for kind, count in held.items() if kind not in KINDS},
    }
    return {kind: count for kind, count in there.items() if count}
