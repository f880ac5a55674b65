"""Label sets beside folders of labelled pictures, whose own files stay as they are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from pseudolabel_teachers import CITYSCAPES, SIX, StubTeacher, by_gray
from recording_fixtures import tree
from torch import Tensor
from training_fixtures import draw_nothing, train_tiny

from eventseg.errors import DatasetError, LabelError, OutputError, TrainingError
from eventseg.evaluation.audit.audit import audit
from eventseg.evaluation.audit.pair import open_pair
from eventseg.evaluation.run_evaluation import evaluate_run
from eventseg.labels.maps import merge_of
from eventseg.pseudolabel.confidence import LabelFilters
from eventseg.pseudolabel.label_set import LabelSummary, label_dataset
from eventseg.pseudolabel.recipes import LabelRecipe
from eventseg.pseudolabel.test_time import TestTimeAugmentation
from eventseg.pseudolabel.voting import TeacherVote, predict_labels
from eventseg.sources.source import open_source
from eventseg_cli.main import main

ONCE = LabelRecipe(TestTimeAugmentation((1.0,), flip=False), filters=LabelFilters())
SIZE = (32, 24)


def write(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(path)


def camvid(root: Path) -> Path:
    """Write RGB pictures of three parts in the layout of CamVid."""
    rng = np.random.default_rng(5)
    for split, count in (("train", 4), ("val", 2), ("test", 2)):
        for k in range(count):
            name = f"0001TP_{split}{k}.png"
            write(root / split / name, rng.integers(0, 256, (*SIZE[::-1], 3)))
            write(root / f"{split}annot" / name, rng.integers(0, 12, SIZE[::-1]))
    return root


def released(root: Path) -> Path:
    """Write gray pictures, tensors and labels in the layout of EV-SegNet's release."""
    rng = np.random.default_rng(6)
    for split, recording in (("train", "rec1487339175"), ("test", "rec1487417411")):
        for k in range(3):
            name = f"{recording}_export_{k}"
            write(root / "images" / split / f"{name}.png", rng.integers(0, 256, SIZE[::-1]))
            write(root / "labels" / split / f"{name}.png", rng.integers(0, 6, SIZE[::-1]))
            tensor = root / "events" / split / f"{name}.npy"
            tensor.parent.mkdir(parents=True, exist_ok=True)
            np.save(tensor, rng.uniform(-1, 1, (*SIZE[::-1], 6)).astype(np.float32))
    return root


def label(
    data: Path,
    *teachers: StubTeacher,
    recipe: LabelRecipe = ONCE,
    name: str = "stub",
    overwrite: bool = False,
) -> LabelSummary:
    return label_dataset(
        data,
        teachers or (StubTeacher(by_gray),),
        name=name,
        classes=SIX,
        recipe=recipe,
        batch=2,
        overwrite=overwrite,
    )


@pytest.mark.parametrize("layout", [camvid, released])
def test_every_picture_gets_a_label_map_and_the_folder_stays(layout, tmp_path: Path) -> None:
    data = layout(tmp_path / "data")
    before = tree(data)
    summary = label(data)
    source = open_source(data, label_set="stub")
    colour = np.stack(
        [
            (source.image(i, colour=True) * 255).round().transpose(1, 2, 0)
            for i in range(len(source.ids))
        ]
    ).astype(np.uint8)
    expected = predict_labels(
        [TeacherVote(StubTeacher(by_gray), merge_of(CITYSCAPES, SIX))],
        colour,
        classes=6,
        test_time=ONCE.test_time,
    )
    for i in range(len(source.ids)):
        np.testing.assert_array_equal(source.labels(i), expected.labels[i])
        np.testing.assert_array_equal(source.confidence(i), expected.confidence[i])
    assert source.classes.names == SIX.names
    assert (summary.frames, summary.samples) == (len(source.ids), len(source.ids))
    assert {name: data for name, data in tree(data).items() if "label_sets" not in name} == before
    truth = open_source(data)
    assert truth.confidence(0) is None
    assert truth.digests == {"files": source.digests["files"]}
    assert source.digests.keys() == {"files", "labels stub"}
    assert truth.splits == source.splits


def test_stopped_run_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    straight, data = camvid(tmp_path / "straight"), camvid(tmp_path / "data")
    label(straight)
    seen = []

    def stopping(pictures: Tensor) -> Tensor:
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(len(pictures))
        return by_gray(pictures)

    with pytest.raises(KeyboardInterrupt):
        label(data, StubTeacher(stopping))
    with pytest.raises(TrainingError, match="no label set 'stub'; it has truth"):
        open_source(data, label_set="stub")
    second = StubTeacher(by_gray)
    label(data, second)
    assert sum(shape[0] for shape in second.sizes) == 4
    assert tree(data) == tree(straight)
    assert "already whole" in label(data).lines()[0]


def test_other_settings_and_foreign_labels_are_refused(tmp_path: Path) -> None:
    data = camvid(tmp_path / "data")
    label(data)
    sure = LabelRecipe(ONCE.test_time, filters=LabelFilters(threshold=0.9))
    with pytest.raises(DatasetError, match=r"threshold was 0\.0, now 0\.9; .*--labels"):
        label(data, recipe=sure)
    label(data, recipe=sure, overwrite=True)
    (data / "label_sets/labels/mine").mkdir()
    with pytest.raises(DatasetError, match="labels mine that were not made by a teacher"):
        label(data, name="mine")
    temporal = LabelRecipe(ONCE.test_time, filters=LabelFilters(temporal=1))
    with pytest.raises(LabelError, match="does not tell the times of its pictures"):
        label(data, recipe=temporal, name="late")


def test_pictures_that_cannot_be_written_beside_are_one_error(tmp_path: Path) -> None:
    data = camvid(tmp_path / "data")
    (data / "label_sets").write_text("no folder")
    with pytest.raises(OutputError, match=r"cannot make .*label_sets for label sets: .*; copy"):
        label(data)


def test_pictures_of_another_size_and_tensors_without_pictures(tmp_path: Path) -> None:
    data = camvid(tmp_path / "data")
    write(data / "train/0001TP_train2.png", np.zeros((20, 20, 3)))
    with pytest.raises(DatasetError, match=r"train2.png is 20x20, the others of .* are 32x24"):
        label(data)
    events = released(tmp_path / "events")
    for split in ("train", "test"):
        for path in (events / "images" / split).iterdir():
            path.unlink()
        (events / "images" / split).rmdir()
    with pytest.raises(DatasetError, match="holds no pictures to label"):
        label(events)


@pytest.mark.parametrize("content", ["schema = 9", "schema = [", 'schema = 1\n[labels]\nx = "y"'])
def test_damaged_list_of_sets_is_one_error(tmp_path: Path, content: str) -> None:
    data = camvid(tmp_path / "data")
    label(data)
    (data / "label_sets/label_sets.toml").write_text(content)
    with pytest.raises(DatasetError, match=r"label_sets\.toml"):
        open_source(data, label_set="stub")


def test_relabelling_study_of_the_released_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Learn new labels of the released tensors, and be scored on the old ones and the new ones."""
    draw_nothing(monkeypatch)
    data = released(tmp_path / "data")
    label(data)
    train_tiny(data, tmp_path / "run", label_set="stub", labels__set="stub", epochs=1)
    scores = {
        labels: evaluate_run(tmp_path / "run", data, labels=labels, device="cpu", baselines=False)
        for labels in ("stub", "truth")
    }
    new, old = (evaluation.rows[0].matrices.sum(0) for evaluation in scores.values())
    assert new.sum() == old.sum() == 3 * SIZE[0] * SIZE[1]
    assert (new != old).any()
    assert len({evaluation.page.parent for evaluation in scores.values()}) == 2

    pair = open_pair(data, labels="stub", other="truth", split="test")
    found = audit(pair, against="truth")
    source, truth = open_source(data, label_set="stub"), open_source(data)
    tests = [i for i, split in enumerate(source.splits) if split == "test"]
    same = np.mean([(source.labels(i) == truth.labels(i)).mean() for i in tests])
    assert found.row.scores.pixel_accuracy == pytest.approx(same)


def test_commands_name_the_sets(tmp_path: Path) -> None:
    data = camvid(tmp_path / "data")
    label(data)
    described = CliRunner().invoke(main, ["info", str(data)])
    assert "label sets: truth, stub" in described.output
    audited = CliRunner().invoke(
        main,
        ["audit", str(data), "--labels=stub", "--truth=truth", "--json", f"--out={tmp_path / 'a'}"],
    )
    assert audited.exit_code == 0, audited.output
    assert json.loads(audited.stdout)["labels"] == "stub"
    for words, line in (
        (["--truth", "truth"], "name the label set to audit; it has truth, stub"),
        (["--labels", "stub", "--truth", "none"], "has no label set 'none', nor is there such"),
        (["--labels", "stub", "--truth", "truth", "--split", "other"], "no picture in common"),
    ):
        refused = CliRunner().invoke(main, ["audit", str(data), *words])
        assert refused.exit_code == 1
        assert line in refused.output
