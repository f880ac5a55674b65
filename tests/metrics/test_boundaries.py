"""Boundary IoU and trimap counts: against loops, and against erosion by SciPy."""

from __future__ import annotations

import naive_metrics as naive
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import binary_erosion

from eventseg.errors import LabelError
from eventseg.metrics.boundaries import boundary_counts, near_boundary

CLASSES = 3
MAPS = st.tuples(st.integers(1, 7), st.integers(1, 8)).flatmap(
    lambda size: st.tuples(
        arrays(np.int64, (2, *size), elements=st.sampled_from([0, 0, 1, 2, 255])),
        arrays(np.int64, (2, *size), elements=st.integers(0, CLASSES - 1)),
    )
)


@given(MAPS, st.integers(1, 4))
def test_counts_equal_loops_over_pixels(maps: tuple[np.ndarray, np.ndarray], width: int) -> None:
    truth, prediction = maps
    counts = boundary_counts(
        torch.from_numpy(truth), torch.from_numpy(prediction), width=width, classes=CLASSES
    )
    for n in range(2):
        for k in range(CLASSES):
            expected = naive.boundary_iou(truth[n].tolist(), prediction[n].tolist(), k, width)
            assert (int(counts.both[n, k]), int(counts.either[n, k])) == expected
        band = naive.near_boundary(truth[n].tolist(), width)
        matrix = np.zeros((CLASSES, CLASSES), int)
        for at in band:
            matrix[truth[n][at], prediction[n][at]] += 1
        np.testing.assert_array_equal(counts.trimap[n].numpy(), matrix)


@given(st.integers(1, 5), st.integers(0, 2**31))
def test_bands_are_masks_less_their_erosion(width: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    labels = np.kron(random.integers(0, 3, (4, 5)), np.ones((6, 5), np.int64))
    near = near_boundary(torch.from_numpy(labels)[None], width=width)[0].numpy()
    for k in range(3):
        mask = labels == k
        # As the published code of boundary IoU erodes, but the picture's edge is no boundary.
        inner = binary_erosion(mask, np.ones((3, 3)), iterations=width, border_value=1)
        np.testing.assert_array_equal(near & mask, mask & ~inner)


def test_a_shifted_edge_is_punished_more_by_narrow_bands() -> None:
    truth = torch.zeros((1, 40, 40), dtype=torch.int64)
    truth[:, :, 20:] = 1
    shifted = truth.roll(2, dims=2)
    shifted[:, :, :2] = 0
    scores = []
    for width in (1, 2, 4, 8):
        counts = boundary_counts(truth, shifted, width=width, classes=2)
        scores.append((counts.both.sum() / counts.either.sum()).item())
        same = boundary_counts(truth, truth, width=width, classes=2)
        assert torch.equal(same.both, same.either)
    # Of 2 w columns on each side, those 2 away from the other's: (w - 2) / (w + 2).
    assert scores == pytest.approx([0, 0, 2 / 6, 6 / 10])


def test_widths_below_one_are_refused() -> None:
    with pytest.raises(LabelError, match="boundaries of 0 pixels; give 1 or more"):
        near_boundary(torch.zeros((1, 2, 2), dtype=torch.int64), width=0)
