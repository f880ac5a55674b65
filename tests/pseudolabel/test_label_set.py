"""Label sets of a data set: written whole, resumed to the same bytes, never mixed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pseudolabel_teachers import CITYSCAPES, SIX, StubTeacher, by_gray
from recording_fixtures import tree, write_recording
from torch import Tensor

from eventseg.dataset.check import check_dataset
from eventseg.dataset.manifest import Manifest
from eventseg.dataset.opening import open_dataset
from eventseg.dataset.writer import encode_dataset
from eventseg.errors import DatasetError, LabelError, OutputError
from eventseg.files.locks import locked
from eventseg.labels.maps import merge_of
from eventseg.pseudolabel.confidence import LabelFilters, parse_ego
from eventseg.pseudolabel.label_set import LabelSummary, label_dataset
from eventseg.pseudolabel.label_set_folder import set_name_of
from eventseg.pseudolabel.raw_labels import estimate
from eventseg.pseudolabel.recipes import PRESETS, LabelRecipe
from eventseg.pseudolabel.test_time import TestTimeAugmentation
from eventseg.pseudolabel.voting import TeacherVote, predict_labels
from eventseg.recordings.progress import Progress
from eventseg.windows import parse_anchor

MERGE = merge_of(CITYSCAPES, SIX)
REVERSED = replace(CITYSCAPES, names=CITYSCAPES.names[::-1], colours=CITYSCAPES.colours[::-1])
"""Classes of the same network, named from the last to the first."""
ONCE = LabelRecipe(TestTimeAugmentation((1.0,), flip=False), filters=LabelFilters())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    encode_dataset([write_recording(folder / "rec.hdf5")], folder / "data", store="none")
    return folder / "data"


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    for recording in made.parent.glob("*.hdf5"):
        shutil.copy(recording, tmp_path)
    shutil.copytree(made, tmp_path / "data")
    return tmp_path / "data"


def label(
    data: Path,
    *teachers: StubTeacher,
    recipe: LabelRecipe = ONCE,
    name: str = "stub",
    batch: int = 3,
    overwrite: bool = False,
) -> LabelSummary:
    return label_dataset(
        data,
        teachers or (StubTeacher(by_gray),),
        name=name,
        classes=SIX,
        recipe=recipe,
        batch=batch,
        overwrite=overwrite,
    )


def test_every_frame_gets_the_labels_and_the_confidence_of_the_teacher(data: Path) -> None:
    summary = label(data)
    with open_dataset(data) as dataset:
        frames = np.stack([dataset.frame(i) for i in range(len(dataset))])
        expected = predict_labels(
            [TeacherVote(StubTeacher(by_gray), MERGE)], frames, classes=6, test_time=ONCE.test_time
        )
        for i in range(len(dataset)):
            np.testing.assert_array_equal(dataset.labels(i, "stub"), expected.labels[i])
            np.testing.assert_array_equal(dataset.confidence(i, "stub"), expected.confidence[i])
        assert dataset.manifest.labels == {"stub": SIX}
    pixels = np.bincount(expected.labels.ravel(), minlength=6)
    assert summary.pixels == (*pixels[:6], 0)
    assert summary.lines()[1] == "  10 frames of 10 samples, 6 classes"
    assert check_dataset(data) == []
    assert not (data / "labels.partial").exists()


def test_manifest_holds_recipe_teacher_and_classes(data: Path) -> None:
    recipe = replace(
        PRESETS["default"], filters=LabelFilters(threshold=0.6, ego=parse_ego("20:24"))
    )
    label(data, StubTeacher(by_gray, digest="ab" * 32, licence="MIT"), recipe=recipe)
    assert Manifest.read(data / "manifest.toml").label_settings["stub"] == {
        "scales": [2.0, 3.0, 4.0],
        "flip": True,
        "merge": "probabilities",
        "threshold": 0.6,
        "quantile": 0.0,
        "agreement": 0.0,
        "ego": "rows 20:24",
        "class_table": "evsegnet6",
        "classes": list(SIX.names),
        "teachers": [
            {"name": "hf:stub", "sha256": "ab" * 32, "licence": "MIT", "merge": list(MERGE)}
        ],
    }
    with open_dataset(data) as dataset:
        assert (dataset.labels(0, "stub")[20:] == 255).all()
        assert dataset.confidence(0, "stub")[20:].any()


def test_filters_over_all_frames_equal_their_definition(data: Path) -> None:
    label(data, name="plain")
    filters = LabelFilters(threshold=0.3, quantile=0.25, temporal=1, ego=parse_ego("0:2"))
    label(data, recipe=replace(ONCE, filters=filters), name="kept")
    with open_dataset(data) as dataset:
        plain = np.stack([dataset.labels(i, "plain") for i in range(10)])
        sure = np.stack([dataset.confidence(i, "plain") for i in range(10)])
        kept = np.stack([dataset.labels(i, "kept") for i in range(10)])
        t_us = dataset.samples.t_us
    assert set(np.diff(t_us)) == {100_000}
    plain[:, :2] = 255
    expected = plain.copy()
    for k in range(6):
        values = np.sort(sure[plain == k])
        if len(values):
            least = values[min(len(values) - 1, int(0.25 * len(values)))]
            expected[(plain == k) & (sure < least)] = 255
    expected[sure < 0.3 * 255] = 255
    padded = np.pad(plain, ((0, 0), (1, 1), (1, 1)), constant_values=255)
    near = np.stack([padded[:, r : r + 24, c : c + 32] for r in range(3) for c in range(3)])
    for i in range(10):
        for j in {i - 1, i + 1} & set(range(10)):
            expected[i][~(near[:, j] == plain[i]).any(0)] = 255
    np.testing.assert_array_equal(kept, expected)
    assert (kept == 255).any()
    assert (kept != 255).any()


def test_samples_of_one_frame_are_labelled_once(tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "rec.hdf5")
    data = tmp_path / "data"
    encode_dataset([recording], data, anchor=parse_anchor("stride:20ms"), windows_us=[20_000])
    teacher = StubTeacher(by_gray)
    summary = label(data, teacher, batch=1)
    with open_dataset(data) as dataset:
        frames = dataset.samples.frame
        framed = np.flatnonzero(frames >= 0)
        assert summary.samples == len(framed) > summary.frames == len(teacher.sizes)
        for i in framed:
            first = np.flatnonzero(frames == frames[i])[0]
            np.testing.assert_array_equal(dataset.labels(i, "stub"), dataset.labels(first, "stub"))
        assert len(list((data / "labels/stub").iterdir())) == len(framed)
    assert check_dataset(data) == []


def stopping(after: int) -> StubTeacher:
    teacher = StubTeacher(by_gray)

    def answer(pictures: Tensor) -> Tensor:
        if len(teacher.sizes) > after:
            raise KeyboardInterrupt
        return by_gray(pictures)

    return replace(teacher, answer=answer, sizes=teacher.sizes)


@pytest.mark.parametrize("batch", [1, 4])
def test_stopped_run_goes_on_to_the_same_bytes(data: Path, tmp_path: Path, batch: int) -> None:
    straight = tmp_path / "straight"
    shutil.copytree(data, straight)
    label(straight, batch=batch)
    first = stopping(1)
    with pytest.raises(KeyboardInterrupt):
        label(data, first, batch=batch)
    (problem,) = check_dataset(data)
    assert problem.endswith(
        "labels.partial/stub is left over from a stopped run: run pseudolabel again"
    )
    assert not Manifest.read(data / "manifest.toml").labels
    # What a write that was cut off leaves.
    (data / "labels.partial/stub/labels/rec_f000009.png.123.tmp").write_bytes(b"half")
    second = StubTeacher(by_gray)
    label(data, second, batch=batch)
    assert tree(data) == tree(straight)
    seen = sum(shape[0] for shape in (*first.sizes[:-1], *second.sizes))
    assert seen == 10  # no frame twice, none missing


RUN = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from pseudolabel_teachers import SIX, StubTeacher, by_gray
from eventseg.pseudolabel.confidence import LabelFilters
from eventseg.pseudolabel.label_set import label_dataset
from eventseg.pseudolabel.recipes import LabelRecipe
from eventseg.pseudolabel.test_time import TestTimeAugmentation

def end(now):
    if now.stage == "label" and now.done > 4:
        os.kill(os.getpid(), signal.SIGKILL)

recipe = LabelRecipe(
    TestTimeAugmentation((1.0,), flip=False), filters=LabelFilters(quantile=0.2, temporal=1)
)
label_dataset(sys.argv[1], [StubTeacher(by_gray)], name="stub", classes=SIX, recipe=recipe,
              batch=2, progress=end)
"""


@pytest.mark.slow
def test_killed_run_goes_on_to_the_same_bytes(data: Path, tmp_path: Path) -> None:
    straight = tmp_path / "straight"
    shutil.copytree(data, straight)
    recipe = replace(ONCE, filters=LabelFilters(quantile=0.2, temporal=1))
    label(straight, recipe=recipe, batch=2)
    killed = subprocess.run(
        [sys.executable, "-c", RUN, str(data), str(Path(__file__).parents[1])],
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
    )
    assert killed.returncode == -signal.SIGKILL
    assert len(list((data / "labels.partial/stub/labels").iterdir())) == 6
    second = StubTeacher(by_gray)
    label(data, second, recipe=recipe, batch=2)
    assert tree(data) == tree(straight)
    assert sum(shape[0] for shape in second.sizes) == 4


@pytest.mark.parametrize("phase", ["measure", "filter"])
def test_run_stopped_while_filtering_asks_no_teacher_again(
    data: Path, tmp_path: Path, phase: str
) -> None:
    straight = tmp_path / "straight"
    shutil.copytree(data, straight)
    recipe = replace(ONCE, filters=LabelFilters(quantile=0.2, temporal=1))
    # The set that is replaced must not be taken for the new one at any moment.
    for folder in (straight, data):
        label(folder)
    label(straight, recipe=recipe, overwrite=True)

    def stop(now: Progress) -> None:
        if now.stage == phase and now.done > 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        label_dataset(
            data, [StubTeacher(by_gray)], name="stub", classes=SIX, recipe=recipe, batch=3,
            overwrite=True, progress=stop,
        )  # fmt: skip
    assert not Manifest.read(data / "manifest.toml").labels
    second = StubTeacher(by_gray)
    label(data, second, recipe=recipe)
    assert tree(data) == tree(straight)
    assert not second.sizes


def test_whole_set_is_left_alone_and_mended_where_a_file_is_gone(data: Path) -> None:
    label(data)
    before = tree(data)
    teacher = StubTeacher(by_gray, name="hf:elsewhere")
    again = label(data, teacher)
    assert not teacher.sizes
    assert again.lines()[0].endswith("label set stub already whole, left alone")
    assert tree(data) == before
    (data / "labels/stub/rec_f000004.png").unlink()
    assert any("rec_f000004.png is missing" in problem for problem in check_dataset(data))
    label(data)
    assert tree(data) == before


@pytest.mark.parametrize("state", ["whole", "stopped"])
@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"recipe": replace(ONCE, merge="labels")}, "merge was probabilities, now labels"),
        (
            {"recipe": replace(ONCE, test_time=TestTimeAugmentation((1.0, 2.0), flip=False))},
            r"scales was 1\.0, now 1\.0, 2\.0",
        ),
        (
            {"recipe": replace(ONCE, filters=LabelFilters(temporal=1))},
            "temporal_px was none, now 1",
        ),
        (
            {"teacher": StubTeacher(by_gray, digest="1" * 64)},
            r"teacher was hf:stub \(00000000\), now hf:stub \(11111111\)",
        ),
        (
            {"teacher": StubTeacher(by_gray, classes=REVERSED)},
            r"classes of teacher hf:stub were merged as 0, 0, 1, .*, now 5, 5, .* 0, 0",
        ),
    ],
)
def test_labels_of_other_settings_are_not_mixed(
    data: Path, state: str, changed: dict[str, object], words: str
) -> None:
    if state == "whole":
        label(data)
    else:
        with pytest.raises(KeyboardInterrupt):
            label(data, stopping(1))
    before = tree(data)
    teacher = changed.get("teacher", StubTeacher(by_gray))
    recipe = changed.get("recipe", ONCE)
    with pytest.raises(DatasetError, match=f"of other settings: {words};.*--overwrite"):
        label(data, teacher, recipe=recipe)  # type: ignore[arg-type]
    assert tree(data) == before
    label(data, teacher, recipe=recipe, overwrite=True)  # type: ignore[arg-type]
    label(data, teacher, recipe=recipe, name="fresh")  # type: ignore[arg-type]
    for kind in ("labels", "confidence"):
        assert tree(data / kind / "stub") == tree(data / kind / "fresh")
    assert check_dataset(data) == []


def test_a_folder_among_the_labels_stays(data: Path) -> None:
    label(data)
    for name in ("labels/stub/mine", "confidence/stub/mine"):
        (data / name).mkdir()
        (data / name / "note.txt").write_text("mine")
        (data / name).with_name("stray.png").write_text("of no sample")
    label(data, recipe=replace(ONCE, filters=LabelFilters(threshold=0.9)), overwrite=True)
    assert not (data / "labels.partial").exists()
    for kind in ("labels", "confidence"):
        assert (data / kind / "stub/mine/note.txt").exists()
        assert not (data / kind / "stub/stray.png").exists()


def test_labels_that_no_teacher_made_are_not_touched(data: Path) -> None:
    (data / "labels/hand").mkdir(parents=True)
    Image.new("L", (32, 24), 3).save(data / "labels/hand/rec_f000001.png")
    Image.new("L", (32, 24), 3).save(data / "labels/hand/other.png")
    with pytest.raises(DatasetError, match="labels hand that were not made by a teacher"):
        label(data, name="hand")
    label(data, name="hand", overwrite=True)
    assert check_dataset(data) == []
    for name, words in {
        "truth": "is for known labels",
        "Truth": "one folder where case does not count",
        "../up": "must be made of",
    }.items():
        with pytest.raises(LabelError, match=words):
            label(data, name=name, overwrite=True)


def test_encoding_again_keeps_label_sets(data: Path, made: Path) -> None:
    label(data)
    recording = made.parent / "rec.hdf5"
    encode_dataset([recording], data, store="none")
    (data / "frames/rec_f000003.png").unlink()
    (data / "samples.csv").unlink()
    encode_dataset([recording], data, store="none")
    assert set(Manifest.read(data / "manifest.toml").label_settings) == {"stub"}
    assert check_dataset(data) == []


def test_frames_of_mixed_size_are_an_error(data: Path) -> None:
    Image.new("L", (40, 24)).save(data / "frames/rec_f000002.png")
    with pytest.raises(DatasetError, match="frame rec_f000002 is 40x24, the sensor is 32x24"):
        label(data)


def test_what_cannot_work_is_refused_before_any_work(data: Path, tmp_path: Path) -> None:
    before = tree(data)
    with pytest.raises(LabelError, match="ego rows 20:30 are not within 0:24"):
        label(data, recipe=replace(ONCE, filters=LabelFilters(ego=parse_ego("20:30"))))
    with pytest.raises(LabelError, match="need a teacher and a batch"):
        label(data, batch=0)
    with locked(data), pytest.raises(OutputError, match="another process is writing into"):
        label(data)
    assert tree(data) == before
    recording = write_recording(tmp_path / "blind.hdf5", frames=0)
    blind = tmp_path / "blind"
    encode_dataset([recording], blind, anchor=parse_anchor("stride:100ms"))
    with pytest.raises(DatasetError, match="has no frames to label"):
        label(blind)


def test_check_names_what_is_missing_of_a_set(data: Path) -> None:
    label(data)
    (data / "confidence/stub/rec_f000001.png").unlink()
    Image.new("L", (32, 24), 9).save(data / "labels/stub/rec_f000002.png")
    problems = "\n".join(check_dataset(data))
    assert "confidence/stub/rec_f000001.png is missing" in problems
    assert "labels/stub/rec_f000002.png: labels 9; class table" in problems
    with open_dataset(data) as dataset, pytest.raises(DatasetError, match="cannot read image"):
        dataset.confidence(1, "stub")


def test_time_on_a_cpu_is_told_after_the_first_batch(data: Path) -> None:
    said: list[str] = []
    label_dataset(
        data, [StubTeacher(by_gray)], name="stub", classes=SIX, recipe=ONCE, batch=4,
        say=said.append,
    )  # fmt: skip
    views, words = said
    assert views.startswith("views of 32x24 frames: scale 1, no flip, 4 frames at once")
    assert "s a frame on the CPU: about" in words
    assert "for 6 more" in words
    assert "about 2.0 h for 3,600 more" in estimate(2.0, 3600)
    assert "about 1.5 min for 45 more" in estimate(2.0, 45)
    assert "about 4.0 s for 2 more" in estimate(2.0, 2)


@pytest.mark.parametrize(
    ("teachers", "name"),
    [
        (["hf:nvidia/segformer-b0-finetuned-cityscapes"], "segformer-b0-finetuned-cityscapes"),
        (["pspnet101:train_epoch_200.pth"], "pspnet101-train_epoch_200"),
        (["torchvision:fcn_resnet50:a b.pt", "hf:x"], "torchvision-fcn_resnet50-a-b+x"),
    ],
)
def test_sets_are_named_after_their_teachers(teachers: list[str], name: str) -> None:
    assert set_name_of(teachers) == name
