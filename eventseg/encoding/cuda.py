"""Events to tensors on a GPU: torch tensors in and out, without copies, on torch's own stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from eventseg.device import choose_encoder
from eventseg.encoding.cpu import (
    beyond_packed,
    bounds,
    check_windows,
    compile_advice,
    encode_run,
)
from eventseg.encoding.element_type import LARGEST
from eventseg.encoding.normalise import normalise_raw
from eventseg.encoding.representation import MEAN_STD
from eventseg.encoding.settings import Encoding, Tensor
from eventseg.errors import WindowError
from eventseg.events import EventStream
from eventseg.kernels import cuda_device, encode_cuda, planes_cuda
from eventseg.kernels.launch import (
    MOST_WINDOWS,
    Columns,
    check_columns,
    launch,
    limits_of,
    memory_advice,
    read_only,
    upload,
)

SCRATCH_BYTES = 256 << 20
"""Memory for the sums: windows that need more are encoded in several launches."""


def encode_batch(
    t: torch.Tensor,
    x: torch.Tensor,
    y: torch.Tensor,
    p: torch.Tensor,
    bounds: ArrayLike,
    windows: ArrayLike,
    *,
    encoding: Encoding,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the tensors of a batch of windows where their events are, on a GPU or on the CPU.

    On a GPU nothing waits: kernels are put on torch's current stream of that device, and the
    result is ready for work that is queued after them. Sums are integers, so the result has the
    bits that :func:`eventseg.encoding.tensors.encode` gives on the CPU.

    Parameters
    ----------
    t : int64 (N,)
        Times in us. Columns of several streams may follow each other.
    x, y : uint16 (N,)
        Column and row.
    p : int8 (N,)
        Polarity, 1 or 0.
    bounds : int64 (2, K)
        First event of each window and the one after its last, on the CPU. Windows may overlap.
    windows : int64 (2, K)
        Begin and end of each window in us, on the CPU.
    encoding : Encoding
        Settings of the tensors. Columns are those of an :class:`eventseg.events.EventStream`,
        which has checked that its events lie on the sensor: on a GPU that would mean to wait.
    out : float32 (K, C, H, W), optional
        Tensor to write into, contiguous and on the device of the events.

    Returns
    -------
    float32 (K, C, H, W)

    Raises
    ------
    EventsError
        Columns of other types, lengths or devices, or not contiguous.
    WindowError
        Bounds outside the columns, or as for :func:`eventseg.encoding.tensors.encode`.
    DeviceError
        Numba cannot use the GPU, or it has too little memory.
    """
    columns: Columns = (t, x, y, p)
    check_columns(columns)
    lo, hi, t0_us, t1_us = limits_of(bounds, windows, events=len(t))
    check_windows(t0_us, t1_us)
    shape = (len(lo), *encoding.shape)
    with memory_advice(len(lo)):
        made = torch.empty(shape, dtype=torch.float32, device=t.device) if out is None else out
    if made.shape != shape or made.dtype != torch.float32 or made.device != t.device:
        raise WindowError(
            f"out must be float32 {shape} on {t.device}, "
            f"got {made.dtype} {tuple(made.shape)} on {made.device}"
        )
    if not made.is_contiguous():
        raise WindowError("out must be contiguous")
    if not (t.is_cuda or cuda_device.SIMULATED):
        encode_run(read_only(columns), lo, hi, t0_us, t1_us, encoding=encoding, out=made.numpy())
        return made
    if encoding.dtype != "float32":
        return _rounded_batch(columns, bounds, windows, encoding=encoding, out=made)
    choose_encoder("cuda")
    plan = np.stack([np.arange(len(lo)), lo, hi, t0_us, t1_us], axis=1)
    with memory_advice(len(lo)):
        if encoding.representation == MEAN_STD:
            wide = beyond_packed(lo, hi, t0_us, t1_us)
            _encode_words(columns, plan[~wide], made, encode_cuda.PACKED_WORDS, encoding)
            _encode_words(columns, plan[wide], made, encode_cuda.WIDE_WORDS, encoding)
        else:
            _encode_planes(columns, plan, made, encoding)
    return made


def _rounded_batch(
    columns: Columns,
    bounds: ArrayLike,
    windows: ArrayLike,
    *,
    encoding: Encoding,
    out: torch.Tensor,
) -> torch.Tensor:
    """Encode windows whose raw channels are rounded to the encoding's element type."""
    raw = replace(encoding, dtype="float32", normalise="raw")
    encode_batch(*columns, bounds, windows, encoding=raw, out=out)
    limit = LARGEST[encoding.dtype]
    out.clamp_(-limit if encoding.dtype == "float16" else 0, limit)
    out.copy_(out.to(getattr(torch, encoding.dtype)))
    if encoding.normalise != "raw":
        # By the CPU: the kernels normalise integer sums, which rounded values no longer are.
        values = out.cpu().numpy()
        for tensor in values:
            normalise_raw(tensor, normalise=encoding.normalise)
        out.copy_(torch.from_numpy(values))
    return out


def encode_on_gpu(
    events: EventStream,
    t0_us: NDArray[np.int64],
    t1_us: NDArray[np.int64],
    *,
    encoding: Encoding,
    out: Tensor,
) -> None:
    """Encode windows of a stream in memory on the GPU and bring them back into ``out``."""
    device = torch.device("cpu" if cuda_device.SIMULATED else "cuda")
    lo, hi = bounds(events, t0_us, t1_us)
    first, last = (int(lo.min()), int(hi.max())) if len(lo) else (0, 0)
    with memory_advice(len(lo)):
        # Copied, since torch takes no read-only arrays.
        t, x, y, p = (
            torch.from_numpy(column[first:last].copy()).to(device)
            for column in (events.t, events.x, events.y, events.p)
        )
    made = encode_batch(
        t,
        x,
        y,
        p,
        np.stack([lo, hi]) - first,
        np.stack([t0_us, t1_us]),
        encoding=encoding,
    )
    torch.from_numpy(out).copy_(made)


def _encode_words(
    columns: Columns,
    plan: NDArray[np.int64],
    out: torch.Tensor,
    words: int,
    encoding: Encoding,
) -> None:
    """Encode the six channels of the windows of a plan with two or four words a cell."""
    height, width = out.shape[2:]
    packed = words == encode_cuda.PACKED_WORDS
    accumulate = encode_cuda.accumulate_packed if packed else encode_cuda.accumulate_wide
    first_row, ddof = encoding.rows[0], encoding.ddof
    normalise = encode_cuda.NORMALISED[encoding.normalise]
    flat = out.view(len(out), out.shape[1], height * width)
    for part, sums in _groups(plan, (2 * height * width, words), out.device):
        if len(columns[0]):
            launch(accumulate, *columns, part, sums, first_row, height, width, windows=len(part))
        largest = torch.zeros((len(part), 2), dtype=torch.int64, device=out.device)
        if encoding.normalise == "evsegnet":
            launch(encode_cuda.find_largest, sums, largest, windows=len(part))
        launch(encode_cuda.finalize, part, sums, largest, flat, ddof, normalise, windows=len(part))


def _encode_planes(
    columns: Columns,
    plan: NDArray[np.int64],
    out: torch.Tensor,
    encoding: Encoding,
) -> None:
    """Encode the windows of a plan in any representation but ``mean-std``, by its definition."""
    representation, row0 = encoding.representation, encoding.rows[0]
    definition, parameter = representation.definition, representation.parameter
    height, width = out.shape[2:]
    planes = representation.channels
    flat = out.view(len(out), planes, height * width)
    table = upload(np.ascontiguousarray(definition.table(parameter)), out.device)
    with compile_advice(representation):
        kernels = [planes_cuda.event_kernel(step.add, step.combine) for step in definition.steps]
        finish = planes_cuda.finish_kernel(definition.finish)
        for part, sums in _groups(plan, (planes, height * width), out.device):
            for kernel in kernels if len(columns[0]) else ():
                launch(
                    kernel,
                    *columns,
                    part,
                    sums,
                    parameter,
                    row0,
                    height,
                    width,
                    windows=len(part),
                )
            launch(finish, part, sums, parameter, table, flat, windows=len(part))


def _groups(
    plan: NDArray[np.int64], shape: tuple[int, int], device: torch.device
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield the plan on the device in groups of windows, each with the sums to use for it.

    The kernels leave the sums at zero, so that they serve the next group.
    """
    if not len(plan):
        return
    fitting = max(1, SCRATCH_BYTES // (8 * shape[0] * shape[1]))
    size = min(len(plan), MOST_WINDOWS, fitting)
    sums = torch.zeros((size, *shape), dtype=torch.int64, device=device)
    whole = upload(plan, device)
    for first in range(0, len(plan), size):
        part = whole[first : first + size]
        yield part, sums[: len(part)]
