"""Event filters on a GPU: torch tensors in and out, with the results of the CPU."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from eventseg.device import choose_encoder
from eventseg.events import EventStream, SensorSize, concatenate
from eventseg.filters.rules import FATES, Filters, checked_hot, dropped_by
from eventseg.kernels import cuda_device
from eventseg.kernels.filters import KEPT
from eventseg.kernels.filters_cuda import drop_background, drop_refractory, number_pixels
from eventseg.kernels.launch import launch, upload


def event_fates(
    t: torch.Tensor,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    filters: Filters,
    sensor: SensorSize,
    hot: NDArray[np.bool_] | None = None,
) -> torch.Tensor:
    """Return the outcome of each event of one stream, on the GPU that holds its columns.

    Nothing waits: the work is put on torch's current stream of that device.

    Parameters
    ----------
    t : int64 (N,)
        Times in us, not decreasing; from :attr:`Filters.lead_us` before the first event whose
        fate is asked for.
    x, y : uint16 (N,)
        Column and row.
    filters, hot
        As for :func:`eventseg.filters.rules.filter_events`.
    sensor : SensorSize
        Size of the sensor. An event outside it passes.

    Returns
    -------
    uint8 (N,)
        Index into :data:`eventseg.filters.rules.FATES`, 0 for an event that passes.

    Raises
    ------
    EventsError
        As for :func:`eventseg.filters.rules.filter_events`.
    DeviceError
        There is no GPU to use.
    """
    choose_encoder("cuda")
    outside = sensor.height * sensor.width
    is_hot = upload(checked_hot(hot, filters, sensor).ravel().copy(), t.device)
    pixel = torch.empty(len(t), dtype=torch.int32, device=t.device)
    outcomes = torch.empty(len(t), dtype=torch.uint8, device=t.device)
    if not len(t):
        return outcomes
    launch(number_pixels, x, y, is_hot, pixel, outcomes, *sensor, windows=1)
    if filters.refractory_us:
        _, order = torch.sort(pixel, stable=True)
        launch(
            drop_refractory, t, pixel, order, outcomes, filters.refractory_us, outside, windows=1
        )
    if filters.support_us:
        taking_part = pixel.masked_fill(outcomes != KEPT, outside)
        by_pixel, order = torch.sort(taking_part, stable=True)
        starts = torch.searchsorted(
            by_pixel, torch.arange(outside + 1, dtype=torch.int32, device=t.device)
        )
        launch(
            drop_background,
            t,
            taking_part,
            order,
            starts,
            outcomes,
            filters.support_us,
            *sensor,
            windows=1,
        )
    return outcomes


class GpuEventFilter:
    """Filters consecutive pieces of one recording on a GPU, each together with its lead.

    Parameters, attributes and results as :class:`eventseg.filters.rules.EventFilter`.
    """

    def __init__(
        self, filters: Filters, *, sensor: SensorSize, hot: NDArray[np.bool_] | None = None
    ) -> None:
        self.fates = np.zeros(len(FATES), np.int64)
        self._filters = filters
        self._hot = checked_hot(hot, filters, sensor)
        self._lead: list[EventStream] = []

    def __call__(self, events: EventStream) -> EventStream:
        """Return the events of the next piece that pass."""
        joined = concatenate([*self._lead, events])
        device = torch.device("cpu" if cuda_device.SIMULATED else "cuda")
        # Copied, since torch takes no read-only arrays.
        t, x, y = (
            torch.from_numpy(column.copy()).to(device) for column in (joined.t, joined.x, joined.y)
        )
        made = event_fates(t, x, y, filters=self._filters, sensor=events.sensor, hot=self._hot)
        outcomes = made[len(joined) - len(events) :].cpu().numpy()
        self.fates += np.bincount(outcomes, minlength=len(FATES))
        first_us = max(joined.t0_us, joined.t1_us - self._filters.lead_us)
        self._lead = [joined.between(first_us, joined.t1_us)]
        keep = outcomes == KEPT
        return EventStream(
            events.t[keep],
            events.x[keep],
            events.y[keep],
            events.p[keep],
            events.sensor,
            events.t0_us,
            events.t1_us,
        )

    @property
    def dropped(self) -> dict[str, int]:
        """Number of events dropped so far by each filter that is on."""
        return dropped_by(self._filters, self.fates)
