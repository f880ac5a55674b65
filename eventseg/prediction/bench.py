"""Time of each step from events to a label map in each arithmetic, and the fastest exact one.

Steps are timed alone, the device waited for after each, and together, on windows of a recording or
on made-up ones. A setting is recommended where no more than a stated share of the labels differs
from those of plain float32.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from eventseg.device import processors
from eventseg.errors import NetworkError, OutputError, WindowError
from eventseg.events import SensorSize
from eventseg.files.digests import digest_of
from eventseg.files.whole import check_folder, write_whole
from eventseg.networks import TrainedNetwork
from eventseg.prediction.bench_report import BenchReport as BenchReport
from eventseg.prediction.bench_report import SettingTimes
from eventseg.prediction.bench_windows import TimedWindows, made_up_windows, recorded_windows
from eventseg.prediction.checkpoint_file import data_encoding, find_checkpoint
from eventseg.prediction.fast import FastSetting, accelerated, bench_file, machine_key
from eventseg.prediction.instants import window_us_of
from eventseg.prediction.loading import check_is_checkpoint, load_trained
from eventseg.prediction.predictor import label_map, predictor, probabilities
from eventseg.prediction.stopwatch import STEPS, StopWatch, machine_of
from eventseg.recordings import Recording, open_recording
from eventseg.recordings.choices import FileChoices, TimeUnit
from eventseg.recordings.progress import Progress, Report, no_report

WARM_UP = 3
HOPELESS = 4.0
"""A setting whose warm-up takes so many times as long as the best is not timed further."""


def bench(
    network: str | Path,
    recording: str | Path | Recording | None = None,
    *,
    window: str | int | None = None,
    size: SensorSize | None = None,
    sensor: SensorSize | None = None,
    camera: str | int | None = None,
    time_unit: TimeUnit | None = None,
    batch: int = 8,
    repetitions: int = 30,
    threads: Sequence[int] = (),
    compiled: bool = False,
    most_changed: float = 0.001,
    device: str = "auto",
    save: bool = True,
    progress: Report = no_report,
) -> BenchReport:
    """Time a network's steps in every arithmetic of this machine, and recommend one.

    Parameters
    ----------
    network : path
        A run folder, a checkpoint or the name of a shipped network, of a network on events.
    recording : path or Recording, optional
        Recording whose windows are taken, evenly from its length; without it windows are made up,
        whose labels say less of what arithmetic changes.
    window : str or int, optional
        Length of the windows, by default that of the training.
    size : SensorSize, optional
        Sensor of made-up windows, by default that of the training.
    sensor, camera, time_unit
        Of a recording, as for :func:`eventseg.open_recording`.
    batch : int
        Inputs of the batch whose throughput is measured.
    repetitions : int
        Windows that are timed, after three that are not.
    threads : sequence of int
        Numbers of threads on the CPU; by default 1 and the number of processors.
    compiled : bool
        Also ``torch.compile``, which takes minutes.
    most_changed : float
        Largest share of changed labels of a setting that is recommended.
    device : str
    save : bool
        Whether the result is stored for ``--fast``: beside the checkpoint, of a shipped network in
        the user's cache folder. Whether its folder can be
        written is asked first; where writing fails later, ``unsaved`` of the report says why.
    progress : callable

    Raises
    ------
    CheckpointError, RecordingError, DeviceError
        Files or a device that cannot be used.
    NetworkError
        A network that sees frames.
    WindowError
        Numbers out of range.
    OutputError
        The folder of the measurements cannot be written, with `save`.
    """
    if batch < 1 or repetitions < 1 or any(count < 1 for count in threads):
        raise WindowError("batch, repetitions and threads must be 1 or more")
    if not 0 <= most_changed <= 1:
        raise WindowError(f"most_changed must be a share from 0 to 1, got {most_changed:g}")
    found = find_checkpoint(network)
    check_is_checkpoint(found, purpose="bench")
    plain = predictor(load_trained(found), device=device)
    trained, inputs = plain.trained, plain.trained.inputs
    if inputs.kind != "events":
        raise NetworkError(
            f"{found.path} sees {inputs.kind}: bench times networks on events; evaluate --measure "
            "time times any network on a data set"
        )
    if save:
        _check_writable(bench_file(found.path))
    encoding = inputs.encoding or data_encoding(found.data, inputs)
    window_us = window_us_of(inputs, window)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    threads_before = torch.get_num_threads()
    opened = None
    try:
        if isinstance(recording, str | Path):
            likely = encoding.sensor if encoding else size
            opened = open_recording(
                recording,
                sensor=sensor,
                likely=likely,
                **FileChoices.of(camera, time_unit).arguments,
            )
            recording = opened
        if recording is not None:
            windows = recorded_windows(
                recording, encoding, window_us, inputs.normalise, repetitions
            )
        else:
            windows = made_up_windows(encoding, size, window_us, inputs.normalise, repetitions)
        rows: list[SettingTimes] = []
        reference: NDArray[np.uint8] | None = None
        settings = candidates(plain.device, threads=threads, compiled=compiled)
        for number, setting in enumerate(settings):
            progress(Progress("bench", number, len(settings), "settings", str(setting)))
            try:
                faster = accelerated(trained, setting, device=plain.device)
                best_ms = min(
                    (r.times_ms["network"]["p50"] for r in rows if not r.error), default=0
                )
                row, labels = _timed(faster, setting, windows, plain.device, batch, best_ms)
            except Exception as error:
                if number == 0:
                    raise
                text = str(error).strip().splitlines() or [type(error).__name__]
                rows.append(SettingTimes(setting, error=text[0][:80]))
                continue
            reference = labels if reference is None else reference
            if labels is not None:
                row = replace(row, changed=float((labels != reference).mean()))
            rows.append(row)
        progress(Progress("bench", len(settings), len(settings), "settings"))
    finally:
        torch.set_num_threads(threads_before)
        if opened is not None:
            opened.close()
    usable = [row for row in rows if not row.error and row.changed <= most_changed]
    chosen = min(usable, key=lambda row: row.times_ms["together"]["p50"]).setting
    report = BenchReport(
        network=f"{trained.blueprint.name} of {found.name}",
        machine=machine_of(plain.device),
        input=windows.name,
        date=datetime.now(UTC).date().isoformat(),
        load=round(load, 2),
        rows=tuple(rows),
        most_changed=most_changed,
        recommended=chosen,
    )
    if not save:
        return report
    try:
        return _kept(report, found.path, plain.device)
    except OutputError as error:  # the measurements took minutes
        return replace(report, unsaved=str(error))


def _check_writable(path: Path) -> None:
    """Raise an OutputError where the file of the measurements cannot be made."""
    try:
        check_folder(path.parent)
    except OutputError as error:
        raise OutputError(
            f"{path}, where --fast looks for the measurements, cannot be written; copy the "
            "checkpoint into a folder that can"
        ) from error


def candidates(
    device: torch.device, *, threads: Sequence[int] = (), compiled: bool = False
) -> list[FastSetting]:
    """Return the settings that are measured; the first is plain float32."""
    counts = list(dict.fromkeys(threads or (processors(), 1))) if device.type == "cpu" else [0]
    found = []
    for count in counts:
        for memory_format, numbers in (
            ("contiguous", "float32"),
            ("channels_last", "float32"),
            ("contiguous", "bfloat16"),
            ("channels_last", "bfloat16"),
        ):
            found.append(FastSetting("eager", memory_format, numbers, count))  # type: ignore[arg-type]
        if compiled:
            found.append(FastSetting("compiled", "contiguous", "float32", count))
            found.append(FastSetting("compiled", "channels_last", "bfloat16", count))
        if device.type == "cpu" and find_spec("onnxruntime") and find_spec("onnxscript"):
            found.append(FastSetting("onnxruntime", "contiguous", "float32", count))
    return found


def _timed(
    trained: TrainedNetwork,
    setting: FastSetting,
    windows: TimedWindows,
    device: torch.device,
    batch: int,
    best_ms: float,
) -> tuple[SettingTimes, NDArray[np.uint8] | None]:
    """Return the times of a setting and its labels of all windows."""
    for k in range(WARM_UP):
        watch = StopWatch(device)
        _one(trained, windows, k % len(windows.spans), device, watch)
    if best_ms and watch.times_ms["network"] > HOPELESS * best_ms:
        error = f"over {HOPELESS:g} times the best: {watch.times_ms['network']:.0f} ms"
        return SettingTimes(setting, error=error), None
    alone, together, labels = [], [], []
    for i in range(len(windows.spans)):
        watch = StopWatch(device)
        labels.append(_one(trained, windows, i, device, watch))
        alone.append(watch.times_ms)
        begin = time.perf_counter()
        _one(trained, windows, i, device, None)
        together.append(1e3 * (time.perf_counter() - begin))
    events = [windows.read(i % len(windows.spans)) for i in range(batch)]
    tensors = [windows.tensor(each, i % len(windows.spans)) for i, each in enumerate(events)]
    x = torch.stack(tensors).to(device)
    size = (int(x.shape[-2]), int(x.shape[-1]))
    batches = []
    for k in range(1 + max(2, len(windows.spans) // batch)):
        watch = StopWatch(device)
        with watch.step("batch"):
            probabilities(trained, x, size=size)
        if k:
            batches.append(watch.times_ms["batch"])
    times = {step: _quantiles([each[step] for each in alone]) for step in STEPS}
    times |= {"together": _quantiles(together), "batch": _quantiles(batches)}
    row = SettingTimes(
        setting,
        times,
        batch,
        rate_hz=1e3 / float(np.mean(together)),
        batch_rate_hz=1e3 * batch / times["batch"]["p50"],
    )
    return row, np.stack(labels)


def _one(
    trained: TrainedNetwork,
    windows: TimedWindows,
    i: int,
    device: torch.device,
    watch: StopWatch | None,
) -> NDArray[np.uint8]:
    """Go through the steps of one window; without a watch the device is waited for at the end."""
    if watch is None:
        x = windows.tensor(windows.read(i), i)[None].to(device)
        likelihood = probabilities(trained, x, size=(int(x.shape[-2]), int(x.shape[-1])))
        return label_map(likelihood)
    with watch.step("read"):
        events = windows.read(i)
    with watch.step("encode"):
        tensor = windows.tensor(events, i)
    with watch.step("copy"):
        x = tensor[None].to(device)
    with watch.step("network"):
        likelihood = probabilities(trained, x, size=(int(x.shape[-2]), int(x.shape[-1])))
    with watch.step("argmax"):
        return label_map(likelihood)


def _quantiles(values: list[float]) -> dict[str, float]:
    shares = (0.5, 0.95, 0.99)
    found = np.quantile(values, shares)
    return {f"p{round(100 * q)}": float(value) for q, value in zip(shares, found, strict=True)}


def _kept(report: BenchReport, checkpoint: Path, device: torch.device) -> BenchReport:
    """Write a report into the file of the checkpoint, with those of other machines."""
    path = bench_file(checkpoint)
    try:
        machines = json.loads(path.read_text(encoding="utf-8"))["machines"]
    except (OSError, ValueError, KeyError, TypeError):
        machines = {}
    machines[machine_key(device)] = {
        **report.to_dict(),
        "checkpoint_sha256": digest_of(checkpoint),
    }
    content = json.dumps({"machines": machines}, indent=2) + "\n"
    write_whole(path, lambda file: file.write(content.encode()))
    return replace(report, file=path)
