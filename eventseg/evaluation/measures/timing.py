"""Time of each step from events to a label map, one sample after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from eventseg.errors import DatasetError, RecordingError
from eventseg.evaluation.measures.measure import Scoring
from eventseg.evaluation.report.sections import Section
from eventseg.evaluation.report.tables import Table, size_of
from eventseg.evaluation.rows import Row
from eventseg.networks.inputs import scaled
from eventseg.prediction.predictor import label_map, network_input, probabilities
from eventseg.prediction.scored import ScoredBatch
from eventseg.prediction.stopwatch import STEPS, StopWatch, machine_of
from eventseg.sources.recorded import EventSource

WARM_UP = 5
"""Samples before the first that is timed."""

MOST_SAMPLES = 100
"""Most samples that are timed, evenly from the part."""

RULE = (
    "read: events of the window and frame from their files, which may be in memory already; "
    "encode: events to the input tensor, on the CPU; copy: to the device; network: class "
    "probabilities at the size that is scored, all views; argmax: label map, back on the CPU; the "
    "device is waited for after each step"
)


@dataclass(frozen=True, eq=False, slots=True)
class StepTimes:
    """Times of the steps, taken when the section is made.

    Parameters
    ----------
    scoring : Scoring
    """

    scoring: Scoring

    def observe(self, _window: str, _batch: ScoredBatch) -> None:
        """Do nothing: batches are not timed."""

    def section(self, rows: Sequence[Row]) -> Section:
        """Time the steps at each window, and return the section of the report."""
        scoring = self.scoring
        lines: list[dict[str, str | int | float]] = []
        cells = []
        live = can_encode(scoring)
        for row, (window, indices) in zip(rows, scoring.parts.items(), strict=True):
            chosen = np.unique(np.linspace(0, len(indices) - 1, MOST_SAMPLES).round().astype(int))
            taken = step_times(scoring, indices[chosen], window=window, live=live)
            total = np.sum(list(taken.values()), axis=0)
            for step, times_ms in {**taken, "all": total}.items():
                p50, p95 = (float(value) for value in np.quantile(times_ms, [0.5, 0.95]))
                lines.append(
                    {
                        "window": row.window,
                        "step": step,
                        "samples": len(times_ms),
                        "p50_ms": p50,
                        "p95_ms": p95,
                    }
                )
                cells.append([row.window, step, f"{p50:.2f}", f"{p95:.2f}"])
        machine = machine_of(scoring.device)
        size = size_of(scoring.protocol)
        note = f"{RULE}; {lines[0]['samples']} samples one by one, {size}; {machine}"
        if not live:
            note += "; stored tensors and frames are read, and nothing is encoded"
        return Section(
            key="time",
            title="Time of a sample",
            note=note,
            facts={"machine": machine},
            lines=lines,
            table=Table("Time of a sample", ("window", "step", "p50, ms", "p95, ms"), cells),
        )

    def close(self) -> None:
        """Do nothing."""


def can_encode(scoring: Scoring) -> bool:
    """Return whether events of the samples can be read from their recordings."""
    source, inputs = scoring.source, scoring.trained.inputs
    if inputs.kind not in ("events", "both") or not isinstance(source, EventSource):
        return False
    try:
        for indices in scoring.parts.values():
            for i in {source.sequences[i]: int(i) for i in indices}.values():
                source.dataset.recording_of(i)
    except (DatasetError, RecordingError):
        return False
    return True


def step_times(
    scoring: Scoring, indices: NDArray[np.int64], *, window: str, live: bool
) -> dict[str, NDArray[np.float64]]:
    """Return the times of each of :data:`STEPS` in ms, float64 (N,) each.

    Parameters
    ----------
    scoring : Scoring
    indices : int64 (N,)
        Samples. The first few are gone through once before, untimed.
    window : str
    live : bool
        Whether events are read and encoded; else the step ``read`` is that of stored inputs, and
        ``encode`` is missing.
    """
    trained, protocol, device = scoring.trained, scoring.protocol, scoring.device
    trained.network.to(device).eval()
    warm_up = indices[:WARM_UP].tolist()
    watches = []
    for i in [*warm_up, *indices.tolist()]:
        watch = StopWatch(device)
        if live:
            x = _encoded(scoring, i, window, watch)
        else:
            with watch.step("read"):
                x = network_input(scoring.source, i, inputs=trained.inputs, window=window)
        size = protocol.size or (int(x.shape[-2]), int(x.shape[-1]))
        with watch.step("copy"):
            batch = x[None].to(device)
        with watch.step("network"):
            likelihood = probabilities(trained, batch, size=size, test_time=protocol.test_time)
        with watch.step("argmax"):
            label_map(likelihood)
        watches.append(watch)
    steps = [step for step in STEPS if live or step != "encode"]
    return {
        step: np.array([watch.times_ms[step] for watch in watches[len(warm_up) :]])
        for step in steps
    }


def _encoded(scoring: Scoring, i: int, window: str, watch: StopWatch) -> torch.Tensor:
    """Return the input of the network as :func:`network_input` does, from the recording."""
    source, inputs = scoring.source, scoring.trained.inputs
    assert isinstance(source, EventSource)  # as `can_encode` has found
    with watch.step("read"):
        events = source.live_window(i, window, normalise=inputs.normalise)
        frame = source.image(i, colour=False) if inputs.kind == "both" else None
    with watch.step("encode"):
        parts = [] if frame is None else [scaled(frame, inputs.scaling)]
        stacked = np.concatenate([*parts, events.tensor()])
        return torch.from_numpy(np.ascontiguousarray(stacked))
