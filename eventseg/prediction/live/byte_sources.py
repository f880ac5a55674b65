"""Sources of events as bytes: standard input, and sockets on this machine."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from eventseg.errors import RecordingError
from eventseg.events import SensorSize
from eventseg.prediction.live.packets import Packet
from eventseg.prediction.live.wire import Unpacker

Note = Callable[[str], None]
"""Takes one line for the user."""

READ_BYTES = 1 << 20

LOOPBACK = ("localhost", "127.0.0.1", "::1")


class ByteSource:
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


class StandardInput(ByteSource):
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


class TcpSource(ByteSource):
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


class UdpSource(ByteSource):
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
