"""Outputs of a live stream: a status line, a folder of pictures, label maps to a socket."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import OutputError
from eventseg.files.texts import counted
from eventseg.files.whole import check_folder
from eventseg.prediction.layout import check_no_prediction_folder
from eventseg.prediction.live.byte_sources import loopback_address
from eventseg.prediction.live.stream import LivePrediction
from eventseg.prediction.live.summary import StreamSummary

Output = Callable[[LivePrediction], object]

MAGIC = b"EVLABELS"
"""First bytes of a label map."""

LABEL_HEADER = struct.Struct("<8sqHHHHd")
"""Magic, time in us, height, width, classes, 0, latency in ms: 32 bytes before height x width
labels of one byte."""

CONNECT_S = 5.0
SEND_S = 10.0

MOST_SHARES = 4
"""Classes of a status line."""


def class_shares(prediction: LivePrediction) -> NDArray[np.float64]:
    """Return the share of pixels of each class, float64 (K,)."""
    counts = np.bincount(prediction.labels.ravel(), minlength=len(prediction.classes))
    return counts / prediction.labels.size


def status_line(prediction: LivePrediction, summary: StreamSummary) -> str:
    """Return one line on the latest label map: time, rate, latency, drops, largest classes."""
    shares = class_shares(prediction)
    largest = [k for k in np.argsort(-shares, kind="stable")[:MOST_SHARES] if shares[k] > 0]
    names = prediction.classes.names
    parts = [
        f"{prediction.t_us / 1e6:.3f} s",
        f"{summary.rate_hz:.1f} labels/s",
        f"latency {prediction.latency_ms:.0f} ms",
        f"{summary.dropped:,} dropped",
        ", ".join(f"{names[k]} {shares[k]:.0%}" for k in largest),
    ]
    if prediction.events == 0:
        parts.append("no events")
    return "  ".join(parts)


class LabelFolder:
    """Writes each label map as an indexed PNG, ``ID.png``, in the colours of the classes.

    Raises
    ------
    OutputError
        The folder cannot be written, or holds predictions of :func:`eventseg.predict_into`.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        check_no_prediction_folder(self.folder)
        check_folder(self.folder)

    def __call__(self, prediction: LivePrediction) -> None:
        """Write a label map."""
        prediction.save(self.folder / f"{prediction.id}.png")


class LabelSender:
    """Sends each label map to a program that listens on this machine.

    Parameters
    ----------
    address : str
        ``tcp://127.0.0.1:PORT``.

    Raises
    ------
    OutputError
        Nobody listens there; or, while sending, the reader is gone or takes nothing for 10 s.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        host, port = loopback_address(address, "tcp")
        try:
            self._socket = socket.create_connection((host, port), timeout=CONNECT_S)
        except OSError as error:
            raise OutputError(
                f"nobody listens on {address} ({error.strerror or error}): start the reader first"
            ) from error
        self._socket.settimeout(SEND_S)
        self._sent = 0

    def __call__(self, prediction: LivePrediction) -> None:
        """Send a label map."""
        height, width = prediction.labels.shape
        header = LABEL_HEADER.pack(
            MAGIC, prediction.t_us, height, width, len(prediction.classes), 0, prediction.latency_ms
        )
        try:
            self._socket.sendall(header + np.ascontiguousarray(prediction.labels).tobytes())
        except OSError as error:
            raise OutputError(
                f"the reader on {self.address} is gone after {counted(self._sent, 'label map')} "
                f"({error.strerror or error})"
            ) from error
        self._sent += 1

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()
