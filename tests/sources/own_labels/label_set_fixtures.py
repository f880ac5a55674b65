"""Label maps of a user's own, written as files, and as a data set holds them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from recording_fixtures import SMALL

from eventseg.dataset.opening import open_dataset
from eventseg.labels.files import write_labels
from eventseg.labels.maps import ClassTable
from eventseg.labels.table_files import write_class_table

OWN = ClassTable(
    ("ground", "cart", "rest"), ((9, 0, 0), (0, 9, 0), (0, 0, 9)), "yard", ignored_ids=(7,)
)


def maps_of(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [rng.choice(np.array([0, 1, 2, 255], np.uint8), SMALL) for _ in range(count)]


def put(path: Path, labels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_labels(path, labels, OWN)


def annotated(folder: Path, names: list[str]) -> list[np.ndarray]:
    """Write one label map for each name, and the class table."""
    maps = maps_of(len(names))
    for name, labels in zip(names, maps, strict=True):
        put(folder / f"{name}.png", labels)
    write_class_table(folder / "classes.toml", OWN)
    return maps


def assert_labels(data: Path, expected: dict[str, np.ndarray], *, name: str = "own") -> None:
    with open_dataset(data) as dataset:
        for i, sample in enumerate(dataset.ids):
            if sample in expected:
                np.testing.assert_array_equal(dataset.labels(i, name), expected[sample])
            else:
                assert not (data / f"labels/{name}/{sample}.png").exists()
