"""Instants of a recording that a network predicts, and its input at each of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from eventseg.encoding.one_pass import encode_recording
from eventseg.encoding.representation import MEAN_STD
from eventseg.encoding.settings import Encoding, encoding_of
from eventseg.errors import CheckpointError, NetworkError, WindowError
from eventseg.filters.filtered import filtered, survey_filters
from eventseg.filters.rules import Filters, parse_filters
from eventseg.networks import InputSpec
from eventseg.networks.inputs import scaled
from eventseg.recordings import Recording
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


@dataclass(frozen=True, eq=False, slots=True)
class Instants:
    """Instants of a recording, each with the window that ends there.

    Parameters
    ----------
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

    recording: Recording
    windows: Windows
    ids: tuple[str, ...]
    encoding: Encoding
    filters: Filters
    skipped: int = 0

    def __len__(self) -> int:
        """Return the number of instants."""
        return len(self.windows)

    def part(self, start: int, stop: int) -> Instants:
        """Return the instants from one number to before another."""
        return replace(
            self,
            windows=_chosen(self.windows, slice(start, stop)),
            ids=self.ids[start:stop],
        )

    @property
    def covered(self) -> NDArray[np.float64]:
        """Share of each window that the recording covers, float64 (N,)."""
        return covered_share(
            self.windows,
            t_first_us=self.recording.t_first_us,
            t_last_us=self.recording.t_last_us,
            gaps=self.recording.gaps,
        )

    def network_inputs(
        self, inputs: InputSpec, *, done: NDArray[np.bool_] | None = None
    ) -> Iterator[tuple[NDArray[np.float32] | None, int | None]]:
        """Yield the input of a network at each instant, and the number of events in its window.

        Parameters
        ----------
        inputs : InputSpec
        done : bool (N,), optional
            Instants whose input is not wanted: None stands for it.

        Yields
        ------
        float32 (C, H, W) or None, int or None
            The number is None where the network sees no events.
        """
        wanted = np.ones(len(self), np.bool_) if done is None else ~done
        for i, (events, count) in enumerate(self._event_tensors(inputs, ~wanted)):
            if not wanted[i]:
                yield None, count
                continue
            parts = [] if events is None else [events]
            if inputs.kind != "events":
                parts.insert(0, self._frame(int(self.windows.frame[i]), inputs))
            yield np.concatenate(parts), count

    def _event_tensors(
        self, inputs: InputSpec, done: NDArray[np.bool_]
    ) -> Iterator[tuple[NDArray[np.float32] | None, int | None]]:
        if inputs.kind not in ("events", "both"):
            yield from ((None, None) for _ in self.ids)
            return
        hot = survey_filters(self.recording, self.filters).hot_pixels
        for sample in encode_recording(
            filtered(self.recording, self.filters, hot_pixels=hot),
            [self.windows],
            encoding=self.encoding,
            skip=done,
        ):
            # A copy: the next step overwrites the tensor.
            tensor = sample.tensors[0].astype(np.float32) if sample.tensors else None
            yield tensor, sample.counts[0]

    def _frame(self, i: int, inputs: InputSpec) -> NDArray[np.float32]:
        image = self.recording.frames.image(i)[slice(*self.encoding.rows)]
        gray = image.astype(np.float32)[None] / np.float32(255)
        return scaled(np.repeat(gray, 3, axis=0) if inputs.kind == "rgb" else gray, inputs.scaling)


def place_instants(
    recording: Recording,
    inputs: InputSpec,
    *,
    every: str | int | None = None,
    times_us: Sequence[int] | NDArray[np.int64] | None = None,
    anchor: str | Anchor = "frame",
    window: str | int | None = None,
    max_frame_age_us: int | None = MAX_FRAME_AGE_US,
    encoding: Encoding | None = None,
    filters: Filters | None = None,
) -> Instants:
    """Return the instants of a recording that a network predicts.

    Parameters
    ----------
    recording : Recording
        An open recording.
    inputs : InputSpec
        Input of the network.
    every, times_us, anchor, window, max_frame_age_us, encoding, filters
        As for :func:`eventseg.predict`.

    Raises
    ------
    CheckpointError
        A network whose channels are unknown, without an encoding.
    NetworkError
        A recording of another sensor size than the encoding.
    WindowError
        No instant, one outside the recording, times out of order, or an invalid duration or age.
    """
    encoding = encoding or inputs.encoding or _default_encoding(inputs, recording)
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
    windows = _windows(recording, times_us, placed, window_us_of(inputs, window), max_frame_age_us)
    if times_us is not None:
        placed = Anchor("stride")
    keep = (windows.frame >= 0) | (inputs.kind == "events")
    kept = _chosen(windows, keep)
    if not len(kept):
        frames = ""
        if len(windows) and max_frame_age_us is not None:
            age = format_duration(max_frame_age_us)
            frames = f": the network sees frames, and none is at most {age} old at any of them"
        raise WindowError(f"{recording.name} has no instant to predict{frames}")
    return Instants(
        recording,
        kept,
        tuple(sample_ids(recording.name, anchor=placed, windows=kept)),
        encoding,
        parse_filters(encoding.filters) if filters is None else filters,
        int((~keep).sum()),
    )


def window_us_of(inputs: InputSpec, window: str | int | None) -> int:
    """Return the length of the windows that a network predicts from, in us.

    Parameters
    ----------
    inputs : InputSpec
    window : str or int, optional
        Length that is asked for; by default the one that the network was trained on.

    Raises
    ------
    WindowError
        An invalid length, or none and the network was trained on several.
    """
    if window is not None:
        return _positive(to_us(window))
    if len(inputs.windows) > 1:
        raise WindowError(
            f"the network was trained on the windows {', '.join(inputs.windows)}: choose one with "
            "--window (window=)"
        )
    return to_us(inputs.windows[0] if inputs.windows else "50ms")


def _chosen(windows: Windows, which: slice | NDArray[np.bool_]) -> Windows:
    columns = {name: getattr(windows, name)[which] for name in ("t0_us", "t1_us", "frame", "row")}
    return replace(windows, **columns)


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
