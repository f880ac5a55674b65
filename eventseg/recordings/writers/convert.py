"""Conversion of a recording into another format, and a count of its losses."""

from __future__ import annotations

import contextlib
import glob
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from eventseg.errors import OutputError, RecordingError
from eventseg.events import EventStream, SensorSize
from eventseg.files import TEMPORARY, check_folder, write_whole
from eventseg.recordings.base import Recording
from eventseg.recordings.choices import NO_CHOICES, FileChoices
from eventseg.recordings.contents import seconds
from eventseg.recordings.ddd17.layout import WRAP_US
from eventseg.recordings.ddd17.packets import MAX_OVERFLOW
from eventseg.recordings.formats import open_recording
from eventseg.recordings.progress import Progress, Report, no_report
from eventseg.recordings.writers.aedat4 import compressor, write_aedat4
from eventseg.recordings.writers.columns import write_hdf5, write_npz, write_text
from eventseg.recordings.writers.ddd17 import write_ddd17
from eventseg.recordings.writers.evt3 import MODULUS_US, MOST_SIDE, write_evt3

WRITTEN = {
    ".hdf5": "the layout of DDD17, with frames, inertial samples and special events",
    ".aedat4": "AEDAT 4 with LZ4, with frames, inertial samples and special events",
    ".raw": "Prophesee RAW of EVT3",
    ".h5": "columns in HDF5: events/{t,x,y,p} and ms_to_idx",
    ".npz": "columns in a NumPy archive",
    ".csv": "columns in text",
}
"""Formats that are written, by the suffix of the file."""

EVENTS_AT_ONCE = 200_000

STALE_S = 60
"""Seconds without a write after which a half-written file is that of a killed conversion."""

PART = ".part"
"""Ending of a file in the layout of DDD17 that is being written."""

LEFT = re.compile(rf"\.[0-9a-f]+({re.escape(TEMPORARY)}|{re.escape(PART)})")
"""What the name of a file has behind it while it is being written."""

NPZ_PASSES = 4
"""Times that the events are read for an archive, whose columns stand one behind the other."""

KINDS = ("frames", "imu", "specials")
"""Contents besides events, as writers count them; other counts are of what is lost of them."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """Result of a conversion.

    Parameters
    ----------
    path : Path
        The new file.
    format : str
        Its format in words.
    events, frames, imu, specials : int
        Numbers written.
    lost : dict of int
        Numbers within the span that the new format has no place for, by kind.
    shift_us : int
        Time of the source that is 0 in the new file; 0 where times stay.
    """

    path: Path
    format: str
    events: int
    frames: int
    imu: int
    specials: int
    lost: dict[str, int]
    shift_us: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON holds it."""
        return {**asdict(self), "path": str(self.path)}

    def lines(self) -> list[str]:
        """Return the result as lines for people."""
        names = ("frames", "inertial samples", "special events")
        rest = zip(names, (self.frames, self.imu, self.specials), strict=True)
        more = "".join(f", {count:,} {name}" for name, count in rest if count)
        return [
            f"{self.path}: {self.events:,} events{more}; {self.format}",
            *loss_line(self.lost),
            *([f"  times are {self.shift_us:,} us less than in the source"] * bool(self.shift_us)),
        ]


def loss_line(lost: Mapping[str, int]) -> list[str]:
    """Return the line for people about what was lost; none where nothing was."""
    text = ", ".join(f"{count:,} {kind}" for kind, count in lost.items())
    return [f"  lost, as the format has no place for them: {text}"] if text else []


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
    if path.exists() and not overwrite:
        raise OutputError(f"{path} is there already; give another name, or --overwrite")
    check_folder(path.parent)
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(source, Recording):
        return _converted(source, path, begin_us, end_us, progress)
    if path.exists() and path.samefile(source):
        raise OutputError(f"{path} is the source itself; give another name")
    with open_recording(source, sensor=sensor, **choices.arguments) as recording:
        result = _converted(recording, path, begin_us, end_us, progress)
    _remove_stale(path)
    return result


def _remove_stale(path: Path) -> None:
    """Remove what killed conversions into a file have left beside it.

    An interrupt leaves nothing; a process that is killed cannot clean up.
    """
    for left in leftovers(path):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > STALE_S:
                left.unlink()


def leftovers(path: Path) -> list[Path]:
    """Return the files that killed processes have left of writing a file, sorted."""
    name = glob.escape(path.name)
    found = [*path.parent.glob(f"{name}.*{TEMPORARY}"), *path.parent.glob(f".{name}.*{PART}")]
    return sorted(left for left in found if LEFT.fullmatch(left.name.split(path.name, 1)[1]))


def _converted(
    recording: Recording, path: Path, begin_us: int, end_us: int | None, progress: Report
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

    # Frames may begin before the first event and end after the last one.
    around = (
        min(t0_us, *recording.frames.t_start_us[:1].tolist(), t0_us) if begin_us == 0 else t0_us,
        max(t1_us, *(recording.frames.t_us[-1:] + 1).tolist(), t1_us) if end_us is None else t1_us,
    )
    shift_us = 0
    held = {"frames": 0, "imu": 0, "specials": 0}
    if kind == ".hdf5":
        # Sensors of that format count from their start; a host's clock would be taken for damage.
        far = around[1] >= MAX_OVERFLOW * WRAP_US or around[0] < 0
        shift_us = around[0] if far else 0
        held = write_ddd17(path, recording, spans(), around=around, zero_us=shift_us)
    elif kind == ".aedat4":
        compress = compressor(path)

        def write(file: BinaryIO) -> None:
            held.update(write_aedat4(file, recording, spans(), around=around, compress=compress))

        write_whole(path, write)
    elif kind == ".raw":
        shift_us = t0_us - t0_us % MODULUS_US
        write_whole(path, lambda file: write_evt3(file, spans(), sensor=sensor))
    elif kind == ".h5":
        write_whole(path, lambda file: write_hdf5(file, spans(), sensor=sensor))
    elif kind == ".npz":
        write_whole(path, lambda file: write_npz(file, spans, sensor=sensor, events=count))
    else:
        write_whole(path, lambda file: write_text(file, spans()))
    return Conversion(
        path,
        WRITTEN[kind],
        count,
        held["frames"],
        held["imu"],
        held["specials"],
        _lost(recording, *around, held),
        shift_us,
    )


def _count(recording: Recording, t0_us: int, t1_us: int) -> int:
    return sum(map(len, recording.stream(t0_us=t0_us, t1_us=t1_us)))


def _lost(recording: Recording, t0_us: int, t1_us: int, held: dict[str, int]) -> dict[str, int]:
    """Return the numbers within the span that were not written, by kind."""
    frames, specials = recording.frames.t_us, recording.specials["t"]
    there = {
        "frames": int(((frames >= t0_us) & (frames < t1_us)).sum()) - held["frames"],
        "inertial samples": len(recording.imu(t0_us, t1_us)) - held["imu"],
        "special events": int(((specials >= t0_us) & (specials < t1_us)).sum()) - held["specials"],
        "vehicle signals": len(recording.signals),
        "restarts of the clock": len(recording.epochs) - 1,
        **{kind: count for kind, count in held.items() if kind not in KINDS},
    }
    return {kind: count for kind, count in there.items() if count}
