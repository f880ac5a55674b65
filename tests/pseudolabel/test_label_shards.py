"""The same label set by one run and by the merged shards of a job array."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from pseudolabel_teachers import SIX, StubTeacher, by_gray
from recording_fixtures import tree, write_recording

from eventseg.dataset.check import check_dataset
from eventseg.dataset.manifest import Manifest
from eventseg.dataset.opening import open_dataset
from eventseg.dataset.writer import encode_dataset
from eventseg.errors import DatasetError, OutputError
from eventseg.pseudolabel.confidence import LabelFilters, parse_ego
from eventseg.pseudolabel.label_set import LabelSummary, label_dataset
from eventseg.pseudolabel.recipes import LabelRecipe
from eventseg.pseudolabel.shards import label_shard, merge_shards
from eventseg.pseudolabel.test_time import TestTimeAugmentation
from eventseg.recordings.progress import Progress
from eventseg.sources.own_labels import import_labels
from eventseg_cli.main import main

ONCE = TestTimeAugmentation((1.0,), flip=False)
FILTERS = LabelFilters(threshold=0.3, quantile=0.25, temporal=1, ego=parse_ego("0:2"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    encode_dataset([write_recording(folder / "rec.hdf5")], folder / "data", store="none")
    return folder / "data"


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    for recording in made.parent.glob("*.hdf5"):
        shutil.copy(recording, tmp_path)
    return Path(shutil.copytree(made, tmp_path / "data"))


def settings(**changes: Any) -> dict[str, Any]:
    recipe = LabelRecipe(ONCE, filters=FILTERS)
    return {"name": "stub", "classes": SIX, "recipe": recipe, "batch": 2, **changes}


def label(data: Path, shard: str, teacher: StubTeacher | None = None, **changes: Any) -> int:
    teachers = [teacher or StubTeacher(by_gray)]
    return label_shard(data, teachers, shard=shard, **settings(**changes)).frames


def test_merged_shards_are_the_run_of_one_process(made: Path, data: Path, tmp_path: Path) -> None:
    straight = Path(shutil.copytree(made, tmp_path / "straight"))
    mask = np.zeros((24, 32), np.uint8)
    mask[20:] = 255
    Image.fromarray(mask).save(tmp_path / "ego.png")
    masked = LabelRecipe(ONCE, filters=LabelFilters(ego=parse_ego(str(tmp_path / "ego.png"))))
    for changes in ({}, {"name": "masked", "recipe": masked}):
        whole = label_dataset(straight, [StubTeacher(by_gray)], **settings(**changes))
        teacher = StubTeacher(by_gray)
        # Ten frames are five batches, which seven shards share: two have none.
        frames = [label(data, f"{i}/7", teacher, **changes) for i in range(7, 0, -1)]
        assert sorted(frames) == [0, 0, 2, 2, 2, 2, 2]
        assert {shape[0] for shape in teacher.sizes} == {2}
        (merged,) = merge_shards(data)
        assert isinstance(merged, LabelSummary)
        assert merged.pixels == whole.pixels
        assert merged.lines()[1:] == whole.lines()[1:]
    assert tree(data) == tree(straight)
    assert check_dataset(data) == []


def test_what_is_missing_or_differs_is_named(data: Path) -> None:
    assert label(data, "1/3") + label(data, "3/3") < 10
    (left,) = [line for line in check_dataset(data) if "labels.partial" in line]
    assert left.endswith("has labels of shards that were not merged: run merge, or label again")
    with pytest.raises(DatasetError, match=r"1 of 3 shards .*stub are missing: .*--shard 2/3"):
        merge_shards(data)
    with pytest.raises(OutputError, match="holds shards of a job array: 'eventseg merge"):
        label_dataset(data, [StubTeacher(by_gray)], **settings())
    with pytest.raises(DatasetError, match=r"of other settings: teacher was .*stub"):
        label(data, "2/3", StubTeacher(by_gray, digest="1" * 64))
    label(data, "2/3", batch=5)
    with pytest.raises(DatasetError, match="differ in batch: 2 and 5"):
        merge_shards(data)
    label(data, "2/3")
    record = data / "labels.partial/stub/shards/2-of-3/shard.toml"
    content = record.read_bytes()
    for old, new in ((b"start = ", b"start = 1"), (b"stop = ", b'stop = "x" #'), (b"sets", b"x")):
        record.write_bytes(content.replace(old, new))
        with pytest.raises(DatasetError, match=r"contradicts itself|differ in"):
            merge_shards(data)
    record.write_bytes(content)
    next((data / "labels.partial/stub/labels").iterdir()).unlink()
    with pytest.raises(DatasetError, match=r"lacks 1 files of its shards, such as labels/rec_"):
        merge_shards(data)
    with pytest.raises(DatasetError, match="no shards of other but of stub"):
        merge_shards(data, labels="other")


def test_a_shard_that_is_run_again_does_only_what_is_missing(data: Path) -> None:
    for shard in ("1/2", "2/2"):
        label(data, shard)
    labels = sorted((data / "labels.partial/stub/labels").iterdir())
    labels[0].unlink()
    teacher = StubTeacher(by_gray)
    assert label(data, "1/2", teacher) == 4
    assert label(data, "2/2", teacher) == 6
    assert [shape[0] for shape in teacher.sizes] == [2]
    shown = CliRunner().invoke(main, ["merge", str(data), "--labels", "stub", "--quiet"])
    assert shown.exit_code == 0, shown.output
    assert "label set stub done" in shown.output
    with pytest.raises(OutputError, match="holds the complete label set stub"):
        label(data, "1/2")
    again = CliRunner().invoke(main, ["merge", str(data)])
    assert again.exit_code == 1
    assert "holds no shards of label sets" in again.output


def test_sets_that_are_complete_are_merged_and_the_others_named(data: Path) -> None:
    label(data, "1/1", name="a")
    label(data, "1/2", name="b")
    label(data, "1/1", name="c")
    with pytest.raises(DatasetError, match=r"labels.partial/b are missing.*; merged: .* sets a, c"):
        merge_shards(data)
    assert sorted(Manifest.read(data / "manifest.toml").labels) == ["a", "c"]
    label(data, "2/2", name="b")
    (merged,) = merge_shards(data)
    assert merged.name == "b"


@pytest.mark.parametrize("by_shard", [False, True])
def test_an_import_replaces_labels_that_were_begun_only_where_asked(
    data: Path, tmp_path: Path, by_shard: bool
) -> None:
    def stop(now: Progress) -> None:
        if now.done > 2:
            raise KeyboardInterrupt

    if by_shard:
        label(data, "1/2")
    else:
        with pytest.raises(KeyboardInterrupt):
            label_dataset(data, [StubTeacher(by_gray)], progress=stop, **settings())
    (tmp_path / "own").mkdir()
    with open_dataset(data) as dataset:
        path = tmp_path / "own" / f"{dataset.ids[1]}.png"
    Image.fromarray(np.zeros((24, 32), np.uint8)).save(path)
    arguments = {"name": "stub", "classes": SIX}
    before = tree(data)
    with pytest.raises(DatasetError, match=r"labels.partial/stub holds labels stub .*--overwrite"):
        import_labels(data, tmp_path / "own", **arguments)
    assert tree(data) == before
    import_labels(data, tmp_path / "own", overwrite=True, **arguments)
    assert check_dataset(data) == []


def test_the_command_labels_shards_of_a_folder_of_pictures(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from pseudolabel_teachers import save_segformer

    folders = [tmp_path / "one", tmp_path / "many"]
    rng = np.random.default_rng(1)
    for part in ("train", "val", "test"):  # the layout of CamVid
        for kind, most in ((part, 256), (f"{part}annot", 12)):
            (folders[0] / kind).mkdir(parents=True)
            for i in range(2):
                picture = rng.integers(0, most, (24, 32), dtype=np.uint8)
                Image.fromarray(picture).save(folders[0] / kind / f"{part}{i}.png")
    shutil.copytree(folders[0], folders[1])
    teacher = save_segformer(tmp_path / "tiny")
    words = ["--teacher", f"hf:{teacher}", "--scales", "1", "--device", "cpu", "--labels", "made"]
    run = CliRunner()
    assert run.invoke(main, ["pseudolabel", str(folders[0]), *words]).exit_code == 0
    for shard in ("1/3", "2/3", "3/3"):
        shown = run.invoke(main, ["pseudolabel", str(folders[1]), *words, "--shard", shard])
        assert shown.exit_code == 0, shown.output
        assert f"when all 3 are done: eventseg merge {folders[1]}" in shown.output
    assert run.invoke(main, ["merge", str(folders[1])]).exit_code == 0
    assert tree(folders[1]) == tree(folders[0])
    refused = run.invoke(
        main, ["pseudolabel", str(folders[1]), *words, "--shard", "1/3", "--overwrite"]
    )
    assert refused.exit_code == 2
    assert "--shard is for new label sets" in refused.output
