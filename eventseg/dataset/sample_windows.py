"""Windows of the samples of a data set: their names, their times and how much is covered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from eventseg.dataset.manifest import Manifest
from eventseg.dataset.settings import Settings
from eventseg.dataset.table import SampleTable
from eventseg.errors import DatasetError
from eventseg.windows import Anchor, Windows, check_window, covered_share, format_duration, to_us

Times = TypeVar("Times", int, NDArray[np.int64])


def window_around(t_us: Times, anchor: Anchor, window_us: int) -> tuple[Times, Times]:
    """Return the window ``[t0_us, t1_us)`` that an anchor places at the time of a sample."""
    end = t_us - window_us // 2 + window_us if anchor.kind == "centre" else t_us
    return end - window_us, end


def window_named(settings: Settings, window: str | int | None) -> str:
    """Return the name of a window that is given as a name, a duration or microseconds.

    Raises
    ------
    DatasetError
        None is given where samples have several.
    WindowError
        Neither a duration nor whole microseconds.
    """
    windows = settings.windows
    if window is None:
        if len(windows) != 1:
            raise DatasetError(f"name one of the windows {', '.join(windows)}")
        return windows[0]
    if isinstance(window, str) and window in windows:
        return window
    return format_duration(check_window(to_us(window)))


def check_samples_have(settings: Settings, window: str | int) -> None:
    """Raise a DatasetError for a window that samples of this anchor do not have."""
    anchor = settings.anchor
    if anchor.kind == "count" or (anchor.kind == "evsegnet" and window not in settings.windows):
        raise DatasetError(
            f"samples of anchor {anchor} have the windows {', '.join(settings.windows)}, "
            f"not {window}: other windows have other samples; encode them"
        )


def covered_shares(
    samples: SampleTable,
    manifest: Manifest,
    window: str,
    *,
    gaps_of: Callable[[str], Sequence[tuple[int, int]]],
) -> NDArray[np.float64]:
    """Return the share of each sample's window that its recording's events cover, (N,).

    Parameters
    ----------
    samples : SampleTable
    manifest : Manifest
    window : str
        Name of a window, stored or not.
    gaps_of : callable
        Returns the gaps between the events of a recording by its name, for manifests of before
        these were kept.

    Raises
    ------
    DatasetError
        Samples of this anchor have no such window.
    """
    settings = manifest.settings
    if window in settings.windows:
        return samples.covered[:, settings.windows.index(window)]
    check_samples_have(settings, window)
    t0_us, t1_us = window_around(samples.t_us, settings.anchor, to_us(window))
    none = np.full(len(samples), -1, np.int64)
    share = np.zeros(len(samples))
    for name, of_recording in _by_recording(samples).items():
        entry = manifest.recording(name)
        frame = none[of_recording]
        share[of_recording] = covered_share(
            Windows(window, t0_us[of_recording], t1_us[of_recording], frame, frame),
            t_first_us=entry.t_first_us,
            t_last_us=entry.t_last_us,
            gaps=gaps_of(name) if entry.gaps is None else entry.gaps,
        )
    return share


def _by_recording(samples: SampleTable) -> dict[str, NDArray[np.int64]]:
    """Return the indices of the samples of each recording."""
    names = dict.fromkeys(samples.recording)
    numbers = {name: number for number, name in enumerate(names)}
    of = np.array([numbers[name] for name in samples.recording], np.int64)
    order = np.argsort(of, kind="stable")
    ends = np.cumsum(np.bincount(of, minlength=len(names)))[:-1]
    return dict(zip(names, np.split(order, ends), strict=True))
