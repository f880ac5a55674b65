"""Shares of classes by split, and warnings about labels that teach nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from recording_fixtures import SMALL, write_recording

from eventseg.dataset import encode_dataset, open_dataset
from eventseg.dataset.describe_labels import describe_labels, label_lines
from eventseg.labels.maps import load_class_table
from eventseg.labels.shares import LabelCounts, label_warnings
from eventseg.sources import import_labels
from eventseg_cli.main import main

SIX = load_class_table("evsegnet6")


def counts(*maps: object) -> LabelCounts:
    found = LabelCounts()
    for values in maps:
        found.add(np.atleast_2d(np.array(values, np.uint8)))
    return found


@pytest.mark.parametrize(
    ("splits", "expected"),
    [
        ({}, []),
        ({"train": counts([0, 1, 2, 3, 4, 5])}, []),
        ({"train": counts([0, 0], [0, 0])},
         ["every pixel of all 2 label maps is 0 flat: nothing can be learnt"]),
        ({"train": counts([255, 255])},
         ["every pixel of all 1 label maps is ignored (255): nothing can be learnt"]),
        ({"train": counts([0, 1, 2, 3, 4, 5], [255, 255], [2, 2])},
         ["1 of 3 label maps are ignored completely", "1 of 3 label maps hold a single class"]),
        ({"train": counts([0, 1, 2, 3, 255])}, ["classes human, vehicle never occur"]),
        ({"train": counts([0, 1, 2, 3, 4])}, ["class vehicle never occurs"]),
        ({"train": counts([0, 1, 2, 3, 4]), "val": counts([0, 5]), "gap": counts([5, 0])},
         ["class vehicle occurs in val and not in train"]),
    ],
)  # fmt: skip
def test_warnings(splits: dict[str, LabelCounts], expected: list[str]) -> None:
    assert label_warnings(splits, SIX) == expected


def test_classes_without_a_table_cannot_be_missed() -> None:
    assert label_warnings({"train": counts([0, 3])}, None) == []
    assert "is 3: nothing" in label_warnings({"train": counts([3, 3])}, None)[0]


def test_info_and_check_show_shares_by_split_and_warn(tmp_path: Path) -> None:
    recordings = [write_recording(tmp_path / f"{n}.hdf5", seed=k) for k, n in enumerate("ab")]
    encode_dataset(recordings, tmp_path / "data", store="none", held_out=["b"])
    for name, value in (("a_f000000", 0), ("a_f000001", 1), ("b_f000000", 2)):
        labels = np.zeros(SMALL, np.uint8)
        labels[: SMALL.height // 4] = value
        (tmp_path / "own").mkdir(exist_ok=True)
        Image.fromarray(labels).save(tmp_path / "own" / f"{name}.png")
    import_labels(tmp_path / "data", tmp_path / "own", name="own", classes=SIX)
    asked = CliRunner().invoke(main, ["info", str(tmp_path / "data")])
    assert asked.exit_code == 0, asked.output
    lines = [line.split() for line in asked.stdout.splitlines()]
    assert ["class", "pixels", "%", "test", "train"] in lines
    assert ["object", "192", "8.333", "25.000", "0.000"] in lines
    assert ["vehicle", "0", "0.000", "0.000", "0.000"] in lines
    never = "classes vegetation, human, vehicle never occur"
    assert f"  warning: {never}" in asked.stdout
    assert "warning: class object occurs in test and not in train" in asked.stdout
    info = json.loads(CliRunner().invoke(main, ["info", str(tmp_path / "data"), "--json"]).stdout)
    assert info["labels"]["own"]["splits"]["test"] == {"0": 576, "2": 192}
    checked = CliRunner().invoke(main, ["check", str(tmp_path / "data")])
    assert checked.exit_code == 0, checked.output
    assert checked.stdout.splitlines()[-1].endswith("data: whole")
    assert f"warning: {tmp_path / 'data'}: labels own: {never}" in checked.stderr
    found = json.loads(CliRunner().invoke(main, ["check", str(tmp_path / "data"), "--json"]).stdout)
    assert found["whole"]
    assert len(found["warnings"]) == 3


def test_info_of_a_folder_of_pictures_warns(tmp_path: Path) -> None:
    root = tmp_path / "mine"
    for kind in ("images", "labels"):
        (root / kind / "train").mkdir(parents=True)
        Image.new("L", (8, 6)).save(root / kind / "train/a_1.png")
    (root / "classes.toml").write_text(
        'classes = [{ id = 0, name = "ground", colour = [9, 9, 9] }, '
        '{ id = 1, name = "cart", colour = [1, 1, 1] }]'
    )
    asked = CliRunner().invoke(main, ["info", str(root)])
    assert "warning: every pixel of all 1 label maps is 0 ground: nothing" in asked.stdout


def test_of_many_label_maps_some_are_counted(tmp_path: Path) -> None:
    encode_dataset([write_recording(tmp_path / "a.hdf5")], tmp_path / "data", store="none")
    (tmp_path / "labels").mkdir()
    for k in range(8):
        labels = np.full(SMALL, k % 4, np.uint8)
        Image.fromarray(labels).save(tmp_path / "labels" / f"a_f00000{k}.png")
    import_labels(tmp_path / "data", tmp_path / "labels", name="own", classes="evsegnet6")
    with open_dataset(tmp_path / "data") as dataset:
        whole, some = (describe_labels(dataset, most_maps=most)["own"] for most in (None, 3))
    assert (whole["images"], whole["counted"]) == (8, 8)
    assert (some["images"], some["counted"]) == (8, 3)
    assert sum(some["pixels"].values()) == 3 * SMALL.height * SMALL.width
    assert label_lines("own", some)[0] == "labels    own, 8 images, 3 of them counted"
    assert label_lines("own", whole)[0] == "labels    own, 8 images"
