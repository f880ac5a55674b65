"""Merging of labels and of probabilities, checks and pictures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eventseg.errors import LabelError
from eventseg.labels.maps import (
    CITYSCAPES_19,
    EVSEGNET_6,
    EVSEGNET_6_OF_CITYSCAPES_19,
    load_class_table,
    merge_labels,
    merge_of,
    merge_probabilities,
    paint_labels,
    table_of,
    unknown_labels,
)
from eventseg.simulate.scene.classes import CLASS_NAMES


def test_tables_name_and_colour_each_class_once() -> None:
    assert CITYSCAPES_19.names == CLASS_NAMES
    for table, size in ((CITYSCAPES_19, 19), (EVSEGNET_6, 6)):
        assert len(table) == len(set(table.names)) == len(set(table.colours)) == size


def test_merge_sends_each_class_to_its_group_and_keeps_ignored() -> None:
    groups = {
        "flat": ["road", "sidewalk"],
        "background": ["building", "wall", "fence", "sky"],
        "object": ["pole", "traffic light", "traffic sign"],
        "vegetation": ["vegetation", "terrain"],
        "human": ["person", "rider"],
        "vehicle": ["car", "truck", "bus", "train", "motorcycle", "bicycle"],
    }
    labels = np.array([[*range(19), 255]], np.uint8)
    merged = merge_labels(labels, EVSEGNET_6_OF_CITYSCAPES_19)
    for name, members in groups.items():
        found = [CLASS_NAMES[i] for i in range(19) if EVSEGNET_6.names[merged[0, i]] == name]
        assert found == members
    assert merged[0, 19] == 255


def test_pictures_have_the_colours_and_black_where_ignored() -> None:
    picture = paint_labels(np.array([[0, 5], [3, 255]], np.uint8), EVSEGNET_6)
    assert picture.tolist() == [[[128, 64, 128], [0, 0, 142]], [[107, 142, 35], [0, 0, 0]]]


def test_labels_outside_a_table_are_named() -> None:
    labels = np.array([[0, 6, 200, 255]], np.uint8)
    assert unknown_labels(labels, 6) == [6, 200]
    with pytest.raises(
        LabelError, match=r"labels hold 6, 200; .* evsegnet6 has 0 flat, .* and 255"
    ):
        paint_labels(labels, EVSEGNET_6)
    with pytest.raises(LabelError, match="labels hold 200"):
        merge_labels(labels, EVSEGNET_6_OF_CITYSCAPES_19)


def test_unknown_names_get_colours_that_differ() -> None:
    assert table_of(CLASS_NAMES) is CITYSCAPES_19
    table = table_of([f"class {i}" for i in range(11)])
    assert len(set(table.colours)) == 11
    assert table_of(()).names == ()


def test_merged_probabilities_and_merged_labels_differ_where_vehicles_split_the_mass() -> None:
    # Left: car, truck and bus share 0.6 and building alone has 0.4, more than any of them.
    # Right: car alone has 0.5, building and sky 0.25 each, so both ways agree.
    table = CITYSCAPES_19.names
    probabilities = np.zeros((19, 1, 2))
    for name, left, right in (
        ("car", 0.25, 0.5), ("truck", 0.2, 0.0), ("bus", 0.15, 0.0), ("building", 0.4, 0.25),
        ("sky", 0.0, 0.25),
    ):  # fmt: skip
        probabilities[table.index(name), 0] = left, right
    merge = EVSEGNET_6_OF_CITYSCAPES_19
    by_labels = merge_labels(probabilities.argmax(0).astype(np.uint8), merge)
    assert [EVSEGNET_6.names[i] for i in by_labels[0]] == ["background", "vehicle"]
    merged = merge_probabilities(probabilities, merge, classes=6)
    np.testing.assert_allclose(merged[:, 0, 0], [0, 0.4, 0, 0, 0, 0.6])
    np.testing.assert_allclose(merged[:, 0, 1], [0, 0.5, 0, 0, 0, 0.5])
    assert EVSEGNET_6.names[merged[:, 0, 0].argmax()] == "vehicle"


def test_probability_of_ignored_classes_is_dropped_and_nothing_is_scaled_up() -> None:
    ids = load_class_table("cityscapes34").names
    probabilities = np.zeros((2, 34, 1, 1), np.float32)
    probabilities[:, ids.index("ego vehicle")] = 0.75
    probabilities[:, ids.index("car")] = 0.25
    merged = merge_probabilities(
        probabilities, merge_of("cityscapes34", "cityscapes19"), classes=19
    )
    assert merged.shape == (2, 19, 1, 1)
    assert merged.dtype == np.float32
    assert merged[1, CITYSCAPES_19.names.index("car"), 0, 0] == merged[1].sum() == 0.25


@given(arrays(np.float64, (5, 2, 3), elements=st.integers(0, 64)), st.data())
def test_merged_probabilities_equal_sums_over_each_group(probabilities, data) -> None:
    merge = data.draw(st.lists(st.sampled_from([0, 1, 2, 255]), min_size=5, max_size=5))
    merged = merge_probabilities(probabilities, merge, classes=3)
    for new in range(3):
        members = [old for old in range(5) if merge[old] == new]
        np.testing.assert_array_equal(merged[new], probabilities[members].sum(0))


def test_probabilities_that_do_not_fit_a_merge_are_refused() -> None:
    with pytest.raises(LabelError, match=r"shape \(2, 1, 1\) do not fit a merge of 3 classes"):
        merge_probabilities(np.zeros((2, 1, 1)), (0, 1, 1), classes=2)
    with pytest.raises(LabelError, match=r"shape \(2, 1\) do not fit"):
        merge_probabilities(np.zeros((2, 1)), (0, 1), classes=2)
    with pytest.raises(LabelError, match="probabilities are uint8"):
        merge_probabilities(np.zeros((2, 1, 1), np.uint8), (0, 1), classes=2)
    with pytest.raises(LabelError, match="merge into 2: allowed are 0 to 1 and 255"):
        merge_probabilities(np.zeros((2, 1, 1)), (0, 2), classes=2)
