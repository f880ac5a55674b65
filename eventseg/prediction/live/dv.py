"""Events of cameras of iniVation and of their software's network stream, by ``dv-processing``.

The package is the extra ``dv``. A source has a name: ``dv://camera`` is the first camera that is
connected, ``dv://camera/SERIAL`` a certain one, ``dv://HOST:PORT`` the network stream that DV or a
``dv_processing.io.NetworkWriter`` sends. Anything else that dv-processing reads is a
:class:`DvSource` in Python, such as a camera with settings of one's own.
"""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from eventseg.errors import MissingExtraError, RecordingError
from eventseg.events import SensorSize
from eventseg.prediction.live.packets import Packet

CAMERA = "camera"
"""Host in the name of a camera."""

POLL_S = 0.001
"""Waiting time between two questions for a batch of events."""

NAMES = "dv://camera, dv://camera/SERIAL or dv://HOST:PORT"


class DvSource:
    """Packets from a reader of ``dv-processing``.

    Parameters
    ----------
    reader : dv_processing.io.camera.CameraInputBase, NetworkReader or MonoCameraRecording
        Source of event stores; a recording comes as fast as it is read. Frames are not taken.
    name : str
        Name of the source in messages; by default that of the camera.

    Attributes
    ----------
    sensor : SensorSize or None

    Raises
    ------
    RecordingError
        The reader has no events.
    """

    def __init__(self, reader: Any, *, name: str = "") -> None:
        self.name = name or f"dv {reader.getCameraName()}"
        if not reader.isEventStreamAvailable():
            raise RecordingError(f"{self.name} sends no events")
        size = reader.getEventResolution()
        self.sensor = None if size is None else SensorSize(int(size[1]), int(size[0]))
        self._reader = reader

    def read(self, timeout_s: float) -> Packet | None:
        """Return the events of the next store; an empty packet in a silence, None at the end.

        Raises
        ------
        RecordingError
            The reader has failed: a camera that was unplugged, damaged bytes.
        """
        deadline_s = time.monotonic() + timeout_s
        while (reader := self._reader) is not None:
            try:
                running = reader.isRunning()  # asked before: what came until then is taken first
                store = reader.getNextEventBatch()
            except (RuntimeError, OSError, ValueError) as error:
                raise RecordingError(f"{self.name} has failed: {cause_of(error)}") from error
            if store is not None and len(store):
                return packet_of_store(store)
            if not running:
                return None
            if time.monotonic() >= deadline_s:
                return packet_of_store(None)
            time.sleep(POLL_S)
        return None

    def close(self) -> None:
        """Release the reader, which ends the camera's or the network's stream."""
        self._reader = None


def packet_of_store(store: Any | None) -> Packet:
    """Return the events of a ``dv_processing.EventStore`` as a packet, copied; of None no event."""
    if store is None:
        x, y = (np.zeros(0, np.uint16) for _ in range(2))
        return Packet(np.zeros(0, np.int64), x, y, np.zeros(0, np.int8))
    records = store.numpy()
    # Columns and rows are int16; a negative one becomes a pixel that no sensor has.
    return Packet(
        np.ascontiguousarray(records["timestamp"]),
        records["x"].astype(np.uint16),
        records["y"].astype(np.uint16),
        records["polarity"].astype(np.int8),
    )


def open_dv(name: str) -> DvSource:
    """Return the source that a name means.

    Parameters
    ----------
    name : str
        ``dv://camera``, ``dv://camera/SERIAL`` or ``dv://HOST:PORT``.

    Raises
    ------
    MissingExtraError
        The extra ``dv`` is not installed.
    RecordingError
        Another name, no such camera, or nobody who sends there.
    """
    dv = _dv_processing()
    url = urlsplit(name)
    try:
        port = url.port
    except ValueError:
        port = None
    try:
        if url.netloc == CAMERA:
            return DvSource(_camera(dv, url.path.strip("/")), name=name)
        if url.hostname and port and url.path in ("", "/"):
            return DvSource(dv.io.NetworkReader(url.hostname, port), name=name)
    except (RuntimeError, OSError) as error:
        raise RecordingError(f"cannot open {name}: {cause_of(error)}") from error
    raise RecordingError(f"{name!r} must be {NAMES}")


def cause_of(error: Exception) -> str:
    """Return the cause that an error of dv-processing names, without places in its sources."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    stated = [line for line in lines if line.split(":")[0].endswith(("Error", "Exception"))]
    line = stated[0].partition(": ")[2] if stated else lines[0]
    return line.partition(" [system:")[0].removeprefix("connect: ")


def _camera(dv: Any, serial: str) -> Any:
    """Return the first camera that is connected, or the one of a serial number."""
    devices = dv.io.camera.discover()
    if not devices:
        raise RecordingError(
            "dv-processing finds no camera: check the cable, and that this user may open it (udev)"
        )
    if not serial:
        return dv.io.camera.open(devices[0])
    serials = [device.serialNumber for device in devices]
    if serial not in serials:
        raise RecordingError(f"no camera {serial!r} is connected, there are {', '.join(serials)}")
    return dv.io.camera.open(devices[serials.index(serial)])


def _dv_processing() -> Any:
    try:
        import dv_processing
    except ImportError as error:
        raise MissingExtraError(
            "cameras of iniVation and their network streams need the extra dv: uv sync --extra dv"
        ) from error
    return dv_processing
