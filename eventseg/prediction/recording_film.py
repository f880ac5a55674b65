"""Film of a recording: frame, events of the window, and the truth where it is beside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from eventseg.errors import WindowError
from eventseg.events import SensorSize
from eventseg.files.whole import check_folder
from eventseg.labels.maps import paint_labels
from eventseg.plots.events import OFF_RGB, ON_RGB
from eventseg.plots.film import Picture, check_out, write_film
from eventseg.plots.film_frame import EXACT, FilmLayout, Panel
from eventseg.prediction.film import FilmOfPredictions, check_fps, film_rate, film_width
from eventseg.prediction.inputs import PredictedSample
from eventseg.prediction.recorded_moments import RecordedMoments
from eventseg.recordings import open_recording
from eventseg.recordings.choices import FileChoices, TimeUnit
from eventseg.recordings.progress import Progress, Report, no_report
from eventseg.windows import Anchor, check_window, cut_windows, format_duration, to_us

EVERY_US = 40_000
"""Distance of the pictures of a recording without frames."""


def film_recording(
    path: str | Path,
    out: str | Path,
    *,
    window: str | int = "50ms",
    every: str | int | None = None,
    begin: str | int = 0,
    end: str | int | None = None,
    fps: float | None = None,
    width: int | None = None,
    sensor: SensorSize | None = None,
    rotate180: bool = False,
    camera: str | int | None = None,
    time_unit: TimeUnit | None = None,
    shift_frames: str | int = 0,
    progress: Report = no_report,
) -> FilmOfPredictions:
    """Write a film of a recording, without any network.

    Parameters
    ----------
    path : path
        A recording.
    out : path
        ``.mp4`` (extra ``video``), ``.gif``, or a new folder for PNG.
    window : str or int
        Length of the window whose events a picture shows.
    every : str or int, optional
        Distance of the pictures; by default one at each frame, or every 40 ms without frames.
    begin, end : str or int
        Part of the recording, after its first event; by default all of it.
    fps : float, optional
        Pictures a second, 0.1 to 1000; by default as the moments follow each other, at most 60.
    width : int, optional
        Width in pixels; by default 1600, of a GIF 960.
    sensor, rotate180, camera, time_unit
        As for :func:`eventseg.open_recording`.
    shift_frames : str or int
        Time to add to the stamps of the frames, such as ``-12ms`` or microseconds.
    progress : callable
        Called after every picture.

    Raises
    ------
    RecordingError, DatasetError
        A recording or a truth file beside it that cannot be read.
    WindowError
        No picture in that part, or an invalid duration.
    OutputError, MissingExtraError
        The film cannot be written.

    Examples
    --------
    >>> film_recording("drive.hdf5", "drive.gif", begin="100ms", end="300ms").pictures
    6
    """
    target, window_us = Path(out), check_window(to_us(window))
    check_fps(fps)
    columns = film_width(target, width)
    check_out(target)
    check_folder(target.parent if target.suffix else target)
    choices = FileChoices.of(camera, time_unit, shift_frames)
    with open_recording(
        path, sensor=sensor, rotate180=rotate180, **choices.arguments, progress=progress
    ) as opened:
        size = opened.sensor
        has_frames = len(opened.frames.t_us) > 0
        step_us = EVERY_US if every is None else check_window(to_us(every))
        anchor = Anchor("frame") if every is None and has_frames else Anchor("stride", step_us)
        windows = cut_windows(opened, anchor=anchor, window_us=window_us)
        after_us = windows.t1_us - opened.t_first_us
        last_us = to_us(end) if end is not None else int(after_us.max(initial=0))
        chosen = np.flatnonzero((after_us >= to_us(begin)) & (after_us <= last_us))
        if not len(chosen):
            raise WindowError(
                f"{opened.name} has no picture between {to_us(begin) / 1e6:g} s and "
                f"{last_us / 1e6:g} s after its first event; give another part, or --every"
            )
        name = opened.name
    samples = [
        PredictedSample(
            f"{name}_t{windows.t1_us[i]}",
            name,
            int(windows.t1_us[i]),
            int(windows.frame[i]),
            1.0,
            None,
        )
        for i in chosen
    ]
    rate = film_rate(samples, fps)
    entry = {
        "size": str(size),
        "rows": [0, size.height],
        "window": format_duration(window_us),
    }
    moments = RecordedMoments.open(
        Path(path), entry, rotate180=rotate180, sees=True, choices=choices
    )
    try:
        with_truth = moments.classes is not None and anchor.kind == "frame"
        classes = moments.classes if with_truth else None
        panels = 1 + has_frames + with_truth
        layout = FilmLayout(1, panels, (size.height, size.width), classes, columns)

        def pictures() -> Iterator[Picture]:
            for number, sample in enumerate(samples, start=1):
                moment = moments.moment(sample)
                row = [Panel("frame", moment.frame)] if has_frames else []
                row.append(Panel(f"events of {entry['window']}, ON red, OFF blue", moment.events))
                if with_truth and classes is not None:
                    truth = None if moment.labels is None else paint_labels(moment.labels, classes)
                    row.append(Panel("truth", truth))
                yield layout.draw([row], headline=name, note=f"{moment.seconds:.3f} s")
                progress(Progress("film", number, len(samples), "picture"))

        colours = (*EXACT, ON_RGB, OFF_RGB)
        rate = write_film(
            target,
            pictures(),
            names=tuple(sample.id for sample in samples),
            fps=rate,
            colours=[*colours, *(classes.colours if classes else ())],
        )
    finally:
        moments.close()
    return FilmOfPredictions(target, len(samples), float(rate), 0)
