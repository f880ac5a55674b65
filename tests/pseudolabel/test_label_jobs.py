"""Labels by several processes: faults, messages, and what is sent to them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from prediction_fixtures import random_network
from pseudolabel_teachers import SIX
from recording_fixtures import tree, write_recording

from eventseg.dataset.writer import encode_dataset
from eventseg.errors import CheckpointError, JobsError
from eventseg.pseudolabel import label_dataset, label_jobs, load_teacher
from eventseg.pseudolabel.label_jobs import LabelJob, label_frames
from eventseg.pseudolabel.raw_labels import plan_labels
from eventseg.pseudolabel.recipes import LabelRecipe
from eventseg.pseudolabel.target import open_target
from eventseg.pseudolabel.teacher import TeacherSource
from eventseg.pseudolabel.test_time import TestTimeAugmentation
from eventseg_cli.main import main

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("made")
    encode_dataset([write_recording(folder / "rec.hdf5")], folder / "data", store="none")
    random_network(folder / "gray.pt", "gray", table=SIX)
    return folder


@pytest.fixture
def work(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "work"))


def run(work: Path, *more: str) -> Result:
    words = ["--teacher", str(work / "gray.pt"), "--scales", "1", "--device", "cpu"]
    return CliRunner().invoke(main, ["pseudolabel", str(work / "data"), *words, *more])


def test_options_that_exclude_each_other_are_usage_errors(work: Path, tmp_path: Path) -> None:
    out = ("--out", str(tmp_path / "film"))
    for more, words in {
        ("--shard", "1/2", "--scheduler", "local"): "exclude each other",
        ("--jobs", "2", *out): "--jobs and --scheduler are for label sets",
    }.items():
        refused = CliRunner().invoke(main, ["pseudolabel", str(work / "data" / "frames"), *more])
        assert refused.exit_code == 2, refused.output
        assert words in refused.output
    refused = CliRunner().invoke(
        main, ["pseudolabel", str(work / "data"), "--scheduler", "tcp://nowhere:1"]
    )
    assert "give --teacher" in refused.output


@pytest.mark.slow
def test_a_damaged_frame_costs_its_frames_only_and_the_next_run_completes(
    work: Path, tmp_path: Path
) -> None:
    straight = Path(shutil.copytree(work, tmp_path / "straight"))
    assert run(straight).exit_code == 0
    frame = sorted((work / "data/frames").iterdir())[6]
    content = frame.read_bytes()
    frame.write_bytes(content[:50])
    failed = run(work, "--jobs", "2")
    assert failed.exit_code == 1
    assert "2 workers of 1 thread of torch each" in failed.stderr
    assert "1 of 5 jobs failed, the other 4 done" in failed.stderr
    assert "frames 6 to 7: " in failed.stderr
    assert frame.name in failed.stderr
    assert len(list((work / "data/labels.partial").glob("*/labels/*"))) == 8
    frame.write_bytes(content)
    again = run(work, "--shard", "1/1", "--jobs", "2")
    assert again.exit_code == 0, again.output
    assert "workers on cpu took at most " in again.stderr
    merged = CliRunner().invoke(main, ["merge", str(work / "data")])
    assert merged.exit_code == 0, merged.output
    assert tree(work / "data") == tree(straight / "data")


def test_a_teacher_that_has_changed_is_refused(work: Path) -> None:
    teacher = load_teacher(str(work / "gray.pt"), device=CPU)
    assert teacher.source == TeacherSource(str(work / "gray.pt"))
    with open_target(work / "data") as target:
        once = LabelRecipe(TestTimeAugmentation((1.0,), flip=False))
        plan = plan_labels(target, [teacher], classes=SIX, recipe=once, batch=1)
    job = LabelJob(
        work / "data", "gray", (teacher.source,), ("0" * 64,), SIX, plan.recipe, 1,
        plan.settings, 0, 1, "cpu", 1,
    )  # fmt: skip
    with pytest.raises(CheckpointError, match=r"gray.pt has changed since labelling began"):
        label_frames(job, lambda _: None)


def test_a_worker_that_outlives_a_run_loads_a_retrained_teacher_anew(work: Path) -> None:
    path = work / "gray.pt"
    first = load_teacher(str(path), device=CPU)

    def digest_at(teacher: Any) -> str:
        (loaded,) = label_jobs._loaded_teachers((teacher.source,), (teacher.digest,), "cpu")
        return str(loaded.digest)

    assert digest_at(first) == first.digest
    before = path.read_bytes()
    random_network(path, "gray", table=SIX, name="fastscnn")
    second = load_teacher(str(path), device=CPU)
    assert digest_at(second) == second.digest != first.digest
    with pytest.raises(CheckpointError, match="has changed since labelling began"):
        digest_at(first)
    path.write_bytes(before)
    assert digest_at(first) == first.digest


def test_given_classes_of_a_teacher_that_states_its_own_are_noted(work: Path) -> None:
    done = run(work, "--teacher-classes", "cityscapes19")
    assert done.exit_code == 0, done.output
    assert "--teacher-classes has no effect on it: its file names its classes" in done.stderr
    assert "no effect" not in run(work, "--teacher-classes", "evsegnet6").stderr


def test_no_job_is_an_error(work: Path) -> None:
    with pytest.raises(JobsError, match="must be 1 or more"):
        label_dataset(
            work / "data",
            [load_teacher(str(work / "gray.pt"), device=CPU)],
            name="made",
            classes=SIX,
            jobs=0,
        )


@pytest.mark.parametrize(
    "spec",
    ["hf:tiny", "cgnet:weights.pth", "torchvision:fcn_resnet50:weights.pth", "weights.pth"],
)
def test_specifications_are_sent_with_absolute_paths(
    spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from eventseg.pseudolabel.loading import _absolute

    (tmp_path / "tiny").mkdir()
    monkeypatch.chdir(tmp_path)
    kind, name = spec.rpartition(":")[::2]
    assert _absolute(spec) == f"{kind}{':' * bool(kind)}{tmp_path / name}"
    assert _absolute("hf:nvidia/segformer") == "hf:nvidia/segformer"
