"""Parts of a live stream, from what a caller gives: network, source, encoding, window, filters."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventseg.encoding.representation import MEAN_STD
from eventseg.encoding.settings import Encoding, encoding_of
from eventseg.encoding.sliding import can_slide
from eventseg.errors import CheckpointError, NetworkError, WindowError
from eventseg.events import SensorSize
from eventseg.filters.filtered import survey_filters
from eventseg.filters.hot_pixels import hot_map
from eventseg.filters.rules import Filters, parse_filters
from eventseg.networks import InputSpec, TrainedNetwork
from eventseg.networks.inputs import scaled
from eventseg.prediction.checkpoint_file import data_encoding, find_checkpoint
from eventseg.prediction.fast import fast_predictor
from eventseg.prediction.instants import window_us_of
from eventseg.prediction.live.byte_sources import Note
from eventseg.prediction.live.packets import PacketSource
from eventseg.prediction.live.queue import QueueRule
from eventseg.prediction.live.replay import Replay
from eventseg.prediction.live.sources import open_packet_source
from eventseg.prediction.loading import load_trained
from eventseg.prediction.predictor import Predictor, predictor
from eventseg.recordings import Recording, open_recording
from eventseg.recordings.choices import FileChoices
from eventseg.windows import check_window, format_duration, to_us


def no_note(_text: str) -> None:
    """Take a line for the user and do nothing with it."""


@dataclass(frozen=True, eq=False, slots=True)
class StreamSetup:
    """Parts of a live stream.

    Parameters
    ----------
    predictor : Predictor
    source : PacketSource
    name : str
        Name of the source in messages.
    sequence : str
        Name of the source in sample ids.
    encoding : Encoding
    window_us, every_us, lateness_us : int
    queue : {"latest", "all"}
    filters : Filters
    hot : bool (H, W), optional
    recording : Recording, optional
        Recording that is replayed, for its frames.
    owned : bool
        Whether the recording is closed with the stream.
    max_frame_age_us : int, optional
    timeout_s : float, optional
    keep_events : bool
        Whether predictions hold the events of their windows.
    note : callable
    """

    predictor: Predictor
    source: PacketSource
    name: str
    sequence: str
    encoding: Encoding
    window_us: int
    every_us: int
    lateness_us: int
    queue: QueueRule
    filters: Filters
    hot: NDArray[np.bool_] | None
    recording: Recording | None
    owned: bool
    max_frame_age_us: int | None
    timeout_s: float | None
    keep_events: bool
    note: Note

    def frame_at(self, t1_us: int) -> int:
        """Return the latest frame by an instant that is young enough, -1 for none."""
        if self.recording is None:
            return -1
        times = self.recording.frames.t_us
        frame = int(np.searchsorted(times, t1_us, side="right")) - 1
        age = self.max_frame_age_us
        return -1 if frame < 0 or (age is not None and t1_us - times[frame] > age) else frame

    def frame_input(self, i: int) -> NDArray[np.float32]:
        """Return a frame as the network sees it, float32 (1 or 3, H, W)."""
        assert self.recording is not None  # networks of frames are refused without one
        inputs = self.predictor.trained.inputs
        image = self.recording.frames.image(i)[slice(*self.encoding.rows)]
        gray = image.astype(np.float32)[None] / np.float32(255)
        return scaled(np.repeat(gray, 3, axis=0) if inputs.kind == "rgb" else gray, inputs.scaling)

    def close(self) -> None:
        """Close the source, and the recording that was opened for the stream."""
        self.source.close()
        if self.owned and self.recording is not None:
            self.recording.close()


def set_up(
    network: str | Path | TrainedNetwork | Predictor,
    source: str | Path | Recording | PacketSource,
    *,
    every: str | int,
    window: str | int | None,
    queue: QueueRule | None,
    lateness: str | int,
    speed: float,
    packet: str | int,
    sensor: SensorSize | None,
    choices: FileChoices,
    encoding: Encoding | None,
    filters: Filters | None,
    hot: NDArray[np.bool_] | None,
    max_frame_age_us: int | None,
    timeout_s: float | None,
    keep_events: bool,
    device: str,
    fast: bool,
    note: Note,
) -> StreamSetup:
    """Return the parts of a live stream; parameters and errors are those of :func:`stream`."""
    if queue not in (None, "latest", "all"):
        raise WindowError(f"queue must be latest or all, got {queue!r}")
    if not speed > 0:
        raise WindowError(f"speed must be above 0, such as 1 or inf, got {speed:g}")
    every_us, packet_us = _positive(to_us(every), "every"), _positive(to_us(packet), "packet")
    lateness_us = to_us(lateness)
    if lateness_us < 0:
        raise WindowError(f"lateness must be 0 or more, got {lateness_us} us")
    chosen, data = live_predictor(network, device=device, fast=fast)
    inputs = chosen.trained.inputs
    window_us = check_window(window_us_of(inputs, window))
    trained = inputs.encoding or data_encoding(data, inputs)
    opened = isinstance(source, str | Path)
    name = str(source) if isinstance(source, str | Path) else type(source).__name__
    packets: PacketSource
    if isinstance(source, str | Path):
        packets = open_packet_source(
            source,
            note=note,
            speed=speed,
            packet_us=packet_us,
            timeout_s=timeout_s,
            sensor=sensor,
            likely=None if trained is None else trained.sensor,
            choices=choices,
        )
    elif isinstance(source, Recording):
        packets = Replay(source, speed=speed, packet_us=packet_us)
    else:
        packets = source
    try:
        recording = packets.recording if isinstance(packets, Replay) else None
        name = name if recording is None else recording.name
        if inputs.kind != "events" and recording is None:
            raise NetworkError(
                f"the network sees {inputs.kind} and {name} sends events alone; stream a recording "
                "with frames, or train a network on events"
            )
        if inputs.kind != "events" and recording is not None and not len(recording.frames):
            raise NetworkError(
                f"the network sees {inputs.kind} and {name} has no frames; stream a recording with "
                "frames, or take a network that was trained on events"
            )
        own = getattr(packets, "sensor", None) or sensor
        encoding = encoding or _encoding(inputs, trained, own, name=name, note=note)
        inputs.check_encoding(encoding, source=name)
        filters = parse_filters(encoding.filters) if filters is None else filters
        if filters.hot_factor and hot is None:
            if recording is not None:
                numbers = survey_filters(recording, filters).hot_pixels
                hot = hot_map(numbers, encoding.sensor)
            else:
                filters = replace(filters, hot_factor=0.0)
                note(
                    "hot pixels are not dropped: which they are is known from a complete "
                    "recording only; give one of this camera with --hot-from"
                )
        if inputs.kind in ("events", "both") and not can_slide(
            encoding.representation, window_us=window_us
        ):
            note(
                f"a window of {format_duration(window_us)} of {encoding.representation} is encoded "
                "again at each instant: its sums do not move along"
            )
    except BaseException:
        packets.close()
        raise
    paced = recording is None or speed != math.inf
    return StreamSetup(
        predictor=chosen,
        source=packets,
        name=name,
        sequence="live" if recording is None else recording.name,
        encoding=encoding,
        window_us=window_us,
        every_us=every_us,
        lateness_us=lateness_us,
        queue=queue or ("latest" if paced else "all"),
        filters=filters,
        hot=hot,
        recording=recording,
        owned=opened,
        max_frame_age_us=max_frame_age_us,
        timeout_s=timeout_s,
        keep_events=keep_events,
        note=note,
    )


def live_predictor(
    network: str | Path | TrainedNetwork | Predictor, *, device: str = "auto", fast: bool = False
) -> tuple[Predictor, Path | None]:
    """Return the predictor of a run folder, a checkpoint or a loaded network, and its data.

    Raises
    ------
    CheckpointError
        A run folder without ``best.pt``, a file that cannot be read, or with `fast` one that has
        not been measured.
    """
    if isinstance(network, Predictor):
        return network, None
    if isinstance(network, TrainedNetwork):
        return predictor(network, device=device), None
    found = find_checkpoint(network)
    if fast:
        return fast_predictor(found, device=device), found.data
    return predictor(load_trained(found), device=device), found.data


def hot_pixels_of(network: str | Path, recording: str | Path) -> NDArray[np.bool_]:
    """Return the hot pixels of a recording by the filter of a network's training, bool (H, W).

    Raises
    ------
    CheckpointError, RecordingError
        Files that cannot be read.
    NetworkError
        A network that was trained with hot pixels.
    """
    encoding = load_trained(find_checkpoint(network)).inputs.encoding
    filters = parse_filters(encoding.filters if encoding else ())
    if encoding is None or not filters.hot_factor:
        raise NetworkError(
            f"{network} was trained with all pixels: it needs no recording to find hot ones in"
        )
    with open_recording(recording, sensor=encoding.sensor) as opened:
        return hot_map(survey_filters(opened, filters).hot_pixels, opened.sensor)


def _encoding(
    inputs: InputSpec,
    trained: Encoding | None,
    sensor: SensorSize | None,
    *,
    name: str,
    note: Note,
) -> Encoding:
    """Return the encoding of the training for the source's sensor."""
    if trained is None:
        if sensor is None:
            raise NetworkError(
                f"neither {name} nor the checkpoint tells the size of the sensor; give --sensor"
            )
        events = inputs.channels - (inputs.kind == "both")
        if inputs.kind in ("events", "both") and events != MEAN_STD.channels:
            raise CheckpointError(
                f"the checkpoint does not say what its {events} event channels are; give encoding="
            )
        return encoding_of(sensor, normalise=inputs.normalise)
    if sensor is None or sensor == trained.sensor:
        return trained
    row0, row1 = trained.rows
    note(
        f"{name} has a sensor of {sensor}, the network was trained on rows {row0} to {row1 - 1} of "
        f"{trained.sensor}: all its {sensor.height} rows are predicted"
    )
    return replace(trained, sensor=sensor, rows=(0, sensor.height))


def _positive(duration_us: int, name: str) -> int:
    if duration_us <= 0:
        raise WindowError(f"{name} must be positive, got {duration_us} us")
    return duration_us
