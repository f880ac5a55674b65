"""Folders of a user's own labelled pictures: layout, classes, splits, drives, hostile contents."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from eventseg.errors import DatasetError, LabelError
from eventseg.labels.maps import load_class_table, paint_labels
from eventseg.sources.image_folders import open_folder
from eventseg.sources.source import open_source
from eventseg_cli.main import main

TABLE = """
name = "yard"
ignored = [9]
classes = [
    { id = 0, name = "ground", colour = [10, 20, 30] },
    { id = 1, name = "cart", colour = [200, 0, 0] },
    { id = 2, name = "rest", colour = [0, 0, 90] },
]
"""
IDS = np.array([[0, 1, 2, 9], [255, 0, 0, 1]], np.uint8)
MEANT = np.array([[0, 1, 2, 255], [255, 0, 0, 1]], np.uint8)


def put(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def own(root: Path, names: tuple[str, ...], *, table: str | None = TABLE) -> Path:
    """Write pictures and labels under these names, such as ``train/a_1``."""
    for k, name in enumerate(names):
        put(root / "images" / f"{name}.png", np.full((2, 4, 3), k, np.uint8))
        put(root / "labels" / f"{name}.png", IDS)
    if table is not None:
        (root / "classes.toml").write_text(table)
    return root


SIX = ("train/a_1", "train/a_2", "train/b_1", "val/c_1", "test/monday/0001", "test/monday/0002")


def test_splits_drives_and_classes_are_those_of_the_folder(tmp_path: Path) -> None:
    source = open_source(own(tmp_path / "mine", SIX))
    assert source.ids == ("a_1", "a_2", "b_1", "c_1", "monday_0001", "monday_0002")
    assert source.splits == ("train",) * 3 + ("val",) + ("test",) * 2
    assert source.sequences == ("a", "a", "b", "c", "monday", "monday")
    assert source.classes.name == "yard"
    np.testing.assert_array_equal(source.labels(0), MEANT)
    assert source.image(1, colour=True).shape == (3, 2, 4)


def test_labels_may_be_colours(tmp_path: Path) -> None:
    root = own(tmp_path / "mine", SIX)
    table = load_class_table(root / "classes.toml")
    put(root / "labels/train/a_1.png", paint_labels(MEANT, table))
    np.testing.assert_array_equal(open_source(root).labels(0), MEANT)
    put(root / "labels/train/a_2.png", np.full((2, 4), 7, np.uint8))
    with pytest.raises(DatasetError, match=r"a_2\.png hold 7; class table yard has 0 ground, .*md"):
        open_source(root).labels(1)


def test_without_folders_of_splits_all_pictures_train_and_the_last_validate(tmp_path: Path) -> None:
    names = tuple(f"drive_{k}" for k in range(20))
    source = open_source(own(tmp_path / "mine", names))
    assert set(source.published_splits) == {"train"}
    assert dict(zip(source.ids, source.splits, strict=True))["drive_19"] == "val"


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    root = own(tmp_path / "mine", SIX)
    put(root / "labels/train/gone.png", IDS)
    put(root / "images/stray.png", IDS)
    (root / "images/train/notes.txt").write_text("by hand")
    (root / "labels/val/c_1.png").unlink()
    folder = open_folder(root)
    assert folder is not None
    assert folder.left_out == {
        "hidden files, folders and files of other kinds": 1,
        "labels without a picture": 1,
        "pictures of val, which has no labels": 1,
        "entries of images beside train, val, test": 1,
    }


def test_a_folder_that_is_incomplete_is_one_error(tmp_path: Path) -> None:
    root = own(tmp_path / "mine", SIX, table=None)
    with pytest.raises(DatasetError, match=r"no classes\.toml, which names their classes.*md"):
        open_source(root)
    (root / "classes.toml").write_text("classes = [1]")
    with pytest.raises(LabelError, match=r"class table .*classes\[0\] is 1.*docs/classes\.md"):
        open_source(root)
    (root / "classes.toml").write_text(TABLE)
    put(root / "images/train/d.png", IDS)
    with pytest.raises(DatasetError, match=r"1 labels are missing, first .*labels/train/d\.png"):
        open_source(root)
    (root / "images/train/d.png").unlink()
    put(root / "images/val/a_1.png", IDS)
    put(root / "labels/val/a_1.png", IDS)
    with pytest.raises(DatasetError, match=r"1 ids of more than one sample: .*train/a_1\.png and "):
        open_source(root)
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare/labels").mkdir()
    (tmp_path / "bare/classes.toml").write_text(TABLE)
    with pytest.raises(DatasetError, match="and no folder images"):
        open_source(tmp_path / "bare")


def test_another_table_is_other_data(tmp_path: Path) -> None:
    root = own(tmp_path / "mine", SIX)
    before = open_source(root).digests
    (root / "classes.toml").write_text(TABLE.replace("cart", "tram"))
    now = open_source(root).digests
    assert [name for name in now if now[name] != before[name]] == ["settings"]


def test_commands_know_the_layout(tmp_path: Path) -> None:
    root = own(tmp_path / "mine", SIX)
    info = json.loads(CliRunner().invoke(main, ["info", str(root), "--json"]).stdout)
    assert info["classes"] == ["ground", "cart", "rest"]
    assert info["splits"]["train"]["pixels"] == {"ground": 9, "cart": 6, "rest": 3, "ignored": 6}
    words = ["--labels", "truth", "--truth", "truth", "--split", "test"]
    result = CliRunner().invoke(main, ["audit", str(root), *words, "--out", str(tmp_path / "a")])
    assert result.exit_code == 0, result.output
    assert "cart" in result.stdout
