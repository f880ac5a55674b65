"""Formats of recordings, and the function that opens any of them.

The module of a format loads when a recording of its suffix is opened.
"""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, NamedTuple

from eventseg.errors import RecordingError
from eventseg.events import SensorSize
from eventseg.files.paths import on_disk
from eventseg.recordings.base import Recording
from eventseg.recordings.progress import Progress, Report, no_report

NO_CHOICE = {
    "camera": "a file of {} is read as that of one camera; leave --camera out",
    "time_unit": "a file of {} tells the unit of its times; leave --time-unit out",
}
"""Reasons for which a format does not take an argument."""


class Format(NamedTuple):
    """One format of recordings and its reader.

    Parameters
    ----------
    name : str
        Name for error messages.
    module : str
        Module of the reader, which has the functions ``recognises(path) -> bool`` and `opener`.
    opener : str
        Function that opens a recording: ``opener(path, *, sensor, rotate180, progress)``, as
        :func:`open_recording`.
    takes : tuple of str
        Names of further arguments of the opener.
    """

    name: str
    module: str
    opener: str
    takes: tuple[str, ...] = ()

    def recognises(self, path: Path) -> bool:
        """Return whether the content of a file begins as that of this format does."""
        return bool(import_module(self.module).recognises(path))

    def open(
        self,
        path: Path,
        *,
        sensor: SensorSize | None,
        rotate180: bool,
        progress: Callable[[float], None] | None,
        **more: str | None,
    ) -> Recording:
        """Open a recording of this format; see :func:`open_recording`."""
        opener: Callable[..., Recording] = getattr(import_module(self.module), self.opener)
        given = {name: value for name, value in more.items() if value is not None}
        for name in given:
            if name not in self.takes:
                raise RecordingError(f"{path}: {NO_CHOICE[name].format(self.name)}")
        return opener(path, sensor=sensor, rotate180=rotate180, progress=progress, **given)


_DDD17 = Format("DDD17 or DDD20", "eventseg.recordings.ddd17.reader", "open_ddd17")
_PROPHESEE = Format(
    "Prophesee RAW or DAT", "eventseg.recordings.prophesee.reader", "open_prophesee"
)
_ROSBAG = Format("ROS bag", "eventseg.recordings.rosbag.reader", "open_rosbag", ("camera",))
_AEDAT = Format("AEDAT 2 or 3.1", "eventseg.recordings.aedat.reader", "open_aedat", ("camera",))
_AEDAT4 = Format("AEDAT 4", "eventseg.recordings.aedat4.reader", "open_aedat4", ("camera",))
_EVENT_STREAM = Format(
    "Event Stream", "eventseg.recordings.event_stream.reader", "open_event_stream"
)
_TABLE = Format(
    "columns of events",
    "eventseg.recordings.table.reader",
    "open_table_recording",
    ("camera", "time_unit"),
)

FORMATS: dict[str, tuple[Format, ...]] = {
    ".hdf5": (_DDD17, _TABLE),
    ".h5": (_DDD17, _TABLE),
    ".aedat4": (_AEDAT4,),
    ".aedat": (_AEDAT, _AEDAT4),
    ".es": (_EVENT_STREAM,),
    ".raw": (_PROPHESEE,),
    ".dat": (_PROPHESEE,),
    ".db3": (_ROSBAG,),
    ".mcap": (_ROSBAG,),
    ".bag": (_ROSBAG,),
    ".npz": (_TABLE,),
    ".npy": (_TABLE,),
    ".csv": (_TABLE,),
    ".txt": (_TABLE,),
    ".t": (Format("DDD17 in the ESS repack", "eventseg.recordings.ess.reader", "open_ess"),),
}
"""Formats that a file with this suffix may have; the first that recognises it opens it."""

MOST_STRAY = 1e-3
"""Largest share of events outside a likely sensor that are taken for damage."""


def open_recording(
    path: str | Path,
    *,
    sensor: SensorSize | None = None,
    likely: SensorSize | None = None,
    rotate180: bool = False,
    camera: str | int | None = None,
    time_unit: Literal["s", "ms", "us", "ns"] | None = None,
    shift_frames_us: int = 0,
    progress: Report = no_report,
) -> Recording:
    """Open a recording; the format follows from its suffix and its content.

    The first time, the entire file is read once and an index is stored in the user's cache folder
    (``EVENTSEG_CACHE``); after that, opening takes milliseconds.

    Damaged parts are left out and counted in the report, with their row numbers. Links and storage
    that lead into other files are followed only with ``EVENTSEG_FOLLOW_LINKS=1``, and a note says
    so. Newer forms of HDF5 are repacked into a temporary copy first.

    Parameters
    ----------
    path : str or Path
        A recording with a suffix of :data:`FORMATS`: DDD17 or DDD20 (``.hdf5``, ``.h5``), AEDAT 2
        and 3.1 (``.aedat``), AEDAT 4 (``.aedat4``), Event Stream (``.es``), Prophesee RAW or DAT
        (``.raw``, ``.dat``), ROS bags (``.db3``, ``.mcap``, ``.bag``), columns of events
        (``.h5``, ``.npz``, ``.npy``, ``.csv``, ``.txt``), or ``events.dat.t`` of a directory of
        DDD17 in the ESS repack.
    sensor : SensorSize, optional
        Size of the sensor; by default that of the header or of the frames, or else the smallest
        well-known sensor that holds all events. Events and frames outside are dropped and counted.
    likely : SensorSize, optional
        Size to take in place of one that is guessed from the events, if all but strays lie on it.
        A size that the file or full frames state stays.
    rotate180 : bool, default False
        Turn events and frames by 180 degrees: for DDD20, whose camera hung upside down.
    camera : str or int, optional
        Camera to read of a file of several: its name in the file, or its number from 1 on. By
        default the first one is read, and a note of the report lists the others.
    time_unit : {"s", "ms", "us", "ns"}, optional
        Unit of the times of a table; by default that of its layout or names, or inferred.
    shift_frames_us : int, default 0
        Time to add to the stamps of the frames, such as the offset that `align` finds.
    progress : callable
        Called with the bytes read while the index is built.

    Raises
    ------
    RecordingError
        No such file, an unknown suffix, content that no reader of the suffix recognises, a
        damaged file, no such camera, or neither an event nor a frame inside.

    Examples
    --------
    >>> recording = open_recording("drive.hdf5")
    >>> len(recording.frames)
    18
    """
    path = Path(path)
    if path.name.endswith(".truth.h5"):
        raise RecordingError(
            f"{path} is the truth about a simulated recording; open {_owner_name(path)}"
        )
    candidates = FORMATS.get(path.suffix.lower())
    if candidates is None and path.is_dir():
        raise RecordingError(f"{path} is a folder: give a file that is a recording")
    if candidates is None:
        raise RecordingError(
            f"{path}: the suffix {path.suffix!r} is none of {', '.join(FORMATS)}, "
            f"the formats that can be read{_first_bytes(path)}"
        )
    try:
        path = on_disk(path)
        status = path.stat()
    except FileNotFoundError as error:
        raise RecordingError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:  # a name that is too long or holds a NUL
        raise RecordingError(f"{ascii(str(path))[:200]}: cannot be read ({error})") from error
    if not stat.S_ISREG(status.st_mode):
        raise RecordingError(f"{path}: no file but a folder or device; give a recording")

    def report(share: float) -> None:
        progress(Progress("index", share * status.st_size, status.st_size, "B"))

    more = {"camera": None if camera is None else str(camera), "time_unit": time_unit}
    for candidate in candidates:
        if candidate.recognises(path):
            opened = _opened(
                candidate,
                path,
                sensor=sensor,
                likely=likely,
                rotate180=rotate180,
                progress=report,
                **more,
            )
            opened.shift_frames(shift_frames_us)
            opened.rotated180 = rotate180
            return opened
    tried = ", ".join(f"{each.name} ({_refusal(each, path)})" for each in candidates)
    raise RecordingError(f"{path}: no reader recognises this file; tried {tried}")


def _owner_name(truth: Path) -> str:
    """Return the name of the recording that a truth file belongs to, or that simulations give."""
    from eventseg.recordings.truth_pair import owner_of  # h5py is loaded for this error alone

    owner = None
    with contextlib.suppress(RecordingError):
        owner = owner_of(truth)
    return f"{truth.name.removesuffix('.truth.h5')}.hdf5" if owner is None else owner.name


def _opened(
    candidate: Format,
    path: Path,
    *,
    sensor: SensorSize | None,
    likely: SensorSize | None,
    **settings: Any,
) -> Recording:
    """Open a recording, with the likely size in place of a guess that all events allow."""
    guessed = candidate.open(path, sensor=sensor, **settings)
    if likely in (None, guessed.sensor) or not guessed.report.sensor_guessed:
        return guessed
    try:
        other = candidate.open(path, sensor=likely, **settings)
    except RecordingError:  # nothing lies on it
        return guessed
    except BaseException:
        guessed.close()
        raise
    kept, unused = (guessed, other) if _is_cut(other) else (other, guessed)
    unused.close()
    return kept


def _is_cut(recording: Recording) -> bool:
    """Return whether more than stray events or frames were left out as outside the sensor."""
    report = recording.report
    return any(
        reason.startswith("outside the sensor") and count > MOST_STRAY * report.found[kind]
        for kind, reasons in report.skipped.items()
        for reason, count in reasons.items()
    )


def _first_bytes(path: Path) -> str:
    """Describe the first bytes of a file, and the formats that begin so; nothing of no file."""
    try:
        with path.open("rb") as file:
            begin = file.read(16)
    except (OSError, ValueError):
        return ""
    known = {each for formats in FORMATS.values() for each in formats}
    alike = sorted(each.name for each in known if each.recognises(path))
    hint = f"; it looks like {' or '.join(alike)}: rename it" if alike else ""
    return f"; the file begins with {begin!r}{hint}"


def _refusal(candidate: Format, path: Path) -> str:
    """Return the reason for which a reader refuses a file that it does not recognise."""
    try:
        candidate.open(path, sensor=None, rotate180=False, progress=None).close()
    except RecordingError as error:
        return str(error).removeprefix(f"{path}: ")
    return "not recognised"
