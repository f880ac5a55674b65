"""How fast a GPU encodes: our kernels, torch on the same GPU, and our kernels on the CPU.

    uv run --extra cuda python benchmarks/bench_cuda.py

Needs a CUDA device and says so where there is none. Rates are million event contributions a
second: an event counts once for each window it falls in. Columns lie on the GPU already;
transfers and the latency of a single window are timed by themselves.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

import numpy as np
import torch
from paired import machine, rounds, save
from streams import SENSOR, edges_and_noise, trailing

from eventseg.device import choose_encoder
from eventseg.encoding.cpu import bounds
from eventseg.encoding.cuda import encode_batch
from eventseg.encoding.settings import encoding_of
from eventseg.encoding.tensors import encode_windows
from eventseg.errors import DeviceError
from eventseg.events import EventStream
from eventseg.windows import Windows

WINDOWS_US = (10_000, 50_000, 250_000)
BATCHES = (1, 8, 64, 512)
REPEATS = 30
CELLS = 2 * SENSOR.height * SENSOR.width
EVENT_BYTES = 8 + 2 + 2 + 1
CELL_BYTES = 4 * 16 + 12
"""Of a cell: two words cleared, read, cleared again and once touched; three float32 written."""

Columns = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def columns_of(events: EventStream, device: torch.device) -> Columns:
    t, x, y, p = (
        torch.from_numpy(column.copy()).to(device)
        for column in (events.t, events.x, events.y, events.p)
    )
    return t, x, y, p


class TorchBatch:
    """What the torch versions are given ready: for each contribution its event and window."""

    def __init__(
        self, columns: Columns, limits: np.ndarray, spans: np.ndarray, sensor: tuple[int, int]
    ) -> None:
        device = columns[0].device
        lo, hi = (torch.from_numpy(each).to(device) for each in limits)
        counts = hi - lo
        self.windows, self.sensor = len(lo), sensor
        self.window = torch.repeat_interleave(torch.arange(len(lo), device=device), counts)
        begin = torch.cumsum(counts, 0) - counts
        place = torch.arange(len(self.window), device=device) - begin[self.window]
        self.event = lo[self.window] + place
        self.t0_us, self.t1_us = (torch.from_numpy(each).to(device) for each in spans)
        self.t, self.x, self.y, self.p = columns

    def sums(self, add: Callable[..., object]) -> list[torch.Tensor]:
        """Return count, sum of tau and of its square by cell; ``add`` adds values at indices."""
        height, width = self.sensor
        plane = height * width
        tau = (self.t[self.event] - self.t0_us[self.window]).float()
        tau /= (self.t1_us - self.t0_us)[self.window]
        off = 1 - self.p[self.event].long()
        pixel = self.y[self.event].long() * width + self.x[self.event].long()
        cell = (self.window * 2 + off) * plane + pixel
        size = self.windows * 2 * plane
        made = [torch.zeros(size, device=tau.device) for _ in range(3)]
        for total, values in zip(made, (torch.ones_like(tau), tau, tau * tau), strict=True):
            add(total, cell, values)
        return made

    def encode(self, add: Callable[..., object]) -> torch.Tensor:
        """Return the six channels, float32 (K, 6, H, W), by float32 sums."""
        height, width = self.sensor
        shape = (self.windows, 2, height, width)
        n, s1, s2 = (each.view(shape) for each in self.sums(add))
        mean = s1 / n.clamp(min=1)
        std = ((s2 - n * mean * mean) / (n - 1).clamp(min=1)).clamp(min=0).sqrt()
        moments = torch.stack([mean, std], dim=2).flatten(1, 2)
        return torch.cat([n, moments], dim=1)


def index_add(total: torch.Tensor, cell: torch.Tensor, values: torch.Tensor) -> None:
    total.index_add_(0, cell, values)


def index_put(total: torch.Tensor, cell: torch.Tensor, values: torch.Tensor) -> None:
    total.index_put_((cell,), values, accumulate=True)


def gpu_seconds(run: Callable[[], object], *, repeats: int = REPEATS) -> np.ndarray:
    """Return the GPU's seconds of each run, between two events on its stream.

    The GPU sleeps first, for some 50 ms, so that runs are queued and no launch is waited for.
    """
    for _ in range(3):
        run()
    marks = [
        (torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True))
        for _ in range(repeats)
    ]
    torch.cuda._sleep(100_000_000)
    for begin, end in marks:
        begin.record()
        run()
        end.record()
    torch.cuda.synchronize()
    return np.array([begin.elapsed_time(end) * 1e-3 for begin, end in marks])


def gpu_bandwidth_gb_s(megabytes: int = 1024) -> float:
    """Return what the GPU moves a second in GB, by copying within its memory."""
    source = torch.empty(megabytes << 20, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return 2 * source.nbytes / float(np.median(gpu_seconds(lambda: target.copy_(source)))) / 1e9


def some(windows: Windows, count: int) -> Windows:
    """Return ``count`` windows from anywhere, the same ones each time, in order of time."""
    rng = np.random.default_rng(count)
    keep = np.sort(rng.choice(np.arange(10, len(windows)), count, replace=count > len(windows)))
    return Windows("w", windows.t0_us[keep], windows.t1_us[keep], windows.frame[keep], keep)


def one_batch(
    events: EventStream, columns: Columns, windows: Windows, bandwidth: float
) -> dict[str, float]:
    """Return the times and rates of one batch size and window length."""
    limits = bounds(events, windows.t0_us, windows.t1_us)
    spans = np.stack([windows.t0_us, windows.t1_us])
    contributions = int((limits[1] - limits[0]).sum())
    shape = (len(windows), 6, *SENSOR)
    out = torch.empty(shape, device="cuda")
    host = np.empty(shape, np.float32)
    peer = TorchBatch(columns, limits, spans, SENSOR)

    def ours() -> torch.Tensor:
        return encode_batch(*columns, limits, spans, encoding=encoding_of(SENSOR), out=out)

    expected = encode_windows(events, windows, out=host)
    if not np.array_equal(ours().cpu().numpy(), expected):
        raise SystemExit("the GPU's tensors differ from the CPU's: no figure would mean anything")
    if not torch.allclose(peer.encode(index_add), out, atol=5e-3):
        raise SystemExit("torch's tensors differ by more than float32 sums explain")
    seconds = {
        "ours": gpu_seconds(ours),
        "index_add_": gpu_seconds(lambda: peer.encode(index_add)),
        "index_put_": gpu_seconds(lambda: peer.encode(index_put), repeats=10),
        **rounds({"cpu": lambda: encode_windows(events, windows, out=host)}, count=3),
    }
    middle = {name: float(np.median(each)) for name, each in seconds.items()}
    moved = contributions * EVENT_BYTES + len(windows) * CELLS * CELL_BYTES
    return {
        "contributions": contributions,
        **{f"{name} us": each * 1e6 for name, each in middle.items()},
        **{f"{name} Mev/s": contributions / each / 1e6 for name, each in middle.items()},
        "times index_add_": middle["index_add_"] / middle["ours"],
        "times index_put_": middle["index_put_"] / middle["ours"],
        "megabytes": moved / 1e6,
        "share of bandwidth": moved / middle["ours"] / 1e9 / bandwidth,
    }


def transfer(events: EventStream, windows: Windows) -> dict[str, float]:
    """Return the milliseconds that a batch's events take to the GPU, and its tensors back."""
    lo, hi = bounds(events, windows.t0_us, windows.t1_us)
    part = EventStream(
        *(column[lo.min() : hi.max()] for column in (events.t, events.x, events.y, events.p)),
        SENSOR, events.t0_us, events.t1_us,
    )  # fmt: skip
    pinned = [column.pin_memory() for column in columns_of(part, torch.device("cpu"))]
    made = torch.empty((len(windows), 6, *SENSOR), device="cuda")
    back = torch.empty_like(made, device="cpu").pin_memory()
    there = gpu_seconds(lambda: [column.to("cuda", non_blocking=True) for column in pinned])
    home = gpu_seconds(lambda: back.copy_(made, non_blocking=True))
    return {
        "events MB": sum(column.nbytes for column in pinned) / 1e6,
        "events to GPU ms": float(np.median(there)) * 1e3,
        "tensors MB": made.nbytes / 1e6,
        "tensors to CPU ms": float(np.median(home)) * 1e3,
    }


def latency_us(events: EventStream, columns: Columns, windows: Windows) -> float:
    """Return the microseconds from the call to the finished tensor of one window, as waited for."""
    limits = bounds(events, windows.t0_us, windows.t1_us)
    spans = np.stack([windows.t0_us, windows.t1_us])
    out = torch.empty((1, 6, *SENSOR), device="cuda")

    def waited() -> None:
        encode_batch(*columns, limits, spans, encoding=encoding_of(SENSOR), out=out)
        torch.cuda.synchronize()

    return float(np.median(rounds({"one": waited}, count=50)["one"])) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    try:
        choice = choose_encoder("cuda")
    except DeviceError as error:
        sys.exit(f"nothing was measured: {error}")
    events = edges_and_noise()
    columns = columns_of(events, torch.device("cuda"))
    bandwidth = gpu_bandwidth_gb_s()
    print(f"{choice.reason}, {bandwidth:,.0f} GB/s within its memory")
    result: dict[str, object] = {
        "machine": {**machine(), "gpu": choice.reason, "gpu_gb_s": round(bandwidth, 1)}
    }
    for window_us in WINDOWS_US:
        cut = trailing(events, window_us=window_us, stride_us=25_000)
        for count in BATCHES:
            windows = some(cut, count)
            row = one_batch(events, columns, windows, bandwidth)
            result[f"{cut.name} x {count}"] = {name: round(v, 3) for name, v in row.items()}
            print(
                f"{cut.name:>6} x {count:<4} {row['ours us']:9.1f} us {row['ours Mev/s']:9.0f} "
                f"Mev/s  {row['times index_add_']:6.1f} x index_add_  "
                f"{row['times index_put_']:7.1f} x index_put_  "
                f"{row['cpu us'] / row['ours us']:7.1f} x one CPU thread  "
                f"{row['megabytes']:8.1f} MB  {100 * row['share of bandwidth']:3.0f} %"
            )
        moved = transfer(events, some(cut, 64))
        moved["latency of one window us"] = latency_us(events, columns, some(cut, 1))
        result[f"{cut.name} by the way"] = {name: round(v, 3) for name, v in moved.items()}
        print("      ", ", ".join(f"{name} {value:.2f}" for name, value in moved.items()))
    save("cuda", result)


if __name__ == "__main__":
    main()
