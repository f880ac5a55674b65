"""Base of sources of labelled pictures: the parts of a source that only events need."""

# ruff: noqa: ARG002 - the arguments are those of every source.

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventseg.encoding.settings import Encoding, Normalisation, Tensor
from eventseg.errors import TrainingError
from eventseg.sources.live import LiveWindow


class PictureSource:
    """Source of labelled pictures, whatever they are read from.

    A subclass sets the rest of :class:`eventseg.sources.Source`: ``path``, ``ids``,
    ``splits``, ``sequences``, ``size``, ``classes``, ``digests``, ``labels(i)`` and
    ``image(i, colour=)``. One with events has ``encoding`` and ``events(i, window, normalise=)``
    too.
    """

    __slots__ = ()

    path: Path
    ids: Any
    splits: Any

    @property
    def published_splits(self) -> tuple[str, ...]:
        """The splits: none of them was held back by this package."""
        return tuple(self.splits)

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """True for each sample, (N,)."""
        return np.ones(len(self.ids), np.bool_)

    @property
    def encoding(self) -> Encoding | None:
        """None: pictures hold no events."""
        return None

    def stores(self, window: str) -> bool:
        """Return True: there is nothing else."""
        return True

    def covered(self, window: str) -> NDArray[np.float64]:
        """Return 1 for each sample: nothing is known of gaps."""
        return np.ones(len(self.ids))

    def confidence(self, i: int) -> NDArray[np.uint8] | None:
        """Return None: the labels are truth."""
        return None

    def instances(self, i: int) -> NDArray[np.int32] | None:
        """Return None: labels do not separate things."""
        return None

    def events(
        self, i: int, window: str, *, normalise: Normalisation, live: bool = False, **changes: Any
    ) -> Tensor:
        """Raise a TrainingError: pictures hold no events."""
        raise TrainingError(f"{self.path} holds pictures and no events; use gray or rgb")

    def live_window(self, i: int, window: str, **_asked: Any) -> LiveWindow:
        """Raise a TrainingError: there are no recordings."""
        raise TrainingError(
            f"{self.path} holds no recordings to encode {window} of {self.ids[i]} from; set "
            "input.live=false"
        )

    def open_recordings(self, indices: Sequence[int] | NDArray[np.int64]) -> None:
        """Open nothing: there are no recordings."""

    def close(self) -> None:
        """Close nothing."""
