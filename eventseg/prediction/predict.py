"""Predictions of a trained network over a recording, in constant memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from eventseg import html
from eventseg.encoding.one_pass import encode_recording
from eventseg.encoding.representation import MEAN_STD
from eventseg.encoding.settings import Encoding, encoding_of
from eventseg.errors import CheckpointError, NetworkError, WindowError
from eventseg.filters.filtered import filtered, survey_filters
from eventseg.filters.rules import Filters, parse_filters
from eventseg.labels.files import write_labels
from eventseg.labels.maps import ClassTable, Labels, paint_labels
from eventseg.networks import InputSpec, TrainedNetwork
from eventseg.networks.inputs import scaled
from eventseg.prediction.predictor import SINGLE, Predictor, TestTimeAugmentation, predictor
from eventseg.recordings import Recording, open_recording
from eventseg.windows import (
    MAX_FRAME_AGE_US,
    Anchor,
    Windows,
    covered_share,
    cut_windows,
    format_duration,
    parse_anchor,
    sample_ids,
    to_us,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Prediction:
    """Prediction of a network at one instant of a recording.

    Parameters
    ----------
    id : str
        Sample id, as a data set of the same anchor names it.
    t_us : int
        End of the window in us of the sensor's clock.
    frame : int
        Latest frame by then, -1 for none.
    covered : float
        Share of the window that the recording covers.
    input : float32 (C, H, W)
        The network's input.
    probabilities : float32 (K, H, W)
        Class probabilities of the rows that the network sees; they add up to 1 at each pixel.
    classes : ClassTable
    inputs : InputSpec
    """

    id: str
    t_us: int
    frame: int
    covered: float
    input: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    classes: ClassTable
    inputs: InputSpec

    @cached_property
    def labels(self) -> Labels:
        """Most probable class of each pixel, uint8 (H, W)."""
        labels: Labels = self.probabilities.argmax(0).astype(np.uint8)
        return labels

    @cached_property
    def confidence(self) -> NDArray[np.float32]:
        """Probability of the most probable class, float32 (H, W)."""
        highest: NDArray[np.float32] = self.probabilities.max(0)
        return highest

    def save(self, path: str | Path) -> Path:
        """Write the labels as an indexed PNG in the colours of the classes.

        Raises
        ------
        OutputError
            The file cannot be written.
        """
        write_labels(Path(path), self.labels, self.classes)
        return Path(path)

    def plot(self) -> Figure:
        """Return a figure of the input beside the prediction."""
        from eventseg.plots.training import figure_panels, paint_input

        seen = paint_input(self.input, kind=self.inputs.kind, scaling=self.inputs.scaling)
        return figure_panels(
            [[seen, paint_labels(self.labels, self.classes)]],
            titles=(self.inputs.kind, "prediction"),
            names=[self.id],
            table=self.classes,
        )

    def __repr__(self) -> str:
        height, width = self.labels.shape
        size = f"{width}x{height}, {len(self.classes)} classes"
        return f"Prediction({self.id!r}, {self.t_us} us, {size})"

    def _repr_html_(self) -> str:
        return html.picture(self.plot(), alternative=repr(self))


@dataclass(frozen=True, eq=False, slots=True)
class Predictions:
    """Predictions over a recording; each iteration predicts them anew, in constant memory.

    Parameters
    ----------
    predictor : Predictor
    recording : Recording
        An open recording.
    windows : Windows
        One window for each instant.
    ids : tuple of str
        Sample id of each instant.
    encoding : Encoding
        Encoding of the events.
    filters : Filters
        Filters that the events pass before.
    skipped : int
        Instants left out because the network sees frames and there is none by then that is young
        enough.
    """

    predictor: Predictor
    recording: Recording
    windows: Windows
    ids: tuple[str, ...]
    encoding: Encoding
    filters: Filters
    skipped: int = 0

    def __len__(self) -> int:
        """Return the number of instants."""
        return len(self.windows)

    def __iter__(self) -> Iterator[Prediction]:
        """Yield the predictions in order of time."""
        trained, recording = self.predictor.trained, self.recording
        covered = covered_share(
            self.windows,
            t_first_us=recording.t_first_us,
            t_last_us=recording.t_last_us,
            gaps=recording.gaps,
        )
        for i, events in enumerate(self._event_tensors()):
            parts = [] if events is None else [events]
            if trained.inputs.kind != "events":
                parts.insert(0, self._frame(int(self.windows.frame[i])))
            x = np.concatenate(parts)
            yield Prediction(
                self.ids[i],
                int(self.windows.t1_us[i]),
                int(self.windows.frame[i]),
                float(covered[i]),
                x,
                self.predictor(x),
                trained.classes,
                trained.inputs,
            )

    def save(self, folder: str | Path) -> list[Path]:
        """Write the labels of every instant into a folder as ``ID.png``.

        Raises
        ------
        OutputError
            A file cannot be written.
        """
        return [each.save(Path(folder) / f"{each.id}.png") for each in self]

    def __repr__(self) -> str:
        skipped = f", {self.skipped} skipped without a frame" * bool(self.skipped)
        return (
            f"Predictions({len(self)} instants of {self.recording.name}, "
            f"{self.windows.name} windows{skipped})"
        )

    def _event_tensors(self) -> Iterator[NDArray[np.float32] | None]:
        if self.predictor.trained.inputs.kind not in ("events", "both"):
            yield from (None for _ in self.ids)
            return
        hot = survey_filters(self.recording, self.filters).hot_pixels
        for sample in encode_recording(
            filtered(self.recording, self.filters, hot_pixels=hot),
            [self.windows],
            encoding=self.encoding,
        ):
            # A copy: the next step overwrites the tensor.
            yield sample.tensors[0].copy()

    def _frame(self, i: int) -> NDArray[np.float32]:
        inputs = self.predictor.trained.inputs
        image = self.recording.frames.image(i)[slice(*self.encoding.rows)]
        gray = image.astype(np.float32)[None] / np.float32(255)
        return scaled(np.repeat(gray, 3, axis=0) if inputs.kind == "rgb" else gray, inputs.scaling)


def predict(
    network: str | Path | TrainedNetwork | Predictor,
    recording: str | Path | Recording,
    *,
    every: str | int | None = None,
    times_us: Sequence[int] | NDArray[np.int64] | None = None,
    anchor: str | Anchor = "frame",
    window: str | int | None = None,
    max_frame_age_us: int | None = MAX_FRAME_AGE_US,
    encoding: Encoding | None = None,
    filters: Filters | None = None,
    test_time: TestTimeAugmentation = SINGLE,
    device: str = "auto",
) -> Predictions:
    """Predict a recording at its frames, at equal distances, or at given times.

    The events are encoded as the network's training data was, to the same bits.

    Parameters
    ----------
    network : path, TrainedNetwork or Predictor
        A checkpoint or a loaded network.
    recording : path or Recording
        One of a path is opened with the sensor size of the encoding.
    every : str or int, optional
        Distance of the instants from the first event on, a duration or microseconds.
    times_us : sequence of int (N,), optional
        Instants in us of the sensor's clock, not decreasing.
    anchor : str or Anchor
        Rule that places the windows where neither `every` nor `times_us` is given: ``frame``,
        ``centre``, ``stride:20ms`` or ``evsegnet``.
    window : str or int, optional
        Length of the windows; may be left out where the network was trained on one.
    max_frame_age_us : int or None
        Largest age of a frame in us at an instant that it does not anchor; an older one counts as
        none, and None allows any. A network that sees frames predicts no instant without one.
    encoding : Encoding, optional
        Encoding of the events; by default the one that the network was trained on.
    filters : Filters, optional
        Event filters; by default those that the network was trained with.
    test_time : TestTimeAugmentation
        Views of each input that are averaged; that of a `Predictor` stays.
    device : str
        Device of the network: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Returns
    -------
    Predictions
        An iterable of :class:`Prediction`; iterating runs the network.

    Raises
    ------
    CheckpointError, RecordingError, DeviceError
        A network, recording or device that cannot be used.
    NetworkError
        A recording of another sensor size than the encoding.
    WindowError
        No instant, one outside the recording, times out of order, or an invalid duration or age.

    Examples
    --------
    >>> predictions = predict(run.path / "best.pt", recording, every="20ms", device="cpu")
    >>> next(iter(predictions)).labels.shape
    (48, 64)
    """
    chosen = (
        network
        if isinstance(network, Predictor)
        else predictor(network, test_time=test_time, device=device)
    )
    inputs = chosen.trained.inputs
    encoding = encoding or inputs.encoding
    if not isinstance(recording, Recording):
        recording = open_recording(recording, sensor=encoding.sensor if encoding else None)
    encoding = encoding or _default_encoding(inputs, recording)
    inputs.check_encoding(encoding, source=recording.name)
    if recording.sensor != encoding.sensor:
        raise NetworkError(
            f"{recording.name} has a sensor of {recording.sensor} and the network was trained on "
            f"{encoding.sensor}; give encoding= with the size and rows to predict"
        )
    placed = parse_anchor(anchor) if isinstance(anchor, str) else anchor
    if every is not None:
        placed = Anchor("stride", _positive(to_us(every)))
    if max_frame_age_us is not None and to_us(max_frame_age_us) < 0:
        raise WindowError(
            f"max_frame_age_us must be 0 or more, or None for any age, got {max_frame_age_us}"
        )
    windows = _windows(recording, times_us, placed, _window_us(inputs, window), max_frame_age_us)
    if times_us is not None:
        placed = Anchor("stride")
    with_frame = windows.frame >= 0
    keep = with_frame | (inputs.kind == "events")
    columns = {name: getattr(windows, name)[keep] for name in ("t0_us", "t1_us", "frame", "row")}
    kept = replace(windows, **columns)
    if not len(kept):
        frames = ""
        if len(windows) and max_frame_age_us is not None:
            age = format_duration(max_frame_age_us)
            frames = f": the network sees frames, and none is at most {age} old at any of them"
        raise WindowError(f"{recording.name} has no instant to predict{frames}")
    return Predictions(
        chosen,
        recording,
        kept,
        tuple(sample_ids(recording.name, anchor=placed, windows=kept)),
        encoding,
        parse_filters(encoding.filters) if filters is None else filters,
        int((~keep).sum()),
    )


def _windows(
    recording: Recording,
    times_us: Sequence[int] | NDArray[np.int64] | None,
    anchor: Anchor,
    window_us: int,
    max_frame_age_us: int | None,
) -> Windows:
    if times_us is None:
        return cut_windows(
            recording, anchor=anchor, window_us=window_us, max_frame_age_us=max_frame_age_us
        )
    ends = np.asarray(times_us)
    if ends.ndim != 1 or (ends.size and ends.dtype.kind not in "iu"):
        raise WindowError("times_us must be whole microseconds, one number an instant")
    ends = ends.astype(np.int64)
    if (np.diff(ends) < 0).any():
        raise WindowError("times_us must not decrease; sort them before")
    outside = ends[(ends <= recording.t_first_us) | (ends - window_us > recording.t_last_us)]
    if len(outside):
        raise WindowError(
            f"the window up to {outside[0]} us lies outside {recording.name}, whose events run "
            f"from {recording.t_first_us} to {recording.t_last_us} us"
        )
    frame_us = recording.frames.t_us
    latest = np.searchsorted(frame_us, ends, side="right") - 1
    stale = np.zeros(len(ends), np.bool_)
    if max_frame_age_us is not None and len(frame_us):
        stale = (latest >= 0) & (ends - frame_us[latest] > max_frame_age_us)
    return Windows(
        format_duration(window_us),
        ends - window_us,
        ends,
        np.where(stale, -1, latest),
        np.full(len(ends), -1, np.int64),
        stale=int(stale.sum()),
    )


def _window_us(inputs: InputSpec, window: str | int | None) -> int:
    if window is not None:
        return _positive(to_us(window))
    if len(inputs.windows) > 1:
        raise WindowError(
            f"the network was trained on the windows {', '.join(inputs.windows)}: choose one"
        )
    return to_us(inputs.windows[0] if inputs.windows else "50ms")


def _positive(duration_us: int) -> int:
    if duration_us <= 0:
        raise WindowError(f"a duration must be positive, got {duration_us} us")
    return duration_us


def _default_encoding(inputs: InputSpec, recording: Recording) -> Encoding:
    """Return the encoding of an older checkpoint, which keeps its normalisation only."""
    events = inputs.channels - (inputs.kind == "both")
    if inputs.kind in ("events", "both") and events != MEAN_STD.channels:
        raise CheckpointError(
            f"the checkpoint does not say what its {events} event channels are; give encoding="
        )
    return encoding_of(recording.sensor, normalise=inputs.normalise)
