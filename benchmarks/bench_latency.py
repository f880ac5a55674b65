"""Latency of live labels: from the end of a window to its label map, with the share of each stage.

    uv run python benchmarks/bench_latency.py                  # writes results/latency.json
    uv run python benchmarks/bench_latency.py --labels 20 --only fastscnn
    uv run python benchmarks/bench_latency.py --device cuda

A camera of 1 million events a second is played at its own pace, in packets of 5 ms, half of its
events at a bar that moves and half noise; `stream` makes a label map of the last 50 ms at each
instant, by the rule ``latest``. Networks have random weights and six classes: their labels are
worth nothing, their time is that of trained ones. Figures are those of `StreamSummary`: p50 and
p99 from the arrival of the packet that completes a window to its label map, and the parts of it.
Load is that of the machine before the run: other work on it makes all figures worse.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

from eventseg.device import wait_without_spinning

wait_without_spinning()  # before torch is loaded, as every command does

import numpy as np  # noqa: E402
import torch  # noqa: E402
from paired import machine, save  # noqa: E402

from eventseg import SensorSize, build_network, encoding_of  # noqa: E402
from eventseg.labels import ClassTable  # noqa: E402
from eventseg.networks import Blueprint, InputSpec, TrainedNetwork  # noqa: E402
from eventseg.prediction import FastSetting, Packet, accelerated, stream  # noqa: E402

NETWORKS = ("fastscnn", "enet", "cgnet", "evsegnet")
SENSORS = (SensorSize(260, 346), SensorSize(480, 640))
RATE = 1_000_000
PACKET_US = 5_000
EVERY_MS = 50
WINDOW = "50ms"
TABLE = ClassTable(tuple("abcdef"), tuple((k, k, k) for k in range(6)))


class Camera:
    """Packets of made-up events at their own pace."""

    def __init__(self, sensor: SensorSize, *, seconds: float) -> None:
        self.sensor = sensor
        self._packets = int(seconds * 1e6 / PACKET_US)
        self._k = 0
        self._begin_s = 0.0
        self._rng = np.random.default_rng(0)

    def read(self, timeout_s: float) -> Packet | None:  # noqa: ARG002
        """Return the next packet at its time."""
        if self._k == self._packets:
            return None
        self._begin_s = self._begin_s or time.monotonic()
        n, rng = RATE * PACKET_US // 1_000_000, self._rng
        t = self._k * PACKET_US + np.sort(rng.integers(0, PACKET_US, n))
        on, edge = rng.random(n) < 0.5, rng.random(n) < 0.5
        bar = (t // 4_000 + 20 * on) % self.sensor.width
        x = np.where(edge, bar, rng.integers(0, self.sensor.width, n)).astype(np.uint16)
        y = rng.integers(0, self.sensor.height, n).astype(np.uint16)
        self._k += 1
        time.sleep(max(0.0, self._begin_s + self._k * PACKET_US / 1e6 - time.monotonic()))
        return Packet(t, x, y, on.astype(np.int8))

    def close(self) -> None:
        """Do nothing."""


def trained(name: str, sensor: SensorSize) -> TrainedNetwork:
    torch.manual_seed(0)
    encoding = encoding_of(sensor, normalise="sqrt")
    inputs = InputSpec("events", 6, windows=(WINDOW,), normalise="sqrt", encoding=encoding)
    network = build_network(name, in_channels=6, classes=6).eval()
    return TrainedNetwork(network, Blueprint(name, 6, 6), inputs, TABLE)


def measure(
    network: TrainedNetwork, sensor: SensorSize, args: argparse.Namespace
) -> dict[str, Any]:
    every = f"{args.every}ms"
    # The first is a warm-up; a slow network ends at the longest time, with fewer labels.
    for seconds, rule in ((0.3, "all"), (args.seconds, "latest")):
        camera = Camera(sensor, seconds=seconds)
        live = stream(network, camera, every=every, window=WINDOW, queue=rule, device=args.device)
        fastest_ms = np.inf
        for number, prediction in enumerate(live, 1):
            fastest_ms = min(fastest_ms, prediction.latency_ms)
            if number == args.labels:
                break
    times = live.summary.quantiles_ms()
    p50 = times["latency"]["p50"]
    shares = {step: round(100 * times[step]["p50"] / p50, 1) for step in times if step != "latency"}
    return {
        "labels": live.summary.labels,
        "dropped": live.summary.dropped,
        "labels_per_s": round(live.summary.rate_hz, 1),
        "least_ms": round(fastest_ms, 2),
        "p50_ms": round(p50, 2),
        "p99_ms": round(times["latency"]["p99"], 2),
        "share_of_p50_percent": shares,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(NETWORKS))
    parser.add_argument("--labels", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60.0, help="longest time of a network")
    parser.add_argument("--every", type=int, default=EVERY_MS, help="ms between two instants")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--onnx", action="store_true", help="by ONNX Runtime too")
    parser.add_argument("--save", default="latency", help="name of the result; none for no file")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    described = machine()
    rows = []
    for name in args.only.split(","):
        for sensor in SENSORS:
            plain = trained(name, sensor)
            engines = {"eager": plain}
            if args.onnx:
                setting = FastSetting("onnxruntime", threads=args.threads)
                engines["onnxruntime"] = accelerated(plain, setting)
            for engine, network in engines.items():
                row = {"network": name, "sensor": str(sensor), "engine": engine}
                row |= measure(network, sensor, args)
                rows.append(row)
                print(row, flush=True)
    result = {
        "machine": described,
        "device": args.device,
        "threads": args.threads,
        "events_per_s": RATE,
        "every_ms": args.every,
        "window": WINDOW,
        "weights": "random",
        "load_after": round(os.getloadavg()[0], 2),
        "rows": rows,
    }
    if args.save != "none":
        save(args.save, result)


if __name__ == "__main__":
    main()
