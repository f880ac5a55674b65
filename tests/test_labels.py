"""Class tables, merges and pictures of labels."""

from __future__ import annotations

import numpy as np
import pytest

from eventseg.errors import DatasetError
from eventseg.labels import (
    CITYSCAPES_19,
    EVSEGNET_6,
    EVSEGNET_6_OF_CITYSCAPES_19,
    merge_labels,
    paint_labels,
    table_of,
    unknown_labels,
)
from eventseg.simulate.classes import CLASS_NAMES


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
    with pytest.raises(DatasetError, match=r"labels hold 6, 200; allowed are 0 to 5 and 255"):
        paint_labels(labels, EVSEGNET_6)
    with pytest.raises(DatasetError, match="labels hold 200"):
        merge_labels(labels, EVSEGNET_6_OF_CITYSCAPES_19)


def test_unknown_names_get_colours_that_differ() -> None:
    assert table_of(CLASS_NAMES) is CITYSCAPES_19
    table = table_of([f"class {i}" for i in range(11)])
    assert len(set(table.colours)) == 11
    assert table_of(()).names == ()
