"""Event columns on a device: checks, uploads and launches on torch's stream."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from eventseg.errors import DeviceError, EventsError, WindowError
from eventseg.kernels import cuda_device
from eventseg.kernels.encode_cuda import THREADS

Columns = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
"""Times in us, columns, rows and polarities."""

COLUMN_TYPES = (torch.int64, torch.uint16, torch.uint16, torch.int8)
BLOCKS_A_MULTIPROCESSOR = 16
LEAST_BLOCKS = 128

MOST_WINDOWS = 65_535
"""Most windows of a launch: CUDA's limit of the second axis of a grid, which counts them."""


def check_columns(columns: Columns) -> None:
    """Refuse columns of other types or lengths, on several devices, or not contiguous.

    Raises
    ------
    EventsError
    """
    t = columns[0]
    for name, column, dtype in zip("txyp", columns, COLUMN_TYPES, strict=True):
        if column.dtype != dtype or column.ndim != 1 or not column.is_contiguous():
            raise EventsError(
                f"column {name} must be contiguous {dtype} (N,), "
                f"got {column.dtype} {tuple(column.shape)}"
            )
        if len(column) != len(t) or column.device != t.device:
            raise EventsError(
                f"columns must be of one length and on one device, got {len(t)} on {t.device} "
                f"for t and {len(column)} on {column.device} for {name}"
            )


def limits_of(
    bounds: ArrayLike, windows: ArrayLike, *, events: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return first and last event, begin and end of each window, looked at on the CPU.

    Raises
    ------
    WindowError
        Of another shape, or bounds outside the events.
    """
    try:
        lo, hi = np.asarray(bounds, np.int64)
        t0_us, t1_us = np.asarray(windows, np.int64)
    except (TypeError, ValueError) as error:
        raise WindowError(
            f"bounds and windows must be int64 (2, K) on the CPU, where they are checked: {error}"
        ) from error
    if not lo.shape == t0_us.shape or lo.ndim != 1:
        raise WindowError(
            f"bounds and windows must be of one shape (2, K), got (2, {lo.shape}) "
            f"and (2, {t0_us.shape})"
        )
    wrong = np.flatnonzero((lo < 0) | (lo > hi) | (hi > events))
    if len(wrong):
        k = wrong[0]
        raise WindowError(f"bounds {lo[k]}:{hi[k]} of window {k} lie outside the {events} events")
    return lo, hi, t0_us, t1_us


def read_only(columns: Columns) -> Any:
    """Return tensors on the CPU as a stream's columns, for which the kernels are compiled."""
    arrays = tuple(column.numpy() for column in columns)
    for array in arrays:
        array.flags.writeable = False
    return arrays


def upload(array: NDArray[Any], device: torch.device) -> torch.Tensor:
    """Return a small array on the device; nothing waits.

    It is pinned first: CUDA may wait for the stream before it copies pageable memory ("API
    synchronization behavior" of its reference). torch keeps pinned memory until it is copied.
    """
    tensor = torch.from_numpy(array)
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def launch(kernel: Any, *arguments: object, windows: int) -> None:
    """Put a kernel on torch's current stream of the device of its tensors."""
    tensors = [each for each in arguments if isinstance(each, torch.Tensor)]
    device = tensors[0].device
    if cuda_device.SIMULATED:
        index, handle, blocks, threads = 0, 0, 2, 8
    else:
        index, handle = device.index, torch.cuda.current_stream(device).cuda_stream
        processors = torch.cuda.get_device_properties(device).multi_processor_count
        blocks = max(LEAST_BLOCKS, BLOCKS_A_MULTIPROCESSOR * processors)
        threads = THREADS
    with cuda_device.on_device(index):
        grid, block = (-(-blocks // windows), windows), (threads, 1)
        kernel[grid, block, cuda_device.stream_of(handle)](
            *(cuda_device.array_of(a) if isinstance(a, torch.Tensor) else a for a in arguments)
        )


@contextmanager
def memory_advice(windows: int) -> Iterator[None]:
    """Give advice where the GPU runs out of memory.

    Raises
    ------
    DeviceError
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise DeviceError(
            f"the GPU has too little memory for {windows} windows; encode fewer at a time (in a "
            "training a smaller batch_size, or input.encode workers), keep fewer rows, or use "
            "device cpu"
        ) from error
