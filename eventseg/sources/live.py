"""Events that stay events until they are where the network is, and the same tensors there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from eventseg.augmentation.event_changes import UNCHANGED, EventChange
from eventseg.augmentation.events import change_events
from eventseg.encoding.settings import Encoding, Tensor
from eventseg.encoding.tensors import encode
from eventseg.events import EventStream

if TYPE_CHECKING:  # `eventseg check` loads this module without torch, which takes seconds
    import torch

DrawChange = Callable[[int], EventChange]
"""Draws what happens to the events of a window, from how many there are."""

ChangeWindow = Callable[[tuple[int, int]], tuple[int, int]]
"""What happens to a window ``[t0_us, t1_us)`` before its events are read."""


@dataclass(frozen=True, eq=False, slots=True)
class LiveWindow:
    """The events of one sample, not encoded yet.

    Parameters
    ----------
    events : EventStream
        Its span is the window.
    encoding : Encoding
    change : EventChange
        Changes of the events before they are encoded; by default none.
    pixels : int32 (h, w), optional
        Pixel of the tensor, row by row, that each pixel of the input takes, -1 where there is
        none; by default each its own.
    border : tuple of float
        Value of the channels outside, one for all or one for each.
    """

    events: EventStream
    encoding: Encoding
    change: EventChange = UNCHANGED
    pixels: NDArray[np.int32] | None = None
    border: tuple[float, ...] = (0.0,)

    def tensor(self) -> Tensor:
        """Return the tensor of the events, changed and encoded here, float32 (C, H, W)."""
        made = encode(change_events(self.events, self.change), encoding=self.encoding)
        return made.astype(np.float32, copy=False)


@dataclass(frozen=True, eq=False, slots=True)
class EventBatch:
    """The events of a batch of windows one after the other, ready to be sent to a device.

    Parameters
    ----------
    t : int32 or int64 (N,)
        Time since the begin of the event's own window in us: half the bytes of the sensor's
        clock, and the same tensor, which holds no more than that.
    x, y : uint16 (N,)
    p : int8 (N,)
    bounds : int64 (2, K)
        First event of each window and the one after its last.
    lengths_us : int64 (K,)
    changes : tuple of EventChange (K,)
    pixels : int32 (K, h, w) or None
    encoding, border
        As of :class:`LiveWindow`, the same for all.
    """

    t: torch.Tensor
    x: torch.Tensor
    y: torch.Tensor
    p: torch.Tensor
    bounds: NDArray[np.int64]
    lengths_us: NDArray[np.int64]
    changes: tuple[EventChange, ...]
    pixels: torch.Tensor | None
    encoding: Encoding
    border: tuple[float, ...]

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.lengths_us)

    def pin_memory(self) -> EventBatch:
        """Return the batch in memory that a GPU can read by itself; a loader calls this."""
        return replace(
            self,
            t=self.t.pin_memory(),
            x=self.x.pin_memory(),
            y=self.y.pin_memory(),
            p=self.p.pin_memory(),
            pixels=None if self.pixels is None else self.pixels.pin_memory(),
        )

    def encoded(self, device: torch.device) -> torch.Tensor:
        """Return the tensors of the windows on a device, float32 (K, C, h, w).

        Events are changed there too. On a GPU nothing waits. The bits are those of
        :meth:`LiveWindow.tensor` on the CPU.

        Raises
        ------
        DeviceError
            Numba cannot use the GPU, or it has too little memory.
        """
        # Loaded here, since it needs Numba's part for CUDA.
        from eventseg.augmentation.events_on_device import change_columns
        from eventseg.encoding.cuda import encode_batch

        encoding = self.encoding
        t, x, y, p = (
            column.to(device, non_blocking=True) for column in (self.t, self.x, self.y, self.p)
        )
        windows = np.stack([np.zeros_like(self.lengths_us), self.lengths_us])
        columns, bounds = change_columns(
            t.long(), x, y, p, self.bounds, windows, self.changes, sensor=encoding.sensor
        )
        made = encode_batch(*columns, bounds, windows, encoding=encoding)
        if self.pixels is None:
            return made
        return moved(made, self.pixels.to(device, non_blocking=True), border=self.border)


def batch_windows(windows: Sequence[LiveWindow]) -> EventBatch:
    """Return the windows of samples as one batch; their encoding and border are the same."""
    import torch

    streams = [window.events for window in windows]
    counts = np.array([len(events) for events in streams], np.int64)
    ends = np.cumsum(counts)
    lengths_us = np.array([events.t1_us - events.t0_us for events in streams], np.int64)
    kind = np.int32 if lengths_us.max() <= np.iinfo(np.int32).max else np.int64
    t = np.empty(ends[-1], kind)
    for events, first, end in zip(streams, ends - counts, ends, strict=True):
        np.subtract(events.t, events.t0_us, out=t[first:end], casting="unsafe")
    x, y, p = (np.concatenate([getattr(events, name) for events in streams]) for name in "xyp")
    return EventBatch(
        torch.from_numpy(t),
        torch.from_numpy(x),
        torch.from_numpy(y),
        torch.from_numpy(p),
        np.stack([ends - counts, ends]),
        lengths_us,
        tuple(window.change for window in windows),
        _pixels(windows),
        windows[0].encoding,
        windows[0].border,
    )


def moved(x: torch.Tensor, pixels: torch.Tensor, *, border: Sequence[float]) -> torch.Tensor:
    """Return the pixels of tensors where samples take them from, and the border elsewhere.

    As :func:`eventseg.augmentation.sample.warp` moves events on the CPU.

    Parameters
    ----------
    x : float32 (K, C, H, W)
    pixels : int32 (K, h, w)
        Number of a pixel of (H, W), or :data:`OUTSIDE`.
    border : sequence of float
        One for all channels, or one a channel.

    Returns
    -------
    float32 (K, C, h, w)
    """
    from eventseg.augmentation.sample import OUTSIDE

    windows, channels = x.shape[:2]
    numbers = pixels.long().view(windows, 1, -1)
    taken = x.view(windows, channels, -1).gather(2, numbers.clamp(min=0).expand(-1, channels, -1))
    made = taken.view(windows, channels, *pixels.shape[1:])
    outside = (pixels == OUTSIDE)[:, None]
    # Filled channel by channel with plain numbers: a tensor of borders would have to be sent.
    values = border if len(border) == channels else tuple(border) * channels
    for channel, value in enumerate(values):
        made[:, channel : channel + 1].masked_fill_(outside, value)
    return made


def _pixels(windows: Sequence[LiveWindow]) -> torch.Tensor | None:
    """Return where the pixels of all samples come from, or None where all stay in their place."""
    import torch

    given = [window.pixels for window in windows]
    some = next((pixels for pixels in given if pixels is not None), None)
    if some is None:
        return None
    # A sample that does not move has the size of those that do.
    own = np.arange(some.size, dtype=np.int32).reshape(some.shape)
    return torch.from_numpy(np.stack([own if pixels is None else pixels for pixels in given]))
