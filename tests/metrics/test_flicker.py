"""Flicker: counts against loops over pixels, and pictures that move as a whole."""

from __future__ import annotations

import math

import naive_metrics as naive
import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eventseg.metrics.flicker import LabelPair, flicker_counts

CLASSES = 3
SIZES = st.tuples(st.integers(1, 5), st.integers(1, 6))
WAYS = st.one_of(
    st.sampled_from([0.0, 0.5, -0.5, 1.0, math.inf, -math.inf, math.nan]), st.floats(-3, 3)
)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[list[np.ndarray], np.ndarray]:
    """Draw truth and prediction of two instants, and the way of each pixel."""
    size = draw(SIZES)
    truth = arrays(np.uint8, size, elements=st.sampled_from([0, 0, 1, 2, 255]))
    prediction = arrays(np.uint8, size, elements=st.integers(0, CLASSES - 1))
    maps = [draw(kind) for kind in (truth, prediction, truth, prediction)]
    return maps, draw(arrays(np.float64, (2, *size), elements=WAYS))


@given(pairs())
def test_counts_equal_loops_over_pixels(drawn: tuple[list[np.ndarray], np.ndarray]) -> None:
    maps, way = drawn
    rows = [one.tolist() for one in maps]
    tensors = [torch.from_numpy(one) for one in maps]
    before, after = LabelPair(*tensors[:2]), LabelPair(*tensors[2:])
    for moved in (None, way):
        found = flicker_counts(
            before,
            after,
            classes=CLASSES,
            moved=None if moved is None else torch.from_numpy(moved),
        )
        expected = naive.flicker(
            rows[:2], rows[2:], CLASSES, None if moved is None else moved.tolist()
        )
        assert (found.still.tolist(), found.changed.tolist()) == expected


def test_pictures_that_move_as_a_whole_do_not_flicker_along_their_way() -> None:
    random = torch.Generator().manual_seed(3)
    whole = torch.randint(4, (2, 30, 40), generator=random)
    before, after = (LabelPair(*whole[:, :20, c : c + 30]) for c in (0, 3))
    assert flicker_counts(before, after, classes=4).changed.sum() > 50
    moved = torch.zeros((2, 20, 30))
    moved[0] = -3  # to the left
    found = flicker_counts(before, after, classes=4, moved=moved)
    assert found.changed.sum() == 0
    assert found.still.sum() == 20 * 27
