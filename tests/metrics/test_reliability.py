"""Calibration and risk-coverage from counts, against loops, scikit-learn and torchmetrics."""

from __future__ import annotations

import json
import math

import naive_metrics as naive
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.calibration import calibration_curve
from sklearn.metrics import accuracy_score

from eventseg.errors import LabelError
from eventseg.metrics.reliability import Reliability, reliability_counts


@st.composite
def judged(draw):
    """Draw truth, prediction and confidence of one size; edges of bins are frequent."""
    size = draw(st.integers(0, 40))
    edges = st.one_of(st.sampled_from([0, 17, 34, 51, 238, 254, 255]), st.integers(0, 255))
    return (
        draw(arrays(np.uint8, size, elements=st.sampled_from([0, 1, 255]))),
        draw(arrays(np.uint8, size, elements=st.integers(0, 1))),
        draw(arrays(np.uint8, size, elements=edges)),
    )


def random_pixels(seed=0, n=4000):
    """Return pixels whose confidence is right more often than not, in bytes below 255."""
    rng = np.random.default_rng(seed)
    confidence = rng.integers(0, 255, n).astype(np.uint8)
    truth = rng.integers(0, 6, n).astype(np.uint8)
    right = rng.random(n) < (confidence / 255) ** 2
    prediction = np.where(right, truth, (truth + 1) % 6).astype(np.uint8)
    truth[rng.random(n) < 0.1] = 255
    return truth, prediction, confidence


@given(judged(), st.sampled_from([1, 7, 10, 15, 256]))
def test_curves_equal_loops(pixels, bins):
    found = Reliability(reliability_counts(*pixels))
    lists = [values.tolist() for values in pixels]
    assert found.pixels == sum(value != 255 for value in lists[0])
    if found.pixels:
        error = naive.calibration_error(*lists, bins)
        assert found.calibration_error(bins=bins) == pytest.approx(error, abs=1e-12)
    points = naive.risk_coverage(*lists)
    coverage, risk = found.risk_coverage()
    np.testing.assert_allclose(
        np.stack([coverage, risk], 1), np.reshape(points, (-1, 2)), atol=1e-12
    )
    widths = np.diff([0, *(at for at, _ in points)])
    area = sum(width * wrong for width, (_, wrong) in zip(widths, points, strict=True))
    if points:
        assert found.area_under_risk_coverage() == pytest.approx(area, abs=1e-12)


def test_calibration_equals_scikit_learn_and_torchmetrics():
    # Here, as it loads transformers, which takes seconds.
    from torchmetrics.functional.classification import binary_calibration_error

    truth, prediction, confidence = random_pixels()
    found = Reliability(reliability_counts(truth, prediction, confidence))
    counted = truth != 255
    right = (truth == prediction)[counted]
    share = confidence[counted] / 255
    # 16 does not divide 255, so that no value lies on an edge that the libraries treat otherwise.
    accuracy, mean = calibration_curve(right, share, n_bins=16)
    curve = [row for row in found.calibration(bins=16) if row.pixels]
    np.testing.assert_allclose([row.accuracy for row in curve], accuracy)
    np.testing.assert_allclose([row.confidence for row in curve], mean)
    # Of a binary classifier that says "right" with the confidence.
    theirs = binary_calibration_error(
        torch.from_numpy(share), torch.from_numpy(right.astype(int)), n_bins=16, norm="l1"
    )
    assert found.calibration_error(bins=16) == pytest.approx(float(theirs), abs=1e-6)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.6, 0.9, 1.0])
def test_accuracy_above_a_threshold_is_that_of_the_pixels_kept(threshold):
    truth, prediction, confidence = random_pixels(1)
    confidence[:5] = 255
    found = Reliability(reliability_counts(truth, prediction, confidence)).kept_above(threshold)
    kept = (truth != 255) & (confidence >= math.ceil(threshold * 255 - 1e-9))
    assert found.coverage == pytest.approx(kept.sum() / (truth != 255).sum())
    assert found.accuracy == pytest.approx(accuracy_score(truth[kept], prediction[kept]))


def test_figures_by_hand():
    # 0.6 (153) twice, one of them right, and 1.0 twice, both right; the last pixel is ignored.
    truth = np.array([0, 0, 1, 1, 255])
    prediction = np.array([0, 1, 1, 1, 0])
    confidence = np.array([153, 153, 255, 255, 255], np.uint8)
    found = Reliability(reliability_counts(truth, prediction, confidence))
    assert found.calibration_error() == pytest.approx(0.05)
    assert found.kept_above(0.6) == (1.0, 0.75)
    assert found.kept_above(0.61) == (0.5, 1.0)
    coverage, risk = found.risk_coverage()
    assert (coverage.tolist(), risk.tolist()) == ([0.5, 1.0], [0.0, 0.25])
    assert found.area_under_risk_coverage() == 0.125
    told = json.loads(json.dumps(found.to_dict(bins=5), allow_nan=False))
    assert told["calibration"][3] == {"pixels": 2, "confidence": 0.6, "accuracy": 0.5}
    assert told["calibration"][0] == {"pixels": 0, "confidence": None, "accuracy": None}


def test_counts_of_images_add_up():
    parts = [random_pixels(seed, 50) for seed in (3, 4)]
    whole = reliability_counts(*(np.concatenate(both) for both in zip(*parts, strict=True)))
    np.testing.assert_array_equal(whole, sum(reliability_counts(*part) for part in parts))


def test_without_pixels_every_figure_is_nan():
    empty = Reliability(np.zeros((256, 2), np.int64))
    assert math.isnan(empty.calibration_error())
    assert math.isnan(empty.area_under_risk_coverage())
    assert all(map(math.isnan, empty.kept_above(0.5)))
    assert json.loads(json.dumps(empty.to_dict(), allow_nan=False))["calibration_error"] is None


def test_bad_input_is_refused():
    ids = np.zeros(3, np.uint8)
    with pytest.raises(LabelError, match="confidence is float64"):
        reliability_counts(ids, ids, np.ones(3))
    with pytest.raises(LabelError, match=r"confidence is uint8 \(2,\); give uint8 \(3,\)"):
        reliability_counts(ids, ids, ids[:2])
    with pytest.raises(LabelError, match="prediction holds 255 where the truth is not 255"):
        reliability_counts(ids, ids + 255, ids)
    counts = np.zeros((256, 2), np.int64)
    with pytest.raises(LabelError, match="0 bins"):
        Reliability(counts).calibration(bins=0)
    with pytest.raises(LabelError, match=r"threshold 1\.5"):
        Reliability(counts).kept_above(1.5)
    counts[7] = 1, 2
    with pytest.raises(LabelError, match="no more of them"):
        Reliability(counts)
