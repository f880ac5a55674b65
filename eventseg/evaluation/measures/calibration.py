"""Calibration of the network: ECE, NLL and a temperature that the part val fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from eventseg.errors import TrainingError
from eventseg.evaluation.evaluate import scored_by_network
from eventseg.evaluation.measures.measure import Scoring
from eventseg.evaluation.report.sections import Section
from eventseg.evaluation.report.tables import Table, percent
from eventseg.evaluation.rows import Row
from eventseg.files.texts import counted
from eventseg.labels.tables import IGNORED
from eventseg.metrics.calibration import (
    BINS,
    Calibration,
    calibration_counts,
    fit_temperature,
    log_probabilities,
)
from eventseg.plots.scores import figure_calibration
from eventseg.prediction.scored import ScoredBatch
from eventseg.recordings.progress import Progress
from eventseg.sources.selection import part

FITTED_ON = "val"
"""Part of the data that the temperature is fitted on."""

NO_VAL = f"the data has no labelled samples of part {FITTED_ON}"
"""Reason of most data sets without a temperature."""

MOST_PIXELS = 400_000
"""Pixels that the temperature is fitted on at most, evenly from all samples."""

RULE = (
    f"confidence: largest probability of a pixel; ECE: its gap to the accuracy over {BINS} bins of "
    "equal width (Guo et al. 2017, equation 3); NLL: mean of -log p(true class); the temperature "
    "divides the logarithms of the probabilities that are scored, and changes no prediction"
)


@dataclass(frozen=True, slots=True)
class Temperature:
    """Temperature of a window, and the pixels that it was fitted on."""

    value: float
    pixels: int
    samples: int


@dataclass(frozen=True, eq=False, slots=True)
class CalibrationScores:
    """Counts of confidences as the network has them, and at the fitted temperature.

    Parameters
    ----------
    temperatures : mapping
        Temperature by window, without those that the part val cannot calibrate.
    counts : dict
        Counts by window and temperature, 1 first.
    split : str
        Part that is scored.
    reason : str
        Why there is no temperature, where a window has none.
    """

    temperatures: Mapping[str, Temperature]
    counts: dict[tuple[str, float], Calibration]
    split: str
    reason: str = NO_VAL

    @classmethod
    def of(cls, scoring: Scoring) -> CalibrationScores:
        """Return the measure, after fitting the temperature of each window on the part val."""
        splits = np.array(scoring.source.splits)
        has_val = bool((scoring.source.labelled & (splits == FITTED_ON)).any())
        fitted = {
            window: fitted_temperature(scoring, window) for window in scoring.parts if has_val
        }
        found = {window: one for window, one in fitted.items() if isinstance(one, Temperature)}
        reasons = dict.fromkeys(one for one in fitted.values() if isinstance(one, str))
        counts = {(window, 1.0): Calibration.empty() for window in scoring.parts}
        counts |= {(window, one.value): Calibration.empty() for window, one in found.items()}
        reason = "; ".join(reasons) if has_val else NO_VAL
        return cls(found, counts, scoring.protocol.split, reason)

    def observe(self, window: str, batch: ScoredBatch) -> None:
        """Count the confidences of a batch."""
        logs = log_probabilities(batch.likelihood)
        for of_window, temperature in self.counts:
            if of_window == window:
                self.counts[window, temperature] += calibration_counts(
                    logs, batch.truth, temperature=temperature
                )

    def section(self, rows: Sequence[Row]) -> Section:
        """Return the section of the report."""
        shown = dict(zip(dict.fromkeys(window for window, _ in self.counts), rows, strict=True))
        found = {
            (shown[window].window, temperature): counts
            for (window, temperature), counts in sorted(
                self.counts.items(), key=lambda item: list(shown).index(item[0][0])
            )
        }
        return Section(
            key="calibration",
            title="Calibration, %",
            note=f"{RULE}; {self._fitting()}",
            facts={"curves": [_curve(key, counts) for key, counts in found.items()]},
            lines=[_line(key, counts) for key, counts in found.items()],
            table=Table(
                "Calibration",
                ("window", "temperature", "ECE", "NLL, nats", "confidence", "accuracy"),
                [_cells(key, counts) for key, counts in found.items()],
            ),
            figure=lambda: figure_calibration(
                {_name(key): counts.curve() for key, counts in found.items()},
                title="Calibration (points by number of pixels)",
            ),
        )

    def close(self) -> None:
        """Do nothing."""

    def _fitting(self) -> str:
        """Return the words on how the temperature was found."""
        if not self.temperatures:
            return f"no temperature: {self.reason}"
        one = next(iter(self.temperatures.values()))
        words = (
            f"fitted by NLL on {one.pixels:,} pixels of {counted(one.samples, 'sample')} of "
            f"part {FITTED_ON}"
        )
        words += ", the part that is scored: optimistic" if self.split == FITTED_ON else ""
        windows = {window for window, _ in self.counts}
        return words + (
            f"; no temperature: {self.reason}" if windows - set(self.temperatures) else ""
        )


def fitted_temperature(scoring: Scoring, window: str) -> Temperature | str:
    """Return the temperature of a network at a window by the part val, or why there is none.

    Pixels are drawn evenly from all samples, the same ones each time.

    Parameters
    ----------
    scoring : Scoring
    window : str
    """
    protocol, inputs = scoring.protocol, scoring.trained.inputs
    try:
        indices = part(
            scoring.source,
            split=FITTED_ON,
            window=window if inputs.kind in ("events", "both") else None,
            min_covered=protocol.min_covered,
        )
    except TrainingError as error:  # the part that is scored may cover it all the same
        return str(error)
    most = max(1, MOST_PIXELS // len(indices))
    logs, classes, done = [], [], 0
    for batch in scored_by_network(
        scoring.trained,
        scoring.source,
        indices,
        window=window,
        protocol=protocol,
        classes=scoring.classes,
        device=scoring.device,
        batch_size=scoring.batch_size,
        workers=scoring.workers,
    ):
        for i, truth, likelihood in zip(batch.indices, batch.truth, batch.likelihood, strict=True):
            places = torch.nonzero((truth != IGNORED).flatten())[:, 0]
            order = np.random.default_rng(i).permutation(len(places))[:most]
            chosen = places[torch.from_numpy(order).to(places.device)]
            logs.append(log_probabilities(likelihood.flatten(1)[:, chosen]).T.cpu().numpy())
            classes.append(truth.flatten()[chosen].cpu().numpy())
        done += len(batch.indices)
        scoring.progress(Progress("temperature", done, len(indices), "sample"))
    true = np.concatenate(classes)
    if not len(true):
        return f"no pixel of part {FITTED_ON} has a class that is scored"
    return Temperature(fit_temperature(np.concatenate(logs), true), len(true), len(indices))


def _name(key: tuple[str, float]) -> str:
    window = "" if key[0] == "-" else f"{key[0]}, "
    return f"{window}temperature {key[1]:.3g}"


def _line(key: tuple[str, float], counts: Calibration) -> dict[str, str | int | float]:
    return {
        "window": key[0],
        "temperature": key[1],
        "pixels": counts.pixels,
        "ece": counts.ece,
        "nll": counts.nll,
        "confidence": counts.confidence,
        "accuracy": counts.accuracy,
    }


def _cells(key: tuple[str, float], counts: Calibration) -> list[str]:
    return [
        key[0],
        f"{key[1]:.4g}",
        percent(counts.ece),
        f"{counts.nll:.4f}",
        percent(counts.confidence),
        percent(counts.accuracy),
    ]


def _curve(key: tuple[str, float], counts: Calibration) -> dict[str, object]:
    """Return the bins as JSON holds them, None where they are empty."""
    bins = [
        {name: value if row.pixels else None for name, value in row._asdict().items()}
        for row in counts.curve()
    ]
    return {"window": key[0], "temperature": key[1], "bins": bins}
