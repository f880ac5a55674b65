"""Samples of one recording: their rows of the sample table, and their tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eventseg.dataset.layout import Tensor
from eventseg.dataset.settings import Settings
from eventseg.dataset.table import Row
from eventseg.device import Device, choose_encoder
from eventseg.encoding.batches import Source
from eventseg.encoding.one_pass import encode_counted, encode_recording
from eventseg.errors import DatasetError, WindowError
from eventseg.filters.filtered import filtered
from eventseg.recordings import Recording
from eventseg.recordings.base import GAP_US
from eventseg.splits import (
    EVSEGNET_BIN_US,
    evsegnet_splits,
    export_row,
    hold_back_validation,
    split_of,
)
from eventseg.windows import (
    MAX_FRAME_AGE_US,
    Anchor,
    Windows,
    covered_share,
    cut_windows,
    format_duration,
    sample_ids,
)


class Encoded(NamedTuple):
    """A sample and its tensors (C, H, W), one a window, valid until the next step.

    ``tensors`` is empty for a sample that was there already; ``t0_us`` begins the longest window.
    """

    row: Row
    t0_us: int
    tensors: tuple[Tensor, ...]


def sample_count(
    recording: Recording,
    *,
    anchor: Anchor,
    windows_us: Sequence[int],
    events: int,
    max_frame_age_us: int | None = MAX_FRAME_AGE_US,
) -> tuple[int, int]:
    """Return how many samples a recording gives, and how many of them have a frame at most.

    ``events`` is the number of events that its filters keep.

    Raises
    ------
    WindowError
        The anchor finds no sample in this recording.
    """
    if anchor.kind == "count":
        samples = -(-events // anchor.value)
        framed = samples if len(recording.frames) else 0
    else:
        windows = _cut(recording, anchor, windows_us, max_frame_age_us)[0]
        samples, framed = len(windows), int((windows.frame >= 0).sum())
    if samples == 0:
        raise WindowError(f"anchor {anchor} finds no sample in {recording.name}; give another one")
    return samples, framed


def ids_of_samples(
    recording: Recording, settings: Settings, part: tuple[int, int]
) -> list[str] | None:
    """Return the ids of a stretch of samples; None with a fixed count, where the events tell."""
    if settings.anchor.kind == "count":
        return None
    cut = _cut(recording, settings.anchor, settings.windows_us, settings.max_frame_age_us)
    return sample_ids(recording.name, anchor=settings.anchor, windows=cut[0])[slice(*part)]


def encoded_samples(
    recording: Recording,
    settings: Settings,
    *,
    hot_pixels: Sequence[int] = (),
    threads: int = 1,
    device: Device = "cpu",
    have: Callable[[str], bool] = lambda _: False,
    part: tuple[int, int] | None = None,
) -> Iterator[Encoded]:
    """Yield every sample of a recording in order of time, counted and encoded.

    Parameters
    ----------
    recording : Recording
        Opened with the sensor and rotation of the settings.
    settings : Settings
        Anchor, windows, filters, representation, normalisation, rows and ddof.
    hot_pixels : sequence of int
        Numbers of the pixels that the filter of hot pixels drops, as the manifest has them.
    threads : int
        Threads of the kernels.
    device : {"cpu", "cuda", "auto"}
        Where to encode; windows of a fixed count only on the CPU.
    have : callable
        Called with a sample's id; where true, the sample is counted but not encoded.
    part : (start, stop), optional
        Numbers of the samples to yield; of windows of a fixed count, which depend on all events
        before them, all are yielded.

    Raises
    ------
    WindowError
        The anchor finds no windows in this recording.
    DatasetError
        Two windows of a fixed count end at the same microsecond.
    """
    source = filtered(
        recording, settings.filters, hot_pixels=hot_pixels, device=choose_encoder(device).name
    )
    if settings.anchor.kind == "count":
        yield from _counted(recording, source, settings, have=have)
        return
    cut = _cut(recording, settings.anchor, settings.windows_us, settings.max_frame_age_us)
    ids = sample_ids(recording.name, anchor=settings.anchor, windows=cut[0])
    at_frame = settings.anchor.kind in ("frame", "centre")
    t_us = recording.frames.t_us[cut[0].frame] if at_frame else cut[0].t1_us
    split = _splits(recording.name, settings, ids, t_us, longest_us=max(settings.windows_us))
    covered = [
        covered_share(
            windows,
            t_first_us=recording.t_first_us,
            t_last_us=recording.t_last_us,
            gaps=recording.gaps,
        )
        for windows in cut
    ]
    t0_us = np.min([windows.t0_us for windows in cut], axis=0)
    start, stop = (0, len(ids)) if part is None else part
    samples = encode_recording(
        source,
        [_between(windows, start, stop) for windows in cut],
        encoding=settings.encoding,
        device=device,
        threads=threads,
        skip=np.array([have(sample_id) for sample_id in ids[start:stop]], dtype=bool),
    )
    for sample in samples:
        i = start + sample.index
        row = Row(
            ids[i],
            recording.name,
            int(cut[0].frame[i]),
            int(t_us[i]),
            str(split[i]),
            tuple(int(count) for count in sample.counts),
            tuple(float(share[i]) for share in covered),
        )
        yield Encoded(row, int(t0_us[i]), sample.tensors)


def with_splits(rows: Sequence[Row], settings: Settings, *, longest_us: int) -> list[Row]:
    """Return the rows of one recording with the split each belongs to."""
    if not rows:
        return []
    t_us = np.array([row.t_us for row in rows], np.int64)
    ids = [row.id for row in rows]
    split = _splits(rows[0].recording, settings, ids, t_us, longest_us=longest_us)
    return [row._replace(split=str(name)) for row, name in zip(rows, split, strict=True)]


def placing_notes(
    recording: Recording,
    *,
    anchor: Anchor,
    windows_us: Sequence[int],
    max_frame_age_us: int | None,
) -> list[str]:
    """Return the losses by pauses of a recording: windows left out, windows without a frame."""
    if anchor.kind == "count":
        return []
    windows = _cut(recording, anchor, windows_us, max_frame_age_us)[0]
    notes = []
    if windows.left_out:
        notes.append(
            f"{windows.left_out:,} windows of anchor {anchor} left out: they lie in gaps of more "
            f"than {format_duration(GAP_US)} without events"
        )
    if windows.stale and max_frame_age_us is not None:
        notes.append(
            f"{windows.stale:,} windows of anchor {anchor} have no frame: the latest is more than "
            f"{format_duration(max_frame_age_us)} older"
        )
    return notes


def _cut(
    recording: Recording,
    anchor: Anchor,
    windows_us: Sequence[int],
    max_frame_age_us: int | None,
) -> list[Windows]:
    return [
        cut_windows(
            recording,
            anchor=anchor,
            window_us=length,
            longest_us=max(windows_us),
            max_frame_age_us=max_frame_age_us,
        )
        for length in windows_us
    ]


def _between(windows: Windows, start: int, stop: int) -> Windows:
    """Return the windows from one number to before another."""
    chosen = slice(start, stop)
    return Windows(
        windows.name,
        windows.t0_us[chosen],
        windows.t1_us[chosen],
        windows.frame[chosen],
        windows.row[chosen],
    )


def _splits(
    name: str,
    settings: Settings,
    ids: Sequence[str],
    t_us: NDArray[np.int64],
    *,
    longest_us: int,
) -> NDArray[np.str_]:
    """Return the split of each sample; EV-SegNet's recordings have a fixed validation part."""
    if name in settings.validation:
        return np.full(len(t_us), "val")
    split = split_of(name, held_out=frozenset(settings.held_out))
    if split != "train" or settings.validation:
        return np.full(len(t_us), split)
    if settings.anchor.kind == "evsegnet":
        rows = np.array([export_row(sample_id) for sample_id in ids], np.int64)
        # Bins shorter than 50 ms are named after the row that they begin.
        bin_us = max(EVSEGNET_BIN_US, settings.windows_us[0])
        of_rows = evsegnet_splits(name, rows, window_us=bin_us)
        if of_rows is not None:
            return of_rows
    return hold_back_validation(t_us, longest_window_us=longest_us)


def _counted(
    recording: Recording, source: Source, settings: Settings, *, have: Callable[[str], bool]
) -> Iterator[Encoded]:
    """Yield samples of a fixed count, their split still open: it depends on the longest."""
    name = settings.windows[0]
    before = None
    for sample in encode_counted(
        source,
        events_per_window=settings.anchor.value,
        encoding=settings.encoding,
    ):
        end = np.array([sample.t1_us])
        frame = np.searchsorted(recording.frames.t_us, end, side="right") - 1
        too_old = settings.max_frame_age_us is not None and (
            frame[0] >= 0 and end[0] - recording.frames.t_us[frame[0]] > settings.max_frame_age_us
        )
        if too_old:
            frame[:] = -1
        window = Windows(name, np.array([sample.t0_us]), end, frame, np.array([-1]))
        (sample_id,) = sample_ids(recording.name, anchor=settings.anchor, windows=window)
        share = covered_share(
            window,
            t_first_us=recording.t_first_us,
            t_last_us=recording.t_last_us,
            gaps=recording.gaps,
        )
        if sample_id == before:
            raise DatasetError(
                f"two windows of {settings.anchor.value} events of {recording.name} end at "
                f"{sample.t1_us} us; use more events in a window"
            )
        before = sample_id
        row = Row(
            sample_id,
            recording.name,
            int(frame[0]),
            int(sample.t1_us),
            "",
            (int(sample.count),),
            (min(sample.count / settings.anchor.value, float(share[0])),),
        )
        yield Encoded(row, int(sample.t0_us), () if have(sample_id) else (sample.tensor,))
