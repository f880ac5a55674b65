"""A live stream from a network and a source, with every choice of a caller."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventseg.encoding import Encoding
from eventseg.events import SensorSize
from eventseg.filters.rules import Filters
from eventseg.networks import TrainedNetwork
from eventseg.prediction.live.byte_sources import Note
from eventseg.prediction.live.packets import PacketSource
from eventseg.prediction.live.queue import QueueRule
from eventseg.prediction.live.replay import PACKET_US
from eventseg.prediction.live.setup import no_note, set_up
from eventseg.prediction.live.stream import LiveStream
from eventseg.prediction.predictor import Predictor
from eventseg.recordings import Recording
from eventseg.recordings.choices import FileChoices, TimeUnit
from eventseg.windows import MAX_FRAME_AGE_US


def stream(
    network: str | Path | TrainedNetwork | Predictor,
    source: str | Path | Recording | PacketSource,
    *,
    every: str | int = "20ms",
    window: str | int | None = None,
    queue: QueueRule | None = None,
    lateness: str | int = 0,
    speed: float = 1.0,
    packet: str | int = PACKET_US,
    sensor: SensorSize | None = None,
    camera: str | int | None = None,
    time_unit: TimeUnit | None = None,
    shift_frames: str | int = 0,
    encoding: Encoding | None = None,
    filters: Filters | None = None,
    hot: NDArray[np.bool_] | None = None,
    max_frame_age_us: int | None = MAX_FRAME_AGE_US,
    timeout_s: float | None = None,
    keep_events: bool = False,
    device: str = "auto",
    fast: bool = False,
    note: Note = no_note,
) -> LiveStream:
    """Predict live events at equal distances, as fast as they come.

    The window holds the sums of its events and is updated by those that enter and leave. Label maps
    are those of :func:`eventseg.predict` at the same instants.

    Parameters
    ----------
    network : path, TrainedNetwork or Predictor
        A run folder, a checkpoint or a loaded network.
    source : path, Recording or PacketSource
        A recording, which is replayed at its own pace; ``-``, packed events on standard input;
        ``tcp://127.0.0.1:PORT`` or ``udp://127.0.0.1:PORT``; ``dv://camera``,
        ``dv://camera/SERIAL`` or ``dv://HOST:PORT``, by dv-processing; ``FILE.py:NAME``, a
        function that returns a source; or an object with the two methods of
        :class:`PacketSource`.
    every : str or int
        Distance of the instants from the first event on, a duration or microseconds.
    window : str or int, optional
        Length of the window; may be left out where the network was trained on one.
    queue : {"latest", "all"}, optional
        Rule where the network is slower than the instants: drop the older tensors, or make the
        source wait. By default ``latest``, and ``all`` for a recording at infinite speed.
    lateness : str or int
        How long to wait for packets that are out of order; it adds to the latency.
    speed : float
        Factor of a recording's pace; ``math.inf`` for no waiting.
    packet : str or int
        Length of the packets that a recording is cut into.
    sensor : SensorSize, optional
        Size of the sensor where the source does not tell; by default that of the training.
    camera, time_unit
        Of a recording, as for :func:`eventseg.open_recording`.
    shift_frames : str or int
        Of a recording: time to add to the stamps of its frames, such as ``-12ms`` or microseconds.
    encoding, filters
        As for :func:`eventseg.predict`.
    hot : bool (H, W), optional
        Hot pixels; found by reading a recording before, and otherwise unknown, so that this filter
        is left out with a note.
    max_frame_age_us : int or None
        As for :func:`eventseg.predict`; networks that see frames work from recordings only.
    timeout_s : float, optional
        Silence of the source after which the stream ends; by default it waits.
    keep_events : bool
        Whether predictions hold the events of their windows.
    device : str
        Device of the network.
    fast : bool
        Whether a run or checkpoint takes the arithmetic that :func:`~.bench.bench` recommends.
    note : callable
        Takes one line for the user: a silent source, bytes that are no event.

    Returns
    -------
    LiveStream
        An iterable of :class:`LivePrediction`, with ``summary`` and ``close()``.

    Raises
    ------
    CheckpointError, RecordingError, DeviceError, WindowError, NetworkError
        A network, source, device, duration or encoding that cannot be used.

    Examples
    --------
    >>> import math
    >>> live = stream(run.path, recording, every="50ms", speed=math.inf, device="cpu")
    >>> [prediction.labels.shape for prediction in live][0]
    (48, 64)
    """
    return LiveStream(
        set_up(
            network,
            source,
            every=every,
            window=window,
            queue=queue,
            lateness=lateness,
            speed=speed,
            packet=packet,
            sensor=sensor,
            choices=FileChoices.of(camera, time_unit, shift_frames),
            encoding=encoding,
            filters=filters,
            hot=hot,
            max_frame_age_us=max_frame_age_us,
            timeout_s=timeout_s,
            keep_events=keep_events,
            device=device,
            fast=fast,
            note=note,
        )
    )
