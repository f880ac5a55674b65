"""Sources of live events by name: recordings, standard input, sockets, cameras, own functions."""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import urlsplit

from eventseg.errors import EventsegError, RecordingError
from eventseg.events import SensorSize
from eventseg.files.extensions import is_extension, load_extension
from eventseg.prediction.live.byte_sources import (
    ByteSource,
    Note,
    StandardInput,
    TcpSource,
    UdpSource,
    loopback_address,
)
from eventseg.prediction.live.dv import open_dv
from eventseg.prediction.live.packets import PacketSource
from eventseg.prediction.live.replay import PACKET_US, Replay
from eventseg.recordings import open_recording
from eventseg.recordings.choices import NO_CHOICES, FileChoices

FORMS = (
    "a recording, - for standard input, tcp://127.0.0.1:PORT, udp://127.0.0.1:PORT, dv://camera, "
    "dv://HOST:PORT, or FILE.py:NAME of a function that returns a source"
)


def open_packet_source(
    name: str | Path,
    *,
    note: Note,
    speed: float = 1.0,
    packet_us: int = PACKET_US,
    timeout_s: float | None = None,
    sensor: SensorSize | None = None,
    likely: SensorSize | None = None,
    choices: FileChoices = NO_CHOICES,
) -> PacketSource:
    """Return the source that a name means.

    Parameters
    ----------
    name : str or Path
        A recording, ``-``, ``tcp://127.0.0.1:PORT``, ``udp://127.0.0.1:PORT``, a name of
        :mod:`.dv` or ``FILE.py:NAME``.
    note : callable
        Takes one line for the user, such as that a sender is waited for.
    speed, packet_us
        As for :class:`eventseg.prediction.live.replay.Replay`, for a recording.
    timeout_s : float, optional
        Longest time to wait for the first bytes; by default without an end.
    sensor : SensorSize, optional
        Size of the sensor, for recordings that do not tell it.
    likely : SensorSize, optional
        As for :func:`eventseg.open_recording`.
    choices : FileChoices
        Camera, unit of times and shift of the frames, for recordings.

    Raises
    ------
    RecordingError
        A name of none of these forms, a host that is not this machine, or a port in use.
    MissingExtraError
        A source of dv-processing, which is not installed.
    """
    text = str(name)
    if (given := choices.named()) and not Path(text).is_file():
        raise RecordingError(f"{text} is no recording: leave {' and '.join(given)} out")
    if is_extension(text):
        return _own_source(text)
    url = urlsplit(text)
    if url.scheme == "dv":
        return open_dv(text)
    found: ByteSource
    if text == "-":
        if sys.stdin.isatty():
            raise RecordingError(
                f"standard input is a terminal; pipe events into it, or give {FORMS}"
            )
        found = StandardInput(note)
    elif url.scheme in ("tcp", "udp"):
        host, port = loopback_address(text, url.scheme)
        found = (TcpSource if url.scheme == "tcp" else UdpSource)(host, port, note)
        note(f"waiting for a sender on {found.name}")
    elif Path(text).exists():
        recording = open_recording(text, sensor=sensor, likely=likely, **choices.arguments)
        return Replay(recording, speed=speed, packet_us=packet_us)
    else:
        raise RecordingError(f"there is no source {text!r}; give {FORMS}")
    try:
        found.begin(timeout_s)
    except BaseException:
        found.close()
        raise
    return found


def _own_source(spec: str) -> PacketSource:
    """Return the source that a function of a user's own file returns."""
    make = load_extension(spec).value
    try:
        source: PacketSource = make()
    except EventsegError:
        raise
    except Exception as error:  # it may be anything: the file is the user's
        raise RecordingError(f"{spec} has failed: {cause_line(error)}") from error
    if missing := [name for name in ("read", "close") if not hasattr(source, name)]:
        raise RecordingError(
            f"{spec} returns a {type(source).__name__} without {' and '.join(missing)}; return an "
            "object with read(timeout_s) and close()"
        )
    return source


def cause_line(error: Exception) -> str:
    """Return kind and first line of an error of a user's own code."""
    return f"{type(error).__name__}: {error}".strip(": ").splitlines()[0]
