"""Opening of inputs to predict: recordings, data sets, image folders and pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventseg.dataset.layout import MANIFEST
from eventseg.dataset.opening import dataset_folders, open_dataset
from eventseg.dataset.truth import TRUTH
from eventseg.encoding.settings import Encoding
from eventseg.errors import DatasetError, NetworkError, RecordingError, WindowError
from eventseg.files.paths import canonical
from eventseg.images import PICTURES, list_pictures
from eventseg.networks import InputSpec
from eventseg.prediction.inputs import OpenInput, PictureInput, RecordedInput, StoredInput
from eventseg.prediction.instants import place_instants, window_us_of
from eventseg.prediction.settings import PredictionSettings
from eventseg.recordings import Recording, open_recording
from eventseg.recordings.formats import FORMATS
from eventseg.recordings.progress import Report, no_report
from eventseg.sources.image_folders import Folder
from eventseg.sources.layouts import open_layout
from eventseg.sources.leagues.league import League
from eventseg.sources.leagues.settings import ENDING
from eventseg.sources.recorded import EventSource
from eventseg.sources.split_file import read_split_file, splits_of_run
from eventseg.windows import format_duration, parse_duration


def open_input(
    path: Path,
    inputs: InputSpec,
    settings: PredictionSettings,
    *,
    encoding: Encoding | None = None,
    progress: Report = no_report,
) -> OpenInput:
    """Open an input to predict.

    Parameters
    ----------
    path : Path
        A recording, a data set, an image folder, a league, a picture or a folder of pictures.
    inputs : InputSpec
        Input of the network.
    settings : PredictionSettings
    encoding : Encoding, optional
        Encoding of the training data, for checkpoints that hold none.
    progress : callable
        Called while a recording is read for the first time.

    Raises
    ------
    DatasetError, RecordingError
        Nothing that can be predicted, or files that cannot be read.
    NetworkError
        An input that the network does not see.
    WindowError
        No instant to predict, or a window or instant that cannot be had.
    """
    if path.is_dir() or (path.suffix.lower() == ENDING and path.is_file()):
        return _open_folder(path, inputs, settings)
    if path.suffix.lower() in PICTURES:
        return _pictures(path, (path,), inputs, settings)
    if path.suffix.lower() not in FORMATS and path.is_file():
        raise RecordingError(
            f"{path}: the suffix {path.suffix!r} is neither that of a recording "
            f"({', '.join(FORMATS)}) nor of a picture ({', '.join(PICTURES)})"
        )
    return _open_recording(path, inputs, settings, encoding=encoding, progress=progress)


def _open_recording(
    path: Path,
    inputs: InputSpec,
    settings: PredictionSettings,
    *,
    encoding: Encoding | None,
    progress: Report,
) -> RecordedInput:
    if settings.split is not None:
        raise DatasetError(f"{path} is a recording and has no split: leave --split out")
    encoding, notes = inputs.encoding or encoding, []
    recording = open_recording(
        path,
        sensor=settings.sensor,
        likely=encoding.sensor if encoding else None,
        rotate180=settings.rotate180,
        **settings.choices.arguments,
        progress=progress,
    )
    try:
        if encoding is not None and recording.sensor != encoding.sensor:
            row0, row1 = encoding.rows
            notes.append(
                f"{recording.name} has a sensor of {recording.sensor}, the network was trained on "
                f"rows {row0} to {row1 - 1} of {encoding.sensor}: all its "
                f"{recording.sensor.height} rows are predicted"
            )
            encoding = replace(encoding, sensor=recording.sensor, rows=(0, recording.sensor.height))
        if len(recording.frames.t_us) == 0 and settings.instants == "frames":
            raise WindowError(
                f"{recording.name} has no frames to predict at; give --every 20ms, or --at TIMES"
            )
        instants = place_instants(
            recording,
            inputs,
            every=settings.every_us,
            times_us=_times_us(settings, recording),
            window=settings.window_us,
            max_frame_age_us=settings.max_frame_age_us,
            encoding=encoding,
        )
    except BaseException:
        recording.close()
        raise
    return RecordedInput(instants, inputs, (*notes, *_window_notes(inputs, settings)))


def _times_us(settings: PredictionSettings, recording: Recording) -> NDArray[np.int64] | None:
    """Return the given instants on the recording's clock."""
    if settings.at_us is None or settings.every_us is not None:
        return None
    span_us = recording.t_last_us + 1 - recording.t_first_us
    outside = [time_us for time_us in settings.at_us if not 0 < time_us <= span_us]
    if outside:
        raise WindowError(
            f"{recording.name} lasts {span_us / 1e6:.6f} s, no window ends "
            f"{outside[0] / 1e6:.6f} s after its first event; give --at times within"
        )
    return recording.t_first_us + np.array(settings.at_us, np.int64)


def _window_notes(inputs: InputSpec, settings: PredictionSettings) -> list[str]:
    """Return the note on a window that the network was not trained on."""
    if settings.window_us is None or inputs.kind not in ("events", "both") or not inputs.windows:
        return []
    asked = format_duration(settings.window_us)
    if asked in (format_duration(parse_duration(window)) for window in inputs.windows):
        return []
    return [f"the network was trained on windows of {', '.join(inputs.windows)}, not {asked}"]


def _open_folder(path: Path, inputs: InputSpec, settings: PredictionSettings) -> OpenInput:
    if (path / MANIFEST).is_file():
        return _stored(EventSource(open_dataset(path), TRUTH), inputs, settings)
    folder = open_layout(path)
    if folder is not None:
        return _stored(folder, inputs, settings)
    files = list_pictures(path).files
    if files:
        return _pictures(path, files, inputs, settings)
    if several := dataset_folders(path):
        raise DatasetError(
            f"{path} holds {len(several)} data sets, one a window length; give one of them, such "
            f"as {several[0]}"
        )
    recordings = [file for file in sorted(path.iterdir()) if file.suffix.lower() in FORMATS]
    hint = f"; give its recordings one by one: {path}/*{recordings[0].suffix}" if recordings else ""
    raise DatasetError(f"{path} is no data set, no image folder and holds no pictures{hint}")


def _stored(
    source: EventSource | Folder | League, inputs: InputSpec, settings: PredictionSettings
) -> StoredInput:
    _refuse_of_recordings(settings, what=f"{source.path} is predicted at its samples")
    inputs.check_encoding(source.encoding, source=str(source.path))
    window = format_duration(window_us_of(inputs, settings.window_us))
    chosen = np.ones(len(source.ids), np.bool_)
    if settings.split is not None:
        splits = source.splits
        if settings.split_file is not None:
            splits = splits_of_run(source, read_split_file(settings.split_file)) or splits
        chosen = np.array(splits) == settings.split
        if not chosen.any():
            raise DatasetError(
                f"{source.path} has no samples of split {settings.split}; it has those of "
                f"{', '.join(sorted(set(splits)))}"
            )
    framed = chosen
    if isinstance(source, EventSource) and inputs.kind != "events":
        framed = chosen & (source.dataset.samples.frame >= 0)
    if not framed.any():
        raise DatasetError(f"{source.path} has no sample with a frame, which the network sees")
    missing = int((chosen & ~framed).sum())
    notes = tuple(_window_notes(inputs, settings))
    return StoredInput(source, inputs, window, np.flatnonzero(framed), missing, notes)


def _pictures(
    path: Path, files: tuple[Path, ...], inputs: InputSpec, settings: PredictionSettings
) -> PictureInput:
    if inputs.kind in ("events", "both"):
        raise NetworkError(
            f"the network sees events, and {path} is a picture or a folder of pictures; give a "
            "recording or a data set, or a network of gray frames or pictures"
        )
    _refuse_of_recordings(settings, what=f"{path} has no times")
    if settings.split is not None:
        raise DatasetError(f"{path} holds pictures without a split: leave --split out")
    return PictureInput(canonical(path), files, inputs)


def _refuse_of_recordings(settings: PredictionSettings, *, what: str) -> None:
    """Raise where something is asked of other inputs that is for recordings only.

    Raises
    ------
    WindowError
        Instants.
    DatasetError
        Size or orientation of the sensor.
    """
    if settings.instants != "frames":
        raise WindowError(f"{what}: leave --every and --at out, which are for recordings")
    if settings.sensor is not None or settings.rotate180:
        raise DatasetError(f"{what}: leave --sensor and --rotate180 out, which are for recordings")
    if given := settings.choices.named():
        raise DatasetError(f"{what}: leave {' and '.join(given)} out, which is for recordings")
