"""Sources of live events: a recording at its own pace, standard input, sockets on this machine."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from eventseg.errors import EventsegError, RecordingError
from eventseg.events import EventStream, SensorSize
from eventseg.files.extensions import is_extension, load_extension
from eventseg.prediction.live.dv import open_dv
from eventseg.prediction.live.packets import Packet, PacketSource
from eventseg.prediction.live.wire import Unpacker
from eventseg.recordings import Recording, open_recording
from eventseg.recordings.choices import NO_CHOICES, FileChoices

Note = Callable[[str], None]
"""Takes one line for the user."""

PACKET_US = 10_000
"""Length of the packets of a replayed recording, as cameras send them."""

MOST_IN_PACKET = 1 << 16
"""Most events of a packet of a replayed recording."""

READ_BYTES = 1 << 20

LOOPBACK = ("localhost", "127.0.0.1", "::1")

FORMS = (
    "a recording, - for standard input, tcp://127.0.0.1:PORT, udp://127.0.0.1:PORT, dv://camera, "
    "dv://HOST:PORT, or FILE.py:NAME of a function that returns a source"
)


class Replay:
    """Packets of a recording, as from a camera: each when its last event has happened.

    Parameters
    ----------
    recording : Recording
    speed : float
        Factor of the pace; infinity for no waiting.
    packet_us : int
        Length of the packets.
    """

    def __init__(
        self, recording: Recording, *, speed: float = 1.0, packet_us: int = PACKET_US
    ) -> None:
        self.recording = recording
        self.sensor: SensorSize = recording.sensor
        self._speed = speed
        self._packets = _packets(recording, packet_us)
        self._begin_s: float | None = None
        self._ended = threading.Event()

    def read(self, timeout_s: float) -> Packet | None:  # noqa: ARG002 - it is never silent
        """Return the next packet, at its time; None at the end."""
        events = next(self._packets, None)
        if events is None or self._ended.is_set():
            return None
        if self._speed != np.inf:
            now_s = time.monotonic()
            self._begin_s = now_s if self._begin_s is None else self._begin_s
            since_s = (events.t1_us - self.recording.t_first_us) / 1e6 / self._speed
            if self._ended.wait(max(0.0, self._begin_s + since_s - now_s)):
                return None
        return Packet(events.t, events.x, events.y, events.p)

    def close(self) -> None:
        """End the replay; the recording stays open."""
        self._ended.set()


def _packets(recording: Recording, packet_us: int) -> Iterator[EventStream]:
    """Yield the events of a recording in spans of a length, without those of no event."""
    for piece in recording.stream(max_events=1 << 20):
        if not len(piece):
            continue
        origin_us = recording.t_first_us
        number = (piece.t - origin_us) // packet_us
        cuts = np.flatnonzero(np.diff(number)) + 1
        for lo, hi in zip([0, *cuts.tolist()], [*cuts.tolist(), len(piece)], strict=True):
            for first in range(lo, hi, MOST_IN_PACKET):
                part = slice(first, min(first + MOST_IN_PACKET, hi))
                t = piece.t[part]
                columns = (t, piece.x[part], piece.y[part], piece.p[part])
                yield EventStream(*columns, piece.sensor, int(t[0]), int(t[-1]) + 1)


class _Bytes:
    """Base of sources of bytes: the header is read before the first packet is asked for.

    Parameters
    ----------
    name : str
        Name of the source in messages.
    note : callable
        Takes one line for the user.
    """

    def __init__(self, name: str, note: Note) -> None:
        self.name = name
        self.sensor: SensorSize | None = None
        self._note = note
        self._unpacker = Unpacker()
        self._first: list[Packet] = []
        self._ended = False

    def begin(self, timeout_s: float | None = None) -> None:
        """Wait for the first bytes, which may be a header.

        Raises
        ------
        RecordingError
            None have come in time.
        """
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._unpacker.begun:
            packet = self.read(0.1)
            if packet is None:
                self._ended = True
                break
            if self._unpacker.begun:
                self._first.append(packet)
            elif deadline_s is not None and time.monotonic() > deadline_s:
                raise RecordingError(f"{self.name} has sent nothing for {timeout_s:g} s")
        self.sensor = self._unpacker.sensor

    def read(self, timeout_s: float) -> Packet | None:
        """Return the events of the next bytes; None at the end."""
        if self._first:
            return self._first.pop()
        if self._ended:
            return None
        content = self.receive(timeout_s)
        if content is None:
            self._ended = True
            if self._unpacker.truncated:
                self._note(
                    f"the last {self._unpacker.truncated} bytes of {self.name} are no complete "
                    "event of 16 bytes and were dropped"
                )
            return None
        return self._unpacker.feed(content)

    def receive(self, timeout_s: float) -> bytes | None:
        """Return the next bytes, none where nothing has come in time, None at the end."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the opened files."""


class StandardInput(_Bytes):
    """Events from a file descriptor, by default standard input."""

    def __init__(self, note: Note, *, descriptor: int | None = None) -> None:
        super().__init__("standard input", note)
        self._descriptor = sys.stdin.fileno() if descriptor is None else descriptor

    def receive(self, timeout_s: float) -> bytes | None:
        """Return the next bytes."""
        # Regular files are always ready; Windows can select sockets only and waits in `read`.
        if os.name == "posix" and not select.select([self._descriptor], [], [], timeout_s)[0]:
            return b""
        return os.read(self._descriptor, READ_BYTES) or None


class TcpSource(_Bytes):
    """Events of the first sender that connects to a port of this machine."""

    def __init__(self, host: str, port: int, note: Note) -> None:
        super().__init__(f"tcp://{host}:{port}", note)
        self._server = _bound(host, port, socket.SOCK_STREAM)
        self._server.listen(1)
        self._sender: socket.socket | None = None
        self.port = int(self._server.getsockname()[1])

    def receive(self, timeout_s: float) -> bytes | None:
        """Return the next bytes of the sender; the first call waits for one."""
        try:
            if self._sender is None:
                self._server.settimeout(timeout_s)
                self._sender, _ = self._server.accept()
            self._sender.settimeout(timeout_s)
            return self._sender.recv(READ_BYTES) or None
        except TimeoutError:
            return b""
        except ConnectionError:
            self._note(f"the sender of {self.name} has broken the connection")
            return None
        except OSError:  # closed by another thread
            return None

    def close(self) -> None:
        """Close the connection and the port."""
        for each in (self._sender, self._server):
            if each is not None:
                each.close()


class UdpSource(_Bytes):
    """Events of the datagrams to a port of this machine; one of no bytes ends the stream."""

    def __init__(self, host: str, port: int, note: Note) -> None:
        super().__init__(f"udp://{host}:{port}", note)
        self._socket = _bound(host, port, socket.SOCK_DGRAM)
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.port = int(self._socket.getsockname()[1])
        self._damaged = False

    def read(self, timeout_s: float) -> Packet | None:
        """Return the events of the next datagram; None at the end."""
        if self._first:
            return self._first.pop()
        try:
            self._socket.settimeout(timeout_s)
            content = self._socket.recv(1 << 16)
        except TimeoutError:
            return self._unpacker.feed(b"")
        except OSError:  # closed by another thread
            return None
        if not content:
            return None
        packet, truncated = self._unpacker.datagram(content)
        if truncated and not self._damaged:
            self._damaged = True
            self._note(
                f"a datagram to {self.name} ends with {truncated} bytes that are no complete event "
                "of 16 bytes; such ends are dropped"
            )
        return packet

    def close(self) -> None:
        """Close the port."""
        self._socket.close()


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
        As for :class:`Replay`, for a recording.
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
    found: _Bytes
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


def loopback_address(text: str, scheme: str) -> tuple[str, int]:
    """Return host and port of ``SCHEME://HOST:PORT`` on this machine.

    Raises
    ------
    RecordingError
        Another form or host.
    """
    url = urlsplit(text)
    try:
        port = url.port
    except ValueError:
        port = None
    if url.scheme == scheme and url.hostname in LOOPBACK and port is None:
        raise RecordingError(f"{text!r} must be {scheme}://HOST:PORT with a PORT of 0 to 65535")
    if url.scheme != scheme or url.hostname not in LOOPBACK or port is None:
        raise RecordingError(
            f"{text!r} must be {scheme}://HOST:PORT with HOST one of {', '.join(LOOPBACK)}: "
            "the protocol has no passwords; bring events from elsewhere by ssh"
        )
    return url.hostname, port


def _bound(host: str, port: int, kind: socket.SocketKind) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, kind)
    try:
        if kind == socket.SOCK_STREAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
    except OSError as error:
        made.close()
        raise RecordingError(
            f"cannot listen on {host}:{port}: {error.strerror}; give another port"
        ) from error
    return made
