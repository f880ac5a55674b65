"""Pictures and figures of a drive on the demo's page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from eventseg.dataset.reader import EventDataset
from eventseg.dataset.sample_windows import window_around
from eventseg.files.whole import write_whole
from eventseg.labels.maps import (
    CITYSCAPES_19,
    EVSEGNET_6,
    EVSEGNET_6_OF_CITYSCAPES_19,
    merge_labels,
    paint_labels,
)
from eventseg.plots.events import COLOUR_MAPS, channel_limits, render_channel, render_events
from eventseg.recordings import Recording, open_recording
from eventseg.recordings.truth import Truth, truth_path
from eventseg.windows import parse_duration

Picture = NDArray[np.uint8]

RATE_BIN_US = 20_000
FILM_FRAMES = 60
FILM_MS = 66
"""How long each picture of the film is shown: about half speed at 30 frames a second."""

SHOWN_WINDOW_US = 50_000
CHANNEL_ORDER = (
    ("ON", 0, 0),
    ("ON", 2, 0),
    ("ON", 3, 0),
    ("OFF", 1, 1),
    ("OFF", 4, 1),
    ("OFF", 5, 1),
)
"""Polarity, channel and the channel of its counts, as the page lines them up."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel of one window: its picture, and its colours with the values at both ends."""

    title: str
    picture: Path
    bar: Path
    limits: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Window:
    """One window before a moment: its events, and the share of pixels that have any."""

    name: str
    events: int
    active: float
    channels: tuple[Channel, ...]


@dataclass(frozen=True, slots=True)
class Moment:
    """One frame of a drive with all that belongs to it; shares of classes by name."""

    sample_id: str
    at_s: float
    frame: Path
    events: Path
    truth: Path
    merged: Path
    classes: dict[str, float]
    merged_classes: dict[str, float]
    windows: tuple[Window, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Story:
    """A drive as the page tells it; ``rate`` holds OFF and ON events a second, (2, bins)."""

    scenario: str
    seed: int
    recording: Path
    truth: Path
    duration_s: float
    events: int
    frames: int
    noise: float
    rate: NDArray[np.float64]
    film: Path
    still: Path
    moments: tuple[Moment, ...]


def picture_drive(
    path: Path,
    dataset: EventDataset,
    folder: Path,
    *,
    seed: int,
    scenario: str,
    moments: int,
    progress: Callable[[float], None],
) -> Story:
    """Draw a film and some moments of a simulated drive.

    Parameters
    ----------
    path : Path
        The recording, with its truth beside it.
    dataset : EventDataset
        Data set of the drive, with raw tensors.
    folder : Path
        Where the pictures go.
    seed, scenario
        Settings of the simulated drive.
    moments : int
        How many, spread over the frames whose windows lie within the recording.
    progress : callable
        Called with the share done, 0 to 1.
    """
    samples = dataset.samples
    mine = np.array([name == path.stem for name in samples.recording])
    whole = np.flatnonzero(mine & (samples.covered >= 1).all(axis=1))
    # Drives too short for a whole longest window still have frames to show.
    usable = whole if len(whole) else np.flatnonzero(mine)
    places = (np.arange(moments) + 0.5) / moments * len(usable)
    chosen = usable[np.unique(places.astype(np.int64))]
    with (
        open_recording(path, sensor=dataset.manifest.settings.sensor) as recording,
        Truth(truth_path(path)) as truth,
    ):
        shown = []
        for number, i in enumerate(chosen.tolist()):
            shown.append(_moment(recording, dataset, i, folder / f"{number + 1}"))
            progress(0.6 * (number + 1) / len(chosen))
        film, still = folder / "film.webp", folder / "still.png"
        _film(recording, truth, film, still)
        progress(1.0)
        _, signal = truth.events()
        return Story(
            scenario=scenario,
            seed=seed,
            recording=path,
            truth=truth_path(path),
            duration_s=(recording.t_last_us - recording.t_first_us) / 1e6,
            events=recording.n_events,
            frames=len(recording.frames),
            noise=1.0 - float(signal.mean()) if signal.size else 0.0,
            rate=_rate(recording),
            film=film,
            still=still,
            moments=tuple(shown),
        )


def _moment(recording: Recording, dataset: EventDataset, i: int, folder: Path) -> Moment:
    samples, settings = dataset.samples, dataset.manifest.settings
    t_us = int(samples.t_us[i])
    frame, labels = dataset.frame(i), dataset.labels(i)
    merged = merge_labels(labels, EVSEGNET_6_OF_CITYSCAPES_19)
    events = recording.events(t_us - SHOWN_WINDOW_US, t_us)
    windows = []
    for w, name in enumerate(dataset.windows):
        t0_us, t1_us = window_around(t_us, settings.anchor, parse_duration(name))
        part = recording.events(t0_us, t1_us)
        pixels = part.y.astype(np.int64) * part.sensor.width + part.x
        active = len(np.unique(pixels)) / (part.sensor.height * part.sensor.width)
        channels = _channels(dataset.tensor(i, name, normalise="raw"), folder / name)
        windows.append(Window(name, int(samples.events[i, w]), active, channels))
    return Moment(
        sample_id=samples.ids[i],
        at_s=(t_us - recording.t_first_us) / 1e6,
        frame=_save(frame, folder / "frame.png"),
        events=_save(render_events(events, frame), folder / "events.png"),
        truth=_save(paint_labels(labels, CITYSCAPES_19), folder / "truth.png"),
        merged=_save(paint_labels(merged, EVSEGNET_6), folder / "merged.png"),
        classes=_shares(labels, CITYSCAPES_19.names),
        merged_classes=_shares(merged, EVSEGNET_6.names),
        windows=tuple(windows),
    )


def _channels(tensor: NDArray[np.float32], folder: Path) -> tuple[Channel, ...]:
    limits = channel_limits(tensor)
    found = []
    for place, (sign, channel, count) in enumerate(CHANNEL_ORDER):
        name = tuple(limits)[place % 3]
        # One event has a time, but no spread of times.
        shown = tensor[count] >= (2 if name == "std of time" else 1)
        picture = render_channel(
            tensor[channel], shown=shown, limits=limits[name], cmap=COLOUR_MAPS[name]
        )
        file = _save(picture, folder / f"{sign.lower()}-{name.split()[0]}.png")
        bar = _save(_colour_bar(COLOUR_MAPS[name]), folder / f"bar-{COLOUR_MAPS[name]}.png")
        found.append(Channel(f"{sign} {name}", file, bar, limits[name]))
    return tuple(found)


def _colour_bar(cmap: str) -> Picture:
    values = np.linspace(0.0, 1.0, 256, dtype=np.float32)[None]
    return render_channel(values, shown=np.ones((1, 256), bool), limits=(0.0, 1.0), cmap=cmap)


def _film(recording: Recording, truth: Truth, film: Path, still: Path) -> None:
    """Write the first seconds as a film: events over the frame beside the true labels."""
    frames = recording.frames
    pictures = []
    for i in range(1, min(len(frames), FILM_FRAMES + 1)):
        events = recording.events(int(frames.t_us[i - 1]), int(frames.t_us[i]))
        halves = (
            render_events(events, frames.image(i)),
            paint_labels(truth.label(i), CITYSCAPES_19),
        )
        pictures.append(Image.fromarray(np.concatenate(halves, axis=1)))
    write_whole(still, lambda file: pictures[len(pictures) // 2].save(file, format="PNG"))
    write_whole(
        film,
        lambda file: pictures[0].save(
            file,
            format="WEBP",
            save_all=True,
            append_images=pictures[1:],
            duration=FILM_MS,
            loop=0,
            quality=70,
            method=1,
        ),
    )


def _rate(recording: Recording) -> NDArray[np.float64]:
    """Return OFF and ON events a second in bins of :data:`RATE_BIN_US`, float64 (2, bins)."""
    first = recording.t_first_us
    bins = max(1, (recording.t_last_us - first) // RATE_BIN_US)
    counts = np.zeros((2, bins), np.int64)
    for part in recording.stream():
        bin_of = (part.t - first) // RATE_BIN_US
        for polarity in (0, 1):
            mine = bin_of[(part.p == polarity) & (bin_of < bins)]
            counts[polarity] += np.bincount(mine, minlength=bins)
    return counts.astype(np.float64) * (1e6 / RATE_BIN_US)


def _shares(labels: Picture, names: tuple[str, ...]) -> dict[str, float]:
    """Return the share of the pixels of each class that is in view, the largest first."""
    counts = np.bincount(labels.ravel(), minlength=256)[: len(names)]
    order = [int(i) for i in np.argsort(-counts, kind="stable") if counts[i]]
    return {names[i]: float(counts[i]) / labels.size for i in order}


def _save(picture: Picture, path: Path) -> Path:
    write_whole(path, lambda file: Image.fromarray(picture).save(file, format="PNG"))
    return path
