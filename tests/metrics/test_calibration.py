"""Calibration: counts against loops and torchmetrics, temperature against a plain search."""

from __future__ import annotations

import math

import naive_metrics as naive
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from eventseg.errors import LabelError
from eventseg.metrics.calibration import (
    TEMPERATURES,
    Calibration,
    calibration_counts,
    fit_temperature,
    log_probabilities,
)


def random_scores(seed: int, *, ignored: float = 0.2) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    scores = 2 * torch.randn((2, 4, 5, 6), generator=random)
    truth = torch.randint(4, (2, 5, 6), generator=random)
    truth[torch.rand(truth.shape, generator=random) < ignored] = 255
    return scores, truth


@given(st.integers(0, 2**31), st.sampled_from([0.5, 1.0, 3.0]), st.sampled_from([1, 4, 15]))
def test_counts_equal_loops_over_pixels(seed: int, temperature: float, bins: int) -> None:
    scores, truth = random_scores(seed)
    found = calibration_counts(scores, truth, temperature=temperature, bins=bins)
    pixels = [
        (scores[n, :, row, column].tolist(), int(truth[n, row, column]))
        for n in range(2)
        for row in range(5)
        for column in range(6)
    ]
    ece, nll = naive.calibration(pixels, temperature, bins)
    assert found.ece == pytest.approx(ece, abs=1e-9)
    assert found.nll == pytest.approx(nll)
    parts = [
        calibration_counts(scores[n : n + 1], truth[n : n + 1], temperature=temperature, bins=bins)
        for n in range(2)
    ]
    whole = parts[0] + parts[1]
    np.testing.assert_allclose(whole.bins, found.bins)
    assert whole.nll == pytest.approx(found.nll)
    assert sum(one.pixels for one in found.curve()) == int((truth != 255).sum())


def test_calibration_error_equals_torchmetrics() -> None:
    # Here, as it loads transformers, which takes seconds.
    from torchmetrics.functional.classification import multiclass_calibration_error

    for seed in range(20):
        scores, truth = random_scores(seed)
        expected = multiclass_calibration_error(
            scores.double(), truth, num_classes=4, n_bins=15, norm="l1", ignore_index=255
        )
        assert calibration_counts(scores, truth).ece == pytest.approx(float(expected), abs=1e-6)


def test_logarithms_of_probabilities_stand_for_logits() -> None:
    scores, truth = random_scores(1)
    logs = log_probabilities(scores.softmax(1))
    for temperature in (1.0, 2.5):
        one = calibration_counts(scores, truth, temperature=temperature)
        two = calibration_counts(logs, truth, temperature=temperature)
        np.testing.assert_allclose(two.bins, one.bins, rtol=1e-5)
        assert two.nll == pytest.approx(one.nll, rel=1e-5)
    assert torch.isfinite(log_probabilities(torch.tensor([0.0, 1.0]))).all()


@given(st.integers(0, 2**31), st.floats(0.2, 6.0))
def test_the_temperature_is_that_of_the_least_nll(seed: int, true_temperature: float) -> None:
    random = np.random.default_rng(seed)
    scores = 3 * random.normal(size=(400, 5))
    draws = random.random((400, 1))
    cumulative = softmax(scores / true_temperature, axis=1).cumsum(1)
    truth = np.minimum((cumulative < draws).sum(1), 4)
    found = fit_temperature(scores, truth)

    def nll(log_temperature: float) -> float:
        rows = log_softmax(scores / math.exp(log_temperature), axis=1)
        return float(-rows[np.arange(400), truth].mean())

    low, high = map(math.log, TEMPERATURES)
    best = minimize_scalar(nll, bounds=(low, high), method="bounded", options={"xatol": 1e-9})
    assert nll(math.log(found)) <= best.fun + 1e-9
    assert math.log(found) == pytest.approx(best.x, abs=2e-3)


def test_temperatures_end_where_no_pixel_is_wrong_or_all_are_chance() -> None:
    scores = np.array([[4.0, 0.0], [0.0, 4.0]])
    assert fit_temperature(scores, np.array([0, 1])) == min(TEMPERATURES)
    assert fit_temperature(scores, np.array([1, 0])) == max(TEMPERATURES)


def test_calibration_of_nothing_and_of_nonsense() -> None:
    empty = Calibration.empty()
    assert math.isnan(empty.ece)
    assert math.isnan(empty.nll)
    assert math.isnan(empty.confidence)
    assert math.isnan(empty.accuracy)
    scores, truth = random_scores(0)
    with pytest.raises(LabelError, match="temperature 0 and 15 bins; both must be above 0"):
        calibration_counts(scores, truth, temperature=0)
    with pytest.raises(LabelError, match="0 pixels of classes 0 to 4 are needed"):
        fit_temperature(np.zeros((0, 5)), np.zeros(0, np.int64))
