"""Label sets of folders of pictures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from recording_fixtures import SMALL, tree
from sources.own_labels.label_set_fixtures import OWN, annotated, put

from eventseg.errors import DatasetError, LabelError
from eventseg.labels.table_files import write_class_table
from eventseg.sources import Join, export_labels, import_labels
from eventseg.sources.source import open_source
from eventseg.training.check_path import check_path
from eventseg_cli.main import main


def pictures(root: Path) -> Path:
    """Write a folder of labelled pictures in the classes of OWN."""
    for k, name in enumerate(("train/a_1", "train/a_2", "val/b_1", "test/monday/0001")):
        path = root / "images" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((*SMALL, 3), k, np.uint8)).save(path)
        put(root / "labels" / f"{name}.png", np.full(SMALL, k % 3, np.uint8))
    write_class_table(root / "classes.toml", OWN)
    return root


@pytest.mark.parametrize(
    "names",
    [
        ("a_1", "monday_0001"),
        ("a_1", "monday/0001"),
        ("train/a_1", "test/monday/0001"),
        ("a_1", "0001"),
    ],
)
def test_pictures_take_label_sets_and_give_them(tmp_path: Path, names: tuple[str, str]) -> None:
    root = pictures(tmp_path / "mine")
    before = tree(root)
    maps = annotated(tmp_path / "own", list(names))
    (tmp_path / "own/classes.toml").unlink()  # the classes of the pictures then
    summary = import_labels(root, tmp_path / "own", name="second")
    assert (summary.files, summary.samples, summary.of_samples) == (2, 2, 4)
    assert {name: content for name, content in tree(root).items() if name in before} == before
    source = open_source(root, label_set="second")
    assert source.ids == ("a_1", "a_2", "b_1", "monday_0001")
    assert source.labelled.tolist() == [True, False, False, True]
    np.testing.assert_array_equal(source.labels(0), maps[0])
    np.testing.assert_array_equal(source.labels(3), maps[1])
    own, straight = source.with_labels("truth"), open_source(root)
    assert (own.label_set, own.classes) == ("truth", straight.classes)
    assert own.labelled.all()
    np.testing.assert_array_equal(own.labels(1), straight.labels(1))
    assert import_labels(root, tmp_path / "own", name="second").to_dict()["already"]
    for name, count in (("second", 2), ("truth", 4)):
        out = tmp_path / f"out_{name}"
        assert export_labels(root, out, name=name, colour=True).files == count
        import_labels(root, out, name=f"{name}_again")
        again, first = (open_source(root, label_set=n) for n in (f"{name}_again", name))
        assert again.classes == first.classes
        for i in np.flatnonzero(first.labelled):
            np.testing.assert_array_equal(again.labels(int(i)), first.labels(int(i)))


def test_labels_of_another_drive_are_of_no_picture(tmp_path: Path) -> None:
    root, folder = tmp_path / "mine", tmp_path / "own"
    for k, name in enumerate(("a/001", "a/002")):
        put(root / "labels" / f"{name}.png", np.full(SMALL, k, np.uint8))
        (root / "images/a").mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((*SMALL, 3), k, np.uint8)).save(root / f"images/{name}.png")
    write_class_table(root / "classes.toml", OWN)
    annotated(folder, ["b/001", "b/002"])
    with pytest.raises(LabelError, match=r"b/001\.png is no name of a picture; b/002\.png is no"):
        import_labels(root, folder, name="second")
    maps = annotated(folder, ["a/001", "a/002"])
    summary = import_labels(root, folder, name="second", skip_orphans=True)
    assert (summary.files, summary.samples, summary.left_out) == (2, 2, 2)
    source = open_source(root, label_set="second")
    for i, labels in enumerate(maps):
        np.testing.assert_array_equal(source.labels(i), labels)


def test_folders_of_labels_agree_with_those_of_the_picture(tmp_path: Path) -> None:
    root = pictures(tmp_path / "mine")
    for k, name in enumerate(("labels/train/a_1", "test/monday/0001", "monday/monday_0001")):
        annotated(tmp_path / str(k), [name])
        assert import_labels(root, tmp_path / str(k), name=f"set{k}").samples == 1
    for k, name in enumerate(("tuesday/0001", "monday/a_1", "x/monday/0001", "train/x/a_1"), 5):
        annotated(tmp_path / str(k), [name])
        with pytest.raises(LabelError, match="is no name of a picture"):
            import_labels(root, tmp_path / str(k), name=f"set{k}")


def test_pictures_are_checked_with_their_sets(tmp_path: Path) -> None:
    root = pictures(tmp_path / "mine")
    annotated(tmp_path / "own", ["a_1", "monday_0001"])
    import_labels(root, tmp_path / "own", name="own")
    report = check_path(root)
    assert (report.kind, report.problems) == ("pictures", [])
    Image.new("RGB", (5, 4)).save(root / "images/train/a_1.png")
    Image.new("L", (SMALL.width, SMALL.height), 9).save(root / "labels/val/b_1.png")
    shutil.copy(root / "label_sets/labels/own/a_1.png", root / "label_sets/labels/own/c_1.png")
    size, ids, count, stray = check_path(root).problems
    assert size.endswith("a_1.png 5x4; make them of one size")
    assert "b_1.png" in ids
    assert "labels/own holds 3 label maps, not those of the 2 samples" in count
    assert "labels/own/c_1.png belongs to no picture; move it away" in stray


def test_what_does_not_fit_pictures_is_refused(tmp_path: Path) -> None:
    root = pictures(tmp_path / "mine")
    before = tree(root)
    annotated(tmp_path / "own", ["a_1", "c_1"])
    with pytest.raises(LabelError, match=r"c_1\.png is no name of a picture\. Name them by pict"):
        import_labels(root, tmp_path / "own", name="second")
    with pytest.raises(LabelError, match=r"folder of pictures, which have no frame: join by id"):
        import_labels(root, tmp_path / "own", name="second", join=Join(by="frame"))
    with pytest.raises(LabelError, match=r"truth of .* its own labels, .*mine/labels: put PNGs"):
        import_labels(root, tmp_path / "own", name="truth", skip_orphans=True)
    with pytest.raises(LabelError, match=r"pictures, which have no frame; export by id"):
        export_labels(root, tmp_path / "out", name="truth", by="frame")
    with pytest.raises(DatasetError, match=r"no label set 'second'; it has truth"):
        export_labels(root, tmp_path / "out", name="second")
    assert tree(root) == before
    Image.new("L", (30, 24)).save(tmp_path / "own/a_1.png")
    with pytest.raises(LabelError, match=r"a_1\.png are 30x24, the pictures are 32x24"):
        import_labels(root, tmp_path / "own", name="second", skip_orphans=True)


def test_an_audit_compares_pictures_that_both_sets_have(tmp_path: Path) -> None:
    root = pictures(tmp_path / "mine")
    annotated(tmp_path / "own", ["a_1", "monday_0001"])
    import_labels(root, tmp_path / "own", name="second")
    asked = ["audit", str(root), "--labels", "second", "--truth", "truth", "--split", "all"]
    result = CliRunner().invoke(main, [*asked, "--out", str(tmp_path / "audit"), "--json"])
    assert result.exit_code == 0, result.output
    assert [row["id"] for row in json.loads(result.stdout)["frames"]] == ["a_1", "monday_0001"]
