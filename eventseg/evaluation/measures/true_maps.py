"""Depth and optical flow of the samples of simulated recordings, by their truth files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import DatasetError
from eventseg.files.digests import digest_of
from eventseg.recordings.truth import Truth, truth_path
from eventseg.sources.recorded import EventSource
from eventseg.sources.source import Source


def open_truth(source: EventSource, name: str) -> Truth | None:
    """Open the truth file of a recording, None where the data set knows of none.

    Raises
    ------
    DatasetError
        The file is gone or has changed since the data set was made.
    """
    entry = source.dataset.manifest.recording(name)
    if not entry.truth_sha256:
        return None
    path = truth_path(entry.file_from(source.path))
    if not path.is_file() or digest_of(path) != entry.truth_sha256:
        raise DatasetError(
            f"the truth file {path} is gone or not the one that {source.path} was made with; put "
            "it back"
        )
    return Truth(path)


def recordings_with(source: Source, names: Iterable[str], *, map_name: str) -> set[str]:
    """Return those of some recordings whose truth has a map, such as ``depth``.

    Raises
    ------
    DatasetError
        As :func:`open_truth`.
    """
    found = set()
    if isinstance(source, EventSource):
        for name in set(names):
            truth = open_truth(source, name)
            if truth is not None:
                with truth:
                    if map_name in truth.maps:
                        found.add(name)
    return found


def pictures_of(source: Source, indices: Iterable[int]) -> dict[int, int]:
    """Return the picture that each sample of a recording of pictures shows, by its number.

    Samples of other recordings are left out.

    Parameters
    ----------
    source : Source
    indices : iterable of int

    Raises
    ------
    DatasetError
        As :func:`open_truth`.
    """
    found: dict[int, int] = {}
    if not isinstance(source, EventSource):
        return found
    by_name: dict[str, list[int]] = {}
    for i in indices:
        by_name.setdefault(source.sequences[i], []).append(i)
    for name, samples in by_name.items():
        truth = open_truth(source, name)
        if truth is None:
            continue
        with truth:
            recipe = truth.recipe
        if recipe.get("kind") == "images":
            # A picture is shown up to its last microsecond; the next one begins after it.
            begin_us, end_us = recipe["t0_us"] + 1, recipe["t1_us"]
            t_us = np.clip(source.dataset.samples.t_us[samples], begin_us, end_us)
            found |= zip(samples, ((t_us - begin_us) // recipe["shot_us"]).tolist(), strict=True)
    return found


@dataclass(frozen=True, eq=False, slots=True)
class TrueMaps:
    """Maps of the samples of a data set, cropped and turned as its labels are.

    Parameters
    ----------
    source : EventSource
    """

    source: EventSource
    _opened: dict[str, Truth] = field(default_factory=dict, repr=False)

    def depth(self, i: int) -> NDArray[np.float32]:
        """Return the depth of a sample's frame in metres, float32 (H, W), infinite for the sky."""
        return self._placed(self._truth(i).depth(self._frame(i)))

    def flow(self, i: int) -> NDArray[np.float32]:
        """Return the optical flow of a sample's frame in px/s, float32 (2, H, W): right, down."""
        flow = self._placed(self._truth(i).flow(self._frame(i)))
        return -flow if self.source.dataset.manifest.settings.rotate180 else flow

    def close(self) -> None:
        """Close the truth files."""
        for truth in self._opened.values():
            truth.close()
        self._opened.clear()

    def _frame(self, i: int) -> int:
        return int(self.source.dataset.samples.frame[i])

    def _truth(self, i: int) -> Truth:
        name = self.source.sequences[i]
        if name not in self._opened:
            truth = open_truth(self.source, name)
            if truth is None:
                raise DatasetError(f"recording {name} of {self.source.path} has no truth file")
            self._opened[name] = truth
        return self._opened[name]

    def _placed(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        settings = self.source.dataset.manifest.settings
        if settings.rotate180:
            values = values[..., ::-1, ::-1]
        return np.ascontiguousarray(values[..., slice(*settings.rows), :])
