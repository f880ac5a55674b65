"""Check of a recording: every event and every frame is read."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from eventseg.errors import EventsegError
from eventseg.recordings.base import Recording
from eventseg.recordings.formats import open_recording
from eventseg.recordings.truth import Truth, truth_path
from eventseg.recordings.truth_pair import is_anothers


def check_recording(path: str | Path, **choices: Any) -> tuple[list[str], list[str]]:
    """Return the problems of a recording and the omissions and repairs of its reader.

    Every event is read: times that never fall, coordinates on the sensor and as many events as
    the index says. Every frame is read for its size and its time. Where a truth file is beside,
    it must belong to the recording, or to another one there that differs in its suffix alone.

    Parameters
    ----------
    path : path
    **choices
        Sensor size, camera and more, as for :func:`eventseg.open_recording`.

    Examples
    --------
    >>> check_recording("drive.hdf5")
    ([], [])
    """
    path = Path(path)
    try:
        with open_recording(path, **choices) as recording:
            problems = [*_events(recording), *_frames(recording), *_truth(path)]
            report = recording.report.to_dict()
    except EventsegError as error:
        return [str(error)], []
    warnings = [
        f"{count:,} {kind} left out: {reason}"
        for kind, reasons in report["skipped"].items()
        for reason, count in reasons.items()
    ]
    warnings += [f"repaired {count:,}: {what}" for what, count in report["repaired"].items()]
    return problems, warnings


def _events(recording: Recording) -> Iterator[str]:
    count, last_us = 0, recording.t_first_us
    height, width = recording.sensor
    for piece in recording.stream():
        if not len(piece):
            continue
        if int(piece.t[0]) < last_us or (piece.t[1:] < piece.t[:-1]).any():
            yield f"times of events fall after {last_us} us; convert the recording to sort them"
        if int(piece.x.max()) >= width or int(piece.y.max()) >= height:
            yield (
                f"events outside of the sensor {recording.sensor} after {last_us} us; give its "
                "size with --sensor"
            )
        count, last_us = count + len(piece), int(piece.t[-1])
    if count != recording.n_events:
        yield (
            f"{count:,} events are read where the index has {recording.n_events:,}; the file "
            "changed while it was read, or is damaged: copy it again"
        )


def _frames(recording: Recording) -> Iterator[str]:
    times = recording.frames.t_us.tolist()
    for number, (before, after) in enumerate(pairwise(times), start=1):
        if after < before:
            yield f"frame {number} at {after} us is older than the one before, {before} us"
    for number in range(len(times)):
        try:
            shape = recording.frames.image(number).shape[:2]
        except EventsegError as error:
            yield f"frame {number}: {error}"
            continue
        if shape != tuple(recording.sensor):
            yield f"frame {number} has {shape[1]}x{shape[0]}, the sensor {recording.sensor}"


def _truth(path: Path) -> Iterator[str]:
    truth = truth_path(path)
    if not truth.is_file():
        return
    try:
        with Truth(truth) as opened:
            if not opened.belongs_to(path) and not is_anothers(truth, path):
                yield (
                    f"{truth} is the truth of another recording than {path.name}; run the simulate "
                    "or convert that wrote them again, with --overwrite, or move the truth away"
                )
    except EventsegError as error:
        yield str(error)
