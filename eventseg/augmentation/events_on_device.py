"""Events of a batch changed before they are encoded, where they are: on a GPU or on the CPU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from eventseg.augmentation.event_changes import EventChange, plan_changes
from eventseg.device import choose_encoder
from eventseg.encoding.cpu import Columns as HostColumns
from eventseg.events import SensorSize
from eventseg.kernels import augment, augment_cuda, cuda_device
from eventseg.kernels.augment_cells import NOISE, PLACE
from eventseg.kernels.launch import (
    Columns,
    check_columns,
    launch,
    limits_of,
    memory_advice,
    read_only,
    upload,
)


def change_columns(
    t: torch.Tensor,
    x: torch.Tensor,
    y: torch.Tensor,
    p: torch.Tensor,
    bounds: ArrayLike,
    windows: ArrayLike,
    changes: Sequence[EventChange],
    *,
    sensor: SensorSize,
) -> tuple[Columns, NDArray[np.int64]]:
    """Return columns and bounds of a batch of windows after a change of each.

    Their tensors from :func:`eventseg.encoding.cuda.encode_batch` have the bits of encoding each
    window's stream after :func:`eventseg.augmentation.events.change_events`. Events are not
    sorted, and lost events stay in place with row 65535, below any sensor: nothing
    waits for a count. On a GPU it is one launch on torch's current stream.

    Parameters
    ----------
    t, x, y, p, bounds, windows, sensor
        As for :func:`eventseg.encoding.cuda.encode_batch`.
    changes : sequence of EventChange
        One a window.

    Returns
    -------
    (t, x, y, p) : int64, uint16, uint16 and int8 (M,)
        Windows after each other, each with its events and then its noise. The tensors given
        where nothing changes.
    bounds : int64 (2, K)
        First event of each window and the one after its last.

    Raises
    ------
    EventsError, WindowError, DeviceError
        As :func:`eventseg.encoding.cuda.encode_batch`.
    TrainingError
        As :func:`eventseg.augmentation.event_changes.plan_changes`.
    """
    columns: Columns = (t, x, y, p)
    check_columns(columns)
    lo, hi, t0_us, t1_us = limits_of(bounds, windows, events=len(t))
    limits = np.stack([lo, hi])
    plan = plan_changes(changes, limits, np.stack([t0_us, t1_us]), sensor=sensor)
    if not any(change.changes for change in changes):
        return columns, limits
    ends = np.cumsum(hi - lo + plan[:, NOISE])
    made_limits = np.stack([plan[:, PLACE], ends])
    on_gpu = t.is_cuda or cuda_device.SIMULATED
    if on_gpu:
        choose_encoder("cuda")
    with memory_advice(len(lo)):
        made_t, made_x, made_y, made_p = (
            torch.empty(int(ends[-1]), dtype=column.dtype, device=t.device) for column in columns
        )
    changed: Columns = (made_t, made_x, made_y, made_p)
    if not on_gpu:
        host: HostColumns = read_only(columns)
        augment.change(
            *host,
            plan,
            made_t.numpy(),
            made_x.numpy(),
            made_y.numpy(),
            made_p.numpy(),
            sensor.height,
            sensor.width,
        )
    elif ends[-1] > 0:
        # Without events nothing is read, but a GPU takes no array without memory.
        given = columns if len(t) else changed
        launch(
            augment_cuda.change,
            *given,
            upload(plan, t.device),
            *changed,
            sensor.height,
            sensor.width,
            windows=len(lo),
        )
    return changed, made_limits
