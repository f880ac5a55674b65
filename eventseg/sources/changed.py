"""A source whose events and frames are changed while they are read; labels stay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventseg.encoding.settings import Encoding, Normalisation, Tensor
from eventseg.events import EventStream, SensorSize
from eventseg.labels.maps import ClassTable, Labels
from eventseg.sources.live import ChangeWindow, DrawChange, LiveWindow
from eventseg.sources.source import Source

Span = tuple[int, int]


@dataclass(frozen=True, eq=False, slots=True)
class ChangedSource:
    """View of a source with other events or frames.

    Parameters
    ----------
    base : Source
    span : callable, optional
        Span ``[t0_us, t1_us)`` to read in place of the window that is asked for.
    events_of : callable, optional
        Events in place of those read, from the sample's index, the events, and the window that
        was asked for.
    frame_of : callable, optional
        Frame in place of the sample's own, from the sample's index and whether it is in colour.
    """

    base: Source
    span: Callable[[Span], Span] | None = None
    events_of: Callable[[int, EventStream, Span], EventStream] | None = None
    frame_of: Callable[[int, bool], Tensor] | None = None

    @property
    def path(self) -> Path:
        """Folder of the base."""
        return self.base.path

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the base."""
        return self.base.ids

    @property
    def splits(self) -> tuple[str, ...]:
        """Splits of the base."""
        return self.base.splits

    @property
    def published_splits(self) -> tuple[str, ...]:
        """Published splits of the base."""
        return self.base.published_splits

    @property
    def sequences(self) -> tuple[str, ...]:
        """Recordings of the base."""
        return self.base.sequences

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Labelled samples of the base."""
        return self.base.labelled

    @property
    def size(self) -> SensorSize:
        """Size of the base."""
        return self.base.size

    @property
    def encoding(self) -> Encoding | None:
        """Encoding of the base."""
        return self.base.encoding

    @property
    def classes(self) -> ClassTable:
        """Classes of the base."""
        return self.base.classes

    @property
    def digests(self) -> dict[str, str]:
        """Digests of the base."""
        return self.base.digests

    def stores(self, window: str) -> bool:
        """Return False where events change: no stored tensor is of them."""
        return self.span is None and self.events_of is None and self.base.stores(window)

    def covered(self, window: str) -> NDArray[np.float64]:
        """Return the covered share of the base."""
        return self.base.covered(window)

    def labels(self, i: int) -> Labels:
        """Return the labels of the base."""
        return self.base.labels(i)

    def confidence(self, i: int) -> NDArray[np.uint8] | None:
        """Return the confidence of the base."""
        return self.base.confidence(i)

    def instances(self, i: int) -> NDArray[np.int32] | None:
        """Return the instances of the base."""
        return self.base.instances(i)

    def image(self, i: int, *, colour: bool) -> Tensor:
        """Return the frame, changed."""
        if self.frame_of is not None:
            return self.frame_of(i, colour)
        return self.base.image(i, colour=colour)

    def events(
        self,
        i: int,
        window: str,
        *,
        normalise: Normalisation,
        live: bool = False,
        change_window: ChangeWindow | None = None,
        draw_change: DrawChange | None = None,
    ) -> Tensor:
        """Return the tensor of the changed events; stored where events do not change."""
        if self.span is None and self.events_of is None:
            return self.base.events(
                i,
                window,
                normalise=normalise,
                live=live,
                change_window=change_window,
                draw_change=draw_change,
            )
        return self.live_window(
            i, window, normalise=normalise, change_window=change_window, draw_change=draw_change
        ).tensor()

    def live_window(
        self,
        i: int,
        window: str,
        *,
        normalise: Normalisation,
        change_window: ChangeWindow | None = None,
        draw_change: DrawChange | None = None,
    ) -> LiveWindow:
        """Return the changed events."""
        asked: list[Span] = []

        def read(span: Span) -> Span:
            first = change_window(span) if change_window else span
            asked.append(first)
            return self.span(first) if self.span else first

        found = self.base.live_window(
            i, window, normalise=normalise, change_window=read, draw_change=draw_change
        )
        if self.events_of is None:
            return found
        return replace(found, events=self.events_of(i, found.events, asked[-1]))

    def open_recordings(self, indices: Sequence[int] | NDArray[np.int64]) -> None:
        """Open the recordings of the base."""
        self.base.open_recordings(indices)

    def close(self) -> None:
        """Do nothing: the base is closed by who opened it."""
