"""Filters by hand-made numbers and against their definitions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from eventseg.errors import LabelError
from eventseg.pseudolabel.confidence import (
    LabelFilters,
    class_histogram,
    confident,
    consistent,
    least_level,
    parse_ego,
    quantile_levels,
)

LABELS = np.array([[0, 0, 1], [1, 2, 255]], np.uint8)
CONFIDENCE = np.array([[200, 100, 128], [127, 255, 255]], np.uint8)


def test_threshold_keeps_what_is_at_least_as_sure() -> None:
    assert [least_level(t) for t in (0.0, 0.5, 0.6, 1.0)] == [0, 128, 153, 255]
    kept = confident(LABELS, CONFIDENCE, levels=np.array([128, 128, 128]))
    np.testing.assert_array_equal(kept, [[0, 255, 1], [255, 2, 255]])
    every = confident(LABELS, CONFIDENCE, levels=np.array([0, 0, 0]))
    np.testing.assert_array_equal(every, LABELS)


def test_quantile_is_of_each_class_by_itself() -> None:
    histogram = np.zeros((3, 256), np.int64)
    histogram[0, [10, 20, 30, 40]] = 25  # a quarter at each
    histogram[1, [200, 250]] = [90, 10]
    for quantile, levels in {
        0.0: [10, 200, 0],
        0.24: [10, 200, 0],
        0.25: [20, 200, 0],
        0.5: [30, 200, 0],
        0.9: [40, 250, 0],
    }.items():
        assert quantile_levels(histogram, quantile).tolist() == levels


@given(
    arrays(np.uint8, (6, 7), elements=st.sampled_from([0, 1, 2, 255])),
    arrays(np.uint8, (6, 7)),
    st.sampled_from([0.0, 0.1, 0.37, 0.5, 0.99]),
)
def test_quantile_drops_at_most_its_share(
    labels: np.ndarray, confidence: np.ndarray, quantile: float
) -> None:
    histogram = class_histogram(labels, confidence, classes=3)
    assert histogram.sum() == np.count_nonzero(labels < 3)
    levels = quantile_levels(histogram, quantile)
    kept = confident(labels, confidence, levels=levels)
    for k in range(3):
        values = np.sort(confidence[labels == k])
        if len(values) == 0:
            continue
        dropped = np.count_nonzero((labels == k) & (kept == 255))
        assert dropped <= quantile * len(values)
        # The next higher level would drop more than the share.
        assert np.count_nonzero(values <= levels[k]) > quantile * len(values)
    np.testing.assert_array_equal(kept[kept != 255], labels[kept != 255])


def test_label_must_be_in_the_neighbouring_frame_nearby() -> None:
    labels = np.array([[1, 1, 2, 2, 255]], np.uint8)
    moved = np.array([[3, 1, 1, 3, 2]], np.uint8)
    np.testing.assert_array_equal(consistent(labels, moved, radius=0), [[255, 1, 255, 255, 255]])
    np.testing.assert_array_equal(consistent(labels, moved, radius=1), [[1, 1, 255, 2, 255]])
    np.testing.assert_array_equal(consistent(labels, moved, radius=2), [[1, 1, 2, 2, 255]])


def test_ego_is_rows_or_a_picture(tmp_path: Path) -> None:
    np.testing.assert_array_equal(
        parse_ego("1:3").of_shape((3, 2)), [[False] * 2, [True] * 2, [True] * 2]
    )
    mask = np.zeros((3, 2), np.uint8)
    mask[2, 1] = 9
    Image.fromarray(mask).save(tmp_path / "ego.png")
    ego = parse_ego(str(tmp_path / "ego.png"))
    np.testing.assert_array_equal(ego.of_shape((3, 2)), mask > 0)
    assert "of 1 pixels" in LabelFilters(ego=ego).to_dict()["ego"]
    with pytest.raises(LabelError, match="is 2x3, frames are 5x4"):
        ego.of_shape((4, 5))
    with pytest.raises(LabelError, match="ego rows 1:9 are not within 0:3"):
        parse_ego("1:9").of_shape((3, 2))
    with pytest.raises(LabelError, match="must be ROW0:ROW1"):
        parse_ego("bonnet")


@pytest.mark.parametrize(
    "wrong",
    [
        {"threshold": 1.1},
        {"agreement": -0.1},
        {"quantile": 1.0},
        {"temporal": -1},
        {"threshold": float("nan")},
    ],
)
def test_filters_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(LabelError, match=next(iter(wrong))):
        LabelFilters(**wrong)  # type: ignore[arg-type]
